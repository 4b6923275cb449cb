"""Draw figures into files: SVG and PNG, and an HTML page that carries picture, table and derivation.

matplotlib is imported here and nowhere else; it is the extra `plot`.
"""

from __future__ import annotations

import html
import io
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from headway.errors import BadInput, shown
from headway.figures import DRAWN_UNITS, Curve, Panel, plain
from headway.figures.scatter import Scatter
from headway.units import format_si

FORMATS = (".svg", ".png", ".html")
# Colours that differ in lightness too, and for readers who confuse red and green (Okabe and Ito 2008); every curve
# has its own dash as well, so that colour is never alone.
_STYLES = {
    "compute": ("#D55E00", (0, (6, 2))),
    "memory": ("#0072B2", (0, (4, 1.5, 1, 1.5))),
    "weights": ("#0072B2", (0, (1, 1.2))),
    "kv": ("#009E73", (0, (4, 1.5, 1, 1.5))),
    "comm": ("#CC79A7", (0, (3, 1, 1, 1, 1, 1))),
    "overhead": ("#8A6D00", (0, (2, 3))),
    "moved": ("#E69F00", (0, (5, 1, 1, 1))),
    "hops": ("#56B4E9", (0, (1, 2.5))),
    "draft": ("#6A3D9A", (0, (3, 2))),
    "total": ("#222222", "solid"),
    "family0": ("#222222", "solid"),
    "family1": ("#0072B2", (0, (6, 2))),
    "family2": ("#D55E00", (0, (4, 1.5, 1, 1.5))),
    "family3": ("#009E73", (0, (1, 1.2))),
}
# Of groups of points: a colour and a shape of its own for each, in the same order.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222", "#8A6D00")
_SHAPES = "osD^vP*Xp<>h"
_MARK = {"color": "#777777", "linewidth": 1, "linestyle": (0, (1, 3)), "zorder": 1.5}
_SMALL = {"fontsize": 8.5, "color": "#444444"}


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


def draw(
    panels: Sequence[Panel | Scatter], title: str, target: Path, *, caption: str = "", head: str = "", notes: str = "",
    table: str = "",
) -> None:  # fmt: skip
    """Draw panels side by side into a file, the caption in small type under the title.

    HTML has the head, plain text, above the picture, and the table and the notes under it.
    """
    suffix = target.suffix.lower()
    try:
        if suffix == ".html":
            target.write_text(_page(panels, (title, caption), head, notes, table), "utf-8")
        else:
            target.write_bytes(_image(panels, (title, caption), suffix.removeprefix(".")))
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise BadInput(f"cannot write {shown(str(target))}: {getattr(error, 'strerror', None) or error}") from None


def _image(panels: Sequence[Panel | Scatter], words: tuple[str, str], form: str) -> bytes:
    import matplotlib as mpl  # noqa: PLC0415

    look: Any = {
        "font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "headway",
        "axes.titlesize": 11, "axes.titlelocation": "left", "axes.titlepad": 18, "legend.frameon": False,
    }  # fmt: skip
    with mpl.rc_context(look):
        figure = _matplotlib()(layout="constrained")
        _set_title(figure, words, len(panels))
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _draw_scatter(axes, panel) if isinstance(panel, Scatter) else _draw_panel(axes, panel)
        _add_legend(figure)
        out = io.BytesIO()
        figure.savefig(out, format=form, dpi=144, metadata={"Date": None} if form == "svg" else None)
    return out.getvalue()


def _add_legend(figure: Any) -> None:
    """One legend for all panels where their curves are called the same, else one in each."""
    if len({tuple(axes.get_legend_handles_labels()[1]) for axes in figure.axes}) > 1:
        for axes in figure.axes:
            axes.legend(loc="upper left", fontsize=9.5)
        return
    lines, names = figure.axes[-1].get_legend_handles_labels()
    columns = len(names) if len(figure.axes) > 1 else 3
    columns = min(columns, 6) if len(names) <= 6 else 5
    figure.legend(lines, names, loc="outside lower center", ncols=columns, fontsize=9.5)


