"""A draft on the worksheet: the drafter's own pass, what it holds of a chip, and what is made of what it proposes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from headway.equations import speculation
from headway.provenance import Origin, Quantity, Worksheet
from headway.step.question import Draft, Question
from headway.step.work import Row

# What of a drafter's pass is taken over, and under which name.
_TAKEN = (("draft_pass_s", "step_s", "s"), ("draft_kv_bytes", "chip_kv_bytes", "B"),
          ("draft_activation_bytes", "chip_activation_bytes", "B"))  # fmt: skip


def write_drafter(sheet: Worksheet, asked: Question, again: Callable[[Any, Question], Any]) -> None:
    """The drafter's decoding pass at the same batch and context, on the same layout; `again` writes such a pass.

    Of the model's own module only the layer is held once more: embedding and head are the model's.
    """
    if asked.draft is None:
        return
    draft = asked.draft
    once = replace(asked, draft=None, pass_tokens=1.0, chunk_tokens=0.0, chunk_context_tokens=0.0, handed_over=False,
                   beyond_memory=True)  # fmt: skip
    own = again(draft.model, _on_one_stage(once) if draft.own else once).sheet
    said = Origin("equation", f"a decoding pass of {draft.model.name} on the same layout")
    for name, taken, unit in _TAKEN:
        value = own.need(taken)
        if draft.own and taken == "chip_kv_bytes":  # of all micro-batches in flight
            value = value * (asked.degrees or {})["pipeline_parallel"]
        sheet.give(Quantity(name, value, unit, said))
    weights = own.need("chip_weights_bytes")
    if draft.own:
        weights = weights - own.need("head_bytes") - own.need("embedding_bytes")
    sheet.give(Quantity("draft_weights_bytes", weights, "B", said))
    for name, value, unit in (("draft_tokens", draft.tokens, "tokens"), ("acceptance", draft.acceptance, "1")):
        sheet.give(Quantity(name, value, unit, Origin("user", draft.who)))


def _on_one_stage(asked: Question) -> Question:
    """A module is beside the last stage, which drafts for one micro-batch at a time."""
    degrees = dict(asked.degrees or {})
    stages = degrees["pipeline_parallel"]
    degrees["pipeline_parallel"] = np.ones_like(stages) if np.ndim(stages) else 1.0
    batch = np.asarray(asked.batch, dtype=float)
    return replace(asked, layout=None, degrees=degrees, batch=np.ceil(batch / stages))


def write_drafting(sheet: Worksheet, draft: Draft | None) -> list[Row]:
    """The time of drafting, before the pass that verifies; and the tokens that the two make."""
    if draft is None:
        sheet.give(Quantity("t_draft_s", 0.0, "s", Origin("default", "nothing is drafted")))
        return []
    sheet.compute_all([
        ("t_draft_s", speculation.drafting_s, "s", "draft_tokens draft_pass_s"),
        ("made_tokens", speculation.tokens_per_pass, "tokens", "acceptance draft_tokens"),
    ])  # fmt: skip
    return [Row("draft", draft.who, "draft", 1, time="t_draft_s")]
