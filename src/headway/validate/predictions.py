"""What a pass says of measured rows: decode steps, prefills, and the batches that fit, all at data-sheet rates.

The rules are those of a first score, so simple that each is one line:

* a decode step at the context that the row states, of as many sequences as are in flight;
* time to the first token: the prefill of one prompt alone (of the whole batch, where the batch starts together);
* a saturated server: the largest batch that fits at full length, all its prompts prefilled, then its steps;
* an open loop: as many in flight as Little's law says, at most those that fit.

Rows of one model on one machine are answered by one call over arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from headway.errors import HeadwayError, MissingFact
from headway.step.question import REFINEMENTS
from headway.units import format_si
from headway.validate.cases import WITH_PROMPT, Case, case_of
from headway.validate.filling import NotPredicted
from headway.validate.in_flight import in_flight_bytes
from headway.validate.measured import Row

Array = np.ndarray[Any, Any]
Steps = Callable[..., Mapping[str, Array]]
NODE_CHIPS = 8  # of what the rows call a node
GRID = 96  # numbers in flight at which an open loop is looked at
_HAS_PROMPT = (*WITH_PROMPT, "mfu")
_WANTED = ("step_s", "t_compute_s", "weights_bytes", "chip_needed_bytes", "chip_activation_bytes",
           "runtime_reserve_bytes", "refusal")  # fmt: skip


@dataclass(frozen=True)
class Prediction:
    """A row with what headway predicts for it, in the unit of the row; or why it predicts nothing."""

    row: Row
    predicted: float | None = None
    reason: str = ""
    detail: str = ""
    case: Case | None = None
    account: Mapping[str, float] = field(default_factory=dict)

    @property
    def error(self) -> float | None:
        """Predicted over measured, less 1."""
        return None if self.predicted is None else self.predicted / self.row.value - 1

    @property
    def told(self) -> str:
        """The prediction in a line: the passes that it is made of."""
        told = self.account
        parts = []
        if "step_s" in told:
            parts.append(f"step of {told['in_flight']:,.0f} sequences at {told['context']:,.0f} tokens "
                         f"{format_si(told['step_s'], 's')}")  # fmt: skip
        if "prefill_s" in told:
            parts.append(f"prefill of {told['prompts']:,.0f} x {told['prompt']:,.0f} tokens "
                         f"{format_si(told['prefill_s'], 's')}")  # fmt: skip
        return "; ".join(parts)


def predict(
    rows: Iterable[Row], *, refine: Sequence[str] = REFINEMENTS, steps: Steps | None = None
) -> tuple[Prediction, ...]:
    """A prediction for every row, in the order of the rows.

    `refine` names what is counted beyond the blackboard. `steps` is the step model (`headway.step.many.steps`).
    """
    if steps is None:
        from headway.step.many import steps as real  # noqa: PLC0415

        steps = real
    found: dict[int, Prediction] = {}
    groups: dict[tuple[Any, ...], list[tuple[int, Case]]] = {}
    listed = list(rows)
    for place, row in enumerate(listed):
        try:
            case = case_of(row)
        except NotPredicted as why:
            found[place] = Prediction(row, reason=why.reason, detail=why.detail)
        else:
            groups.setdefault(
                (id(case.model), id(case.system), case.load == "open", case.laid.padded_heads, case.overlap), []
            ).append((place, case))
    for members in groups.values():
        cases = [case for _, case in members]
        for (place, _), answer in zip(members, _answered(cases, refine, steps), strict=True):
            found[place] = answer
    return tuple(found[place] for place in range(len(listed)))


def _answered(cases: Sequence[Case], refine: Sequence[str], steps: Steps) -> list[Prediction]:
    """The predictions of cases that share model, machine and kind of loop; what the step model lacks is a reason."""
    try:
        return _Group(cases, tuple(refine), steps).predictions()
    except NotPredicted as why:
        return [Prediction(case.row, reason=why.reason, detail=why.detail, case=case) for case in cases]
    except MissingFact as gap:
        return [Prediction(case.row, reason="a figure of the machine is not known", detail=str(gap), case=case)
                for case in cases]  # fmt: skip
    except HeadwayError as error:
        if len(cases) > 1:  # one of them is at fault, and the others have an answer
            return [_answered([case], refine, steps)[0] for case in cases]
        return [Prediction(cases[0].row, reason="refused by the step model", detail=str(error), case=cases[0])]


class _Group:
    """Cases of one model on one machine, as arrays of one value for each case."""

    def __init__(self, cases: Sequence[Case], refine: tuple[str, ...], steps: Steps) -> None:
        self.cases, self.refine, self.steps = cases, refine, steps
        self.prompt, self.output, self.context, self.earlier, self.batch, self.rate, self.most = (
            np.array([getattr(case, name) for case in cases], dtype=float)
            for name in ("prompt", "output", "context", "earlier", "batch", "rate_per_s", "most")
        )
        self.load = np.array([case.load for case in cases])
        self.overlap = {"overlap": cases[0].overlap} if cases[0].overlap else {}
        self.asked = np.array([case.asked for case in cases])
        self.degrees = {
            name: np.array([getattr(case.laid, name) for case in cases])
            for name in ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel", "context_parallel")
        }

    def ask(self, batch: Array, context: Array, pass_tokens: Array, want: tuple[str, ...]) -> Mapping[str, Array]:
        """The step model at a point for each case, or at several: then along the first axis."""
        answers: Mapping[str, Array] = self.steps(
            self.cases[0].model, self.cases[0].system, batch=batch, context_tokens=context, pass_tokens=pass_tokens,
            padded_heads=self.cases[0].laid.padded_heads, refine=self.refine, want=want, **self.overlap, **self.degrees,
        )  # fmt: skip
        return answers

    def predictions(self) -> list[Prediction]:
        """One for each case."""
        ones = np.ones_like(self.batch)
        longest = np.maximum(self.context, self.earlier + self.prompt + self.output - 1)
        capacity = np.floor(np.asarray(self.ask(ones, longest, ones, ("largest_batch",))["largest_batch"]))
        capacity = np.broadcast_to(np.nan_to_num(capacity, posinf=1e9), ones.shape)
        held = np.minimum(np.maximum(capacity, 1.0), self.most)
        flying = self.in_flight(held)
        prompts = self.prompts(flying)
        alone = np.maximum(self.prompt, 1.0)
        at = self.ask(
            np.stack([flying, prompts, flying, held, held]),
            np.stack([self.context, self.earlier, longest, self.context, self.earlier]),
            np.stack([ones, alone, ones, ones, alone]),
            _WANTED,
        )
        every = {name: np.broadcast_to(at[name], (5, len(self.cases))) for name in _WANTED}
        return [
            self.prediction(i, (flying[i], prompts[i], held[i]), capacity[i], {n: v[:, i] for n, v in every.items()})
            for i in range(len(self.cases))
        ]

    def in_flight(self, held: Array) -> Array:
        """Sequences in flight: those of a batch, as many users as fit, as many as fit, or those of Little's law."""
        flying = np.select(
            [self.load == "static", self.load == "closed"], [self.batch, np.minimum(self.batch, held)], held
        )
        if np.all(self.load == "open"):
            flying = self.by_littles_law(held)
        found: Array = np.maximum(flying, 1.0)
        return found

    def by_littles_law(self, held: Array) -> Array:
        """In flight = rate x time in the server, which grows with those in flight; at most as many as fit.

        The least number at which no fewer leave than arrive, between two points of a grid.
        """
        ones = np.ones_like(held)
        grid = held ** np.linspace(0.0, 1.0, GRID)[:, None]
        step = np.broadcast_to(self.ask(grid, self.context, ones, ("step_s",))["step_s"], grid.shape)
        first = np.broadcast_to(self.ask(ones, self.earlier, np.maximum(self.prompt, 1.0), ("step_s",))["step_s"],
                                held.shape)  # fmt: skip
        with np.errstate(invalid="ignore"):  # of a refused layout, whose time is infinite
            needed = self.rate * (first + (self.output - 1) * step)
        flying = held.copy()
        for i in range(held.size):
            enough = np.flatnonzero(grid[:, i] >= needed[:, i])
            if enough.size:
                k = enough[0]
                flying[i] = needed[0, i] if k == 0 else np.interp(
                    0.0, grid[k - 1 : k + 1, i] - needed[k - 1 : k + 1, i], grid[k - 1 : k + 1, i]
                )  # fmt: skip
        return flying

    def prompts(self, flying: Array) -> Array:
        """How many prompts a prefill has: one that a user waits for, or all of those in flight."""
        waits = (self.asked == "prefill time") & (self.load != "static")
        return np.where(waits, 1.0, flying)

    def prediction(
        self, i: int, counts: tuple[float, float, float], capacity: float, at: Mapping[str, Array]
    ) -> Prediction:
        """The prediction of one case: `counts` are sequences in flight, prompts of a prefill, sequences that fit.

        Its passes are a step, a prefill, a step at full length, and a step and a prefill of as many as fit.
        """
        flying, prompts, _ = counts
        case = self.cases[i]
        refusal = str(at["refusal"][0])
        if refusal:
            return Prediction(case.row, reason="a layout that no engine can run", detail=refusal, case=case)
        needs_room = case.load in ("saturated", "open")
        if needs_room and capacity < 1:
            return Prediction(case.row, reason="does not fit", detail=_no_room(case), case=case)
        of_prefill = case.asked in ("prefill time", "prefill rate") or (
            case.asked == "mfu" and case.row.text("phase") == "prefill"
        )
        step, prefill = float(at["step_s"][0]), float(at["step_s"][1])
        account = {"in_flight": flying, "prompts": prompts}
        account |= {"prefill_s": prefill, "prompt": case.prompt} if case.asked in _HAS_PROMPT and case.prompt else {}
        account |= {} if of_prefill else {"step_s": step, "context": case.context}
        value = _answer(case, counts, 1 if of_prefill else 0, at)
        predicted = value / case.si_per_unit
        if not (np.isfinite(predicted) and predicted > 0):
            return Prediction(case.row, reason="no finite answer", case=case)
        return Prediction(case.row, predicted, case=case, account=account)


