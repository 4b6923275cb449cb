"""One cache that fits: its figures, a sentence that reads it, who has one like it, and its derivation."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from headway.equations import kv_variants
from headway.matching.habits import Entry, known_models
from headway.model.dtypes import Dtype
from headway.provenance import Origin, Quantity, Worksheet


@dataclass(frozen=True)
class Match:
    """A number of caches, an entry for each token in each of them, and a number format.

    Many stacks of layers have so many caches: `n_layers`, `growing_layers` (those that attend to the whole context; the
    others have windows or states) and `layers_per_cache` are the likeliest of them, and `plausibility` is that of all.
    """

    entry: Entry
    kv_layers: int
    n_layers: int
    growing_layers: int
    layers_per_cache: int
    dtype: Dtype
    asked_bytes: float
    plausibility: float

    @functools.cached_property
    def sheet(self) -> Worksheet:
        """The bytes of one token, derived."""
        return _derived(self)

    @property
    def kv_bytes_per_token(self) -> float:
        """Bytes by which the cache of a sequence grows with each token, on average over a stride. [B]"""
        return float(self.sheet.value("kv_bytes_per_token"))

    @property
    def difference_share(self) -> float:
        """By what share of the asked number this is more (or, below 0, less)."""
        return self.kv_bytes_per_token / self.asked_bytes - 1

    @property
    def width(self) -> str:
        """What a layer keeps for a token, in words."""
        entry = self.entry
        if entry.latent_dim:
            return f"({entry.latent_dim} latent + {entry.rope_dim} rotary)"
        heads = f"{entry.kv_heads} KV head{'s' * (entry.kv_heads > 1)}"
        if not entry.value_dim:
            return f"{heads} x {entry.key_dim} (keys serve as values)"
        if entry.value_dim != entry.key_dim:
            return f"{heads} x ({entry.key_dim} + {entry.value_dim})"
        return f"2 x {heads} x {entry.key_dim}"

    @property
    def reading(self) -> str:
        """The likeliest architecture with this cache, in a sentence."""
        entry = self.entry
        index = f" and an index key of {entry.index_dim}" if entry.index_dim else ""
        stride = f", one entry for {entry.compression_stride} tokens" if entry.compression_stride > 1 else ""
        before, after = self._layers
        return f"{before} {self.width}{index} in {self.dtype.name}{stride}{after}"

    @property
    def _layers(self) -> tuple[str, str]:
        """Which layers keep a cache, in words before and after what they keep."""
        some = self.growing_layers < self.n_layers
        which = f"{self.growing_layers} global layers of {self.n_layers}" if some else f"{self.n_layers} layers"
        if self.layers_per_cache > 1 and self.kv_layers == 1:
            return "one cache of", f", shared by all {which}"
        if self.layers_per_cache > 1:
            most = "up to " if self.growing_layers % self.layers_per_cache else ""
            return f"{self.kv_layers} caches of", f", each shared by {most}{self.layers_per_cache} of the {which}"
        if some:
            return f"{self.growing_layers} of {self.n_layers} layers with", ""
        return f"{self.n_layers} layers of", ""

    @property
    def like(self) -> list[str]:
        """Catalogued models with the same kind of attention, heads and dimensions; those with as many caches first."""
        return list(_alike(self.entry.shape, self.kv_layers))


@functools.lru_cache(maxsize=4096)
def _alike(shape: tuple[int, ...], caches: int) -> tuple[str, ...]:
    found = [
        (abs(math.log(sum(model.entries.values()) / caches)), model.name)
        for model in known_models()
        if any(entry.shape == shape for entry in model.entries)
    ]
    return tuple(name for _, name in sorted(found))


def _derived(match: Match) -> Worksheet:
    """The cache of a token by the library's equations, on a worksheet."""
    entry = match.entry
    assumed = Origin("default", "a choice of the grid")
    sheet = Worksheet([
        Quantity("growing_layers", float(match.growing_layers), "layers", assumed),
        Quantity("layers_per_cache", float(match.layers_per_cache), "1", assumed),
        Quantity("element_bytes", match.dtype.bytes_per_number, "B",
                 Origin("default", f"one number in {match.dtype.name}")),
    ])  # fmt: skip
    sheet.compute("kv_layers", kv_variants.caching_layers, "layers", "n_layers=growing_layers layers_per_cache")
    for name in ("kv_heads", "key_dim", "value_dim", "latent_dim", "rope_dim", "index_dim", "compression_stride"):
        sheet.give(Quantity(name, float(getattr(entry, name)), "tokens" if "stride" in name else "1", assumed))
    if entry.latent_dim:
        sheet.compute("entry_bytes", kv_variants.latent_bytes_per_token, "B",
                      "n_layers=kv_layers kv_lora_rank=latent_dim rope_head_dim=rope_dim element_bytes")  # fmt: skip
    else:
        sheet.compute("entry_bytes", kv_variants.grouped_bytes_per_token, "B",
                      "n_layers=kv_layers n_kv_heads=kv_heads k_head_dim=key_dim v_head_dim=value_dim "
                      "element_bytes")  # fmt: skip
    kept = "entry_bytes"
    if entry.index_dim:
        sheet.give(Quantity("index_heads", 1.0, "1", assumed))
        sheet.give(Quantity("index_value_dim", 0.0, "1", assumed))
        sheet.compute("index_bytes", kv_variants.grouped_bytes_per_token, "B",
                      "n_layers=kv_layers n_kv_heads=index_heads k_head_dim=index_dim v_head_dim=index_value_dim "
                      "element_bytes")  # fmt: skip
        kept = "indexed_entry_bytes"
        sheet.compute(kept, kv_variants.groups_bytes, "B", "first_bytes=entry_bytes second_bytes=index_bytes")
    sheet.give(Quantity("one_token", 1.0, "tokens", Origin("default", "for each token")))
    sheet.compute("kv_bytes_per_token", kv_variants.compressed_bytes, "B",
                  f"context_tokens=one_token stride_tokens=compression_stride entry_bytes={kept}")  # fmt: skip
    return sheet
