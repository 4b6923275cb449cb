"""Layers: runs of like ones, each a few blocks with the norms between them."""

from __future__ import annotations

from dataclasses import dataclass

from headway.model.block import Block
from headway.model.matrices import Vector, present


@dataclass(frozen=True)
class Layers:
    """Like layers, wherever they stand. Most have one mixer and one feed-forward block; some have one, or four."""

    count: int
    blocks: tuple[Block, ...]
    norm_params: int

    @property
    def vectors(self) -> tuple[Vector, ...]:
        """What stands between the blocks of one layer: norms, and what spreads and gathers residual streams."""
        return present(Vector("norm", "norm", self.norm_params))
