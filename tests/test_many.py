"""Many passes in one call are the passes one by one, whatever their mix, order and number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import composite, integers, lists, sampled_from, sets

from headway.errors import BadInput, Infeasible, MissingFact
from headway.hardware import load_system
from headway.model.config import load_model
from headway.step import many
from headway.step.first_order import evaluate
from headway.step.layout import Layout
from headway.step.many import steps
from headway.step.question import REFINEMENTS, Question

EXACT = 1e-12  # the same arithmetic, on arrays
MODELS = ("deepseek-v3", "llama-3.1-70b", "gpt-oss-120b", "qwen3-next-80b-a3b")
SYSTEMS = ("gb200-nvl72", "h100-sxm:16", "tpu-v5e:64", "mi300x:16")
WANT = ("step_s", "work_s", "t_comm_s", "t_hops_s", "weights_bytes", "kv_bytes", "chip_needed_bytes", "largest_batch",
        "tokens_per_s", "mfu")  # fmt: skip
AXES = ("batch", "context_tokens", "pass_tokens")
DEGREES = ("tensor_parallel", "pipeline_parallel", "data_parallel", "expert_parallel", "context_parallel",
           "redundant_experts")  # fmt: skip
DECODE = {"batch": [1, 64, 4096], "context_tokens": 4000, "tensor_parallel": [1, 4, 8]}

degree = sampled_from((1, 1, 1, 2, 3, 4, 8))
refinements = sets(sampled_from(REFINEMENTS)).map(sorted).map(tuple)


@composite
def points(draw):
    """One pass: its axes and its layout, which some engine can run or none."""
    layout = [draw(degree) for _ in DEGREES[:-1]]
    return (draw(integers(1, 5000)), draw(integers(0, 100_000)), draw(sampled_from((1, 1, 3, 2048))), *layout,
            draw(sampled_from((0, 0, 8))))  # fmt: skip


def columns(table):
    """Points as arrays by name."""
    return dict(zip((*AXES, *DEGREES), np.array(table).T, strict=True))


def alone(model, system, point, refine, **asked):
    """A pass by itself, or why it is refused."""
    try:
        return evaluate(load_model(model), load_system(system), Question(
            *point[:3], layout=Layout(*point[3:]), refine=refine, beyond_memory=True, **asked))  # fmt: skip
    except Infeasible as refused:
        return str(refused)


@settings(max_examples=25)
@given(model=sampled_from(MODELS), system=sampled_from(SYSTEMS), table=lists(points(), min_size=1, max_size=6),
       refine=refinements, overlap=sampled_from((0.0, 0.5, "two-batch")), sends=sampled_from(("each", "domain")),
       chunk=sampled_from((0, 200)))  # fmt: skip
def test_many_passes_are_the_passes_one_by_one(model, system, table, refine, overlap, sends, chunk):
    """Any mix of batch, context, pass length and layout; a refused one is infinite, does not fit, and says why."""
    asked = {"overlap": overlap, "sends": sends, "chunk_tokens": chunk}
    try:
        found = steps(load_model(model), load_system(system), **columns(table), refine=refine, want=(*WANT, "fits"),
                      **asked)  # fmt: skip
    except MissingFact:
        assert "communication" in refine
        return
    for i, point in enumerate(table):
        one = alone(model, system, point, refine, **asked)
        if isinstance(one, str):
            assert found["refusal"][i]
            assert one.endswith(found["refusal"][i])
            assert not found["fits"][i]
            assert all(np.isposinf(found[name][i]) for name in WANT)
            continue
        assert found["refusal"][i] == ""
        assert found["fits"][i] == one.fits
        for name in WANT:
            assert found[name][i] == pytest.approx(float(one.sheet.value(name)), rel=EXACT), name


@settings(max_examples=10)
@given(table=lists(points(), min_size=2, max_size=30), seed=integers(0, 99))
def test_the_order_of_points_does_not_matter(table, seed):
    """Shuffled points have shuffled answers, to the last bit."""
    order = np.random.default_rng(seed).permutation(len(table))
    model, system = load_model("deepseek-v3"), load_system("gb200-nvl72")
    straight, shuffled = (steps(model, system, **columns(one), want=("step_s", "fits"))
                          for one in (table, [table[i] for i in order]))  # fmt: skip
    for name in ("step_s", "fits", "refusal"):
        assert list(straight[name][order]) == list(shuffled[name])


@pytest.mark.parametrize("part", [1, 2, 7, 16])
def test_how_points_are_cut_into_parts_does_not_matter(part, monkeypatch):
    """A part may be one point, end within an array or with it, or hold refused points alone."""
    model, system = load_model("deepseek-v3"), load_system("gb200-nvl72")
    asked = {"batch": np.arange(1, 17), "context_tokens": 1000, "tensor_parallel": [1, 2, 3, 8] * 4,
             "want": ("step_s", "fits", "weights_bytes")}  # fmt: skip
    whole = steps(model, system, **asked)
    assert (whole["refusal"] != "").sum() == 4
    monkeypatch.setattr(many, "PART", part)
    cut = steps(model, system, **asked)
    for name, values in whole.items():
        assert np.array_equal(values, cut[name]), name


def test_everything_broadcasts():
    """Batch down, layouts across, everything else one number; plain numbers give arrays without axes."""
    model, system = load_model("llama-3.1-70b"), load_system("h100-sxm:8")
    batch, ways = np.array([[1], [64], [4096]]), np.array([1, 2, 4, 8])
    found = steps(model, system, batch=batch, context_tokens=4000, tensor_parallel=ways)
    assert found["step_s"].shape == found["refusal"].shape == (3, 4)
    for i, j in np.ndindex(3, 4):
        one = steps(model, system, batch=batch[i, 0], context_tokens=4000, tensor_parallel=ways[j])["step_s"]
        assert one.shape == ()
        assert found["step_s"][i, j] == pytest.approx(float(one), rel=EXACT)
    assert np.all(np.diff(found["step_s"], axis=0) > 0)
    assert steps(model, system, batch=[], context_tokens=4000)["step_s"].shape == (0,)


def test_what_does_not_fit_has_a_time_and_says_so():
    """Memory refuses nothing here: the time is the arithmetic, and `fits` is the answer."""
    found = steps(load_model("llama-3.1-70b"), load_system("h100-sxm:8"), **DECODE, want=("step_s", "fits"))
    assert found["fits"].tolist() == [False, True, False]
    assert np.all(np.isfinite(found["step_s"]))
    assert found["refusal"].tolist() == ["", "", ""]


@pytest.mark.parametrize(("asked", "why"), [
    ({"batch": [1, 2]}, r"must broadcast together, found \(2,\), \(3,\)"),
    ({"batch": 0}, "batch must be from 1 to 1e\\+30 everywhere"),
    ({"batch": [1, 2, np.nan]}, "batch must be from 1"),
    ({"context_tokens": -1}, "context_tokens must be from 0"),
    ({"pass_tokens": np.inf}, "pass_tokens must be from 1"),
    ({"batch": "many"}, "must be numbers or arrays of them"),
    ({"batch": [[1], [1, 2]]}, "must be numbers or arrays of them"),
    ({"tensor_parallel": 1.5}, r"whole numbers from 1 to 10,000,000, found \[1.5, "),
    ({"tensor_parallel": 0}, "whole numbers from 1"),
    ({"data_parallel": np.nan}, "whole numbers from 1"),
    ({"expert_parallel": 1e300}, "whole numbers from 1"),
    ({"redundant_experts": -1}, "whole numbers from 1"),
    ({"refine": ("logit",)}, "unknown refinement 'logit'; did you mean logits"),
    ({"want": ("steps_s",)}, "a pass has no 'steps_s'"),
    ({"changes": {"foo": 1}}, "unknown quantity to set 'foo'"),
    ({"overlap": "three-batch"}, "overlap is two-batch, or a share"),
    ({"layout": Layout(8)}, "given by its degrees, such as tensor_parallel=8"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused_in_one_line(asked, why):
    """Shapes, numbers, degrees, names: `BadInput`, and no result for the points that would do."""
    with pytest.raises(BadInput, match=why) as refused:
        steps(load_model("llama-3.1-70b"), load_system("h100-sxm:8"), **DECODE | asked)
    assert "\n" not in str(refused.value)


def test_a_figure_that_nobody_gave_is_asked_for():
    """A rate that the catalog lacks is no zero."""
    with pytest.raises(MissingFact, match=r"step_s cannot be computed: .*scaleout_bytes_per_s"):
        steps(load_model("llama-3.1-8b"), load_system("rtx-4090:8"), batch=1, context_tokens=1000, tensor_parallel=2)
