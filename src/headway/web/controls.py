"""What can be moved on a board, described for the browser: native inputs with their labels and their steps."""

from __future__ import annotations

from typing import Any

from headway.hardware import name_and_count
from headway.step.question import PLAIN_REFINEMENTS
from headway.techniques.settings import settings
from headway.web.library import MOST_CONFIG_BYTES
from headway.web.state import LONGEST_PACKED, OTHER, Side, State, technique_names

Json = dict[str, Any]


def _decades(first: int, last: int, steps: tuple[float, ...]) -> list[int]:
    return [int(step * 10**power) for power in range(first, last) for step in steps] + [10**last]


_FINE = (1, 1.5, 2, 3, 4, 5, 6, 8)
_DOUBLING = sorted({1, *(n * 2**power for power in range(15) for n in (2, 3)), 2**16})
STOPS = {
    "batch": _DOUBLING,
    "context": [0, *_decades(2, 8, _FINE)],
    "prompt": [1, 2, 3, 4, 6, 8, *(n * 2**power for power in range(3, 15) for n in (2, 3)), 65536],
}
_LABELS = {
    "batch": ("Batch", "sequences", "sequences that share one pass"),
    "context": ("Context", "tokens", "earlier tokens of each sequence"),
    "prompt": ("Pass length", "tokens", "new tokens of each sequence in one pass: 1 is decode, more are a prompt"),
}
_VALUES = {"batch": "batch", "context": "context_tokens", "prompt": "prompt_tokens"}
_REFINED = {
    "expert-hits": "only the experts that a batch hits",
    "attention": "attention's own arithmetic",
    "communication": "exchanges between chips",
}


def slider(state: State, name: str) -> Json:
    """A number of the state on a scale of steps, and as typed."""
    label, unit, hint = _LABELS[name]
    value = getattr(state, _VALUES[name])
    return {"kind": "slider", "name": name, "label": label, "unit": unit, "hint": hint, "value": value,
            "text": f"{value:,.0f}", "stops": STOPS[name]}  # fmt: skip


def refinements(state: State, forced: tuple[str, ...] = ()) -> Json:
    """What is added to the blackboard; `forced` is counted in any case, as long as something else asks for it."""
    label = "Count also" + (" (techniques need those held fast)" if forced else "")
    return {"kind": "several", "name": "refine", "label": label, "value": list(state.refine), "forced": list(forced),
            "options": [[name, _REFINED[name]] for name in PLAIN_REFINEMENTS],
            "most": len(PLAIN_REFINEMENTS)}  # fmt: skip


def terms(state: State) -> Json:
    """Whether the terms are drawn apart."""
    return {"kind": "switch", "name": "terms", "label": "Terms apart", "value": state.terms}


def techniques(state: State, most: int) -> Json:
    """KV techniques to lay beside the model as it is."""
    kinds = [technique for technique in settings().techniques if technique.short in technique_names()]
    options = [[technique.short, technique.name.replace("-", " ")] for technique in kinds]
    return {"kind": "several", "name": "technique", "label": "KV techniques beside it",
            "value": list(state.techniques), "forced": [], "options": options, "most": most}  # fmt: skip


def single_chips(state: State) -> Json:
    """Systems, or chips by themselves."""
    return {"kind": "choice", "name": "chips", "label": "Machines", "value": "1" if state.chips else "",
            "options": [["", "systems"], ["1", "single chips"]]}  # fmt: skip


def of_side(key: str, side: Side, *, model: bool = True) -> tuple[Json, ...]:
    """What a column is about: its model, catalogued or pasted, its machine, and the numbers changed."""
    before = "" if key == "a" else OTHER
    machine, count = name_and_count(side.on)
    about_model: list[Json] = [
        {"kind": "choice", "name": f"{before}model", "label": "Model", "value": "" if side.config else side.model,
         "options": "models"},
        {"kind": "config", "name": f"{before}config", "label": "Paste a config.json", "value": side.config,
         "longest": LONGEST_PACKED, "largest_bytes": MOST_CONFIG_BYTES},
    ]  # fmt: skip
    return (
        *(about_model if model else []),
        {"kind": "choice", "name": f"{before}on", "label": "Machine", "value": machine, "options": "systems"},
        {"kind": "count", "name": f"{before}on", "label": "How many", "value": count, "of": machine},
        {"kind": "edits", "name": f"{before}set", "label": "Change a number", "value": [list(c) for c in side.changes]},
    )
