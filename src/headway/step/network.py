"""Collectives on the real topology, written down on a worksheet.

`write_links` puts the links of a system on the sheet, `write_group` where the ranks of a group lie, and the others what
they exchange. A collective `name` has three results: `{name}_sent_bytes` of each rank, `{name}_messages` one after
another, and `{name}_s`, all for as many times as it happens in a pass.

What is assumed: every chip has its own slow link (rail) out of its domain; on a switch and between domains any rank
reaches any other in one message, so that an all-reduce takes two, and a ring's 2 (n - 1) are never the cheaper ones; a
group's links carry nothing else at the same time. A group of which all ranks lie in one domain needs no figure of the
slow links, and one with a single rank in each domain none of the fast ones: a gap of theirs is no gap then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from headway.catalog.store import defaults
from headway.equations import collectives, fabrics, moe, parallelism, topology
from headway.hardware import System
from headway.provenance import Origin, Quantity, Reference, Worksheet
from headway.step.torus import torus_of

Kind = Literal["all_reduce", "all_gather", "reduce_scatter", "all_to_all", "point_to_point"]
Equation = Callable[..., Any]

_SENT: dict[str, Equation] = {
    "all_reduce": collectives.all_reduce_sent_bytes,
    "all_gather": collectives.all_gather_sent_bytes,
    "reduce_scatter": collectives.reduce_scatter_sent_bytes,
    "all_to_all": collectives.all_to_all_sent_bytes,
}
_ONE_LEVEL: dict[str, Equation] = {
    "all_reduce": collectives.all_reduce_s,
    "all_gather": collectives.all_gather_s,
    "reduce_scatter": collectives.reduce_scatter_s,
    "all_to_all": collectives.all_to_all_s,
}
_TWO_LEVEL: dict[str, Equation] = {
    "all_reduce": topology.two_level_all_reduce_s,
    "all_gather": topology.two_level_all_gather_s,
    "reduce_scatter": topology.two_level_reduce_scatter_s,
    "all_to_all": topology.two_level_all_to_all_s,
}
_TPU_RINGS = Reference("https://jax-ml.github.io/scaling-book/tpus/", "2026-11-20")


def write_links(sheet: Worksheet, system: System) -> None:
    """The links of a system as given quantities, those already on the sheet left alone.

    `domain_chips`, bandwidth and latency of both kinds of link, and on a mesh or a torus the bandwidth of one link
    (`link_bytes_per_s`, which the other functions go by). Figures that no source gave are gaps that say so.
    """
    size = system.figure("domain_chips")
    note = size.origin.note if size.value is not None else "its size is not known: all chips count as one domain"
    origin = Origin(size.origin.kind, size.origin.where, size.origin.references, note)
    _give(sheet, Quantity("domain_chips", float(system.domain_chips), "chips", origin))
    for name in ("scaleup_bytes_per_s", "scaleout_bytes_per_s"):
        _give(sheet, system.figure(name))
    for name in ("scaleup_latency_s", "scaleout_latency_s"):
        if name not in sheet:
            sheet.give(defaults("layout")[name])
    if system.fabric == "mesh":
        _give(sheet, Quantity("mesh_chips", size.value, "chips", origin, size.gap))
        sheet.compute("link_bytes_per_s", fabrics.mesh_link_bytes_per_s, "B/s", "scaleup_bytes_per_s mesh_chips")
    if system.fabric == "torus":
        _write_torus(sheet, system)


def _give(sheet: Worksheet, quantity: Quantity) -> None:
    if quantity.name not in sheet:
        value = None if quantity.value is None else np.float64(quantity.value)
        sheet.give(Quantity(quantity.name, value, quantity.unit, quantity.origin, quantity.gap))


def _write_torus(sheet: Worksheet, system: System) -> None:
    """Rings of a domain's torus. A part of a torus is taken as the block with the most even sides."""
    found = torus_of(system)
    gap = "" if found else f"no source gave the rings of {system.name}; leave the refinement 'communication' out"
    rings, closed = found or ((), False)
    origin = Origin(
        "catalog", system.name, (_TPU_RINGS,) if found else (),
        "sides of its torus, most even where it is a part of one; a side closes to a ring where it is a whole ring of "
        "the system, or in three dimensions a multiple of 4",
    )  # fmt: skip
    sides = [*map(float, rings), 1.0, 1.0, 1.0][:3]
    for i, side in enumerate(sides, start=1):
        _give(sheet, Quantity(f"ring_{i}_chips", None if gap else side, "chips", origin, gap))
    _give(sheet, Quantity("ring_links", None if gap else 2.0 if closed else 1.0, "1", origin, gap))
    _give(sheet, Quantity("dimensions", None if gap else float(len(rings)), "1", origin, gap))
    sheet.compute("link_bytes_per_s", collectives.ring_link_bytes_per_s, "B/s", "scaleup_bytes_per_s dimensions")