def _set_title(figure: Any, words: tuple[str, str], columns: int) -> None:
    """The title, and the caption in small type under it, in a strip that the charts leave free."""
    bold, small = textwrap.wrap(words[0], 62 * columns), textwrap.wrap(words[1], 95 * columns)
    strip = 0.12 + 0.22 * len(bold) + 0.17 * len(small)  # inches
    width, height = 6.2 * columns, 4.5 + strip
    figure.set_size_inches(width, height)
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - strip / height))
    left = 0.1 / width
    figure.text(left, 1 - 0.08 / height, "\n".join(bold), va="top", fontsize=12, fontweight="bold")
    figure.text(left, 1 - (0.1 + 0.22 * len(bold)) / height, "\n".join(small), va="top", **_SMALL)


def _draw_panel(axes: Any, panel: Panel) -> None:
    scale, unit = DRAWN_UNITS[panel.y_unit]
    for curve in panel.curves:
        _draw_curve(axes, panel.x, curve, scale)
    axes.set(xscale="linear" if panel.x_linear else "log", yscale="log", title=panel.title,
             xlabel=f"{panel.x_label} [{panel.x_unit}]",
             ylabel=f"{panel.y_label} [{unit}]")  # fmt: skip
    axes.set_ylim(*(limit * scale for limit in panel.y_range()))
    axes.set_xlim(panel.x[0], panel.x[-1])
    _set_ticks(axes.xaxis, panel.x_linear)
    _set_ticks(axes.yaxis, linear=False)
    axes.grid(visible=True, which="major", linewidth=0.5, alpha=0.35)
    _shade(axes, panel)
    _draw_marks(axes, panel, scale)


def _draw_scatter(axes: Any, chart: Scatter) -> None:
    """Points over two logarithmic axes of one unit, and the line on which both are equal."""
    scale, unit = DRAWN_UNITS.get(chart.unit, (1.0, chart.unit))
    limits = [limit * scale for limit in chart.limits()]
    axes.plot(limits, limits, **(_MARK | {"linestyle": "solid"}))
    for i, (name, points) in enumerate(chart.groups.items()):
        x, y = (np.array([point[side] for point in points]) * scale for side in (0, 1))
        axes.scatter(x, y, s=chart.mark_area, marker=_SHAPES[i % len(_SHAPES)], color=_COLOURS[i % len(_COLOURS)],
                     alpha=0.55, linewidths=0, label=name, zorder=3, rasterized=True)  # fmt: skip
    axes.set(xscale="log", yscale="log", title=chart.title, xlim=limits, ylim=limits,
             xlabel=f"{chart.x_label} [{unit}]", ylabel=f"{chart.y_label} [{unit}]")  # fmt: skip
    for along in (axes.xaxis, axes.yaxis):
        _set_ticks(along, linear=False)
    axes.grid(visible=True, which="major", linewidth=0.5, alpha=0.35)


def _draw_curve(axes: Any, x: Any, curve: Curve, scale: float) -> None:
    """A curve at its full weight where the memory holds it, thin and faint beyond; one of several ends in a cross."""
    colour, dash = _STYLES[curve.role]
    total = curve.role == "total"
    values = np.where(curve.values > 0, curve.values, np.nan) * scale
    weight, alpha = (4.0, 0.35) if total else (1.9, 1.0)
    how = {"color": colour, "linestyle": dash, "zorder": 2 if total else 3}
    if curve.low is not None and curve.high is not None:
        axes.fill_between(x, curve.low * scale, curve.high * scale, color=colour, alpha=0.15, linewidth=0)
    axes.plot(x, np.where(curve.held, values, np.nan), label=curve.label, linewidth=weight, alpha=alpha, **how)
    if curve.held.all():
        return
    last = int(np.count_nonzero(curve.held)) - 1  # memory fills once, from left to right
    beyond = np.where(np.arange(x.size) >= last, values, np.nan)
    axes.plot(x, beyond, linewidth=weight / 2, alpha=max(alpha * 0.75, 0.35), **how)
    if curve.role.startswith("family") and last >= 0:
        axes.plot(x[last], values[last], marker="x", markersize=7, markeredgewidth=1.9, **how)


def _shade(axes: Any, panel: Panel) -> None:
    """Grey over what the memory does not hold, where that is the same for all curves."""
    held = panel.curves[-1].held
    if len({curve.held.tobytes() for curve in panel.curves}) == 1 and not held.all():
        start = panel.x[max(int(np.count_nonzero(held)) - 1, 0)]
        axes.axvspan(start, panel.x[-1], facecolor="#000000", alpha=0.08, linewidth=0, zorder=0,
                     label="does not fit in memory")  # fmt: skip


