"""How the checkpoint's weights are stored, part by part: read from its quantization_config.

Quantisation tools name modules, by name, by glob, by regular expression, for all layers or for some. Each name is taken
for the part of a layer that it belongs to; a part whose layers differ has the mean of their bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headway.catalog.store import quantisations
from headway.errors import BadInput, UnknownName, shown
from headway.model.dtypes import Dtype, dtype
from headway.model.fields import LARGEST, Fields, whole_number
from headway.model.modules import PARTS_QUANTISED, Selection

# Parts that quantised checkpoints leave in the wide format, but for a head that is named.
WIDE_PARTS = ("embedding", "lm_head", "router", "norm")
NARROW_PARTS = ("attention", "dense_mlp", "routed_experts", "shared_experts")


@dataclass(frozen=True)
class Stored:
    """The format of a part and its bytes for each parameter, scales and unquantised layers included."""

    dtype: Dtype
    bytes_per_param: float


@dataclass(frozen=True)
class _Rule:
    """A format, and the modules that have it; of all linear ones without a selection."""

    stored: Stored
    selection: Selection | None = None


def plain(name: Dtype) -> dict[str, Stored]:
    """Every part in one format."""
    return dict.fromkeys((*WIDE_PARTS, *NARROW_PARTS), Stored(name, name.bytes_per_number))


def read_storage(fields: Fields, wide: Dtype, layer_parts: Sequence[Sequence[str]]) -> dict[str, Stored]:
    """The format of each part; `layer_parts` are the parts that each layer has, in order."""
    table = fields.table("quantization_config")
    stored = plain(wide)
    if not table:
        return stored
    inner = Fields(table, fields.name)
    rules = list(_rules(inner, fields))
    # A checkpoint quantised again names what the second step left as it was.
    again = inner.has("quantized_layers") and inner.raw("quant_method") in quantisations("method")
    left_out = Selection.read(() if again else _patterns(inner), fields.name)
    for selection in (left_out, *(rule.selection for rule in rules if rule.selection)):
        selection.check(len(layer_parts), fields.name)
    for part in PARTS_QUANTISED:
        found = [
            _format(rules, left_out, part, layer, stored[part], parts)
            for layer, parts in enumerate(layer_parts)
            if part in parts
        ]
        if found:
            most = max(set(found), key=lambda one: (found.count(one), one.dtype.name))
            stored[part] = Stored(most.dtype, sum(one.bytes_per_param for one in found) / len(found))
    stored["lm_head"] = _format(
        [rule for rule in rules if rule.selection], left_out, "lm_head", None, stored["lm_head"]
    )
    return stored


def _format(
    rules: Sequence[_Rule], left_out: Selection, part: str, layer: int | None, wide: Stored, beside: Sequence[str] = ()
) -> Stored:
    """The format of a part in a layer: of the first rule that names it, unless it is left out of those for all."""
    named = next((rule for rule in rules if rule.selection and rule.selection.has(part, layer, beside)), None)
    if named is not None:
        return named.stored
    general = next((rule for rule in rules if rule.selection is None), None)
    return wide if general is None or left_out.has(part, layer, beside) else general.stored


def _rules(table: Fields, fields: Fields) -> Iterator[_Rule]:
    """The formats that a quantization_config describes, those of named modules first."""
    method = table.text("quant_method", "quant_type", default="")
    layers = table.table("quantized_layers")
    yield from _named_layers(layers, fields.name)
    if method not in quantisations("method"):
        yield from _groups(table, fields.name)
    if fields.has("expert_dtype"):  # DeepSeek-V4: beside everything else in fp8
        name = fields.text("expert_dtype")
        yield _Rule(_of_number({"fp4": "mxfp4"}.get(name, name)), Selection.of("routed_experts"))
    if method in quantisations("method") or not (layers or table.raw("config_groups")):
        yield _Rule(_general(table, method, fields.name))


def _named_layers(layers: Mapping[str, Any], name: str) -> Iterator[_Rule]:
    """A format for each module by name, as modelopt writes mixed precision."""
    by_format: dict[str, list[str]] = {}
    for module, how in layers.items():
        algorithm = how.get("quant_algo") if isinstance(how, dict) else None
        by_format.setdefault(str(algorithm), []).append(module)
    for algorithm, modules in by_format.items():
        yield _Rule(_of_algorithm(algorithm, name), Selection.read(modules, name))


def _groups(table: Fields, name: str) -> Iterator[_Rule]:
    """The config_groups of compressed-tensors and modelopt, each with its targets."""
    for group in table.table("config_groups").values():
        weights = group.get("weights") if isinstance(group, dict) else None
        if not isinstance(weights, dict):
            raise BadInput(f"{name}: quantization_config.config_groups must hold objects with weights, found "
                           f"{shown(group)}")  # fmt: skip
        stored = _of_weights(Fields(weights, name), str(group.get("format") or table.raw("format")))
        targets = group.get("targets")
        listed = [target for target in targets if isinstance(target, str)] if isinstance(targets, list) else []
        everything = not listed or any("linear" in target.lower().rpartition(".")[2] for target in listed)
        yield _Rule(stored, None if everything else Selection.read(listed, name))


def _general(table: Fields, method: str, name: str) -> Stored:
    """The one format of a method for all linear modules."""
    kind = quantisations("method").get(method)
    algorithm = table.raw("quant_algo", "moe_quant_algo")
    if kind == "fp8":
        return Stored(dtype("fp8"), 1.0 + _block_scale(table.raw("weight_block_size"), name))
    if kind in ("mxfp4", "nvfp4"):
        return _of_number(kind)
    if kind == "integers":
        group = table.raw("group_size", "q_group_size")
        return _integers(table.count("bits", "w_bit", "nbits", most=16), group, zeros=True)
    if kind == "mlx":  # a scale and a bias of 16 bits for each group
        bits, size = table.count("bits", default=4, most=16), _whole(table.raw("group_size")) or 64
        return Stored(dtype("int4" if bits <= 4 else "int8"), bits / 8 + 4.0 / size)
    if kind == "bitsandbytes":
        if not table.flag("load_in_4bit", "_load_in_4bit"):
            return _of_number("int8")
        # A scale of fp32 for 64 weights; quantised again, of one byte, with one of fp32 for 256 scales.
        scale = 1 + 4 / 256 if table.flag("bnb_4bit_use_double_quant") else 4.0
        return Stored(dtype("int4"), 0.5 + scale / 64)
    if algorithm is not None:
        return _of_algorithm(str(algorithm), name)
    raise BadInput(f"{name}: quantization_config.quant_method {shown(method or None)} is not read; "
                   "give --weight-dtype to say how the weights are stored")  # fmt: skip


def _of_number(name: str) -> Stored:
    return Stored(dtype(name), dtype(name).bytes_per_number)


def _of_algorithm(algorithm: str, name: str) -> Stored:
    found = quantisations("algorithm").get(algorithm.upper())
    if found is None:
        raise BadInput(f"{name}: quantization_config.quant_algo {shown(algorithm)} is not read; "
                       "give --weight-dtype to say how the weights are stored")  # fmt: skip
    narrow = dtype(found["dtype"])
    return Stored(narrow, narrow.bytes_per_number + found.get("scale_bytes", 0) / found.get("block", 1))


def _of_weights(weights: Fields, form: str) -> Stored:
    """The weights of a group: bits, type, and the size of the block that shares a scale."""
    bits, size, block = weights.count("num_bits", most=16), weights.raw("group_size"), weights.raw("block_structure")
    if isinstance(block, str):  # "128x128"
        block = [whole_number(n) or 0 for n in block.split("x")]
    if weights.text("type", default="int").lower() != "float":
        return _integers(bits, size, zeros=not weights.flag("symmetric", default=True))
    if bits == 4:
        return _of_number("mxfp4" if "mxfp4" in form or size == 32 else "nvfp4")
    return Stored(dtype("fp8"), bits / 8 + _block_scale(block, weights.name))


def _integers(bits: int, group: object, *, zeros: bool) -> Stored:
    """Integers with a 16-bit scale, and for some methods a zero point, for each group; a group of -1 is a row."""
    size = _whole(group)
    scale = 0.0 if size is None else (2.0 + zeros * bits / 8) / size
    return Stored(dtype("int4" if bits <= 4 else "int8"), bits / 8 + scale)


def _whole(group: object) -> int | None:
    """The size of a group, however it is written; None for a row or a tensor."""
    if isinstance(group, str) and whole_number(group) is not None:
        group = int(group)
    if isinstance(group, float) and group.is_integer():
        group = int(group)
    if group is None or (type(group) is int and group <= 0):
        return None
    if type(group) is not int or group > LARGEST:
        raise BadInput(f"the group_size of quantization_config must be a whole number, found {shown(group)}")
    return group


def _block_scale(block: object, name: str) -> float:
    """Bytes for each weight of one fp32 scale for each block."""
    if block is None:
        return 0.0
    if not isinstance(block, list) or len(block) != 2 or not all(type(n) is int and 1 <= n <= LARGEST for n in block):
        raise BadInput(f"{name}: weight_block_size must be two positive whole numbers, found {shown(block)}")
    return float(4.0 / (block[0] * block[1]))


def _patterns(table: Fields) -> tuple[str, ...]:
    """The modules left out, under the names that methods have for them."""
    for key in ("ignore", "modules_to_not_convert", "exclude_modules", "ignored_layers", "llm_int8_skip_modules"):
        value = table.raw(key)
        if value is None:
            continue
        if not isinstance(value, list) or not all(isinstance(pattern, str) for pattern in value):
            raise table.wrong(f"quantization_config.{key}", "a list of module names", value)
        return tuple(value)
    return ()


def read_kv_format(fields: Fields) -> Dtype:
    """The format of the KV cache that the checkpoint asks for, in the three ways in which configs say so; or bf16."""
    table = fields.table("quantization_config")
    stated = table.get("kv_cache_quant_algo") or table.get("kv_cache_dtype")
    scheme = table.get("kv_cache_scheme")
    if scheme is not None and not isinstance(scheme, (dict, str)):
        raise BadInput(f"{fields.name}: kv_cache_scheme must be an object, found {shown(scheme)}")
    if stated is None and isinstance(scheme, str):
        stated = scheme
    if stated is None and isinstance(scheme, dict):
        stated = f"{'fp' if str(scheme.get('type')).lower() == 'float' else 'int'}{scheme.get('num_bits')}"
    if stated is None and fields.has("kv_cache_dtype"):
        stated = fields.text("kv_cache_dtype")
    if stated is not None and not isinstance(stated, str):
        raise BadInput(f"the format of the KV cache must be a string such as 'fp8', found {shown(stated)}")
    try:
        return dtype("bf16" if stated in (None, "auto") else str(stated))
    except UnknownName as error:
        raise BadInput(f"{fields.name}: {error}") from None
