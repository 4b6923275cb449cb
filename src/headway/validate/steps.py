"""The little language in which the ledger says how a claim is recomputed.

A step is one line of Python's grammar and nothing of its power: a name, and after the equals sign either one call of a
public equation with named arguments, or a fact. An argument is a number (`0.85`, `1/64`), a quantity as a person writes
it (`"20 ms"`), the name of an earlier step, or a fact (`model["deepseek-v3"].n_experts`).

>>> read_step("balance = roofline.balance_batch(ridge=given.ridge, read_params=256, active_params=32)").equation
'roofline.balance_batch'
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from headway.errors import BadInput, UnknownName, shown


@dataclass(frozen=True)
class Written:
    """A number of the claim's own, or a quantity with its unit as a person writes it."""

    value: float | str


@dataclass(frozen=True)
class Earlier:
    """The result of an earlier step."""

    step: str


@dataclass(frozen=True)
class Fact:
    """A figure that stands elsewhere: `kind[key, ...].field`, `given.field`, or `claim[key]`."""

    kind: str
    keys: tuple[str | int, ...]
    field: str = ""


Term = Written | Earlier | Fact


@dataclass(frozen=True)
class Step:
    """One line: the name of its result, and an equation with its arguments, or a fact."""

    name: str
    equation: str = ""
    arguments: dict[str, Term] = field(default_factory=dict)
    fact: Fact | None = None


def read_step(line: str) -> Step:
    """A line of the ledger as a step; anything but one call of an equation, or one fact, raises `BadInput`."""
    try:
        statements = ast.parse(line).body
    except SyntaxError as error:
        raise BadInput(f"a step is name = chapter.equation(argument=value, ...), found {shown(line)}") from error
    match statements:
        case [ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call)]:
            return _call(name, call, line)
        case [ast.Assign(targets=[ast.Name(id=name)], value=value)]:
            return Step(name, fact=_fact(value, line))
    raise BadInput(f"a step is name = chapter.equation(argument=value, ...), found {shown(line)}")


def _call(name: str, call: ast.Call, line: str) -> Step:
    match call.func:
        case ast.Attribute(value=ast.Name(id=chapter), attr=function) if not call.args:
            arguments = {word.arg: _term(word.value, line) for word in call.keywords if word.arg is not None}
            if len(arguments) == len(call.keywords):
                return Step(name, f"{chapter}.{function}", arguments)
    raise BadInput(f"an equation is called as chapter.equation(argument=value, ...), found {shown(line)}")


def _term(node: ast.expr, line: str) -> Term:
    match node:
        case ast.Name(id=name):
            return Earlier(name)
        case ast.Constant(value=value) if type(value) in (int, float, str):
            return Written(value)  # type: ignore[arg-type]
        case ast.BinOp(left=ast.Constant(value=top), op=ast.Div(), right=ast.Constant(value=bottom)) if (
            type(top) in (int, float) and type(bottom) in (int, float) and bottom
        ):
            return Written(float(top) / float(bottom))  # type: ignore[arg-type]
    return _fact(node, line)


def _fact(node: ast.expr, line: str) -> Fact:
    match node:
        case ast.Attribute(value=ast.Name(id=kind), attr=name):
            return Fact(kind, (), name)
        case ast.Attribute(value=ast.Subscript(value=ast.Name(id=kind), slice=keys), attr=name):
            return Fact(kind, _keys(keys, line), name)
        case ast.Subscript(value=ast.Name(id=kind), slice=keys):
            return Fact(kind, _keys(keys, line))
    raise BadInput(f"a fact is kind['name'].figure, found {shown(ast.unparse(node))} in {shown(line)}")


def _keys(node: ast.expr, line: str) -> tuple[str | int, ...]:
    nodes = node.elts if isinstance(node, ast.Tuple) else [node]
    keys = tuple(part.value for part in nodes if isinstance(part, ast.Constant) and type(part.value) in (str, int))
    if len(keys) != len(nodes):
        raise BadInput(f"a fact is named by words and whole numbers, found {shown(line)}")
    return keys  # type: ignore[return-value]


@functools.cache
def chapters() -> tuple[str, ...]:
    """The chapters of `headway.equations`."""
    import headway.equations  # noqa: PLC0415  (the folder is read only when a ledger is)

    return tuple(m.name for m in pkgutil.iter_modules(headway.equations.__path__) if not m.name.startswith("_"))


def public_equation(name: str) -> Callable[..., Any]:
    """The equation `chapter.function`; any other name, private or imported, raises `UnknownName`."""
    chapter, _, function = name.partition(".")
    if chapter not in chapters():
        raise UnknownName("chapter of equations", chapter, chapters())
    module = importlib.import_module(f"headway.equations.{chapter}")
    known = {
        n: f
        for n, f in inspect.getmembers(module, inspect.isfunction)
        if not n.startswith("_") and f.__module__ == module.__name__
    }
    if function not in known:
        raise UnknownName(f"equation of {chapter}", function, known)
    return known[function]
