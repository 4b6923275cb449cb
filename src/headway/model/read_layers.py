"""Read the layers of a config: mixers, feed-forward blocks and norms, like ones together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

from headway.errors import BadInput
from headway.model.block import Block
from headway.model.feed_forward import FeedForward, MixtureOfExperts, Mlp
from headway.model.fields import MOST_LAYERS, Fields
from headway.model.layers import Layers
from headway.model.pattern import expert_field, feed_forward_kinds, mixer_kinds, single_blocks
from headway.model.read_mixers import mixer

_Key = TypeVar("_Key", bound=Hashable)
_Layer = tuple[tuple[Block, ...], int]  # the blocks of a layer, and the parameters beside them
_DEPTH = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_WIDTH = ("intermediate_size", "mlp_hidden_size", "block_ff_dim", "ffn_hidden_size", "n_inner", "ffn_dim", "d_ff")
_EXPERT_WIDTH = ("moe_intermediate_size", "expert_ffn_hidden_size", "moe_ffn_hidden_size", "expert_intermediate_size")
_CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "moe_top_k", "top_k_experts",
           "experts_per_token", "num_selected_experts")  # fmt: skip
_SHARED = ("n_shared_experts", "num_shared_experts", "num_shared_expert", "moe_num_shared_experts")
_SHARED_WIDTH = ("shared_expert_intermediate_size", "moe_shared_expert_intermediate_size",
                 "share_expert_dim", "share_expert_dims", "shared_intermediate_size")  # fmt: skip
_PLAIN_ACTIVATIONS = {"relu", "relu2", "gelu", "gelu_new", "gelu_fast", "quick_gelu"}


# Fields that announce layers which would silently be counted as something else.
_NOT_READ = {
    "cross_attention_layers": "cross-attention to images", "lambda_std_dev": "differential attention",
    "H_cycles": "a depth that is run through repeatedly", "mean_recurrence": "a depth that is run through repeatedly",
    "recurrent_depth": "a depth that is run through repeatedly", "num_hidden_groups": "layers that share weights",
    "num_mem_blocks": "transformer blocks that share weights", "n_mamba_heads": "state spaces with heads of their own",
    "cca_time0": "compressed convolutional attention", "d_rel": "learned relative positions",
    "hc_count": "hyper-connections of low rank", "ngram_size": "embeddings of n-grams",
    "gated_norm_rank": "norms with a gate", "layer_group_size": "groups of linear layers", "lru_width": "a recurrence",
    "qk_dim_factor": "xLSTM blocks", "keep_window_size": "a mask that is learned", "attention_types": "local attention",
    "local_attention": "local attention", "index_kpool": "an index of pooled keys", "wkv_version": "RWKV blocks",
    "attention_hidden_size": "RWKV blocks", "kv_compress": "compression of the cache",
    "num_loops": "a depth that is run through repeatedly", "total_ut_steps": "a depth that is run through repeatedly",
}  # fmt: skip


def refuse_what_is_not_read(fields: Fields) -> None:
    """A field, or a family, whose layers are of a kind that has no count here."""
    found = next((key for key in _NOT_READ if fields.raw(key) not in (None, False, 0, 1, "", [])), None)
    if found is not None or fields.has("refused"):
        what = fields.text("refused", default="") or f"the field {found} announces {_NOT_READ[found or '']}, which"
        raise BadInput(f"{fields.name}: {what} is not read; describe the model by --params, --active and --kv-bytes")


def read_layers(fields: Fields, hidden: int) -> tuple[tuple[Layers, ...], list[tuple[str, ...]]]:
    """Like layers counted together in the order of their first; and the parts that each single layer has, in order."""
    listed = list(_layers(fields, hidden))
    if not listed:
        raise BadInput(f"{fields.name}: the pattern of layers is empty")
    found = Counter(listed)
    parts = {blocks: tuple(dict.fromkeys(part for block in blocks for part in block.parts)) for blocks, _ in found}
    runs = tuple(Layers(count, blocks, norms) for (blocks, norms), count in found.items())
    return runs, [parts[blocks] for blocks, _ in listed]


def _layers(fields: Fields, hidden: int) -> Iterator[_Layer]:
    norm = norm_params(fields, hidden)
    single = single_blocks(fields)
    if single is not None:
        _check_depth(fields, len(single))
        yield from _remembered(lambda kind: (_single(fields, hidden, kind, single), norm), single)
    elif fields.has("block_configs"):
        yield from _searched(fields, hidden, norm)
    elif fields.has("expert_ffn_hidden_size"):
        yield from _doubled(fields, hidden, norm)
    else:
        yield from _ordinary(fields, hidden, norm)


def norm_params(fields: Fields, hidden: int) -> int:
    """Parameters of one norm over the hidden size: a weight, a weight and a bias, or none."""
    learned = fields.flag("norm_weight", "layer_norm_elementwise_affine", default=True)
    return hidden * (learned + (learned and fields.flag("norm_bias")))


def _check_depth(fields: Fields, found: int) -> None:
    stated = fields.count(*_DEPTH, default=found, most=MOST_LAYERS)
    if stated != found:
        raise BadInput(f"{fields.name}: num_hidden_layers is {stated}, and the pattern has {found} layers")


def _remembered(make: Callable[[_Key], _Layer], keys: Sequence[_Key]) -> Iterator[_Layer]:
    """What `make` makes of each key, made once for each kind of key."""
    made = {key: make(key) for key in dict.fromkeys(keys)}
    return (made[key] for key in keys)


def _single(fields: Fields, hidden: int, kind: str, kinds: list[str]) -> tuple[Block, ...]:
    """The one block of a layer of Nemotron-H."""
    at, depth = kinds.index(kind), len(kinds)
    if kind in ("dense", "routed"):
        return feed_forward(fields, hidden, kind, at, depth)
    return mixer(fields, hidden, kind, at, depth)


def _ordinary(fields: Fields, hidden: int, norm: int) -> Iterator[_Layer]:
    """A mixer, then a feed-forward block, and the norms of both."""
    depth = fields.count(*_DEPTH, most=MOST_LAYERS)
    mixers, blocks = mixer_kinds(fields, depth), feed_forward_kinds(fields, depth)
    varying = _varying(fields, depth)
    keys = [(mixers[i], blocks[i], *(values[i] for values in varying)) for i in range(depth)]
    first = {key: i for i, key in reversed(list(enumerate(keys)))}

    def make(key: tuple[object, ...]) -> _Layer:
        i = first[key]
        kinds = mixers[i], blocks[i]
        blocks_of: tuple[Block, ...] = (
            *mixer(fields, hidden, kinds[0], i, depth),
            *feed_forward(fields, hidden, kinds[1], i, depth),
        )
        return blocks_of, _norms(fields, kinds) * norm + _beside(fields, hidden)

    yield from _remembered(make, keys)


def _varying(fields: Fields, depth: int) -> list[list[object]]:
    """What may differ from layer to layer beside the kinds: lists of the config, and where layers share a cache."""
    lists = [
        listed
        for key in ("num_attention_heads_per_layer", "num_key_value_heads_per_layer", "gating_types",
                    "compress_ratios", "indexer_types",
                    "intermediate_size", "moe_intermediate_size", "moe_topk", "num_shared_expert")
        if (listed := fields.per_layer(depth, key)) is not None
    ]  # fmt: skip
    for listed in lists:
        if not all(isinstance(value, (str, int, float)) for value in listed):
            raise BadInput(f"{fields.name}: a list with one entry for each layer holds something that is no number")
    from_end = fields.count("num_kv_shared_layers", default=0, least=0)
    factor = fields.count("cla_share_factor", default=1) if fields.flag("use_cla") else 1
    every, start = fields.count("index_topk_freq", default=1), fields.count(
        "index_skip_topk_offset", default=2, least=0)  # fmt: skip
    letters = fields.raw("index_topk_pattern")
    chosen = letters if isinstance(letters, str) and letters else "F"
    single = fields.table("per_layer_config")
    return [*lists, [i >= depth - from_end for i in range(depth)], [i % factor > 0 for i in range(depth)],
            [max(i - start + 1, 0) % every == 0 for i in range(depth)],
            [chosen[i % len(chosen)] for i in range(depth)],
            [str(single.get(str(i))) for i in range(depth)]]  # fmt: skip


def _norms(fields: Fields, kinds: tuple[str, str]) -> int:
    """How many norms of the hidden size a layer has."""
    if "routed" in kinds[1] and fields.has("norms_per_routed_layer"):
        return fields.count("norms_per_routed_layer", least=0)
    if fields.flag("one_norm_if_parallel") and fields.flag("use_parallel_residual"):
        return 1
    if fields.flag("parallel_attn"):
        return fields.count("num_ln_in_parallel_attn", default=2 if fields.flag("new_decoder_architecture") else 1)
    return fields.count("norms_per_layer", default=4 if fields.flag("use_post_norm") else 2, least=0)


def _beside(fields: Fields, hidden: int) -> int:
    """What stands beside the blocks and the norms of a layer."""
    sub_norms = hidden + fields.count(*_WIDTH) if fields.flag("sub_norms") else 0
    return _per_layer_inputs(fields, hidden) + _alternating(fields, hidden) + sub_norms


def _per_layer_inputs(fields: Fields, hidden: int) -> int:
    """The gate, projection and norm through which Gemma's layers take an embedding of their own."""
    width = fields.count("hidden_size_per_layer_input", default=0, least=0)
    return 2 * width * hidden + hidden if width else 0


