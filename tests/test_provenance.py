"""Where a number came from: worksheets keep equations, inputs and gaps, and `explain` writes all of it out."""

import math
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, tuples

import headway
from headway.equations import roofline
from headway.equations._docstring import equation
from headway.errors import BadInput, MissingFact, UnknownName
from headway.explanation import explain
from headway.provenance import Origin, Quantity, Reference, Worksheet
from headway.units import format_si, parse
from tests.solved import SOLVED
from tests.test_equations import EQUATIONS, arguments

USER = Origin("user", "the test")
PAGE, OTHER = Reference("https://example.org/sheet", "2026-11-20"), Reference("a printed book", "2026-10")


def total(a, b):
    """Sum. [1].

        result = a + b

    a: one [1]
    b: other [1]

    Source: arithmetic.
    """
    return a + b


def quantity(name, value=1.0, unit="1", origin=USER, gap=""):
    return Quantity(name, value, unit, origin, gap)


# --- the worksheet -----------------------------------------------------------------------------------------------


# A chain of sums: each step adds two of the quantities before it, counted backwards.
CHAINS = lists(tuples(integers(1, 6), integers(1, 6)), min_size=1, max_size=12)


def chain(steps, missing):
    """Four inputs, one of them missing, and steps that each add two earlier quantities; what each came from."""
    sheet, sources = Worksheet(), {}
    for i in range(4):
        gap = f"no source gave in{i}" if i == missing else ""
        sheet.give(quantity(f"in{i}", None if i == missing else float(i), gap=gap))
        sources[f"in{i}"] = {f"in{i}"}
    for i, (a, b) in enumerate(steps):
        names = list(sources)
        left, right = names[-min(a, len(names))], names[-min(b, len(names))]
        sheet.compute(f"step{i}", total, "1", f"a={left} b={right}")
        sources[f"step{i}"] = {f"step{i}"} | sources[left] | sources[right]
    return sheet, sources


@given(CHAINS, integers(0, 3))
def test_a_gap_reaches_everything_that_depends_on_it_and_nothing_else(steps, missing):
    """A quantity is a gap where any of its inputs is one, and then names the figure that is missing."""
    sheet, sources = chain(steps, missing)
    for name, origins in sources.items():
        found = sheet[name].quantity
        assert (found.value is None) == (f"in{missing}" in origins)
        assert found.gap == (f"no source gave in{missing}" if found.value is None else "")
        if found.value is None:
            with pytest.raises(MissingFact, match=f"{name} cannot be computed: no source gave in{missing}"):
                sheet.need(name)
        else:
            assert sheet.need(name) == found.value == sheet.value(name)


@given(CHAINS)
def test_a_lineage_is_all_that_a_quantity_was_computed_from_inputs_first(steps):
    """The lineage is the quantity and its ancestors, nothing else, and none stands before what it was computed from."""
    sheet, sources = chain(steps, None)
    for name, origins in sources.items():
        lineage = [cell.quantity.name for cell in sheet.lineage(name)]
        assert set(lineage) == origins
        assert len(lineage) == len(origins)
        seen = set()
        for cell in sheet.lineage(name):
            assert set(cell.arguments.values()) <= seen
            seen.add(cell.quantity.name)


def test_a_gap_without_a_reason_names_itself():
    """Where nobody wrote down why a quantity is missing, what depends on it says at least which one it is."""
    sheet = Worksheet([quantity("power_w", None), quantity("hours")])
    assert sheet.compute("energy", total, "1", "a=power_w b=hours") is None
    assert "power_w" in sheet["energy"].quantity.gap


def test_nothing_is_written_down_twice():
    """A name stands for one quantity; writing another under it is a mistake of the caller, not a silent change."""
    sheet = Worksheet([quantity("a"), quantity("b")])
    with pytest.raises(ValueError, match="a is already on the worksheet"):
        sheet.give(quantity("a", 2.0))
    with pytest.raises(ValueError, match="b is already on the worksheet"):
        sheet.compute("b", total, "1", "a b=a")
    assert sheet.value("b") == 1.0


