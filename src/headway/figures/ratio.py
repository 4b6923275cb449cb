"""What an output token costs in input tokens, against the batch that shares a pass."""

from __future__ import annotations

import numpy as np

from headway.equations import comparison
from headway.figures.panel import Curve, Panel
from headway.provenance import Origin, Quantity, Worksheet
from headway.step.first_order import Pass

RATE = "tokens_per_s"


def ratio_sheet(decode: Pass, prompt: Pass, how: tuple[str, str] = ("", "")) -> Worksheet:
    """How many tokens each pass makes in a second, and their ratio; `how` says which passes they are of.

    The machine costs the same in both, so that its price cancels: the ratio is also that of the costs.
    """
    sheet = Worksheet()
    for name, result, note in (("output_tokens_per_s", decode, how[0]), ("input_tokens_per_s", prompt, how[1])):
        sheet.give(Quantity(name, result.sheet.value(RATE), "tokens/s", Origin("equation", RATE, note=note)))
    sheet.compute(
        "output_over_input", comparison.ratio, "1", "quantity=input_tokens_per_s reference=output_tokens_per_s"
    )
    return sheet


def ratio_panel(decode: Pass, prompt: Pass) -> Panel | None:
    """The ratio over the batches of two passes that differ in their length alone; None where no batch fits.

    It ends where the longer pass fills the memory.
    """
    batch = np.ravel(np.asarray(decode.sheet.value("batch"), dtype=float))
    held = np.broadcast_to(np.ravel(np.asarray(prompt.fits)), batch.shape)
    if not held.any():
        return None
    value = np.broadcast_to(np.ravel(ratio_sheet(decode, prompt).value("output_over_input")), batch.shape)
    curve = Curve("output over input", np.where(held, value, np.nan), "total", "*", held)
    return Panel("cost of an output token over that of an input token", "batch", "sequences", "output : input", "1",
                 batch, (curve,))  # fmt: skip