def _alternating(fields: Fields, hidden: int) -> int:
    """Residual streams beside the first: Gemma 3n's alternating updates and low-rank branch, DeepSeek's connections."""
    streams, rank = fields.count("hc_mult", default=0, least=0), fields.count("laurel_rank", default=0, least=0)
    connections = 2 * ((2 + streams) * streams * (streams * hidden + 1) + 3) if streams else 0
    inputs = fields.count("altup_num_inputs", default=0, least=0)
    updates = hidden + inputs**2 + inputs**3 + inputs * hidden + hidden if inputs else 0
    return connections + updates + (2 * hidden * rank + hidden if rank else 0)


def _doubled(fields: Fields, hidden: int, norm: int) -> Iterator[_Layer]:
    """LongCat-Flash: two attentions and two dense blocks around one routed block, with four norms."""
    depth = fields.count(*_DEPTH, most=MOST_LAYERS)
    attention = mixer(fields, hidden, "full", 0, depth)
    dense = feed_forward(fields, hidden, "dense", 0, depth)
    routed = feed_forward(fields, hidden, "routed", 0, depth)
    both: tuple[Block, ...] = (*attention, *dense, *attention, *dense, *routed)
    yield from [(both, 4 * norm)] * depth


def _searched(fields: Fields, hidden: int, norm: int) -> Iterator[_Layer]:
    """Layers that a search chose one by one (Nemotron-NAS): heads in a group, width of the block, or nothing."""
    depth = fields.count(*_DEPTH, most=MOST_LAYERS)
    chosen = fields.per_layer(depth, "block_configs")
    if chosen is None:
        raise fields.wrong("block_configs", "a list with an object for each layer", fields.raw("block_configs"))
    for layer in chosen:
        attention, block = (_part(fields, layer, key) for key in ("attention", "ffn"))
        blocks: list[Block] = []
        if not attention.flag("no_op"):
            for field in ("replace_with_linear", "sparsify", "window_length"):
                if attention.raw(field):
                    raise BadInput(f"{fields.name}: the field {field} of block_configs is not read")
            heads = fields.count("num_attention_heads")
            group = attention.count("n_heads_in_group")
            kv = heads // group if heads % group == 0 else 0
            kept = {key: fields.raw(key) for key in ("attention_bias", "head_dim")}
            inner = Fields({"num_key_value_heads": kv, "num_attention_heads": heads}, fields.name, kept)
            blocks += mixer(inner, hidden, "full", 0, depth)
        if not block.flag("no_op"):
            if block.raw("replace_with_linear"):
                raise BadInput(f"{fields.name}: the field replace_with_linear of block_configs is not read")
            blocks.append(Mlp(hidden, _searched_width(block, hidden), fields.flag("mlp_bias")))
        yield tuple(blocks), len(blocks) * norm