def test_a_computed_quantity_remembers_its_equation_and_arguments():
    """What is computed keeps the function and the quantities that went in, by parameter."""
    sheet = Worksheet([quantity("a", 2.0), quantity("chips", 3.0)])
    assert sheet.compute("c", total, "1", "a b=chips") == 5.0
    assert sheet["c"].equation is total
    assert sheet["c"].arguments == {"a": "a", "b": "chips"}
    assert "c" in sheet
    assert "d" not in sheet


def test_a_missing_figure_of_a_machine_names_itself_and_the_way_to_supply_it():
    """A machine without a published rent has no cost, and the gap says which figure, of what, and how to give it."""
    answer = headway.roofline("llama-3.1-8b", on="mi250", batch=8)
    assert answer.cost_per_token_usd is None
    gap = answer.sheet["cost_per_token_usd"].quantity.gap
    assert "rental_usd_per_s of mi250" in gap
    assert "supply --price '$2/h'" in gap
    assert f"cost_per_token_usd: not known: {gap}" in headway.explain(answer, "cost_per_token_usd")
    priced = headway.roofline("llama-3.1-8b", on="mi250", batch=8, changes={"rental_usd_per_s": "$2/h"})
    assert priced.cost_per_token_usd > 0


# --- explain -----------------------------------------------------------------------------------------------------


def blocks(text):
    """The derivation, by quantity: symbols, numbers and result, each as one line, and the words after them."""
    derivation = text.split("\n\nInputs\n")[0].split("\n  ")[1:]
    found, name = {}, ""
    for line in derivation:
        if line.startswith("  "):
            found[name].append(line.strip().removeprefix("= "))
        else:
            name, _, formula = line.partition(" = ")
            found[name] = [formula]
    return found


def arithmetic(numbers, shown):
    """The numbers line as Python sees it: every quantity that was put in read back into SI, and the rest as written."""
    names = {f"q{i}": parse(text, unit) for i, (text, unit) in enumerate(shown)}
    for i, (text, _) in sorted(enumerate(shown), key=lambda item: -len(item[1][0])):
        # a whole quantity only: the 1 in "1 tokens + 1" is the formula's own
        numbers = re.sub(rf"(?<![\w.,$]){re.escape(text)}(?![\w./]|,\d)", f"q{i}", numbers)
    numbers = re.sub(r"(?<![\w.,])0 s\b", "0", numbers)  # a default of no time
    last, *steps = numbers.split(", where ")
    scope = names | {"max": max, "min": min, "where": lambda c, a, b: a if c else b, "inf": math.inf,
                     "ceil": math.ceil, "sqrt": math.sqrt}  # fmt: skip
    for step in steps:
        name, _, formula = step.partition(" = ")
        scope[name] = eval(formula, {"__builtins__": {}}, scope)
    return eval(last, {"__builtins__": {}}, scope)


QUESTIONS = {
    "mixture of experts on a rack": ("deepseek-v3", "gb200-nvl72", ["expert-hits", "attention", "communication"]),
    "dense model on a node": ("llama-3.1-70b", "h100-sxm:8", ["attention", "communication"]),
    "the blackboard": ("deepseek-v3", "gb200-nvl72", []),
}


@pytest.fixture(scope="module", params=QUESTIONS.values(), ids=QUESTIONS)
def answer(request):
    model, system, refine = request.param
    return headway.roofline(model, on=system, batch=[1, 48, 2000], context=[700.0, 8000.0], refine=refine,
                            beyond_memory=True)  # fmt: skip


POINT = {"batch": 50, "context_tokens": 7900}
INDEX = (1, 1, 0)  # the nearest of the points asked


def at_point(value):
    array = np.asarray(value)
    return float(np.broadcast_to(array.reshape((1,) * (3 - array.ndim) + array.shape), (3, 2, 1))[INDEX])


