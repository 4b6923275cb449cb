"""`headway model`: what a model weighs, multiplies and keeps; models side by side; KV techniques; matching a number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headway.cli import kv_techniques, matching
from headway.cli.arguments import Parser, axis, load_model_from, read_changes
from headway.errors import BadInput

CONTEXTS = "1k,8k,32k,128k"
EPILOG = """\
  headway model deepseek-v3
  headway model path/to/config.json --contexts 1k,1M --kv-dtype fp8
  headway model llama-3.1-8b --set num_hidden_layers=64
  headway model deepseek-v3 deepseek-v3.2 kimi-k3
  headway model llama-3.1-70b --kv-techniques --on 8xh100-sxm --context 128k
  headway model --matching kv_bytes=1667
"""


def parser() -> Parser:
    """The options of `headway model`."""
    options = Parser("model", "Parameters part by part, KV cache and arithmetic per token, from a config.json.", EPILOG)
    options.add_model_options(several=True)
    options.add_argument("--contexts", default=CONTEXTS, metavar="LIST",
                         help=f"contexts at which to count reads and FLOP (default {CONTEXTS})")  # fmt: skip
    options.add_set_option("change a field of the config, such as num_hidden_layers=64")
    options.add_argument("--plot", metavar="FILE", help="draw cache and arithmetic against context, for up to 4 models")
    kv_techniques.add_options(options)
    matching.add_options(options)
    options.add_output_options()
    return options


def main(arguments: Sequence[str]) -> int:
    """Describe a model, or several side by side; rank KV techniques; or look for what fits a number."""
    options = parser()
    args = options.read(arguments)
    _refuse_mixed(options, args)
    if args.matching:
        return matching.main(args)
    if args.kv_techniques:
        if len(args.models) > 1:
            raise BadInput(f"--kv-techniques ranks for one model, found {len(args.models)}")
        return kv_techniques.main(args, load_model_from(args, next(iter(args.models), None)))
    return _describe(args)


def _describe(args: Any) -> int:
    """Print the answer in text or JSON, and draw if asked."""
    contexts = _contexts(args.contexts)
    target = _target(args)
    changes = read_changes(args.changes)
    models = [load_model_from(args, name, changes) for name in args.models or [None]]
    from headway.cli.output import print_json  # noqa: PLC0415
    from headway.explanation import explain  # noqa: PLC0415
    from headway.model.describe import describe  # noqa: PLC0415

    described = [describe(model, contexts) for model in models]
    if target is not None:
        _draw(models, contexts, target)
    if args.json:
        out = [as_json(one) | ({"explanation": explain(one).splitlines()} if args.explain else {}) for one in described]
        print_json({"models": out} if len(out) > 1 else out[0])
        return 0
    print(_text(described))
    if args.explain:
        from headway.cli.output import folded  # noqa: PLC0415

        for one in described:
            head = [one.model.name] if len(described) > 1 else []
            print("\n".join(["", *head, *map(folded, explain(one).splitlines())]))
    if target is not None:
        print(f"\nPicture: {args.plot}")
    return 0


def _contexts(text: str) -> float | list[float]:
    contexts = axis(text, "tokens")
    if any(context < 0 or context > 1e30 for context in (contexts if isinstance(contexts, list) else [contexts])):
        raise BadInput(f"--contexts must be 0 or more, found {text}")
    return contexts


def _text(described: Sequence[Any]) -> str:
    if len(described) == 1:
        return as_text(described[0])
    from headway.cli.model_table import side_by_side  # noqa: PLC0415

    return side_by_side(described)


def _target(args: Any) -> Any:
    """The file to draw into, before any work is done; None where no picture is asked for."""
    if args.plot is None:
        return None
    from headway.drawing import check_target  # noqa: PLC0415
    from headway.figures import MOST_CURVES  # noqa: PLC0415

    if len(args.models) > MOST_CURVES:
        raise BadInput(f"--plot draws up to {MOST_CURVES} models, found {len(args.models)}")
    if args.plot.lower().endswith(".html"):
        raise BadInput("--plot draws models into a .svg or .png file")
    return check_target(args.plot)


def _draw(models: Sequence[Any], contexts: float | list[float], target: Any) -> None:
    """Cache and arithmetic against context, from the shortest asked for (at least a token) to the longest."""
    from headway.drawing import draw  # noqa: PLC0415
    from headway.figures import contexts_between, model_panels  # noqa: PLC0415
    from headway.model.describe import describe  # noqa: PLC0415

    described = [describe(model, contexts_between(contexts)) for model in models]
    caption = "; ".join(f"{model.name}: {model.stored_as()}, cache in {model.kv_dtype.name}" for model in models)
    names = ", ".join(_name(model) for model in models)
    draw(model_panels(described), f"{names}: what a token costs at each context", target, caption=caption)


# Options of one question, which the others would not look at.
_ONLY_WITH = {
    "--kv-techniques": ("on", "batch", "context", "price", "by"),
    "--matching": ("within", "most"),
}


def _refuse_mixed(options: Parser, args: Any) -> None:
    """Refuse options that the question asked would not look at."""
    if args.matching and args.kv_techniques:
        raise BadInput("--kv-techniques ranks for a model and --matching looks for one; ask one of them")
    asked = {"--kv-techniques": args.kv_techniques, "--matching": bool(args.matching)}
    for question, names in _ONLY_WITH.items():
        for name in names:
            if not asked[question] and getattr(args, name) != options.get_default(name):
                raise BadInput(f"--{name} has an effect only with {question}")
    for question, is_asked in asked.items():
        if is_asked and args.plot is not None:
            raise BadInput(f"--plot draws no answer of {question}")
        if is_asked and args.contexts != CONTEXTS:
            more = "; give one --context" if question == "--kv-techniques" else ""
            raise BadInput(f"--contexts has no effect with {question}{more}")


# Quantities of the worksheet that the JSON has, at the contexts asked for.
AT_CONTEXTS = ("kv_stored_bytes", "kv_read_bytes_per_token", "flops_per_token", "prefill_kv_read_bytes_per_token",
               "prefill_flops_per_token")  # fmt: skip


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
        "kv_window_bytes_per_token": model.kv_window_bytes_per_token,
        "state_bytes_per_sequence": model.state_bytes,
        "contexts": described.value("context_tokens"),
    }
    for name in AT_CONTEXTS:
        out[name] = described.value(name)
        if out[name] is None:
            out[f"{name}_reason"] = described.sheet[name].quantity.gap
    if model.published_active_params is None:
        out["active_params_published_convention_reason"] = "the model is given by bare numbers"
    if model.kv_bytes_per_token is None:
        out["kv_bytes_per_token_reason"] = described.sheet["kv_bytes_per_token"].quantity.gap
    out["positions"] = model.positions
    if model.positions is None:
        out["positions_reason"] = "the config does not say how long a sequence may be"
    out |= {
        "note": model.note,
        "beside": list(model.beside),
        "mtp_modules": model.mtp_modules,
        "mtp_params_estimate": model.mtp_params,
        "assumed": list(model.assumed),
    }
    if shape is not None:
        out |= {
            "active_params_by_convention": shape.active_by_convention(),
            "parts": shape.parts(),
            "active_parts": shape.active_parts(),
            "stored_as": {part: model.storage[part].dtype.name for part, count in shape.parts().items() if count},
            "n_layers": shape.n_layers,
            "cache": [_group(model, kept) for kept in shape.kept],
        }
    return out


def _group(model: Any, kept: Any) -> dict[str, Any]:
    """A group of the cache: what it keeps, for how many tokens, and how many of them a token reads."""
    import math  # noqa: PLC0415

    size = model.kv_dtype.bytes_per_number
    group: dict[str, Any] = {"group": kept.name, "keeps": kept.text, "bytes_per_token": kept.numbers * size}
    for key, bound in (("stored_tokens", kept.stored_tokens), ("read_tokens", kept.read_tokens)):
        group[key] = bound if math.isfinite(bound) else None
        if group[key] is None:
            group[f"{key}_reason"] = "as many as the context has"
    return group


def _name(model: Any) -> str:
    """What to call the model in a sentence."""
    return "A model of bare numbers" if model.architecture is None else str(model.name)


def _stated(name: str) -> str:
    """What the makers of a catalogued model say of its active parameters."""
    from headway import catalog  # noqa: PLC0415

    stated = catalog.model_names().get(name, {}).get("published_active")
    return f"; its makers say {stated}" if stated else ""


def keeps(model: Any) -> str:
    """What a token of the context keeps, in words."""
    import math  # noqa: PLC0415

    from headway.units import format_si  # noqa: PLC0415

    kv, shape = model.kv_bytes_per_token, model.architecture
    if kv is None:
        return "each token keeps an unknown KV cache"
    cache = "KV cache" + (f" in {model.kv_dtype.name}" if shape is not None else "")
    said = [f"each token keeps {kv:,.0f} bytes of {cache}"] if kv or shape is None else []
    for kept in shape.kept if shape else ():
        if 0 < kept.stored_tokens < math.inf:
            size = kept.numbers * model.kv_dtype.bytes_per_number
            more = "more " if kv else ""
            said.append(f"the newest {kept.stored_tokens:,.0f} tokens keep {size:,.0f} bytes {more}each")
    if model.state_bytes:
        said.append(f"a sequence keeps {format_si(model.state_bytes, 'B')} of state at any length")
    return "; ".join(said) or "it keeps nothing of its context"


def as_text(described: Any) -> str:
    """The answer in a sentence, the parts, and what a token costs at each context."""
    import numpy as np  # noqa: PLC0415

    from headway.cli.output import table, wrapped  # noqa: PLC0415
    from headway.units import format_si  # noqa: PLC0415

    model, shape = described.model, described.model.architecture
    parts = [
        wrapped(
            f"{_name(model)} has {format_si(model.total_params, 'params', 4)}, of which a token multiplies "
            f"{format_si(model.active_params, 'params')}; it weighs {format_si(described.value('weight_bytes'), 'B')} "
            f"({model.stored_as()}). {keeps(model)[0].upper()}{keeps(model)[1:]}."
        )
    ]
    parts += [wrapped(sentence) for sentence in _remarks(model, float(np.max(described.value("context_tokens"))))]
    if shape is not None:
        active = shape.active_parts()
        rows = [
            [name.replace("_", " "), f"{count:,}", f"{active[name]:,.0f}", model.storage[name].dtype.name]
            for name, count in shape.parts().items()
            if count
        ]
        rows.append(["total", f"{model.total_params:,.0f}", f"{model.active_params:,.0f}", ""])
        parts += ["", table(["part", "params", "multiplied per token", "stored as"], rows, left=1)]
    return "\n".join([*parts, "", _at_contexts(described)])


def _remarks(model: Any, longest: float) -> list[str]:
    """Other conventions, what stands beside the text model, what was assumed, and where its positions end."""
    from headway.units import format_si  # noqa: PLC0415

    said = []
    if model.architecture is not None and model.published_active_params is not None:
        stated = _stated(model.name)
        counts = {
            name: format_si(value, "params")
            for name, value in model.architecture.active_by_convention().items()
            if value != model.active_params
        }
        if counts:
            listed = ", ".join(f"{value} {name}" for name, value in counts.items())
            said.append(f"Active parameters by other conventions: {listed}{stated}.")
    if model.mtp_modules:
        many = (f"{model.mtp_modules} multi-token-prediction module{'s' * (model.mtp_modules > 1)} "
                f"(about {format_si(model.mtp_params, 'params')})")  # fmt: skip
        said.append(f"Beside it and not counted: {', '.join([*model.beside, many])}.")
    elif model.beside:
        said.append(f"Beside it and not counted: {', '.join(model.beside)}.")
    said += [f"Of its config: {model.note}."] if model.note else []
    said += [f"Assumed: {sentence}." for sentence in model.assumed]
    if model.positions is not None and longest > model.positions:
        said.append(f"Its config allows {model.positions:,} positions; beyond them the figures are arithmetic.")
    return said


def _at_contexts(described: Any) -> str:
    """A table of what a decoded token and a token of a prompt cost at each context."""
    import numpy as np  # noqa: PLC0415

    from headway.cli.output import table  # noqa: PLC0415
    from headway.units import format_si  # noqa: PLC0415

    contexts = np.atleast_1d(described.value("context_tokens"))
    columns = []
    for name, unit in zip(AT_CONTEXTS, ("B", "B", "FLOP", "B", "FLOP"), strict=True):
        if name != "prefill_kv_read_bytes_per_token":
            value = described.value(name)
            figures = [None] * len(contexts) if value is None else np.broadcast_to(value, contexts.shape)
            columns.append(["unknown" if figure is None else format_si(figure, unit) for figure in figures])
    rows = [[f"{tokens:,.0f}", *row] for tokens, *row in zip(contexts, *columns, strict=True)]
    heads = ["context tokens", "cache of a sequence", "read per decoded token", "arithmetic of it",
             "of a prompt's token"]  # fmt: skip
    return table(heads, rows)
