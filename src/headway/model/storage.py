"""How the checkpoint's weights are stored, part by part: read from its quantization_config."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headway.errors import BadInput, UnknownName, shown
from headway.model.dtypes import Dtype, dtype
from headway.model.fields import Fields

# Parts that quantised checkpoints leave in the wide format.
WIDE_PARTS = ("embedding", "lm_head", "router", "norm")
NARROW_PARTS = ("attention", "dense_mlp", "routed_experts", "shared_experts")
# The matrices of a part, as the modules of a layer are called; a pattern that names one of them names the part.
_MODULES = {
    "attention": ("self_attn.q_proj", "self_attn.o_proj", "self_attn.q_a_proj", "self_attn.kv_b_proj",
                  "linear_attn.in_proj_qkv", "linear_attn.out_proj", "mixer.in_proj", "attention.o_proj"),
    "dense_mlp": ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "mixer.up_proj", "feed_forward.gate_proj"),
    "routed_experts": ("mlp.experts.0.gate_proj", "mlp.experts.0.down_proj", "block_sparse_moe.experts.0.w1",
                       "mlp.experts.gate_up_proj", "mixer.experts.0.up_proj", "feed_forward.experts.0.gate_proj"),
    "shared_experts": ("mlp.shared_experts.gate_proj", "mlp.shared_expert.gate_proj", "mlp.shared_mlp.gate_proj",
                       "mixer.shared_experts.up_proj", "feed_forward.shared_expert.gate_proj"),
}  # fmt: skip
_LONGEST_PATTERN = 500


@dataclass(frozen=True)
class Stored:
    """The format of a part and its bytes for each parameter, scales and unquantised layers included."""

    dtype: Dtype
    bytes_per_param: float


@dataclass(frozen=True)
class _Scheme:
    """A format with its scales, and the modules that it leaves out."""

    dtype: Dtype
    bytes_per_param: float
    left_out: tuple[str, ...] = ()


def plain(name: Dtype) -> dict[str, Stored]:
    """Every part in one format."""
    return dict.fromkeys((*WIDE_PARTS, *NARROW_PARTS), Stored(name, name.bytes_per_number))


def read_storage(fields: Fields, wide: Dtype, layer_parts: Sequence[Sequence[str]]) -> dict[str, Stored]:
    """The format of each part; `layer_parts` are the parts that each layer has, in order."""
    table = fields.table("quantization_config")
    stored = plain(wide)
    if not table:
        return stored
    scheme = _scheme(Fields(table, fields.name), fields.name)
    out = _left_out(scheme.left_out, layer_parts, fields.name)
    for part in NARROW_PARTS:
        share = out.get(part, 0.0)
        stored[part] = Stored(
            wide if share == 1 else scheme.dtype,
            share * wide.bytes_per_number + (1 - share) * scheme.bytes_per_param,
        )
    if fields.has("expert_dtype") and "routed_experts" in stored:
        narrow = dtype({"fp4": "mxfp4"}.get(fields.text("expert_dtype"), fields.text("expert_dtype")))
        stored["routed_experts"] = Stored(narrow, narrow.bytes_per_number)
    return stored


def _scheme(table: Fields, name: str) -> _Scheme:
    """The format that a quantization_config describes."""
    method = table.text("quant_method", "quant_type", default="")
    patterns = _patterns(table)
    algorithm = table.raw("quant_algo")
    if method in ("fp8", "fbgemm_fp8") or (not method and algorithm == "FP8"):
        return _Scheme(dtype("fp8"), 1.0 + _block_scale(table, name), patterns)
    if method == "mxfp4":
        return _Scheme(dtype("mxfp4"), dtype("mxfp4").bytes_per_number, patterns)
    if method in ("awq", "gptq", "auto-round", "gptq_marlin", "awq_marlin"):
        return _integers(table.count("bits", "w_bit"), table.raw("group_size", "q_group_size"), patterns, zeros=True)
    if method == "bitsandbytes":
        four = table.flag("load_in_4bit", "_load_in_4bit")
        return _integers(4 if four else 8, 64 if four else -1, patterns, zeros=False)
    groups = table.table("config_groups")
    if groups:
        return _grouped(groups, name, patterns, table.raw("format"))
    if isinstance(algorithm, str) and algorithm.upper() in ("NVFP4", "FP8", "W4A16_NVFP4", "NVFP4_AWQ"):
        narrow = dtype("fp8" if algorithm.upper() == "FP8" else "nvfp4")
        return _Scheme(narrow, narrow.bytes_per_number, patterns)
    raise BadInput(f"{name}: quantization_config.quant_method {shown(method or algorithm)} is not read; "
                   "give --weight-dtype to say how the weights are stored")  # fmt: skip


def _patterns(table: Fields) -> tuple[str, ...]:
    """The modules left out, under the names that methods have for them."""
    for key in ("ignore", "modules_to_not_convert", "exclude_modules", "ignored_layers"):
        value = table.raw(key)
        if value is None:
            continue
        if not isinstance(value, list) or not all(isinstance(pattern, str) for pattern in value):
            raise table.wrong(f"quantization_config.{key}", "a list of module names", value)
        return tuple(value)
    return ()


def _block_scale(table: Fields, name: str) -> float:
    """Bytes for each weight of one fp32 scale for each block."""
    block = table.raw("weight_block_size")
    if block is None:
        return 0.0
    if not isinstance(block, list) or len(block) != 2 or not all(type(n) is int and n >= 1 for n in block):
        raise BadInput(f"{name}: weight_block_size must be two positive whole numbers, found {shown(block)}")
    return float(4.0 / (block[0] * block[1]))


def _integers(bits: int, group: object, patterns: tuple[str, ...], *, zeros: bool) -> _Scheme:
    """Integers with a 16-bit scale, and for some methods a zero point, for each group; a group of -1 is a row."""
    size = group if type(group) is int and group > 0 else None
    narrow = dtype("int4" if bits <= 4 else "int8")
    scale = 0.0 if size is None else (2.0 + zeros * bits / 8) / size
    return _Scheme(narrow, bits / 8 + scale, patterns)


def _grouped(groups: Mapping[str, Any], name: str, patterns: tuple[str, ...], form: object) -> _Scheme:
    """The config_groups of compressed-tensors and modelopt: bits, type, and the size of a group with one scale."""
    first = next(iter(groups.values()))
    weights = first.get("weights") if isinstance(first, dict) else None
    if not isinstance(weights, dict):
        raise BadInput(f"{name}: quantization_config.config_groups must hold objects with weights, found "
                       f"{shown(groups)}")  # fmt: skip
    table = Fields(weights, name)
    bits, size = table.count("num_bits", most=16), table.raw("group_size")
    block = table.raw("block_structure")
    if isinstance(block, str):  # "128x128"
        block = [int(n) if n.isdigit() else 0 for n in block.split("x")]
    if table.text("type", default="int") == "float" and bits == 4:
        narrow = dtype("mxfp4" if "mxfp4" in str(form) or size == 32 else "nvfp4")
        return _Scheme(narrow, narrow.bytes_per_number, patterns)
    if table.text("type", default="int") == "float":
        scale = _block_scale(Fields({"weight_block_size": block}, name), name)
        return _Scheme(dtype("fp8"), bits / 8 + scale, patterns)
    return _integers(bits, size, patterns, zeros=not table.flag("symmetric", default=True))


def _left_out(patterns: Sequence[str], layer_parts: Sequence[Sequence[str]], name: str) -> dict[str, float]:
    """The share of a part's layers whose modules a pattern names."""
    if not patterns:
        return {}
    try:
        pattern = re.compile("|".join(f"(?:{_expression(text, name)})" for text in patterns))
    except re.error as error:
        raise BadInput(f"{name}: quantization_config names modules by an impossible pattern: {error}") from None
    counted: dict[str, list[bool]] = {}
    for i, parts in enumerate(layer_parts):
        for part in set(parts) & set(_MODULES):
            named = any(pattern.search(f"model.layers.{i}.{module}") for module in _MODULES[part])
            counted.setdefault(part, []).append(named)
    return {part: sum(named) / len(named) for part, named in counted.items()}


