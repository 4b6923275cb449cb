"""Machines side by side: ridge, drain, links, and the largest model that one scale-up domain serves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from headway import catalog
from headway.catalog.store import defaults
from headway.equations import parallelism, roofline, throughput
from headway.errors import BadInput
from headway.hardware import System, load_system
from headway.model.dtypes import dtype
from headway.provenance import Origin, Quantity, Worksheet

_CARRIED = ("memory_bytes", "bandwidth_bytes_per_s", "scaleup_bytes_per_s", "scaleout_bytes_per_s",
            "bf16_flop_per_s", "fp8_flop_per_s")  # fmt: skip


@dataclass(frozen=True)
class Generation:
    """One machine's figures, given and computed, on a worksheet; what no source gave is a gap there."""

    system: System
    sheet: Worksheet

    def value(self, name: str) -> Any:
        """A quantity of the worksheet, None for a gap."""
        return self.sheet.value(name)


def generation(system: System) -> Generation:
    """The figures of one scale-up domain of a system."""
    sheet = Worksheet(system.figure(name) for name in _CARRIED)
    sheet.give(replace(system.chip.figure("power_w"), name="chip_power_w"))
    for name in ("power_w", "weight_kg"):
        figure = system.rack.figure(name) if system.rack else None
        sheet.give(figure or Quantity(name, None, "1", Origin("catalog", system.name), "one chip is no system"))
    size = float(system.domain_chips)
    sheet.give(Quantity("domain_chips", size, "chips", Origin("catalog", system.name)))
    for name in ("bf16", "fp8"):
        stored = dtype(name).bytes_per_number
        sheet.give(Quantity(f"{name}_bytes", stored, "B", Origin("default", f"one number in {name}")))
    sheet.give(next(iter(defaults("generations").values())))
    sheet.give(defaults()["usable_memory_fraction"])
    sheet.compute_all(
        (f"ridge_{name}", roofline.ridge, "1",
         f"flop_per_s={name}_flop_per_s weight_bytes_per_param={name}_bytes bandwidth_bytes_per_s")
        for name in ("bf16", "fp8")
    )  # fmt: skip
    sheet.compute_all([
        ("drain_s", throughput.drain_s, "s", "memory_bytes bandwidth_bytes_per_s"),
        ("scaleup_over_scaleout", parallelism.scaleup_over_scaleout, "1", "scaleup_bytes_per_s scaleout_bytes_per_s"),
        ("domain_memory_bytes", parallelism.domain_memory_bytes, "B", "domain_chips chip_memory_bytes=memory_bytes"),
        ("largest_model_params", parallelism.largest_model_params, "params",
         "domain_memory_bytes usable_fraction=usable_memory_fraction kv_share weight_bytes_per_param=fp8_bytes"),
    ])  # fmt: skip
    return Generation(system, sheet)


def generations(*, chips: bool = False) -> list[Generation]:
    """Every catalogued system, or with `chips` every accelerator by itself, oldest first within a vendor."""
    kind = "accelerator" if chips else "system"
    found = [generation(_domain(name)) for name in catalog.entries(kind)]
    return sorted(found, key=lambda g: (g.system.chip.texts.get("vendor", ""), g.system.chip.texts.get("launch", "")))


def _domain(name: str) -> System:
    """A catalogued system, or as many of a chip as its scale-up domain has."""
    try:
        system = load_system(name)
    except BadInput as error:
        raise BadInput(f"the catalog entry {name} cannot be used: {error}") from None
    size = system.chip.figures.get("domain_chips")
    return system if system.rack is not None or size is None else load_system(f"{name}:{int(size.value)}")
