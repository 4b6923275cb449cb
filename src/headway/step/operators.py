"""What a pass does, operator by operator: a model taken apart into matrices, attention, and states.

Like operators of all layers are one, with the number of their layers: the work is linear in it. Where layers differ,
each shape is an operator of its own. Nothing here knows of chips: `headway.step.work` deals the operators out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from headway.model.architecture import Architecture
from headway.model.block import Block
from headway.model.feed_forward import MixtureOfExperts
from headway.model.kept import Kept, State
from headway.model.layers import Layers
from headway.model.matrices import Matrix, Vector
from headway.model.model import Model

_SHORT = {"attention": "attention", "dense_mlp": "mlp", "shared_experts": "shared", "routed_experts": "expert"}


@dataclass(frozen=True)
class Multiply:
    """Matrices of one shape, or parameters beside them, that tokens are multiplied by; `times` of them in a layer.

    `tokens` says whose: "rank" all tokens of an attention rank, "expert" those sent to an expert of `bank`, "head"
    those whose next token is asked for. `per_layer` are the parameters in one layer, of one expert.
    """

    name: str
    part: str
    layers: int
    per_layer: int
    inputs: int = 0
    outputs: int = 0
    pieces: int = 1
    along: str = "outputs"
    tokens: str = "rank"
    bank: str = ""
    times: int = 1

    @property
    def params(self) -> int:
        """Parameters in all layers, of one expert where there are experts."""
        return self.layers * self.times * self.per_layer

    @property
    def text(self) -> str:
        """Its shape in words."""
        shape = f"{self.inputs:,} x {self.outputs:,}" if self.outputs else f"{self.per_layer:,} numbers"
        times = f"{self.layers} layers x " if self.layers > 1 else ""
        times += f"{self.times} x " if self.times > 1 else ""
        dealt = f", {self.pieces:,} pieces" if self.pieces > 1 else ""
        return f"{times}{shape}{dealt}"


@dataclass(frozen=True)
class Attend:
    """Attention over one group of cached numbers, all layers of one kind. `width` goes in and out of a layer's core."""

    name: str
    layers: int
    kept: Kept
    width: int


@dataclass(frozen=True)
class Bank:
    """The experts of the layers of one kind: how many there are, and how many a token uses."""

    name: str
    layers: int
    n_experts: int
    experts_per_token: float
    input_size: int


@dataclass(frozen=True)
class Operators:
    """Everything that a pass does."""

    multiplies: tuple[Multiply, ...]
    attends: tuple[Attend, ...]
    states: tuple[tuple[str, State], ...]
    banks: tuple[Bank, ...]
    mixing_layers: int
    feeding_layers: int

    def of(self, tokens: str) -> list[Multiply]:
        """Those whose tokens are of a kind."""
        return [one for one in self.multiplies if one.tokens == tokens]


def operators(model: Model) -> Operators:
    """The operators of a model, in the order of the work.

    Bare numbers are one matrix, one group of cache, and no layers.
    """
    shape = model.architecture
    if shape is None:
        whole = Multiply("weights", "dense_mlp", 1, int(model.total_params), pieces=0)
        return Operators((whole,), tuple(Attend("full_attention", 1, kept, 0) for kept in model.kept), (), (), 0, 0)
    banks = _banks(shape)
    return Operators(
        tuple(_merged(chain(_of_layers(shape, banks), _outside(shape)))),
        tuple(_attends(shape)), tuple(_states(shape)), tuple(banks.values()),
        mixing_layers=sum(run.count * _mixers(run) for run in shape.layers),
        feeding_layers=sum(run.count * (len(run.blocks) - _mixers(run)) for run in shape.layers),
    )  # fmt: skip


def _mixers(run: Layers) -> int:
    return sum(bool(block.kept or block.states) for block in run.blocks)


def _banks(shape: Architecture) -> dict[MixtureOfExperts, Bank]:
    """Each kind of routed block, with the layers that have it."""
    layers: dict[MixtureOfExperts, int] = {}
    for run in shape.layers:
        for block in run.blocks:
            if isinstance(block, MixtureOfExperts):
                layers[block] = layers.get(block, 0) + run.count
    return {
        block: Bank(f"bank_{i}" if i > 1 else "", count, block.n_experts, float(block.experts_per_token),
                    block.expert_input_size)
        for i, (block, count) in enumerate(layers.items(), start=1)
    }  # fmt: skip


