"""A column's question put to the library, and the command and the call that put the same one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from headway.errors import Infeasible, MissingFact
from headway.step.first_order import Pass, evaluate
from headway.step.question import Question
from headway.web.library import settled
from headway.web.state import Side, State

CONFIG_FILE = "config.json"  # what a pasted config is saved as
_OPTIONS = {"batch": "batch", "context_tokens": "context", "pass_tokens": "pass"}
_ARGUMENTS = {"batch": "batch", "context_tokens": "context", "pass_tokens": "pass_tokens"}


def ask(side: Side, state: State, *, beyond: bool = False, **axes: Any) -> Pass:
    """The pass of a column at axes of `Question`; the batch and the context of the state where they do not say."""
    asked = {"batch": state.batch, "context_tokens": state.context_tokens, **axes}
    model, system, rest = settled(side)
    question = Question(refine=state.refine, beyond_memory=beyond, **asked)
    asked_for = tuple(name for name, _ in side.changes if name not in model.config)
    return replace(evaluate(model, system, question, rest), asked_changes=asked_for)


def point_or_why(side: Side, state: State, **axes: Any) -> tuple[Pass | None, str]:
    """The pass at one point, whether it fits or not, and the line that says why it gets no answer.

    Where a figure is missing there is no pass at all.
    """
    try:
        point = ask(side, state, beyond=True, **axes)
        if not bool(point.fits):
            ask(side, state, **axes)
    except MissingFact as refusal:
        return None, str(refusal)
    except Infeasible as refusal:
        return point, str(refusal)
    return point, ""


def heading(side: Side, key: str) -> str:
    """What a column is about."""
    pasted = "the pasted config" if key == "a" else "the second pasted config"
    model, system, _ = settled(side)
    changed = f", {len(side.changes)} number{'s' * (len(side.changes) > 1)} changed" if side.changes else ""
    return f"{pasted if side.config else model.name} on {system.name}{changed}"


def command(side: Side, *words: str, machine: bool = True) -> str:
    """A command line about a column's model and machine."""
    name = CONFIG_FILE if side.config else side.model
    changes = [word for change in side.changes for word in ("--set", "=".join(change))]
    first, *more = words
    line = shlex.join(["headway", first, name, *(["--on", side.on] if machine else []), *more, *changes])
    return _saved(side) + line


def _saved(side: Side) -> str:
    """What to do before a command or a call about a pasted config."""
    return f"# {CONFIG_FILE}: the pasted config, saved under this name\n" if side.config else ""


def pass_command(side: Side, state: State, **axes: Any) -> str:
    """The command that computes what a figure shows."""
    asked = {"batch": state.batch, "context_tokens": state.context_tokens, **axes}
    words = [word for axis, value in asked.items() for word in (f"--{_OPTIONS[axis]}", _on_command_line(value))]
    return command(side, "roofline", *words, *(word for name in state.refine for word in ("--refine", name)))


def pass_call(side: Side, state: State, quantity: str, **axes: Any) -> str:
    """The Python that computes what a figure shows."""
    return f"{_saved(side)}import headway\n\npasses = {pass_asked(side, state, **axes)}\nprint(passes.{quantity})"


def pass_asked(side: Side, state: State, *more: str, **axes: Any) -> str:
    """The call of the library that asks for the passes of a figure; `more` are further arguments."""
    asked = {"batch": state.batch, "context_tokens": state.context_tokens, **axes}
    words = [f"{_ARGUMENTS[axis]}={_in_python(value)}" for axis, value in asked.items()]
    words += [f"refine={list(state.refine)!r}"] * bool(state.refine) + _changes(side)
    name = CONFIG_FILE if side.config else side.model
    return f"headway.roofline({', '.join([repr(name), f'on={side.on!r}', *words, *more])})"


def _changes(side: Side) -> list[str]:
    return [f"changes={dict(side.changes)!r}"] * bool(side.changes)


def _on_command_line(value: Any) -> str:
    """A value, a list, or a range that doubles."""
    if not isinstance(value, Sequence):
        return f"{value:.0f}"
    if list(value) == doubling(value[0], value[-1]):
        return f"{value[0]:.0f}:{value[-1]:.0f}:log"
    return ",".join(f"{one:.0f}" for one in value)


def _in_python(value: Any) -> str:
    return f"[{', '.join(f'{v:.0f}' for v in value)}]" if isinstance(value, Sequence) else f"{value:.0f}"


def doubling(low: float, high: float) -> list[float]:
    """From low to high, each twice the one before, and the end itself."""
    points = [float(low * 2**i) for i in range(int(np.floor(np.log2(high / low) + 1e-9)) + 1)]
    return points if points[-1] == high else [*points, float(high)]


def through(points: Sequence[float], present: float) -> tuple[float, ...]:
    """Points along an axis, and the present one among them where it lies between their ends."""
    return tuple(sorted({*points, *([present] if points[0] <= present <= points[-1] else [])}))
