"""Which layer is what: the dozen ways in which configs spell their patterns, read into one word a layer."""

from __future__ import annotations

from collections.abc import Callable

from headway.errors import UnknownName
from headway.model.fields import Fields, whole_number

# The word that a config may use for a layer's mixer, and what it means here.
MIXERS = {
    "full": "full", "full_attention": "full", "attention": "full", "global": "full", "global_attention": "full",
    "dense_attention": "full", "sliding": "sliding", "sliding_attention": "sliding", "local": "sliding",
    "local_attention": "sliding", "swa": "sliding", "chunked": "chunked", "chunked_attention": "chunked",
    "linear": "linear", "linear_attention": "linear", "gated_deltanet": "linear", "kda": "linear",
    "lightning_attention": "linear", "mamba": "mamba", "mamba2": "mamba", "conv": "conv", "sparse": "sparse",
    "sparse_attention": "sparse", "minimax_m3_sparse": "sparse", "indexed_attention": "sparse",
    "deepseek_sparse_attention": "sparse", "hybrid": "hybrid", "compressed_sparse_attention": "compressed",
    "heavily_compressed_attention": "condensed",
}  # fmt: skip
FEED_FORWARDS = {"dense": "dense", "mlp": "dense", "sparse": "routed", "moe": "routed", "routed": "routed",
                 "hash_moe": "routed"}  # fmt: skip
# The letters and words of models whose every layer is a single block.
SINGLE_BLOCKS = {"M": "mamba", "*": "full", "-": "dense", "E": "routed", "mamba": "mamba", "attention": "full",
                 "linear_attention": "mamba", "full_attention": "full", "mlp": "dense", "moe": "routed"}  # fmt: skip
# The letters in which families.toml spells the kinds of layers that a config does not list.
_LETTERS = {"F": "full", "S": "sliding", "C": "chunked", "L": "linear", "M": "mamba", "B": "hybrid", "K": "conv",
            "s": "compressed", "h": "condensed"}  # fmt: skip
SEARCHED = 16  # DeepSeek-V4 searches entries of 4 tokens with an indexer, and reads those of 128 as a whole
_EXPERTS = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts", "num_moe_experts")


def expert_field(fields: Fields) -> str | None:
    """The name under which a config counts its experts, if it has any."""
    few = (0, 1) if fields.has("expert_layer_period") else (0,)  # Jamba's single expert is a plain block
    stated = [key for key in _EXPERTS if fields.states(key)]
    for key in stated or _EXPERTS:
        if fields.has(key) and fields.raw(key) not in few:
            return key
    return None


def _words(fields: Fields, key: str, words: list[object], known: dict[str, str]) -> list[str]:
    for word in words:
        if not isinstance(word, str) or word not in known:
            raise UnknownName(f"kind of layer in {key} of {fields.name}", str(word), known)
    return [known[str(word)] for word in words]


def single_blocks(fields: Fields) -> list[str] | None:
    """The blocks of a model whose every layer is one block (Nemotron-H), or None."""
    pattern = fields.raw("hybrid_override_pattern")
    if isinstance(pattern, str):
        return _words(fields, "hybrid_override_pattern", list(pattern.replace("|", "")), SINGLE_BLOCKS)
    listed = fields.raw("layers_block_type")
    if isinstance(listed, list) and {"mlp", "moe"} & {word for word in listed if isinstance(word, str)}:
        return _words(fields, "layers_block_type", listed, SINGLE_BLOCKS)
    return None


def mixer_kinds(fields: Fields, depth: int) -> list[str]:
    """What mixes tokens in each layer: full, sliding, chunked, linear, mamba, conv, sparse, compressed, condensed,
    hybrid.
    """
    fields.has("sliding_window", "sliding_window_size", "max_window_layers")  # looked at, though no layer may slide
    for read in (_listed, _numbered, _periodic, _familiar, _windowed):
        kinds = read(fields, depth)
        if kinds is not None:
            return kinds
    return ["full"] * depth


def _listed(fields: Fields, depth: int) -> list[str] | None:
    """A word for each layer."""
    if fields.has("layer_types") and not isinstance(fields.raw("layer_types"), list):
        raise fields.wrong("layer_types", "a list with a word for each layer", fields.raw("layer_types"))
    for key in ("layer_types", "layers_block_type", "block_types", "_block_types", "block_pattern"):
        listed = fields.per_layer(depth, key)
        if listed is not None:
            return _sliding_in_use(fields, _words(fields, key, listed, MIXERS))
    return None


