"""The shape of the torus that the chips of a domain form, also where only a part of a catalogued torus is asked for."""

from __future__ import annotations

import math

from headway import catalog
from headway.hardware import System

_CLOSING_SIDE = 4  # chips on the side of a cube, whose optical switches close rings of whole cubes


def torus_of(system: System) -> tuple[tuple[int, ...], bool] | None:
    """The sides of the torus that a domain of a system is, and whether they close to rings; None where not known.

    >>> from headway.hardware import load_system
    >>> torus_of(load_system("tpu-v5e:8")), torus_of(load_system("tpu-v4:64"))
    (((4, 2), False), ((4, 4, 4), True))
    """
    racks = [system.rack] if system.rack else list(catalog.entries("system").values())
    known = [r.torus for r in racks if r.torus and _has_chip(r, system)]
    chips = system.domain_chips
    if not known:
        return None
    if whole := next((rings for rings in known if math.prod(rings) == chips), None):
        return whole, True
    rings = min(known, key=math.prod)
    sides = even_sides(chips, len(rings))
    closed = all(side in (1, *rings) or (len(rings) == 3 and side % _CLOSING_SIDE == 0) for side in sides)
    return sides, closed


def _has_chip(rack: catalog.Entry, system: System) -> bool:
    found = catalog.resolve(rack.texts["chip"])
    return rack is system.rack or (found is not None and found.name == system.chip.name)


def even_sides(chips: int, dimensions: int) -> tuple[int, ...]:
    """The sides of a block of so many chips, as even as whole sides can be, the longest first.

    >>> even_sides(64, 3), even_sides(8, 2), even_sides(7, 2)
    ((4, 4, 4), (4, 2), (7, 1))
    """
    if dimensions == 1:
        return (chips,)
    root = chips ** (1 / dimensions)
    side = next(n for n in range(int(root + 1e-9), 0, -1) if chips % n == 0)
    return tuple(sorted((side, *even_sides(chips // side, dimensions - 1)), reverse=True))
