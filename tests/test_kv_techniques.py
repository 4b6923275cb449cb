"""KV techniques: what each does to the cache, what the step makes of it, and how they rank."""

import dataclasses
import json
import math
import re
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis.strategies import floats, integers, sampled_from, sets

import headway
from headway.catalog.store import defaults, model_names
from headway.cli import kv_techniques as cli
from headway.cli.arguments import load_model_from
from headway.cli.output import WIDTH, plain
from headway.errors import BadInput, Infeasible, MissingFact, UnknownName
from headway.hardware import load_system
from headway.model.config import load_model
from headway.model.describe import describe
from headway.model.model import bare_model
from headway.techniques import kinds
from headway.techniques.measure import REFINED, Case, link_of, measure
from headway.techniques.ranking import MEASURES, Row, ranking
from headway.techniques.settings import PURPOSE
from headway.techniques.settings import settings as figures_of

MODELS = ("llama-3.1-70b", "deepseek-v3", "gemma-3-27b", "jamba-v0.1", "deepseek-v3.2", "gpt-oss-120b")
ONE_ROUNDING = 1e-12  # of relative error: a handful of operations in double precision
FP8_BARE = kinds.Fp8(scale_bytes=0.0, scale_block=128)
models, contexts, batches = sampled_from(MODELS), integers(1, 200_000), integers(1, 512)


def case(context, batch=4, on="8xh100-sxm"):
    system = load_system(on)
    return Case(system, batch, context, {}, link_of(system, defaults(PURPOSE)["host_link_bytes_per_s"]))


def figures(model, context, *techniques, batch=4, on="8xh100-sxm"):
    """The figures of a model under techniques, whether they fit or not."""
    changed, moved, again = load_model(model) if isinstance(model, str) else model, None, None
    for technique in techniques:
        moved = technique.moved(changed) if isinstance(technique, kinds.Offload) else None
        again = changed if isinstance(technique, kinds.Rematerialisation) else None
        changed = technique.changed(changed)
    return measure(case(context, batch, on), changed, moved=moved, again=again)


def stored(found):
    return found.value("stored_bytes_per_sequence")


def read(found):
    return found.value("read_bytes_per_token")


def rows(found):
    return {row.names[0]: row for row in found.alone}


@pytest.fixture(scope="module")
def llama():
    return ranking(load_model("llama-3.1-70b"), load_system("8xh100-sxm"), batch=4, context_tokens=128_000)


# Laws of each technique


@given(model=sampled_from(("llama-3.1-70b", "deepseek-v3", "gemma-3-27b", "deepseek-v3.2")), context=contexts)
@settings(max_examples=10)
def test_half_the_bytes_of_a_number_halve_what_is_stored_and_read(model, context):
    """Exactly, where a format has no scales and the model no state."""
    before, after = figures(model, context), figures(model, context, FP8_BARE)
    assert (stored(after), read(after)) == (stored(before) / 2, read(before) / 2)


def test_scales_are_part_of_a_quantised_number():
    """Four bytes for 128 numbers are 3 % of fp8; the scales of NVFP4 an eighth of its half byte."""
    before = stored(figures("llama-3.1-70b", 8000))
    techniques = {t.name: t for t in figures_of().techniques}
    left = {
        name: stored(figures("llama-3.1-70b", 8000, techniques[f"quantisation-{name}"])) for name in ("fp8", "nvfp4")
    }
    assert left["fp8"] / before == 1.03125 / 2
    assert left["nvfp4"] / before == 0.5625 / 2


@given(model=models, context=contexts, more=integers(0, 10_000), batch=batches)
@settings(max_examples=10)
def test_a_window_no_shorter_than_the_sequence_changes_nothing(model, context, more, batch):
    """In every layer or in five of six: bytes and step are those of the model as it is."""
    window = float(context + 1 + more)  # the sequence has the context and the new token
    before = figures(model, context, batch=batch)
    for technique in (kinds.Eviction(window), kinds.HybridWindows(window, 6)):
        after = figures(model, context, technique, batch=batch)
        for name, value in before.values.items():
            assert after.values[name] == (value if value is None else pytest.approx(value, rel=ONE_ROUNDING))


@given(model=models, context=contexts, window=integers(1, 200_000), longer=integers(0, 10_000))
@settings(max_examples=10)
def test_a_longer_window_never_keeps_less(model, context, window, longer):
    """Eviction is monotone in its window, and a hybrid keeps no less than it."""
    short, long = (figures(model, context, kinds.Eviction(float(w))) for w in (window, window + longer))
    hybrid = figures(model, context, kinds.HybridWindows(float(window), 6))
    assert stored(short) <= stored(long) * (1 + ONE_ROUNDING)
    assert stored(short) <= stored(hybrid) * (1 + ONE_ROUNDING)
    assert read(short) <= read(hybrid) * (1 + ONE_ROUNDING)


