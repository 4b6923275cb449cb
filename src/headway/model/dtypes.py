"""Number formats: how many bytes one stored number takes, its scales included, and which rate multiplies it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headway.errors import UnknownName


@dataclass(frozen=True)
class Dtype:
    """A number format. `rates` are the chip's peak rates that can multiply it, the first that it has counts.

    Weights in 16 bits or fewer never run at the fp32 rate, which is that of other units; 4-bit weights that a chip
    does not multiply as they are are expanded to 16 bits.
    """

    name: str
    bytes_per_number: float
    rates: tuple[str, ...]
    note: str = ""


_HALF = ("bf16_flop_per_s", "fp16_flop_per_s")
_FP4 = ("fp4_flop_per_s", *_HALF)

DTYPES: Mapping[str, Dtype] = {
    d.name: d
    for d in (
        Dtype("fp32", 4.0, ("tf32_flop_per_s", "fp32_flop_per_s")),
        Dtype("bf16", 2.0, _HALF),
        Dtype("fp16", 2.0, ("fp16_flop_per_s", "bf16_flop_per_s")),
        Dtype("fp8", 1.0, ("fp8_flop_per_s", *_HALF)),
        Dtype("int8", 1.0, ("int8_flop_per_s", *_HALF)),
        Dtype("fp4", 0.5, _FP4),
        Dtype("mxfp4", 0.5 + 1 / 32, _FP4, "one 8-bit scale for 32 numbers (OCP MX v1.0)"),
        Dtype("nvfp4", 0.5 + 1 / 16, _FP4, "one fp8 scale for 16 numbers"),
        Dtype("int4", 0.5, _HALF, "stored in 4 bits, multiplied in 16"),
    )
}
_SPELLINGS = {
    "bfloat16": "bf16", "float16": "fp16", "half": "fp16", "float32": "fp32", "float": "fp32",
    "float8": "fp8", "fp8_e4m3": "fp8", "e4m3": "fp8", "fp8_e5m2": "fp8",
}  # fmt: skip


def dtype(name: str) -> Dtype:
    """A number format by name; `UnknownName` with its neighbours otherwise.

    >>> dtype("bfloat16").bytes_per_number
    2.0
    """
    lowered = name.strip().lower()
    found = DTYPES.get(_SPELLINGS.get(lowered, lowered))
    if found is None:
        raise UnknownName("dtype", name, DTYPES)
    return found