def write_group(sheet: Worksheet, group: str, ranks: str, stride: str) -> None:
    """Where the ranks of a group lie: `{group}_inside` of them in each of `{group}_outside` domains.

    `ranks` and `stride` name quantities on the sheet: how many ranks, and how many chips from one to the next. Arrays
    are welcome. Domains that do not fill evenly are rounded up, and `{group}_inside` is then the mean. On a mesh and a
    torus `{group}_bytes_per_s` is what the links inside can do for the group.
    """
    inside = f"{group}_inside"
    sheet.compute_all([
        (f"{group}_outside", parallelism.group_domains, "1", f"n_ranks={ranks} stride={stride} domain_chips"),
        (inside, parallelism.group_inside, "ranks", f"n_ranks={ranks} domains={group}_outside"),
        (f"{group}_ranks", parallelism.group_ranks, "ranks", f"inside={inside} domains={group}_outside"),
    ])  # fmt: skip
    if "link_bytes_per_s" not in sheet:
        return
    if "mesh_chips" in sheet:
        sheet.compute(f"{group}_links", fabrics.mesh_links, "1", f"inside={inside}")
    else:
        block = f"inside={inside} ring_1=ring_1_chips ring_2=ring_2_chips ring_3=ring_3_chips ring_links"
        sheet.compute_all([
            (f"{group}_links", fabrics.torus_links, "1", block),
            (f"{group}_hops", fabrics.torus_hops, "1", block),
            (f"{group}_ring_chips", fabrics.torus_longest_ring, "chips", block),
        ])  # fmt: skip
    sheet.compute(f"{group}_bytes_per_s", fabrics.links_bytes_per_s, "B/s",
                  f"link_bytes_per_s links={group}_links")  # fmt: skip


def write_collective(sheet: Worksheet, kind: Kind, name: str, *, payload: str, group: str, times: str) -> None:
    """One kind of exchange of a pass: `{name}_sent_bytes` of each rank, `{name}_messages`, `{name}_s`.

    `payload` names one rank's whole buffer in one such exchange [B] (see `headway.equations.collectives`), `times` how
    many of them follow each other in a pass. `{name}_once_s` is the time of one. A group of one rank exchanges nothing.
    A point-to-point passage is from each rank of the group to the next, around.
    """
    _write_messages(sheet, kind, name, group, times)
    if kind == "point_to_point":
        _write_passage(sheet, name, payload, group)
        return
    sheet.compute_all([
        (f"{name}_once_bytes", _SENT[kind], "B", f"payload_bytes={payload} n_ranks={group}_ranks"),
        (f"{name}_sent_bytes", topology.repeated_bytes, "B", f"once_bytes={name}_once_bytes times={times}"),
    ])  # fmt: skip
    links = _links_of(sheet, group)
    if links == "none":
        _write_nothing(sheet, name)
    elif kind == "all_to_all" and links != "slow" and f"{group}_hops" in sheet:
        _write_torus_all_to_all(sheet, name, payload, group)
    elif links == "both":
        sheet.compute(f"{name}_once_s", _TWO_LEVEL[kind], "s",
                      f"payload_bytes={payload} {_where(sheet, group)} {_latencies()} {_messages(name)}")  # fmt: skip
    else:
        _write_one_level(sheet, name, _ONE_LEVEL[kind], payload, group)
    sheet.compute(f"{name}_s", topology.repeated_s, "s", f"once_s={name}_once_s times={times}")


def write_domains_hit(
    sheet: Worksheet, name: str, group: str, *, n_experts: str = "n_experts",
    experts_per_token: str = "experts_per_token", limit: str = "",
) -> None:  # fmt: skip
    """The scale-up domains on which a token's experts lie, on average, as the quantity `name`.

    The experts are spread evenly over the domains of the group. `limit` names the most domains that routing lets a
    token reach; without it there is none.
    """
    chosen = f"n_experts={n_experts} n_ranks={group}_outside experts_per_token={experts_per_token}"
    if limit:
        sheet.compute(name, moe.limited_ranks_hit, "ranks", f"{chosen} most_ranks={limit}")
    else:
        sheet.compute(name, moe.distinct_ranks_hit, "ranks", chosen)


