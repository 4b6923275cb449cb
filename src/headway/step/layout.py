"""How a model is laid over chips, and what no engine can run.

A stage has `tensor_parallel x context_parallel x data_parallel` chips, numbered in that order, and stages follow each
other. Attention and dense blocks are cut over the tensor-parallel chips and repeated over the others; whole experts are
dealt to `expert_parallel` ranks of the stage, and each is cut over the chips that are left.

What must divide is what the engines demand (vLLM, SGLang, TensorRT-LLM; read 2026-11-20, see docs/layouts.md). Experts
and layers need not divide: the fullest rank decides. KV heads that do not go round are copied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from headway.errors import BadInput, Infeasible, shown
from headway.hardware import MOST_CHIPS, System
from headway.model.attention import GroupedQueryAttention
from headway.model.block import Block
from headway.model.feed_forward import MixtureOfExperts
from headway.model.model import Model

SHORT = {"tp": "tensor_parallel", "pp": "pipeline_parallel", "dp": "data_parallel", "ep": "expert_parallel",
         "cp": "context_parallel", "redundant": "redundant_experts"}  # fmt: skip
DEGREES = ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel", "context_parallel")
_ENTRY = re.compile(r"^([a-z_]+)\s*[=:]?\s*(\d{1,9})$")


@dataclass(frozen=True)
class Layout:
    """Degrees of parallelism; all 1 is a model on one chip.

    `data_parallel` is that of attention: ranks with sequences of their own. `redundant_experts` are copies of busy
    experts. `padded_heads` allows heads that do not divide: some chips then hold empty ones.
    """

    tensor_parallel: int = 1
    pipeline_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: int = 1
    context_parallel: int = 1
    redundant_experts: int = 0
    padded_heads: bool = False

    @property
    def stage_chips(self) -> int:
        """Chips that work on one layer together."""
        return self.tensor_parallel * self.context_parallel * self.data_parallel

    @property
    def chips(self) -> int:
        """Chips that the layout uses; a system may have more."""
        return self.stage_chips * self.pipeline_parallel

    @property
    def text(self) -> str:
        """The layout as it is written: tp8, or tp1 dp64 ep64."""
        short = {long: name for name, long in SHORT.items()}
        told = [f"{short[f.name]}{getattr(self, f.name)}" for f in fields(self)
                if f.name in short and getattr(self, f.name) != f.default]  # fmt: skip
        return " ".join([*(told or ["tp1"]), *(["pad"] if self.padded_heads else [])])


def read_layout(text: str) -> Layout:
    """A layout as people write it.

    >>> read_layout("dp=64, ep=64").chips, read_layout("tp8 pp2").text
    (64, 'tp8 pp2')
    """
    degrees: dict[str, int] = {}
    padded = False
    for entry in re.split(r"[,;\s]+", text.strip().lower()):
        match = _ENTRY.match(entry)
        name = SHORT.get(match[1], match[1]) if match else ""
        if entry == "pad":
            padded = True
        elif match is None or name not in SHORT.values():
            raise BadInput(f"a layout is written like tp8 or tp1,dp64,ep64 (degrees: {', '.join(SHORT)}; pad), "
                           f"found {shown(entry)} in {shown(text)}")  # fmt: skip
        elif name in degrees:
            raise BadInput(f"{shown(text)} gives {name} twice")
        else:
            degrees[name] = int(match[2])
    layout = Layout(**degrees, padded_heads=padded)
    for name in DEGREES:
        if not 1 <= getattr(layout, name) <= MOST_CHIPS:
            raise BadInput(f"{name} must be from 1 to {MOST_CHIPS:,}, found {getattr(layout, name):,}")
    return layout


def check_layout(model: Model, system: System, layout: Layout) -> None:
    """Refuse a layout that no engine can run, with the nearest that some engine can."""
    if reason := refusal(model, system.chips, layout):
        raise Infeasible(f"{model.name} cannot be laid out as {layout.text} on {system.name}: {reason}")


def refusal(model: Model, chips: int, layout: Layout) -> str:
    """Why no engine can run a layout on so many chips; empty where one can."""
    if layout.chips > chips:
        return f"it takes {layout.chips:,} chips, and there are {chips:,}"
    if model.architecture is None:
        return "" if layout == Layout(layout.tensor_parallel, padded_heads=layout.padded_heads) else (
            "bare numbers have no layers, heads or experts to deal out; only tp is known of them")  # fmt: skip
    if layout.pipeline_parallel > model.architecture.n_layers:
        return f"it has {model.architecture.n_layers} layers for {layout.pipeline_parallel} stages"
    blocks = [block for run in model.architecture.layers for block in run.blocks]
    if reason := _experts(model, layout):
        return reason
    return next((reason for block in dict.fromkeys(blocks) if (reason := _pieces(block, layout, chips))), "")


def _experts(model: Model, layout: Layout) -> str:
    shape = model.architecture
    experts = shape.experts if shape else None
    ranks, redundant = layout.expert_parallel, layout.redundant_experts
    if experts is None:
        return "it has no routed experts for ep or redundant" if ranks > 1 or redundant else ""
    if layout.stage_chips % ranks:
        return (f"ep{ranks} deals experts to the chips of a stage, tp x cp x dp = {layout.stage_chips}, and does not "
                f"divide them; {_divisors(layout.stage_chips, ranks)} would, or dp{ranks} beside it")  # fmt: skip
    slots = experts.n_experts + redundant
    if ranks > slots:
        return f"it has {slots} experts in a layer for {ranks} ranks"
    if redundant > experts.n_experts * (ranks - 1):
        return f"{ranks} ranks hold at most {experts.n_experts * (ranks - 1)} copies of {experts.n_experts} experts"
    if redundant and slots % ranks:
        return (f"{experts.n_experts} experts and {redundant} redundant ones do not divide over {ranks} ranks; "
                f"{-(-slots // ranks) * ranks - experts.n_experts} redundant ones would")  # fmt: skip
    return ""


def _pieces(block: Block, layout: Layout, chips: int) -> str:
    """What a block has in whole pieces that tensor parallelism must divide."""
    ways = layout.tensor_parallel
    for matrix in block.matrices:
        if matrix.pieces == 1 or matrix.copies or matrix.pieces % ways == 0:
            continue
        if layout.padded_heads:
            continue
        what = "heads" if matrix.part == "attention" else "features"
        return (f"tp{ways} does not divide the {matrix.pieces:,} {what} of {matrix.part.replace('_', ' ')}; "
                f"{_divisors(matrix.pieces, ways, chips)} would")  # fmt: skip
    if isinstance(block, GroupedQueryAttention):
        heads = block.n_kv_heads
        if max(heads, ways) % min(heads, ways) and not layout.padded_heads:
            return f"tp{ways} neither divides nor repeats the {heads} KV heads; {_divisors(heads, ways, chips)} would"
    if isinstance(block, MixtureOfExperts):
        cut = layout.stage_chips // layout.expert_parallel
        if block.expert_intermediate_size % cut and not layout.padded_heads:
            return (f"the {block.expert_intermediate_size:,} features of an expert do not divide over the {cut} chips "
                    f"that ep{layout.expert_parallel} leaves; a larger ep would")  # fmt: skip
    return ""


def _divisors(pieces: int, near: int, most: int = MOST_CHIPS) -> str:
    """The divisors on either side of a number, up to the most there can be."""
    below = next((n for n in range(min(near, pieces), 0, -1) if pieces % n == 0), 1)
    above = next((n for n in range(near + 1, min(pieces, 4 * near, most) + 1) if pieces % n == 0), None)
    return f"{below} or {above}" if above else str(below)