def _no_room(case: Case) -> str:
    length = f"{case.prompt:,.0f} + {case.output:,.0f} tokens"
    return f"no sequence of {length} fits beside the weights: {case.laid.text} on {case.system.name}"


def _answer(case: Case, counts: tuple[float, float, float], phase: int, at: Mapping[str, Array]) -> float:
    """What the row asks for, in SI, from the times of its passes."""
    flying, prompts, held = counts
    step, prefill, _, full_step, full_prefill = map(float, at["step_s"])
    whole = prefill + (case.output - 1) * step  # the first token of an answer comes out of the prefill
    match case.asked:
        case "decode time":
            return step
        case "64 steps":
            return 64 * step
        case "prefill time":
            return prefill
        case "request time":
            return whole
        case "decode rate":
            return _per(case, flying / step, flying)
        case "prefill rate":
            return _per(case, prompts * case.prompt / prefill, prompts)
        case "output rate":
            rate = flying * case.output / whole
            if case.load == "open":  # what arrives, at most what a server can do that is full
                most = held / (full_prefill + (case.output - 1) * full_step)
                rate = min(case.rate_per_s, most) * case.output
            return _per(case, rate, flying)
        case "mfu":
            return float(at["t_compute_s"][phase] / at["step_s"][phase])
        case "weight bandwidth":
            return float(at["weights_bytes"][0]) / step
        case "memory":
            used = at["chip_needed_bytes"] - at["runtime_reserve_bytes"]  # as an allocator counts it
            ahead = in_flight_bytes(case.row, case.model, prompts * case.prompt) / case.laid.chips
            prefilling = used[1] + max(0.0, ahead - float(at["chip_activation_bytes"][1]))
            return _of_chips(case, float(max(prefilling, used[2])))  # in the prefill, or at the end
    raise AssertionError(case.asked)


def _per(case: Case, of_one_server: float, sequences: float) -> float:
    """A rate of one server as the row gives it: of a chip, a node, a user, or of all chips."""
    per = case.row.text("per").lower()
    if per == "user":
        return of_one_server / sequences
    rate = of_one_server * case.laid.servers
    return _of_chips(case, rate / case.chips)


def _of_chips(case: Case, of_one: float) -> float:
    """What one chip has, of as many as the row counts: a chip, a node, or all."""
    return of_one * {"chip": 1, "node(8)": NODE_CHIPS}.get(case.row.text("per").lower(), case.chips)
