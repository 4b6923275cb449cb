"""Read a Hugging Face `config.json` into a `Model`.

This reader knows the decoders built from grouped-query or latent attention and gated feed-forward blocks, dense or
routed: the families of Llama, Mistral, Mixtral, Qwen2, Qwen3 and DeepSeek V2, V3 and R1 (and Kimi K2, which shares
their code). It reads fields; where a config asks for something that would change the count or the cache and is not
understood here, it refuses by name instead of answering wrongly.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from headway import catalog
from headway.catalog.store import read_text
from headway.errors import BadInput, UnknownName, shown
from headway.model.dtypes import Dtype, dtype
from headway.model.layers import GroupedQueryAttention, LatentAttention, Layers, MixtureOfExperts, Mlp
from headway.model.model import DEFAULT_KV_DTYPE, Architecture, Model, references
from headway.provenance import Origin

# Families whose attention has biases, or norms on queries and keys, without a field that says so.
_QKV_BIAS = {"qwen2"}
_QK_NORM = {"qwen3", "qwen3_moe"}
FAMILIES = ("llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "deepseek_v2", "deepseek_v3", "kimi_k2")

# Fields that change what a layer is or keeps, and are not read here.
_NOT_READ = (
    "layer_types", "sliding_window_pattern", "global_attn_every_n_layers", "index_topk", "compress_ratios",
    "linear_num_value_heads", "mamba_d_state", "ssm_state_size", "block_configs", "num_kv_shared_layers",
    "attn_layer_period", "full_attention_interval", "linear_attn_config", "zero_expert_num", "vision_config",
    "text_config", "encoder_layers",
)  # fmt: skip
MOST_LAYERS = 100_000
LARGEST_FIELD = 10**8  # larger than any width, depth or vocabulary; keeps the counts finite


def load_model(name: str | Path, *, kv_dtype: str | None = None, weight_dtype: str | None = None) -> Model:
    """A model by catalog name, Hugging Face id of a catalogued model, or path to a `config.json`.

    Raises `UnknownName` or `BadInput`.

    >>> load_model("deepseek-v3").kv_bytes_per_token
    70272.0
    """
    if not isinstance(name, (str, Path)):
        raise BadInput(f"a model is a catalog name or a path to a config.json, found {shown(name)}")
    name = str(name)
    found = catalog.read_model(name)
    if found is not None:
        known, facts, config = found
        origin = Origin("config", f"config.json of {facts['hf_id']}", references(facts))
    elif name.endswith(".json") or os.path.exists(name):
        path = Path(name) / "config.json" if os.path.isdir(name) else Path(name)
        known, facts, config = _file_name(path), {}, _parse(path)
        origin = Origin("config", path.name)
    else:
        names = [n for k, f in catalog.model_names().items() for n in (k, *f.get("aliases", ()))]
        raise UnknownName(
            "model (a catalog name, or a path to a config.json)",
            name,
            names,
            where="headway catalog models lists them; --params, --active and --kv-bytes describe any other",
        )
    model = read_config(config, name=known, origin=origin)
    if weight_dtype is not None:
        model = replace(model, weight_dtype=dtype(weight_dtype), scale_bytes_per_param=0.0)
        if model.weight_dtype.bytes_per_number >= model.wide_dtype.bytes_per_number:
            model = replace(model, wide_dtype=model.weight_dtype)
    return replace(model, kv_dtype=dtype(kv_dtype)) if kv_dtype is not None else model


def changed_config(model: Model, fields: Mapping[str, Any]) -> Model:
    """The model that its config gives with some fields replaced; the formats that were asked for stay."""
    values = {name: _as_json(value) for name, value in fields.items()}
    fresh = read_config({**model.config, **values}, name=model.name, origin=model.origin)
    kept: dict[str, Any] = {"kv_dtype": model.kv_dtype}
    if not {"quantization_config", "torch_dtype", "dtype"} & fields.keys():
        kept |= {"weight_dtype": model.weight_dtype, "wide_dtype": model.wide_dtype,
                 "scale_bytes_per_param": model.scale_bytes_per_param}  # fmt: skip
    return replace(fresh, **kept)


def _as_json(value: Any) -> Any:
    """A field as typed on a command line: JSON where it is JSON, else the text itself."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _file_name(path: Path) -> str:
    """What to call a model that is a file: its folder, where the file is just `config.json`."""
    return path.resolve().parent.name if path.stem == "config" and path.resolve().parent.name else path.stem