@given(context=contexts, more=integers(0, 10_000))
@settings(max_examples=10)
def test_a_choice_of_everything_reads_the_index_beside_it(context, more):
    """Top-k with k no smaller than the context reads and stores more than full attention, by the index."""
    before, after = (
        figures("llama-3.1-70b", context, *t) for t in ((), (kinds.SparseAttention(context + more, 128, 64),))
    )
    index = 80 * 128 * 2 * context
    assert read(after) == pytest.approx(read(before) + index, rel=ONE_ROUNDING)
    assert stored(after) == pytest.approx(stored(before) + index, rel=ONE_ROUNDING)


@given(context=contexts, k=integers(1, 200_000))
@settings(max_examples=10)
def test_a_choice_stores_more_and_reads_no_more_than_everything_and_the_index(context, k):
    """Whatever k is, all is stored, and the index with it."""
    before, after = (figures("deepseek-v3", context, *t) for t in ((), (kinds.SparseAttention(k, 128, 64),)))
    assert stored(after) > stored(before)
    assert read(after) <= (read(before) + stored(after) - stored(before)) * (1 + ONE_ROUNDING)


def test_a_choice_within_a_window_keeps_the_window():
    """Evicted first and then chosen from: the window is kept, the choice is read, and the index of the window."""
    found = figures("llama-3.1-70b", 128_000, kinds.Eviction(4096.0), kinds.SparseAttention(2048, 128, 64))
    assert stored(found) == 80 * 4096 * (4096 + 256)
    assert read(found) == 80 * (2048 * 4096 + 4096 * 256)
    room = 8 * 80e9 * 0.9 - found.answer.sheet.value("stored_weight_bytes")
    assert found.value("largest_batch") == room // stored(found)


@given(context=contexts, share=integers(2, 8))
@settings(max_examples=10)
def test_sharing_divides_what_is_stored_and_leaves_what_is_read(context, share):
    """Of 80 layers each `share`-th keeps a cache; every layer still reads one."""
    before, after = (figures("llama-3.1-70b", context, *t) for t in ((), (kinds.LayerSharing(share),)))
    assert stored(after) == pytest.approx(stored(before) * math.ceil(80 / share) / 80, rel=ONE_ROUNDING)
    assert read(after) == pytest.approx(read(before), rel=ONE_ROUNDING)


def test_sharing_pairs_layers_that_keep_the_same():
    """In a model of local and global layers each kind shares within itself, so that a half is a half of both."""
    before, after = (figures("gemma-3-27b", 100_000, *t) for t in ((), (kinds.LayerSharing(2),)))
    assert read(after) == pytest.approx(read(before), rel=ONE_ROUNDING)
    assert stored(after) == pytest.approx(stored(before) / 2, rel=0)  # 10 global and 52 local layers: both even


@given(context=contexts, batch=batches)
@settings(max_examples=10)
def test_what_is_offloaded_and_what_stays_are_the_whole(context, batch):
    """Keys and values move, an index and the states stay; HBM is read as before, and the link beside it."""
    sparse, offload = kinds.SparseAttention(2048, 128, 64), kinds.Offload()
    for model, before in (("llama-3.1-70b", (sparse,)), ("jamba-v0.1", ())):
        whole, after = figures(model, context, *before), figures(model, context, *before, offload, batch=batch)
        changed = load_model(model)
        for technique in before:
            changed = technique.changed(changed)
        moved = describe(offload.moved(changed), context)
        here = stored(after) + moved.value("kv_stored_bytes")
        assert here == pytest.approx(stored(whole), rel=ONE_ROUNDING)
        assert read(after) == pytest.approx(read(whole), rel=ONE_ROUNDING)
        assert after.link_bytes_per_token == pytest.approx(moved.value("kv_read_bytes_per_token"), rel=ONE_ROUNDING)


def test_a_choice_crosses_the_link_and_not_the_whole_cache():
    """Offload and sparse attention together: 2,048 tokens a layer, while the index stays in HBM."""
    found = figures("llama-3.1-70b", 128_000, kinds.SparseAttention(2048, 128, 64), kinds.Offload())
    assert found.link_bytes_per_token == 80 * 2048 * 4096
    assert stored(found) == 80 * 128_000 * 256


@given(
    names=sets(sampled_from(("quantisation-fp8", "quantisation-nvfp4", "latent", "layer-sharing")), min_size=2),
    context=contexts,
)
@settings(max_examples=10)
def test_independent_techniques_multiply(names, context):
    """The format, the shape and the number of caches are factors of the bytes: together they are their product."""
    techniques = {t.name: t for t in figures_of().techniques if t.name in names}
    if {"quantisation-fp8", "quantisation-nvfp4"} <= names:
        del techniques["quantisation-fp8"]
    chosen = sorted(techniques.values(), key=lambda t: kinds.ORDER.index(t.family))
    before = figures("llama-3.1-70b", context)
    for size in (stored, read):
        product = math.prod(size(figures("llama-3.1-70b", context, one)) / size(before) for one in chosen)
        together = size(figures("llama-3.1-70b", context, *chosen)) / size(before)
        assert together == pytest.approx(product, rel=ONE_ROUNDING)


