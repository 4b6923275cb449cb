"""A compact plot in characters: each curve a letter, for a terminal without pictures."""

from __future__ import annotations

import math

import numpy as np

from headway.figures import Panel
from headway.units import format_si


def text_plot(panel: Panel, width: int = 64, height: int = 14) -> str:
    """A panel drawn in characters, the total last so that it lies on top; marks stand as letters on the x axis."""
    tops = np.concatenate([curve.values for curve in panel.curves])
    totals = np.concatenate([curve.values for curve in panel.curves if curve.whole])
    high, low = math.log(np.nanmax(tops)), math.log(np.nanmin(totals)) - 1.2
    span = max(high - low, 1e-9)
    canvas = [[" "] * width for _ in range(height)]
    along = panel.x if panel.x_linear else np.log(panel.x)
    columns = np.linspace(along[0], along[-1], width)
    nearest = np.abs(along[:, None] - columns).argmin(axis=0)
    for curve in panel.curves:
        for column, value in enumerate(curve.values[nearest]):
            if value > 0:
                row = round((high - math.log(value)) / span * (height - 1))
                if 0 <= row < height:
                    canvas[row][column] = curve.mark
    labels = {0: format_si(math.exp(high), panel.y_unit), height - 1: format_si(math.exp(low), panel.y_unit)}
    margin = max(map(len, labels.values()))
    body = [f"{labels.get(i, '').rjust(margin)} |{''.join(row).rstrip()}" for i, row in enumerate(canvas)]
    ends = f"{panel.x[0]:,.0f}", f"{panel.x[-1]:,.0f} {panel.x_unit}"
    foot = ["-"] * width
    for letter, mark in panel.places().items():
        at = mark.x or 0.0
        foot[int(np.abs(columns - (at if panel.x_linear else math.log(at))).argmin())] = letter
    axis = f"{' ' * margin}  {ends[0]}{ends[1].rjust(width - len(ends[0]))}"
    key = ", ".join(f"{curve.mark} {curve.label}" for curve in panel.curves)
    scales = f"{panel.y_label} logarithmic" if panel.x_linear else "both logarithmic"
    told = [f"{' ' * margin}  {line}" for line in panel.key()]
    return "\n".join([f"{panel.title}, {scales} ({key})", *body, f"{' ' * margin} +{''.join(foot)}", axis, *told])
