"""Cost against the length of a pass: decode at its left end, a prompt on its floor, and the ratio between them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from headway import words
from headway.equations import roofline
from headway.figures import TERMS, TWO_TERMS, Mark, Panel, ratio_panel, ratio_sheet, roofline_panels
from headway.provenance import Worksheet
from headway.step.first_order import Pass
from headway.units import format_si
from headway.web import controls
from headway.web.asked import asked_or_why, doubling, heading, pass_call, pass_command
from headway.web.board import Board, Column, Figure
from headway.web.state import Side, State

LONGEST = 2**16
WIDEST = 2**14
LENGTHS = doubling(1, LONGEST)


@dataclass(frozen=True)
class Ratio:
    """The worksheet behind the ratio of two costs."""

    sheet: Worksheet


def board(state: State) -> Board:
    """Why a prompt's token is cheaper than an answer's."""
    moved = (controls.slider(state, "prompt"), controls.slider(state, "batch"), controls.slider(state, "context"),
             controls.terms(state), controls.refinements(state))  # fmt: skip
    columns = tuple(_column(key, side, state) for key, side in state.sides.items())
    return Board("Pass length", "Why is input cheaper than output, and by how much?", moved, columns)


def _column(key: str, side: Side, state: State) -> Column:
    decode, no_decode = asked_or_why(side, state, pass_tokens=1)
    prompt, no_prompt = asked_or_why(side, state, pass_tokens=state.prompt_tokens)
    along, _ = asked_or_why(side, state, pass_tokens=LENGTHS)
    both = decode is not None and prompt is not None
    return Column(
        key=key,
        heading=heading(side),
        controls=controls.of_side(key, side),
        answer=_answer(decode, prompt) if decode and prompt else no_decode or no_prompt,
        why=words.why(prompt) if prompt and both else "",
        refused=not both,
        facts=_facts(decode, prompt) if decode and prompt else (),
        assumptions=tuple(words.assumed(prompt)) if prompt else (),
        figures=(*_cost(side, state, along, prompt), *_ratio(side, state, decode, prompt)),
        given=prompt or decode or along,
    )


def _cost(side: Side, state: State, along: Pass | None, prompt: Pass | None) -> tuple[Figure, ...]:
    panels = [] if along is None else roofline_panels(along, cost_terms=TERMS if state.terms else TWO_TERMS)[1:]
    return tuple(
        Figure("cost", _with_balance(panel, prompt), pass_command(side, state, pass_tokens=LENGTHS),
               pass_call(side, state, "cost_per_token_usd", pass_tokens=LENGTHS), prompt,
               ("cost_per_token_usd", "step_s", "t_compute_s", "t_memory_s"), state.prompt_tokens)
        for panel in panels
    )  # fmt: skip


def _with_balance(panel: Panel, prompt: Pass | None) -> Panel:
    """The place where arithmetic takes over, where it has one in closed form."""
    tokens = None if prompt is None else balance_tokens(prompt)
    return panel if tokens is None else replace(panel, marks=(Mark("arithmetic takes over", x=tokens), *panel.marks))


def balance_tokens(prompt: Pass) -> float | None:
    """The pass length at which arithmetic and memory traffic take the same time; None where both grow with it."""
    if not prompt.model.cache_is_plain or "attention" in prompt.question.refine:
        return None
    value = prompt.sheet.value
    per_token = value("t_compute_s") / value("pass_tokens")
    return float(roofline.balance_pass_tokens(value("t_memory_s"), per_token))


def _ratio(side: Side, state: State, decode: Pass | None, prompt: Pass | None) -> tuple[Figure, ...]:
    grid = np.union1d(np.geomspace(1, max(WIDEST, state.batch), 160), [state.batch])
    short, long = (
        asked_or_why(side, state, beyond=True, batch=grid, pass_tokens=n)[0] for n in (1, state.prompt_tokens)
    )
    panel = ratio_panel(short, long) if short and long else None
    if panel is None or not panel.curves:
        return ()
    reach = doubling(1, WIDEST)
    command, call = (
        making(side, state, *quantity, batch=reach, pass_tokens=1)
        for making, quantity in ((pass_command, ()), (pass_call, ("cost_per_token_usd",)))
    )
    longer = pass_command(side, state, batch=reach, pass_tokens=state.prompt_tokens)
    result = None
    if decode is not None and prompt is not None:
        how = (f"pass of 1 token: {pass_command(side, state, pass_tokens=1)}",
               f"pass of a prompt: {pass_command(side, state, pass_tokens=state.prompt_tokens)}")  # fmt: skip
        result = Ratio(ratio_sheet(decode, prompt, how))
    return (
        Figure("ratio", panel, f"{command}\n{longer}", _both(call, state), result, ("output_over_input",), state.batch,
               caption=f"both passes carry the same batch; the prompt's {state.prompt_tokens:,.0f} tokens each"),
    )  # fmt: skip


def _both(call: str, state: State) -> str:
    """The call for decode turned into the ratio of two."""
    imports, _, rest = call.partition("passes = ")
    asked, _, _ = rest.rpartition("\nprint(")
    prompt = asked.replace("pass_tokens=1)", f"pass_tokens={state.prompt_tokens:.0f})")
    return f"{imports}output = {asked}\ninput_ = {prompt}\nprint(output.cost_per_token_usd / input_.cost_per_token_usd)"


def _answer(decode: Pass, prompt: Pass) -> str:
    """What the two tokens cost, in a sentence."""
    out, into = decode.cost_per_token_usd, prompt.cost_per_token_usd
    lengths = f"a pass of {float(prompt.pass_tokens):,.0f} tokens of each of {float(prompt.batch):,.0f} sequences"
    if out is None:
        times = float(decode.step_s) * float(prompt.pass_tokens) / float(prompt.step_s)
        return f"An output token takes {_times(times)} the time of an input token, in {lengths}; the cost is not known."
    return (f"An output token costs {_times(float(out / into))} an input token: {format_si(float(out), 'USD/token')} "
            f"against {format_si(float(into), 'USD/token')} in {lengths}.")  # fmt: skip


def _times(value: float) -> str:
    return f"{format_si(value, '1')} times"


def _facts(decode: Pass, prompt: Pass) -> tuple[tuple[str, str], ...]:
    facts = [("a pass of 1 token", format_si(float(decode.step_s), "s")),
             ("a pass of the prompt", format_si(float(prompt.step_s), "s")),
             ("arithmetic in use, prompt", f"{float(prompt.mfu):.1%}")]  # fmt: skip
    tokens = balance_tokens(prompt)
    return (*facts, *((("arithmetic takes over at", format_si(tokens, "tokens")),) if tokens is not None else ()))
