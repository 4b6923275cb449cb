"""The ledger: who says what, and how it is recomputed. The claims are data (`data/claims/*.toml`), a file per area."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any

from headway.errors import BadInput, UnknownName, neighbours, shown

# Areas in the order of the ledger, with what they are about.
AREAS = {
    "scaling": "How long to train: scaling laws and the cost of a whole life",
    "moe": "Mixtures of experts: laws, counts, balance",
    "train": "Training systems: memory, bubbles, arithmetic, exchanges",
    "ep": "Experts spread over chips and racks",
    "kv": "KV cache, attention, memory tiers",
    "spec": "Guessing ahead",
    "crypto": "Reversible networks and ciphers",
    "uncert": "How sure the training sums are",
    "queue": "Waiting for the train",
    "batch": "Batch and beat",
    "rack": "Racks",
    "price": "What prices say",
}
PARTS = ("training", "simulation", "money")  # of headway that are still to be built, each with its claims


@dataclass(frozen=True)
class Claim:
    """One claim: what is said, by whom, and the steps that recompute it.

    A statement that is a number has it in `number`; one that is a range, or a bound, in `low` and `high`. Each is as
    printed ("1 min"), or the name of a step. An `exact` number must come out to its last digit; any other is taken as
    spoken. The number shown is the result of the last step, or of the step named in `result`; the statement is held
    against that one, or against the step named in `compare`. `readings` are what an ambiguous statement may mean.
    """

    id: str
    area: str
    statement: str
    stated: str
    unit: str
    source: str
    steps: tuple[str, ...] = ()
    number: str = ""
    low: str = ""
    high: str = ""
    exact: bool = False
    result: str = ""
    compare: str = ""
    readings: Mapping[str, str] | None = None
    why: str = ""
    differs: str = ""
    part: str = ""

    @property
    def built(self) -> bool:
        """Whether the part of headway that recomputes it is there."""
        return not self.part


@functools.cache
def claims() -> Mapping[str, Claim]:
    """Every claim by id, in the order of the ledger."""
    found: dict[str, Claim] = {}
    for area in AREAS:
        text = (files("headway.validate") / "data" / "claims" / f"{area}.toml").read_text("utf-8")
        for row in tomllib.loads(text)["claim"]:
            claim = read_claim(row, area)
            if claim.id in found:
                raise BadInput(f"claim {claim.id} stands twice in the ledger")
            found[claim.id] = claim
    return found


def read_claim(row: Mapping[str, Any], area: str) -> Claim:
    """A claim from a table of TOML; an unknown or missing field raises `BadInput`."""
    known = {f.name for f in fields(Claim)} - {"area"}
    where = f"claim {shown(row.get('id', '?'))}"
    for name in row:
        if name not in known:
            raise UnknownName(f"field of {where}", name, known)
    for name in ("id", "statement", "stated", "unit", "source"):
        if not isinstance(row.get(name), str):
            raise BadInput(f"{where} needs {name}")
    if bool(row.get("steps")) == bool(row.get("part")):
        raise BadInput(f"{where} needs steps, or the part that is still to be built")
    if row.get("part", PARTS[0]) not in PARTS:
        raise UnknownName(f"part in {where}", str(row["part"]), PARTS)
    return Claim(**{**row, "area": area, "steps": tuple(row.get("steps", ()))})


def claim(name: str) -> Claim:
    """The claim with an id, in any case; an unknown one raises `UnknownName` with its neighbours.

    >>> claim("b25").area
    'moe'
    """
    if not isinstance(name, str):
        raise BadInput(f"a claim is named by its id, such as B25, found {shown(name)}")
    found = claims().get(name.strip().upper())
    if found is None:
        near = [n.upper() for n in neighbours(name, [known.lower() for known in claims()])]
        hint = f"did you mean {' or '.join(near)}?" if near else "headway claims lists them"
        raise UnknownName("claim", name, claims(), hint)
    return found
