"""Parse and format quantities: the only place that knows prefixes.

Inside the library everything is SI and names say so (`_s`, `_bytes`, `_flop_per_s`, `_usd_per_s`).
People write "3.35 TB/s", "186 GB", "5 PFLOP/s", "$2/h", "200k", "20 ms"; this module stands between.

`k` is 1000 and `Ki` is 1024, for tokens as for bytes: 8k tokens are 8,000 and 8Ki are 8,192.
"""

from __future__ import annotations

import math
import re
from numbers import Real

from headway.errors import BadInput, shown

_DECIMAL = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18, "Z": 1e21}
_BINARY = {f"{p}i": 1024.0**n for n, p in enumerate("KMGTPE", start=1)} | {"ki": 1024.0}
_SMALL = {"m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9, "p": 1e-12}
_BILLION = {"B": 1e9, "b": 1e9, "bn": 1e9}  # counts only: 671B parameters
_TIME = {"s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hr": 3600.0,
         "hour": 3600.0, "d": 86400.0, "day": 86400.0, "y": 365.25 * 86400.0, "year": 365.25 * 86400.0}  # fmt: skip
_SPELLINGS = {
    "B": {"B", "byte", "bytes"},
    "FLOP": {"FLOP", "FLOPs", "flop", "flops", "OP", "OPs"},
    "W": {"W", "watt", "watts"},
    "USD": {"USD", "usd", "$", "dollar", "dollars"},
    "g": {"g", "gram", "grams"},
}
_RATES = {"FLOPS": "FLOP/s", "OPS": "FLOP/s", "FLOP/s": "FLOP/s", "OP/s": "FLOP/s"}
# Commas part thousands and nothing else: "3,35" is a slip or a decimal comma, and is refused.
_NUMBER = re.compile(r"[-+]?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d[\d_]*)\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
COUNTS = ("1", "tokens", "params", "sequences", "chips", "layers", "experts")


def parse(text: object, unit: str) -> float:
    """A number in the SI unit `unit`, from a number or from what a person writes.

    A bare number is taken to be in `unit` already, but a price written without its time is refused: nobody means
    dollars per second. Raises `BadInput` where the text is no number, carries another unit, or is not finite.

    >>> parse("3.35 TB/s", "B/s"), parse("186GB", "B"), parse("95 GiB", "B")
    (3350000000000.0, 186000000000.0, 102005473280.0)
    >>> parse("$2/h", "USD/s") * 3600, parse("200k", "tokens"), parse("671B", "params")
    (2.0, 200000.0, 671000000000.0)
    >>> parse("400 Gb/s", "B/s"), parse("20 ms", "s"), parse("5 PFLOPS", "FLOP/s")
    (50000000000.0, 0.02, 5000000000000000.0)
    """
    if isinstance(text, Real) and not isinstance(text, bool):
        return _finite(text, text, unit)
    if not isinstance(text, str):
        raise BadInput(f"expected a number{_in(unit)} such as {_example(unit)!r}, found {shown(text)}")
    cleaned = text.strip()
    dollars = cleaned.startswith("$")
    cleaned = cleaned.removeprefix("$").strip()
    match = _NUMBER.match(cleaned)
    if match is None:
        raise BadInput(f"expected a number{_in(unit)} such as {_example(unit)!r}, found {shown(text)}")
    suffix = cleaned[match.end() :].strip()
    if dollars:  # $30k/h is 30 kUSD/h
        scale, slash, per = suffix.partition("/")
        suffix = f"{scale.strip()}USD{slash}{per}"
    factor = 1.0 if not suffix else _factor(suffix, unit)
    if factor is None:
        wanted = "a number" if unit == "1" else unit
        raise BadInput(f"expected {wanted} such as {_example(unit)!r}, found {shown(text)}")
    number = float(re.sub("[_,]", "", match.group()))
    if not suffix:
        refuse_bare_price(number, text, unit)
    return _finite(number * factor, text, unit)


def refuse_bare_price(number: float, text: object, unit: str) -> None:
    """Refuse a price without its time, as a person writes it; 0 costs nothing in any unit."""
    if unit == "USD/s" and number != 0 and math.isfinite(number):
        raise BadInput(f"expected USD/s with its unit, such as {_example(unit)!r}, found {shown(text)}")


def _finite(value: Real | float, text: object, unit: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadInput(f"expected a finite number{_in(unit)} such as {_example(unit)!r}, found {shown(text)}")
    return number


def _in(unit: str) -> str:
    return "" if unit == "1" else f" in {unit}"


def _example(unit: str) -> str:
    examples = {"B": "80 GB", "B/s": "3.35 TB/s", "FLOP/s": "989 TFLOP/s", "s": "20 ms", "USD/s": "$2/h",
                "W": "700 W", "USD": "$30k", "USD/token": "$2/Mtok", "USD/B": "$4/GB", "FLOP": "2 TFLOP",
                "kg": "1360 kg", "tokens": "128k", "tokens/s": "5k tokens/s", "params": "671B",
                "1": "0.9"}  # fmt: skip
    return examples.get(unit, "8")


def _factor(suffix: str, unit: str) -> float | None:
    """What one `suffix` is in `unit`, or None where it is another kind of thing."""
    if unit in COUNTS:
        return _count(suffix, unit)
    if unit == "kg":
        grams = _scaled(suffix, "g")
        return None if grams is None else grams / 1000
    top, _, bottom = unit.partition("/")
    if unit == "FLOP/s" and (rate := _flops(suffix)) is not None:
        return rate
    head, slash, tail = suffix.partition("/")
    if bottom and not slash:
        return None
    if slash and not bottom:
        return None
    if top == "B" and (bits := re.fullmatch(r"([kMGTP]?)(?:b|bit|bits)", head.strip())):
        numerator: float | None = _DECIMAL[bits.group(1)] / 8 if bottom == "s" else None
    elif top in COUNTS:
        numerator = _count(head.strip(), top)
    else:
        numerator = _time(head) if top == "s" else _scaled(head.strip(), top)
    denominator = _per(tail.strip(), bottom)
    if numerator is None or denominator is None:
        return None
    return numerator / denominator


def _count(suffix: str, unit: str) -> float | None:
    scales = _DECIMAL | _BINARY | _BILLION | ({"%": 0.01} if unit == "1" else {})
    if suffix in scales:
        return scales[suffix]
    for word in (unit, unit.removesuffix("s")):
        if unit != "1" and suffix.endswith(word):
            return scales.get(suffix.removesuffix(word).strip())
    return None


def _scaled(text: str, base: str) -> float | None:
    for spelling in sorted(_SPELLINGS.get(base, {base}), key=len, reverse=True):
        prefix = text.removesuffix(spelling).strip() if text.endswith(spelling) else None
        if prefix is not None:
            table = _DECIMAL | {"B": _BINARY, "USD": _BILLION}.get(base, {})
            if prefix in table:
                return table[prefix]
            if base == "W" and prefix in _SMALL:
                return _SMALL[prefix]
    return _DECIMAL.get(text) if base == "USD" else None


def _flops(suffix: str) -> float | None:
    for spelling in sorted(_RATES, key=len, reverse=True):
        if suffix.endswith(spelling) and suffix.removesuffix(spelling).strip() in _DECIMAL:
            return _DECIMAL[suffix.removesuffix(spelling).strip()]
    return None


def _time(text: str) -> float | None:
    text = text.strip()
    singular = text.removesuffix("s")
    if text in _TIME or (singular in _TIME and len(singular) > 1):
        return _TIME.get(text) or _TIME[singular]
    if text.endswith("s") and text[:-1] in _SMALL:
        return _SMALL[text[:-1]]
    return None


def _per(text: str, bottom: str) -> float | None:
    if not bottom:
        return 1.0
    if bottom == "s":
        return _time(re.sub(r"^(chip|gpu)[- ]", "", text))  # a price is for one chip
    if bottom == "token":
        scale = re.fullmatch(r"(\w*?)\s*tok(?:en)?s?", text)
        return _DECIMAL.get(scale.group(1)) if scale else None
    if bottom == "B":
        return _scaled(text, "B")
    return 1.0 if text in (bottom, f"{bottom}s") else None


def format_si(value: float, unit: str, digits: int = 3) -> str:
    """A quantity as a person reads it: three digits, the nearest prefix, human units for time and money.

    >>> format_si(3.35e12, "B/s"), format_si(1.165e-3, "s"), format_si(671e9, "params")
    ('3.35 TB/s', '1.17 ms', '671B params')
    >>> format_si(2 / 3600, "USD/s"), format_si(1.2e-7, "USD/token"), format_si(5440.5, "sequences")
    ('$2.00/h', '$0.120/Mtok', '5,440 sequences')
    """
    if math.isinf(value):
        return "infinity" if value > 0 else "-infinity"
    if unit == "s":
        return _format_time(value, digits)
    if unit == "USD/s":
        return f"${_digits(value * 3600, digits)}/h"
    if unit == "USD/token":
        return f"${_digits(value * 1e6, digits)}/Mtok"
    if unit == "USD/B":
        return f"${_digits(value * 1e9, digits)}/GB"
    if unit == "USD":
        return f"${_digits(value, digits)}"
    if unit == "1":
        return _digits(value, digits)
    if unit == "kg":
        return f"{_digits(value, digits)} kg"
    top, slash, bottom = unit.partition("/")
    if top in ("B", "FLOP", "W"):
        scale, prefix = _prefix(value)
        return f"{_digits(value / scale, digits)} {prefix}{top}{slash}{bottom}"
    if abs(value) >= 1e6:
        scale, prefix = _prefix(value)
        return f"{_digits(value / scale, digits)}{prefix.replace('G', 'B')} {unit}"
    if float(value).is_integer():
        return f"{value:,.0f} {unit}"
    return f"{_digits(value, digits)} {unit}"


def _prefix(value: float) -> tuple[float, str]:
    for prefix, scale in reversed([item for item in _DECIMAL.items() if item[0] not in ("K", "Z")]):
        if abs(value) >= scale * 0.9995:
            return scale, prefix
    return 1.0, ""


def _format_time(value: float, digits: int) -> str:
    size = abs(value)
    if size == 0:
        return "0 s"
    steps = ((1e-6, 1e-9, "ns"), (1e-3, 1e-6, "µs"), (1.0, 1e-3, "ms"), (120.0, 1.0, "s"),
             (7200.0, 60.0, "min"), (172800.0, 3600.0, "h"), (math.inf, 86400.0, "d"))  # fmt: skip
    for below, scale, name in steps:
        if size < below * 0.9995:
            return f"{_digits(value / scale, digits)} {name}"
    raise AssertionError(value)  # the last step has no upper end


def _digits(value: float, digits: int) -> str:
    """`digits` significant digits without an exponent where that stays readable.

    Trailing zeros that carry precision stay (2.00), integers stay integers.
    """
    if value == 0:
        return "0"
    size = int(f"{value:.{digits - 1}e}".partition("e")[2])  # of the rounded number: 9.996 is 10.0
    if size < -4 or size >= 15:
        return f"{value:.{digits - 1}e}"
    if size >= digits - 1:
        return f"{value:,.0f}"
    return f"{value:.{digits - 1 - size}f}"
