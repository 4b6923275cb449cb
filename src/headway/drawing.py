"""Draw figures into files: SVG and PNG, and an HTML page that carries picture, table and derivation.

matplotlib is imported here and nowhere else; it is the extra `plot`.
"""

from __future__ import annotations

import html
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headway.errors import BadInput, shown
from headway.figures import Panel
from headway.units import format_si

FORMATS = (".svg", ".png", ".html")
# Colours that differ in lightness too, and for readers who confuse red and green (Okabe and Ito 2008); every curve
# has its own dash as well, so that colour is never alone.
_STYLES = {
    "compute": ("#D55E00", (0, (6, 2))),
    "weights": ("#0072B2", (0, (1, 1.2))),
    "kv": ("#009E73", (0, (4, 1.5, 1, 1.5))),
    "comm": ("#CC79A7", (0, (3, 1, 1, 1, 1, 1))),
    "overhead": ("#8A6D00", (0, (2, 3))),
    "total0": ("#222222", "solid"),
    "total1": ("#0072B2", (0, (6, 2))),
    "total2": ("#D55E00", (0, (4, 1.5, 1, 1.5))),
    "total3": ("#009E73", (0, (1, 1.2))),
}


def check_target(path: str) -> Path:
    """The file to draw into, before any work is done: a format that is known, a folder that exists."""
    target = Path(path)
    if target.suffix.lower() not in FORMATS:
        raise BadInput(f"--plot takes a file ending in {', '.join(FORMATS)}, found {shown(path)}")
    if not os.path.isdir(target.parent):
        raise BadInput(f"there is no folder {shown(str(target.parent))} to draw into")
    _matplotlib()
    return target


def _matplotlib() -> Any:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError:
        raise BadInput("drawing needs matplotlib; install it with: pip install 'headway[plot]'") from None
    return Figure


def draw(panels: Sequence[Panel], title: str, target: Path, *, notes: str = "", table: str = "") -> None:
    """Draw panels side by side into a file; HTML adds the notes and the table under the picture."""
    suffix = target.suffix.lower()
    try:
        if suffix == ".html":
            target.write_text(_page(panels, title, notes, table), "utf-8")
        else:
            target.write_bytes(_image(panels, title, suffix.removeprefix(".")))
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise BadInput(f"cannot write {shown(str(target))}: {getattr(error, 'strerror', None) or error}") from None


def _image(panels: Sequence[Panel], title: str, form: str) -> bytes:
    import matplotlib as mpl  # noqa: PLC0415

    look: Any = {
        "font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "headway",
        "axes.titlesize": 11, "axes.titlelocation": "left", "legend.frameon": False,
    }  # fmt: skip
    with mpl.rc_context(look):
        figure = _matplotlib()(figsize=(6.2 * len(panels), 4.6), layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _draw_panel(axes, panel)
        lines, names = axes.get_legend_handles_labels()
        figure.legend(lines, names, loc="outside lower center", ncols=len(names), fontsize=9.5)
        out = io.BytesIO()
        figure.savefig(out, format=form, dpi=144, metadata={"Date": None} if form == "svg" else None)
    return out.getvalue()


def _draw_panel(axes: Any, panel: Panel) -> None:
    scale = 1e6 if panel.y_unit == "USD/token" else 1e3
    for curve in panel.curves:
        colour, dash = _STYLES[curve.role]
        total = curve.role.startswith("total")
        axes.plot(panel.x, np.where(curve.values > 0, curve.values, np.nan) * scale, label=curve.label, color=colour,
                  linestyle=dash, linewidth=4 if curve.role == "total0" else 1.9,
                  alpha=0.35 if curve.role == "total0" else 1.0, zorder=2 if total else 3)  # fmt: skip
    axes.set(xscale="log", yscale="log", title=panel.title, xlabel=f"{panel.x_label} [{panel.x_unit}]",
             ylabel=f"{panel.y_label} [{'$ per million tokens' if scale == 1e6 else 'ms'}]")  # fmt: skip
    _limit(axes, panel, scale)
    _plain_ticks(axes)
    axes.grid(visible=True, which="major", linewidth=0.5, alpha=0.35)
    _draw_marks(axes, panel, scale)


def _plain_ticks(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: PLC0415

    for along in (axes.xaxis, axes.yaxis):
        low, high = along.get_view_interval()
        along.set_major_locator(LogLocator(subs=(1,) if high / low > 100 else (1, 2, 5)))
        along.set_minor_formatter(NullFormatter())

    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}" if x < 1e6 else f"{x / 1e6:,.0f} M"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))


def _limit(axes: Any, panel: Panel, scale: float) -> None:
    """Show a decade or two below the lowest total, so that a vanishing term does not squash the rest."""
    totals = np.concatenate([c.values for c in panel.curves if c.role.startswith("total")]) * scale
    tops = [np.nanmax(c.values) * scale for c in panel.curves]
    tops += [m.y * scale for m in panel.marks if m.y is not None]
    terms = len(panel.curves) > sum(c.role.startswith("total") for c in panel.curves)
    axes.set_ylim(np.nanmin(totals) / (50 if terms else 2), max(tops) * 4)
    axes.set_xlim(panel.x[0], panel.x[-1])


def _draw_marks(axes: Any, panel: Panel, scale: float) -> None:
    place = {"fontsize": 8.5, "color": "#444444", "annotation_clip": True}
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
    inside = [mark for mark in panel.marks if mark.x is not None and panel.x[0] <= mark.x <= panel.x[-1]]
    for mark in inside:
        assert mark.x is not None
        axes.axvline(mark.x, color="#777777", linewidth=1, linestyle=(0, (1, 3)))
        axes.annotate(f"{mark.label}: {mark.x:,.0f} ", (mark.x, 1.0), xycoords=("data", "axes fraction"), rotation=90,
                      ha="right", va="top", bbox=box, **place)  # fmt: skip
    middle = np.sqrt(panel.x[0] * panel.x[-1])
    right = sum(mark.x > middle for mark in inside) < sum(mark.x <= middle for mark in inside)
    for mark in panel.marks:
        if mark.y is not None:  # its label stands on the side with fewer vertical lines
            axes.axhline(mark.y * scale, color="#777777", linewidth=1, linestyle=(0, (1, 3)))
            text = f" {mark.label} {format_si(mark.y, panel.y_unit)} "
            axes.annotate(text, (float(right), mark.y * scale), xycoords=("axes fraction", "data"), va="bottom",
                          ha="right" if right else "left", **place)  # fmt: skip


def _page(panels: Sequence[Panel], title: str, notes: str, table: str) -> str:
    svg = _image(panels, title, "svg").decode("utf-8")
    picture = svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}"', 1)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }}
svg {{ width: 100%; height: auto; background: #fff; }}
pre {{ overflow-x: auto; font-size: 13px; }}
</style>
<h1>{html.escape(title)}</h1>
{picture}
<h2>Numbers</h2>
<pre>{html.escape(table)}</pre>
<h2>Derivation and sources</h2>
<pre>{html.escape(notes)}</pre>
</html>
"""