def write_expert_exchange(
    sheet: Worksheet, name: str, *, tokens: str, copies: str, width: str, value_bytes: str, group: str, times: str,
    domains: str = "",
) -> None:  # fmt: skip
    """One direction of the exchange with experts, a dispatch or a combine: as `write_collective`, layer after layer.

    All arguments name quantities: `tokens` of one rank in a layer, `copies` of each (experts that it uses, or
    `moe.distinct_ranks_hit` where one copy serves a rank), values `width` of a copy, bytes of a value with its scales.
    Without `domains` every copy travels alone. With the domains that a token's experts lie on (`write_domains_hit`) one
    copy goes to each of them, on the sender's rail, and is forwarded inside; of a combine the sum of a domain comes
    back that way. `{name}_payload_bytes` is one rank's buffer, `{name}_crossing_bytes` the same for one copy a domain.
    """
    copied = f"tokens={tokens} d_model={width} value_bytes={value_bytes}"
    sheet.compute(f"{name}_payload_bytes", moe.copies_bytes, "B", f"{copied} copies_per_token={copies}")
    if not domains or _links_of(sheet, group) in ("none", "fast"):
        write_collective(sheet, "all_to_all", name, payload=f"{name}_payload_bytes", group=group, times=times)
        return
    sheet.compute(f"{name}_crossing_bytes", moe.copies_bytes, "B", f"{copied} copies_per_token={domains}")
    _write_messages(sheet, "all_to_all", name, group, times)
    both = f"payload_bytes={name}_payload_bytes crossing_bytes={name}_crossing_bytes"
    sheet.compute_all([
        (f"{name}_once_bytes", topology.forwarded_sent_bytes, "B",
         f"{both} inside={group}_inside outside={group}_outside"),
        (f"{name}_sent_bytes", topology.repeated_bytes, "B", f"once_bytes={name}_once_bytes times={times}"),
    ])  # fmt: skip
    _write_forwarded(sheet, name, group, both)
    sheet.compute(f"{name}_s", topology.repeated_s, "s", f"once_s={name}_once_s times={times}")


def _write_forwarded(sheet: Worksheet, name: str, group: str, both: str) -> None:
    if _links_of(sheet, group) == "slow":
        _write_one_level(sheet, name, collectives.all_to_all_s, f"{name}_crossing_bytes", group)
    elif f"{group}_hops" not in sheet:
        sheet.compute(f"{name}_once_s", topology.forwarded_all_to_all_s, "s",
                      f"{both} {_where(sheet, group)} {_latencies()} {_messages(name)}")  # fmt: skip
    else:
        sheet.compute_all([
            (f"{name}_fast_s", collectives.torus_all_to_all_s, "s",
             f"payload_bytes={name}_payload_bytes ring_chips={group}_ring_chips "
             "link_bandwidth_bytes_per_s=link_bytes_per_s"),
            (f"{name}_slow_s", collectives.all_to_all_s, "s",
             f"payload_bytes={name}_crossing_bytes n_ranks={group}_outside bandwidth_bytes_per_s=scaleout_bytes_per_s"),
            (f"{name}_fast_wait_s", topology.repeated_s, "s", f"once_s=scaleup_latency_s times={name}_fast_messages"),
            (f"{name}_slow_wait_s", topology.repeated_s, "s", f"once_s=scaleout_latency_s times={name}_slow_messages"),
            (f"{name}_once_s", topology.forwarded_s, "s",
             " ".join(f"{part}={name}_{part}" for part in ("fast_s", "slow_s", "fast_wait_s", "slow_wait_s"))),
        ])  # fmt: skip


def _write_messages(sheet: Worksheet, kind: Kind, name: str, group: str, times: str) -> None:
    """Messages of one such exchange on either kind of link, and of all of them."""
    rounds = f"{kind}_rounds"
    if rounds not in sheet:
        told = "a reduce-scatter and an all-gather" if kind == "all_reduce" else "all leave at once"
        sheet.give(Quantity(rounds, np.float64(2.0 if kind == "all_reduce" else 1.0), "1", Origin("default", told)))
    if kind == "point_to_point":
        sheet.compute_all([
            (f"{name}_messages_once", topology.direct_messages, "1", f"n_ranks={group}_ranks rounds={rounds}"),
            (f"{name}_messages", topology.repeated_count, "1", f"once={name}_messages_once times={times}"),
        ])  # fmt: skip
        return
    ringed = f"{group}_hops" in sheet and _links_of(sheet, group) in ("fast", "both")
    sheet.compute_all([
        (f"{name}_fast_messages", topology.ring_messages, "1", f"hops={group}_hops rounds={rounds}")
        if ringed else
        (f"{name}_fast_messages", topology.direct_messages, "1", f"n_ranks={group}_inside rounds={rounds}"),
        (f"{name}_slow_messages", topology.direct_messages, "1", f"n_ranks={group}_outside rounds={rounds}"),
        (f"{name}_messages", topology.repeated_messages, "1", f"{_messages(name)} times={times}"),
    ])  # fmt: skip


