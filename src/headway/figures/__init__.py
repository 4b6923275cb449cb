"""The plain tables behind every chart: what is drawn, in which units, and what is marked.

A figure knows nothing of how it is drawn. The terminal, the image files and the page all draw from these tables, and
print them beside the picture.
"""

from headway.figures.dots import Dot, Dots
from headway.figures.models import contexts_between, model_panels
from headway.figures.panel import DRAWN_UNITS, MOST_CURVES, POINTS, Curve, Mark, Panel, plain
from headway.figures.passes import AXIS_LABELS, TERMS, TWO_TERMS, caption, panels_over, roofline_panels, varying_axes

__all__ = [
    "AXIS_LABELS", "DRAWN_UNITS", "MOST_CURVES", "POINTS", "TERMS", "TWO_TERMS", "Curve", "Dot", "Dots", "Mark",
    "Panel", "caption", "contexts_between", "model_panels", "panels_over", "plain", "roofline_panels", "varying_axes",
]  # fmt: skip
