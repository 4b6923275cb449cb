"""`headway model --matching`: architectures that fit a number, and catalogued models near it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headway.errors import BadInput, MissingFact, UnknownName, shown
from headway.matching import WITHIN
from headway.units import format_si, parse

MOST = 10  # matches that are shown
MOST_SHOWN = 10_000
LIKE = 5  # catalogued models named beside a match
NAMES = {"kv_bytes": "B", "params": "params", "active": "params"}
_ALSO = {"kv_bytes_per_token": "kv_bytes", "total_params": "params", "active_params": "active"}
_ELSEWHERE = {
    "kv_dtype": "give it as --kv-dtype",
    "dtype": "give it as --kv-dtype",
    "kv_read_bytes": "kv_bytes is what a cache grows by; who reads about as much is listed with it",
}
_WORDS = {"heads_and_dimensions": "heads and dimensions", "kv_layers": "caching layers", "dtype": "number format",
          "compression_stride": "compression"}  # fmt: skip


def add_options(parser: Any) -> None:
    """The options that ask for architectures by number."""
    parser.add_argument("--matching", action="append", default=[], metavar="NAME=VALUE",
                        help="architectures that fit kv_bytes=1667 (and params=, active=), without MODEL")  # fmt: skip
    parser.add_argument("--within", default=str(WITHIN), metavar="SHARE",
                        help=f"with --matching: by how much they may differ (default {100 * WITHIN:g}%%)")  # fmt: skip
    parser.add_argument("--most", default=str(MOST), metavar="N",
                        help=f"with --matching: how many to show (default {MOST})")  # fmt: skip


def main(args: Any) -> int:
    """Find and print them."""
    _refuse_a_model(args)
    numbers, within, most = read_numbers(args.matching), parse(args.within, "1"), _most(args.most)
    if within >= 1:
        raise BadInput(f"--within takes a share below 1; did you mean {within:g}%?")
    from headway.cli.output import folded, print_json  # noqa: PLC0415
    from headway.matching.search import find  # noqa: PLC0415

    found = find(
        numbers["kv_bytes"], total_params=numbers.get("params"), active_params=numbers.get("active"),
        kv_dtype=args.kv_dtype, within_share=within,
    )  # fmt: skip
    if args.json:
        print_json(as_json(found, most) | ({"explanation": _explanation(found)} if args.explain else {}))
        return 0
    print(as_text(found, most))
    if args.explain:
        print("\n" + "\n".join(map(folded, _explanation(found))))
    return 0


def _refuse_a_model(args: Any) -> None:
    """Refuse what describes a model, where a number is asked about."""
    if args.models:
        raise BadInput(f"--matching asks which models fit a number; leave out {shown(args.models[0])}")
    if args.weight_dtype is not None:
        raise BadInput("--weight-dtype has no effect with --matching, which looks at caches; theirs is --kv-dtype")
    for name in NAMES:
        if getattr(args, name) is not None:
            raise BadInput(f"--matching takes the numbers itself: write --matching {name}={getattr(args, name)}")
    if args.changes:
        raise BadInput("--set changes a model, and --matching has none")


def read_numbers(pairs: Sequence[str]) -> dict[str, float]:
    """The numbers to match by name, in bytes and parameters; `kv_bytes` is among them.

    >>> read_numbers(["kv_bytes=2k", "active=100B"])
    {'kv_bytes': 2000.0, 'active': 100000000000.0}
    """
    from headway.matching.search import bytes_per_token  # noqa: PLC0415

    numbers: dict[str, float] = {}
    for pair in pairs:
        typed, equals, value = pair.partition("=")
        name = typed.strip().lower().replace("-", "_")
        name = _ALSO.get(name, name)
        if name not in NAMES:
            raise UnknownName("number to match", typed.strip(), NAMES, _ELSEWHERE.get(name, ""))
        if not equals or not value.strip():
            raise BadInput(f"--matching takes NAME=VALUE, such as kv_bytes=1667, found {shown(pair)}")
        if name in numbers:
            raise BadInput(f"--matching has {name} twice")
        numbers[name] = bytes_per_token(value) if name == "kv_bytes" else parse(value, NAMES[name])
    if "kv_bytes" not in numbers:
        raise MissingFact("--matching needs kv_bytes, such as --matching kv_bytes=1667; params and active go with it")
    return numbers


def _most(text: str) -> int:
    value = parse(text, "1")
    if value != int(value) or not 1 <= value <= MOST_SHOWN:
        raise BadInput(f"--most must be a whole number from 1 to {MOST_SHOWN:,}, found {shown(text)}")
    return int(value)


# JSON


def as_json(found: Any, most: int = MOST) -> dict[str, Any]:
    """The answer as one object."""
    asked, fits = found.asked, found.fits
    out: dict[str, Any] = {
        "asked": {name: value for name, value in _asked(asked).items() if value is not None},
        "within_share": asked.within_share,
        "n_grid": found.grid_size,
        "n_matching": len(fits),
        "n_exact": len(found.exact),
        "likeliest_half": found.likeliest_half,
        "likeliest_exact": None,
        "plausibility_of_matches": float(fits.plausibility.sum()),
        "matches": [_match_json(match, float(fits.share[i])) for i, match in enumerate(found.best(most))],
        "formats": [_format_json(found, one) for one in asked.formats],
        "left_if_known": found.left_if_known(),
        "nearest": [_match_json(match) for match in found.nearest],
        "neighbours": [_neighbour_json(one) for one in found.neighbours],
        "nearest_model": _neighbour_json(found.nearest_models[0]),
        "n_models_exact": sum(one.factor == 1 for one in found.nearest_models),
        "notes": notes(found),
    }
    if len(found.exact):
        first = int(found.exact[0])
        out["likeliest_exact"] = _match_json(found.match(first), float(fits.share[first])) | {"rank": first + 1}
    else:
        out["likeliest_exact_reason"] = "no cache on the grid keeps exactly so many bytes"
    if found.layers.expected is not None:
        out["n_layers_expected"] = found.layers.expected
        out["n_layers_spread_factor"] = found.layers.spread_factor
    return out


def _asked(asked: Any) -> dict[str, Any]:
    return {"kv_bytes": asked.kv_bytes, "params": asked.total_params, "active": asked.active_params,
            "kv_dtype": asked.kv_dtype}  # fmt: skip


def _match_json(match: Any, share: float | None = None) -> dict[str, Any]:
    entry = match.entry
    none = "latent" if entry.latent_dim else "heads"
    out: dict[str, Any] = {"kind": entry.kind, "kv_layers": match.kv_layers}
    rows = [("kv_heads", entry.kv_heads, "heads"), ("head_dim", entry.key_dim, "heads"),
            ("value_head_dim", entry.value_dim, "heads"), ("latent_dim", entry.latent_dim, "latent"),
            ("rope_dim", entry.rope_dim, "latent")]  # fmt: skip
    for key, value, of in rows:
        out |= {key: value} if of == none else {key: None, f"{key}_reason": f"its cache has no {of}"}
    return out | {
        "index_dim": entry.index_dim,
        "layers_per_cache": match.layers_per_cache,
        "n_layers": match.n_layers,
        "growing_layers": match.growing_layers,
        "compression_stride": entry.compression_stride,
        "dtype": match.dtype.name,
        "kv_bytes_per_token": match.kv_bytes_per_token,
        "difference_share": match.difference_share,
        "plausibility": match.plausibility,
        **({} if share is None else {"share_of_matches": share}),
        "reading": match.reading,
        "like": match.like[:LIKE],
    }


def _format_json(found: Any, one: Any) -> dict[str, Any]:
    places = found.of_format(one)
    out: dict[str, Any] = {"dtype": one.name, "n_matching": len(places),
                           "share_of_matches": float(found.fits.share[places].sum())}  # fmt: skip
    if len(places):
        return out | {"likeliest": found.match(places[0]).reading}
    return out | {"likeliest": None, "likeliest_reason": "none fits in this format"}


def _neighbour_json(one: Any) -> dict[str, Any]:
    return {
        "model": one.model.name, "near_by": one.near_by, "kv_bytes_per_token": one.kv_bytes_per_token,
        "kv_read_growth_bytes": one.kv_read_growth_bytes, "dtype": one.dtype.name, "factor": one.factor,
        "kind": one.model.kind, "total_params": one.model.total_params, "active_params": one.model.active_params,
    }  # fmt: skip


# Text


def as_text(found: Any, most: int = MOST) -> str:
    """The answer in a sentence; matches, formats and neighbours as tables; what it rests on."""
    from headway.cli.output import wrapped  # noqa: PLC0415

    parts = [wrapped(sentence(found))]
    if len(found.fits):
        parts += ["", _matches(found, most), "", _formats(found)]
    parts += ["", _neighbours(found), "", *(wrapped(note, "  - ") for note in notes(found))]
    return "\n".join(parts)


def sentence(found: Any) -> str:
    """What fits, how little that says, and who is nearest."""
    asked, count, exact = found.asked, len(found.fits), len(found.exact)
    within = f"within {100 * asked.within_share:.3g} %" if asked.within_share else "to the byte"
    what = f"{asked.kv_bytes:,.10g} B of KV cache a token {within}"
    near, *others = found.nearest_models
    more = f", and {len(others)} more, all exact" if others and near.factor == 1 else ""
    nearest = f"Nearest in the catalog: {near.model.name} in {near.dtype.name}, {near.kv_bytes_per_token:,.10g}{more}."
    if not count:
        told = " or ".join(f"{match.kv_bytes_per_token:,.10g} ({match.reading})" for match in found.nearest)
        return f"No cache on the grid keeps {what}; the nearest {told}. {nearest}"
    first = found.match(0)
    likeliest = f"the likeliest is {first.reading} ({first.kv_bytes_per_token:,.10g} B)"
    if exact and found.exact[0]:
        likeliest += f"; of the {exact:,} exact ones, {found.match(found.exact[0]).reading}"
    elif asked.within_share:
        likeliest += ", which is exact" if exact else "; none is exact"
    keep = "cache keeps" if count == 1 else "caches keep"
    return f"{count:,} plausible {keep} {what}, and the number does not tell which: {likeliest}. {nearest}"


def _matches(found: Any, most: int) -> str:
    from headway.cli.output import table  # noqa: PLC0415

    header = ["format", "cache of a layer", "layers", "like", "caches", "bytes", "off %", "share %"]
    exact = set(found.exact.tolist())
    shown, note = list(range(len(found.fits)))[:most], ""
    if exact and not exact & set(shown):
        shown.append(int(found.exact[0]))
        note = f"\n(the last row, number {shown[-1] + 1:,}, is the likeliest that is exact)"
    rows = []
    for i in shown:
        match = found.match(i)
        off = "exact" if i in exact else f"{100 * match.difference_share:+.1f}"
        rows.append([match.dtype.name, _width(match), _layers(match), (match.like or ["-"])[0], str(match.kv_layers),
                     f"{match.kv_bytes_per_token:,.8g}", off, f"{100 * found.fits.share[i]:.1f}"])  # fmt: skip
    return table(header, rows, left=4) + note


def _width(match: Any) -> str:
    """What a layer keeps, short."""
    entry = match.entry
    if entry.latent_dim:
        width = f"{entry.latent_dim}+{entry.rope_dim}"
    else:
        dims = str(entry.key_dim) if entry.value_dim in (0, entry.key_dim) else f"({entry.key_dim}+{entry.value_dim})"
        width = f"{'' if not entry.value_dim else '2 x '}{entry.kv_heads} x {dims}"
    index = f" +{entry.index_dim}" if entry.index_dim else ""
    return f"{width}{index}" + (f" /{entry.compression_stride}" if entry.compression_stride > 1 else "")


def _layers(match: Any) -> str:
    """The likeliest stack, short."""
    some = (
        f"{match.growing_layers} of {match.n_layers}" if match.growing_layers < match.n_layers else str(match.n_layers)
    )
    return some + (f", {match.layers_per_cache} share" if match.layers_per_cache > 1 else "")


def _formats(found: Any) -> str:
    """What fits in each number format, a line each."""
    from headway.cli.output import wrapped  # noqa: PLC0415

    lines = []
    for one in found.asked.formats:
        told = _format_json(found, one)
        of_all = f"{told['n_matching']:,} fit, {100 * told['share_of_matches']:.0f} % of the plausibility"
        likeliest = f": likeliest {told['likeliest']}" if told["n_matching"] else ""
        lines.append(wrapped(f"{of_all}{likeliest}", f"  {one.name:5}"))
    return "\n".join(["By number format:", *lines])


def _neighbours(found: Any) -> str:
    from headway.cli.output import table  # noqa: PLC0415

    header = ["near by", "model", "format", "attention", "stored B", "read B", "x asked", "active"]
    rows = [
        [one.near_by, one.model.name, one.dtype.name, one.model.kind, f"{one.kv_bytes_per_token:,.8g}",
         f"{one.kv_read_growth_bytes:,.8g}", f"{one.factor:.3g}",
         format_si(one.model.active_params, "params").removesuffix(" params")]
        for one in found.neighbours
    ]  # fmt: skip
    return (
        "Catalogued models nearby, by what a token stores, or by what each token of context adds to a read:\n"
        + table(header, rows, left=4)
    )


def notes(found: Any) -> list[str]:
    """What the answer rests on, in sentences."""
    asked, layers = found.asked, found.layers
    told = ["A number of bytes does not identify an architecture." + _counted(found)]
    if asked.kv_dtype is None:
        formats = " and ".join(", ".join(one.name for one in asked.formats).rsplit(", ", 1))
        told.append(
            f"The number format is the server's choice, and no config tells it: {formats} count alike. Scales of "
            "quantised blocks are not counted."
        )
    told += [
        "Plausibility is the product of independent choices, each as frequent as among the catalogued models (one vote "
        "a model, one more for every value): what none of them does keeps the weight of one model.",
        "Many stacks of layers have the same caches; the likeliest is shown. Layers beyond the global ones have "
        "windows or states, which do not grow. Caches that differ from layer to layer are not on the grid.",
        "The number is taken for what a cache grows by. One inferred from time or price is what a step reads: less "
        "under sparse attention, and as much as without sharing where layers share a cache.",
    ]
    if layers.expected is not None:
        told.append(
            "With a size, a catalogued model of that size has a whole vote, one twice or half as large half a vote, "
            "and one four times as large a sixteenth; the votes more for every value are divided as in the whole "
            f"catalog, and of layers by its trend: about {layers.expected:.0f}, two in three models within a factor of "
            f"{layers.spread_factor:.2f}."
        )
    return told


def _counted(found: Any) -> str:
    """How many fit, and how many would if one thing more were known."""
    left = ", ".join(f"{_WORDS.get(name, name)} {count:,.0f}" for name, count in found.left_if_known().items())
    return left and (
        f" {len(found.fits):,} of {found.grid_size:,} caches on the grid fit; half of the plausibility lies in the "
        f"likeliest {found.likeliest_half:,}. To know one thing more would leave, on average: {left}."
    )


def _explanation(found: Any) -> list[str]:
    """The derivation of the likeliest match, or of the nearest one."""
    from headway.explanation import explain  # noqa: PLC0415

    first = found.match(0) if len(found.fits) else found.nearest[0]
    return [f"The likeliest: {first.reading}.", *explain(first).splitlines()]