def _parse(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:  # JSONDecodeError, or an integer of thousands of digits
        what = "is nested too deeply" if isinstance(error, RecursionError) else f"is not JSON: {error}"
        raise BadInput(f"{path.name} {what}") from None
    if not isinstance(config, dict):
        raise BadInput(f"{path.name} holds {shown(config)}, expected an object with the fields of a config.json")
    return config


def read_config(config: Mapping[str, Any], *, name: str, origin: Origin) -> Model:
    """A model from the fields of its config; what is missing, impossible or not understood is a `BadInput`."""
    fields = _Fields(config, name)
    family = fields.text("model_type")
    if family not in FAMILIES:
        raise BadInput(f"{name}: model_type {shown(family)} is not read yet; known are {', '.join(FAMILIES)}; "
                       "or describe it by --params, --active and --kv-bytes")  # fmt: skip
    for field in _NOT_READ:
        if config.get(field):
            raise BadInput(f"{name}: the field {field} changes the architecture and is not read yet; "
                           "describe the model by --params, --active and --kv-bytes")  # fmt: skip
    _refuse_sliding_window(fields, family, name)
    shape = _architecture(fields, family)
    weight, scale = _storage(fields, name)
    wide = dtype(fields.text("torch_dtype", fields.text("dtype", "bfloat16")))
    active = shape.active_parts()
    depth = fields.count("num_nextn_predict_layers", 0, least=0)
    return Model(
        name=name,
        total_params=float(sum(shape.parts().values())),
        active_params=float(sum(active.values())),
        published_active_params=float(sum(active.values()) - active["embedding"] + shape.parts()["embedding"]),
        published_convention="with embeddings counted in",
        origin=origin,
        weight_dtype=weight or wide,
        wide_dtype=wide,
        scale_bytes_per_param=scale,
        architecture=shape,
        config=config,
        kv_dtype=_kv_storage(fields),
        positions=fields.count("max_position_embeddings", 0, least=0) or None,
        mtp_note=f"{depth} multi-token-prediction layer{'s' * (depth > 1)} beside the model, not counted"
        if depth
        else "",
    )


class _Fields:
    """The config's fields, checked as they are read."""

    def __init__(self, config: Mapping[str, Any], name: str) -> None:
        self._config, self._name = config, name

    def __contains__(self, key: str) -> bool:
        return self._config.get(key) is not None

    def count(self, key: str, default: int | None = None, *, least: int = 1, most: int = LARGEST_FIELD) -> int:
        value = self._config.get(key)
        if value is None and default is not None:
            return default
        if value is None:
            raise BadInput(f"{self._name}: the field {key} is missing")
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        if type(whole) is not int or not least <= whole <= most:
            raise BadInput(f"{self._name}: {key} must be a whole number from {least} to {most:,}, found {shown(value)}")
        return whole

    def text(self, key: str, default: str | None = None) -> str:
        value = self._config.get(key, default)
        if not isinstance(value, str):
            raise BadInput(f"{self._name}: the field {key} must be a string, found {shown(value)}")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        value = self._config.get(key, default)
        if not isinstance(value, bool):
            raise BadInput(f"{self._name}: {key} must be true or false, found {shown(value)}")
        return value

    def table(self, key: str) -> dict[str, Any]:
        value = self._config.get(key) or {}
        if not isinstance(value, dict):
            raise BadInput(f"{self._name}: {key} must be an object, found {shown(value)}")
        return value

    def numbers(self, key: str) -> list[int]:
        value = self._config.get(key) or []
        if not isinstance(value, list) or not all(type(v) is int for v in value):
            raise BadInput(f"{self._name}: {key} must be a list of whole numbers, found {shown(value)}")
        return value


def _refuse_sliding_window(fields: _Fields, family: str, name: str) -> None:
    """A sliding window bounds the cache; a config that only mentions one and does not use it is fine."""
    if "sliding_window" not in fields:
        return
    used = fields.flag("use_sliding_window") if family.startswith("qwen") else True
    if used:
        raise BadInput(f"{name}: sliding-window attention (sliding_window) is not read yet; "
                       "describe the model by --params, --active and --kv-bytes")  # fmt: skip


def _architecture(fields: _Fields, family: str) -> Architecture:
    hidden, depth = fields.count("hidden_size"), fields.count("num_hidden_layers", most=MOST_LAYERS)
    attention = _attention(fields, family, hidden)
    routed = _routed_layers(fields, depth)
    blocks: dict[bool, Mlp | MixtureOfExperts | None] = {True: None, False: None}
    if any(routed):
        blocks[True] = _experts(fields, hidden)
    if not all(routed):
        blocks[False] = Mlp(hidden, fields.count("intermediate_size"), fields.flag("mlp_bias"))
    runs = [
        Layers(routed.count(kind), attention, block, norm_params=2 * hidden)
        for kind in (False, True)
        if (block := blocks[kind]) is not None
    ]
    return Architecture(hidden, fields.count("vocab_size"), fields.flag("tie_word_embeddings"), tuple(runs))


def _attention(fields: _Fields, family: str, hidden: int) -> GroupedQueryAttention | LatentAttention:
    heads = fields.count("num_attention_heads")
    if "kv_lora_rank" in fields:
        return LatentAttention(
            hidden,
            heads,
            fields.count("q_lora_rank") if "q_lora_rank" in fields else None,
            fields.count("kv_lora_rank"),
            fields.count("qk_nope_head_dim"),
            fields.count("qk_rope_head_dim", least=0),
            fields.count("v_head_dim"),
        )
    kv_heads = fields.count("num_key_value_heads", heads)
    if heads % kv_heads:
        raise BadInput(f"num_attention_heads ({heads}) must be a multiple of num_key_value_heads ({kv_heads})")
    if "head_dim" not in fields and hidden % heads:
        raise BadInput(f"hidden_size ({hidden}) must be a multiple of num_attention_heads ({heads}), or give head_dim")
    biased = fields.flag("attention_bias") if family not in _QKV_BIAS else True
    output_bias = biased and family not in _QKV_BIAS
    head_dim = fields.count("head_dim", hidden // heads)
    return GroupedQueryAttention(hidden, heads, kv_heads, head_dim, biased, output_bias, family in _QK_NORM)


def _routed_layers(fields: _Fields, depth: int) -> list[bool]:
    """Which layers route, by the three ways in which configs say so."""
    if _expert_field(fields) is None:
        return [False] * depth
    first_dense = fields.count("first_k_dense_replace", 0, least=0)
    every = fields.count("moe_layer_freq", fields.count("decoder_sparse_step", 1))
    plain = set(fields.numbers("mlp_only_layers"))
    offset = 0 if "moe_layer_freq" in fields else 1  # DeepSeek counts layers from 0, Qwen from 1
    return [i >= first_dense and (i + offset) % every == 0 and i not in plain for i in range(depth)]


def _expert_field(fields: _Fields) -> str | None:
    return next((key for key in ("n_routed_experts", "num_local_experts", "num_experts") if key in fields), None)


def _experts(fields: _Fields, hidden: int) -> MixtureOfExperts:
    key = _expert_field(fields) or "num_experts"
    experts, chosen = fields.count(key), fields.count("num_experts_per_tok")
    if chosen > experts:
        raise BadInput(f"num_experts_per_tok ({chosen}) cannot exceed {key} ({experts})")
    width = (
        fields.count("moe_intermediate_size")
        if "moe_intermediate_size" in fields
        else fields.count("intermediate_size")
    )
    return MixtureOfExperts(hidden, experts, chosen, width, fields.count("n_shared_experts", 0, least=0) * width)


def _storage(fields: _Fields, name: str) -> tuple[Dtype | None, float]:
    """The format that the checkpoint's linear weights are stored in, and bytes of scales per parameter."""
    table = fields.table("quantization_config")
    if not table:
        return None, 0.0
    method, block = table.get("quant_method"), table.get("weight_block_size")
    if method != "fp8":
        raise BadInput(f"{name}: quantization_config.quant_method {shown(method)} is not read yet; "
                       "drop it and give --weight-dtype")  # fmt: skip
    if block is None:
        return dtype("fp8"), 0.0
    if not isinstance(block, list) or len(block) != 2 or not all(type(n) is int and n >= 1 for n in block):
        raise BadInput(f"{name}: weight_block_size must be two positive whole numbers, found {shown(block)}")
    return dtype("fp8"), 4.0 / (block[0] * block[1])  # one fp32 scale for each block


def _kv_storage(fields: _Fields) -> Dtype:
    """The format of the KV cache that the checkpoint asks for, in the three ways in which configs say so; or bf16."""
    table = fields.table("quantization_config")
    stated = table.get("kv_cache_quant_algo") or table.get("kv_cache_dtype")
    scheme = table.get("kv_cache_scheme")
    if stated is None and isinstance(scheme, dict):
        stated = f"{'fp' if scheme.get('type') == 'float' else 'int'}{scheme.get('num_bits')}"
    if stated is None and "kv_cache_dtype" in fields:
        stated = fields.text("kv_cache_dtype")
    if stated is not None and not isinstance(stated, str):
        raise BadInput(f"the format of the KV cache must be a string such as 'fp8', found {shown(stated)}")
    return dtype(DEFAULT_KV_DTYPE if stated in (None, "auto") else str(stated))