def _sliding_in_use(fields: Fields, kinds: list[str]) -> list[str]:
    """A window that is switched off is none."""
    if "sliding" in kinds and window(fields) is None and fields.has("use_sliding_window"):
        return ["full" if kind == "sliding" else kind for kind in kinds]
    return kinds


def _numbered(fields: Fields, depth: int) -> list[str] | None:
    """A number for each layer, or the numbers of some layers."""
    if (ones := fields.per_layer(depth, "attn_type_list")) is not None:
        return ["full" if one else "linear" for one in ones]
    if (ones := fields.per_layer(depth, "hybrid_layer_pattern")) is not None:
        return ["sliding" if one else "full" for one in ones]
    if fields.per_layer(depth, "compress_ratios") is not None:
        return [_compression(stride) for stride in fields.counts(depth, "compress_ratios")]
    ones = fields.per_layer(depth, "no_rope_layers") if fields.raw("no_rope_layers") else None  # an empty list is none
    if ones is not None and fields.has("attention_chunk_size"):
        return ["chunked" if one else "full" for one in ones]
    if (ones := fields.per_layer(depth, "sparse_attention_freq")) is not None:
        return ["sparse" if one else "full" for one in ones]
    if isinstance(fields.raw("full_attn_layers"), list):  # counted from 1
        full = fields.numbers("full_attn_layers")
        return ["full" if i + 1 in full else "linear" for i in range(depth)]
    if full := fields.numbers("attn_layer_indices", "full_attn_idxs", "full_attention_layers"):  # counted from 0
        other = "conv" if fields.has("conv_L_cache") else "mamba"
        return ["full" if i in full else other for i in range(depth)]
    return None


def _compression(stride: int) -> str:
    """What a layer of DeepSeek-V4 that keeps one entry for so many tokens is: a window alone, searched, or whole."""
    return "sliding" if not stride else "compressed" if stride <= SEARCHED else "condensed"


def _periodic(fields: Fields, depth: int) -> list[str] | None:
    """One in so many layers."""
    if fields.has("attn_layer_period"):
        period, offset = fields.count("attn_layer_period"), fields.count("attn_layer_offset", default=0, least=0)
        return ["full" if i % period == offset else "mamba" for i in range(depth)]
    if fields.has("full_attention_interval"):
        period = fields.count("full_attention_interval")
        return ["linear" if (i + 1) % period else "full" for i in range(depth)]
    if fields.has("attention_chunk_size") and fields.has("no_rope_layer_interval"):
        period = fields.count("no_rope_layer_interval")
        return ["chunked" if (i + 1) % period else "full" for i in range(depth)]
    if fields.has("global_attn_every_n_layers") and window(fields) is not None:
        period = fields.count("global_attn_every_n_layers")
        return ["sliding" if (i + 1) % period else "full" for i in range(depth)]
    if fields.raw("sliding_window_pattern") and window(fields) is not None:
        if isinstance(fields.raw("sliding_window_pattern"), str):  # a letter a layer, repeated: LLLG
            letters = fields.text("sliding_window_pattern")
            _words(fields, "sliding_window_pattern", list(letters), {"L": "sliding", "G": "full"})
            return ["sliding" if letters[i % len(letters)] == "L" else "full" for i in range(depth)]
        period = fields.count("sliding_window_pattern")
        return ["sliding" if (i + 1) % period else "full" for i in range(depth)]
    return None


def _familiar(fields: Fields, depth: int) -> list[str] | None:
    """The pattern of the family, where the config has no list."""
    if not fields.has("pattern"):
        return None
    start, repeated, end = (fields.text(key, default="") for key in ("pattern_start", "pattern", "pattern_end"))
    letters = (start + repeated * depth)[: max(depth - len(end), 0)] + end
    kinds = [_LETTERS[letter] for letter in letters[-depth:]]
    return kinds if window(fields) is not None else ["full" if kind == "sliding" else kind for kind in kinds]