@given(model=models, by=sampled_from(kinds.ORDER), context=contexts)
@settings(max_examples=15)
def test_a_technique_leaves_the_weights_and_the_states_alone(model, by, context):
    """Parameters part by part, bytes of weights, and what a recurrent layer keeps are those of the model.

    Only rematerialisation keeps no states either: it makes them again.
    """
    before = load_model(model)
    for technique in (t for t in figures_of().techniques if t.family == by):
        after = technique.changed(before)
        assert after.architecture.parts() == before.architecture.parts()
        assert after.architecture.n_layers == before.architecture.n_layers
        assert after.weight_bytes == before.weight_bytes
        assert after.state_bytes == (0 if technique.name == "rematerialisation" else before.state_bytes)


# The step


C, LAYERS, PAIR = 128_000, 80, 4 * 64 * 128  # of Llama-3.1-70B; FLOP of a pair in one layer
KV = 2 * 8 * 128 * 2  # bytes of a token in one layer
INDEX, INDEX_PAIR = 128 * 2, 2 * 64 * 128
CLOSED = {  # technique -> bytes that a token reads, and FLOP of its attention, in closed form
    "quantisation-fp8": (LAYERS * C * KV / 2 * 1.03125, LAYERS * (C + 1) * PAIR),
    "quantisation-nvfp4": (LAYERS * C * KV / 2 * 0.5625, LAYERS * (C + 1) * PAIR),
    "eviction": (LAYERS * 4096 * KV, LAYERS * 4096 * PAIR),
    "hybrid-windows": ((14 * C + 66 * 1024) * KV, (14 * (C + 1) + 66 * 1024) * PAIR),
    "sparse-attention": (LAYERS * (2048 * KV + C * INDEX), LAYERS * (2048 * PAIR + (C + 1) * INDEX_PAIR)),
    "layer-sharing": (LAYERS * C * KV, LAYERS * (C + 1) * PAIR),
    "latent": (LAYERS * C * 576 * 2, LAYERS * (C + 1) * 2 * 64 * (2 * 512 + 64)),
    "offload": (LAYERS * C * KV, LAYERS * (C + 1) * PAIR),
}
HBM, RATE, LINK = 8 * 3.35e12, 8 * 989e12, 8 * 63e9


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("batch", [1, 4])
def test_every_step_of_llama_is_the_closed_form(name, batch):
    """The longer of arithmetic and reading, written out here; offload adds the way over the link."""
    model = load_model("llama-3.1-70b")
    row = figures(model, C, next(t for t in figures_of().techniques if t.name == name), batch=batch)
    read_bytes, flop = CLOSED[name]
    streamed = 2 * (model.total_params - model.lookup_params)
    step = max((2 * model.active_params + flop) * batch / RATE, (streamed + batch * read_bytes) / HBM)
    step += batch * read_bytes / LINK if name == "offload" else 0
    assert row.value("read_bytes_per_token") == pytest.approx(read_bytes, rel=ONE_ROUNDING)
    assert row.value("step_s") == pytest.approx(step, rel=ONE_ROUNDING)
    price = row.answer.sheet.value("rental_usd_per_s")
    assert row.value("cost_per_mtok_usd") == pytest.approx(step * 8 * price / batch * 1e6, rel=ONE_ROUNDING)


REMAT = kinds.Rematerialisation()


@pytest.mark.parametrize("batch", [1, 4])
def test_to_make_the_cache_again_is_a_pass_over_the_whole_context(batch):
    """All tokens multiply, each attends to those before it; one is new, and pays for all; nothing is kept or read."""
    row, model = figures("llama-3.1-70b", C, REMAT, batch=batch), load_model("llama-3.1-70b")
    flop = batch * (2 * model.active_params * (C + 1) + LAYERS * PAIR * (C + 1) * (C + 2) / 2)
    assert (stored(row), read(row)) == (0, 0)
    assert row.value("step_s") == pytest.approx(flop / RATE, rel=ONE_ROUNDING)
    price = row.answer.sheet.value("rental_usd_per_s")
    assert row.value("cost_per_mtok_usd") == pytest.approx(flop / RATE * 8 * price / batch * 1e6, rel=ONE_ROUNDING)
    assert row.fits
    assert row.value("largest_batch") is None
    assert "nothing is kept" in row.reasons["largest_batch"]


