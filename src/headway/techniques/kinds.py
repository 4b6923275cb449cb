"""The techniques: each a small description of how a model's cache changes, and of when it does not apply.

What they change is the model (`headway.techniques.recached`), so that the step judges them as it judges any model. A
technique of one `family` takes the place of another of it; those of different families go together (but for those that
one is `without`), in the order of `ORDER`: the shape of the cache first, then how far back it reaches, what of it is
read, which layers keep it, in what format, and where it lies, if anywhere.

The shapes are those of published designs: windows after Mistral 7B and Gemma 3, top-k with an index after
DeepSeek-V3.2 (arXiv 2512.02556), the latent after DeepSeek-V2 (arXiv 2405.04434). The figures are data
(`headway.techniques.settings`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from headway.equations import kv_variants
from headway.model.attention import GroupedQueryAttention, Index, LatentAttention, Mixer
from headway.model.dtypes import dtype
from headway.model.kept import Kept
from headway.model.model import Model
from headway.techniques.recached import Cache, Change, cached_mixers, recached

ORDER = ("shape", "reach", "selection", "sharing", "format", "place")
_BARE = "bare numbers do not say what its layers keep; name a model"


@dataclass(frozen=True)
class Technique:
    """A change of a model's cache: what it is called, what it excludes, where it is from."""

    name: ClassVar[str]
    short: ClassVar[str]
    family: ClassVar[str]
    without: ClassVar[tuple[str, ...]] = ()  # other families that do nothing beside it
    source: ClassVar[str]

    @property
    def what(self) -> str:
        """What it does, in a sentence with its figures."""
        raise NotImplementedError

    def why_not(self, model: Model, tokens: float) -> str:
        """Why it does nothing to a model whose sequences have so many tokens; empty where it does."""
        if not model.kept or not any(kept.numbers for kept in model.kept):
            return _no_cache(model)
        return _BARE if model.architecture is None else self._why_not(model, tokens)

    def _why_not(self, model: Model, tokens: float) -> str:
        return ""

    def changed(self, model: Model) -> Model:
        """The model with its cache changed."""
        raise NotImplementedError


def _no_cache(model: Model) -> str:
    state = model.state_bytes
    kept = f": a sequence keeps a state of {state:,.0f} bytes at any length" if state else ""
    return f"it keeps no KV cache that grows with the context{kept}"


@dataclass(frozen=True)
class Quantisation(Technique):
    """The cache in a narrower format, scales included; recurrent states stay as they are."""

    family: ClassVar[str] = "format"
    element_bytes: ClassVar[float]
    scale_bytes: float
    scale_block: float

    @property
    def bytes_per_number(self) -> float:
        """Bytes of one number with its part of the scale."""
        return float(kv_variants.scaled_element_bytes(self.element_bytes, self.scale_bytes, self.scale_block))

    @property
    def what(self) -> str:
        """What it does."""
        scale = f", a scale of {self.scale_bytes:g} B for {self.scale_block:g}" if self.scale_bytes else ""
        return f"the cache in {self.short} ({self.bytes_per_number:g} B a number{scale})"

    def why_not(self, model: Model, tokens: float) -> str:
        """It is as narrow already, or there is nothing to make narrower."""
        if not any(kept.numbers for kept in model.kept):
            return _no_cache(model)
        now = model.kv_dtype
        narrow = now.bytes_per_number <= self.bytes_per_number
        return f"its cache is in {now.name} already ({now.bytes_per_number:g} B a number)" if narrow else ""

    def changed(self, model: Model) -> Model:
        """The same numbers in the other format."""
        size, bare = self.bytes_per_number, model.bare_kv_bytes_per_token
        bare = None if bare is None else bare * size / model.kv_dtype.bytes_per_number
        narrow = replace(dtype(self.short), bytes_per_number=size)
        return replace(model, kv_dtype=narrow, bare_kv_bytes_per_token=bare)


@dataclass(frozen=True)
class Fp8(Quantisation):
    """Quantisation to 8 bits."""

    name: ClassVar[str] = "quantisation-fp8"
    short: ClassVar[str] = "fp8"
    source: ClassVar[str] = "scales as in the blocks of DeepSeek-V3, arXiv 2412.19437; equation scaled_element_bytes"
    element_bytes: ClassVar[float] = 1.0


@dataclass(frozen=True)
class Nvfp4(Quantisation):
    """Quantisation to 4 bits, with the scales that the format itself has."""

    name: ClassVar[str] = "quantisation-nvfp4"
    short: ClassVar[str] = "nvfp4"
    source: ClassVar[str] = "the format NVFP4: one fp8 scale for 16 numbers; equation scaled_element_bytes"
    element_bytes: ClassVar[float] = 0.5
    scale_bytes: float = 1.0
    scale_block: float = 16.0


def _bounded(window: float) -> Change:
    """What a layer keeps and reads of the newest tokens."""

    def bound(kept: Kept) -> Kept:
        return replace(kept, stored_tokens=min(kept.stored_tokens, window), read_tokens=min(kept.read_tokens, window))

    return lambda _, cache: cache.all(bound)


