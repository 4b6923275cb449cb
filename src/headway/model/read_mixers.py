"""Read the mixer of each layer from the fields of a config."""

from __future__ import annotations

import math
from dataclasses import dataclass

from headway.errors import BadInput
from headway.model.attention import CompressedAttention, GroupedQueryAttention, Index, LatentAttention, Mixer
from headway.model.dtypes import dtype
from headway.model.fields import Fields
from headway.model.pattern import HEADS, window
from headway.model.recurrent import GatedDelta, KimiDelta, Lightning, Mamba, Mamba2, ShortConvolution

_KV_HEADS = ("num_key_value_heads", "num_kv_heads", "n_kv_heads", "kv_n_heads", "n_head_kv", "num_attention_groups",
             "multi_query_group_num")  # fmt: skip


def mixer(fields: Fields, hidden: int, kind: str, layer: int, depth: int) -> tuple[Mixer, ...]:
    """The mixer of a layer; of a hybrid one, two side by side."""
    if kind == "hybrid":
        return _attention(fields, hidden, "full", layer, depth), _state_space(fields, hidden)
    if kind == "mamba":
        return (_state_space(fields, hidden),)
    if kind == "conv":
        bias = fields.flag("conv_bias", default=False)
        return (ShortConvolution(hidden, fields.count("conv_L_cache"), bias),)
    if kind == "linear":
        return (_linear(fields, hidden),)
    return (_attention(fields, hidden, kind, layer, depth),)


def _attention(fields: Fields, hidden: int, kind: str, layer: int, depth: int) -> Mixer:
    if kind == "compressed":
        return _compressed(fields, hidden, layer, depth)
    if fields.has("kv_lora_rank") and fields.flag("use_mla", default=True):
        return _latent(fields, hidden, kind, layer, depth)
    return _grouped(fields, hidden, kind, layer, depth)


@dataclass(frozen=True)
class _Heads:
    """How many heads a layer has and how wide they are."""

    query: int
    kv: int
    width: int
    value_width: int


def _heads(fields: Fields, hidden: int, kind: str, layer: int, depth: int) -> _Heads:
    """Heads of a layer; families give sliding layers, or full ones, others of their own."""
    listed = fields.per_layer(depth, "num_attention_heads_per_layer")
    query = fields.count(*HEADS) if listed is None else fields.counts(depth, "num_attention_heads_per_layer")[layer]
    one_kv = fields.flag("multi_query") and not fields.flag("new_decoder_architecture")
    kv = 1 if one_kv else fields.count(*_KV_HEADS, default=query)
    width, value = _width(fields, hidden, query), fields.raw("v_head_dim")
    value = width if value is None else fields.count("v_head_dim")
    if kind == "sliding" and fields.has("swa_num_attention_heads"):
        query, kv = fields.count("swa_num_attention_heads"), fields.count("swa_num_key_value_heads")
        width, value = fields.count("swa_head_dim"), fields.count("swa_v_head_dim", default=value)
    elif kind == "sliding" and (other := fields.table("attention_other_setting")):
        inner = Fields(other, fields.name)
        query, kv = inner.count("num_attention_heads", default=query), inner.count("num_attention_groups", default=kv)
    elif kind == "full" and fields.has("global_head_dim"):
        width = value = fields.count("global_head_dim")
        kv = fields.count("num_global_key_value_heads", default=kv) if fields.flag("attention_k_eq_v") else kv
    if query % kv:
        raise BadInput(f"{fields.name}: num_attention_heads ({query}) must be a multiple of num_key_value_heads ({kv})")
    return _Heads(query, kv, width, value)


def _width(fields: Fields, hidden: int, heads: int) -> int:
    if fields.has("head_dim", "attention_head_dim"):
        return fields.count("head_dim", "attention_head_dim")
    if hidden % heads:
        raise BadInput(f"{fields.name}: hidden_size ({hidden}) must be a multiple of num_attention_heads ({heads}), "
                       "or give head_dim")  # fmt: skip
    return hidden // heads


def _reach(fields: Fields, kind: str) -> float:
    if kind == "chunked":
        return float(fields.count("attention_chunk_size"))
    if kind != "sliding":
        return math.inf
    found = window(fields)
    if found is None:
        raise BadInput(f"{fields.name}: layers slide, and the field sliding_window is missing")
    return float(found)


