"""The question asked of a pass, and every number that the answer is made from.

Each input is written down once, with its origin: the question's own axes, the model's figures, the system's, and the
defaults. The user's changes take the place of any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headway.catalog import vocabulary
from headway.catalog.entries import LARGEST, SMALLEST
from headway.catalog.store import defaults
from headway.errors import BadInput, UnknownName, shown
from headway.hardware import System, changed_system
from headway.model.config import changed_config
from headway.model.dtypes import dtype
from headway.model.model import Model
from headway.provenance import Origin, Quantity
from headway.step.layout import DEGREES, Layout
from headway.units import parse

# What the blackboard leaves out, by name, and what each adds. The first three need no operators.
REFINED = {
    "expert-hits": "a small batch does not touch every expert",
    "attention": "scores and values are arithmetic too",
    "communication": "exchanges between chips, as far as nothing hides them",
    "activations": "what operators read and write beside weights and cache",
    "logits": "the head multiplies only tokens whose successor is asked for",
    "imbalance": "the busiest expert rank decides",
    "formats": "each part is multiplied at the rate of its own format",
    "operators": "operators follow each other: each takes the longer of its own arithmetic and traffic",
}
REFINEMENTS = tuple(REFINED)
PLAIN_REFINEMENTS = REFINEMENTS[:3]
AXES = ("batch", "context_tokens", "pass_tokens")
_FIXED = {
    "one_sequence",
    "one_token",
    "no_width",
    "sub_batches",
    "overlap_share",
    "chunk_tokens",
    "chunk_context_tokens",
    *DEGREES,
}  # on the worksheet, and not to be set
# Figures of a system that a pass uses, under the names they have on the worksheet.
_FROM_SYSTEM = ("bandwidth_bytes_per_s", "memory_bytes", "scaleup_bytes_per_s", "rental_usd_per_s")
_MAY_BE_ZERO = {"t_comm_s", "t_overhead_s", "lookup_params", "kv_bytes_per_token", "rental_usd_per_s",
                "routed_params", "moe_layers"}  # fmt: skip
_ALSO_ZERO = ("expansion_flop_per_token", "kv_bytes_per_token", "state_bytes", "state_flop")


@dataclass(frozen=True)
class Question:
    """What is asked of a model and a system; the only place where these defaults are written."""

    batch: Any = 8
    context_tokens: Any = 4000
    pass_tokens: Any = 1
    refine: tuple[str, ...] = ()
    beyond_memory: bool = False
    # The operators are taken one by one where there is a layout, a refinement that needs them, or a wish to see them.
    layout: Layout | None = None
    degrees: Mapping[str, Any] | None = None  # of the layout; arrays where many are asked for at once
    by_operator: bool = False
    chunk_tokens: float = 0.0
    chunk_context_tokens: float = 0.0
    overlap: float | str = 0.0
    sends: str = "each"  # every expert's copy alone, or "domain": one for each domain, of at most so many
    domains_per_token: int = 0
    act_dtype: str = ""
    draft: Draft | None = None
    handed_over: bool = False
    aligned: bool = False  # the axes are arrays of one shape, point by point, and no grid

    def __post_init__(self) -> None:
        """The degrees of a layout; what makes no sense is refused."""
        self._check()
        if self.layout is not None and self.degrees is None:
            degrees = {name: float(getattr(self.layout, name)) for name in (*DEGREES, "redundant_experts")}
            object.__setattr__(self, "degrees", degrees)

    def _check(self) -> None:
        if isinstance(self.overlap, str) and self.overlap != "two-batch":
            raise BadInput(f"overlap is two-batch, or a share from 0 to 1, found {shown(self.overlap)}")
        if not isinstance(self.overlap, str) and not 0 <= self.overlap <= 1:
            raise BadInput(f"the share of communication that is hidden must be from 0 to 1, found {self.overlap:g}")
        if self.domains_per_token and self.sends != "domain":
            raise BadInput("a limit of domains for a token needs sends domain")
        if not 0 <= self.domains_per_token <= LARGEST:
            raise BadInput(f"domains_per_token must be 1 or more, found {self.domains_per_token}")
        if self.sends not in ("each", "rank", "domain"):
            raise BadInput(f"sends is each, rank or domain, found {shown(self.sends)}")
        for name, least in (("chunk_tokens", 0), ("chunk_context_tokens", 0)):
            if not least <= getattr(self, name) <= LARGEST:
                raise BadInput(f"{name} must be from {least} to {LARGEST:g}, found {getattr(self, name):g}")
        if self.chunk_context_tokens and not self.chunk_tokens:
            raise BadInput("the context of a chunk needs a chunk")
        if self.act_dtype:
            dtype(self.act_dtype)
        self._check_together()

    def _check_together(self) -> None:
        """Refuse what has no effect, or no meaning, beside the rest."""
        laid = self.layout is not None or self.degrees is not None
        if (self.overlap or self.handed_over or self.draft) and not laid:
            raise BadInput("overlap, drafts and disaggregation need a layout, such as --layout tp8")
        if self.handed_over and np.any(np.asarray(self.pass_tokens) == 1):
            raise BadInput("the cache is handed over after a prefill; give its pass length, such as --pass 4k")

    @property
    def detailed(self) -> bool:
        """Whether the pass is taken apart into operators."""
        beside = self.chunk_tokens or self.overlap or self.draft or self.act_dtype or self.handed_over
        return bool(self.by_operator or self.degrees is not None or beside) or any(
            name not in PLAIN_REFINEMENTS for name in self.refine
        )

    @property
    def sub_batches(self) -> int:
        """Parts of the batch that go through one after the other, each hiding the other's messages."""
        return 2 if self.overlap == "two-batch" else 1

    @property
    def verifies(self) -> bool:
        """Whether the pass verifies drafted tokens."""
        return self.draft is not None


