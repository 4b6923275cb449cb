"""Read the mixer of each layer from the fields of a config."""

from __future__ import annotations

import math
from dataclasses import dataclass

from headway.errors import BadInput, shown
from headway.model.attention import CompressedAttention, GroupedQueryAttention, Index, LatentAttention, Mixer
from headway.model.dtypes import dtype
from headway.model.fields import Fields
from headway.model.pattern import HEADS, STATE_SIZES, window
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
    windowed = kind == "sliding" and fields.has("compress_ratios", "compress_rate_csa")
    if windowed or kind in ("compressed", "condensed"):
        return _compressed(fields, hidden, kind, layer, depth)
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
    by_layer = fields.has("num_attention_heads_per_layer")
    query = fields.counts(depth, "num_attention_heads_per_layer", least=1)[layer] if by_layer else fields.count(*HEADS)
    one_kv = fields.flag("multi_query") and not fields.flag("new_decoder_architecture")
    kv = 1 if one_kv else fields.count(*_KV_HEADS, default=query)
    if fields.has("num_key_value_heads_per_layer"):
        kv = fields.counts(depth, "num_key_value_heads_per_layer", least=1)[layer]
    width, value = _width(fields, hidden, query), fields.raw("v_head_dim")
    value = width if value in (None, 0) else fields.count("v_head_dim")
    if kind == "sliding" and fields.has("swa_num_attention_heads"):
        query, kv = fields.count("swa_num_attention_heads"), fields.count("swa_num_key_value_heads")
        width, value = fields.count("swa_head_dim"), fields.count("swa_v_head_dim", default=value)
    elif kind == "sliding" and fields.has("num_sliding_attention_heads"):
        query = fields.count("num_sliding_attention_heads")
    elif kind == "sliding" and fields.has("sliding_kv_factor"):
        kv *= fields.count("sliding_kv_factor")
    elif kind == "sliding" and (other := fields.table("attention_other_setting")):
        inner = Fields(other, fields.name)
        query, kv = inner.count("num_attention_heads", default=query), inner.count("num_attention_groups", default=kv)
    elif kind == "full" and fields.has("global_head_dim") and fields.raw("per_layer_config") != {}:
        width = value = fields.count("global_head_dim")
        kv = fields.count("num_global_key_value_heads", default=kv) if fields.flag("attention_k_eq_v") else kv
    if own := _own(fields, layer):
        width = value = own.count("head_dim", default=width)
        query, kv = own.count("num_attention_heads", default=query), own.count("num_key_value_heads", default=kv)
    if query % kv:
        raise BadInput(f"{fields.name}: num_attention_heads ({query}) must be a multiple of num_key_value_heads ({kv})")
    return _Heads(query, kv, width, value)


def _own(fields: Fields, layer: int) -> Fields | None:
    """What the config says of one layer by its number (per_layer_config)."""
    own = fields.table("per_layer_config").get(str(layer))
    if own is None:
        return None
    known = ("num_attention_heads", "num_key_value_heads", "head_dim")
    if not isinstance(own, dict) or not own.keys() <= set(known):
        raise BadInput(f"{fields.name}: of per_layer_config only {', '.join(known)} are read, found {shown(own)}")
    return Fields(own, fields.name)


_HEAD_WIDTH = ("head_dim", "attention_head_dim", "kv_channels")


def _width(fields: Fields, hidden: int, heads: int) -> int:
    if fields.has(*_HEAD_WIDTH):
        return fields.count(*_HEAD_WIDTH)
    if hidden % heads:
        raise BadInput(f"{fields.name}: hidden_size ({hidden}) must be a multiple of num_attention_heads ({heads}), "
                       "or give head_dim")  # fmt: skip
    return hidden // heads


def positions(fields: Fields) -> int:
    """The longest sequence that the config allows; 0 where it does not say."""
    return fields.count("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len",
                        "model_max_length", "seq_length", default=0, least=0)  # fmt: skip


def _reach(fields: Fields, kind: str) -> float:
    if kind == "chunked":
        return float(fields.count("attention_chunk_size"))
    if kind != "sliding":
        return math.inf
    found = window(fields)
    if found is None:
        raise BadInput(f"{fields.name}: layers slide, and the field sliding_window is missing")
    longest = positions(fields)
    return math.inf if longest and found >= longest else float(found)  # Phi's windows hold any sequence


def _grouped(fields: Fields, hidden: int, kind: str, layer: int, depth: int) -> GroupedQueryAttention:
    heads = _heads(fields, hidden, kind, layer, depth)
    biased = fields.flag("attention_bias", "use_bias", "bias", "enable_bias", "add_bias_linear")
    sinks = "add_swa_attention_sink_bias" if kind == "sliding" else "add_full_attention_sink_bias"
    normed = _normed(fields)
    return GroupedQueryAttention(
        hidden, heads.query, heads.kv, heads.width, heads.value_width,
        qkv_bias=fields.flag("qkv_bias", "use_qkv_bias", "add_qkv_bias", default=biased),
        output_bias=fields.flag("output_bias", "attention_out_bias", default=biased),
        qk_norm=normed,
        norm_bias=fields.flag("qk_norm_bias", default=fields.flag("norm_bias")),
        gate=_gate(fields, layer, depth),
        gate_bias=fields.flag("gate_bias"),
        sinks=fields.flag("attention_sinks", sinks, default=kind == "sliding" and fields.flag("sliding_sinks")),
        keys_are_values=kind == "full" and fields.flag("attention_k_eq_v"),
        window=_reach(fields, kind),
        shared=_shares_cache(fields, layer, depth),
        index=_block_index(fields, hidden) if kind == "sparse" else None,
    )  # fmt: skip