def _part(fields: Fields, layer: object, key: str) -> Fields:
    part = layer.get(key) if isinstance(layer, dict) else None
    if not isinstance(part, dict):
        raise BadInput(f"{fields.name}: every entry of block_configs must have an object {key}")
    return Fields(part, fields.name)


def _searched_width(block: Fields, hidden: int) -> int:
    """Width of a searched block: two thirds of a multiple of the hidden size, up to a multiple of 256."""
    if block.has("intermediate_size"):
        return block.count("intermediate_size")
    multiple = block.raw("ffn_mult")
    if isinstance(multiple, bool) or not isinstance(multiple, (int, float)) or not 0 < multiple < 1000:
        raise block.wrong("ffn_mult", "a number above 0", multiple)
    return -(-int(2 * multiple * hidden / 3) // 256) * 256


def feed_forward(fields: Fields, hidden: int, kind: str, layer: int, depth: int) -> tuple[FeedForward, ...]:
    """The feed-forward blocks of a layer."""
    made: list[FeedForward] = []
    if "dense" in kind and fields.flag("feed_forward", default=True):
        width = _dense_width(fields, hidden, layer, depth)
        made += [_dense(fields, hidden, width)] if width else []
    if "routed" in kind:
        made.append(_experts(fields, hidden, layer, depth))
    return tuple(made)


def _dense(fields: Fields, hidden: int, width: int) -> Mlp:
    biased = fields.flag("mlp_bias", default=fields.flag("use_bias", "bias", "enable_bias", "add_bias_linear"))
    return Mlp(hidden, width, biased, gated(fields), fields.count("activation_params", default=0, least=0))


def gated(fields: Fields) -> bool:
    """Whether feed-forward blocks have a gate: by the family, else by the activation, which the result then says."""
    if fields.has("gated_mlp"):
        return fields.flag("gated_mlp")
    if fields.flag("known_family"):
        return True
    activation = fields.raw("mlp_hidden_act", "hidden_act", "hidden_activation", "activation_function")
    plain = isinstance(activation, str) and activation.lower() in _PLAIN_ACTIVATIONS
    fields.assume(f"feed-forward blocks {'without' if plain else 'with'} a gate, as models with "
                  f"{activation or 'no stated activation'} have them")  # fmt: skip
    return not plain


def _dense_width(fields: Fields, hidden: int, layer: int, depth: int) -> int:
    if fields.has("dense_intermediate_size", "intermediate_size_mlp"):
        return fields.count("dense_intermediate_size", "intermediate_size_mlp")
    ratio = fields.count("mlp_ratio", "expansion_ratio", default=0, least=0)
    if fields.flag("shared_is_dense"):
        return fields.count("shared_intermediate_size")
    widths = fields.counts(depth, *_WIDTH, default=ratio * hidden or None, least=0)
    if fields.flag("block_auto_adjust_ff_dim"):
        return _adjusted(fields, widths[layer])
    doubled = fields.flag("use_double_wide_mlp") and layer >= depth - fields.count("num_kv_shared_layers", default=0,
                                                                                  least=0)  # fmt: skip
    return widths[layer] * (2 if doubled else 1) // (2 if fields.flag("mlp_halved") else 1)


def _adjusted(fields: Fields, width: int) -> int:
    """LFM2's width: two thirds of the field, times a multiplier, up to a multiple of a block."""
    multiplier = fields.raw("block_ffn_dim_multiplier")
    if multiplier is None:
        multiplier = 1
    if isinstance(multiplier, bool) or not isinstance(multiplier, (int, float)) or not 0 < multiplier < 1000:
        raise fields.wrong("block_ffn_dim_multiplier", "a number above 0", multiplier)
    wide, block = int(int(2 * width / 3) * multiplier), fields.count("block_multiple_of", default=256)
    return -(-wide // block) * block


def _experts(fields: Fields, hidden: int, layer: int, depth: int) -> MixtureOfExperts:
    key = expert_field(fields) or "num_experts"
    experts = fields.count(key)
    chosen = fields.counts(depth, *_CHOSEN, least=1)[layer]
    if chosen > experts:
        raise BadInput(f"{fields.name}: num_experts_per_tok ({chosen}) cannot exceed {key} ({experts})")
    dense = fields.has(*_WIDTH)  # looked at, though dense blocks of this width may be none
    widths = _EXPERT_WIDTH if fields.has(*_EXPERT_WIDTH) or not dense else _WIDTH
    width = fields.counts(depth, *widths, least=1)[layer]
    idle = fields.count("zero_expert_num", default=0, least=0)
    latent = fields.count("moe_latent_size", "routed_expert_hidden_size", default=0, least=0)
    return MixtureOfExperts(
        hidden, experts, chosen * experts / (experts + idle) if idle else chosen, width,
        shared_intermediate_size=_shared_width(fields, width, layer, depth),
        gated=gated(fields),
        expert_bias=fields.flag("expert_bias"),
        shared_bias=fields.flag("shared_bias", "mlp_bias", "use_bias"),
        router_bias=fields.flag("router_bias"),
        router_scales=fields.flag("router_scales"),
        shared_gate=fields.flag("shared_expert_gate"),
        zero_experts=idle,
        latent_size=latent or None,
        latent_norm=fields.flag("latent_moe_use_norm"),
    )  # fmt: skip


def _shared_width(fields: Fields, expert_width: int, layer: int, depth: int) -> int:
    """Width of the shared experts together: given as such, or so many of a routed expert's."""
    shared = fields.counts(depth, *_SHARED, default=0)[layer]
    if fields.has(*_SHARED_WIDTH) and (shared or not fields.has(*_SHARED)):
        return fields.count(*_SHARED_WIDTH, least=0)
    return shared * expert_width
