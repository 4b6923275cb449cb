"""What a full mesh or a torus makes of the fast links of a domain, for a group of ranks that may be a part of it.

The source: J. Austin et al. 2025, "How to Scale Your Model" (jax-ml.github.io/scaling-book), chapters 2 and 3.
"""

from __future__ import annotations

from typing import Any

from headway.equations._namespace import arrays, namespace

Array = Any  # a number or an array of any array-API library


# A full mesh: a link of its own between any two chips


def mesh_link_bytes_per_s(scaleup_bytes_per_s: Array, mesh_chips: Array) -> Array:
    """Bandwidth of the link between two chips of a full mesh, one way. [B/s]

        rate = scaleup_bytes_per_s / max(mesh_chips - 1, 1)

    scaleup_bytes_per_s: bandwidth of all links of a chip, one way [B/s]
    mesh_chips: chips that the mesh joins, in use or not [chips]

    Source: definition of a full mesh: as many links as other chips.

    >>> float(mesh_link_bytes_per_s(448e9, 8)) / 1e9
    64.0
    """
    xp = namespace(scaleup_bytes_per_s, mesh_chips)
    return scaleup_bytes_per_s / xp.maximum(*arrays(xp, mesh_chips - 1, 1.0))


def mesh_links(inside: Array) -> Array:
    """Links of a full mesh that a rank has to the others of its group, at least one. [1]

        links = max(inside - 1, 1)

    inside: ranks of the group in one domain [ranks]

    Source: definition of a full mesh: the links to chips outside the group lie idle.

    >>> float(mesh_links(4)), float(mesh_links(1))
    (3.0, 1.0)
    """
    xp = namespace(inside)
    return xp.maximum(*arrays(xp, inside - 1, 1.0))


def links_bytes_per_s(link_bytes_per_s: Array, links: Array) -> Array:
    """Bandwidth of several links together, one way. [B/s]

        rate = link_bytes_per_s * links

    link_bytes_per_s: one link, one way [B/s]
    links: links that are at work at once [1]

    Source: Austin et al. 2025, chapter 3: every dimension of a torus gathers a part of its own.

    >>> links_bytes_per_s(45e9, 6) / 1e9
    270.0
    """
    return link_bytes_per_s * links


# A torus: rings in up to three dimensions, side by side. A group fills the first ring, then further rings of the second
# dimension, and so on; what does not fill a ring is an open line, whose ends have one link.


def torus_links(inside: Array, ring_1: Array, ring_2: Array, ring_3: Array, ring_links: Array) -> Array:
    """Links of a torus by which a rank reaches its neighbours in the group, at least one. [1]

        side_1 = min(inside, ring_1)
        side_2 = min(ceil(inside / side_1), ring_2)
        side_3 = ceil(inside / (side_1 * side_2))
        links_1 = where(side_1 > 1, where(side_1 >= ring_1, ring_links, 1), 0)
        links_2 = where(side_2 > 1, where(side_2 >= ring_2, ring_links, 1), 0)
        links_3 = where(side_3 > 1, where(side_3 >= ring_3, ring_links, 1), 0)
        links = max(links_1 + links_2 + links_3, 1)

    inside: ranks of the group in one torus [ranks]
    ring_1, ring_2, ring_3: chips along each dimension, 1 for one that is not there [chips]
    ring_links: links of a chip along a dimension that is used in full: 2 where it closes to a ring, 1 where not [1]

    Source: Austin et al. 2025, chapters 2 and 3 (a line without its wrapped link gathers at half the rate); the filling
    of dimensions one after the other is our own choice.
    Valid: links that other groups use as well are counted as free.

    >>> [float(torus_links(chips, 16, 16, 16, 2)) for chips in (4, 16, 4096)]
    [1.0, 2.0, 6.0]
    """
    xp, ranks, rings, closed = _of_torus(inside, ring_1, ring_2, ring_3, ring_links)
    used = 0.0
    for side, ring in zip(_sides(xp, ranks, rings), rings, strict=True):
        used = used + _links(xp, side, ring, closed)
    return xp.maximum(*arrays(xp, used, 1.0))