def _windowed(fields: Fields, depth: int) -> list[str] | None:
    """One window for all layers, or for those that the family's code picks."""
    if fields.has("attention_chunk_size") and not fields.has("sliding_window"):
        return ["chunked"] * depth
    if window(fields) is None:
        if fields.has("index_topk", "sparse_topk_blocks"):
            return ["sparse"] * depth
        return ["mamba"] * depth if not fields.has(*HEADS) and fields.has(*STATE_SIZES) else None
    if not fields.known and not fields.has("sliding_layers", "use_sliding_window"):
        fields.assume("sliding_window without a pattern: taken to bound every layer")
    rule = fields.text("sliding_layers", default="after" if fields.has("use_sliding_window") else "all")
    bound = fields.count("max_window_layers", default=0 if rule == "after" else depth, least=0)
    slides: dict[str, Callable[[int], bool]] = {
        "all": lambda i: True,
        "after": lambda i: i >= bound,
        "before": lambda i: i < bound and i % 2 == 0,
        "unrotated": lambda i: not _rotated(fields, i, depth),
        "listed": lambda i: False,
    }
    return ["sliding" if slides[rule](i) else "full" for i in range(depth)]


def _rotated(fields: Fields, layer: int, depth: int) -> bool:
    """Whether a layer turns queries and keys by their positions."""
    listed = fields.per_layer(depth, "no_rope_layers") if fields.raw("no_rope_layers") else None
    return bool(listed[layer] if listed else (layer + 1) % fields.count("no_rope_layer_interval", default=4))


HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
STATE_SIZES = ("ssm_state_size", "mamba_d_state", "state_size", "d_state")


def window(fields: Fields) -> int | None:
    """The tokens that a sliding layer sees; None where there is no window, or it is switched off."""
    if not fields.has("sliding_window_size", "sliding_window") or not fields.flag("use_sliding_window", default=True):
        return None
    if fields.raw("sliding_window_size", "sliding_window") in (-1, 0, False):  # three ways to say none
        return None
    return fields.count("sliding_window_size", "sliding_window")


def feed_forward_kinds(fields: Fields, depth: int) -> list[str]:
    """What each layer has after its mixer: dense, routed, or both."""
    if expert_field(fields) is None or not fields.flag("enable_moe_block", default=True):
        return ["dense"] * depth
    if fields.has("enable_moe_block"):
        return ["dense+routed"] * depth
    if (listed := fields.per_layer(depth, "mlp_layer_types")) is not None:
        return _words(fields, "mlp_layer_types", listed, FEED_FORWARDS)
    if (ones := fields.per_layer(depth, "moe_layer_freq")) is not None:
        return ["routed" if one else "dense" for one in ones]
    if isinstance(fields.raw("moe_layers"), list):
        routed = fields.numbers("moe_layers")
        return ["routed" if i in routed else "dense" for i in range(depth)]
    if fields.has("moe_layers_enum"):
        listed = fields.text("moe_layers_enum").split(",")
        routed = [number for word in listed if (number := whole_number(word)) is not None]
        return ["routed" if i in routed else "dense" for i in range(depth)]
    return ["routed" if _routes(fields, i, depth) else "dense" for i in range(depth)]


def _routes(fields: Fields, layer: int, depth: int) -> bool:
    """Whether a layer routes, by the periods and first layers of the families."""
    if fields.has("expert_layer_period"):
        offset = fields.count("expert_layer_offset", default=0, least=0)
        return layer % fields.count("expert_layer_period") == offset
    if fields.has("moe_layer_start_index"):
        last = fields.count("moe_layer_end_index", default=-1, least=-1)
        within = fields.count("moe_layer_start_index", least=0) <= layer <= (last if last >= 0 else depth)
        return within and (layer + 1) % fields.count("moe_layer_interval", default=1) == 0
    first = fields.count("first_k_dense_replace", "num_dense_layers", "moe_layer_num_skipped", default=0, least=0)
    every = fields.count("moe_layer_freq", "decoder_sparse_step", "interleave_moe_layer_step", "moe_every_n_layers",
                         default=1)  # fmt: skip
    offset = 0 if fields.has("moe_layer_freq") else 1  # DeepSeek counts layers from 0, Qwen and Llama from 1
    return layer >= first and (layer + offset) % every == 0 and layer not in fields.numbers("mlp_only_layers")
