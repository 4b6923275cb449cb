"""The first-order pass: laws, limits, the blackboard written out apart, memory, gaps, and the published anchors."""

import dataclasses
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import booleans, floats, integers, sampled_from, sets

import headway
from headway import catalog
from headway.equations import attention, collectives, context, cost, moe, roofline
from headway.equations._docstring import equation
from headway.errors import BadInput, Infeasible, MissingFact, UnknownName
from headway.generations import generation
from headway.hardware import load_system
from headway.model.config import load_model
from headway.model.describe import describe
from headway.model.model import bare_model
from headway.step.question import PLAIN_REFINEMENTS, Question
from headway.units import format_si
from tests.test_equations import quantity

jax.config.update("jax_enable_x64", True)

ROUTED = ("deepseek-v3", "mixtral-8x7b", "qwen3-30b-a3b", "qwen3-235b-a22b", "kimi-k2", "deepseek-v2-lite")
MODELS = ("deepseek-v3", "llama-3.1-70b", "mixtral-8x7b")
SYSTEMS = ("gb200-nvl72", "h100-sxm:8", "mi300x:4")
TIMES = ("t_compute_s", "t_weights_s", "t_kv_s", "t_comm_s", "step_s")
ONE_ROUNDING = 1e-12  # of relative error: a handful of operations in double precision

models, machines = sampled_from(MODELS), sampled_from(SYSTEMS)
batches, contexts, lengths = integers(1, 8192), integers(0, 131_072), integers(1, 4096)
refinements = sets(sampled_from(PLAIN_REFINEMENTS)).map(sorted)
factors = floats(1.01, 100)


def ask(model="deepseek-v3", on="gb200-nvl72", *, beyond_memory=True, **question):
    """A pass, whether it fits or not."""
    return headway.roofline(model, on=on, beyond_memory=beyond_memory, **question)


def scaled(system, *names, by):
    """Changes that multiply figures of a system."""
    machine = load_system(system)
    known = {name: machine.figure(name).value for name in names if name != "flop_per_s"}
    if "flop_per_s" in names:
        known["flop_per_s"] = 1e15
    return {name: value * by for name, value in known.items()}


# Monotone


@given(model=models, on=machines, batch=batches, more=batches, tokens=contexts, q=lengths, refine=refinements)
def test_more_sequences_never_shorten_a_pass_nor_make_a_token_dearer(model, on, batch, more, tokens, q, refine):
    """Along the batch the time of a pass never falls and the cost of a token never rises, whatever is refined."""
    result = ask(model, on, batch=[batch, batch + more], context=tokens, pass_tokens=q, refine=refine)
    few, many = result.step_s.ravel()
    dear, cheap = result.cost_per_token_usd.ravel()
    assert many >= few * (1 - ONE_ROUNDING)
    assert cheap <= dear * (1 + ONE_ROUNDING)


@given(model=models, on=machines, batch=batches, tokens=contexts, more=contexts, q=lengths, refine=refinements)
def test_more_context_never_shortens_a_pass(model, on, batch, tokens, more, q, refine):
    """Along the context the time of a pass and the cost of a token never fall."""
    result = ask(model, on, batch=batch, context=[tokens, tokens + more], pass_tokens=q, refine=refine)
    for name in ("step_s", "cost_per_token_usd"):
        short, long = getattr(result, name).ravel()
        assert long >= short * (1 - ONE_ROUNDING)


@given(model=models, on=machines, batch=batches, tokens=contexts, q=lengths, more=lengths, refine=refinements)
def test_a_longer_pass_takes_longer_and_without_attention_makes_cheaper_tokens(
    model, on, batch, tokens, q, more, refine
):
    """Along the pass length the time never falls; memory is shared by more tokens, so input is cheaper than output."""
    result = ask(model, on, batch=batch, context=tokens, pass_tokens=[q, q + more], refine=refine)
    short, long = result.step_s.ravel()
    assert long >= short * (1 - ONE_ROUNDING)
    if "attention" not in refine:  # its arithmetic per token grows with the pass
        dear, cheap = result.cost_per_token_usd.ravel()
        assert cheap <= dear * (1 + ONE_ROUNDING)


# Scale


@given(model=models, on=machines, batch=batches, tokens=contexts, q=lengths, refine=refinements, by=factors)
def test_a_machine_that_is_faster_in_everything_halves_every_time(model, on, batch, tokens, q, refine, by):
    """Arithmetic, memory and links times a factor divide every term, the pass and the drain time by it."""
    rates = ("flop_per_s", "bandwidth_bytes_per_s", "scaleup_bytes_per_s")
    asked = {"batch": batch, "context": tokens, "pass_tokens": q, "refine": refine}
    slow = ask(model, on, **asked, changes=scaled(on, *rates, by=1))
    fast = ask(model, on, **asked, changes=scaled(on, *rates, by=by))
    for name in (*TIMES, "drain_s", "beat_s", "worst_latency_s"):
        assert getattr(fast, name) * by == pytest.approx(getattr(slow, name), rel=ONE_ROUNDING), name
    for name in ("mfu", "mbu", "ridge", "balance_batch", "balance_context", "bound"):
        same = getattr(slow, name)
        if same is None:  # the balance context has no closed form where attention counts
            assert name == "balance_context"
            assert "attention" in refine
            continue
        assert getattr(fast, name) == (same if name == "bound" else pytest.approx(same, rel=1e-9)), name


@given(model=models, chip=sampled_from(["h100-sxm", "gb200", "mi300x"]), chips=integers(1, 4), batch=batches,
       tokens=contexts, hits=booleans())  # fmt: skip