def torus_hops(inside: Array, ring_1: Array, ring_2: Array, ring_3: Array, ring_links: Array) -> Array:
    """Hops to the farthest rank of a group on a torus, dimension after dimension. [1]

        side_1 = min(inside, ring_1)
        side_2 = min(ceil(inside / side_1), ring_2)
        side_3 = ceil(inside / (side_1 * side_2))
        links_1 = where(side_1 >= ring_1, ring_links, 1)
        links_2 = where(side_2 >= ring_2, ring_links, 1)
        links_3 = where(side_3 >= ring_3, ring_links, 1)
        hops = ceil((side_1 - 1) / links_1) + ceil((side_2 - 1) / links_2) + ceil((side_3 - 1) / links_3)

    inside: ranks of the group in one torus [ranks]
    ring_1, ring_2, ring_3: chips along each dimension, 1 for one that is not there [chips]
    ring_links: links of a chip along a dimension that is used in full: 2 where it closes to a ring, 1 where not [1]

    Source: Austin et al. 2025, chapter 3: half of each ring, all of a line.

    >>> float(torus_hops(4096, 16, 16, 16, 2)), float(torus_hops(4, 16, 16, 1, 2))
    (24.0, 3.0)
    """
    xp, ranks, rings, closed = _of_torus(inside, ring_1, ring_2, ring_3, ring_links)
    hops = 0.0
    for side, ring in zip(_sides(xp, ranks, rings), rings, strict=True):
        hops = hops + xp.ceil((side - 1) / xp.where(side >= ring, closed, xp.ones_like(closed)))
    return hops


def torus_longest_ring(inside: Array, ring_1: Array, ring_2: Array, ring_3: Array, ring_links: Array) -> Array:
    """Longest ring of a group on a torus, an open line counted as a ring of twice its length. [chips]

        side_1 = min(inside, ring_1)
        side_2 = min(ceil(inside / side_1), ring_2)
        side_3 = ceil(inside / (side_1 * side_2))
        length_1 = where(side_1 > 1, 2 * side_1 / where(side_1 >= ring_1, ring_links, 1), 1)
        length_2 = where(side_2 > 1, 2 * side_2 / where(side_2 >= ring_2, ring_links, 1), 1)
        length_3 = where(side_3 > 1, 2 * side_3 / where(side_3 >= ring_3, ring_links, 1), 1)
        chips = max(length_1, length_2, length_3)

    inside: ranks of the group in one torus [ranks]
    ring_1, ring_2, ring_3: chips along each dimension, 1 for one that is not there [chips]
    ring_links: links of a chip along a dimension that is used in full: 2 where it closes to a ring, 1 where not [1]

    Source: derived here: the middle link of a line carries twice what each link of a ring does; exact for an even one.

    >>> float(torus_longest_ring(4096, 16, 16, 16, 2)), float(torus_longest_ring(4, 16, 16, 1, 2))
    (16.0, 8.0)
    """
    xp, ranks, rings, closed = _of_torus(inside, ring_1, ring_2, ring_3, ring_links)
    longest = xp.ones_like(ranks)
    for side, ring in zip(_sides(xp, ranks, rings), rings, strict=True):
        length = 2 * side / xp.where(side >= ring, closed, xp.ones_like(closed))
        longest = xp.maximum(longest, xp.where(side > 1, length, xp.ones_like(length)))
    return longest


def _of_torus(inside: Array, ring_1: Array, ring_2: Array, ring_3: Array, ring_links: Array) -> Any:
    """Everything about a torus in one namespace."""
    xp = namespace(inside, ring_1, ring_2, ring_3, ring_links)
    ranks, *rings, closed = arrays(xp, inside, ring_1, ring_2, ring_3, ring_links)
    return xp, ranks, rings, closed


def _sides(xp: Any, ranks: Array, rings: list[Array]) -> list[Array]:
    """Chips of a group along each dimension, which are filled one after the other."""
    first = xp.minimum(ranks, rings[0])
    second = xp.minimum(xp.ceil(ranks / first), rings[1])
    return [first, second, xp.ceil(ranks / (first * second))]


def _links(xp: Any, side: Array, ring: Array, closed: Array) -> Array:
    """Links that are of use along one dimension."""
    links = xp.where(side >= ring, closed, xp.ones_like(closed))
    return xp.where(side > 1, links, xp.zeros_like(links))
