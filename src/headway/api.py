"""The library in one call each: what the command asks, with Python's own numbers and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from headway.errors import BadInput
from headway.hardware import System, load_system
from headway.model.config import load_model
from headway.model.model import Model
from headway.step.first_order import Pass, evaluate
from headway.step.question import Question, read_refinements, settle


def roofline(
    model: str | Path | Model,
    *,
    on: str | System,
    batch: Any = Question.batch,
    context: Any = Question.context_tokens,
    pass_tokens: Any = Question.pass_tokens,
    refine: str | Sequence[str] = (),
    price: str | float | None = None,
    beyond_memory: bool = False,
    changes: Mapping[str, object] | None = None,
) -> Pass:
    """The first-order pass of a model on a system, over batch, context and pass length.

    Numbers or one-dimensional arrays: `batch` in sequences, `context` and `pass_tokens` in tokens. The result's
    quantities are attributes in SI units, arrays of shape (batch, context, pass length) as far as they vary, masked
    where the memory does not suffice. `refine` names what is added to the blackboard. `price` is the rent of one chip,
    "$2/h" or USD per second. `changes` replace inputs by name: of the pass (`{"bandwidth_bytes_per_s": 10e12}`), of
    the chip (`fp8_flop_per_s`), or of the config (`num_hidden_layers`).

    Raises `headway.BadInput` (unknown names, impossible numbers, missing figures), `headway.Infeasible` (nothing fits).
    Equations: `headway.equations.roofline`, after the lecture of 2026-04-29.
    """
    wanted = dict(changes or {})
    if price is not None:
        if "rental_usd_per_s" in wanted:
            raise BadInput("give a price or a change of rental_usd_per_s, not both")
        wanted["rental_usd_per_s"] = price
    question = Question(batch, context, pass_tokens, read_refinements(refine), beyond_memory)
    given_model = model if isinstance(model, Model) else load_model(model)
    given_system = on if isinstance(on, System) else load_system(on)
    settled_model, settled_system, rest = settle(given_model, given_system, wanted)
    result = evaluate(settled_model, settled_system, question, rest)
    return replace(result, asked_changes=tuple(name for name in wanted if name not in given_model.config))
