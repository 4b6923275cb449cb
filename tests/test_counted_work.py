"""The work of a pass against small transformers that ran under a counting hook: FLOP, weights, activations, KV.

`data/counted_work.jsonl.gz` was made in 2026-11 by `data/make_counted_work.py`, which says how to make it again and
what a row holds, with transformers 5.23.0 (Apache-2.0; only counts were taken) and torch 2.13.0. It knows nothing of
this package. Everything here is equal to the last number, but for what is said where it is not:

* the framework joins matrices that read one input (gate and up of experts; q, k and v of some families), and then reads
  that input once: `in_numbers` are compared where it does not;
* convolutions are parameters beside matrices here, and products there;
* states are not compared in arithmetic: the framework's algorithm is another one;
* parameters beside matrices count as two FLOP for a token here, as on the blackboard, and as none there;
* a window counts the newest token: of the cache a pass reads one token less than the window, here the whole window.
"""

import gzip
import json
import math
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from headway.hardware import load_system
from headway.model.attention import LatentAttention
from headway.model.config import read_config
from headway.model.model import Model
from headway.provenance import Origin
from headway.step.first_order import Pass, evaluate
from headway.step.operators import operators
from headway.step.question import Question

with gzip.open(Path(__file__).parent / "data" / "counted_work.jsonl.gz", "rt", encoding="utf-8") as _lines:
    ROWS = [json.loads(line) for line in _lines]
NAMES = sorted({row["name"] for row in ROWS})
LATENT = sorted({row["name"] for row in ROWS if row["form"] == "absorbed"})
# Families whose classes join the matrices of one input; experts are joined everywhere.
JOINED = ("phi3", "gpt2", "qwen3_next", "mamba2")
CHUNKED = ("llama4_text",)


def _of(name, *forms):
    return [row for row in ROWS if row["name"] == name and row["form"] in (forms or ("plain", "expanded", "absorbed"))]


@cache
def _model(name) -> Model:
    return read_config(_of(name)[0]["config"], name=name, origin=Origin("user", "a config"))


def _tokens(row):
    return row["pass"]["batch"] * row["pass"]["pass_tokens"]


def _sum(row, field, *kinds):
    return sum(module[field] for module in row["modules"] if module["kind"] in kinds)


def _pair_flop(kept, row):
    expanded = row["form"] == "expanded" and kept.expanded_pair_flop is not None
    return kept.expanded_pair_flop if expanded else kept.pair_flop


def _groups(row):
    """The cached groups that attention itself reads, layer by layer, and those of an index."""
    attends = [one for one in operators(_model(row["name"])).attends if one.kept.numbers]
    return ([one for one in attends if not one.name.startswith("index")],
            [one for one in attends if one.name.startswith("index")])  # fmt: skip


def test_the_data_hold_every_kind():
    """Many heads, grouped ones, one; windows, chunks, latents in both forms, selected tokens, states; dense and MoE."""
    assert len(ROWS) == 250
    assert len(NAMES) == 21
    assert len(LATENT) == 4
    assert {row["form"] for row in ROWS} == {"plain", "expanded", "absorbed"}
    assert len({tuple(row["pass"].values()) for row in ROWS}) == 10
    assert sum(bool(_of(name)[0]["experts"]) for name in NAMES) >= 7


@pytest.mark.parametrize("name", NAMES)
def test_a_pass_reads_every_parameter_but_those_of_idle_experts(name):
    """What products, norms and biases read, and the experts without a token, are the model without its look-ups."""
    model = _model(name)
    assert model.total_params == _of(name)[0]["params"]
    assert model.lookup_params == _of(name)[0]["lookup_params"]
    for row in _of(name):
        idle = sum(layer["experts"] - layer["hit"] for layer in row["experts"])
        unread = idle * model.architecture.experts.expert_params if idle else 0
        read = sum(module["weight_numbers"] for module in row["modules"]) + row["vector_numbers"]
        assert read + unread == model.total_params - model.lookup_params, row["pass"]


def test_every_product_has_the_arithmetic_of_its_shape():
    """A product of m x k by k x n takes 2 mkn FLOP: its square is four times what goes in, comes out, and stays."""
    products = [module for row in ROWS for module in row["modules"] if module["kind"] != "convolution"]
    single = [one for one in products if one["calls"] == 1 and one["weight_numbers"]]
    assert len(single) > 5000
    assert all(one["flop"] ** 2 == 4 * one["in_numbers"] * one["out_numbers"] * one["weight_numbers"] for one in single)