def _set_ticks(along: Any, linear: bool) -> None:
    """Round numbers, of which an axis shows three at least, written out."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator  # noqa: PLC0415

    low, high = along.get_view_interval()
    if linear or high / low <= 10:
        along.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
        along.set_minor_locator(NullLocator())
    else:
        along.set_major_locator(LogLocator(subs=(1,) if high / low > 100 else (1, 2, 5)))
    along.set_minor_formatter(NullFormatter())
    along.set_major_formatter(FuncFormatter(_tick))


def _tick(value: float, _: int) -> str:
    for scale, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if value >= scale:
            return f"{plain(value / scale)} {letter}"
    return plain(value)


def _draw_marks(axes: Any, panel: Panel, scale: float) -> None:
    """Lines with a letter above the frame, explained under it: no text lies over a curve."""
    key = panel.key()
    _draw_letters(axes, panel)
    low, high = axes.get_ylim()
    for mark in panel.marks:
        if mark.y is not None:
            text = f"{mark.label} {format_si(mark.y, panel.y_unit)}"
            if not low <= mark.y * scale <= high:
                key.append(f"{text}, off {'below' if mark.y * scale < low else 'above'}")
                continue
            axes.axhline(mark.y * scale, **_MARK)
            axes.annotate(text.replace(" ", "\n", 2).replace("\n", " ", 1), (1, mark.y * scale), (4, 0), va="center",
                          xycoords=("axes fraction", "data"), textcoords="offset points", **_SMALL)  # fmt: skip
    lines = textwrap.wrap(" · ".join(item.replace(" ", "\0") for item in key), 84, break_long_words=False)
    told = "\n".join(line.removesuffix(" ·") for line in lines).replace("\0", " ")
    axes.annotate(told, (0.5, 0), (0, -35), va="top", ha="center", xycoords="axes fraction",
                  textcoords="offset points", **_SMALL)  # fmt: skip


def _draw_letters(axes: Any, panel: Panel) -> None:
    """A letter over each vertical line; letters of lines that all but touch stand together."""
    letters: list[tuple[float, str]] = []
    for letter, mark in panel.places().items():
        axes.axvline(mark.x, **_MARK)
        at = float(axes.transAxes.inverted().transform(axes.transData.transform((mark.x, axes.get_ylim()[0])))[0])
        if letters and at - letters[-1][0] < 0.03:
            letters[-1] = (letters[-1][0], f"{letters[-1][1]},{letter}")
        else:
            letters.append((at, letter))
    for at, text in letters:
        axes.annotate(text, (at, 1), (0, 2), va="bottom", ha="center", xycoords="axes fraction",
                      textcoords="offset points", fontsize=9.5, color="#222222")  # fmt: skip


_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem;
       color: #1a1a1a; background: #fff; }
figure { margin: 1rem 0; overflow-x: auto; background: #fff; border-radius: 6px; }
svg { display: block; width: 100%; min-width: 42rem; height: auto; background: #fff; }
pre { overflow-x: auto; font-size: 13px; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e6e6; background: #16181c; }
}
"""


def _page(panels: Sequence[Panel | Scatter], words: tuple[str, str], head: str, notes: str, table: str) -> str:
    svg = _image(panels, words, "svg").decode("utf-8")
    title = html.escape(words[0])
    told = html.escape(". ".join(filter(None, (words[0], *(panel.title for panel in panels), words[1]))))
    picture = svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{told}"', 1)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
<h1>{title}</h1>
{_paragraphs(head)}
<figure>
{picture}
</figure>
<h2>Numbers</h2>
<pre tabindex="0">{html.escape(table)}</pre>
<h2>Derivation and sources</h2>
<pre tabindex="0">{html.escape(notes)}</pre>
</html>
"""


def _paragraphs(text: str) -> str:
    """Plain text as paragraphs; a block that holds a command or an indented line keeps its lines."""
    blocks = [block.strip("\n") for block in text.split("\n\n") if block.strip()]
    kept = [any(line.startswith((" ", "$ ")) for line in block.splitlines()) for block in blocks]
    return "\n".join(
        f'<pre tabindex="0">{html.escape(block)}</pre>' if keep else f"<p>{html.escape(block)}</p>"
        for block, keep in zip(blocks, kept, strict=True)
    )
