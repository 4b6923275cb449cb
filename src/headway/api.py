"""The library in one call each: what the command asks, with Python's own numbers and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from headway.errors import BadInput, shown
from headway.hardware import System, load_system
from headway.model.config import load_model
from headway.model.model import Model
from headway.step.drafting import MTP, drafted
from headway.step.first_order import Pass, evaluate
from headway.step.layout import Layout, read_layout
from headway.step.question import Question, read_refinements, settle


def roofline(
    model: str | Path | Model,
    *,
    on: str | System,
    batch: Any = Question.batch,
    context: Any = Question.context_tokens,
    pass_tokens: Any = Question.pass_tokens,
    refine: str | Sequence[str] | None = None,
    price: str | float | None = None,
    beyond_memory: bool = False,
    changes: Mapping[str, object] | None = None,
    layout: str | Layout | None = None,
    terms: bool = False,
    chunk_tokens: float = 0,
    chunk_context: float = 0,
    overlap: str | float = 0.0,
    sends: str = "each",
    domains_per_token: int = 0,
    act_dtype: str = "",
    draft: str | Path | Model | None = None,
    draft_tokens: float | None = None,
    acceptance: float | None = None,
    disaggregated: bool = False,
) -> Pass:
    """The pass of a model on a system, over batch, context and pass length.

    Numbers or one-dimensional arrays: `batch` in sequences, `context` and `pass_tokens` in tokens. The result's
    quantities are attributes in SI units, arrays of shape (batch, context, pass length) as far as they vary, masked
    where the memory does not suffice. `refine` names what is added to the blackboard. `price` is the rent of one chip,
    "$2/h" or USD per second. `changes` replace inputs by name: of the pass (`{"bandwidth_bytes_per_s": 10e12}`), of
    the chip (`fp8_flop_per_s`), or of the config (`num_hidden_layers`).

    A `layout` ("tp8", "tp1 dp64 ep64") deals the pass out, with all refinements unless `refine` says which ("none");
    without one all chips share it evenly. `terms` takes it
    apart into operators (`rows` of the result). On each data-parallel rank `chunk_tokens` of a prompt, of which
    `chunk_context` are cached, may ride along. `overlap` is "two-batch" or the share of communication that is hidden;
    `sends` "each" (every expert's copy travels alone), "rank" (one for each rank) or "domain" (one for each domain, of
    which routing may let a token reach at most `domains_per_token`). `draft` is "mtp" or a
    model that drafts `draft_tokens`, of which each is kept with probability `acceptance`. `disaggregated` hands the
    cache over to other chips (`first_token_s`).

    Raises `headway.BadInput` (unknown names, impossible numbers, missing figures), `headway.Infeasible` (nothing fits,
    or no engine can run the layout). Equations: `headway.equations.roofline`, after the lecture of 2026-04-29, and
    `headway.equations.operators` and `.layout`.
    """
    wanted = dict(changes or {})
    if price is not None:
        if "rental_usd_per_s" in wanted:
            raise BadInput("give a price or a change of rental_usd_per_s, not both")
        wanted["rental_usd_per_s"] = price
    laid = read_layout(layout) if isinstance(layout, str) else layout
    if laid is not None and not isinstance(laid, Layout):
        raise BadInput(f"a layout is written like 'tp8' or 'tp1 dp64 ep64', found {shown(laid)}")
    given_model, given_system = _model(model), on if isinstance(on, System) else load_system(on)
    if refine is None:  # a layout is asked for what the blackboard leaves out, of which bare numbers tell nothing
        refine = () if laid is None or given_model.architecture is None else "all"
    refinements = read_refinements(refine)
    question = Question(
        batch, context, pass_tokens, refinements, beyond_memory,
        layout=laid, by_operator=terms,
        chunk_tokens=chunk_tokens, chunk_context_tokens=chunk_context, overlap=overlap, sends=sends,
        domains_per_token=domains_per_token,        act_dtype=act_dtype, handed_over=disaggregated,
    )  # fmt: skip
    settled_model, settled_system, rest = settle(given_model, given_system, wanted)
    if laid is not None and (overlap or sends != "each") and "communication" not in refinements:
        raise BadInput("overlap and sends are about the refinement 'communication'; add it")
    if sends != "each" and settled_model.architecture and settled_model.architecture.experts is None:
        raise BadInput(f"{settled_model.name} sends no tokens to experts; leave sends out")
    if draft is not None:
        drafter = draft if draft == MTP else _model(draft)
        question = drafted(settled_model, question, drafter, draft_tokens, acceptance)
    elif draft_tokens is not None or acceptance is not None:
        raise BadInput("drafted tokens and their acceptance need a draft: mtp, or a model")
    result = evaluate(settled_model, settled_system, question, rest)
    return replace(result, asked_changes=tuple(name for name in wanted if name not in given_model.config))


def _model(model: str | Path | Model) -> Model:
    return model if isinstance(model, Model) else load_model(model)
