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

    The machine costs the same in both, so that its price cancels: the ratio is also that of the costs. What is off in
    both passes alike cancels too.
    """
    sheet = Worksheet()
    for name, result, note in (("output_tokens_per_s", decode, how[0]), ("input_tokens_per_s", prompt, how[1])):
        rate = Quantity(name, result.sheet.value(RATE), "tokens/s", Origin("equation", RATE, note=note))
        sheet.give(rate, result.sheet.error(RATE))
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
    sheet = ratio_sheet(decode, prompt)
    value = sheet.value("output_over_input")
    interval = sheet.error("output_over_input").interval(value) or (None, None)
    shown, low, high = (None if v is None else np.where(held, np.ravel(v), np.nan) for v in (value, *interval))
    assert shown is not None
    curve = Curve("output over input", shown, "total", "*", held, low, high)
    return Panel("cost of an output token over that of an input token", "batch", "sequences", "output : input", "1",
                 batch, (curve,))  # fmt: skip