def test_the_number_written_is_the_value(answer):
    """The result that the derivation ends with, and every input, is the value on the worksheet at the point asked."""
    text = explain(answer, at=POINT)
    written = blocks(text)
    for cell in answer.sheet.used():
        name, unit = cell.quantity.name, cell.quantity.unit
        if cell.quantity.value is None:
            assert f"{name}: not known: " in text
            continue
        shown = written[name][2] if cell.equation else re.search(rf"^  {name} = (.*?)  \(", text, re.M)[1]
        expected = at_point(cell.quantity.value)
        if math.isinf(expected):
            assert shown == "infinity"
        else:
            # three digits are written, and counts of less than a million are rounded to whole ones
            rounded = 0.5 if re.fullmatch(r"[\d,]+ \w+", shown) else 0
            assert parse(shown, unit) == pytest.approx(expected, rel=5.1e-3, abs=rounded)


def test_the_numbers_put_in_give_the_number_written(answer):
    """The line with the numbers put in, worked out as it stands, gives the result under it."""
    checked = 0
    for cell in answer.sheet:
        if cell.equation is None or cell.quantity.value is None:
            continue
        _, numbers, result, *_ = blocks(explain(answer, cell.quantity.name, at=POINT))[cell.quantity.name]
        if result == "infinity":
            continue
        stated = equation(cell.equation)
        inputs = [answer.sheet[source].quantity for source in cell.arguments.values()]
        shown = [(format_si(at_point(q.value), q.unit), q.unit) for q in inputs]
        shown += [("2.00 FLOP", "FLOP")] if "flop_per_" in " ".join(stated.arguments) else []
        found = arithmetic(numbers, shown)
        # Inputs are written to three digits: half a percent each, and at most a power of 8 (experts hit) of them.
        assert found == pytest.approx(at_point(cell.quantity.value), rel=0.03, abs=1e-12), cell.quantity.name
        checked += 1
    assert checked >= 25


@pytest.mark.parametrize("function", [e for e in EQUATIONS if e.values[0].__name__ not in SOLVED])
def test_explain_leaves_no_symbol_and_names_its_source(function):
    """With numbers put in, no argument of any equation is left as a letter; the summary and the source follow."""
    stated = equation(function)
    values = arguments(function, 3)
    sheet = Worksheet(quantity(f"my_{n}", v, stated.arguments[n].unit) for n, v in values.items())
    sheet.compute("answer", function, stated.unit, " ".join(f"{n}=my_{n}" for n in values))
    symbols, numbers, result, words = blocks(explain(SimpleNamespace(sheet=sheet), "answer"))["answer"]
    rest = numbers  # what is left of the formula without its quantities, whose units may be called like arguments
    for cell in sheet:
        rest = rest.replace(format_si(float(cell.quantity.value), cell.quantity.unit), "")
    for name in values:
        assert re.search(rf"\bmy_{name}\b", symbols)
        assert not re.search(rf"\b(my_)?{name}\b", rest)
    assert result == format_si(float(sheet.value("answer")), stated.unit)
    assert words == f"{stated.summary} Source: {stated.source}"


def test_a_default_that_was_used_is_written_too():
    """An argument left at its default stands in the numbers with its value and unit, positional or by keyword."""
    sheet = Worksheet([quantity("batch", 4.0), quantity("p", 1.0), quantity("a", 5.0, "params")])
    sheet.compute("f", roofline.matmul_flop, "FLOP", "batch pass_tokens=p active_params=a")
    text = explain(SimpleNamespace(sheet=sheet), "f")
    assert "= 2.00 FLOP * 5 params * 4 * 1" in text.replace("4.00", "4").replace("1.00", "1")