@pytest.mark.parametrize("model", MODELS)
def test_to_make_the_cache_again_is_a_prefill_of_the_roofline(model):
    """Windows, latents, choices, states, experts: the pass is that of `headway roofline` on an empty cache."""
    row = figures(model, 8000, REMAT, batch=2)
    answer = headway.roofline(model, on="8xh100-sxm", batch=2, context=0, pass_tokens=8001, refine=REFINED,
                              beyond_memory=True)  # fmt: skip
    assert row.value("step_s") == float(answer.step_s)
    assert (stored(row), read(row)) == (0, 0)  # states are made again too
    per_token = float(answer.cost_per_token_usd)
    assert row.value("cost_per_mtok_usd") == pytest.approx(per_token * 8001 * 1e6, rel=ONE_ROUNDING)


def test_windows_shorten_the_pass_that_makes_the_cache_again(llama):
    """What a query looks at goes with rematerialisation; what only stores less would do nothing, and is no set."""
    sets = {row.names: row for row in llama.together if "rematerialisation" in row.names}
    assert {name for names in sets for name in names} == {
        "eviction",
        "hybrid-windows",
        "sparse-attention",
        "rematerialisation",
    }
    whole = rows(llama)["rematerialisation"].figures.value("step_s")
    assert sets["eviction", "rematerialisation"].figures.value("step_s") < whole
    before = figures("llama-3.1-70b", C, REMAT)
    for technique in (FP8_BARE, kinds.LayerSharing(2)):
        after = figures("llama-3.1-70b", C, technique, REMAT)
        assert after.values == before.values


def test_where_nothing_else_fits_the_cache_can_still_be_made_again():
    """A batch whose caches no memory holds: the pass keeps none, and has a step."""
    found = ranking(load_model("llama-3.1-70b"), load_system("8xh100-sxm"), batch=1e4, context_tokens=128_000)
    assert found.alone[0].names == ("rematerialisation",)
    assert [row.names for row in found.alone if row.figures.fits] == [("rematerialisation",)]


def test_the_model_as_it_is_has_the_step_of_the_roofline(llama):
    """The baseline is `headway roofline` with the refinements that the techniques differ in."""
    answer = headway.roofline("llama-3.1-70b", on="8xh100-sxm", batch=4, context=128_000, refine=REFINED)
    assert llama.baseline.value("step_s") == float(answer.step_s)
    assert llama.baseline.value("largest_batch") == float(answer.largest_batch)


def test_the_largest_batch_fits_and_one_more_does_not(llama):
    """What memory holds is whole sequences."""
    for row in (row for row in llama.alone if row.techniques[0].family != "place"):
        largest = row.figures.value("largest_batch")
        model = row.techniques[0].changed(llama.model)
        assert measure(case(128_000, largest), model).fits
        assert not measure(case(128_000, largest + 1), model).fits


def test_a_batch_that_does_not_fit_has_no_step_and_says_why():
    """Bytes are told all the same, what fits ranks first, and the reason has the arithmetic."""
    found = ranking(load_model("llama-3.1-70b"), load_system("8xh100-sxm"), batch=16, context_tokens=128_000)
    assert found.baseline.value("step_s") is None
    assert "10 such sequences do" in found.baseline.reasons["step_s"]
    assert found.baseline.value("stored_bytes_per_sequence") == 128_000 * 327_680
    fits = [row.figures.fits for row in found.alone if row.figures]
    assert fits == sorted(fits, reverse=True)
    assert found.saved(found.alone[0].figures, "step_s") is None


# Ranking


@pytest.mark.parametrize("by", MEASURES)
def test_the_ranking_is_by_the_measure(by):
    """Alone and together, best first; what does not apply comes last."""
    found = ranking(load_model("deepseek-v3"), load_system("gb200-nvl72"), batch=64, context_tokens=128_000, by=by)
    for listed in (found.alone, found.together):
        applied = [row.figures is not None for row in listed]
        assert applied == sorted(applied, reverse=True)
        known = [row.figures.value(MEASURES[by]) for row in listed if row.figures]
        values = [value for value in known if value is not None]
        assert known[: len(values)] == values  # what has no such figure stands behind
        assert values == pytest.approx(sorted(values), rel=1e-8)  # ties to nine digits


def test_sets_take_one_of_a_family_and_all_that_go_together(llama):
    """Two formats, or two kinds of window, exclude each other; the rest combines freely."""
    families = [tuple(t.family for t in row.techniques) for row in llama.together]
    assert all(len(set(found)) == len(found) > 1 for found in families)
    again = 3 * 2 - 1  # rematerialisation goes with windows and a choice alone
    assert len({frozenset(row.names) for row in llama.together}) == len(llama.together) == 3 * 3 * 2**4 - 1 - 8 + again
    assert max(len(found) for found in families) == len(kinds.ORDER)


