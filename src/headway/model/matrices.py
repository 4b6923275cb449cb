"""What a block multiplies: its matrices, the parameters beside them, and how engines deal both out to chips.

Tensor parallelism cuts a matrix into pieces (heads, features of an MLP, groups, rows of the vocabulary) and gives each
chip its share of them; what cannot be cut every chip has as a whole. Which is which follows vLLM's code
(github.com/vllm-project/vllm under vllm/model_executor: `ColumnParallelLinear` is dealt by its outputs,
`RowParallelLinear` by its inputs, `ReplicatedLinear` and `disable_tp` not at all; read 2026-11); the kinds of block say
what they take from it. Norms are whole on every chip: engines cut a few of them, and they weigh next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal


def dealt_pieces(pieces: int, chips: int) -> int:
    """How many pieces the chip has that gets most; chips beyond the pieces repeat one, or idle.

    >>> dealt_pieces(8, 1), dealt_pieces(8, 3), dealt_pieces(8, 16)
    (8, 3, 1)
    """
    return -(-pieces // chips)


@dataclass(frozen=True)
class Matrix:
    """A matrix that every token which visits it is multiplied by, in one layer.

    `name` is its role in the block and `part` the part of the model whose storage format it has. It is cut into
    `pieces` along its outputs (each chip has some columns and all inputs; no sum follows) or along its inputs (each
    chip has the rows of its pieces, and the results are summed); `pieces` divide that side, and 1 is a matrix that
    every chip has as a whole. `others` are biases, of the outputs: dealt out as they are, whole beside a matrix that is
    cut along its inputs. Pieces fewer than the chips are copied where `copies` says so, and otherwise refused.
    """

    name: str
    part: str
    inputs: int
    outputs: int
    pieces: int = 1
    along: Literal["inputs", "outputs"] = "outputs"
    others: int = 0
    copies: bool = False

    @property
    def params(self) -> int:
        """Numbers in the matrix, and what goes with it."""
        return self.inputs * self.outputs + self.others

    def dealt(self, chips: int) -> Matrix:
        """What is left of it on the chip that gets most, of so many; the matrix itself on one."""
        mine = dealt_pieces(self.pieces, chips)
        if self.along == "inputs":
            return replace(self, pieces=mine, inputs=self.inputs * mine // self.pieces)
        outputs, others = (n * mine // self.pieces for n in (self.outputs, self.others))
        return replace(self, pieces=mine, outputs=outputs, others=others)


@dataclass(frozen=True)
class Vector:
    """Parameters outside the matrices: norms, sinks, kernels of convolutions, decays. Pieces are as of a `Matrix`."""

    name: str
    part: str
    params: int
    pieces: int = 1

    def dealt(self, chips: int) -> Vector:
        """What is left of it on the chip that gets most, of so many; the vector itself on one."""
        mine = dealt_pieces(self.pieces, chips)
        return replace(self, pieces=mine, params=self.params * mine // self.pieces)


def present(*vectors: Vector) -> tuple[Vector, ...]:
    """Those that hold anything."""
    return tuple(vector for vector in vectors if vector.params)


def count_params(held: Iterable[Matrix | Vector]) -> int:
    """Parameters of all of them."""
    return sum(one.params for one in held)
