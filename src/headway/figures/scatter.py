"""A chart of points in groups, such as predicted against measured, both axes logarithmic."""

from __future__ import annotations

from dataclasses import dataclass


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
