"""Between two turns a sequence's cache is idle: hold it in HBM, in the host, on flash, or make it again.

All per token of the context: the bytes kept, the rent of keeping them for a while, what moving them there and back
costs (the link and the device, either way), and the time from which another place is the cheaper.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from headway import catalog
from headway.equations import kv_variants, memory_tiers, throughput
from headway.model.describe import describe
from headway.model.model import Model
from headway.provenance import Origin, Quantity, Worksheet
from headway.techniques.measure import Case
from headway.techniques.settings import Settings


@dataclass(frozen=True)
class Place:
    """Where a cache may lie: its name on the worksheet, and what to call it."""

    key: str
    title: str


@dataclass(frozen=True)
class BetweenTurns:
    """The worksheet, and the places that it speaks of beside HBM."""

    sheet: Worksheet
    places: tuple[Place, ...]


def between_turns(model: Model, case: Case, settings: Settings) -> BetweenTurns:
    """What a token of a sequence costs while nobody asks: held, moved, or made again."""
    sheet = describe(model, case.context_tokens).sheet
    _chip(sheet, model, case, settings)
    with np.errstate(all="ignore"):  # what costs nothing to hold is never worth forgetting: infinity is an answer
        return _places(sheet, settings)


def _places(sheet: Worksheet, settings: Settings) -> BetweenTurns:
    """HBM, what it costs to make the cache again, and the other places."""
    sheet.compute_all([
        ("held_bytes_per_token", kv_variants.share_of_token_bytes, "B",
         "sequence_bytes=kv_stored_bytes tokens=prompt_tokens"),
        ("hbm_holding_usd_per_s", memory_tiers.holding_usd_per_s, "USD/s",
         "held_bytes=held_bytes_per_token device_usd_per_s=rental_usd_per_s capacity_bytes=memory_bytes"),
        ("recompute_usd_per_token", memory_tiers.recompute_usd, "USD/token",
         "flop=prefill_flops_per_token flop_per_s mfu=prefill_mfu device_usd_per_s=rental_usd_per_s"),
        ("hbm_recompute_after_s", memory_tiers.recompute_break_even_s, "s",
         "recompute_usd=recompute_usd_per_token retrieval_usd=no_usd holding_usd_per_s=hbm_holding_usd_per_s"),
        ("crossing_usd", memory_tiers.moving_usd, "USD",
         "moved_bytes=held_bytes_per_token device_usd_per_s=rental_usd_per_s "
         "bandwidth_bytes_per_s=host_link_bytes_per_s"),
        ("link_moves_usd", memory_tiers.hold_cost_usd, "USD",
         "holding_usd_per_s=no_usd_per_s hold_s=no_time_s retrieval_usd=crossing_usd write_usd=crossing_usd"),
    ])  # fmt: skip
    host, flash = settings.value("host_tier"), settings.value("flash_tier")
    _place(sheet, "host", host, host)
    _place(sheet, "flash", flash, settings.value("flash_price_tier"))
    titles = (catalog.entry(name, "memory_tier").title for name in (host, flash))
    return BetweenTurns(sheet, tuple(Place(key, title) for key, title in zip(("host", "flash"), titles, strict=True)))


def _chip(sheet: Worksheet, model: Model, case: Case, settings: Settings) -> None:
    """What the chip brings, the user's changes of the pass among it, and the zeros that the equations need."""
    given = case.ask(model, 1.0).sheet
    for name in ("memory_bytes", "rental_usd_per_s", "flop_per_s"):
        sheet.give(given[name].quantity)
    assert case.link is not None
    sheet.give(case.link)
    for name in ("prefill_mfu", "device_life_s"):
        sheet.give(settings.figures[name])
    for name, unit in (("no_usd", "USD"), ("no_usd_per_s", "USD/s"), ("no_time_s", "s")):
        sheet.give(Quantity(name, 0.0, unit, Origin("default", "nothing of it")))
    sheet.give(Quantity("one_byte", 1.0, "B", Origin("default", "prices are for a byte")))


def _place(sheet: Worksheet, key: str, name: str, priced: str) -> None:
    """A device that holds the cache: its rent, what moving to it and back costs, and when it is the cheaper."""
    device, price = catalog.entry(name, "memory_tier"), catalog.entry(priced, "memory_tier")
    for figure in ("capacity_bytes", "read_bytes_per_s", "write_bytes_per_s"):
        sheet.give(replace(device.figure(figure), name=f"{key}_{figure}"))
    own = device.figure("usd_per_byte")
    sheet.give(replace(price.figure("usd_per_byte") if own.value is None else own, name=f"{key}_usd_per_byte"))
    moved = f"moved_bytes=held_bytes_per_token device_usd_per_s={key}_usd_per_s bandwidth_bytes_per_s={key}_"
    sheet.compute_all([
        (f"{key}_byte_usd_per_s", memory_tiers.rent_usd_per_s, "USD/s",
         f"purchase_usd={key}_usd_per_byte life_s=device_life_s"),
        (f"{key}_usd_per_s", memory_tiers.holding_usd_per_s, "USD/s",
         f"held_bytes={key}_capacity_bytes device_usd_per_s={key}_byte_usd_per_s capacity_bytes=one_byte"),
        (f"{key}_holding_usd_per_s", memory_tiers.holding_usd_per_s, "USD/s",
         f"held_bytes=held_bytes_per_token device_usd_per_s={key}_usd_per_s capacity_bytes={key}_capacity_bytes"),
        (f"{key}_read_usd", memory_tiers.moving_usd, "USD", f"{moved}read_bytes_per_s"),
        (f"{key}_write_usd", memory_tiers.moving_usd, "USD", f"{moved}write_bytes_per_s"),
        (f"{key}_device_moves_usd", memory_tiers.hold_cost_usd, "USD",
         f"holding_usd_per_s=no_usd_per_s hold_s=no_time_s retrieval_usd={key}_read_usd write_usd={key}_write_usd"),
        (f"{key}_moves_usd", memory_tiers.hold_cost_usd, "USD",
         "holding_usd_per_s=no_usd_per_s hold_s=no_time_s retrieval_usd=link_moves_usd "
         f"write_usd={key}_device_moves_usd"),
        (f"{key}_cheaper_than_hbm_after_s", memory_tiers.switching_s, "s",
         f"holding_usd_per_s=hbm_holding_usd_per_s retrieval_usd=no_usd "
         f"next_holding_usd_per_s={key}_holding_usd_per_s next_retrieval_usd={key}_moves_usd"),
        (f"{key}_recompute_after_s", memory_tiers.recompute_break_even_s, "s",
         f"recompute_usd=recompute_usd_per_token retrieval_usd={key}_moves_usd "
         f"holding_usd_per_s={key}_holding_usd_per_s"),
        (f"{key}_drain_s", throughput.drain_s, "s",
         f"memory_bytes={key}_capacity_bytes bandwidth_bytes_per_s={key}_read_bytes_per_s"),
    ])  # fmt: skip