def test_quantisation_and_a_choice_multiply_and_a_window_and_a_choice_do_not(llama):
    """A set's reads, over the product of what its parts leave alone."""
    pairs = {frozenset(row.names): row for row in llama.together}

    def over(*names):
        return llama.over_product(pairs[frozenset(names)], "read_bytes_per_token")

    assert over("quantisation-fp8", "sparse-attention") == pytest.approx(1, rel=ONE_ROUNDING)
    assert over("eviction", "sparse-attention") > 2


# What does not apply


def why_not(model, context=128_000, **more):
    found = ranking(load_model(model) if isinstance(model, str) else model, load_system("gb200-nvl72"),
                    context_tokens=context, **more)  # fmt: skip
    return {row.names[0]: row.why_not for row in found.alone if row.figures is None}


@pytest.mark.parametrize(
    ("model", "technique", "reason"),
    [
        ("deepseek-v3", "latent", "a latent already"),
        ("deepseek-v3.2", "sparse-attention", "a choice of what they keep already"),
        ("gemma-3-27b", "hybrid-windows", "a window already"),
        ("mistral-7b-v0.1", "eviction", "no layer looks further back than 4,096"),
        ("gemma-4-31b-nvfp4", "quantisation-fp8", "in fp8 already"),
        ("qwen2.5-1.5b", "latent", r"\(512 numbers\) than the latent would \(576\)"),
        ("deepseek-v4-pro", "latent", "something else than keys and values"),
    ],
)
def test_what_a_model_has_already_is_said(model, technique, reason):
    """A reason stands in the place of a row of zeros."""
    assert re.search(reason, why_not(model)[technique])


def test_a_sequence_within_the_window_evicts_nothing():
    """At 4,000 tokens a window of 4,096 is no technique."""
    assert "within the window of 4,096" in why_not("llama-3.1-70b", 4000)["eviction"]


def test_a_hybrid_keeps_its_state():
    """Jamba's Mamba layers are left alone: the state is stored and read, but where everything is made again."""
    found = ranking(load_model("jamba-v0.1"), load_system("8xh100-sxm"), batch=8, context_tokens=128_000)
    state = found.model.state_bytes
    assert state > 0
    for row in (*found.alone, *found.together):
        kept = 0 if "rematerialisation" in row.names else state
        assert stored(row.figures) >= kept
        assert read(row.figures) >= kept


def test_a_model_without_a_cache_has_nothing_to_save():
    """States alone: every technique says so, and nothing is ranked."""
    jamba = load_model("jamba-v0.1")
    runs = tuple(run for run in jamba.architecture.layers if not any(block.kept for block in run.blocks))
    stateful = dataclasses.replace(jamba, architecture=dataclasses.replace(jamba.architecture, layers=runs))
    reasons = why_not(stateful)
    assert len(reasons) == 9
    assert all("a state of" in reason for reason in reasons.values())


def test_bare_numbers_can_be_quantised_and_nothing_else():
    """What layers keep is not known of them."""
    found = ranking(bare_model(70e9, None, 327_680), load_system("8xh100-sxm"), batch=8, context_tokens=8000)
    assert {row.names[0] for row in found.alone if row.figures} == {"quantisation-fp8", "quantisation-nvfp4"}
    assert found.alone[0].figures.value("stored_bytes_per_sequence") == 8000 * 327_680 / 2 * 0.5625
    assert not found.together


# Between turns


def test_between_turns_is_the_arithmetic_of_the_tiers(llama):
    """Rent of a byte in HBM and of the chip's arithmetic, and the time at which they are equal, by hand."""
    value = llama.turns.sheet.value
    rent = value("rental_usd_per_s")
    flop = 2 * llama.model.active_params + LAYERS * (C + 1) / 2 * PAIR
    assert value("hbm_holding_usd_per_s") == pytest.approx(327_680 * rent / 80e9)
    assert value("recompute_usd_per_token") == pytest.approx(flop / (989e12 * 0.4) * rent)
    assert value("hbm_recompute_after_s") == pytest.approx(flop / (989e12 * 0.4) / (327_680 / 80e9))
    assert value("host_holding_usd_per_s") == pytest.approx(327_680 * 10.94e-9 / (5 * 365.25 * 86400))


def test_the_tiers_line_up_as_they_cost(llama):
    """Flash is cheaper to hold than DRAM and DRAM than HBM; making it again pays the later the cheaper the tier."""
    value = llama.turns.sheet.value
    held = [value(f"{place}_holding_usd_per_s") for place in ("hbm", "host", "flash")]
    again = [value(f"{place}_recompute_after_s") for place in ("hbm", "host", "flash")]
    assert held == sorted(held, reverse=True)
    assert again == sorted(again)