@dataclass(frozen=True)
class Draft:
    """Speculation: who drafts, how many tokens, and how often one is kept.

    A module of the model itself (`own`) shares its embedding and its head.
    """

    model: Model
    tokens: float
    acceptance: float
    own: bool = False

    @property
    def who(self) -> str:
        """Who drafts, in words."""
        return f"{self.tokens:g} decoding pass{'es' * (self.tokens != 1)} of {self.model.name}"


def given(model: Model, system: System, asked: Question, changes: dict[str, object]) -> list[Quantity]:
    """Every input of the pass with its origin, the user's changes put in their place."""
    asked_for = Origin("user", "the question")
    shaped = [
        _checked(getattr(asked, axis), axis) if asked.aligned else _along(getattr(asked, axis), position, axis)
        for position, axis in enumerate(AXES)
    ]
    quantities = [
        Quantity(axis, values, "tokens" if axis.endswith("tokens") else "sequences", asked_for)
        for axis, values in zip(AXES, shaped, strict=True)
    ]
    quantities.append(Quantity("one_sequence", 1.0, "sequences", Origin("default", "what one more sequence adds")))
    quantities += model.quantities()
    quantities.append(Quantity("chips", float(system.chips), "chips", Origin("user", f"--on {system.name}")))
    quantities.append(system.peak(model.weight_dtype))
    quantities += [system.figure(name) for name in _FROM_SYSTEM]
    quantities += defaults().values()
    of_operators = _of_operators(model, system, {quantity.name for quantity in quantities})
    known = {quantity.name for quantity in (*quantities, *of_operators)} - _FIXED
    for name in changes:
        if name not in known:
            raise UnknownName("quantity to set", name, known)
    if asked.detailed:
        quantities += [*of_operators, *_of_layout(asked)]
    changed = [_as_array(_changed(quantity, changes)) for quantity in quantities]
    _check_parts(changed)
    return changed


def changeable(model: Model, system: System) -> list[str]:
    """Names that `changes` may use: every given quantity of the worksheet, those of the operators among them."""
    asked = Question(by_operator=True)
    return [q.name for q in given(model, system, asked, {}) if q.name not in _FIXED]


def _of_operators(model: Model, system: System, known: set[str]) -> list[Quantity]:
    """What only the operators need: the format of each part, links between domains, and the defaults of layouts."""
    parts = [
        Quantity(f"{part}_bytes_per_param", stored.bytes_per_param, "B", model.noted(f"{part} in {stored.dtype.name}"))
        for part, stored in model.storage.items()
    ]
    return [one for one in (*parts, *defaults("layout").values()) if one.name not in known]


def _of_layout(asked: Question) -> list[Quantity]:
    """The degrees of the layout, what rides along, and the fixed ones of every pass."""
    said = Origin("user", f"the layout {asked.layout.text}" if asked.layout else "the layout")
    fixed = Origin("default", "by definition")
    rows = [Quantity(name, value, "1", said) for name, value in (asked.degrees or {}).items()]
    rows += [Quantity("one_token", 1.0, "tokens", fixed), Quantity("no_width", 0.0, "1", fixed)]
    share = 0.0 if isinstance(asked.overlap, str) else float(asked.overlap)
    parts = "asked_parts" if asked.degrees is not None else "sub_batches"
    rows += [Quantity(parts, float(asked.sub_batches), "1", Origin("user", "the overlap")),
             Quantity("overlap_share", share, "1", Origin("user", "the overlap"))]  # fmt: skip
    if asked.chunk_tokens:
        told = Origin("user", "the chunk of a prompt that rides along")
        rows += [Quantity("chunk_tokens", asked.chunk_tokens, "tokens", told),
                 Quantity("chunk_context_tokens", asked.chunk_context_tokens, "tokens", told)]  # fmt: skip
    return rows


def _as_array(quantity: Quantity) -> Quantity:
    """Plain numbers as NumPy's, whose division by zero is infinity and no exception."""
    value = quantity.value
    return quantity if value is None else replace(quantity, value=np.float64(value) if np.ndim(value) == 0 else value)