def test_every_source_is_listed_once_and_marked_where_it_was_used():
    """Pages are numbered in the order of use; each input carries the numbers of its own pages and says who says so."""
    sheet = Worksheet([
        quantity("a", 2.0, origin=Origin("catalog", "accelerator x", (PAGE,), "as printed")),
        quantity("b", 3.0, origin=Origin("config", "config.json", (OTHER, PAGE))),
        quantity("unused", 1.0, origin=Origin("catalog", "y", (Reference("never read", "2026"),))),
        quantity("d", 1.0),
    ])  # fmt: skip
    sheet.compute("c", total, "1", "a b")
    sheet.compute("e", total, "1", "a=c b=d")
    lines = explain(SimpleNamespace(sheet=sheet), "e").splitlines()
    assert "  a = 2.00  (catalog: accelerator x. as printed) [1]" in lines
    assert "  b = 3.00  (config: config.json) [2] [1]" in lines
    assert "  d = 1.00  (user: the test)" in lines
    sources = lines[lines.index("Sources") + 1 :]
    assert sources == ["  [1] https://example.org/sheet (read 2026-11-20)", "  [2] a printed book (read 2026-10)"]
    assert not any("unused" in line or "never read" in line for line in lines)


def test_every_page_behind_an_answer_is_in_its_explanation(answer):
    """No reference of any input in the lineage is left out, and every input stands once."""
    text = explain(answer, "cost_per_token_usd")
    for cell in answer.sheet.lineage("cost_per_token_usd"):
        assert len(re.findall(rf"^  {cell.quantity.name} = ", text, re.M)) == 1
        for page in cell.quantity.origin.references:
            assert sum(line.endswith(f"] {page.where} (read {page.checked})") for line in text.splitlines()) == 1


def test_a_changed_input_says_that_the_user_changed_it():
    """A figure that the user replaced is no longer the catalog's: the explanation quotes the change instead."""
    answer = headway.roofline("llama-3.1-8b", on="h100-sxm", batch=8, changes={"bandwidth_bytes_per_s": "10 TB/s"})
    text = explain(answer, "step_s")
    assert "  bandwidth_bytes_per_s = 10.0 TB/s  (user: --set bandwidth_bytes_per_s=10 TB/s)" in text


def test_a_list_of_one_does_not_move_the_other_axes():
    """A context given as a list of one leaves the batch where it was asked."""
    one = headway.roofline("llama-3.1-8b", on="h100-sxm", batch=[1, 32, 64], context=[1000], pass_tokens=[1])
    plain = headway.roofline("llama-3.1-8b", on="h100-sxm", batch=[1, 32, 64], context=1000)
    point = {"batch": 64, "context_tokens": 1000, "pass_tokens": 1}
    assert explain(one, "step_s", at=point) == explain(plain, "step_s", at=point)
    assert "  batch = 64 sequences  " in explain(one, "step_s", at=point)


def test_a_formula_in_steps_shows_its_steps():
    """An equation that is stated in several lines is written with all of them."""
    sheet = Worksheet([quantity("w", 6.0, "s"), quantity("c", 3.0, "s"), quantity("k", 1.0, "s")])
    sheet.compute("b", roofline.balance_batch_with_kv, "sequences",
                  "t_weights_s=w t_compute_per_sequence_s=c t_kv_per_sequence_s=k")  # fmt: skip
    symbols, numbers, result, _ = blocks(explain(SimpleNamespace(sheet=sheet), "b"))["b"]
    assert symbols == "where(slack > 0, w / slack, inf), where slack = c - k"
    assert numbers == "where(slack > 0, 6.00 s / slack, inf), where slack = 3.00 s - 1.00 s"
    assert result == "3 sequences"


@pytest.mark.parametrize("asked", [{"names": ["stepp_s"]}, {"names": ["step_s"], "at": {"batchh": 3}}])
def test_a_name_that_is_not_on_the_worksheet_is_refused(asked):
    """Asking for the origin of a quantity that is not there suggests its neighbours."""
    answer = headway.roofline("llama-3.1-8b", on="h100-sxm", batch=8)
    with pytest.raises(UnknownName, match="did you mean") as refusal:
        explain(answer, *asked["names"], at=asked.get("at"))
    assert isinstance(refusal.value, BadInput)