@dataclass(frozen=True)
class Eviction(Technique):
    """Every layer keeps its newest tokens only; the rest is forgotten."""

    name: ClassVar[str] = "eviction"
    short: ClassVar[str] = "evict"
    family: ClassVar[str] = "reach"
    source: ClassVar[str] = "a sliding window in every layer, as in Mistral-7B-v0.1's config; equation window_bytes"
    kept_window_tokens: float

    @property
    def what(self) -> str:
        """What it does."""
        return f"every layer keeps and reads the newest {self.kept_window_tokens:,.0f} tokens only"

    def _why_not(self, model: Model, tokens: float) -> str:
        if tokens <= self.kept_window_tokens:
            return f"a sequence of {tokens:,.0f} tokens is within the window of {self.kept_window_tokens:,.0f}"
        if max(max(kept.reach) for kept in model.kept) <= self.kept_window_tokens:
            return f"no layer looks further back than {self.kept_window_tokens:,.0f} tokens"
        return ""

    def changed(self, model: Model) -> Model:
        """Every reach bounded by the window."""
        return recached(model, _bounded(self.kept_window_tokens))


@dataclass(frozen=True)
class HybridWindows(Technique):
    """Most layers keep a window, one in a few keeps everything."""

    name: ClassVar[str] = "hybrid-windows"
    short: ClassVar[str] = "windows"
    family: ClassVar[str] = "reach"
    source: ClassVar[str] = "the pattern of Gemma-3-27B's config; equation hybrid_bytes"
    local_window_tokens: float
    layers_per_global: int

    @property
    def what(self) -> str:
        """What it does."""
        return (f"{self.layers_per_global - 1} of {self.layers_per_global} layers keep a window of "
                f"{self.local_window_tokens:,.0f} tokens, the others everything")  # fmt: skip

    def _why_not(self, model: Model, tokens: float) -> str:
        if any(math.isfinite(kept.stored_tokens) and kept.stored_tokens for kept in model.kept):
            return "some of its layers keep a window already"
        within = tokens <= self.local_window_tokens
        return f"a sequence of {tokens:,.0f} tokens is within the window" if within else ""

    def changed(self, model: Model) -> Model:
        """The first of a few layers as it is, the others bounded."""
        return recached(model, lambda _, cache: cache, every=self.layers_per_global,
                        others=_bounded(self.local_window_tokens))  # fmt: skip


@dataclass(frozen=True)
class SparseAttention(Technique):
    """A small index scores every token and a query reads the best: more is stored, less is read."""

    name: ClassVar[str] = "sparse-attention"
    short: ClassVar[str] = "top-k"
    family: ClassVar[str] = "selection"
    source: ClassVar[str] = "DeepSeek-V3.2, arXiv 2512.02556; equations topk_stored_bytes, topk_read_bytes"
    topk_tokens: float
    index_width: int
    index_heads: int

    @property
    def what(self) -> str:
        """What it does."""
        return (f"an index of {self.index_width} numbers a token and layer chooses the {self.topk_tokens:,.0f} tokens "
                "that a query reads")  # fmt: skip

    def _why_not(self, model: Model, tokens: float) -> str:
        if any(kept.read_tokens < kept.stored_tokens for kept in model.kept if kept.stored_tokens):
            return "its layers read a choice of what they keep already"
        if self.changed(model).kept == model.kept:
            return f"no layer looks further back than {self.topk_tokens:,.0f} tokens"
        return ""

    def changed(self, model: Model) -> Model:
        """An index beside every cache that reaches further than the choice."""
        index = Index(0, 0, self.index_heads, self.index_width, self.topk_tokens)

        def indexed(_: Mixer, cache: Cache) -> Cache:
            if len(cache.own) != 1 or cache.index or cache.own[0].read_tokens <= self.topk_tokens:
                return cache
            (own,) = cache.own
            text = f"{self.index_width} of the index"
            keys = Kept(float(self.index_width), index.pair_flop, text, own.stored_tokens, own.read_tokens)
            return Cache((replace(own, read_tokens=self.topk_tokens),), (keys,))

        return recached(model, indexed)


@dataclass(frozen=True)
class LayerSharing(Technique):
    """Neighbouring layers use one cache: less is stored, and each still reads it."""

    name: ClassVar[str] = "layer-sharing"
    short: ClassVar[str] = "share"
    family: ClassVar[str] = "sharing"
    source: ClassVar[str] = "W. Brandon et al. 2024, arXiv 2405.12981 (secondary); equation caching_layers"
    layers_per_cache: int

    @property
    def what(self) -> str:
        """What it does."""
        return f"{self.layers_per_cache} neighbouring layers use one cache; each still reads it"

    def _why_not(self, model: Model, tokens: float) -> str:
        if any(not kept.stored_tokens for kept in model.kept):
            return "some of its layers use the cache of an earlier layer already"
        return "no two of its layers keep the same" if self.changed(model).kept == model.kept else ""

    def changed(self, model: Model) -> Model:
        """The first of a few layers as it is, the others keep nothing of their own."""
        return recached(model, lambda _, cache: cache, every=self.layers_per_cache,
                        others=lambda _, cache: cache.all(_elsewhere))  # fmt: skip


