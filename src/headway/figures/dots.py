"""A chart of single things as dots, such as machines by their year."""

from __future__ import annotations

from dataclasses import dataclass

from headway.units import format_si


@dataclass(frozen=True)
class Dot:
    """One thing: its place, the group it belongs to, and the key of the column that chose it, if one did."""

    name: str
    group: str
    x: float | None
    y: float
    chosen: str = ""


@dataclass(frozen=True)
class Dots:
    """Dots over a linear x axis, y logarithmic; `absent` names the things that have no height, for no source gave it.

    Those whose x is not known stand in a column of their own, left of the others.
    """

    title: str
    x_label: str
    x_unit: str
    y_label: str
    y_unit: str
    dots: tuple[Dot, ...]
    absent: tuple[str, ...] = ()

    @property
    def header(self) -> tuple[str, ...]:
        """The columns of its table."""
        return ("name", "maker", self.x_label, self.y_label)

    def row(self, dot: Dot) -> list[str]:
        """One dot in the table."""
        return [dot.name, dot.group, "" if dot.x is None else f"{dot.x:.1f}", format_si(dot.y, self.y_unit)]

    def groups(self) -> list[str]:
        """The groups, in the order in which they first appear."""
        return list(dict.fromkeys(dot.group for dot in self.dots))

    @property
    def unknown_x(self) -> float:
        """Where those stand whose x is not known."""
        return min((dot.x for dot in self.dots if dot.x is not None), default=1.0) // 1 - 1.0

    def x_ticks(self) -> list[tuple[float, str]]:
        """Whole steps of x, and what stands for an unknown one."""
        last = int(max((dot.x for dot in self.dots if dot.x is not None), default=0.0)) + 1
        steps = [(float(step), str(step)) for step in range(int(self.unknown_x) + 1, last + 1)]
        return [(self.unknown_x, "no date"), *steps] if any(dot.x is None for dot in self.dots) else steps

    def y_range(self) -> tuple[float, float]:
        """Where y begins and ends."""
        heights = [dot.y for dot in self.dots]
        return (min(heights) / 1.5, max(heights) * 1.5) if heights else (1.0, 10.0)

    def told(self) -> str:
        """The chart in a sentence."""
        if not self.dots:
            return f"{self.title}: nothing to show."
        low, high = (pick(self.dots, key=lambda dot: dot.y) for pick in (min, max))
        return (f"{self.title}: {len(self.dots)} dots from {format_si(low.y, self.y_unit)} ({low.name}) to "
                f"{format_si(high.y, self.y_unit)} ({high.name}).")  # fmt: skip