def _write_passage(sheet: Worksheet, name: str, payload: str, group: str) -> None:
    """A passage from rank to rank, over the one link between two chips where there is no switch."""
    fast, links = "link_bytes_per_s" if "link_bytes_per_s" in sheet else "scaleup_bytes_per_s", _links_of(sheet, group)
    if links == "both":
        sheet.compute(f"{name}_once_s", topology.two_level_point_to_point_s, "s",
                      f"payload_bytes={payload} inside={group}_inside outside={group}_outside fast_bytes_per_s={fast} "
                      f"slow_bytes_per_s=scaleout_bytes_per_s {_latencies()}")  # fmt: skip
    elif links == "none":
        _write_nothing(sheet, name)
    else:
        bandwidth, latency = (fast, "scaleup") if links == "fast" else ("scaleout_bytes_per_s", "scaleout")
        sheet.compute(f"{name}_once_s", collectives.point_to_point_s, "s",
                      f"payload_bytes={payload} bandwidth_bytes_per_s={bandwidth} "
                      f"latency_s={latency}_latency_s")  # fmt: skip
    sheet.compute_all([
        (f"{name}_sent_bytes", topology.repeated_bytes, "B", f"once_bytes={payload} times={name}_messages"),
        (f"{name}_s", topology.repeated_s, "s", f"once_s={name}_once_s times={name}_messages"),
    ])  # fmt: skip


def _write_torus_all_to_all(sheet: Worksheet, name: str, payload: str, group: str) -> None:
    """Shares hop over the torus of each domain; what leaves it goes over the slow links meanwhile."""
    hops = (f"ring_chips={group}_ring_chips link_bandwidth_bytes_per_s=link_bytes_per_s latency_s=scaleup_latency_s "
            f"messages={name}_fast_messages")  # fmt: skip
    if _links_of(sheet, group) == "fast":
        sheet.compute(f"{name}_once_s", collectives.torus_all_to_all_s, "s", f"payload_bytes={payload} {hops}")
        return
    sheet.compute_all([
        (f"{name}_own_domain_bytes", topology.share_of_domain_bytes, "B",
         f"payload_bytes={payload} outside={group}_outside"),
        (f"{name}_fast_s", collectives.torus_all_to_all_s, "s", f"payload_bytes={name}_own_domain_bytes {hops}"),
        (f"{name}_slow_s", collectives.all_to_all_s, "s",
         f"payload_bytes={payload} n_ranks={group}_outside bandwidth_bytes_per_s=scaleout_bytes_per_s "
         f"latency_s=scaleout_latency_s messages={name}_slow_messages"),
        (f"{name}_once_s", topology.side_by_side_s, "s", f"fast_s={name}_fast_s slow_s={name}_slow_s"),
    ])  # fmt: skip


def _write_one_level(sheet: Worksheet, name: str, equation: Equation, payload: str, group: str) -> None:
    """An exchange that leaves one kind of link idle, and needs no figure of it."""
    links = _links_of(sheet, group)
    bandwidth, latency = (_fast_bandwidth(sheet, group), "scaleup") if links == "fast" else (
        "scaleout_bytes_per_s", "scaleout")  # fmt: skip
    sheet.compute(f"{name}_once_s", equation, "s",
                  f"payload_bytes={payload} n_ranks={group}_ranks bandwidth_bytes_per_s={bandwidth} "
                  f"latency_s={latency}_latency_s messages={name}_{links}_messages")  # fmt: skip


def _write_nothing(sheet: Worksheet, name: str) -> None:
    """A rank alone: no time, whatever is known of its links."""
    alone = Origin("default", "a group of one rank exchanges nothing")
    sheet.give(Quantity(f"{name}_once_s", np.float64(0.0), "s", alone))


def _links_of(sheet: Worksheet, group: str) -> Literal["none", "fast", "slow", "both"]:
    """Which links a group uses wherever it is laid: none (one rank), those in or between domains, or either."""
    inside, outside = sheet.value(f"{group}_inside"), sheet.value(f"{group}_outside")
    if inside is None or outside is None:
        return "both"
    lone, one_domain = bool(np.all(np.asarray(inside) == 1)), bool(np.all(np.asarray(outside) == 1))
    if one_domain:
        return "none" if lone else "fast"
    return "slow" if lone else "both"


def _fast_bandwidth(sheet: Worksheet, group: str) -> str:
    return f"{group}_bytes_per_s" if f"{group}_bytes_per_s" in sheet else "scaleup_bytes_per_s"


def _where(sheet: Worksheet, group: str) -> str:
    return (f"inside={group}_inside outside={group}_outside fast_bytes_per_s={_fast_bandwidth(sheet, group)} "
            "slow_bytes_per_s=scaleout_bytes_per_s")  # fmt: skip


def _latencies() -> str:
    return "fast_latency_s=scaleup_latency_s slow_latency_s=scaleout_latency_s"


def _messages(name: str) -> str:
    return f"fast_messages={name}_fast_messages slow_messages={name}_slow_messages"
