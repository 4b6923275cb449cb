"""The plain tables behind every chart: what is drawn, in which units, and what is marked.

A figure knows nothing of how it is drawn. The terminal, the image files and the page all draw from these tables, and
print them beside the picture.
"""

from headway.figures.models import contexts_between, model_panels
from headway.figures.panel import DRAWN_UNITS, MOST_CURVES, Curve, Mark, Panel, plain
from headway.figures.passes import AXIS_LABELS, caption, roofline_panels, varying_axes

__all__ = [
    "AXIS_LABELS", "DRAWN_UNITS", "MOST_CURVES", "Curve", "Mark", "Panel", "caption", "contexts_between",
    "model_panels", "plain", "roofline_panels", "varying_axes",
]  # fmt: skip
