"""Search the grid for caches of a given size, and rank them by how usual their choices are."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from numbers import Real

import numpy as np

from headway.errors import BadInput, shown
from headway.matching import WITHIN
from headway.matching.grid import Stacks, entries, kv_bytes_per_token, stacks
from headway.matching.habits import Array, LayersHabit, Size, layers_habit
from headway.matching.match import Match
from headway.matching.neighbours import Neighbour, nearest, neighbours
from headway.model.dtypes import Dtype, dtype
from headway.units import parse

FORMATS = ("fp4", "fp8", "bf16")  # in which caches are kept; which one, no config tells
FEWEST_BYTES, MOST_BYTES = 1.0, 1e9  # for one token
FEWEST_PARAMS, MOST_PARAMS = 1e6, 1e15
_BARE = re.compile(r".*\d\s*[kKMG]i?")  # 2k, of bytes


@dataclass(frozen=True)
class Asked:
    """The numbers to match: bytes by which a cache grows with each token, and the size of the model if it is known."""

    kv_bytes: float
    total_params: float | None = None
    active_params: float | None = None
    kv_dtype: str | None = None
    within_share: float = WITHIN

    def __post_init__(self) -> None:
        _check("kv_bytes", self.kv_bytes, FEWEST_BYTES, MOST_BYTES, "bytes")
        _check("params", self.total_params, FEWEST_PARAMS, MOST_PARAMS, "parameters")
        _check("active", self.active_params, FEWEST_PARAMS, MOST_PARAMS, "parameters")
        if self.total_params is not None and (self.active_params or 0.0) > self.total_params:
            raise BadInput(f"active={self.active_params:g} cannot exceed params={self.total_params:g}")
        if not 0 <= self.within_share < 1:
            raise BadInput(f"the tolerance must be from 0 to below 1, such as 0.05 or 5%, found {self.within_share:g}")

    @property
    def size(self) -> Size:
        """What is known of the size of the model."""
        return Size(self.total_params, self.active_params)

    @property
    def formats(self) -> tuple[Dtype, ...]:
        """The number formats to try: the one that was given, or each usual one."""
        return tuple(map(dtype, [self.kv_dtype] if self.kv_dtype else FORMATS))


def _check(name: str, value: float | None, least: float, most: float, unit: str) -> None:
    if value is not None and not least <= value <= most:
        hint = f"; did you mean {value:g}B?" if unit == "parameters" and 0 < value < least else ""
        raise BadInput(f"{name} must be from {least:,.0f} to {most:,.0f} {unit}, found {value:g}{hint}")


@dataclass(frozen=True)
class Fits:
    """The caches that fit, the likeliest first: where they stand on the grid. Arrays have one axis, the caches."""

    entry: Array
    stack: Array
    format: Array
    kv_bytes: Array
    plausibility: Array

    def __len__(self) -> int:
        return len(self.plausibility)

    @functools.cached_property
    def share(self) -> Array:
        """The part that each has of the plausibility of all that fit; they sum to 1."""
        return np.asarray(self.plausibility / self.plausibility.sum())


@dataclass(frozen=True)
class Found:
    """What fits, and the catalogued models that keep about as much.

    `grid_size` counts the caches that were looked at; `nearest` are those below and above the number where none fits.
    `nearest_models` are the catalogued model that is nearest by what it stores, and all that store as much as it.
    """

    asked: Asked
    layers: LayersHabit
    stacks: Stacks
    fits: Fits
    grid_size: int
    nearest: tuple[Match, ...]
    neighbours: tuple[Neighbour, ...]
    nearest_models: tuple[Neighbour, ...]

    def match(self, i: int) -> Match:
        """One of those that fit."""
        fits = self.fits
        at = (int(fits.entry[i]), int(fits.stack[i]), int(fits.format[i]))
        return _match(self.asked, self.stacks, at, float(fits.plausibility[i]))

    def best(self, most: int | None = None) -> list[Match]:
        """The likeliest matches, or all."""
        return [self.match(i) for i in range(len(self.fits))[:most]]

    @functools.cached_property
    def exact(self) -> Array:
        """Which of them keep the asked number to the byte, the likeliest first."""
        return np.flatnonzero(self.fits.kv_bytes == self.asked.kv_bytes)

    def of_format(self, one: Dtype) -> Array:
        """Which of them are in a number format, the likeliest first."""
        return np.flatnonzero(self.fits.format == self.asked.formats.index(one))

    @property
    def likeliest_half(self) -> int:
        """How many of the likeliest hold half of the plausibility together."""
        if not len(self.fits):
            return 0
        return int(np.searchsorted(np.cumsum(self.fits.share), 0.5)) + 1

    def left_if_known(self) -> dict[str, float]:
        """How many matches would be left, on average, if one of their choices were known; the most telling first."""
        fits = self.fits
        choices = {
            "heads_and_dimensions": entries().shapes[fits.entry],
            "kv_layers": fits.stack,
            "dtype": fits.format,
            "compression_stride": entries().columns["compression_stride"][fits.entry],
        }
        left = {name: _left(values, fits.share) for name, values in choices.items()} if len(fits) else {}
        return dict(sorted(left.items(), key=lambda item: item[1]))


def _left(values: Array, share: Array) -> float:
    """Matches that agree with a match in this choice, on average over the matches by their plausibility."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return float(count[place] @ share)


