"""Machines by generation: what moved from one to the next, and what did not."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from headway import generations as machines
from headway.catalog import vocabulary
from headway.figures.machines import QUANTITIES, machine_dots
from headway.generations import Generation, generation
from headway.hardware import changed_system
from headway.units import format_si
from headway.web import controls
from headway.web.board import Board, Column, Figure
from headway.web.library import settled
from headway.web.state import Side, State


def board(state: State) -> Board:
    """Ridge, drain, links and the largest model, over the catalog."""
    columns = tuple(_column(key, side, state) for key, side in state.sides.items())
    question = "From one generation of machines to the next, what moved and what did not?"
    return Board("Generations", question, (controls.single_chips(state),), columns)


@functools.cache
def _catalogued(chips: bool) -> tuple[Generation, ...]:
    return tuple(machines.generations(chips=chips))


def _column(key: str, side: Side, state: State) -> Column:
    changes = _changes(side)
    _, system, _ = settled(side)
    mine = generation(changed_system(system, changes))
    others = [other for other in _catalogued(state.chips) if other.system.name != system.name]
    without = [f"{name} is no figure of a machine, and changes nothing here" for name, _ in side.changes
               if name not in changes]  # fmt: skip
    return Column(
        key=key,
        heading=system.name + (", with changed numbers" if changes else ""),
        controls=controls.of_side(key, side, model=False),
        answer=_answer(mine),
        why=_why(mine, others),
        facts=_facts(mine),
        assumptions=("one scale-up domain of each machine; dense peaks and data-sheet rates",
                     "the largest model is at fp8 and leaves half of the usable memory to KV cache",
                     "a launch of which only the year is known is drawn in its middle; \"no date\" is no known year",
                     *without),
        figures=tuple(_figure(key, side, state, mine, others, quantity) for quantity in QUANTITIES),
        given=mine,
    )  # fmt: skip


def _changes(side: Side) -> dict[str, str]:
    """The changes that are of a machine; those of a model or of a pass stay with the boards that have one."""
    figures = {name for name, word in vocabulary().items() if {"accelerator", "system"} & set(word.of)}
    return {name: value for name, value in side.changes if name in figures}


def _figure(
    key: str, side: Side, state: State, mine: Generation, others: Sequence[Generation], quantity: str
) -> Figure:
    changed = _changes(side)
    changes = f", {changed!r}" if changed else ""
    call = ("from headway.generations import generation, generations\nfrom headway.hardware import load_system\n\n"
            f"chosen = generation(load_system({side.on!r}{changes}))\n"
            f"for one in [*generations(chips={state.chips}), chosen]:\n"
            f"    print(one.system.name, one.value({quantity!r}))")  # fmt: skip
    listed = mine.system.name in {one.system.name for one in _catalogued(state.chips)} and not changed
    command = "headway catalog generations" + (" --chips" if state.chips else "")
    command = command if listed else f"# without {mine.system.name} as it is here, which the Python has\n{command}"
    dots = machine_dots([*others, mine], quantity, mine.system.name, key)
    return Figure(quantity, dots, command, call, mine, (quantity,))


def _text(machine: Generation, quantity: str, unit: str) -> str:
    value = machine.value(quantity)
    return "not known" if value is None else format_si(float(value), unit)


def _answer(mine: Generation) -> str:
    """What is known of the machine, in a sentence; what is not known is named at its end."""
    parts = {
        "ridge_bf16": "{} multiply-adds in the time that one parameter is read",
        "drain_s": "a memory that drains in {}",
        "scaleup_over_scaleout": "links inside {} times as fast as those out of it",
        "largest_model_params": "room for a model of {}",
    }
    units = {"drain_s": "s", "largest_model_params": "params"}
    known = [told.format(_text(mine, name, units.get(name, "1"))) for name, told in parts.items()
             if mine.value(name) is not None]  # fmt: skip
    gaps = {"ridge_bf16": "its ridge at bf16", "drain_s": "its drain time",
            "scaleup_over_scaleout": "how its links compare", "largest_model_params": "its largest model"}  # fmt: skip
    missing = [gaps[name] for name in parts if mine.value(name) is None]
    after = f"; {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not known" if missing else ""
    return f"{mine.system.name}: {', '.join(known)}{after}."


def _why(mine: Generation, others: Sequence[Generation]) -> str:
    """How far the machines of the catalog are apart."""
    told = []
    for quantity, name, unit in (("ridge_bf16", "the ridge", "1"), ("drain_s", "the drain time", "s"),
                                 ("largest_model_params", "the largest model", "params")):  # fmt: skip
        values = [float(v) for v in (other.value(quantity) for other in (*others, mine)) if v is not None]
        told.append(f"{name} from {format_si(min(values), unit)} to {format_si(max(values), unit)}")
    return f"Over the catalog: {'; '.join(told)}."


def _facts(mine: Generation) -> tuple[tuple[str, str], ...]:
    rows = (("chips in a domain", "domain_chips", "chips"), ("memory of the domain", "domain_memory_bytes", "B"),
            ("memory bandwidth, a chip", "bandwidth_bytes_per_s", "B/s"), ("ridge, fp8", "ridge_fp8", "1"),
            ("power, a chip", "chip_power_w", "W"))  # fmt: skip
    return tuple((label, _text(mine, name, unit)) for label, name, unit in rows)
