"""What the commands share in reading their arguments."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import Any, NoReturn

from headway.errors import BadInput, UnknownName, shown
from headway.units import parse

MOST_POINTS = 100_000  # of one answer on a terminal; the library has no limit
LARGEST = 1e30
SMALLEST = 1e-30


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with one line and the nearest option."""

    def __init__(self, command: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=f"headway {command}",
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """Refuse, without argparse's usage block."""
        raise BadInput(f"{message} (see {self.prog} --help)")

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The parsed arguments; anything left over is refused with its neighbours."""
        for word in arguments:
            if word.startswith("--") and word.endswith("=--"):  # argparse would take the value for a separator
                raise BadInput(f"{shown(word)} lacks a value (see {self.prog} --help)")
        known, extra = self.parse_known_intermixed_args(arguments)
        for word in extra:
            if word.startswith("-"):
                options = [option for action in self._actions for option in action.option_strings]
                raise UnknownName("option", word.partition("=")[0], options)
            raise BadInput(f"unexpected argument {shown(word)} (see {self.prog} --help)")
        return known

    def add_output_options(self) -> None:
        """--json and --explain, which every command has."""
        self.add_argument("--json", action="store_true", help="print one JSON object, units in the key names")
        self.add_argument("--explain", action="store_true", help="write out every equation with the numbers put in")

    def add_model_options(self) -> None:
        """A model by name, id or path, or by bare numbers."""
        self.add_argument("model", nargs="?", metavar="MODEL",
                          help="catalog name, Hugging Face id of a catalogued model, or a config.json")  # fmt: skip
        self.add_argument("--params", metavar="N", help="bare numbers instead: parameters in all, such as 671B")
        self.add_argument("--active", metavar="N", help="parameters that a token multiplies (default: all)")
        self.add_argument("--kv-bytes", metavar="BYTES", help="KV cache of one token, all layers, such as 70272")
        self.add_argument("--weight-dtype", metavar="DTYPE", help="format of the weights (default: the checkpoint's)")
        self.add_argument(
            "--kv-dtype", metavar="DTYPE", help="format of the KV cache (default: the checkpoint's, bf16)"
        )

    def add_set_option(self, what: str) -> None:
        """--set NAME=VALUE, repeated."""
        self.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="changes", help=what)


def read_changes(pairs: Sequence[str]) -> dict[str, str]:
    """--set options as a table; the last word on a name wins."""
    changes = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise BadInput(f"--set takes NAME=VALUE, such as bandwidth_bytes_per_s=10e12, found {shown(pair)}")
        changes[name.strip()] = value.strip()
    return changes


def axis(text: str, unit: str, *, whole: bool = True) -> float | list[float]:
    """A value, a list, or a range, as people write them.

    `start:stop:log` doubles from start to stop, `start:stop:log:n` takes n points at equal ratios,
    `start:stop:lin:n` at equal steps, and `start:stop:step` counts up. Both ends are included.

    >>> axis("8k", "tokens"), axis("1,2,64", "sequences"), axis("1:16:log", "sequences")
    (8000.0, [1.0, 2.0, 64.0], [1.0, 2.0, 4.0, 8.0, 16.0])
    >>> axis("0:100k:25k", "tokens"), axis("1:1000:log:4", "sequences")
    ([0.0, 25000.0, 50000.0, 75000.0, 100000.0], [1.0, 10.0, 100.0, 1000.0])
    """
    if ":" in text:
        points = _range(text, unit)
    elif "," in text:
        points = [parse(part, unit) for part in text.split(",")]
    else:
        value = parse(text, unit)
        return float(round(value)) if whole and abs(value) < 2**53 else value
    if len(points) > MOST_POINTS:
        raise BadInput(f"{shown(text)} has {len(points):,} points, more than {MOST_POINTS:,}")
    if whole:
        points = [float(round(point)) for point in points]
    return list(dict.fromkeys(points)) if ":" in text else points


def _range(text: str, unit: str) -> list[float]:
    parts = text.split(":")
    if not 3 <= len(parts) <= 4 or (len(parts) == 4 and parts[2] not in ("log", "lin")):
        raise BadInput(f"a range is start:stop:log, start:stop:log:n, start:stop:lin:n or start:stop:step, "
                       f"found {shown(text)}")  # fmt: skip
    start, stop = parse(parts[0], unit), parse(parts[1], unit)
    if not -LARGEST <= start <= stop <= LARGEST:
        raise BadInput(f"the range {shown(text)} must end at or after its start, and below {LARGEST:g}")
    if parts[2] in ("log", "lin"):
        return _spaced(text, start, stop, parts)
    step = parse(parts[2], unit)
    if step <= 0 or (stop - start) / step > MOST_POINTS:
        raise BadInput(f"the step of {shown(text)} must be positive and give at most {MOST_POINTS:,} points")
    return [start + i * step for i in range(math.floor((stop - start) / step * (1 + 1e-12)) + 1)]


def _spaced(text: str, start: float, stop: float, parts: list[str]) -> list[float]:
    """Points at equal ratios or steps; a logarithmic range without a count doubles."""
    logarithmic = parts[2] == "log"
    if logarithmic and start < SMALLEST:
        raise BadInput(f"a logarithmic range must start above 0, found {shown(text)}")
    if len(parts) == 3:
        if not logarithmic:
            raise BadInput(f"a linear range needs a number of points, such as {parts[0]}:{parts[1]}:lin:20")
        doubled = [math.ldexp(start, i) for i in range(math.floor(math.log2(stop / start) + 1e-9) + 1)]
        return doubled if math.isclose(doubled[-1], stop) else [*doubled, stop]
    count = parse(parts[3], "1")
    if count != int(count) or not 2 <= count <= MOST_POINTS:
        raise BadInput(f"the number of points of {shown(text)} must be a whole number from 2 to {MOST_POINTS:,}")
    fractions = [i / (int(count) - 1) for i in range(int(count))]
    if logarithmic:
        return [start * (stop / start) ** f for f in fractions]
    return [start + (stop - start) * f for f in fractions]


def positive(text: str | None, unit: str, option: str) -> float | None:
    """The value of an option that must be positive, if it was given."""
    if text is None:
        return None
    value = parse(text, unit)
    if not SMALLEST <= value <= LARGEST:
        raise BadInput(f"{option} must be positive, found {shown(text)}")
    return value


def load_model_from(args: Any, changes: dict[str, Any] | None = None) -> Any:
    """The model that the options name: by name, id or path, or by bare numbers."""
    from headway.model.config import load_model  # noqa: PLC0415
    from headway.model.model import bare_model  # noqa: PLC0415

    if args.params is None:
        for option, text in (("--active", args.active), ("--kv-bytes", args.kv_bytes)):
            if text is not None:
                raise BadInput(f"{option} describes a model by bare numbers and needs --params too")
        if args.model is None:
            raise BadInput("name a model, such as deepseek-v3, or give --params, --active and --kv-bytes")
        return load_model(args.model, kv_dtype=args.kv_dtype, weight_dtype=args.weight_dtype, changes=changes)
    if args.model is not None:
        raise BadInput(f"name a model ({shown(args.model)}) or give --params, not both")
    if args.kv_dtype is not None:
        raise BadInput("--kv-dtype has no effect on bare numbers; change --kv-bytes instead")
    params = positive(args.params, "params", "--params")
    kv = None if args.kv_bytes is None else parse(args.kv_bytes, "B")
    if kv is not None and not 0 <= kv <= LARGEST:
        raise BadInput(f"--kv-bytes must be 0 or more, found {shown(args.kv_bytes)}")
    assert params is not None
    return bare_model(params, positive(args.active, "params", "--active"), kv, args.weight_dtype)
