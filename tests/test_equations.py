"""What holds for every equation, whichever it is.

The equations document themselves in one layout (`headway.equations._docstring`). These tests read every one of them
and hold the code to its own words: the formula it prints is the formula it computes, the units balance, and every
array library gives the same. An equation that is added is tested by being there.
"""

import importlib
import inspect
import math
import pkgutil
import re

import array_api_strict as strict
import jax
import jax.numpy as jnp
import numpy as np
import pint
import pytest

import headway.equations
from headway.equations._docstring import equation

jax.config.update("jax_enable_x64", True)

MODULES = [
    importlib.import_module(f"headway.equations.{found.name}")
    for found in pkgutil.iter_modules(headway.equations.__path__)
    if not found.name.startswith("_")
]
EQUATIONS = [
    pytest.param(function, id=f"{module.__name__.rsplit('.', 1)[-1]}.{name}")
    for module in MODULES
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if not name.startswith("_") and function.__module__ == module.__name__
]

# Arguments whose domain is not "any positive number"; (low, high) is drawn uniformly, a tuple of ints as an int.
DOMAINS = {
    "acceptance": (0.05, 0.95), "utilisation": (0.05, 0.95), "load": (0.05, 0.95), "share": (0.05, 0.95),
    "kv_share": (0.05, 0.95), "overlap_share": (0.0, 1.0), "hit_share": (0.05, 0.95), "hit_probability": (0.05, 0.95),
    "hit_rate": (0.05, 0.95), "usable_fraction": (0.5, 1.0),
    "usable_memory_fraction": (0.5, 1.0), "sharpness": (1.0, 8.0),
    "price_multiple": (1.5, 10.0), "speed_multiple": (1.2, 5.0), "draft_tokens": (1, 8),
    "n_experts": (64, 256), "experts_per_token": (1, 8), "n_ranks": (2, 64), "racks": (2, 8), "chips": (2, 64),
    "domain_chips": (8, 72), "ring_chips": (2, 16), "batch_limit": (2, 32), "servers": (1, 8),
    "arrivals_per_s": (0.005, 0.3), "upper_arrivals_per_s": (0.005, 0.15), "lower_arrivals_per_s": (0.005, 0.15),
    "service_s": (0.1, 5.0), "idle_share": (0.0, 0.5), "load_above": (0.05, 0.6), "load_own": (0.05, 0.6),
    "experts_per_rank": (1, 8), "copies": (1, 300),
    "loss": (2.2, 2.3), "loss_few": (2.31, 2.4), "loss_many": (2.1, 2.19),
}  # fmt: skip
# Equations without a closed form; the test named here is their independent check.
SOLVED = getattr(importlib.import_module("tests.solved"), "SOLVED", {})


def draw(rng, name):
    low, high = DOMAINS.get(name, (1.0, 100.0))
    return int(rng.integers(low, high + 1)) if isinstance(low, int) else float(rng.uniform(low, high))


def arguments(function, seed):
    rng = np.random.default_rng(seed)
    return {name: draw(rng, name) for name in inspect.signature(function).parameters}


def evaluate(function, values, **operations):
    """The printed formula, line by line, in the given arithmetic; the last line is the result."""
    names, result = dict(values) | operations, None
    for line in equation(function).formulas:
        left, right = line.split(" = ", 1)
        result = eval(right, {"__builtins__": {}}, names)
        names[left.strip()] = result
    return result


def numeric(xp):
    return {
        "max": lambda *v: np.max(np.stack(np.broadcast_arrays(*v)), axis=0),
        "min": lambda *v: np.min(np.stack(np.broadcast_arrays(*v)), axis=0),
        "sqrt": xp.sqrt, "ln": xp.log, "log2": xp.log2, "exp": xp.exp,
        "ceil": xp.ceil, "where": xp.where, "inf": math.inf,
    }  # fmt: skip


