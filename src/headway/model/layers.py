"""Layers: runs of like ones, each a few blocks with the norms between them."""

from __future__ import annotations

from dataclasses import dataclass

from headway.model.block import Block


@dataclass(frozen=True)
class Layers:
    """Like layers, wherever they stand. Most have one mixer and one feed-forward block; some have one, or four."""

    count: int
    blocks: tuple[Block, ...]
    norm_params: int
