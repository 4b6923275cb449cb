"""Cost against the length of a pass: decode at its left end, a prompt on its floor, and the ratio between them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from headway import words
from headway.equations import roofline
from headway.figures import POINTS, TERMS, TWO_TERMS, Mark, Panel, panels_over
from headway.figures.ratio import ratio_panel, ratio_sheet
from headway.provenance import Worksheet
from headway.step.first_order import Pass
from headway.units import format_si
from headway.web import controls
from headway.web.asked import ask, doubling, heading, pass_asked, pass_call, pass_command, point_or_why, through
from headway.web.board import Board, Column, Figure, compared
from headway.web.state import Side, State

LONGEST = 2**16
WIDEST = 2**16
LENGTHS, BATCHES = doubling(1, LONGEST), doubling(1, WIDEST)


@dataclass(frozen=True)
class Ratio:
    """The worksheet behind the ratio of two costs."""

    sheet: Worksheet


def board(state: State) -> Board:
    """Why a prompt's token is cheaper than an answer's."""
    moved = (controls.slider(state, "prompt"), controls.slider(state, "batch"), controls.slider(state, "context"),
             controls.terms(state), controls.refinements(state))  # fmt: skip
    columns = tuple(_column(key, side, state) for key, side in state.sides.items())
    return Board("Pass length", "Why is input cheaper than output, and by how much?", moved, columns, compared(columns))


def _column(key: str, side: Side, state: State) -> Column:
    decode, no_decode = point_or_why(side, state, pass_tokens=1)
    prompt, no_prompt = point_or_why(side, state, pass_tokens=state.prompt_tokens)
    blank = Column(key, heading(side, key), no_decode or no_prompt, refused=True, controls=controls.of_side(key, side))
    if decode is None or prompt is None:
        return blank
    answered = not blank.answer
    told = replace(blank, refused=False, answer=_answer(decode, prompt), why=_why(decode, prompt),
                   facts=_facts(decode, prompt)) if answered else blank  # fmt: skip
    ratio = Ratio(ratio_sheet(decode, prompt, ("a pass of one token", f"a pass of {state.prompt_tokens:,.0f} tokens")))
    return replace(
        told,
        assumptions=tuple(words.assumed(prompt, options=False)),
        figures=(
            *_cost(side, state, prompt, answered),
            *_ratio(side, state, ratio if answered else None),
        ),
        given=prompt,
    )


def _cost(side: Side, state: State, prompt: Pass, answered: bool) -> tuple[Figure, ...]:
    terms = TERMS if state.terms else TWO_TERMS
    rows = through(
        LENGTHS if state.prompt_tokens <= LENGTHS[-1] else doubling(1, state.prompt_tokens), state.prompt_tokens
    )
    time, *cost = panels_over(prompt, "pass_tokens", rows, time_terms=terms, cost_terms=terms)
    panel, key, names = (cost[0], "cost", ("cost_per_token_usd", "step_s")) if cost else (time, "time", ("step_s",))
    if not panel.curves:
        return ()
    asked = pass_command(side, state, pass_tokens=rows), pass_call(side, state, names[0], pass_tokens=rows)
    result = prompt if answered else None
    return (Figure(key, _with_balance(panel, prompt), *asked, result, names, state.prompt_tokens, rows),)


def _with_balance(panel: Panel, prompt: Pass) -> Panel:
    """The place where arithmetic takes over, where it has one in closed form."""
    tokens = balance_tokens(prompt)
    return panel if tokens is None else replace(panel, marks=(Mark("arithmetic takes over", x=tokens), *panel.marks))


def balance_tokens(prompt: Pass) -> float | None:
    """The pass length at which arithmetic and memory traffic take the same time; None where both grow with it."""
    if not prompt.model.cache_is_plain or "attention" in prompt.question.refine:
        return None
    value = prompt.sheet.value
    per_token = value("t_compute_s") / value("pass_tokens")
    return float(roofline.balance_pass_tokens(value("t_memory_s"), per_token))


def _ratio(side: Side, state: State, result: Ratio | None) -> tuple[Figure, ...]:
    rows = through(BATCHES if state.batch <= BATCHES[-1] else doubling(1, state.batch), state.batch)
    grid = np.union1d(np.geomspace(rows[0], rows[-1], POINTS), rows)
    lengths = (1, state.prompt_tokens)
    short, long = (ask(side, state, beyond=True, batch=grid, pass_tokens=n) for n in lengths)
    panel = ratio_panel(short, long)
    if panel is None:
        return ()
    output, into = (pass_asked(side, state, batch=rows, pass_tokens=n) for n in lengths)
    return (
        Figure(
            key="ratio",
            chart=panel,
            command="\n".join(pass_command(side, state, batch=rows, pass_tokens=n) for n in lengths),
            call=f"import headway\n\noutput = {output}\ninput_ = {into}\n"
            "print(input_.tokens_per_s / output.tokens_per_s)",
            result=result,
            names=("output_over_input",),
            present=state.batch,
            rows=rows,
            caption="both passes carry the same batch, and the price of the machine cancels",
        ),
    )


def _answer(decode: Pass, prompt: Pass) -> str:
    """What the two tokens cost, in a sentence."""
    out, into = decode.cost_per_token_usd, prompt.cost_per_token_usd
    times = format_si(float(ratio_sheet(decode, prompt).value("output_over_input")), "1")
    batch, tokens = float(prompt.batch), float(prompt.pass_tokens)
    at = f"At a batch of {batch:,.0f} an output token costs {times} times one of a prompt of {tokens:,.0f}"
    if out is None:
        return f"{at}; the price of the machine is not known."
    return f"{at}: {format_si(float(out), 'USD/token')} against {format_si(float(into), 'USD/token')}."


def _why(decode: Pass, prompt: Pass) -> str:
    """What binds at either end."""
    short, long = (words.BOUND[str(np.ravel(one.bound)[0])] for one in (decode, prompt))
    batch, tokens = float(prompt.batch), float(prompt.batch) * float(prompt.pass_tokens)
    text = (f"The pass of one token is bound by {short}, which serves {batch:,.0f} tokens; the pass of the prompt is "
            f"bound by {long}, which serves {tokens:,.0f}.")  # fmt: skip
    knee = balance_tokens(prompt)
    if knee is None or knee <= 1:
        return text
    return (
        f"{text} Memory's share falls with the length of the pass, until arithmetic takes over at {knee:,.0f} tokens."
    )


def _facts(decode: Pass, prompt: Pass) -> tuple[tuple[str, str], ...]:
    facts = [("a pass of 1 token", format_si(float(decode.step_s), "s")),
             ("a pass of the prompt", format_si(float(prompt.step_s), "s")),
             ("arithmetic in use, prompt", f"{float(prompt.mfu):.1%}")]  # fmt: skip
    tokens = balance_tokens(prompt)
    return (*facts, *((("arithmetic takes over at", format_si(tokens, "tokens")),) if tokens is not None else ()))