def test_twice_the_chips_of_one_domain_halve_every_term(model, chip, chips, batch, tokens, hits):
    """Weights, KV and arithmetic are shared evenly, so that times halve and the cost of a token stays."""
    asked = {"batch": batch, "context": tokens, "refine": ["expert-hits"] if hits else []}
    few, many = ask(model, f"{chip}:{chips}", **asked), ask(model, f"{chip}:{2 * chips}", **asked)
    for name in ("t_compute_s", "t_weights_s", "t_kv_s", "step_s"):
        assert getattr(many, name) * 2 == pytest.approx(getattr(few, name), rel=ONE_ROUNDING), name
    assert many.cost_per_token_usd == pytest.approx(few.cost_per_token_usd, rel=ONE_ROUNDING)
    assert many.balance_batch == few.balance_batch


@given(model=models, on=machines, batch=batches, tokens=contexts, refine=refinements, by=factors)
def test_the_price_of_a_chip_scales_the_cost_and_nothing_else(model, on, batch, tokens, refine, by):
    """Time does not depend on money."""
    asked = {"batch": batch, "context": tokens, "refine": refine}
    cheap = ask(model, on, **asked, changes={"rental_usd_per_s": 0.001})
    dear = ask(model, on, **asked, changes={"rental_usd_per_s": 0.001 * by})
    assert dear.cost_per_token_usd == pytest.approx(cheap.cost_per_token_usd * by, rel=ONE_ROUNDING)
    assert dear.step_s == cheap.step_s


@given(batch=batches, tokens=contexts, q=integers(1, 64))
def test_a_pass_of_several_tokens_computes_like_a_larger_batch_and_reads_like_a_smaller_one(batch, tokens, q):
    """q tokens each of B sequences: the arithmetic of B * q sequences, the KV of B, the weights of any."""
    verify, decode = ask(batch=batch, context=tokens, pass_tokens=q), ask(batch=batch * q, context=tokens)
    assert verify.t_compute_s == pytest.approx(decode.t_compute_s, rel=ONE_ROUNDING)
    assert verify.t_kv_s * q == pytest.approx(decode.t_kv_s, rel=ONE_ROUNDING)
    assert verify.t_weights_s == decode.t_weights_s


@given(model=models, batch=batches, tokens=contexts, refine=refinements)
def test_a_pass_of_one_token_is_decode(model, batch, tokens, refine):
    """The default pass and a pass of one token are one thing: every number on the sheet is the same."""
    default = ask(model, batch=batch, context=tokens, refine=refine)
    single = ask(model, batch=batch, context=tokens, refine=refine, pass_tokens=1)
    assert {c.quantity.name: c.quantity.value for c in default.sheet} == {
        c.quantity.name: c.quantity.value for c in single.sheet
    }
    active = load_model(model).active_params
    assert single.matmul_flop == 2 * active * batch


# Refinements


@given(model=models, on=machines, batch=batches, tokens=contexts, q=lengths)
def test_every_refinement_moves_the_pass_in_its_own_direction(model, on, batch, tokens, q):
    """Hits only ever shorten the reading of weights; attention and communication only ever add."""
    plain = ask(model, on, batch=batch, context=tokens, pass_tokens=q)
    refined = {
        name: ask(model, on, batch=batch, context=tokens, pass_tokens=q, refine=[name]) for name in PLAIN_REFINEMENTS
    }
    moved = {"expert-hits": "t_weights_s", "attention": "t_compute_s", "communication": "t_comm_s"}
    for name, result in refined.items():
        assert [t for t in TIMES[:4] if getattr(result, t) != getattr(plain, t)] in ([], [moved[name]])
    assert refined["expert-hits"].t_weights_s <= plain.t_weights_s * (1 + ONE_ROUNDING)
    assert refined["expert-hits"].step_s <= plain.step_s * (1 + ONE_ROUNDING)
    assert refined["attention"].t_compute_s > plain.t_compute_s
    assert refined["attention"].step_s >= plain.step_s
    assert refined["communication"].t_comm_s > plain.t_comm_s == 0
    assert refined["communication"].step_s == pytest.approx(plain.step_s + refined["communication"].t_comm_s)


@pytest.mark.parametrize("model", ROUTED)
def test_one_token_fetches_what_it_multiplies_and_many_fetch_everything(model):
    """With expert hits, batch 1 reads the active parameters and a large batch all that are streamed."""
    config = load_model(model)
    shape, block = config.architecture, config.architecture.experts
    one = ask(model, batch=1, refine=["expert-hits"])
    parts = shape.parts()
    parts["embedding"] -= shape.looked_up
    parts["routed_experts"] *= block.experts_per_token / block.n_experts
    assert sum(parts.values()) == pytest.approx(config.active_params, rel=ONE_ROUNDING)
    read_bytes = sum(params * config.storage[part].bytes_per_param for part, params in parts.items())
    assert one.weights_bytes == pytest.approx(read_bytes, rel=ONE_ROUNDING)  # each part in its own format
    assert one.t_weights_s == pytest.approx(read_bytes / (72 * 8e12), rel=ONE_ROUNDING)
    many = ask(model, batch=100_000, refine=["expert-hits"])
    assert many.fetched_params == pytest.approx(config.total_params - config.lookup_params, rel=ONE_ROUNDING)
    assert many.t_weights_s == pytest.approx(ask(model, batch=100_000).t_weights_s, rel=ONE_ROUNDING)


