"""The figures of the techniques: data of the catalog with their reasons, the user's in their place."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from headway.catalog.store import defaults
from headway.errors import BadInput, shown
from headway.provenance import Origin, Quantity
from headway.techniques.kinds import (
    Eviction,
    Fp8,
    HybridWindows,
    Latent,
    LayerSharing,
    Nvfp4,
    Offload,
    Rematerialisation,
    SparseAttention,
    Technique,
)
from headway.units import parse

PURPOSE = "kv-techniques"
_WHOLE = ("layers_per_global", "layers_per_cache", "index_width", "index_heads", "latent_width", "latent_rotary_width")
_MOST = 1e12
# Which figures make a technique, where they are not named alike.
_FIGURES = {"fp8": {"scale_bytes": "fp8_scale_bytes", "scale_block": "fp8_scale_block"}}
_BESIDE = {
    "offload": ("host_link_bytes_per_s", "host_tier", "flash_tier", "flash_price_tier", "device_life_s"),
    "remat": ("prefill_mfu",),
}


@dataclass(frozen=True)
class Settings:
    """Every figure of the techniques with its origin."""

    figures: Mapping[str, Quantity]

    def value(self, name: str) -> Any:
        """The value of a figure."""
        return self.figures[name].value

    @functools.cached_property
    def techniques(self) -> tuple[Technique, ...]:
        """Every technique, with these figures."""
        value = self.value
        return (
            Fp8(scale_bytes=value("fp8_scale_bytes"), scale_block=value("fp8_scale_block")),
            Nvfp4(),
            Eviction(value("kept_window_tokens")),
            HybridWindows(value("local_window_tokens"), value("layers_per_global")),
            SparseAttention(value("topk_tokens"), value("index_width"), value("index_heads")),
            LayerSharing(value("layers_per_cache")),
            Latent(value("latent_width"), value("latent_rotary_width")),
            Offload(),
            Rematerialisation(),
        )

    def parameters(self, technique: Technique) -> dict[str, Quantity]:
        """The figures of a technique that can be changed, with their origins."""
        renamed = _FIGURES.get(technique.short, {})
        own = [renamed.get(f.name, f.name) for f in fields(technique)]
        return {name: self.figures[name] for name in (*own, *_BESIDE.get(technique.short, ())) if name in self.figures}


def names() -> tuple[str, ...]:
    """The figures that can be changed."""
    return tuple(defaults(PURPOSE))


def settings(changes: Mapping[str, object] | None = None) -> Settings:
    """The figures with the user's changes; `BadInput` for one that is no number, not whole, or out of range."""
    figures = dict(defaults(PURPOSE))
    for name, asked in (changes or {}).items():
        value = _read(figures[name], asked)
        figures[name] = replace(figures[name], value=value, origin=Origin("user", f"--set {name}={asked}"))
    return Settings(figures)


def _read(figure: Quantity, asked: object) -> Any:
    """A changed figure: a name of the catalog as it is, else a number."""
    if figure.unit == "name":
        return str(asked)
    value = parse(asked, figure.unit)
    least = 0.0 if figure.name == "fp8_scale_bytes" else 1e-30
    most = 1.0 if figure.name == "prefill_mfu" else 1e30
    if figure.name in _WHOLE or figure.unit == "tokens":
        least, most = 1.0, _MOST
        if not value.is_integer():
            raise BadInput(f"{figure.name} must be a whole number, found {shown(asked)}")
    if not least <= value <= most:
        raise BadInput(f"{figure.name} must be from {least:g} to {most:g}, found {shown(asked)}")
    return int(value) if figure.name in _WHOLE else value
