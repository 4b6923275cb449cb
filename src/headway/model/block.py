"""What a layer is made of: blocks, each with its matrices, its cache and its states."""

from __future__ import annotations

from abc import ABC, abstractmethod

from headway.model.kept import Kept, State
from headway.model.matrices import Matrix, Vector


class Block(ABC):
    """A part of a layer. One that is not said to keep anything keeps nothing, and is multiplied as a whole."""

    @property
    @abstractmethod
    def matrices(self) -> tuple[Matrix, ...]:
        """What every token is multiplied by, in the order of the work."""

    @property
    @abstractmethod
    def vectors(self) -> tuple[Vector, ...]:
        """The parameters beside the matrices; none of 0 parameters."""

    @property
    def parts(self) -> dict[str, int]:
        """Parameters by part of the model."""
        count: dict[str, int] = {}
        held: tuple[Matrix | Vector, ...] = (*self.matrices, *self.vectors)
        for one in held:
            count[one.part] = count.get(one.part, 0) + one.params
        return count

    @property
    def params(self) -> int:
        """All of its parameters."""
        return sum(self.parts.values())

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