def test_what_a_model_does_not_have_is_not_refined():
    """A dense model has no experts to hit, and one chip has nobody to talk to."""
    dense, plain = ask("llama-3.1-8b", refine=["expert-hits"]), ask("llama-3.1-8b")
    assert dense.t_weights_s == plain.t_weights_s
    assert ask("llama-3.1-8b", "h100-sxm", refine=["communication"]).t_comm_s == 0


def test_attention_and_exchanges_equal_their_sums_layer_by_layer():
    """The refinements of a pass are the formulas of the notes, written out here from the shape of each model."""
    batch, tokens, bandwidth, chips = 64, 8000, 450e9, 8
    dense = ask("llama-3.1-70b", "h100-sxm:8", batch=batch, context=tokens, refine=PLAIN_REFINEMENTS)
    assert dense.attention_flop == pytest.approx(batch * 2 * 2 * 64 * 128 * 80 * (tokens + 1), rel=ONE_ROUNDING)
    ring = 2 * 80 * 2 * (chips - 1) / chips * batch * 8192 * 2 / bandwidth  # two all-reduces a layer, in bf16
    assert dense.t_comm_s == pytest.approx(ring, rel=ONE_ROUNDING)
    routed = ask("deepseek-v3", "h100-sxm:8", batch=batch, context=tokens, refine=PLAIN_REFINEMENTS)
    absorbed = 2 * 128 * (512 + 64) + 2 * 128 * 512  # scores over latent and rotary part, values over the latent
    assert routed.attention_flop == pytest.approx(batch * 61 * absorbed * (tokens + 1), rel=ONE_ROUNDING)
    sent = batch / chips * 58 * 8 * 7168 * (1 + 2) * (chips - 1) / chips  # fp8 out, bf16 back, one copy for each expert
    assert routed.t_comm_s == pytest.approx(sent / bandwidth, rel=ONE_ROUNDING)


# The blackboard, written out apart


@given(
    total=floats(1e9, 5e12), sparsity=floats(1, 50), kv=floats(1, 1e6),
    width=sampled_from([("bf16", 2.0), ("fp8", 1.0)]),
    flop=floats(1e13, 1e16), bandwidth=floats(1e11, 3e13), memory=floats(1e10, 1e12), price=floats(1e-5, 1e-2),
    chips=integers(1, 8), batch=batches, tokens=contexts, q=lengths, overhead=floats(1e-9, 0.01),
)  # fmt: skip
def test_without_refinements_the_pass_is_the_blackboard(
    total, sparsity, kv, width, flop, bandwidth, memory, price, chips, batch, tokens, q, overhead
):
    """From the raw numbers, in Python's own arithmetic: every figure of the pass to rounding."""
    name, stored = width
    changes = {"flop_per_s": flop, "bandwidth_bytes_per_s": bandwidth, "memory_bytes": memory,
               "rental_usd_per_s": price, "t_overhead_s": overhead}  # fmt: skip
    active = total / sparsity
    model = bare_model(total, active, kv, name)
    result = ask(model, f"h100-sxm:{chips}", batch=batch, context=tokens, pass_tokens=q, changes=changes)

    compute = 2 * batch * q * active / (chips * flop)
    weights = total * stored / (chips * bandwidth)
    cache = batch * tokens * kv / (chips * bandwidth)
    step = max(compute, weights + cache) + overhead
    ridge = flop / 2 * stored / bandwidth
    expected = {
        "t_compute_s": compute, "t_weights_s": weights, "t_kv_s": cache, "t_comm_s": 0, "step_s": step,
        "cost_per_token_usd": step * chips * price / (batch * q), "tokens_per_s": batch * q / step,
        "tokens_per_s_per_chip": batch * q / step / chips, "tokens_per_s_per_user": q / step,
        "drain_s": memory / bandwidth, "beat_s": max(memory / bandwidth, step), "ridge": ridge,
        "worst_latency_s": max(memory / bandwidth, step) + step, "mfu": compute / step,
        "mbu": (weights + cache) / step, "balance_batch": ridge * total / (active * q),
        "balance_context": (2 * active * q / flop) / (kv / bandwidth),
        "needed_bytes": total * stored + batch * (tokens + q) * kv, "usable_bytes": 0.9 * chips * memory,
    }  # fmt: skip
    found = {name: float(getattr(result, name)) for name in expected}
    assert found == pytest.approx(expected, rel=ONE_ROUNDING)
    inner = "compute" if compute >= weights + cache else "weights" if weights >= cache else "kv"
    assert result.bound == ("overhead" if overhead > max(compute, weights + cache) else inner)


def test_arrays_are_the_scalars_one_by_one():
    """A grid over three axes holds at each point what the single question answers."""
    grid = {"batch": [1, 100, 5000], "context": [0, 9000], "pass_tokens": [1, 7]}
    result = ask(**grid, refine=PLAIN_REFINEMENTS)
    assert result.step_s.shape == (3, 2, 2)
    for i, batch in enumerate(grid["batch"]):
        for j, tokens in enumerate(grid["context"]):
            for k, q in enumerate(grid["pass_tokens"]):
                single = ask(batch=batch, context=tokens, pass_tokens=q, refine=PLAIN_REFINEMENTS)
                assert result.step_s[i, j, k] == pytest.approx(float(single.step_s), rel=ONE_ROUNDING)
                assert result.bound[i, j, k] == single.bound


# Units