def _check_parts(quantities: list[Quantity]) -> None:
    """Refuse a part that is larger than its whole, which only a change of single inputs can bring about."""
    value = {quantity.name: quantity.value for quantity in quantities}
    for part, whole in _PARTS:
        wholes = [value[name] for name in whole]
        if value[part] is None or None in wholes:
            continue
        limit = wholes[0] - sum(wholes[1:])
        if value[part] > limit:
            raise BadInput(f"{part} ({value[part]:g}) cannot exceed {' - '.join(whole)} ({limit:g})")


_PARTS = (
    ("lookup_params", ("total_params",)),
    ("active_params", ("total_params",)),
    ("routed_params", ("total_params", "lookup_params")),
    ("experts_per_token", ("n_experts",)),
    ("moe_layers", ("n_layers",)),
)


def _checked(asked: Any, axis: str) -> Any:
    """An axis of many passes, point by point."""
    values = np.asarray(asked, dtype=float)
    least = 0 if axis == "context_tokens" else 1
    if not np.all(np.isfinite(values)) or np.any(values < least) or np.any(values > LARGEST):
        raise BadInput(f"{axis} must be from {least} to {LARGEST:g} everywhere")
    return values


def _along(asked: Any, position: int, axis: str) -> Any:
    """One axis of the grid: a list lies along its own dimension, a single number along none."""
    least = 0 if axis == "context_tokens" else 1
    try:
        values = np.asarray(asked, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"{axis} must be a number or a list of numbers") from None
    if values.ndim > 1 or values.size == 0:
        raise BadInput(f"{axis} must be a number or a list of numbers")
    if not np.all(np.isfinite(values)) or np.any(values < least) or np.any(values > LARGEST):
        raise BadInput(f"{axis} must be from {least} to {LARGEST:g}, found {shown(values.tolist())}")
    if values.ndim == 0:
        return np.float64(values)
    return values.reshape([-1 if i == position else 1 for i in range(len(AXES))])


def _array(values: np.ndarray[Any, Any], name: str) -> Any:
    """An input as an array that broadcasts with the grid (batch, context, pass length), or adds axes before it."""
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise BadInput(f"{name} must be a number or an array of numbers, found {shown(values)}") from None


def _changed(quantity: Quantity, changes: Mapping[str, object]) -> Quantity:
    if quantity.name not in changes:
        return quantity
    if quantity.name in AXES:
        option = {"batch": "--batch", "context_tokens": "--context", "pass_tokens": "--pass"}[quantity.name]
        raise BadInput(f"{quantity.name} is set with {option}")
    if quantity.name == "chips":
        raise BadInput("chips is set with the system, such as --on h100-sxm:16")
    text = changes[quantity.name]
    value = _array(text, quantity.name) if isinstance(text, np.ndarray) else parse(text, quantity.unit)
    least = 0.0 if quantity.name in _MAY_BE_ZERO or quantity.name.endswith(_ALSO_ZERO) else SMALLEST
    most = 1.0 if quantity.name == "usable_memory_fraction" else LARGEST
    if not np.all((least <= value) & (value <= most)) or np.any((value > 0) & (value < SMALLEST)):
        asked = ("0 or more" if least == 0 else "positive") if most == LARGEST else "above 0 and at most 1"
        raise BadInput(f"{quantity.name} must be {asked}, found {shown(text)}")
    return Quantity(quantity.name, value, quantity.unit, Origin("user", f"--set {quantity.name}={text}"))


def read_refinements(names: str | Iterable[str], known: Sequence[str] = REFINEMENTS) -> tuple[str, ...]:
    """Refinements as people name them: a name, several with commas, `all`, or `none`.

    >>> read_refinements("attention,expert-hits"), read_refinements(["none"])
    (('attention', 'expert-hits'), ())
    """
    listed = [names] if isinstance(names, str) else list(names)
    if not all(isinstance(name, str) for name in listed):
        raise BadInput(f"refinements are names such as {known[0]}, found {shown(names)}")
    words = dict.fromkeys(word.strip() for name in listed for word in name.split(","))
    for word in words:
        if word not in (*known, "all", "none"):
            raise UnknownName("refinement", word, (*known, "all", "none"))
    return tuple(known) if "all" in words else tuple(word for word in words if word != "none")


def settle(model: Model, system: System, changes: Mapping[str, object]) -> tuple[Model, System, dict[str, object]]:
    """Apply the changes that come before the worksheet: fields of the config, figures of the chip and the system.

    A field of the config goes first: hidden_size is on the worksheet too, but changing it there alone would leave the
    parameters as they were. What is left are changes of the worksheet's own inputs.
    """
    inside = changeable(model, system)
    figures = [name for name, word in vocabulary().items() if {"accelerator", "system"} & set(word.of)]
    known = {*inside, *figures, *model.config}
    for name in changes:
        if name not in known:
            raise UnknownName("quantity to set", name, known, where="--explain names the inputs")
    fields = {name: value for name, value in changes.items() if name in model.config}
    outside = {name: value for name, value in changes.items() if name in figures and name not in (*inside, *fields)}
    rest = {name: value for name, value in changes.items() if name not in fields and name not in outside}
    return (
        changed_config(model, fields) if fields else model,
        changed_system(system, outside) if outside else system,
        rest,
    )