def _expression(text: str, name: str) -> str:
    """A pattern of module names as a regular expression: `re:` ones as they are, globs, prefixes, and bare names."""
    if len(text) > _LONGEST_PATTERN:
        raise BadInput(f"{name}: quantization_config names modules by a pattern of {len(text)} characters")
    if text.startswith("re:"):
        return f"^(?:{text[3:]})"
    text = re.sub(r"^(model\.)?(language_model\.)?(model\.|backbone\.)?(?=layers\.)", "model.", text)
    if "*" in text:
        return "^" + fnmatch.translate(text).replace(r"\Z", "").replace(r"\z", "")
    return rf"(?:^|\.){re.escape(text)}(?:\.|$)"


def read_kv_format(fields: Fields) -> Dtype:
    """The format of the KV cache that the checkpoint asks for, in the three ways in which configs say so; or bf16."""
    table = fields.table("quantization_config")
    stated = table.get("kv_cache_quant_algo") or table.get("kv_cache_dtype")
    scheme = table.get("kv_cache_scheme")
    if stated is None and isinstance(scheme, dict):
        stated = f"{'fp' if scheme.get('type') == 'float' else 'int'}{scheme.get('num_bits')}"
    if stated is None and fields.has("kv_cache_dtype"):
        stated = fields.text("kv_cache_dtype")
    if stated is not None and not isinstance(stated, str):
        raise BadInput(f"the format of the KV cache must be a string such as 'fp8', found {shown(stated)}")
    try:
        return dtype("bf16" if stated in (None, "auto") else str(stated))
    except UnknownName as error:
        raise BadInput(f"{fields.name}: {error}") from None
