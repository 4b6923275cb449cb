"""What the commands share in reading their arguments."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from headway.errors import BadInput, UnknownName, shown
from headway.units import parse

MOST_POINTS = 100_000  # of one answer on a terminal; the library has no limit
LARGEST = 1e30
SMALLEST = 1e-30
FEWEST_PARAMS = 1000  # fewer are a slip: 70 for 70B
_SYSTEM = ("--system", "--machine", "--hardware", "--device", "--chip", "--gpu")  # what --on may be taken to be called
_OPTION = re.compile(r"-(-|[A-Za-z])")  # and no negative number
_DASHED = re.compile(r"\d+[kM]?-\d+[kM]?")  # 1-64, which people type for a range
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:,\d{3})*,0\d\d(?:,\d{3})*[^,:]*")  # a list has no part like 000


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
        self._refuse_unknown_options(arguments)  # before a missing argument, which the unknown one may have meant
        known, extra = self.parse_known_intermixed_args(arguments)
        for word in extra:
            self._refuse_unknown_options([word])
            raise BadInput(f"unexpected argument {shown(word)} (see {self.prog} --help)")
        return known

    def _refuse_unknown_options(self, words: Sequence[str]) -> None:
        options = [option for action in self._actions for option in action.option_strings]
        for word in words[: words.index("--")] if "--" in words else words:
            name = word.partition("=")[0]
            if _OPTION.match(word) and " " not in word and name not in options and word[:2] not in options:
                hint = "did you mean --on?" if "--on" in options and name.rstrip("s") in _SYSTEM else ""
                raise UnknownName("option", name, [option for option in options if option.startswith("--")], hint)

    def add_output_options(self, explains: str = "write out every equation with the numbers put in") -> None:
        """--json and --explain, which every command has."""
        self.add_argument("--json", action="store_true", help="print one JSON object, units in the key names")
        self.add_argument("--explain", action="store_true", help=explains)

    def add_model_options(self, *, several: bool = False) -> None:
        """A model by name, id or path, or by bare numbers; or several."""
        self.add_argument("models" if several else "model", nargs="*" if several else "?", metavar="MODEL",
                          help="catalog name, Hugging Face id, a config.json, or - for one on stdin")  # fmt: skip
        self.add_argument("--params", metavar="N", help="bare numbers instead: parameters in all, such as 671B")
        self.add_argument("--active", metavar="N", help="parameters that a token multiplies (default: all)")
        self.add_argument("--kv-bytes", metavar="BYTES", help="KV cache of one token, all layers, such as 70272")
        self.add_argument(
            "--weight-dtype",
            metavar="DTYPE",
            help="format of the weights, such as fp8, or nvfp4,attention=bf16 (default: the checkpoint's)",
        )
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
    `start:stop:lin:n` at equal steps, and `start:stop:step` counts up. Both ends are included. Of `whole` things
    the points of a logarithmic or linear range are rounded, and any other part of one is refused.

    >>> axis("8k", "tokens"), axis("1,2,64", "sequences"), axis("1:16:log", "sequences")
    (8000.0, [1.0, 2.0, 64.0], [1.0, 2.0, 4.0, 8.0, 16.0])
    >>> axis("0:100k:25k", "tokens"), axis("1:1000:log:4", "sequences")
    ([0.0, 25000.0, 50000.0, 75000.0, 100000.0], [1.0, 10.0, 100.0, 1000.0])
    """
    if _THOUSANDS.fullmatch(text.strip()):
        raise BadInput(f"a comma separates a list; write {text.strip().replace(',', '')}, found {shown(text)}")
    if _DASHED.fullmatch(text.strip()):
        raise BadInput(f"a range is written {text.strip().replace('-', ':')}:log, found {shown(text)}")
    read = _parse_whole if whole else parse
    if ":" not in text and "," not in text:
        return read(text, unit)
    points = _range(text, unit, whole=whole) if ":" in text else [read(part, unit) for part in text.split(",")]
    if len(points) > MOST_POINTS:
        raise BadInput(f"{shown(text)} has {len(points):,} points, more than {MOST_POINTS:,}")
    if ":" not in text:
        return points
    return list(dict.fromkeys(float(round(point)) for point in points) if whole else dict.fromkeys(points))