def test_a_link_that_nobody_measured_is_a_gap():
    """A GPU in a host of its own has a PCIe link, as assumed; of any other the rate has to be given."""
    found = ranking(load_model("deepseek-v3"), load_system("gb200-nvl72"), batch=8, context_tokens=128_000)
    row = rows(found)["offload"].figures
    assert row.value("step_s") is None
    assert "host_link_bytes_per_s" in row.reasons["step_s"]
    given_link = ranking(found.model, found.case.system, batch=8, context_tokens=128_000,
                         changes={"host_link_bytes_per_s": "450 GB/s"})  # fmt: skip
    assert rows(given_link)["offload"].figures.value("step_s") > found.baseline.value("step_s")


def test_a_window_longer_than_the_positions_of_the_config_still_evicts():
    """Llama-2-7B was made for 4,096 positions; at 32,000 tokens the newest 4,096 are kept, and the rest is not."""
    model = load_model("llama-2-7b")
    assert model.positions == 4096
    found = ranking(model, load_system("h100-sxm"), batch=1, context_tokens=32_000)
    row = rows(found)["eviction"].figures
    token = 2 * 32 * 32 * 128 * 2
    assert stored(row) == read(row) == 4096 * token == pytest.approx(2.15e9, rel=2e-3)
    assert stored(found.baseline) == 32_000 * token
    assert row.value("step_s") < found.baseline.value("step_s")


# Figures that can be changed


CONFIGURED = {
    "kept_window_tokens": ("mistral-7b-v0.1", "sliding_window"),
    "local_window_tokens": ("gemma-3-27b", "sliding_window"),
    "layers_per_global": ("gemma-3-27b", "sliding_window_pattern"),
    "topk_tokens": ("deepseek-v3.2", "index_topk"),
    "index_width": ("deepseek-v3.2", "index_head_dim"),
    "index_heads": ("deepseek-v3.2", "index_n_heads"),
    "latent_width": ("deepseek-v3", "kv_lora_rank"),
    "latent_rotary_width": ("deepseek-v3", "qk_rope_head_dim"),
}


@pytest.mark.parametrize("name", CONFIGURED)
def test_a_figure_of_a_config_is_read_there(name):
    """Not typed a second time; its note names model and field, its reference is the page of the config."""
    model, field = CONFIGURED[name]
    figure, config = defaults(PURPOSE)[name], load_model(model)
    assert figure.value == config.config[field]
    assert f"{field} of {model}'s config" in figure.origin.where
    assert [page.where for page in figure.origin.references] == [model_names()[model]["config_source"]]


@given(window=integers(1, 100_000), factor=floats(1.1, 50))
@settings(max_examples=10)
def test_a_changed_figure_is_used_and_said(window, factor):
    """--set moves a technique's figure; its origin is then the user."""
    link = 63e9 * factor
    changes = {"kept_window_tokens": str(window), "host_link_bytes_per_s": link}
    found = figures_of(changes)
    assert next(t for t in found.techniques if t.name == "eviction").kept_window_tokens == window
    assert found.value("host_link_bytes_per_s") == link
    assert found.figures["kept_window_tokens"].origin.kind == "user"


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"topk_tokens": "2.5"}, BadInput, "whole number"),
        ({"layers_per_cache": "0"}, BadInput, "from 1"),
        ({"prefill_mfu": "2"}, BadInput, "at most|to 1"),
        ({"topk_token": "3"}, UnknownName, "topk_tokens"),
        ({"host_tier": "floppy"}, UnknownName, "memory tier"),
        ({"kv_bytes_per_token": "3"}, BadInput, "what the techniques change"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(changes, error, words):
    """One line that says what was expected."""
    with pytest.raises(error, match=words):
        ranking(load_model("llama-3.1-8b"), load_system("h100-sxm"), batch=1, context_tokens=8000, changes=changes)


def test_questions_that_cannot_be_answered_are_refused():
    """Weights that do not fit, an unknown measure, a cache that nobody stated."""
    system = load_system("h100-sxm")
    with pytest.raises(Infeasible, match="weights"):
        ranking(load_model("llama-3.1-405b"), system)
    with pytest.raises(UnknownName, match="known are step"):
        ranking(load_model("llama-3.1-8b"), system, by="beauty")
    with pytest.raises(MissingFact, match="--kv-bytes"):
        ranking(bare_model(8e9), system)
    with pytest.raises(BadInput, match="1 or more"):
        ranking(load_model("llama-3.1-8b"), system, batch=0)


def test_models_systems_and_numbers_may_be_given_as_texts():
    """A catalogued name in the place of a model or a system, and numbers as people write them."""
    named = ranking("llama-3.1-8b", "h100-sxm", batch="1", context_tokens="8k")
    loaded = ranking(load_model("llama-3.1-8b"), load_system("h100-sxm"), batch=1, context_tokens=8000)
    assert plain(cli.as_json(named)) == plain(cli.as_json(loaded))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": 5}, "takes a model or its name"),
        ({"model": "llama-3.1-8c"}, "did you mean"),
        ({"system": None}, "takes a system or its name"),
        ({"batch": [1, 2]}, "batch must be one number"),
        ({"batch": math.inf}, "batch must be one number"),
        ({"context_tokens": "long"}, "context_tokens must be one number"),
        ({"by": ["beauty"]}, "known are step"),
        ({"changes": ["topk_tokens"]}, "table of names and values"),
        ({"changes": {1: 2}}, "table of names and values"),
        ({"changes": {"topk_tokens": None}}, "expected a number"),
    ],
)
def test_a_wrong_type_is_refused_in_one_line(arguments, words):
    """What was expected, with an example, and what was found."""
    with pytest.raises(BadInput, match=words) as refused:
        ranking(**{"model": "llama-3.1-8b", "system": "h100-sxm", "batch": 1, "context_tokens": 8000} | arguments)
    assert "\n" not in str(refused.value)