def _elsewhere(kept: Kept) -> Kept:
    """A group that is read, and kept by another."""
    return replace(kept, read_tokens=min(kept.reach) if kept.stored_tokens else kept.read_tokens, stored_tokens=0.0)


@dataclass(frozen=True)
class Latent(Technique):
    """One latent and one rotary key for all heads, in the place of keys and values."""

    name: ClassVar[str] = "latent"
    short: ClassVar[str] = "latent"
    family: ClassVar[str] = "shape"
    source: ClassVar[str] = "multi-head latent attention, arXiv 2405.04434; equation latent_bytes_per_token"
    latent_width: int
    latent_rotary_width: int

    @property
    def width(self) -> int:
        """Numbers kept for a token and layer."""
        return self.latent_width + self.latent_rotary_width

    @property
    def what(self) -> str:
        """What it does."""
        return (f"{self.latent_width} + {self.latent_rotary_width} numbers a token and layer in the place of keys and "
                "values; scores and sums are taken on the latent")  # fmt: skip

    def _why_not(self, model: Model, tokens: float) -> str:
        assert model.architecture is not None
        kinds = cached_mixers(model.architecture)
        if any(isinstance(mixer, LatentAttention) for _, mixer, _ in kinds):
            return "it keeps a latent already"
        heads = [cache.own[0].numbers for _, mixer, cache in kinds if isinstance(mixer, GroupedQueryAttention)]
        if not heads:
            return "its layers keep something else than keys and values of heads"
        if max(heads) <= self.width:
            return f"no layer keeps more for a token ({max(heads):,.0f} numbers) than the latent would ({self.width:,})"
        return ""

    def changed(self, model: Model) -> Model:
        """The latent in every layer of grouped queries that keeps more."""

        def latent(mixer: Mixer, cache: Cache) -> Cache:
            if not isinstance(mixer, GroupedQueryAttention) or len(cache.own) != 1:
                return cache
            (own,) = cache.own
            if own.numbers <= self.width:
                return cache
            kind = LatentAttention(mixer.hidden_size, mixer.n_heads, None, self.latent_width, mixer.head_dim,
                                   self.latent_rotary_width, mixer.v_head_dim)  # fmt: skip
            kept = replace(kind.kept[0], stored_tokens=own.stored_tokens, read_tokens=own.read_tokens)
            return replace(cache, own=(kept,))

        return recached(model, latent)


@dataclass(frozen=True)
class Offload(Technique):
    """Keys and values in the memory of the host; what a step reads of them crosses the link, and nothing hides it.

    An index and the states stay in HBM. Layers that share a cache find it there once one of them has fetched it.
    """

    name: ClassVar[str] = "offload"
    short: ClassVar[str] = "offload"
    family: ClassVar[str] = "place"
    source: ClassVar[str] = "lecture 01:33:02; equations stream_time_s, window_bytes"

    @property
    def what(self) -> str:
        """What it does."""
        return "keys and values lie in the host's memory; what a step reads of them crosses the link"

    def changed(self, model: Model) -> Model:
        """What stays in HBM: the index and the states; keys and values are read there and kept elsewhere."""
        return recached(model, lambda _, cache: replace(cache, own=tuple(map(_elsewhere, cache.own))))

    def moved(self, model: Model) -> Model:
        """What lies in the host: the keys and values that the model's layers keep, and no states."""
        return recached(model, lambda _, cache: Cache(tuple(kept for kept in cache.own if kept.stored_tokens)),
                        stateless=True)  # fmt: skip


@dataclass(frozen=True)
class Rematerialisation(Technique):
    """Nothing kept: each step passes the whole context again, and makes its keys and values on the way.

    Windows are made again with the rest, and so are the states of recurrent layers, at which the pass arrives anyway.
    A format, another shape or sharing would make less of what is stored, and nothing is; but what a query looks at
    (windows, a choice) makes the pass shorter.
    """

    name: ClassVar[str] = "rematerialisation"
    short: ClassVar[str] = "remat"
    family: ClassVar[str] = "place"
    without: ClassVar[tuple[str, ...]] = ("shape", "sharing", "format")
    source: ClassVar[str] = "lecture 01:33:02; equations pass_time_s, recompute_usd, recompute_break_even_s"

    @property
    def what(self) -> str:
        """What it does."""
        return "nothing is kept: each step passes the whole context again and makes its keys and values on the way"

    def changed(self, model: Model) -> Model:
        """What stays from one step to the next: no keys, no values, no states."""
        return recached(model, lambda _, cache: Cache(()), stateless=True)
