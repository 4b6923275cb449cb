"""Who has what of a pass: tokens, pieces of matrices, heads and experts on the fullest chip, on the worksheet.

Without a layout everything is shared evenly by all chips, as on the blackboard: the work is that of the whole system,
and so are the rates. With a layout it is the work of one chip of each stage, summed over the stages, at a chip's rates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headway.equations import layout as sharing
from headway.equations import moe, operators, parallelism, roofline
from headway.errors import BadInput, shown
from headway.hardware import System
from headway.model.dtypes import dtype
from headway.model.model import Model
from headway.provenance import Origin, Quantity, Worksheet
from headway.step.operators import Bank, Operators
from headway.step.operators import operators as taken_apart
from headway.step.question import Question


@dataclass
class Sharing:
    """A pass that is being written down: names of quantities on its sheet, by what they stand for."""

    sheet: Worksheet
    model: Model
    system: System
    asked: Question
    ops: Operators = field(init=False)
    sequences: str = "batch"
    tokens: str = "tokens_in_pass"
    stage_tokens: str = "tokens_in_pass"
    own_tokens: str = "tokens_in_pass"  # of the fullest rank, each once
    _rates: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Write down how the pass is shared out."""
        self.ops = taken_apart(self.model)
        if self.laid:
            self._lay()
        else:
            self.sheet.compute("tokens_in_pass", roofline.tokens_in_pass, "tokens", "batch pass_tokens")
        if self.asked.chunk_tokens:
            self._chunk()

    @property
    def laid(self) -> bool:
        """Whether there is a layout; without one everything is shared evenly."""
        return self.asked.degrees is not None

    def refined(self, name: str) -> bool:
        """Whether a refinement was asked for."""
        return name in self.asked.refine

    def give(self, name: str, value: float | None, unit: str, note: str = "", gap: str = "") -> str:
        """A figure of the model that only the operators have."""
        self.sheet.give(Quantity(name, value, unit, self.model.noted(note), gap))
        return name

    def _lay(self) -> None:
        rows: list[tuple[str, Callable[..., Any], str, str]] = [
            ("stage_chips", sharing.stage_chips, "chips", "tensor_parallel context_parallel data_parallel"),
            ("layout_chips", sharing.layout_chips, "chips", "stage_chips pipeline_parallel"),
            ("micro_batch", sharing.micro_batch, "sequences", "batch data_parallel pipeline_parallel"),
            ("sub_batches", sharing.parts_of_batch, "1", "asked_parts sequences=micro_batch"),
            ("stage_sequences", sharing.stage_sequences, "sequences", "batch pipeline_parallel"),
            ("rank_tokens", sharing.rank_tokens, "tokens", "sequences=micro_batch pass_tokens context_parallel"),
            ("context_share", sharing.context_share, "1", "context_parallel"),
        ]
        self.sheet.compute_all(rows)
        if self.ops.mixing_layers:
            self.sheet.compute("fill", sharing.stage_fill, "1", "n_layers pipeline_parallel")
        else:  # bare numbers have no layers
            self.sheet.give(Quantity("fill", 1.0, "1", Origin("default", "no layers are known")))
        self.sequences, self.tokens = "micro_batch", "rank_tokens"
        self.sheet.compute_all([
            ("stage_tokens", roofline.tokens_in_pass, "tokens", "batch=stage_sequences pass_tokens"),
            ("own_tokens", roofline.tokens_in_pass, "tokens", "batch=micro_batch pass_tokens"),
        ])  # fmt: skip
        self.stage_tokens, self.own_tokens = "stage_tokens", "own_tokens"

    def _chunk(self) -> None:
        """A chunk of a prompt rides along: its tokens are added to those that every matrix sees."""
        if not self.laid:
            self._add("mixed_tokens", self.tokens, "chunk_tokens")
            self.tokens = self.stage_tokens = "mixed_tokens"
            return
        self.sheet.compute_all([
            ("rank_chunk_tokens", sharing.rank_tokens, "tokens",
             "sequences=one_sequence pass_tokens=chunk_tokens context_parallel"),
            ("stage_chunk_tokens", roofline.tokens_in_pass, "tokens", "batch=data_parallel pass_tokens=chunk_tokens"),
        ])  # fmt: skip
        self._add("mixed_tokens", self.tokens, "rank_chunk_tokens")
        self._add("mixed_stage_tokens", self.stage_tokens, "stage_chunk_tokens")
        self._add("mixed_own_tokens", self.own_tokens, "chunk_tokens")
        self.tokens, self.stage_tokens, self.own_tokens = "mixed_tokens", "mixed_stage_tokens", "mixed_own_tokens"

    def _add(self, name: str, tokens: str, further: str) -> None:
        self.sheet.compute(name, sharing.more_tokens, "tokens", f"tokens={tokens} further_tokens={further}")

    def share(self, pieces: int, ways: str = "tensor_parallel") -> str:
        """The share of something dealt in pieces that the fullest chip has; empty where it has all."""
        if not self.laid or pieces == 1:
            return ""
        name = f"share_of_{pieces or 'all'}{'' if ways == 'tensor_parallel' else '_' + ways}"
        if name not in self.sheet:
            if pieces:
                number = f"{name.replace('share_of', 'pieces')}"
                self.sheet.give(Quantity(number, float(pieces), "1", Origin("config", "pieces that can be dealt out")))
                self.sheet.compute(name, sharing.dealt_share, "1", f"pieces={number} ways={ways}")
            else:
                self.sheet.compute(name, sharing.context_share, "1", f"context_parallel={ways}")
        return name

    def both(self, first: str, second: str) -> str:
        """Two shares together; either may be empty."""
        if not first or not second:
            return first or second
        name = f"{first}_and_{second}"
        if name not in self.sheet:
            self.sheet.compute(name, operators.product, "1", f"first_share={first} second_share={second}")
        return name

    def cut(self, share: str, *, filled: bool = True) -> str:
        """The arguments that deal something out: its share, and the rounding up of layers."""
        if not self.laid:
            return ""
        fill = " fill" if filled else ""
        return (f" share={share}" if share else " share=whole") + fill

    @property
    def subs(self) -> str:
        """The argument that has weights read once for each part of the batch, where there may be several."""
        return " sub_batches" if self.asked.sub_batches > 1 else ""

    @property
    def bandwidth(self) -> str:
        """The memory bandwidth at which the work streams."""
        return "bandwidth_bytes_per_s" if self.laid else "system_bandwidth_bytes_per_s"

    def rate(self, part: str = "") -> str:
        """The rate at which an operator multiplies: that of most weights, or of its own format."""
        plain = "flop_per_s" if self.laid else "system_flop_per_s"
        if not self.refined("formats") and not self.asked.act_dtype:
            return plain
        held = self.model.weight_dtype
        if self.refined("formats"):
            held = self.model.storage[part].dtype if part else self.model.wide_dtype
        if self.asked.act_dtype:
            held = max(held, dtype(self.asked.act_dtype), key=lambda one: one.bytes_per_number)
        name = f"{held.name}_rate_flop_per_s"
        if held.name not in self._rates:
            self._rates[held.name] = self._write_rate(name, held.name)
        return self._rates[held.name]

    def _write_rate(self, name: str, held: str) -> str:
        if held == self.model.weight_dtype.name:
            return self.rate_of_most()
        peak = self.system.peak(dtype(held))
        self.sheet.give(Quantity(name, peak.value, peak.unit, peak.origin, peak.gap))
        if self.laid:
            return name
        self.sheet.compute(f"system_{name}", roofline.system_flop_per_s, "FLOP/s", f"chips flop_per_s={name}")
        return f"system_{name}"

    def rate_of_most(self) -> str:
        """The rate of the format that most weights have, which `--set flop_per_s` changes."""
        return "flop_per_s" if self.laid else "system_flop_per_s"

    def bank(self, bank: Bank) -> tuple[str, str]:
        """What a chip has of a bank of experts: the copies that it works on, and how many experts it reads."""
        mark = f"_{bank.name}" if bank.name else ""
        if f"copies{mark}" in self.sheet:
            return f"copies{mark}", f"experts_read{mark}"
        self._size(bank, mark)
        experts = f"n_experts{mark}"
        per_token = f"experts_per_token{mark}"
        sub_tokens = self._sub_tokens()
        if self.refined("expert-hits"):
            self.sheet.compute(f"hit_share{mark}", moe.hit_probability, "1",
                               f"tokens={sub_tokens} n_experts={experts} experts_per_token={per_token}")  # fmt: skip
        held = experts
        if self.laid:
            held = f"experts_held{mark}"
            self.sheet.compute(held, parallelism.experts_per_chip, "experts",
                               f"n_experts={experts} redundant_experts domain_chips=expert_parallel")  # fmt: skip
        self._copies(mark, per_token, experts)
        self._read(mark, held)
        return f"copies{mark}", f"experts_read{mark}"

    def _size(self, bank: Bank, mark: str) -> None:
        skew, most = self.sheet.value("expert_skew"), bank.n_experts / bank.experts_per_token
        if np.any(np.asarray(skew) < 1) or np.any(np.asarray(skew) > most):
            raise BadInput(f"expert_skew is the most wanted expert's tokens over the mean: from 1 to {most:g} here, "
                           f"where a token takes {bank.experts_per_token:g} of {bank.n_experts} experts, found "
                           f"{shown(np.ravel(skew)[0])}")  # fmt: skip
        if mark:
            self.give(f"n_experts{mark}", float(bank.n_experts), "experts", f"{bank.layers} layers")
            self.give(f"experts_per_token{mark}", bank.experts_per_token, "experts", f"{bank.layers} layers")

    def _sub_tokens(self) -> str:
        """Tokens that go through a layer's experts at a time."""
        if not self.asked.sub_batches > 1:
            return self.stage_tokens
        if "sub_batch_tokens" not in self.sheet:
            self.sheet.compute("sub_batch_tokens", sharing.sub_batch_tokens, "tokens",
                               f"tokens={self.stage_tokens} sub_batches")  # fmt: skip
        return "sub_batch_tokens"

    def _copies(self, mark: str, per_token: str, experts: str) -> None:
        mean = f"copies{mark}" if not (self.laid and self.refined("imbalance")) else f"mean_copies{mark}"
        if not self.laid:
            self.sheet.compute(mean, moe.routed_copies, "tokens",
                               f"tokens={self.stage_tokens} experts_per_token={per_token}")  # fmt: skip
            return
        self.sheet.compute(mean, sharing.rank_copies, "tokens",
                           f"stage_tokens={self.stage_tokens} experts_per_token={per_token} "
                           "expert_parallel")  # fmt: skip
        if mean.startswith("mean"):
            self.sheet.compute_all([
                (f"placed_imbalance{mark}", moe.placed_imbalance, "1",
                 f"n_experts={experts} expert_skew redundant_experts n_ranks=expert_parallel"),
                (f"placed_copies{mark}", sharing.busy_copies, "tokens",
                 f"rank_copies={mean} imbalance=placed_imbalance{mark}"),
                (f"chance_imbalance{mark}", moe.busiest_load_ratio, "1",
                 f"mean_load=placed_copies{mark} n_bins=expert_parallel"),
                (f"imbalance{mark}", operators.product, "1",
                 f"first_share=placed_imbalance{mark} second_share=chance_imbalance{mark}"),
                (f"copies{mark}", sharing.busy_copies, "tokens", f"rank_copies={mean} imbalance=imbalance{mark}"),
            ])  # fmt: skip

    def _read(self, mark: str, held: str) -> None:
        """Experts that a chip reads of a layer: all it has, those that are hit, or those of the busiest rank."""
        if not self.refined("expert-hits"):
            self.sheet.compute(f"experts_read{mark}", sharing.experts_hit, "experts", f"experts={held} hit_share=whole")
            return
        hit = f"hit_share{mark}"
        if self.laid and self.refined("imbalance"):
            self.sheet.compute(f"busiest_hit_share{mark}", moe.busiest_rank_share, "1",
                               f"hit_probability={hit} experts_per_rank={held} n_ranks=expert_parallel")  # fmt: skip
            hit = f"busiest_hit_share{mark}"
        self.sheet.compute(f"experts_read{mark}", sharing.experts_hit, "experts",
                           f"experts={held} hit_share={hit}")  # fmt: skip