# The command


def ask(*words):
    args = cli.parser().read([*words, "--kv-techniques"])
    return cli.main(args, load_model_from(args, args.model))


SCHEMA = json.loads((files("headway.cli") / "kv_techniques.schema.json").read_text("utf-8"))
KEYS = {"model", "system", "context_tokens", "batch", "by", "baseline", "techniques", "together", "notes"}
ROW = {"name", "what", "applies", "why_not", "stored_bytes_per_sequence", "read_bytes_per_token", "step_s",
       "cost_per_mtok_usd", "largest_batch", "cost_per_mtok_usd_at_largest_batch", "saves_stored_share",
       "saves_read_share", "saves_step_share", "parameters", "source"}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value"),
    [(("techniques", 0, "step_s"), None), (("techniques", 0, "beauty"), 1), (("baseline", "fits"), "yes"),
     (("between_turns", "places", 1, "moves_usd_per_mtok"), None), (("together", 0, "names"), ["eviction"]),
     (("techniques", 0, "name"), "magic"), (("techniques", 0, "why_not"), "no reason")],
)  # fmt: skip
def test_the_schema_refuses_what_an_answer_never_is(path, value):
    """A null without its reason, a key that nobody documented, a set of one, an applying technique with a reason."""
    out = plain(cli.as_json(ranking("llama-3.1-8b", "h100-sxm", batch=1, context_tokens=8000)))
    jsonschema.validate(out, SCHEMA)
    place = out
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(out, SCHEMA)


def nulls(found, path=""):
    """Every null of an object without its reason."""
    if isinstance(found, dict):
        for key, value in found.items():
            if value is None and not found.get(f"{key}_reason"):
                yield f"{path}.{key}"
            yield from nulls(value, f"{path}.{key}")
    elif isinstance(found, list):
        for item in found:
            yield from nulls(item, path)


@pytest.mark.parametrize(
    "words",
    ["llama-3.1-70b --on 8xh100-sxm --batch 16", "deepseek-v3 --on gb200-nvl72 --explain",
     "jamba-v0.1 --on tpu-v5p:8", "--params 70e9 --kv-bytes 327680 --on 8xh100-sxm --context 8k",
     "gemma-3-27b --on gb300-nvl72 --by cost", "llama-3.1-8b --on h100-sxm --batch 1 --set rental_usd_per_s=0"],
)  # fmt: skip
def test_the_json_has_its_keys_and_a_reason_for_every_null(words, capsys):
    """The keys of the answer, of every technique and of every set, as the schema has them."""
    assert ask(*words.split(), "--json") == 0
    out = json.loads(capsys.readouterr().out)
    jsonschema.validate(out, SCHEMA)
    assert set(out) >= KEYS
    assert all(set(row) >= ROW for row in out["techniques"])
    assert len(out["techniques"]) == 9
    assert all(set(row) >= ROW - {"name", "what", "applies", "why_not", "parameters", "source"} | {"names"}
               for row in out["together"])  # fmt: skip
    assert not list(nulls(out))
    assert all(row["why_not"] for row in out["techniques"] if not row["applies"])
    assert any("quality" in note for note in out["notes"])


def test_the_answer_stands_first_and_tables_fit(capsys):
    """A sentence with the winner and what it saves against; tables of at most 100 columns."""
    assert ask("deepseek-v3", "--on", "gb200-nvl72", "--batch", "16") == 0
    text = capsys.readouterr().out
    assert text.startswith("At 128,000 tokens and 16 sequences, eviction saves most: deepseek-v3 on gb200-nvl72")
    table = text.split("\n\n")[1].splitlines()
    assert table[0].split()[0] == "technique"
    assert max(map(len, text.split("What they do")[0].splitlines()[3:])) <= 100
    assert "  - latent: it keeps a latent already" in text
    assert "quality" in text


