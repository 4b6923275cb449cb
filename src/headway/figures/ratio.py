"""What an output token costs in input tokens, against the batch that shares a pass."""

from __future__ import annotations

import numpy as np

from headway.equations import comparison
from headway.figures.panel import Curve, Panel
from headway.provenance import Origin, Quantity, Worksheet
from headway.step.first_order import Pass

COST = "cost_per_token_usd"


def ratio_sheet(decode: Pass, prompt: Pass, how: tuple[str, str] = ("", "")) -> Worksheet:
    """The cost of an output token, of an input token, and their ratio; `how` says which passes they are of."""
    sheet = Worksheet()
    for name, result, note in (("output_token_usd", decode, how[0]), ("input_token_usd", prompt, how[1])):
        quantity = result.sheet[COST].quantity
        sheet.give(Quantity(name, quantity.value, "USD/token", Origin("equation", COST, note=note), quantity.gap))
    sheet.compute("output_over_input", comparison.ratio, "1", "quantity=output_token_usd reference=input_token_usd")
    return sheet


def ratio_panel(decode: Pass, prompt: Pass) -> Panel | None:
    """The ratio over the batches of two passes that differ in their length alone; None where nothing has a price.

    It ends where the longer pass fills the memory.
    """
    value = ratio_sheet(decode, prompt).value("output_over_input")
    if value is None:
        return None
    batch = np.ravel(np.asarray(decode.sheet.value("batch"), dtype=float))
    held = np.broadcast_to(np.ravel(np.asarray(prompt.fits)), batch.shape)
    ratio = np.where(held, np.broadcast_to(np.ravel(value), batch.shape), np.nan)
    curve = Curve("output over input", ratio, "total", "*", held)
    return Panel("cost of an output token over that of an input token", "batch", "sequences", "output : input", "1",
                 batch, (curve,) if held.any() else ())  # fmt: skip