def _normed(fields: Fields) -> str:
    """How queries and keys are normed, if they are; a word of the family, or a switch of the config."""
    word = fields.raw("qk_norm") or ""
    if not isinstance(word, (bool, str)):
        raise fields.wrong("qk_norm", "true or false", word)
    if word == "none" or not fields.flag("use_qk_norm", "qk_layernorm", default=bool(word)):
        return ""
    return "full" if word == "full" else "head"


def _gate(fields: Fields, layer: int, depth: int) -> str:
    """The gate on the output of attention: one number for each element, or for each head."""
    listed = fields.per_layer(depth, "gating_types")
    word = listed[layer] if listed else fields.raw("gating", "attention_gate", "attn_output_gate")
    if fields.flag("always_gated"):  # Laguna: by heads where the field says true, by elements for any other word
        return "head" if word in (True, "per-head", "per_head") else "element"
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


def _compressed(fields: Fields, hidden: int, kind: str, layer: int, depth: int) -> CompressedAttention:
    stride, rank = _stride(fields, kind, layer, depth), fields.count("q_lora_rank")
    index = None
    if kind == "compressed":
        heads, width = fields.count("index_n_heads"), fields.count("index_head_dim")
        index = Index(hidden, rank, heads, width, float(fields.count("index_topk")))
    return CompressedAttention(
        hidden, fields.count(*HEADS), fields.count("head_dim"), rank, fields.count("o_groups"),
        fields.count("o_lora_rank"), float(fields.count("sliding_window")), stride, index,
    )  # fmt: skip


def _stride(fields: Fields, kind: str, layer: int, depth: int) -> int:
    """The tokens for which a compressed layer keeps one entry; 0 for a window alone."""
    if kind == "sliding":
        return 0
    if fields.has("compress_ratios"):
        return fields.counts(depth, "compress_ratios")[layer]
    name, key = {"compressed": ("compressed_sparse_attention", "compress_rate_csa"),
                 "condensed": ("heavily_compressed_attention", "compress_rate_hca")}[kind]  # fmt: skip
    rates = Fields(fields.table("compress_rates"), fields.name)
    return rates.count(name) if rates.has(name) else fields.count(key)


def _state_bytes(fields: Fields) -> float:
    name = fields.text("mamba_ssm_dtype", "mamba_ssm_cache_dtype", default="float32")
    return dtype(name).bytes_per_number


def _linear(fields: Fields, hidden: int) -> Mixer:
    if fields.has(*STATE_SIZES):  # a state space, which some configs call linear attention
        return _state_space(fields, hidden)
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
    size = fields.count(*STATE_SIZES)
    kernel = fields.count("conv_kernel", "mamba_d_conv", "d_conv", "conv_kernel_size", default=4)
    convolved = fields.flag("use_conv_bias", "mamba_conv_bias", default=True)
    projected = fields.flag("mamba_proj_bias", default=fields.flag("use_bias"))
    fields.has("mamba_expand", "mamba_d_ssm")  # looked at, though heads may say it all
    alone = not fields.flag("feed_forward", default=True)  # without attention, the names need not tell whose heads
    if fields.has(*_STATE_HEADS, *("num_heads",) * alone):
        heads = fields.count(*_STATE_HEADS, *("num_heads",) * alone)
        width = fields.count("head_dim") if alone else _mamba_head_dim(fields, hidden, heads)
        groups = fields.count("n_groups", "mamba_n_groups", "mamba_ngroups", default=1)
        return Mamba2(
            hidden, heads, width, size, groups, kernel, _state_bytes(fields), convolved, projected,
            fields.flag("projectors_bias", default=projected), fields.flag("mamba_rms_norm", default=True),
        )  # fmt: skip
    inner = fields.count("expand", "mamba_expand", default=2) * hidden
    if alone and fields.states("intermediate_size"):
        inner = fields.count("intermediate_size")
    rank = math.ceil(hidden / 16)
    if fields.raw("mamba_dt_rank", "time_step_rank") not in (None, "auto"):
        rank = fields.count("mamba_dt_rank", "time_step_rank")
    return Mamba(hidden, inner, size, rank, kernel, _state_bytes(fields), convolved, projected,
                 fields.flag("mamba_inner_norms"))  # fmt: skip


_STATE_HEADS = ("mamba_num_heads", "mamba_n_heads", "n_mamba_heads")


def _mamba_head_dim(fields: Fields, hidden: int, heads: int) -> int:
    if fields.raw("mamba_head_dim", "mamba_d_head") not in (None, "auto"):
        return fields.count("mamba_head_dim", "mamba_d_head")
    inner = fields.count("mamba_d_ssm", default=fields.count("mamba_expand", "expand", default=2) * hidden)
    if inner % heads:
        raise BadInput(f"{fields.name}: the inner width ({inner}) must be a multiple of mamba_n_heads ({heads})")
    return inner // heads
