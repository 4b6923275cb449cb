"""A chart of points in groups, such as predicted against measured, both axes logarithmic."""

from __future__ import annotations

from dataclasses import dataclass

LARGEST_MARK, SMALLEST_MARK = 60.0, 9.0  # areas in square points: of a few marks, and of a crowd of them
CROWD = 400


@dataclass(frozen=True)
class Scatter:
    """Points `(x, y)` by the name of their group, both axes in one unit; where they are equal runs a line."""

    title: str
    x_label: str
    y_label: str
    unit: str
    groups: dict[str, tuple[tuple[float, float], ...]]

    def limits(self) -> tuple[float, float]:
        """Where both axes begin and end; from 1 to 10 where there is no point."""
        values = [value for points in self.groups.values() for point in points for value in point]
        return (min(values) / 1.5, max(values) * 1.5) if values else (1.0, 10.0)

    @property
    def mark_area(self) -> float:
        """How large a mark is, in square points: so many times smaller as there are more of them, down to a crowd's."""
        count = max(1, sum(map(len, self.groups.values())))
        return min(LARGEST_MARK, max(SMALLEST_MARK, SMALLEST_MARK * CROWD / count))