def _parse_whole(text: str, unit: str) -> float:
    """A number of things that cannot be parted: 8.2k are 8,200, and 1.5 are refused."""
    value = parse(text, unit)
    if not math.isclose(value, round(value), rel_tol=1e-9):
        raise BadInput(f"the number of {unit} must be a whole number, found {shown(text)}")
    return float(round(value)) if abs(value) < 2**53 else value


def _range(text: str, unit: str, *, whole: bool) -> list[float]:
    parts = text.split(":")
    if not 3 <= len(parts) <= 4 or (len(parts) == 4 and parts[2] not in ("log", "lin")):
        raise BadInput(f"a range is start:stop:log, start:stop:log:n, start:stop:lin:n or start:stop:step, "
                       f"found {shown(text)}")  # fmt: skip
    start, stop = parse(parts[0], unit), parse(parts[1], unit)
    if not -LARGEST <= start <= stop <= LARGEST:
        raise BadInput(f"the range {shown(text)} must end at or after its start, and below {LARGEST:g}")
    if parts[2] in ("log", "lin"):
        return _spaced(text, start, stop, parts)
    start, step = (_parse_whole(part, unit) if whole else parse(part, unit) for part in (parts[0], parts[2]))
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
    count = parse(parts[3], "chips")
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
        raise BadInput(f"{option} must be positive and at most {LARGEST:g}, found {shown(text)}")
    return value


def _params(text: str | None, option: str) -> float | None:
    """A number of parameters; one that no model has is a number of billions without its B."""
    value = positive(text, "params", option)
    if value is not None and value < FEWEST_PARAMS:
        raise BadInput(f"{option} is {value:g} parameters; did you mean {value:g}B?")
    return value


def load_model_from(args: Any, name: str | None, changes: Mapping[str, str] | None = None) -> Any:
    """The model that the options name: by name, id or path, or by bare numbers; with fields of its config changed."""
    from headway.model.config import load_model  # noqa: PLC0415
    from headway.model.model import bare_model  # noqa: PLC0415

    if args.params is None:
        for option, text in (("--active", args.active), ("--kv-bytes", args.kv_bytes)):
            if text is not None:
                raise BadInput(f"{option} describes a model by bare numbers and needs --params too")
        if name is None:
            raise BadInput("name a model, such as deepseek-v3, or give --params, --active and --kv-bytes")
        if name == "-":
            name = _pasted()
        try:
            return load_model(name, kv_dtype=args.kv_dtype, weight_dtype=args.weight_dtype, changes=changes)
        except UnknownName as error:
            _refuse_machine(name)
            raise error from None
    if name is not None:
        raise BadInput(f"name a model ({shown(name)}) or give --params, not both")
    if args.kv_dtype is not None:
        raise BadInput("--kv-dtype has no effect on bare numbers; change --kv-bytes instead")
    if changes:
        raise BadInput("--set changes fields of a config; bare numbers have none")
    params = _params(args.params, "--params")
    kv = None if args.kv_bytes is None else parse(args.kv_bytes, "B")
    if kv is not None and not 0 <= kv <= LARGEST:
        raise BadInput(f"--kv-bytes must be from 0 to {LARGEST:g}, found {shown(args.kv_bytes)}")
    assert params is not None
    return bare_model(params, _params(args.active, "--active"), kv, args.weight_dtype)


def _pasted() -> Any:
    """The fields of a config.json on standard input."""
    import sys  # noqa: PLC0415

    from headway.catalog.store import LARGEST_FILE_BYTES  # noqa: PLC0415
    from headway.model.find import parse_text  # noqa: PLC0415

    try:
        text = sys.stdin.read(LARGEST_FILE_BYTES + 1) if sys.stdin is not None else ""
    except ValueError as error:  # bytes that are no text
        raise BadInput(f"cannot read standard input: {error}") from None
    if len(text) > LARGEST_FILE_BYTES:
        raise BadInput(f"standard input is larger than {LARGEST_FILE_BYTES // 1_000_000} MB")
    return parse_text(text, "standard input")


def _refuse_machine(name: str) -> None:
    """Say so where a machine stands in the place of a model."""
    from headway import catalog  # noqa: PLC0415

    found = catalog.resolve(name) or catalog.resolve(re.sub(r":\d+$|^\d+\s*x\s*", "", name.strip()))
    if found is not None:
        kind = found.kind.replace("_", " ")
        remedy = f"roofline deepseek-v3 --on {name}" if found.kind != "memory_tier" else f"catalog {found.name}"
        raise BadInput(f"{shown(name)} is no model but a catalogued {kind}; try headway {remedy}")