def _of_layers(shape: Architecture, banks: dict[MixtureOfExperts, Bank]) -> Iterator[Multiply]:
    """Matrices and what is beside them, layer by layer."""
    for run in shape.layers:
        if run.norm_params:
            yield _beside("norm", run.count, run.norm_params)
        for block in run.blocks:
            for ones in _like(block.matrices):
                yield from _multiplies(ones, run.count)
            for vector in block.vectors:
                yield from _multiplies([vector], run.count)
            if isinstance(block, MixtureOfExperts):
                for ones in _like(block.expert_matrices):
                    for made in _multiplies(ones, run.count):
                        yield replace(made, tokens="expert", bank=banks[block].name)


def _like(matrices: tuple[Matrix, ...]) -> list[list[Matrix]]:
    """Matrices of one block by shape: those that differ in name alone are one operator, as engines join them."""
    shapes: dict[Matrix, list[Matrix]] = {}
    for matrix in matrices:
        shapes.setdefault(replace(matrix, name=""), []).append(matrix)
    return list(shapes.values())


def _multiplies(ones: Sequence[Matrix | Vector], count: int) -> Iterator[Multiply]:
    """An operator for like matrices; biases beside one that is cut along its inputs are whole on every chip."""
    one = ones[0]
    if isinstance(one, Vector):
        yield _beside(one.part, count, one.params, one.pieces)
        return
    prefix, role = _SHORT.get(one.part, ""), "_".join(matrix.name for matrix in ones)
    name = role if role == one.part or not prefix else f"{prefix}_{role}"
    whole = one.others if one.along == "inputs" else 0
    yield Multiply(name, one.part, count, one.params - whole, one.inputs, one.outputs, one.pieces, one.along,
                   times=len(ones))  # fmt: skip
    if whole:
        yield _beside(one.part, count, whole * len(ones))


def _beside(part: str, count: int, params: int, pieces: int = 1) -> Multiply:
    """Parameters beside matrices, told by their part."""
    name = "norms" if part == "norm" else f"{_SHORT.get(part, part)}_vectors"
    return Multiply(name, part, count, params, pieces=pieces)


def _outside(shape: Architecture) -> Iterator[Multiply]:
    """The head, and what stands outside the layers."""
    for one in shape.outside:
        yield from _multiplies([one], 1)
    head = shape.head
    yield Multiply("head", head.part, 1, head.params, head.inputs, head.outputs, head.pieces, head.along, tokens="head")


def _merged(found: Iterator[Multiply]) -> list[Multiply]:
    """Like operators added up; of one name but other shapes, numbered."""
    like: dict[Multiply, int] = {}
    vectors: dict[Multiply, int] = {}
    for one in found:
        key = replace(one, layers=0)
        if one.outputs:
            like[key] = like.get(key, 0) + one.layers
        else:  # parameters beside matrices add up whatever their number
            key = replace(one, layers=1, per_layer=0)
            vectors[key] = vectors.get(key, 0) + one.params
    merged = [replace(key, layers=count) for key, count in like.items()]
    merged += [replace(key, per_layer=params) for key, params in vectors.items()]
    return _numbered(merged)


def _numbered(found: list[Multiply]) -> list[Multiply]:
    seen: dict[str, int] = {}
    named = []
    for one in found:
        seen[one.name] = seen.get(one.name, 0) + 1
        named.append(replace(one, name=f"{one.name}_{seen[one.name]}") if seen[one.name] > 1 else one)
    return named


def _attends(shape: Architecture) -> Iterator[Attend]:
    """Attention by kind: the same reach, dealt out in the same way."""
    like: dict[tuple[object, ...], tuple[Kept, int, int]] = {}
    for run in shape.layers:
        for block in run.blocks:
            width = _core_width(block)
            for i, kept in enumerate(block.kept):
                key = (kept.reach, kept.heads, kept.kv_heads, kept.pair_flop, kept.numbers)
                old = like.get(key)
                layers = run.count + (old[1] if old else 0)
                like[key] = (kept, layers, width * (i == 0))
    names: dict[str, int] = {}
    for kept, layers, width in like.values():
        name = "index" if "index" in kept.text else f"{kept.name}_attention"
        names[name] = names.get(name, 0) + 1
        yield Attend(f"{name}_{names[name]}" if names[name] > 1 else name, layers, kept.times(layers), width)


def _core_width(block: Block) -> int:
    """Numbers of a token that go into the core of attention and come out: queries, and results of all heads."""
    sizes = {matrix.name: matrix for matrix in block.matrices}
    query = sizes.get("q") or sizes.get("q_up")
    if query is None:
        return 0
    return query.outputs + (query.outputs if "out_down" in sizes else sizes["out"].inputs)


def _states(shape: Architecture) -> Iterator[tuple[str, State]]:
    like: dict[State, int] = {}
    for run in shape.layers:
        for block in run.blocks:
            for state in block.states:
                like[state] = like.get(state, 0) + run.count
    for i, (state, count) in enumerate(like.items(), start=1):
        yield f"state_{i}", state.times(count)
