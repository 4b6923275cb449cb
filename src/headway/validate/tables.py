"""The tables by which a measured row is understood: names, formats, loads, and what it leaves blank."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from typing import Any

from headway.validate.measured import DATA, Row


@functools.cache
def table(name: str, key: str) -> tuple[Mapping[str, Any], ...]:
    """The entries of one of the tables beside the measured rows, in their order."""
    read: dict[str, Any] = tomllib.loads((DATA / f"{name}.toml").read_text("utf-8"))
    return tuple(read[key])


def first(name: str, key: str, row: Row) -> Mapping[str, Any] | None:
    """The first entry whose conditions fit a row."""
    return next((entry for entry in table(name, key) if row.fits(entry.get("when", {}))), None)