def test_the_rent_is_told_with_its_source(capsys):
    """One note: dollars an hour for a chip, who says so and when; the user's own where it was given."""
    for words, told in (((), r"rent of \$[\d.]+/h a chip, catalog \(.*read 20\d\d-\d\d"),
                        (("--price", "$3/h"), r"rent of \$3.00/h a chip, user")):  # fmt: skip
        assert ask("llama-3.1-8b", "--on", "h100-sxm", "--batch", "1", "--json", *words) == 0
        notes = [note for note in json.loads(capsys.readouterr().out)["notes"] if "rent of" in note]
        assert len(notes) == 1
        assert re.match(told, notes[0])


def test_there_and_back_are_two_crossings(llama):
    """Between turns the host's link is paid for both ways, and so is the device; and the notes say so."""
    value = llama.turns.sheet.value
    crossing = value("held_bytes_per_token") / value("host_link_bytes_per_s") * value("rental_usd_per_s")
    assert value("host_moves_usd") == pytest.approx(2 * crossing + value("host_read_usd") + value("host_write_usd"))
    assert any("the device and the link, each both ways" in note for note in cli.notes(llama))


def test_explain_writes_the_winner_out(capsys):
    """The derivation of the best technique's figures, and of the time between turns."""
    assert ask("llama-3.1-8b", "--on", "h100-sxm", "--batch", "1", "--context", "32k", "--explain") == 0
    text = capsys.readouterr().out
    assert "step_s = max(t_compute_s, t_weights_s + t_kv_s)" in text
    assert "recompute_usd_per_token" in text
    assert all(len(line) <= WIDTH for line in text.splitlines() if not line.lstrip().startswith("["))


def test_explain_writes_a_cache_made_again_out(capsys):
    """By what is read nothing beats it; the derivation is the pass over the whole context."""
    assert ask("llama-3.1-8b", "--on", "h100-sxm", "--batch", "1", "--context", "32k", "--by", "read", "--explain") == 0
    text = capsys.readouterr().out
    assert "rematerialisation saves most: llama-3.1-8b on h100-sxm reads least, 0 B for each new token" in " ".join(
        text.split()
    )
    assert "cost_per_token_usd = " in text
    assert "new_tokens" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("llama-3.1-8b", "--on"),
        ("llama-3.1-8b --on h100-sxm --batch 1,2", "one number"),
        ("llama-3.1-8b --on h100-sxm --by size", "known are"),
        ("llama-3.1-8b --on h100-sxm --price $2/h --set rental_usd_per_s=$3/h", "not both"),
    ],
)
def test_a_mistake_of_the_command_is_one_line(words, message):
    """What was wrong, and what was expected."""
    with pytest.raises(BadInput, match=message):
        ask(*words.split())


def test_a_price_and_by_cost(capsys):
    """Twice the rent is twice the cost of every row."""
    costs = []
    for price in ("$1/h", "$2/h"):
        assert ask("llama-3.1-8b", "--on", "h100-sxm", "--batch", "1", "--by", "cost", "--price", price, "--json") == 0
        costs.append([row["cost_per_mtok_usd"] for row in json.loads(capsys.readouterr().out)["techniques"]])
    assert costs[1] == pytest.approx([2 * cost for cost in costs[0]])


def test_where_nothing_can_be_ranked_the_answer_says_why(capsys):
    """No technique fits, or what a machine costs is nothing: a sentence, and no warning."""
    bare = ("--params", "70e9", "--kv-bytes", "327680", "--on", "8xh100-sxm")
    assert ask(*bare, "--context", "1e18", "--batch", "1e12") == 0
    assert "no technique is of use to" in " ".join(capsys.readouterr().out.split())
    assert ask("llama-3.1-8b", "--on", "h100-sxm", "--batch", "1", "--set", "rental_usd_per_s=0", "--json") == 0
    assert not list(nulls(json.loads(capsys.readouterr().out)))


def test_the_reference_names_every_key(llama):
    """A key that the answer has is a key that the reference explains."""
    reference = (Path(__file__).parent.parent / "docs" / "reference.md").read_text("utf-8")
    out = plain(cli.as_json(llama))
    offload = next(row for row in out["techniques"] if row["name"] == "offload")
    parts = (out, out["baseline"], offload, out["together"][0], out["between_turns"], *out["between_turns"]["places"])
    keys = {key for part in parts for key in part if not key.endswith("_reason")} - {"title"}
    assert not [key for key in sorted(keys) if f"`{key}`" not in reference]


def test_every_figure_of_a_technique_has_its_reason(llama):
    """What a technique assumes is data, and says from where."""
    out = plain(cli.as_json(llama))
    named = {name for row in out["techniques"] for name in row["parameters"]}
    assert named == set(defaults(PURPOSE))
    assert all(row["parameters_from"][name] for row in out["techniques"] for name in row["parameters"])
    assert isinstance(llama.alone[0], Row)
