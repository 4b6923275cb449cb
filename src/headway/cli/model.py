"""`headway model`: what a model weighs, multiplies and keeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headway.cli.arguments import Parser, axis, load_model_from, read_changes
from headway.errors import BadInput

CONTEXTS = "1k,8k,32k,128k"
EPILOG = """\
  headway model deepseek-v3
  headway model path/to/config.json --contexts 1k,1M --kv-dtype fp8
  headway model llama-3.1-8b --set num_hidden_layers=64
"""


def parser() -> Parser:
    """The options of `headway model`."""
    options = Parser("model", "Parameters part by part, KV cache and arithmetic per token, from a config.json.", EPILOG)
    options.add_model_options()
    options.add_argument("--contexts", default=CONTEXTS, metavar="LIST",
                         help=f"contexts at which to count reads and FLOP (default {CONTEXTS})")  # fmt: skip
    options.add_set_option("change a field of the config, such as num_hidden_layers=64")
    options.add_output_options()
    return options


def main(arguments: Sequence[str]) -> int:
    """Describe the model in text or JSON."""
    args = parser().read(arguments)
    contexts = axis(args.contexts, "tokens")
    listed = contexts if isinstance(contexts, list) else [contexts]
    if any(context < 0 or context > 1e30 for context in listed):
        raise BadInput(f"--contexts must be 0 or more, found {args.contexts}")
    model = _changed(load_model_from(args), read_changes(args.changes))
    from headway.cli.output import print_json  # noqa: PLC0415
    from headway.explanation import explain  # noqa: PLC0415
    from headway.model.describe import describe  # noqa: PLC0415

    described = describe(model, contexts)
    if args.json:
        out = as_json(described)
        print_json(out | ({"explanation": explain(described).splitlines()} if args.explain else {}))
        return 0
    print(as_text(described))
    if args.explain:
        print(f"\n{explain(described)}")
    return 0


def _changed(model: Any, changes: dict[str, str]) -> Any:
    """The model with fields of its config replaced."""
    from headway.errors import UnknownName  # noqa: PLC0415
    from headway.model.config import changed_config  # noqa: PLC0415

    if changes and not model.config:
        raise BadInput("--set changes fields of a config; bare numbers have none")
    for name in changes:
        if name not in model.config:
            raise UnknownName("field of the config", name, model.config, where="headway catalog NAME --json has them")
    return changed_config(model, changes) if changes else model


def as_json(described: Any) -> dict[str, Any]:
    """The keys that DESIGN promises, and the parts they are made of."""
    model = described.model
    shape = model.architecture
    out: dict[str, Any] = {
        "model": model.name,
        "total_params": model.total_params,
        "active_params": model.active_params,
        "active_params_published_convention": model.published_active_params,
        "published_convention": model.published_convention,
        "lookup_params": model.lookup_params,
        "weight_dtype": model.weight_dtype.name,
        "weight_bytes": described.value("weight_bytes"),
        "kv_dtype": model.kv_dtype.name,
        "kv_bytes_per_token": model.kv_bytes_per_token,
        "contexts": described.value("context_tokens"),
    }
    for name in ("kv_read_bytes_per_token", "flops_per_token"):
        out[name] = described.value(name)
        if out[name] is None:
            out[f"{name}_reason"] = described.sheet[name].quantity.gap
    if model.published_active_params is None:
        out["active_params_published_convention_reason"] = "the model is given by bare numbers"
    if model.kv_bytes_per_token is None:
        out["kv_bytes_per_token_reason"] = described.sheet["kv_bytes_per_token"].quantity.gap
    if shape is not None:
        out |= {"parts": shape.parts(), "active_parts": shape.active_parts(), "n_layers": shape.n_layers}
    return out


def _name(model: Any) -> str:
    """What to call the model in a sentence."""
    return "A model of bare numbers" if model.architecture is None else str(model.name)


def _stated(name: str) -> str:
    """What the makers of a catalogued model say of its active parameters."""
    from headway import catalog  # noqa: PLC0415

    stated = catalog.model_names().get(name, {}).get("published_active")
    return f"; its makers say {stated}" if stated else ""


def as_text(described: Any) -> str:
    """The answer in a sentence, the parts, and what a token costs at each context."""
    import numpy as np  # noqa: PLC0415

    from headway.cli.output import table, wrapped  # noqa: PLC0415
    from headway.units import format_si  # noqa: PLC0415

    model, shape = described.model, described.model.architecture
    kv = model.kv_bytes_per_token
    keeps = "an unknown KV cache" if kv is None else f"{kv:,.0f} bytes of KV cache in {model.kv_dtype.name}"
    parts = [
        wrapped(
            f"{_name(model)} has {format_si(model.total_params, 'params', 4)}, of which a token multiplies "
            f"{format_si(model.active_params, 'params')}; it weighs {format_si(described.value('weight_bytes'), 'B')} "
            f"({model.stored_as()}), and each token keeps {keeps}."
        )
    ]
    if model.published_active_params is not None and model.published_active_params != model.active_params:
        counted = f"{format_si(model.published_active_params, 'params')} are active {model.published_convention}"
        parts.append(wrapped(f"Other conventions: {counted}{_stated(model.name)}."))
    if model.mtp_note:
        parts.append(wrapped(f"It has {model.mtp_note}."))
    if shape is not None:
        active = shape.active_parts()
        rows = [[name.replace("_", " "), f"{count:,}", f"{active[name]:,}"] for name, count in shape.parts().items()]
        rows.append(["total", f"{model.total_params:,.0f}", f"{model.active_params:,.0f}"])
        parts += ["", table(["part", "params", "multiplied per token"], rows, left=1)]
    figures = (described.value(name) for name in ("kv_read_bytes_per_token", "flops_per_token"))
    reads, flop = (None if figure is None else np.atleast_1d(figure) for figure in figures)
    rows = [
        [f"{c:,.0f}", "unknown" if reads is None else format_si(reads[i], "B"),
         "unknown" if flop is None else format_si(flop[i], "FLOP")]
        for i, c in enumerate(np.atleast_1d(described.value("context_tokens")))
    ]  # fmt: skip
    parts += ["", table(["context tokens", "KV read per token", "arithmetic per token"], rows)]
    return "\n".join(parts)
