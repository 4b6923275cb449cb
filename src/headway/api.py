"""The library in one call each: what the command asks, with Python's own numbers and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headway.hardware import System, load_system
from headway.model.config import load_model
from headway.model.model import Model
from headway.step.first_order import Pass, evaluate
from headway.step.question import Question


def roofline(
    model: str | Model,
    *,
    on: str | System,
    batch: Any = Question.batch,
    context: Any = Question.context_tokens,
    pass_tokens: Any = Question.pass_tokens,
    refine: Sequence[str] = (),
    beyond_memory: bool = False,
    changes: Mapping[str, object] | None = None,
) -> Pass:
    """The first-order pass of a model on a system, over batch, context and pass length.

    Numbers or one-dimensional arrays: `batch` in sequences, `context` and `pass_tokens` in tokens. The result's
    quantities are attributes in SI units, arrays of shape (batch, context, pass length) as far as they vary, masked
    where the memory does not suffice. `changes` replace inputs by name (`{"bandwidth_bytes_per_s": 10e12}`).

    Raises `headway.BadInput` (unknown names, impossible numbers, missing figures), `headway.Infeasible` (nothing fits).
    Equations: `headway.equations.roofline`, after the lecture of 2026-04-29.
    """
    question = Question(batch, context, pass_tokens, tuple(refine), beyond_memory)
    return evaluate(
        load_model(model) if isinstance(model, str) else model,
        load_system(on) if isinstance(on, str) else on,
        question,
        changes,
    )