def _grouped(fields: Fields, hidden: int, kind: str, layer: int, depth: int) -> GroupedQueryAttention:
    heads = _heads(fields, hidden, kind, layer, depth)
    biased = fields.flag("attention_bias", "use_bias", "bias")
    sinks = "add_swa_attention_sink_bias" if kind == "sliding" else "add_full_attention_sink_bias"
    normed = fields.text("qk_norm", default="")
    switched = fields.flag("use_qk_norm", "qk_layernorm", default=bool(normed)) and normed != "none"
    return GroupedQueryAttention(
        hidden, heads.query, heads.kv, heads.width, heads.value_width,
        qkv_bias=fields.flag("qkv_bias", "use_qkv_bias", default=biased),
        output_bias=fields.flag("output_bias", default=biased),
        qk_norm=(normed or "head") if switched else "",
        norm_bias=fields.flag("norm_bias"),
        gate=_gate(fields, layer, depth),
        sinks=fields.flag("attention_sinks", sinks),
        keys_are_values=kind == "full" and fields.flag("attention_k_eq_v"),
        window=_reach(fields, kind),
        shared=_shares_cache(fields, layer, depth),
        index=_block_index(fields, hidden) if kind == "sparse" else None,
    )  # fmt: skip


def _gate(fields: Fields, layer: int, depth: int) -> str:
    """The gate on the output of attention: one number for each element, or for each head."""
    listed = fields.per_layer(depth, "gating_types")
    word = listed[layer] if listed else fields.raw("gating", "attention_gate", "attn_output_gate")
    if word in (None, False, "", "none"):
        return ""
    return "head" if str(word).replace("-", "_") in ("per_head", "head", "headwise") else "element"


def _shares_cache(fields: Fields, layer: int, depth: int) -> bool:
    """Whether a layer reads the cache of an earlier one: the last few, or all but one of each group."""
    last = fields.count("num_kv_shared_layers", default=0, least=0)
    if last > depth:
        raise BadInput(f"{fields.name}: num_kv_shared_layers ({last}) cannot exceed the layers ({depth})")
    if layer >= depth - last:
        return True
    factor = fields.count("cla_share_factor", default=1) if fields.flag("use_cla") else 1
    return layer % factor > 0


def _block_index(fields: Fields, hidden: int) -> Index:
    """The indexer of block-sparse attention beside grouped queries: it scores keys and picks blocks of them."""
    heads, width = fields.count("sparse_num_index_heads", "index_n_heads"), fields.count(
        "sparse_index_dim", "index_head_dim")  # fmt: skip
    chosen = (
        fields.count("sparse_topk_blocks", "index_topk_blocks") * fields.count("sparse_block_size", "index_block_size")
        if fields.has("sparse_topk_blocks", "index_topk_blocks")
        else fields.count("index_topk")
    )
    return Index(hidden, hidden, heads, width, float(chosen), weighs_heads=False, norm_params=2 * width)


def _latent(fields: Fields, hidden: int, kind: str, layer: int, depth: int) -> LatentAttention:
    rank = fields.count("q_lora_rank") if fields.has("q_lora_rank") else None
    rope = fields.count("qk_rope_head_dim", least=0)
    index, chosen = None, math.inf
    if fields.has("index_topk"):
        chosen = float(fields.count("index_topk"))
        if _has_own_index(fields, layer, depth):
            heads, width = fields.count("index_n_heads"), fields.count("index_head_dim")
            index = Index(hidden, rank or hidden, heads, width, chosen, norm_params=2 * width)
    if kind == "sliding":
        raise BadInput(f"{fields.name}: latent attention in a sliding window (sliding_window) is not read; "
                       "describe the model by --params, --active and --kv-bytes")  # fmt: skip
    return LatentAttention(
        hidden,
        fields.count(*HEADS),
        rank,
        fields.count("kv_lora_rank"),
        fields.count("qk_nope_head_dim"),
        rope,
        fields.count("v_head_dim"),
        bias=fields.flag("attention_bias"),
        gate="element" if fields.flag("mla_use_output_gate") else "",
        index=index,
        selected_tokens=chosen,
    )


def _has_own_index(fields: Fields, layer: int, depth: int) -> bool:
    """Whether a layer scores for itself; some take over the choice of the layer before."""
    if (listed := fields.per_layer(depth, "indexer_types")) is not None:
        return bool(listed[layer] == "full")
    if isinstance(letters := fields.raw("index_topk_pattern"), str) and letters:
        return letters[layer % len(letters)] == "F"
    every = fields.count("index_topk_freq", default=1)
    start = fields.count("index_skip_topk_offset", default=2, least=0)
    return max(layer - start + 1, 0) % every == 0


