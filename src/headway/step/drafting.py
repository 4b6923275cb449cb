"""Speculation: who drafts tokens before a pass verifies them, and how long that takes.

A draft is made token by token, each in a decoding pass of the drafter on the same layout: of another model, or of the
model's own multi-token-prediction module, which is one layer with the head.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from headway.catalog.store import defaults
from headway.errors import BadInput, Infeasible, shown
from headway.model.architecture import Architecture
from headway.model.model import Model
from headway.step.layout import refusal
from headway.step.question import Draft, Question

MTP = "mtp"


def drafted(
    model: Model, asked: Question, drafter: Model | str, tokens: float | None, acceptance: float | None
) -> Question:
    """The question with a draft before it: a pass that verifies one token more than are drafted.

    `drafter` is a model, or "mtp" for the model's own module. Raises `BadInput` for an acceptance or a number of tokens
    that make no sense, and where none is known.
    """
    if np.any(np.asarray(asked.pass_tokens) != 1):
        raise BadInput("a pass that verifies drafts has one token more than are drafted; leave the pass length out")
    own = isinstance(drafter, str)
    known = defaults("layout")
    tokens = float(known["mtp_draft_tokens"].value) if tokens is None and own else tokens
    acceptance = float(known["mtp_acceptance"].value) if acceptance is None and own else acceptance
    if tokens is None or acceptance is None:
        raise BadInput("a draft model needs --draft-tokens and --acceptance: no source gives either for every pair")
    if not 1 <= tokens <= 64 or tokens != int(tokens):
        raise BadInput(f"drafted tokens must be a whole number from 1 to 64, found {shown(tokens)}")
    if not 0 <= acceptance <= 1:
        raise BadInput(f"the acceptance must be from 0 to 1, found {shown(acceptance)}")
    small = mtp_module(model) if isinstance(drafter, str) else drafter
    if not own and asked.layout is not None and (reason := refusal(small, asked.layout.chips, asked.layout)):
        raise Infeasible(f"the drafter {small.name} cannot be laid out as {asked.layout.text}: {reason}")
    return replace(asked, pass_tokens=np.asarray(tokens + 1.0), draft=Draft(small, tokens, acceptance, own))


def mtp_module(model: Model) -> Model:
    """The model's multi-token-prediction module as a model of its own: its largest layer and its head.

    The projection of two hidden states to one is left out: less than a hundredth of a layer of DeepSeek-V3 (arXiv
    2412.19437 §2.2).
    """
    shape = model.architecture
    if shape is None or not model.mtp_modules:
        raise BadInput(
            f"{model.name} has no multi-token-prediction module that its config tells of; name a draft model"
        )
    largest = max(shape.layers, key=lambda run: run.norm_params + sum(sum(b.parts.values()) for b in run.blocks))
    module: Architecture = replace(shape, layers=(replace(largest, count=1),))
    total, active = float(sum(module.parts().values())), float(sum(module.active_parts().values()))
    return replace(model, name=f"{model.name}'s mtp module", architecture=module, total_params=total,
                   active_params=active, mtp_modules=0)  # fmt: skip
