"""Models side by side: one row a figure, one column a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def side_by_side(described: Sequence[Any]) -> str:
    """A table of the figures that tell models apart, and a sentence on what differs most."""
    import numpy as np  # noqa: PLC0415

    from headway.cli.output import WIDTH, table, wrapped  # noqa: PLC0415
    from headway.units import format_si  # noqa: PLC0415

    models = [one.model for one in described]
    rows = [[name, *(write(model) for model in models)] for name, write in _FIGURES]
    contexts = np.atleast_1d(described[0].value("context_tokens"))
    for name, key, unit in (("cache of a sequence", "kv_stored_bytes", "B"),
                            ("read per decoded token", "kv_read_bytes_per_token", "B"),
                            ("arithmetic of it", "flops_per_token", "FLOP"),
                            ("of a prompt's token", "prefill_flops_per_token", "FLOP")):  # fmt: skip
        for i, tokens in enumerate(contexts):
            figures = [_at(one.value(key), i) for one in described]
            written = ["unknown" if figure is None else format_si(figure, unit) for figure in figures]
            rows.append([f"{name} at {format_si(tokens, 'tokens')}", *written])
    answer = wrapped(_difference(described, len(contexts) - 1, format_si(contexts[-1], "tokens")))
    columns = table(["", *(model.name for model in models)], rows, left=1)
    if max(map(len, columns.splitlines())) > WIDTH:
        columns = _row_by_row(described, len(contexts) - 1, format_si(contexts[-1], "tokens"))
    return f"{answer}\n\n{columns}"


def _row_by_row(described: Sequence[Any], last: int, tokens: str) -> str:
    """A row for each model, at the longest context: what many models leave room for."""
    from headway.cli.output import table  # noqa: PLC0415

    short = dict(_FIGURES)
    heads = ("parameters", "multiplied per token", "weights", "cache grows by")
    rows = [
        [one.model.name, *(short[head](one.model).removesuffix(" params") for head in heads),
         *(_figure(_at(one.value(key), last), unit) for key, unit in _AT_LAST)]
        for one in described
    ]  # fmt: skip
    return table(["model", "params", "active", "weights", "cache grows by", f"read at {tokens}", "arithmetic"], rows,
                 left=1)  # fmt: skip


_AT_LAST = (("kv_read_bytes_per_token", "B"), ("flops_per_token", "FLOP"))


def _at(value: Any, i: int) -> float | None:
    import numpy as np  # noqa: PLC0415

    if value is None:
        return None
    flat = np.ravel(value)
    return float(flat[min(i, flat.size - 1)])


def _difference(described: Sequence[Any], last: int, tokens: str) -> str:
    """Which model multiplies and which reads least at the longest context asked for, and by how much."""
    said = []
    for key, verb in (
        ("flops_per_token", "multiplies least for"),
        ("kv_read_bytes_per_token", "reads least cache for"),
    ):
        known = [(value, one.model.name) for one in described if (value := _at(one.value(key), last)) is not None]
        if len(known) > 1 and 0 < min(known)[0] < max(known)[0]:
            (least, name), (most, other) = min(known), max(known)
            said.append(f"{name} {verb} a decoded token, {most / least:,.1f} times less than {other}")
    return f"At {tokens} of context {'; '.join(said)}." if said else "Side by side:"


def _figure(value: float | None, unit: str) -> str:
    from headway.units import format_si  # noqa: PLC0415

    return "unknown" if value is None else format_si(value, unit)


def _experts(model: Any) -> str:
    block = model.architecture.experts if model.architecture else None
    shared = " + shared" if block is not None and block.shared_intermediate_size else ""
    return "none" if block is None else f"{block.experts_per_token:g} of {block.n_experts}{shared}"


_FIGURES: tuple[tuple[str, Callable[[Any], str]], ...] = (
    ("parameters", lambda model: _figure(model.total_params, "params")),
    ("multiplied per token", lambda model: _figure(model.active_params, "params")),
    ("total over active", lambda model: f"{model.total_params / model.active_params:.1f}"),
    ("weights", lambda model: _figure(model.weight_bytes, "B")),
    ("most weights in", lambda model: model.weight_dtype.name),
    ("layers", lambda model: str(model.architecture.n_layers) if model.architecture else "unknown"),
    ("experts", _experts),
    ("cache grows by", lambda model: _figure(model.kv_bytes_per_token, "B")),
    ("within windows", lambda model: _figure(model.kv_window_bytes_per_token, "B")),
    ("state", lambda model: _figure(model.state_bytes, "B")),
)