@pytest.mark.parametrize("function", EQUATIONS)
def test_an_equation_states_its_formula_units_and_source(function):
    """The docstring has a summary with a unit, a formula, every argument with a unit, a source and an example."""
    stated = equation(function)
    assert stated.summary.endswith("."), "a summary sentence"
    assert stated.unit, "unit of the result, in brackets at the end of the summary"
    assert stated.formulas, "a formula, indented"
    assert list(stated.arguments) == list(inspect.signature(function).parameters), "every argument, in order"
    assert stated.source, "a source"
    assert ">>>" in function.__doc__, "an example"


@pytest.mark.parametrize("function", EQUATIONS)
def test_the_printed_formula_is_what_the_code_computes(function):
    """At random arguments the formula in the docstring and the function give the same number."""
    if function.__name__ in SOLVED:
        assert SOLVED[function.__name__], "names the test that checks it independently"
        return
    for seed in range(20):
        values = arguments(function, seed)
        with np.errstate(divide="ignore", invalid="ignore"):
            printed = evaluate(function, values, **numeric(np))
        computed = function(**values)
        assert float(computed) == pytest.approx(float(printed), rel=1e-9), values


def registry():
    units = pint.UnitRegistry(None)
    for name in ("s", "B", "FLOP", "USD", "W", "kg"):
        units.define(f"{name} = [{name.lower()}]")
    for count in (
        "tokens",
        "token",
        "params",
        "sequences",
        "chips",
        "layers",
        "experts",
        "requests",
        "ranks",
    ):
        units.define(f"{count} = []")
    return units


UNITS = registry()


def quantity(value, unit):
    return value * UNITS.parse_expression("dimensionless" if unit == "1" else unit)


def dimensional():
    def larger(*v):
        return max(v)

    def pure(f):
        return lambda v: f(v.to("dimensionless").magnitude) if hasattr(v, "to") else f(v)

    return {
        "max": larger, "min": lambda *v: min(v), "sqrt": lambda v: v**0.5, "ln": pure(math.log), "inf": math.inf,
        "log2": pure(math.log2), "exp": pure(math.exp), "ceil": pure(math.ceil),
        "where": lambda condition, yes, no: yes if condition else no,
    }  # fmt: skip


@pytest.mark.parametrize("function", EQUATIONS)
def test_the_units_balance(function):
    """With units put in for the arguments, the formula yields the unit that the summary promises."""
    if function.__name__ in SOLVED:
        return
    stated = equation(function)
    values = {
        name: value if isinstance(value, int) else quantity(value, stated.arguments[name].unit)
        for name, value in arguments(function, 3).items()
    }
    result = evaluate(function, values, **dimensional())
    if result is math.inf:
        return
    result = result if hasattr(result, "dimensionality") else quantity(result, "1")
    assert result.dimensionality == quantity(1, stated.unit).dimensionality


# Foreign array libraries: one to differentiate with, and the reference, which has nothing that the standard has not.
LIBRARIES = [pytest.param(jnp, jax.Array, id="jax"), pytest.param(strict, type(strict.asarray(0.0)), id="strict")]


@pytest.mark.parametrize(("library", "array_type"), LIBRARIES)
@pytest.mark.parametrize("function", EQUATIONS)
def test_every_array_library_gives_the_same(function, library, array_type):
    """Arrays of another library, all arguments or one among numbers, give NumPy's numbers as arrays of that library."""
    counts = {n for n, p in inspect.signature(function).parameters.items() if "int" in str(p.annotation)}
    draws = [arguments(function, seed) for seed in range(5)]
    stacked = {name: np.asarray([float(d[name]) for d in draws]) for name in draws[0] if name not in counts}
    for names in dict.fromkeys([tuple(stacked), *((name,) for name in stacked)]):
        chosen = {name: stacked[name] for name in names}
        expected = function(**draws[0] | chosen)
        found = function(**draws[0] | {name: library.asarray(values) for name, values in chosen.items()})
        assert isinstance(found, array_type), names
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-9, err_msg=str(names))


@pytest.mark.parametrize("function", EQUATIONS)
def test_units_stand_in_the_names(function):
    """A result in seconds or dollars says so in the function's name (STYLE: units live in names)."""
    suffix = {"s": ("_s",), "USD": ("_usd",), "USD/s": ("_usd_per_s",)}.get(equation(function).unit)
    if suffix:
        assert re.search("|".join(suffix), function.__name__), function.__name__
