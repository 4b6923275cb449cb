"""What a layer is made of: blocks, each with its parameters by part, its cache and its states."""

from __future__ import annotations

from abc import ABC, abstractmethod

from headway.model.kept import Kept, State


class Block(ABC):
    """A part of a layer. One that is not said to keep anything keeps nothing, and is multiplied as a whole."""

    @property
    @abstractmethod
    def parts(self) -> dict[str, int]:
        """Parameters by part of the model."""

    @property
    def active(self) -> dict[str, float]:
        """Those that one token multiplies."""
        return dict(self.parts)

    @property
    def kept(self) -> tuple[Kept, ...]:
        """The cache of one layer."""
        return ()

    @property
    def states(self) -> tuple[State, ...]:
        """What a layer keeps at any length."""
        return ()
