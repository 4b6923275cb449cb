"""Cache and arithmetic of models against context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from headway.errors import BadInput
from headway.figures.panel import POINTS, Curve, Panel
from headway.model.describe import Description

# What a model costs at each context: axis, unit, and the curves: label, quantity, letter. Of several models only what a
# decoded token costs is drawn, under the title beside it.
_OF_MODELS = (
    ("cache", "B", "cache that a decoded token reads", "kv_read_bytes_per_token",
     (("kept by a sequence", "kv_stored_bytes", "k"), ("read by a decoded token", "kv_read_bytes_per_token", "r"))),
    ("arithmetic", "FLOP", "arithmetic of a decoded token", "flops_per_token",
     (("of a decoded token", "flops_per_token", "d"), ("of a prompt's token", "prefill_flops_per_token", "p"))),
)  # fmt: skip


def contexts_between(contexts: Any) -> np.ndarray[Any, Any]:
    """Contexts at equal ratios from the shortest asked for, at least 1, to the longest; of one, three decades to it."""
    asked = np.maximum(np.atleast_1d(np.asarray(contexts, dtype=float)), 1.0)
    longest = max(float(asked.max()), 10.0)
    shortest = float(asked.min()) if asked.min() < longest else max(longest / 1000, 1.0)
    return np.geomspace(shortest, longest, POINTS)


def model_panels(described: Sequence[Description]) -> list[Panel]:
    """Cache and arithmetic against context: of one model kept and read, decoded and prompt; of several what differs."""
    contexts = np.asarray(described[0].value("context_tokens"), dtype=float)
    panels = []
    for label, unit, of_several, quantity, curves in _OF_MODELS:
        lines = [(one, one.model.name, quantity, "ABCD"[i]) for i, one in enumerate(described)]
        if len(described) == 1:
            lines = [(described[0], *curve) for curve in curves]
        drawn = tuple(
            Curve(text, values, f"family{i}", mark, np.ones(contexts.shape, dtype=bool))
            for i, (one, text, name, mark) in enumerate(lines)
            if (values := _positive(one.value(name), contexts)) is not None
        )
        if drawn:
            title = label if len(described) == 1 else of_several
            panels.append(Panel(title, "context", "tokens", label, unit, contexts, drawn))
    if not panels:
        raise BadInput("there is nothing to draw: the cache and the arithmetic of bare numbers are not known")
    return panels


def _positive(value: Any, contexts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """A quantity along the contexts, where it is known and anywhere above zero, which a logarithmic axis can show."""
    if value is None or not np.any(np.asarray(value) > 0):
        return None
    return np.broadcast_to(np.asarray(value, dtype=float), contexts.shape)
