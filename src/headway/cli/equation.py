"""`headway equation`: list the equations, show one, or put numbers into it."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from headway.cli.arguments import Parser, axis
from headway.errors import BadInput, MissingFact, UnknownName, shown
from headway.units import format_si

EPILOG = """\
  headway equation                            every equation, by chapter
  headway equation moe                        those of one chapter
  headway equation balance_batch              one of them: formula, units, source
  headway equation balance_batch ridge=300 read_params=671B active_params=37B
  headway equation md1_wait_s utilisation=0.1,0.5,0.9 service_s=20ms --explain

Values take units (20ms, $2/h, 671B), lists and ranges.
"""
LARGEST = 1e30
_SHARE = re.compile(r"(\w+_)?(acceptance|share|probability|fraction|mfu)")
_PARTS = (("experts_per_token", "n_experts"),)


def parser() -> Parser:
    """The options of `headway equation`."""
    options = Parser("equation", "The equations behind every answer: list, show, or put numbers in.", EPILOG)
    options.add_argument("name", nargs="?", metavar="NAME",
                         help="an equation, a chapter, or a part of a name to search for")  # fmt: skip
    options.add_argument("values", nargs="*", metavar="ARGUMENT=VALUE", help="a value for each argument")
    options.add_output_options()
    return options


def main(arguments: Sequence[str]) -> int:
    """List, show or evaluate."""
    args = parser().read(arguments)
    found = by_name()
    if args.name is None:
        return _list(args, found)
    name = args.name.partition(".")[2] or args.name
    if name not in found:
        chapter = {n: f for n, f in found.items() if _chapter(f) == name.lower().replace("-", "_")}
        hits = chapter or {n: f for n, f in found.items() if name.lower() in n}
        if not hits or args.values:
            raise UnknownName("equation", args.name, [*found, *map(_chapter, found.values())],
                              where="headway equation lists them")  # fmt: skip
        return _list(args, hits)
    return _evaluate(args, found[name]) if args.values else _show(args, found[name])


def by_name() -> dict[str, Callable[..., Any]]:
    """Every public equation by name, in the order of the chapters; a name used twice carries its chapter."""
    import importlib  # noqa: PLC0415
    import pkgutil  # noqa: PLC0415

    import headway.equations  # noqa: PLC0415

    found: dict[str, Callable[..., Any]] = {}
    for module in pkgutil.iter_modules(headway.equations.__path__):
        if not module.name.startswith("_"):
            chapter = importlib.import_module(f"headway.equations.{module.name}")
            members = inspect.getmembers(chapter, inspect.isfunction)
            found |= {n: f for n, f in members if not n.startswith("_") and f.__module__ == chapter.__name__}
    return found


def _chapter(function: Callable[..., Any]) -> str:
    return function.__module__.rsplit(".", 1)[-1]


def _list(args: Any, found: dict[str, Callable[..., Any]]) -> int:
    from headway.cli.output import print_json, table  # noqa: PLC0415
    from headway.equations._docstring import equation  # noqa: PLC0415

    if args.json:
        print_json({"equations": [_as_json(function) for function in found.values()]})
        return 0
    rows = [[_chapter(f), n, equation(f).summary] for n, f in found.items()]
    print(table(["chapter", "equation", "what"], rows, left=3))
    return 0


def _as_json(function: Callable[..., Any]) -> dict[str, Any]:
    from headway.equations._docstring import equation  # noqa: PLC0415

    stated = equation(function)
    return {
        "name": stated.name, "chapter": _chapter(function), "summary": stated.summary, "unit": stated.unit,
        "formula": list(stated.formulas), "source": stated.source, "valid": stated.valid,
        "arguments": {n: {"meaning": a.meaning, "unit": a.unit} for n, a in stated.arguments.items()},
    }  # fmt: skip


def _show(args: Any, function: Callable[..., Any]) -> int:
    from headway.cli.output import print_json, table, wrapped  # noqa: PLC0415
    from headway.equations._docstring import equation  # noqa: PLC0415

    if args.json:
        print_json(_as_json(function))
        return 0
    stated = equation(function)
    print(f"{stated.summary} [{stated.unit}]\n")
    print("\n".join(f"    {line}" for line in stated.formulas))
    defaults = inspect.signature(function).parameters
    rows = [
        [name, a.unit, "" if defaults[name].default is inspect.Parameter.empty else f"{defaults[name].default:g}",
         a.meaning]
        for name, a in stated.arguments.items()
    ]  # fmt: skip
    print("\n" + table(["argument", "unit", "default", "meaning"], rows, left=4))
    print("\n" + wrapped(f"Source: {stated.source}"))
    if stated.valid:
        print(wrapped(f"Valid: {stated.valid}"))
    return 0


def _evaluate(args: Any, function: Callable[..., Any]) -> int:
    import numpy as np  # noqa: PLC0415

    from headway.cli.output import has_null, plain, print_json  # noqa: PLC0415
    from headway.equations._docstring import equation  # noqa: PLC0415
    from headway.explanation import explain  # noqa: PLC0415

    stated = equation(function)
    values = _values(args.values, function)
    sheet = _sheet(values, function)
    result = np.asarray(sheet.value(stated.name), dtype=float)
    below_zero = stated.unit != "1" and np.any(result < 0)  # a margin may be, a time or a cost outside its domain
    if below_zero or np.any(np.isnan(result)):
        raise BadInput(f"{stated.name} has no value there" + (f"; valid: {stated.valid}" if stated.valid else ""))
    if args.json:
        out = {"equation": stated.name, "unit": stated.unit, **values, "value": plain(result)}
        if has_null(out["value"]):
            out["value_reason"] = "infinite: there is no such value"
        print_json(out | ({"explanation": explain(_Result(sheet)).splitlines()} if args.explain else {}))
    else:
        print(_as_text(stated, values, result))
        if args.explain:
            print(f"\n{explain(_Result(sheet))}")
    return 0


def _as_text(stated: Any, values: dict[str, Any], result: Any) -> str:
    """One value on a line; of lists, a row for each value beside the arguments that it belongs to."""
    import numpy as np  # noqa: PLC0415

    from headway.cli.output import table  # noqa: PLC0415

    listed = {name: value for name, value in values.items() if isinstance(value, list)}
    if not listed:
        return f"{stated.name} = {_shown(float(result), stated.unit)}"
    columns = {name: (value, stated.arguments[name].unit) for name, value in listed.items()}
    count = len(next(iter(listed.values())))
    columns[stated.name] = (np.broadcast_to(result, (count,)).tolist(), stated.unit)
    cells = [[_shown(value, unit) for value in column] for column, unit in columns.values()]
    return table(list(columns), [list(row) for row in zip(*cells, strict=True)])


def _shown(value: float, unit: str) -> str:
    return "infinity" if math.isinf(value) else format_si(value, unit, 4)


class _Result:
    """A worksheet to be explained."""

    def __init__(self, sheet: Any) -> None:
        self.sheet = sheet


def _sheet(values: dict[str, Any], function: Callable[..., Any]) -> Any:
    import numpy as np  # noqa: PLC0415

    from headway.equations._docstring import equation  # noqa: PLC0415
    from headway.provenance import Origin, Quantity, Worksheet  # noqa: PLC0415

    stated = equation(function)
    whole = {n for n, p in inspect.signature(function).parameters.items() if p.annotation in (int, "int")}
    sheet = Worksheet()
    for name, value in values.items():
        number = int(value) if name in whole else np.asarray(value) if isinstance(value, list) else np.float64(value)
        sheet.give(Quantity(name, number, stated.arguments[name].unit, Origin("user", "the command line")))
    with np.errstate(all="ignore"):
        try:
            sheet.compute(stated.name, function, stated.unit, " ".join(values))
        except (ValueError, OverflowError, ZeroDivisionError, IndexError) as error:
            raise BadInput(f"{stated.name} cannot take these values: {error}") from None
    return sheet


def _values(pairs: Sequence[str], function: Callable[..., Any]) -> dict[str, Any]:
    """The arguments as typed, each in the unit that the equation states; lists must agree in length."""
    from headway.equations._docstring import equation  # noqa: PLC0415

    stated, parameters = equation(function), inspect.signature(function).parameters
    values: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise BadInput(f"expected ARGUMENT=VALUE, such as {next(iter(parameters))}=2, found {shown(pair)}")
        if name not in parameters:
            raise UnknownName(f"argument of {stated.name}", name, parameters)
        values[name] = axis(text, stated.arguments[name].unit, whole=False)
        numbers = values[name] if isinstance(values[name], list) else [values[name]]
        most = 1.0 if _SHARE.fullmatch(name) else LARGEST
        if any(number < 0 or number > most for number in numbers):
            raise BadInput(f"{name} must be from 0 to {most:g}, found {shown(text)}")
        if parameters[name].annotation in (int, "int") and (len(numbers) > 1 or not 1 <= numbers[0] <= 100_000):
            raise BadInput(f"{name} must be one whole number from 1 to 100,000, found {shown(text)}")
    missing = [n for n, p in parameters.items() if n not in values and p.default is inspect.Parameter.empty]
    if missing:
        raise MissingFact(f"{stated.name} needs {', '.join(missing)} too")
    lengths = {len(value) for value in values.values() if isinstance(value, list)}
    if len(lengths) > 1:
        raise BadInput(f"lists of different lengths: {', '.join(map(str, sorted(lengths)))}")
    _check_parts(values)
    return values


def _check_parts(values: dict[str, Any]) -> None:
    """Refuse a part that is larger than its whole."""
    import numpy as np  # noqa: PLC0415

    for part, whole in _PARTS:
        if {part, whole} <= values.keys() and np.any(np.asarray(values[part]) > np.asarray(values[whole])):
            raise BadInput(f"{part} cannot exceed {whole}")