def _compressed(fields: Fields, hidden: int, layer: int, depth: int) -> CompressedAttention:
    strides = fields.counts(depth, "compress_ratios")
    stride, rank = strides[layer], fields.count("q_lora_rank")
    most = fields.count("index_topk")
    index = None
    if 0 < stride <= _SEARCHED:
        heads, width = fields.count("index_n_heads"), fields.count("index_head_dim")
        index = Index(hidden, rank, heads, width, float(most))
    return CompressedAttention(
        hidden, fields.count(*HEADS), fields.count("head_dim"), rank, fields.count("o_groups"),
        fields.count("o_lora_rank"), float(fields.count("sliding_window")), stride, index,
    )  # fmt: skip


_SEARCHED = 16  # DeepSeek-V4 searches entries of 4 tokens with an indexer, and reads those of 128 as a whole


def _state_bytes(fields: Fields) -> float:
    name = fields.text("mamba_ssm_dtype", "mamba_ssm_cache_dtype", default="float32")
    return dtype(name).bytes_per_number


def _linear(fields: Fields, hidden: int) -> Mixer:
    if fields.has("linear_num_value_heads"):
        return GatedDelta(
            hidden, fields.count("linear_num_key_heads"), fields.count("linear_num_value_heads"),
            fields.count("linear_key_head_dim"), fields.count("linear_value_head_dim"),
            fields.count("linear_conv_kernel_dim"), _state_bytes(fields),
        )  # fmt: skip
    if fields.has("linear_num_heads", "kda_num_heads"):
        return KimiDelta(
            hidden, fields.count("linear_num_heads", "kda_num_heads"), fields.count("linear_head_dim", "kda_head_dim"),
            fields.count("linear_conv_kernel_dim", "short_conv_kernel_size"), _state_bytes(fields),
            fields.flag("use_full_rank_gate"),
        )  # fmt: skip
    if fields.has("attn_type_list") or fields.flag("lightning_attention"):
        heads = fields.count(*HEADS)
        return Lightning(hidden, heads, _width(fields, hidden, heads), _state_bytes(fields))
    raise BadInput(f"{fields.name}: layers of linear attention, and no field that says which "
                   "(linear_num_value_heads, linear_num_heads, attn_type_list)")  # fmt: skip


def _state_space(fields: Fields, hidden: int) -> Mixer:
    size = fields.count("ssm_state_size", "mamba_d_state", "state_size", "d_state")
    kernel = fields.count("conv_kernel", "mamba_d_conv", "d_conv", "conv_kernel_size", default=4)
    convolved = fields.flag("use_conv_bias", "mamba_conv_bias", default=True)
    projected = fields.flag("mamba_proj_bias", "use_bias")
    if fields.has("mamba_num_heads", "mamba_n_heads"):
        heads = fields.count("mamba_num_heads", "mamba_n_heads")
        width = _mamba_head_dim(fields, hidden, heads)
        groups = fields.count("n_groups", "mamba_n_groups", default=1)
        return Mamba2(hidden, heads, width, size, groups, kernel, _state_bytes(fields), convolved, projected,
                      fields.flag("mamba_rms_norm", default=True))  # fmt: skip
    inner = fields.count("expand", "mamba_expand", default=2) * hidden
    inner = fields.count("mamba_d_ssm", "intermediate_size", default=inner) if fields.flag("no_attention") else inner
    rank = math.ceil(hidden / 16)
    if fields.raw("mamba_dt_rank", "time_step_rank") not in (None, "auto"):
        rank = fields.count("mamba_dt_rank", "time_step_rank")
    return Mamba(hidden, inner, size, rank, kernel, _state_bytes(fields), convolved, projected,
                 fields.flag("mamba_inner_norms"))  # fmt: skip


def _mamba_head_dim(fields: Fields, hidden: int, heads: int) -> int:
    if fields.raw("mamba_head_dim", "mamba_d_head") not in (None, "auto"):
        return fields.count("mamba_head_dim", "mamba_d_head")
    inner = fields.count("mamba_d_ssm", default=fields.count("mamba_expand", "expand", default=2) * hidden)
    if inner % heads:
        raise BadInput(f"{fields.name}: the inner width ({inner}) must be a multiple of mamba_n_heads ({heads})")
    return inner // heads