def bytes_per_token(value: object) -> float:
    """Bytes a token, from a number or from what a person writes. [B]

    >>> bytes_per_token(1667), bytes_per_token("2k"), bytes_per_token("1.6 kB"), bytes_per_token("2Ki")
    (1667.0, 2000.0, 1600.0, 2048.0)
    """
    try:
        return _number(f"{value}B" if isinstance(value, str) and _BARE.fullmatch(value.strip()) else value, "B")
    except BadInput:
        raise BadInput(
            f"kv_bytes takes a number of bytes, such as 1667, 2k or '1.6 kB', found {shown(value)}"
        ) from None


def _number(value: object, unit: str) -> float:
    """A number as it is, whatever it is; a text is read."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else parse(value, unit)


def find(
    kv_bytes: float | str, *, total_params: float | str | None = None, active_params: float | str | None = None,
    kv_dtype: str | None = None, within_share: float | str = WITHIN,
) -> Found:  # fmt: skip
    """Plausible caches that grow by `kv_bytes` [B] with each token, within a share of it, and catalogued neighbours.

    Sizes of the model [params], where they are known, make likelier what catalogued models near them choose.
    Without a number format each usual one is tried, and none is likelier than another. Numbers may be given as people
    write them ("2k", "671B", "5%"). `BadInput` for a number that no cache has, `UnknownName` for a format that nobody
    knows.

    >>> match = find(70272, within_share=0, kv_dtype="bf16").match(0)
    >>> match.reading, match.like[0]
    ('61 layers of (512 latent + 64 rotary) in bf16', 'deepseek-r1')
    """
    if kv_dtype is not None and not isinstance(kv_dtype, str):
        raise BadInput(f"kv_dtype is the name of a format, such as fp8, found {shown(kv_dtype)}")
    total, active = (None if size is None else _number(size, "params") for size in (total_params, active_params))
    asked = Asked(bytes_per_token(kv_bytes), total, active, kv_dtype, _number(within_share, "1"))
    layers = layers_habit(total, active)
    stack = stacks(layers)
    kept, plausibility = _grid(asked, stack)
    off = np.abs(kept - asked.kv_bytes)
    place = np.nonzero(off <= asked.within_share * asked.kv_bytes)
    order = np.lexsort((place[1], off[place], -plausibility[place]))
    entry, caches, number = (axis[order] for axis in place)
    fits = Fits(entry, caches, number, kept[entry, caches, number], plausibility[entry, caches, number])
    sides = () if len(fits) else _nearest(asked, stack, kept, plausibility)
    near = (known(asked.kv_bytes, asked.formats, asked.size) for known in (neighbours, nearest))
    return Found(asked, layers, stack, fits, kept.size, sides, *near)


def _grid(asked: Asked, stack: Stacks) -> tuple[Array, Array]:
    """Bytes per token of the whole grid and its plausibility; the axes are entries, stacks and formats."""
    columns = {name: column[:, None, None] for name, column in entries().columns.items()}
    sizes = np.array([one.bytes_per_number for one in asked.formats])
    kept = kv_bytes_per_token(columns, stack.caches[:, None], sizes)
    plausibility = entries(asked.size).plausibility[:, None, None] * stack.plausibility[:, None] / len(sizes)
    return kept, np.broadcast_to(plausibility, kept.shape)


def _nearest(asked: Asked, stack: Stacks, kept: Array, plausibility: Array) -> tuple[Match, ...]:
    """The likeliest of the caches just below and just above what was asked."""
    found = []
    for side, closest in ((kept < asked.kv_bytes, np.max), (kept > asked.kv_bytes, np.min)):
        if side.any():
            alike = np.argwhere(kept == closest(kept[side]))
            entry, caches, number = max(alike.tolist(), key=lambda at: float(plausibility[tuple(at)]))
            at = (entry, caches, number)
            found.append(_match(asked, stack, at, float(plausibility[at])))
    return tuple(found)


def _match(asked: Asked, stack: Stacks, at: tuple[int, int, int], plausibility: float) -> Match:
    entry, i, number = at
    return Match(
        entries().entry(entry), int(stack.caches[i]), int(stack.n_layers[i]), int(stack.growing_layers[i]),
        int(stack.layers_per_cache[i]), asked.formats[number], asked.kv_bytes, plausibility,
    )  # fmt: skip