def sheets():
    """Every worksheet that the commands compute on."""
    for refine in ([], PLAIN_REFINEMENTS, "all"):
        for model in ("deepseek-v3", "llama-3.1-70b"):
            yield ask(model, "h100-sxm:8", refine=refine).sheet
    laid = {"refine": "all", "beyond_memory": True, "terms": True}
    yield ask("deepseek-v3.2", "h100-sxm:64", layout="dp32 pp2 ep32", overlap="two-batch", draft="mtp", **laid).sheet
    yield ask("qwen3-next-80b-a3b", "h100-sxm:16", layout="tp2 dp8 ep8", sends="domain", chunk_tokens=512, **laid).sheet
    yield ask("gpt-oss-120b", "h100-sxm:8", layout="tp2 cp4", pass_tokens=64, disaggregated=True, **laid).sheet
    yield ask("gemma-3-27b", "tpu-v5p:8", layout="tp8", **laid).sheet
    yield describe(load_model("deepseek-v3"), [8000]).sheet
    yield generation(load_system("gb200-nvl72")).sheet


def test_every_arrow_of_a_worksheet_carries_the_unit_that_its_equation_asks_for():
    """The unit of each cell is that of the argument which it is put in for, and of the equation that made it."""
    arrows = 0
    for sheet in sheets():
        for cell in sheet:
            if cell.equation is None:
                continue
            stated = equation(cell.equation)
            sums = not stated.unit  # of as many parts as there are, each in the unit of the whole
            results = (cell.quantity.unit, stated.unit or cell.quantity.unit)
            pairs = [(sheet[n].quantity.unit, cell.quantity.unit if sums else stated.arguments[a].unit)
                     for a, n in cell.arguments.items()]  # fmt: skip
            for given_unit, asked_unit in [results, *pairs]:
                dimensions = [quantity(1, unit).dimensionality for unit in (given_unit, asked_unit)]
                assert dimensions[0] == dimensions[1], (cell.quantity.name, given_unit, asked_unit)
            arrows += len(pairs)
    assert arrows > 200


# Balance


@given(model=models, on=machines, q=integers(1, 16))
def test_at_the_balance_batch_arithmetic_takes_as_long_as_weights(model, on, q):
    """KV left out, the two lines meet at the balance batch."""
    batch = max(1.0, float(ask(model, on, pass_tokens=q).balance_batch))
    result = ask(model, on, batch=batch, context=0, pass_tokens=q)
    if batch > 1:
        assert result.t_compute_s == pytest.approx(result.t_weights_s, rel=ONE_ROUNDING)


@given(model=models, on=machines, below=floats(0, 0.99), above=floats(1.01, 100), q=integers(1, 16))
def test_kv_moves_the_balance_batch_up_and_at_the_balance_context_away(model, on, below, above, q):
    """Below the balance context all three terms balance at a larger batch; above it no batch does: infinity."""
    limit = float(ask(model, on, pass_tokens=q).balance_context)
    result = ask(model, on, context=below * limit, pass_tokens=q)
    batch = float(result.balance_batch_with_kv)
    assert result.balance_batch * (1 - 1e-9) <= batch < np.inf
    if batch >= 1:
        balanced = ask(model, on, batch=batch, context=below * limit, pass_tokens=q)
        # Near the balance context the slack is a small difference; a hundredth of it loses two digits.
        assert balanced.t_compute_s == pytest.approx(balanced.t_weights_s + balanced.t_kv_s, rel=1e-9)
    assert ask(model, on, context=above * limit, pass_tokens=q).balance_batch_with_kv == np.inf


@given(model=models, on=machines, tokens=integers(0, 131_072), batch=batches)
def test_refined_arithmetic_balances_too(model, on, tokens, batch):
    """With attention the balance batch is where the refined terms meet; expert hits, all hit there, do not move it."""
    plain, hits = ask(model, on, context=tokens), ask(model, on, context=tokens, batch=batch, refine=["expert-hits"])
    assert hits.balance_batch_with_kv == plain.balance_batch_with_kv
    refined = float(ask(model, on, context=tokens, refine=["attention"]).balance_batch_with_kv)
    assert refined <= plain.balance_batch_with_kv
    if np.isfinite(refined) and refined >= 1:
        balanced = ask(model, on, batch=refined, context=tokens, refine=["attention"])
        # Where attention and KV nearly cancel, the slack between them loses digits.
        assert balanced.t_compute_s == pytest.approx(balanced.t_weights_s + balanced.t_kv_s, rel=1e-6)


@given(model=models, on=machines, batch=batches, tokens=contexts)
def test_what_binds_is_the_longest_term(model, on, batch, tokens):
    """`bound` names arithmetic, or the longer of the two reads, or communication where that is the longest."""
    result = ask(model, on, batch=batch, context=tokens, refine=["communication"])
    reads = {"weights": result.t_weights_s, "kv": result.t_kv_s}
    terms = {"compute": result.t_compute_s, "memory": sum(reads.values()), "communication": result.t_comm_s}
    longest = max(terms, key=terms.get)
    assert result.bound == (max(reads, key=reads.get) if longest == "memory" else longest)


# Memory


@given(model=models, on=machines, batch=batches, tokens=contexts, more=batches, longer=contexts)
def test_what_does_not_fit_does_not_fit_when_there_is_more_of_it(model, on, batch, tokens, more, longer):
    """Fitting is monotone in batch and context."""
    fits = ask(model, on, batch=[batch, batch + more], context=[tokens, tokens + longer]).fits.reshape(2, 2)
    assert fits[0, 0] >= fits[0, 1] >= fits[1, 1]
    assert fits[0, 0] >= fits[1, 0] >= fits[1, 1]


