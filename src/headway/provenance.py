"""Where a number came from: every result keeps the worksheet it was computed on.

A worksheet is a list of named quantities. A quantity is either *given* (by the catalog, a config, the user, a default)
and then has an origin with its references, or *computed* by an equation from quantities already on the sheet. Nothing
is recomputed in another way to be explained: `headway.explain` reads the
sheet, and so does the error model, which passes errors along the same arrows.

A quantity that no source gives stays on the sheet as a gap with its reason. What depends on a gap is a gap too, and
says which figure is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from headway.errors import MissingFact
from headway.uncertainty import EXACT, LogError, inherit, unmeasured

Kind = Literal["catalog", "claim", "config", "user", "default", "calibration", "equation"]


@dataclass(frozen=True, slots=True)
class Reference:
    """A page that was read: where (its address, or its title if it has none), and when somebody last looked."""

    where: str
    checked: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Who says so."""

    kind: Kind
    where: str
    references: tuple[Reference, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A named number or array in the SI unit stated, and its origin. `value` is None for a gap."""

    name: str
    value: Any
    unit: str
    origin: Origin
    gap: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A quantity on a worksheet; a computed one remembers its equation and what it was computed from."""

    quantity: Quantity
    equation: Callable[..., Any] | None = None
    arguments: dict[str, str] = field(default_factory=dict)
    own_error: LogError = EXACT


class Worksheet:
    """Named quantities in the order in which they were written down."""

    def __init__(self, given: Iterable[Quantity] = ()) -> None:
        self._cells: dict[str, Cell] = {}
        self._errors: dict[str, LogError] = {}
        for quantity in given:
            self.give(quantity)

    def give(self, quantity: Quantity, error: LogError = EXACT) -> Any:
        """Write down a quantity that came from outside; its value is returned."""
        return self._write(Cell(quantity, own_error=error))

    def compute(
        self, name: str, equation: Callable[..., Any], unit: str, arguments: str, error: LogError = EXACT
    ) -> Any:
        """Apply an equation to quantities on the sheet and write down the result.

        `arguments` names a quantity for each argument, as `parameter=quantity`, or just the name where they agree.
        """
        pairs = (word.partition("=") for word in arguments.split())
        sources = {parameter: quantity or parameter for parameter, _, quantity in pairs}
        needed = {parameter: self[source].quantity for parameter, source in sources.items()}
        gap = next((q.gap or f"{q.name} is not known" for q in needed.values() if q.value is None), "")
        value = None if gap else equation(**{parameter: q.value for parameter, q in needed.items()})
        quantity = Quantity(name, value, unit, Origin("equation", equation.__name__), gap)
        return self._write(Cell(quantity, equation, sources, error))

    def compute_all(self, rows: Iterable[tuple[str, Callable[..., Any], str, str]]) -> None:
        """Compute rows of (name, equation, unit, arguments), in order."""
        for row in rows:
            self.compute(*row)

    def _write(self, cell: Cell) -> Any:
        name = cell.quantity.name
        if name in self._cells:
            raise ValueError(f"{name} is already on the worksheet")
        self._cells[name] = cell
        return cell.quantity.value

    def drop(self, name: str) -> None:
        """Take a quantity that nothing was computed from yet off the sheet, to write it otherwise."""
        del self._cells[name]
        self._errors.clear()

    def __contains__(self, name: object) -> bool:
        return name in self._cells

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._cells.values())

    def __getitem__(self, name: str) -> Cell:
        return self._cells[name]

    def value(self, name: str) -> Any:
        """The value of a quantity, None where it is a gap."""
        return self[name].quantity.value

    def need(self, name: str) -> Any:
        """The value of a quantity that the answer cannot do without; a gap raises `MissingFact`."""
        quantity = self[name].quantity
        if quantity.value is None:
            raise MissingFact(f"{name} cannot be computed: {quantity.gap}")
        return quantity.value

    def lineage(self, name: str) -> list[Cell]:
        """A quantity and everything it was computed from, inputs first."""
        wanted, queue = {name}, [name]
        while queue:
            fresh = set(self._cells[queue.pop()].arguments.values()) - wanted
            wanted |= fresh
            queue.extend(fresh)
        return [cell for cell in self if cell.quantity.name in wanted]

    def used(self) -> list[Cell]:
        """Every computed quantity, and of the given ones those that some equation took."""
        taken = {source for cell in self for source in cell.arguments.values()}
        return [cell for cell in self if cell.equation is not None or cell.quantity.name in taken]

    def error(self, name: str) -> LogError:
        """The error that a quantity has of its own and inherits from its arguments, correlations kept."""
        if name not in self._errors:
            cell = self._cells[name]
            if cell.quantity.value is None:
                self._errors[name] = unmeasured(cell.quantity.gap)
            elif cell.equation is None:
                self._errors[name] = cell.own_error
            else:
                values = {argument: self.value(source) for argument, source in cell.arguments.items()}
                errors = {argument: self.error(source) for argument, source in cell.arguments.items()}
                self._errors[name] = inherit(cell.equation, values, errors, cell.own_error)
        return self._errors[name]


class LazyWorksheet(Worksheet):
    """A worksheet that computes a quantity when somebody asks for it: of long arrays, only those that are wanted."""

    def __init__(self, given: Iterable[Quantity] = ()) -> None:
        self._waiting: dict[str, tuple[Callable[..., Any], str, str, LogError]] = {}
        super().__init__(given)

    def compute(
        self, name: str, equation: Callable[..., Any], unit: str, arguments: str, error: LogError = EXACT
    ) -> Any:
        """Remember how a quantity is computed; nothing is returned, since nothing is computed yet."""
        if name in self:
            raise ValueError(f"{name} is already on the worksheet")
        self._waiting[name] = (equation, unit, arguments, error)

    def __contains__(self, name: object) -> bool:
        return name in self._waiting or super().__contains__(name)

    def __getitem__(self, name: str) -> Cell:
        if name in self._waiting:
            super().compute(name, *self._waiting.pop(name))
        return super().__getitem__(name)

    def drop(self, name: str) -> None:
        """Take a quantity off the sheet."""
        if self._waiting.pop(name, None) is None:
            super().drop(name)