@pytest.mark.parametrize("name", NAMES)
def test_matrices_of_every_part_do_what_was_counted(name):
    """FLOP and results of each part's matrices: two per parameter and token, or per copy sent to an expert."""
    for row in _of(name):
        kinds = ("attention", "dense_mlp", "shared_experts", "router", "routed_experts", "lm_head")
        flop, results = Counter(dict.fromkeys(kinds, 0)), Counter(dict.fromkeys(kinds, 0))
        for one in operators(_model(name)).multiplies:
            if not one.outputs:
                continue
            tokens = {
                "rank": _tokens(row),
                "head": row["pass"]["batch"] * row["pass"]["logit_tokens"],
                "expert": sum(layer["copies"] for layer in row["experts"]) // max(1, len(row["experts"])),
            }
            kind = "lm_head" if one.tokens == "head" else one.part
            if one.name == "attention_kv_up":
                # From latents: of all tokens, cached ones too; absorbed, queries go in and values come out by head.
                expanded = row["form"] == "expanded"
                earlier = row["pass"]["batch"] * row["pass"]["context"] * expanded
                mixer = next(m for _, m in _model(name).architecture.mixers if isinstance(m, LatentAttention))
                width = one.outputs if expanded else mixer.n_heads * (mixer.kv_lora_rank + mixer.v_head_dim)
                flop[kind] += 2 * one.layers * one.times * one.inputs * one.outputs * (tokens["rank"] + earlier)
                results[kind] += one.layers * one.times * width * (tokens["rank"] + earlier)
                continue
            flop[kind] += 2 * one.layers * one.times * one.inputs * one.outputs * tokens[one.tokens]
            results[kind] += one.layers * one.times * one.outputs * tokens[one.tokens]
        assert dict(flop) == {kind: _sum(row, "flop", kind) for kind in kinds}, row["pass"]
        assert dict(results) == {kind: _sum(row, "out_numbers", kind) for kind in kinds}, row["pass"]


@pytest.mark.parametrize("name", [name for name in NAMES if _of(name)[0]["config"]["model_type"] not in JOINED])
def test_matrices_of_every_part_take_in_what_was_counted(name):
    """Numbers that go into each part's matrices, where the framework keeps a part's matrices apart."""
    for row in _of(name, "plain", "expanded"):
        taken = Counter(dict.fromkeys(("attention", "dense_mlp", "shared_experts", "router", "lm_head"), 0))
        for one in operators(_model(name)).multiplies:
            if one.outputs and one.tokens != "expert":
                tokens = row["pass"]["batch"] * row["pass"]["logit_tokens"] if one.tokens == "head" else _tokens(row)
                if one.name == "attention_kv_up":
                    tokens += row["pass"]["batch"] * row["pass"]["context"]
                taken["lm_head" if one.tokens == "head" else one.part] += one.layers * one.times * one.inputs * tokens
        assert dict(taken) == {kind: _sum(row, "in_numbers", kind) for kind in taken}, row["pass"]


def _pairs(row, reach, chunked=False):
    """Pairs of a pass where a token sees so many, itself included: the newest ones, or those of its chunk so far."""
    first, new = row["pass"]["context"], row["pass"]["pass_tokens"]
    seen = (
        position % reach if chunked and math.isfinite(reach) else position for position in range(first, first + new)
    )
    return row["pass"]["batch"] * sum(min(before + 1, reach) for before in seen)


@pytest.mark.parametrize("name", NAMES)
def test_attention_takes_the_arithmetic_of_the_pairs_that_its_mask_allows(name):
    """Pairs are those of the window or of all tokens so far, and each costs what its group says, in either form."""
    for row in _of(name):
        chunked = row["config"]["model_type"] in CHUNKED
        flop = dict.fromkeys((True, False), 0.0)
        for group in _groups(row)[0]:
            for exact in flop:
                flop[exact] += _pairs(row, min(group.kept.reach), chunked and exact) * _pair_flop(group.kept, row)
        assert sum(layer["flop"] for layer in row["attention"]) == flop[True], row["pass"]
        assert flop[True] == flop[False] or chunked  # a group says "at most a chunk"