@given(model=sampled_from(["llama-3.1-8b", "mixtral-8x7b"]), tokens=contexts, q=integers(1, 64), batch=integers(1, 64))
def test_the_largest_batch_and_context_fit_and_one_more_does_not(model, tokens, q, batch):
    """The capacity wall stands exactly where the refusal begins."""
    asked = {"on": "h100-sxm:8", "pass_tokens": q}
    largest = float(ask(model, **asked, context=tokens).largest_batch)
    assert ask(model, **asked, context=tokens, batch=[largest, largest + 1]).fits.ravel().tolist() == [True, False]
    longest = float(ask(model, **asked, batch=batch).largest_context)
    assert ask(model, **asked, batch=batch, context=[longest, longest + 1]).fits.ravel().tolist() == [True, False]


def test_weights_that_do_not_fit_are_refused_with_the_arithmetic():
    """The message has the weights, the room, and how many chips would do; that many chips do, one fewer do not."""
    with pytest.raises(Infeasible) as refusal:
        headway.roofline("llama-3.1-405b", on="h100-sxm:8")
    text = str(refusal.value)
    weights = load_model("llama-3.1-405b").weight_bytes
    assert format_si(weights, "B") in text
    assert "8 x 80.0 GB x 0.9 = 576 GB" in text
    chips = int(-(-weights // (80e9 * 0.9)))
    assert f"{chips} chips" in text
    for count, fits in ((chips, True), (chips - 1, False)):
        tight = {"batch": 1, "context": 0, "changes": {"kv_bytes_per_token": 1}}
        assert bool(ask("llama-3.1-405b", f"h100-sxm:{count}", **tight).fits) is fits


def test_a_cache_that_does_not_fit_is_refused_with_the_nearest_that_does():
    """The message has weights, cache and room; each way out that it names fits, and one step less does not."""
    asked = {"batch": 10_000, "context": 8000}
    with pytest.raises(Infeasible) as refusal:
        headway.roofline("llama-3.1-8b", on="h100-sxm", **asked)
    text = str(refusal.value)
    cache = 10_000 * 8001 * 131_072
    assert f"KV cache {format_si(cache, 'B')} > 1 x 80.0 GB x 0.9 = 72.0 GB" in text
    ways = re.search(r"fits with (\d+) such sequences, or with (\d+) tokens of context, or with (\d+) chips", text)
    batch, tokens, chips = map(int, ways.groups())
    for way, fits in (
        ({"batch": batch}, True), ({"batch": batch + 1}, False), ({"context": tokens}, True),
        ({"context": tokens + 1}, False), ({"on": f"h100-sxm:{chips}"}, True), ({"on": f"h100-sxm:{chips - 1}"}, False),
    ):  # fmt: skip
        assert bool(ask("llama-3.1-8b", **({"on": "h100-sxm"} | asked | way)).fits) is fits, way


def test_where_only_some_points_fit_the_others_are_masked():
    """Quantities of a pass are masked where the memory ends, inputs and figures of the machine are not."""
    asked = {"batch": [1, 10, 1000], "context": [1000, 100_000]}
    some = headway.roofline("llama-3.1-8b", on="h100-sxm", **asked)
    every = ask("llama-3.1-8b", "h100-sxm", **asked)
    fits = every.fits.reshape(3, 2)
    assert 0 < fits.sum() < 6
    for name in ("step_s", "cost_per_token_usd", "tokens_per_s", "t_compute_s", "mfu"):
        value = getattr(some, name).reshape(3, 2)
        assert (np.ma.getmaskarray(value) == ~fits).all(), name
        assert not np.ma.isMaskedArray(getattr(every, name))
        whole = np.broadcast_to(getattr(every, name), (3, 2, 1)).reshape(3, 2)
        assert (value.compressed() == whole[fits]).all()
    for name in ("drain_s", "balance_batch", "largest_batch", "batch", "flop_per_s"):
        assert not np.ma.isMaskedArray(getattr(some, name)), name


# Gaps and mistakes


def chips_without(*figures):
    """Accelerators that lack all of these figures and have memory and bandwidth."""
    needed = ("memory_bytes", "bandwidth_bytes_per_s")
    return [e for e in catalog.entries("accelerator").values()
            if not set(figures) & set(e.figures) and set(needed) <= set(e.figures)]  # fmt: skip


RATES = ("bf16_flop_per_s", "fp16_flop_per_s", "fp32_flop_per_s")


def test_without_a_price_there_is_a_time_and_no_cost():
    """The cost is a gap that names the figure and how to supply it; supplied, it is there."""
    chip = next(e for e in chips_without("rental_usd_per_s") if set(RATES) & set(e.figures))
    result = ask("llama-3.2-1b", chip.name)
    assert result.cost_per_token_usd is None
    gap = result.sheet["cost_per_token_usd"].quantity.gap
    assert "rental_usd_per_s" in gap
    assert chip.name in gap
    assert "supply --price" in gap
    assert result.step_s > 0
    filled = ask("llama-3.2-1b", chip.name, changes={"rental_usd_per_s": "$2/h"})
    assert filled.cost_per_token_usd == pytest.approx(float(result.step_s) * 2 / 3600 / Question().batch)


def test_without_a_rate_of_arithmetic_the_pass_is_refused_until_it_is_set():
    """A figure that the step needs is never guessed; the message names the chip, the rates, and the remedy."""
    chips = chips_without(*RATES)
    if not chips:
        known = load_system("h100-sxm")
        kept = {n: q for n, q in known.chip.figures.items() if not n.endswith("flop_per_s")}
        on = dataclasses.replace(known, chip=dataclasses.replace(known.chip, figures=kept))
    else:
        on = load_system(chips[0].name)
    with pytest.raises(MissingFact, match=rf"{on.chip.name}.*bf16.*--set flop_per_s"):
        ask("llama-3.2-1b", on)
    assert ask("llama-3.2-1b", on, changes={"flop_per_s": "100 TFLOP/s"}).flop_per_s == 1e14


@pytest.mark.parametrize("figure", ["memory_bytes", "bandwidth_bytes_per_s"])
def test_without_memory_or_bandwidth_the_pass_is_refused_until_they_are_set(figure):
    """Both are needed, for the time and for what fits."""
    known = load_system("h100-sxm")
    kept = {n: q for n, q in known.chip.figures.items() if n != figure}
    on = dataclasses.replace(known, chip=dataclasses.replace(known.chip, figures=kept))
    with pytest.raises(MissingFact, match=figure):
        ask("llama-3.2-1b", on)
    assert ask("llama-3.2-1b", on, changes={figure: 1e12}).step_s > 0


def test_a_model_without_kv_bytes_is_refused_until_they_are_given():
    """Bare numbers need KV bytes; none at all is an answer too, and then memory sets no limit to the context."""
    with pytest.raises(MissingFact, match="kv_bytes_per_token"):
        ask(bare_model(8e9))
    result = ask(bare_model(8e9, kv_bytes_per_token=0.0))
    assert result.t_kv_s == 0
    assert result.largest_context == result.largest_batch == result.balance_context == np.inf


def test_there_is_no_interval_before_one_was_measured():
    """The interval is None, for the step and for all that follows from it, and the reason is told."""
    result = ask()
    for name in ("step_s", "cost_per_token_usd", "tokens_per_s"):
        assert result.interval(name) is None
        assert "measured" in result.interval_reason(name)
    assert result.interval("t_weights_s") is not None  # arithmetic on what was given is exact


@pytest.mark.parametrize(
    ("question", "told"),
    [
        pytest.param({"batch": 0}, "batch must be from 1 to", id="no batch"),
        pytest.param({"batch": -1}, "batch must be from 1 to", id="negative"),
        pytest.param({"batch": np.nan}, "batch", id="NaN"),
        pytest.param({"batch": np.inf}, "batch", id="infinite"),
        pytest.param({"batch": 10**400}, "batch must be a number", id="beyond any float"),
        pytest.param({"batch": "many"}, "batch must be a number", id="word"),
        pytest.param({"batch": []}, "batch must be a number or a list", id="empty"),
        pytest.param({"batch": [[1, 2]]}, "batch must be a number or a list", id="table"),
        pytest.param({"batch": [1, [2, 3]]}, "batch must be a number or a list", id="ragged"),
        pytest.param({"context": -1}, "context_tokens must be from 0 to", id="context"),
        pytest.param({"pass_tokens": 0}, "pass_tokens must be from 1 to", id="pass"),
        pytest.param({"refine": ["expert-hit"]}, "did you mean expert-hits", id="refinement"),
        pytest.param({"changes": {"bandwith_bytes_per_s": 1e12}}, "did you mean bandwidth_bytes_per_s", id="input"),
        pytest.param({"changes": {"batch": 3}}, "--batch", id="axis"),
        pytest.param({"changes": {"chips": 3}}, "--on", id="chips"),
        pytest.param({"changes": {"flop_per_s": "0"}}, "positive", id="zero"),
        pytest.param({"changes": {"flop_per_s": "5 TB/s"}}, "FLOP/s", id="unit"),
        pytest.param({"changes": {"usable_memory_fraction": 1.5}}, "at most 1", id="share"),
        pytest.param({"changes": {"lookup_params": 1e12}}, "cannot exceed total_params", id="part above whole"),
        pytest.param({"changes": {"experts_per_token": 300}}, "cannot exceed n_experts", id="more than all experts"),
        pytest.param({"changes": {"total_params": 1e9}}, "cannot exceed total_params", id="whole below part"),
    ],
)
def test_questions_that_make_no_sense_are_refused(question, told):
    """A BadInput that names the input and what was expected; never a number."""
    with pytest.raises(BadInput, match=told):
        ask(**question)


def test_communication_is_refused_beyond_one_domain():
    """The refinement covers one scale-up domain and says how many chips that is."""
    with pytest.raises(MissingFact, match="ask for 8 chips"):
        ask(on="h100-sxm:16", refine=["communication"])
    assert ask(on="h100-sxm:16").step_s > 0
    with pytest.raises(UnknownName):
        ask(on="h100-sxn:8")


# Arrays of another library, and sensitivities


def blackboard(xp_array, **changes):
    """The cost of a token, refined, as one function of equations on the caller's arrays."""
    x = {"batch": 64.0, "tokens": 8000.0, "rest": 17e9, "routed": 654e9, "active": 37e9, "kv": 70_272.0, "flop": 3.6e17,
         "bandwidth": 5.76e14, "link": 9e11, "price": 0.066} | changes  # fmt: skip
    x = {name: xp_array(value) for name, value in x.items()}
    hits = moe.hit_probability(x["batch"], 256.0, 8.0)
    weights = roofline.weights_bytes(moe.fetched_params(x["rest"], x["routed"], hits), 1.0)
    attended = attention.mean_attended_tokens(1.0, x["tokens"])
    attention_flop = attention.attention_flop(x["batch"], 1.0, attended, 17e6)
    flop = roofline.pass_flop(roofline.matmul_flop(x["batch"], 1.0, x["active"]), attention_flop)
    exchanged = moe.all_to_all_bytes(8.0, 7168.0, 1.0, 2.0)
    step = roofline.pass_time_s(
        roofline.compute_time_s(flop, x["flop"]),
        roofline.stream_time_s(weights, x["bandwidth"]),
        roofline.stream_time_s(roofline.kv_bytes(x["batch"], x["tokens"], x["kv"]), x["bandwidth"]),
        collectives.all_to_all_s(
            collectives.expert_payload_bytes(x["batch"], 1.0, exchanged, 58.0, 72.0), 72.0, x["link"]
        ),
    )
    held = context.needed_memory_bytes(x["batch"], x["rest"] + x["routed"], x["tokens"] * x["kv"])
    return cost.cost_per_token_usd(step, x["price"], x["batch"], 1.0), held


@pytest.mark.parametrize("varied", ["batch", "tokens", "flop", "bandwidth", "price"])
def test_the_whole_blackboard_is_the_same_on_numpy_and_jax(varied):
    """One function of the equations, on arrays of either library, compiled or not."""
    values = np.geomspace(1e2, 1e4, 50)
    found, bytes_found = blackboard(jnp.asarray, **{varied: jnp.asarray(values)})
    compiled, _ = jax.jit(lambda x: blackboard(jnp.asarray, **{varied: x}))(jnp.asarray(values))
    expected, bytes_expected = blackboard(np.asarray, **{varied: values})
    assert isinstance(found, jax.Array)
    np.testing.assert_allclose(found, expected, rtol=ONE_ROUNDING)
    np.testing.assert_allclose(compiled, expected, rtol=1e-10)  # a compiler reorders sums
    np.testing.assert_allclose(bytes_found, bytes_expected, rtol=ONE_ROUNDING)


@pytest.mark.parametrize("batch", [1.0, 64.0, 4096.0])
@pytest.mark.parametrize("name", ["batch", "tokens", "active", "routed", "kv", "flop", "bandwidth", "link", "price"])
def test_sensitivities_are_gradients(name, batch):
    """JAX's gradient of the cost of a token by each input is the central difference of NumPy's."""
    at = {"batch": batch, "tokens": 8000.0, "active": 37e9, "routed": 654e9, "kv": 70_272.0, "flop": 3.6e17,
          "bandwidth": 5.76e14, "link": 9e11, "price": 0.066}[name]  # fmt: skip
    fixed = {} if name == "batch" else {"batch": batch}
    slope = jax.grad(lambda x: blackboard(jnp.asarray, **fixed, **{name: x})[0])(at)
    up, down = (float(blackboard(np.asarray, **fixed, **{name: at * (1 + h)})[0]) for h in (1e-6, -1e-6))
    # The difference keeps about nine digits; where the input does not bind, both are zero beside the cost itself.
    assert float(slope) * at == pytest.approx((up - down) / 2e-6, rel=1e-6, abs=1e-8 * up)


# Published figures


def lecture(ridge, **question):
    """671 B parameters in fp8, 37 B of them active, on a machine of a given ridge."""
    changes = {"flop_per_s": 2 * ridge * 8e12, "bandwidth_bytes_per_s": 8e12, "kv_bytes_per_token": 70_272}
    model = bare_model(671e9, 37e9, 70_272.0, "fp8")
    return ask(model, "gb200-nvl72", changes=changes, **question)


def test_the_balance_batch_of_deepseek_v3():
    """5,440 sequences at a ridge of 300; 5,660 at GB200's own, which the notes round to 312."""
    assert lecture(300).ridge == pytest.approx(300)
    assert float(lecture(300).balance_batch) == pytest.approx(5440, abs=1)  # printed to the sequence
    own = ask(bare_model(671e9, 37e9, 70_272.0, "fp8"))
    assert own.ridge == pytest.approx(312, abs=1)
    assert float(own.balance_batch) == pytest.approx(5660, rel=2e-3)  # 312 has three digits


@pytest.mark.parametrize(
    ("model", "published"), [("deepseek-v3", 70_272), ("llama-3.1-70b", 327_680), ("llama-3.1-405b", 516_096)]
)
def test_kv_bytes_of_a_token(model, published):
    """In bf16, all layers, to the byte."""
    assert load_model(model).kv_bytes_per_token == published


def test_parameters_of_deepseek_v3():
    """671 B in all, 37 B active as published (36.6 counted without the input embedding), sparsity 18.1."""
    model = load_model("deepseek-v3")
    assert model.total_params == pytest.approx(671e9, abs=0.5e9)
    assert model.published_active_params == pytest.approx(37e9, rel=0.011)
    assert model.total_params / 37e9 == pytest.approx(18.1, abs=0.05)


def test_a_rubin_drains_in_14_ms():
    """Q09: 288 GB at 20 TB/s are 14.4 ms."""
    changes = {"memory_bytes": "288 GB", "bandwidth_bytes_per_s": "20 TB/s"}
    assert float(ask(on="vr-nvl72", changes=changes).drain_s) == pytest.approx(0.0144)


def test_two_thousand_sequences_at_64_passes_a_second_are_128000_tokens():
    """Q05: the tokens per second of one rack, from a model whose weights take 1/64 s to read."""
    params = 72 * 8e12 / 64
    result = ask(bare_model(params, 1e9, 0.0, "fp8"), "gb200-nvl72", batch=2000, changes={"memory_bytes": 1e15})
    assert float(result.tokens_per_s) == pytest.approx(128_000)


def test_the_balance_batch_of_32_of_256_is_not_that_of_deepseek_v3():
    """Q06: sparsity 8 gives 2,400 at a ridge of 300; the model activates 8 of 256 and balances at 5,440."""
    eighth = ask(bare_model(8e9, 1e9, 0.0, "fp8"), changes={"flop_per_s": 4.8e15, "bandwidth_bytes_per_s": 8e12})
    assert float(eighth.balance_batch) == pytest.approx(2400)


def test_batch_one_costs_the_balance_batch_times_more_than_the_floor():
    """Q07: weights only, the cost of a token at batch 1 is 5,440 times that of an endless batch."""
    alone, endless = (lecture(300, batch=batch, context=0).cost_per_token_usd for batch in (1, 1e12))
    assert float(alone / endless) == pytest.approx(5440, rel=0.005)


def test_at_twice_the_balance_context_half_the_arithmetic_is_idle():
    """Q08: an endless batch runs at full MFU up to the balance context, and at half of it at twice that."""
    limit = float(lecture(300).balance_context)
    full, half = (float(lecture(300, batch=1e12, context=n * limit).mfu) for n in (1, 2))
    assert full == pytest.approx(1)
    assert half == pytest.approx(0.5)


# --- caches that are no single group -----------------------------------------------------------------------------


def read_and_stored(name, context):
    """Bytes that a decoded token reads of one sequence, and that the sequence stores with it, by hand."""
    model = load_model(name)
    size = model.kv_dtype.bytes_per_number
    shape = model.architecture
    state = sum(s.numbers * s.bytes_per_number for s in shape.states)
    read = size * sum(k.numbers * min(context, k.read_tokens) for k in shape.kept) + 2 * state
    stored = size * sum(k.numbers * min(context + 1, k.stored_tokens) for k in shape.kept) + state
    return read, stored


GROUPED = ["gemma-3-27b", "gpt-oss-120b", "deepseek-v3.2", "deepseek-v4-flash", "qwen3-next-80b-a3b",
           "nemotron-3-nano-30b-a3b", "minimax-m3", "mistral-7b-v0.1", "llama-4-scout"]  # fmt: skip


@pytest.mark.parametrize("name", GROUPED)
def test_a_cache_of_groups_is_read_and_stored_group_by_group(name):
    """Windows, choices, compressed entries and states: the pass moves and the memory holds what each reaches for."""
    for tokens in (0, 100, 5000, 200_000):
        answer = headway.roofline(name, on="64xh200-sxm", batch=3, context=tokens, beyond_memory=True)
        read, stored = read_and_stored(name, tokens)
        assert answer.kv_bytes == pytest.approx(3 * read, rel=1e-12)
        assert answer.t_kv_s == pytest.approx(3 * read / (64 * 4.8e12), rel=1e-12)
        assert answer.sequence_bytes == pytest.approx(stored, rel=1e-12)


@pytest.mark.parametrize("name", GROUPED)
def test_the_largest_context_of_groups_fits_and_one_more_does_not(name):
    """The longest context that memory holds is found through every bound of the cache, or there is none."""
    answer = headway.roofline(name, on="64xh200-sxm", batch=512, context=1000, beyond_memory=True)
    longest = float(answer.largest_context)
    if math.isinf(longest):
        assert load_model(name).kv_bytes_per_token == 0  # a window is full and nothing grows
        return
    for length, fits in ((longest, True), (longest + 2, False)):
        asked = {"batch": 512, "context": length, "beyond_memory": True}
        assert headway.roofline(name, on="64xh200-sxm", **asked).fits == fits


@pytest.mark.parametrize("name", GROUPED)
def test_at_the_balance_context_reading_takes_as_long_as_arithmetic(name):
    """One sequence's cache takes the time of its arithmetic there, on the blackboard; a bound cache may never."""
    answer = headway.roofline(name, on="64xh200-sxm", context=1000)
    balance = float(answer.balance_context)
    if math.isinf(balance) or balance == 0:
        assert load_model(name).kv_bytes_per_token == 0 or load_model(name).state_bytes > 0
        return
    there = headway.roofline(name, on="64xh200-sxm", context=balance)
    assert float(there.t_kv_per_sequence_s) == pytest.approx(float(there.t_compute_per_sequence_s), rel=1e-9)


def test_every_query_of_a_pass_chooses_for_itself():
    """Sparse attention: four new tokens may read four choices of 2,048 tokens, and no more than there are."""
    model = load_model("deepseek-v3.2")
    index, chosen = 61 * 128 * 2, 61 * 576 * 2
    for passed, read in ((1, 2048), (4, 8192), (64, 100_000)):
        answer = headway.roofline(model, on="64xh200-sxm", batch=1, context=100_000, pass_tokens=passed)
        assert answer.kv_bytes == 100_000 * index + read * chosen


def test_attention_arithmetic_of_groups():
    """With attention counted, a layer in a window attends to the window, and a state costs the same at any context."""
    short, long = (
        headway.roofline("mistral-7b-v0.1", on="8xh100-sxm", batch=1, context=c, refine="attention")
        for c in (10_000, 30_000)
    )
    assert long.attention_flop == short.attention_flop == 32 * 4 * 32 * 128 * 4096
    hybrid = headway.roofline("nemotron-3-nano-30b-a3b", on="8xh100-sxm", batch=1, context=10_000, refine="attention")
    states = 23 * 2 * 64 * 64 * 128 * 2
    assert hybrid.attention_flop == states + 6 * 4 * 32 * 128 * 10_001