@pytest.mark.parametrize("name", LATENT)
def test_the_two_forms_differ_in_the_expansion_and_in_the_width_of_a_pair(name):
    """All else is equal; expanding costs arithmetic for every cached token, absorbing more for each pair."""
    for expanded, absorbed in zip(_of(name, "expanded"), _of(name, "absorbed"), strict=True):
        assert expanded["pass"] == absorbed["pass"]
        assert expanded["cache"] == absorbed["cache"]
        groups, _ = _groups(expanded)
        size = expanded["pass"]
        more = {
            form["form"]: sum(m["flop"] for m in form["modules"] if m["path"].endswith(".kv_b_proj"))
            for form in (expanded, absorbed)
        }
        earlier = size["batch"] * size["context"] * sum(group.kept.expansion_flop for group in groups)
        assert more["expanded"] - more["absorbed"] == earlier
        apart = [
            [m for m in form["modules"] if m["kind"] != "pairs" and not m["path"].endswith(".kv_b_proj")]
            for form in (expanded, absorbed)
        ]
        assert apart[0] == apart[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_cache_is_written_and_read_as_counted(name):
    """Every new token writes its numbers in every layer; of the cached ones those are read that a new one may see."""
    for row in _of(name):
        size = row["pass"]
        attention, index = _groups(row)
        kept = [group.kept for group in attention]
        assert sum(layer["written"] for layer in row["cache"]) == _tokens(row) * sum(one.numbers for one in kept)
        # A window counts the newest token, which comes from the pass and not from the cache.
        most = sum(one.numbers * min(size["context"], min(one.reach) - 1) for one in kept if not _selects(one))
        most += sum(one.numbers * size["context"] for one in kept if _selects(one))
        read = sum(layer["read"] for layer in row["cache"])
        if any(_selects(one) for one in kept) or row["config"]["model_type"] in CHUNKED:
            assert 0 < read <= size["batch"] * most or not size["context"]
        else:
            assert read == size["batch"] * most, size
        grown = sum(layer["index_after"] - layer["index_before"] for layer in row["cache"])
        assert grown == _tokens(row) * sum(group.kept.numbers for group in index)


def _selects(kept):
    """Whether tokens choose, each its own, what they read."""
    return math.isfinite(kept.read_tokens) and kept.read_tokens < kept.stored_tokens


@pytest.mark.parametrize("name", NAMES)
def test_states_are_as_large_as_counted(name):
    """What recurrent layers keep of a sequence is as many numbers as the framework keeps, at any context."""
    numbers = sum(state.numbers for _, state in operators(_model(name)).states)
    for row in _of(name):
        assert sum(layer["states"] for layer in row["cache"]) == row["pass"]["batch"] * numbers


def test_an_index_scores_every_token_and_weighs_its_heads():
    """Beyond a pair's scores the framework multiplies the scores of all heads by their weights, in the whole rectangle.

    The equation counts the scores alone: the weighing is one part in the width of a head more.
    """
    for row in _of("deepseek-v32-selected"):
        (index,) = _groups(row)[1]
        heads = row["config"]["index_n_heads"]
        rectangle = _tokens(row) * (row["pass"]["context"] + row["pass"]["pass_tokens"])
        assert _sum(row, "flop", "index") == rectangle * (index.kept.pair_flop + index.layers * 2 * heads)


@pytest.mark.parametrize("name", [name for name in NAMES if _of(name)[0]["experts"]])
def test_every_token_goes_to_as_many_experts_as_the_model_says(name):
    """Copies are tokens times experts per token; no more experts work than there are, or than there are copies."""
    (bank,) = operators(_model(name)).banks
    for row in _of(name):
        assert len(row["experts"]) == bank.layers
        for layer in row["experts"]:
            assert layer["experts"] == bank.n_experts
            assert layer["copies"] == _tokens(row) * bank.experts_per_token
            assert bank.experts_per_token <= layer["hit"] <= min(bank.n_experts, layer["copies"])


ALL_LOGITS = [row for row in ROWS if row["pass"]["logit_tokens"] == row["pass"]["pass_tokens"]]
PRODUCTS = ("attention", "dense_mlp", "shared_experts", "router", "routed_experts", "lm_head")
ONE_CHIP = load_system("h100-sxm:1")


@cache
def _pass(name, batch, context, new) -> Pass:
    asked = Question(batch, context, new, refine=("attention",))
    return evaluate(_model(name), ONE_CHIP, asked)


def _computed(row):
    size = row["pass"]
    return _pass(row["name"], size["batch"], size["context"], size["pass_tokens"])


def _beside_matrices(row):
    """Two FLOP for each parameter beside the matrices and token, or copy at an expert; kernels are among them."""
    experts = _model(row["name"]).architecture.experts
    biases = experts.expert_params - sum(m.inputs * m.outputs for m in experts.expert_matrices) if experts else 0
    vectors = row["vector_numbers"] - biases * sum(layer["hit"] for layer in row["experts"])
    copies = sum(layer["copies"] for layer in row["experts"])
    return 2 * (_tokens(row) * (vectors + _sum(row, "weight_numbers", "convolution")) + copies * biases)


@pytest.mark.parametrize("name", NAMES)
def test_a_pass_on_one_chip_multiplies_what_was_counted(name):
    """The matrices' arithmetic of the pass, of every batch, context and length; without expanding a cached context."""
    for row in (row for row in ALL_LOGITS if row["name"] == name and row["form"] != "expanded"):
        expected = _sum(row, "flop", *PRODUCTS) + _beside_matrices(row)
        assert float(_computed(row).matmul_flop) == pytest.approx(expected, rel=1e-12), row["pass"]  # expected shares


def _plainly_cached(name):
    """Whether a model keeps keys and values alone, in full or in windows: no states, no index, no chunks."""
    first = _of(name)[0]
    return first["config"]["model_type"] not in CHUNKED and not any(
        layer["states"] or layer["index_after"] for layer in first["cache"]
    )


@pytest.mark.parametrize("name", [name for name in NAMES if _plainly_cached(name)])
def test_a_pass_on_one_chip_attends_as_counted(name):
    """With attention it is the arithmetic of the whole pass, on latents in the cheaper of the two forms."""
    sizes = {tuple(row["pass"].values()): row for row in ALL_LOGITS if row["name"] == name}
    for size, row in sizes.items():
        forms = [
            _sum(form, "flop", *PRODUCTS) + sum(layer["flop"] for layer in form["attention"]) + _beside_matrices(form)
            for form in _of(name)
            if tuple(form["pass"].values()) == size
        ]
        assert float(_computed(row).pass_flop) == pytest.approx(min(forms), rel=1e-12), size


@pytest.mark.parametrize("name", NAMES)
def test_a_pass_on_one_chip_streams_what_was_counted(name):
    """All weights but the look-ups, and the cached numbers that the new tokens may see, a window's edge apart."""
    model = _model(name)
    for row in (row for row in ALL_LOGITS if row["name"] == name):
        computed = _computed(row)
        bytes_per_param = model.weight_dtype.bytes_per_number
        assert float(computed.weights_bytes) == (row["params"] - row["lookup_params"]) * bytes_per_param
        if not _plainly_cached(name):
            continue  # these read more than the keys and values that are seen, or fewer
        kept = [group.kept for group in _groups(row)[0]]
        edge = sum(one.numbers for one in kept if row["pass"]["context"] >= min(one.reach)) * row["pass"]["batch"]
        read = sum(layer["read"] for layer in row["cache"]) + edge
        assert float(computed.kv_bytes) == read * model.kv_dtype.bytes_per_number, row["pass"]


def _apart(row):
    """The same pass taken apart, with activations, and logits of as many tokens as were counted."""
    size = row["pass"]
    logits = ("logits",) if size["logit_tokens"] < size["pass_tokens"] else ()
    asked = Question(size["batch"], size["context"], size["pass_tokens"], by_operator=True,
                     refine=("attention", "activations", *logits), beyond_memory=True)  # fmt: skip
    return evaluate(_model(row["name"]), ONE_CHIP, asked)


@pytest.mark.parametrize("name", NAMES)
def test_each_operator_on_the_sheet_does_reads_and_moves_what_was_counted(name):
    """Part by part: arithmetic of the matrices, bytes of their weights, and of what goes in and comes out.

    Experts' weights depend on which were hit, and what joined matrices take in is read once there; those two are left
    to the tests above.
    """
    joined = _of(name)[0]["config"]["model_type"] in JOINED
    for row in _of(name, "plain"):
        assert row["pass"]["logit_tokens"] in (1, row["pass"]["pass_tokens"])
        found = _apart(row)
        done, read, moved = Counter(), Counter(), Counter()
        for one in found.rows:
            if one.multiply is None or not one.multiply.outputs:
                continue
            kind = "lm_head" if one.multiply.tokens == "head" else one.part
            biases = one.multiply.per_layer - one.multiply.inputs * one.multiply.outputs
            beside = 2 * biases * one.multiply.layers * one.multiply.times * float(found.value(one.tokens))
            done[kind] += float(found.value(one.flop)) - beside
            read[kind] += float(found.value(one.weight_bytes))
            moved[kind] += float(found.value(one.moved_bytes))
        for kind in PRODUCTS:
            assert done[kind] == pytest.approx(_sum(row, "flop", kind), rel=1e-12), (kind, row["pass"])
        for kind in PRODUCTS[:4]:
            biases = sum(
                (one.multiply.per_layer - one.multiply.inputs * one.multiply.outputs)
                * one.multiply.layers * one.multiply.times
                for one in found.rows if one.multiply and one.multiply.outputs and one.part == kind
                and one.multiply.tokens == "rank"
            )  # fmt: skip
            stored = 2 * (_sum(row, "weight_numbers", kind) + biases)
            assert read[kind] == pytest.approx(stored, rel=1e-12), (kind, row["pass"])
            if not joined:  # like matrices of a block are one product here, and read their input once
                again = sum(
                    one.multiply.layers * (one.multiply.times - 1) * one.multiply.inputs
                    * float(found.value(one.tokens))
                    for one in found.rows if one.multiply and one.multiply.outputs and one.part == kind
                    and one.multiply.tokens == "rank"
                )  # fmt: skip
                counted = 2 * (_sum(row, "in_numbers", kind) - again + _sum(row, "out_numbers", kind))
                assert moved[kind] == pytest.approx(counted, rel=1e-12), (kind, row["pass"])
