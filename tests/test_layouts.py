"""A pass operator by operator on a layout: its laws, what the blackboard says of it, memory, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import booleans, integers, sampled_from, sets

import headway
from headway.catalog import model_names
from headway.errors import BadInput, Infeasible
from headway.hardware import load_system
from headway.model.config import load_model
from headway.model.model import bare_model
from headway.step.first_order import evaluate
from headway.step.layout import read_layout
from headway.step.question import PLAIN_REFINEMENTS, REFINEMENTS, Draft, Question

ONE_ROUNDING = 1e-9  # of relative error: sums over dozens of operators, added up in another order
DENSE, ROUTED = ("llama-3.1-70b", "qwen3-8b"), ("deepseek-v3", "mixtral-8x7b", "qwen3-235b-a22b", "gpt-oss-120b")
MODELS = (*DENSE, *ROUTED, "gemma-3-27b")
UNBOUNDED = ("llama-3.1-70b", "qwen3-8b", "deepseek-v3", "mixtral-8x7b", "qwen3-235b-a22b")  # no windows
WORK = ("pass_flop", "weights_bytes", "kv_bytes")

models, batches, contexts = sampled_from(MODELS), integers(1, 4096), integers(0, 131_072)
lengths = sampled_from((1, 2, 5, 512, 8192))
refinements = sets(sampled_from(REFINEMENTS)).map(sorted).map(tuple)


def ask(model, on, layout="", changes=None, *, beyond_memory=True, **asked):
    """A pass of a model on a system, whether it fits or not."""
    model = load_model(model) if isinstance(model, str) else model
    laid = read_layout(layout) if isinstance(layout, str) and layout else layout or None
    return evaluate(model, load_system(on), Question(layout=laid, beyond_memory=beyond_memory, **asked), changes)


def sums(result, kind):
    """A kind of work, row by row, added up."""
    return sum(result.sheet.value(name) for row in result.rows if (name := getattr(row, kind)))


def values(result):
    """All numbers of a sheet."""
    return {cell.quantity.name: cell.quantity.value for cell in result.sheet}


def assert_same(one, other, but=()):
    """Of two passes every number that both have is the same."""
    ones, others = values(one), values(other)
    shared = [name for name in ones if name in others and name not in but]
    assert {"step_s", "t_compute_s", "t_weights_s", "t_kv_s", "matmul_flop", "tokens_per_s"} <= set(shared)
    for name in shared:
        assert (ones[name] is None) == (others[name] is None), name
        if ones[name] is not None:
            pair = np.broadcast_arrays(ones[name], others[name])
            np.testing.assert_allclose(*pair, rtol=ONE_ROUNDING, err_msg=name)


# The blackboard

CATALOGUED = model_names()
POINTS = {"batch": [1, 300], "context_tokens": [0, 30_000], "pass_tokens": [1, 7]}


@pytest.mark.parametrize("refine", [(), ("attention",), ("attention", "communication")], ids=len)
def test_operators_add_up_to_the_blackboard(refine):
    """Of every catalogued model each number that both have is the same; the balance context has no closed form."""
    for model in CATALOGUED:
        whole, taken_apart = (ask(model, "gb200-nvl72", refine=refine, by_operator=apart, **POINTS) for apart in (0, 1))
        assert not whole.rows
        assert len(taken_apart.rows) > 5
        assert_same(whole, taken_apart, but=("balance_context",))
        assert taken_apart.balance_context is None


def test_expert_hits_add_up_to_the_blackboard():
    """Of every model the experts that a batch hits are the same bytes, whatever formats its parts are stored in."""
    for name in CATALOGUED:
        model = load_model(name)
        whole, taken_apart = (ask(model, "gb200-nvl72", refine=PLAIN_REFINEMENTS, by_operator=apart, **POINTS)
                              for apart in (0, 1))  # fmt: skip
        assert_same(whole, taken_apart, but=("balance_context",))
        of_all = ask(model, "gb200-nvl72", batch=10**6, refine=("expert-hits",), by_operator=True).weights_bytes
        assert of_all == pytest.approx(ask(model, "gb200-nvl72", batch=10**6).weights_bytes, rel=ONE_ROUNDING)


@given(model=models, batch=batches, tokens=contexts, q=lengths, refine=refinements)
def test_one_chip_laid_out_is_one_chip(model, batch, tokens, q, refine):
    """The layout tp1 changes no term; of memory it has all that the runtime leaves, and no layout has 90 %."""
    asked = {"batch": batch, "context_tokens": tokens, "pass_tokens": q, "refine": refine}
    one, laid = (ask(model, "gb200", layout, by_operator=True, **asked) for layout in ("", "tp1"))
    memory = ("largest_batch", "largest_context", "largest_length", "room_per_sequence_bytes")
    rooms = [name for name in values(one) if name.startswith("largest_length_")]
    assert_same(one, laid, but=(*memory, *rooms))
    stored = laid.chip_weights_bytes
    assert stored == pytest.approx(one.stored_weight_bytes, rel=ONE_ROUNDING)
    kept = laid.chip_activation_bytes + laid.runtime_reserve_bytes
    assert laid.chip_needed_bytes == pytest.approx(one.needed_bytes + kept, rel=ONE_ROUNDING)


# Degrees


@pytest.mark.parametrize("ways", [2, 4, 8])
@pytest.mark.parametrize("model", DENSE)
def test_a_dense_model_is_cut_into_equal_parts(model, ways):
    """Where heads and features divide, a chip has its part of matrices, cache and arithmetic; norms it has whole."""
    one, cut = (ask(model, "h100-sxm:8", f"tp{n}", batch=64, refine=("attention",)) for n in (1, ways))
    whole = sums(one, "weight_bytes"), one.pass_flop
    norms, norm_flop = (one.sheet.value(f"norms_{kind}") for kind in ("weight_bytes", "flop"))
    vectors = sum(one.sheet.value(row.weight_bytes) for row in one.rows if row.name == "attention_vectors")
    assert cut.kv_bytes == pytest.approx(one.kv_bytes / ways, rel=ONE_ROUNDING)
    assert norms / whole[0] < 1e-3
    shared = norms + vectors
    assert cut.weights_bytes == pytest.approx((whole[0] - shared) / ways + shared, rel=ONE_ROUNDING)
    shared_flop = norm_flop + vectors * 64  # two FLOP for a parameter of two bytes and each of 64 tokens
    assert cut.pass_flop == pytest.approx((whole[1] - shared_flop) / ways + shared_flop, rel=ONE_ROUNDING)


@given(model=sampled_from(DENSE), n=integers(1, 8), batch=integers(1, 512), tokens=contexts, q=lengths,
       refine=refinements)  # fmt: skip
def test_ranks_with_sequences_of_their_own_serve_more_of_them_in_the_same_time(model, n, batch, tokens, q, refine):
    """With `dp` alone and no experts apart: n times the batch in the same work; a dense model exchanges nothing."""
    asked = {"context_tokens": tokens, "pass_tokens": q, "refine": refine}
    one = ask(model, "gb200-nvl72", "tp2", batch=batch, **asked)
    all_of_them = ask(model, "gb200-nvl72", f"tp2 dp{n}", batch=batch * n, **asked)
    assert all_of_them.step_s == one.step_s
    assert all_of_them.tokens_per_s == pytest.approx(n * one.tokens_per_s)
    assert all_of_them.chip_kv_bytes == one.chip_kv_bytes


@given(stages=sampled_from((1, 2, 4, 5, 8, 10)), batch=integers(1, 512), tokens=contexts, refine=refinements)
def test_stages_divide_memory_and_keep_the_way(stages, batch, tokens, refine):
    """A token passes the same weights; as many micro-batches as stages are in flight, each chip with its layers."""
    asked = {"context_tokens": tokens, "refine": refine}
    one = ask("llama-3.1-70b", "gb200-nvl72", "pp1", batch=batch, **asked)
    staged = ask("llama-3.1-70b", "gb200-nvl72", f"pp{stages}", batch=batch * stages, **asked)
    for name in ("work_s", "weights_bytes", "kv_bytes", "matmul_flop", "chip_kv_bytes"):
        assert getattr(staged, name) == pytest.approx(getattr(one, name), rel=ONE_ROUNDING), name
    assert staged.step_s == pytest.approx(one.step_s + staged.t_hops_s)
    assert (staged.t_hops_s > 0) == ("communication" in refine and stages > 1)
    ends = max(staged.head_bytes, staged.embedding_bytes) if stages > 1 else staged.head_bytes + staged.embedding_bytes
    assert staged.chip_weights_bytes == pytest.approx(one.layers_bytes / stages + ends, rel=ONE_ROUNDING)


@given(model=models, batch=batches, tokens=contexts, q=lengths)
def test_a_chip_alone_sends_nothing(model, batch, tokens, q):
    """Tensor-parallel 1 is no communication: no time, no message, no byte."""
    alone = ask(model, "gb200-nvl72", "tp1", batch=batch, context_tokens=tokens, pass_tokens=q, refine=REFINEMENTS)
    assert alone.t_comm_s == alone.t_hops_s == 0
    collectives = [row.comm for row in alone.rows if row.comm]
    assert "reduce" in collectives
    assert all(alone.sheet.value(f"{name}_sent_bytes") == alone.sheet.value(f"{name}_messages") == 0
               for name in collectives)  # fmt: skip


@pytest.mark.parametrize(("layout", "sent"), [
    ("tp8", {"reduce", "embed", "gather"}), ("dp8", {"spread", "sums"}),
    ("dp8 ep8", {"dispatch", "combine"}), ("tp8 ep8", {"reduce", "embed", "gather"}), ("pp2", {"hops"}),
    ("tp4 dp2 ep8", {"reduce", "embed", "gather", "dispatch", "combine"}),
    ("cp8 ep8", {"share_context", "dispatch", "combine"}),
])  # fmt: skip
def test_every_degree_has_its_collectives(layout, sent):
    """Sums within a tensor-parallel group, tokens to experts and back where ranks have their own, hops, rings."""
    result = ask("deepseek-v3", "h100-sxm:8", layout, batch=64, refine=("communication",))
    rows = {row.name: row.comm for row in result.rows if row.comm}
    assert {name for name, comm in rows.items() if result.sheet.value(f"{comm}_s") > 0} == sent


def test_redundant_experts_take_memory_and_even_out_the_load():
    """256 experts and 32 copies are four on each of 72 ranks; the busiest of them has less to do."""
    asked = {"batch": 72 * 64, "refine": REFINEMENTS, "changes": {"expert_skew": 4}}
    plain = ask("deepseek-v3", "gb200-nvl72", "dp72 ep72", **asked)
    more = ask("deepseek-v3", "gb200-nvl72", "dp72 ep72 redundant32", **asked)
    assert (plain.experts_held, more.experts_held) == (4, 4)  # 256 = 72 x 3 + 40: some ranks have four anyway
    assert more.placed_imbalance < plain.placed_imbalance
    assert more.copies < plain.copies
    assert more.step_s < plain.step_s


# More chips, never more work on a chip


@given(
    model=models, batch=batches, tokens=contexts, q=lengths, refine=refinements,
    wider=sampled_from(("tp", "dp", "cp", "pp", "dp ep")), tp=sampled_from((1, 2, 4)), dp=sampled_from((1, 2, 3)),
    cp=sampled_from((1, 2)), pp=sampled_from((1, 2, 3, 5)), own=booleans(), chunk=sampled_from((0, 100)),
)  # fmt: skip
def test_more_chips_are_never_more_work_for_one(model, batch, tokens, q, refine, wider, tp, dp, cp, pp, own, chunk):
    """Any degree doubled, at the same batch: a chip multiplies, reads and holds no more, apart from buffers."""
    routed = load_model(model).architecture.experts is not None
    ep = math.gcd(dp * cp * tp, 8) if own and routed else 1
    degrees = {"tp": tp, "dp": dp, "cp": cp, "pp": pp, "ep": ep}
    more = degrees | {name: 2 * degrees[name] for name in wider.split() if name != "ep" or (ep < 8 and routed)}
    texts = [" ".join(f"{name}{n}" for name, n in one.items()) + " pad" for one in (degrees, more)]
    if "dp" in wider:  # where sequences do not go round, each rank is given one, and sends it to the experts
        batch *= 2 * dp * pp
    refine = tuple({*refine, "attention"})
    asked = {"batch": batch, "context_tokens": tokens, "pass_tokens": q, "refine": refine, "chunk_tokens": chunk}
    few, many = (ask(model, "gb200-nvl72:8", text, **asked) for text in texts)
    of_few, of_many = (
        {name: float(getattr(one, name)) for name in WORK}
        | {"needed": float(one.chip_needed_bytes - one.buffered_chips * one.collective_buffer_bytes)}
        for one in (few, many)
    )
    for name in WORK:  # a stage's chip does one of so many parts of the way
        of_few[name], of_many[name] = of_few[name] / pp, of_many[name] / more["pp"]
    for name, work in of_many.items():
        assert work <= of_few[name] * (1 + ONE_ROUNDING), name


@given(model=models, one=integers(1, 999), other=integers(1, 999), tokens=contexts, q=lengths, laid=booleans(),
       refine=refinements)  # fmt: skip
def test_splitting_a_batch_conserves_arithmetic_and_cache_and_reads_weights_twice(
    model, one, other, tokens, q, laid, refine
):
    """FLOP and bytes of the cache of two passes are those of the pass of all; weights are read once in each."""
    refine = tuple({*refine, "attention"} - {"imbalance", "expert-hits"})
    ranks = 4 if laid else 1
    asked = {"by_operator": True, "context_tokens": tokens, "pass_tokens": q, "refine": refine}
    layout = "tp2 dp2 pp2 pad" if laid else ""
    parts = [ask(model, "gb200-nvl72", layout, batch=batch * ranks, **asked) for batch in (one, other, one + other)]
    for name in ("matmul_flop", "pass_flop", "kv_bytes"):
        first, second, both = (getattr(part, name) for part in parts)
        assert first + second == pytest.approx(both, rel=ONE_ROUNDING), name
    first, second, both = (part.weights_bytes for part in parts)
    assert first == second == both


@given(model=models, batch=batches, tokens=contexts, chunk=integers(1, 8192), before=contexts, refine=refinements)
def test_a_mixed_pass_does_the_work_of_both(model, batch, tokens, chunk, before, refine):
    """Arithmetic and cache of those that decode and of the chunk add up; the weights are read once."""
    refine = tuple({*refine, "attention"} - {"imbalance", "expert-hits"})
    decode = ask(model, "gb200-nvl72", "tp4", batch=batch, context_tokens=tokens, refine=refine)
    prefill = ask(model, "gb200-nvl72", "tp4", batch=1, context_tokens=before, pass_tokens=chunk, refine=refine)
    mixed = ask(model, "gb200-nvl72", "tp4", batch=batch, context_tokens=tokens, refine=refine, chunk_tokens=chunk,
                chunk_context_tokens=before)  # fmt: skip
    for name in ("matmul_flop", "pass_flop", "kv_bytes"):
        assert getattr(mixed, name) == pytest.approx(getattr(decode, name) + getattr(prefill, name), rel=ONE_ROUNDING)
    assert mixed.weights_bytes == decode.weights_bytes == prefill.weights_bytes
    assert mixed.work_s <= (decode.work_s + prefill.work_s) * (1 + ONE_ROUNDING)


LAYOUTS = ("", "tp8 pad", "dp8 ep8", "tp2 dp2 pp2 pad", "cp4 tp2 pad", "pp3 dp2 pad", "dp3 pad", "tp4 dp2 ep8")


def suiting(model, layout):
    """The layout, without experts of their own where a model has none."""
    return layout.replace("ep8", "") if load_model(model).architecture.experts is None else layout


@given(
    model=models, layout=sampled_from(LAYOUTS), batch=batches, tokens=contexts, q=lengths, refine=refinements,
    overlap=sampled_from((0.0, 0.5, 1.0, "two-batch")), sends=sampled_from(("each", "domain")),
    axis=sampled_from(("batch", "context_tokens", "pass_tokens")), more=integers(1, 10_000),
)  # fmt: skip
def test_more_of_anything_never_shortens_a_pass(model, layout, batch, tokens, q, refine, overlap, sends, axis, more):
    """Along the batch, the context and the pass length no time falls, whatever the layout and the refinements."""
    layout = suiting(model, layout)
    asked = {"batch": batch, "context_tokens": tokens, "pass_tokens": q, "refine": refine, "sends": sends,
             "by_operator": True, "overlap": overlap if layout else 0.0}  # fmt: skip
    asked[axis] = [asked[axis], asked[axis] + more]
    result = ask(model, "gb200-nvl72", layout, **asked)
    for name in ("step_s", "work_s", "t_compute_s", "t_memory_s", "t_weights_s", "t_kv_s", "t_hops_s"):
        less, most = np.broadcast_to(result.sheet.value(name), result.grid).ravel()
        assert most >= less * (1 - ONE_ROUNDING), name


# Sums


@given(model=models, layout=sampled_from(LAYOUTS), batch=batches, tokens=contexts, q=lengths, refine=refinements,
       chunk=sampled_from((0, 300)), halves=booleans())  # fmt: skip
def test_the_terms_are_the_sums_of_the_operators(model, layout, batch, tokens, q, refine, chunk, halves):
    """FLOP, weights, cache and activations, row by row; one after the other takes no longer than all terms together."""
    layout = suiting(model, layout)
    refine = tuple({*refine, "attention", "activations"})
    asked = {"batch": batch, "context_tokens": tokens, "pass_tokens": q, "chunk_tokens": chunk, "by_operator": True,
             "overlap": "two-batch" if halves and layout else 0.0}  # fmt: skip
    apart, whole = (ask(model, "h100-sxm:16", layout, **asked, refine=tuple({*refine} - {"communication"} - off))
                    for off in (set(), {"operators"}))  # fmt: skip
    for result in (apart, whole):
        for total, kind in (("pass_flop", "flop"), ("weights_bytes", "weight_bytes"), ("kv_bytes", "kv_bytes"),
                            ("activation_bytes_moved", "moved_bytes")):  # fmt: skip
            assert sums(result, kind) == pytest.approx(result.sheet.value(total), rel=ONE_ROUNDING), total
        assert result.t_memory_s == pytest.approx(
            result.t_weights_s + result.t_kv_s + result.t_activations_s, rel=ONE_ROUNDING
        )
        least, most = max(result.t_compute_s, result.t_memory_s), result.t_compute_s + result.t_memory_s
        assert least * (1 - ONE_ROUNDING) <= result.work_s <= most * (1 + ONE_ROUNDING)
    assert apart.t_compute_s == whole.t_compute_s
    if "operators" not in refine:
        assert apart.work_s == max(apart.t_compute_s, apart.t_memory_s)


@given(model=models, layout=sampled_from(LAYOUTS), batch=batches, tokens=contexts, q=lengths, refine=refinements)
def test_no_pass_does_more_than_the_machine_can(model, layout, batch, tokens, q, refine):
    """Useful arithmetic over the peak, and bytes over the bandwidth, never pass one."""
    layout = suiting(model, layout)
    refine = tuple({*refine} - {"formats"})  # a part may be faster than most
    result = ask(model, "gb200-nvl72", layout, batch=batch, context_tokens=tokens, pass_tokens=q, refine=refine,
                 by_operator=True)  # fmt: skip
    assert 0 < result.mfu <= 1 + ONE_ROUNDING
    assert 0 < result.mbu <= 1 + ONE_ROUNDING


# Experts


@given(layout=sampled_from(("dp8 ep8", "tp8 ep4", "tp8", "dp2 tp2 ep4")), batch=integers(1, 2000),
       more=integers(1, 2000), model=sampled_from(("deepseek-v3", "qwen3-235b-a22b", "mixtral-8x7b")))  # fmt: skip
def test_a_pass_reads_of_its_experts_at_most_all_and_more_with_more_tokens(layout, batch, more, model):
    """Experts read grow with the tokens of the stage, up to those that the chip holds."""
    one, other = (ask(model, "h100-sxm:8", layout, batch=n, refine=("expert-hits",)) for n in (batch, batch + more))
    k, n = one.experts_per_token, one.n_experts
    assert one.experts_held == math.ceil(n / one.expert_parallel)
    assert k / n * one.experts_held <= one.experts_read <= other.experts_read <= one.experts_held
    assert ask(model, "h100-sxm:8", layout, batch=10**6, refine=("expert-hits",)).experts_read == pytest.approx(
        one.experts_held)  # fmt: skip
    assert ask(model, "h100-sxm:8", layout, batch=1).experts_read == one.experts_held


@pytest.mark.parametrize("layout", ["tp8", "tp8 ep8", "tp8 ep2"])
def test_one_token_reads_the_experts_that_it_uses(layout):
    """Summed over the ranks: eight of 256, however they are dealt out; the busiest rank may have more of them."""
    asked = {"batch": 1, "refine": ("expert-hits",)}
    one = ask("deepseek-v3", "h100-sxm:8", layout, **asked)
    assert one.experts_read * one.expert_parallel == pytest.approx(8)
    busy = ask("deepseek-v3", "h100-sxm:8", layout, batch=1, refine=("expert-hits", "imbalance"))
    assert one.experts_read * (1 - ONE_ROUNDING) <= busy.experts_read <= 8 * (1 + ONE_ROUNDING)


# What is hidden, drafted, handed over


@given(model=sampled_from(ROUTED), batch=batches, tokens=contexts, q=lengths, some=integers(0, 10))
def test_what_is_hidden_is_not_waited_for(model, batch, tokens, q, some):
    """A share of the communication is hidden behind work, never more than the work takes; hops never are."""
    asked = {"batch": batch, "context_tokens": tokens, "pass_tokens": q, "refine": REFINEMENTS}
    shown, hidden = (ask(model, "h100-sxm:16", "dp8 ep8 pp2", overlap=share, **asked) for share in (0.0, some / 10))
    assert shown.t_comm_s == shown.comm_s == hidden.comm_s
    behind = min(some / 10 * shown.comm_s, shown.work_s)
    assert hidden.t_comm_s == pytest.approx(max(shown.comm_s - behind, 0), abs=1e-15)
    assert hidden.step_s == pytest.approx(hidden.work_s + hidden.t_comm_s + hidden.t_hops_s)
    assert hidden.t_hops_s == shown.t_hops_s > 0


def test_a_prefill_that_is_handed_over_shows_its_token_later():
    """The pass itself takes as long; the cache of a chip then crosses its network, whatever is refined."""
    for refine in ((), REFINEMENTS):
        asked = {"batch": 1, "context_tokens": 0, "pass_tokens": 8000, "refine": refine}
        plain, handed = (ask("llama-3.1-70b", "h100-sxm:8", "tp8", handed_over=over, **asked) for over in (False, True))
        assert handed.step_s == plain.step_s
        sent = handed.chip_kv_bytes / handed.scaleout_bytes_per_s + handed.scaleout_latency_s
        assert handed.first_token_s == pytest.approx(plain.step_s + sent)


def test_drafted_tokens_make_more_of_a_pass():
    """The tokens kept are a truncated geometric series; the drafter takes its passes, and its room on the chip."""
    asked = {"batch": 8, "refine": REFINEMENTS}
    small = load_model("llama-3.1-8b")
    plain, once = (ask(model, "h100-sxm:8", "tp8", **asked) for model in ("llama-3.1-70b", "llama-3.1-8b"))
    drafted = ask("llama-3.1-70b", "h100-sxm:8", "tp8", draft=Draft(small, 3, 0.5), pass_tokens=4, **asked)
    assert drafted.made_tokens == 1 + 0.5 + 0.25 + 0.125
    assert drafted.t_draft_s == 3 * once.step_s
    assert drafted.step_s - drafted.t_draft_s > plain.step_s  # logits of all four tokens
    assert drafted.tokens_per_s == pytest.approx(8 * 1.875 / drafted.step_s)
    held = once.chip_weights_bytes + once.chip_kv_bytes + once.chip_activation_bytes
    own = drafted.chip_weights_bytes + drafted.chip_kv_bytes + drafted.chip_activation_bytes
    beside = drafted.buffered_chips * drafted.collective_buffer_bytes + drafted.runtime_reserve_bytes
    assert drafted.chip_needed_bytes == pytest.approx(own + held + beside, rel=ONE_ROUNDING)
    assert drafted.largest_batch < plain.largest_batch


def test_a_rejected_draft_is_no_useful_work():
    """Utilisation counts the tokens that are kept: none but the pass's own where nothing is accepted."""
    small = load_model("llama-3.1-8b")
    asked = {"batch": 8, "refine": (), "pass_tokens": 5}
    kept = {a: ask("llama-3.1-70b", "h100-sxm:8", "tp8", draft=Draft(small, 4, a), **asked) for a in (0.0, 1.0)}
    assert kept[1.0].mfu == pytest.approx(5 * kept[0.0].mfu)
    assert kept[0.0].step_s == kept[1.0].step_s


def test_a_module_of_the_model_shares_embedding_and_head():
    """Of the module for the next token only its layer is held once more."""
    plain, drafted = (
        headway.roofline("deepseek-v3", on="h200-sxm:8", layout="dp8 ep8", batch=64, draft=who) for who in (None, "mtp")
    )
    assert 0 < drafted.draft_weights_bytes < plain.chip_weights_bytes / 40  # one layer of 61, and it is no dense one
    assert drafted.draft_weights_bytes > plain.layers_bytes / 61  # a routed layer is more than the mean
    assert drafted.largest_batch < plain.largest_batch


def test_fewer_sequences_than_ranks_are_counted_once():
    """One sequence on eight ranks reads no more experts than it chooses, and a batch that fills them reads more."""
    passes = [headway.roofline("deepseek-v3", on="h200-sxm:8", layout="dp8 ep8", batch=n) for n in (1, 4, 8)]
    read = [float(one.experts_read) for one in passes]
    assert 1 <= read[0] < read[1] < read[2]
    assert read[0] < 8  # all its experts on one rank
    assert [float(one.stage_tokens) for one in passes] == [1, 4, 8]


def test_a_single_sequence_has_no_halves():
    """Two batches hide each other's messages only where there are two sequences on a rank."""
    asked = {"on": "h200-sxm:16", "layout": "dp16 ep16"}
    for batch, halves in ((16, 1), (32, 2)):
        whole, two = (headway.roofline("deepseek-v3", batch=batch, overlap=how, **asked) for how in (0.0, "two-batch"))
        assert two.sub_batches == halves
        assert (two.step_s == whole.step_s) == (halves == 1)


def test_the_busiest_rank_slows_the_exchange_too():
    """Uneven routing crowds the links of the rank that is wanted most; copies of busy experts even it out."""
    asked = {"on": "h100-sxm:64", "batch": 8192}
    even, skewed, copied = (
        headway.roofline("deepseek-v3", layout=layout, changes={"expert_skew": skew}, **asked)
        for layout, skew in (("dp64 ep64", 1), ("dp64 ep64", 6), ("dp64 ep64 redundant64", 6))
    )
    assert skewed.t_comm_s > 1.2 * even.t_comm_s
    assert copied.t_comm_s < 1.02 * even.t_comm_s
    with pytest.raises(BadInput, match="from 1 to 32 here"):
        headway.roofline("deepseek-v3", layout="dp64 ep64", changes={"expert_skew": 33}, **asked)


# Published figures

IN_ONE_BYTE = tuple(f"{part}_bytes_per_param" for part in (
    "lm_head", "router", "norm", "attention", "dense_mlp", "routed_experts", "shared_experts"))  # fmt: skip


def test_deepseek_v3_on_64_h100_reads_what_attention_replicates_and_its_experts():
    """7.9 ms where every parameter is one byte; 8.2 ms as it is stored, with head, norms and router in bf16."""
    asked = {"model": "deepseek-v3", "on": "h100-sxm:64", "layout": "dp64 ep64"}
    assert ask(**asked, changes=dict.fromkeys(IN_ONE_BYTE, 1)).t_weights_s == pytest.approx(7.9e-3, rel=0.01)
    assert ask(**asked).t_weights_s == pytest.approx(8.2e-3, rel=0.01)
    assert ask(
        "deepseek-v3",
        "h100-sxm:64",
        changes=dict.fromkeys(("weight_bytes_per_param", *IN_ONE_BYTE), 1),
        by_operator=True,
    ).t_weights_s == pytest.approx(3.1e-3, rel=0.01)  # shared evenly, as no engine can


def test_a_latent_is_one_piece_and_kv_heads_are_copied_beyond_their_number():
    """Every tensor-parallel chip has the whole latent; of grouped keys and values no less than one head."""
    latent = {ways: ask("deepseek-v3", "h100-sxm:16", f"tp{ways}").kv_bytes for ways in (1, 8, 16)}
    assert latent[1] == latent[8] == latent[16] > 0
    heads = {ways: ask("llama-3.1-70b", "h100-sxm:64", f"tp{ways}").kv_bytes for ways in (1, 4, 8, 16, 64)}
    assert [heads[1] / one for one in heads.values()] == [1, 4, 8, 8, 8]


@pytest.mark.parametrize(("ranks", "way", "bytes_per_s", "seconds"), [
    (8, "dispatch", 98e9, 77e-6), (8, "combine", 127e9, 114e-6), (256, "dispatch", 39e9, 194e-6),
    (256, "combine", 40e9, 360e-6),
])  # fmt: skip
def test_exchanges_with_experts_carry_what_deepep_published(ranks, way, bytes_per_s, seconds):
    """128 tokens a rank to 8 experts each, 7168 wide: fp8 with scales of 4 B for 128 out, bf16 back.

    DeepEP's docs/legacy.md (dd758ca) prints bandwidth and time of its low-latency kernels: claims D02 to D04, and the
    combine over 256 ranks. Bytes over bandwidth are its times within 3 %.
    """
    result = ask("deepseek-v3", "h100-sxm:256", f"dp{ranks} ep{ranks}", batch=128 * ranks, refine=("communication",))
    payload = result.sheet.value(f"{way}_payload_bytes")
    assert payload == 128 * 8 * 7168 * {"dispatch": 1 + 4 / 128, "combine": 2}[way]
    assert payload / bytes_per_s == pytest.approx(seconds, rel=0.03)


# Memory


def test_llama_70b_in_fp8_fits_one_h100_with_little_to_spare():
    """72.7 GB of weights and 1.9 GB of the runtime leave room for eight sequences of 2k tokens, or 16k of one."""
    model = load_model("llama-3.1-70b", weight_dtype="fp8")
    result = ask(model, "h100-sxm", "tp1", batch=1, context_tokens=2048, refine=REFINEMENTS, beyond_memory=False)
    assert result.fits
    assert result.chip_weights_bytes == pytest.approx(72.7e9, rel=1e-3)
    assert 0.93 < result.chip_needed_bytes / result.memory_bytes < 1
    assert result.largest_batch == 8
    assert result.largest_context == pytest.approx(16_500, rel=0.01)
    for batch in (8, 9):
        assert ask(model, "h100-sxm", "tp1", batch=batch, context_tokens=2048, refine=REFINEMENTS).fits == (batch == 8)


def test_what_does_not_fit_is_refused_with_the_arithmetic_and_the_nearest_that_fits():
    """In bf16 weights alone are too many for one H100; in fp8 too large a batch is, and so is too long a context."""
    with pytest.raises(Infeasible) as refused:
        ask("llama-3.1-70b", "h100-sxm", "tp1", batch=1, context_tokens=2048, beyond_memory=False)
    assert str(refused.value) == (
        "llama-3.1-70b as tp1 does not fit on h100-sxm: weights 141 GB + KV cache 671 MB (1 of 1 sequences, 2,049 "
        "tokens each) + "
        "activations 677 kB + runtime and buffers 1.92 GB > 80.0 GB of a chip; the weights alone are too many; tp2 "
        "on 2 chips would hold them, or a narrower --weight-dtype"
    )  # fmt: skip
    model = load_model("llama-3.1-70b", weight_dtype="fp8")
    with pytest.raises(
        Infeasible, match=r"64 of 64 sequences, 2,049 tokens each.* > 80\.0 GB of a chip; it fits with 8 such sequences"
    ):
        ask(model, "h100-sxm", "tp1", batch=64, context_tokens=2048, beyond_memory=False)
    with pytest.raises(
        Infeasible, match=r"1 of 1 sequences, 100,001 tokens each.*; it fits with 16,\d\d\d tokens of context"
    ):
        ask(model, "h100-sxm", "tp1", batch=1, context_tokens=100_000, beyond_memory=False)


@given(model=models, layout=sampled_from(LAYOUTS[1:]), batch=integers(1, 300), tokens=integers(0, 20_000),
       refine=refinements)  # fmt: skip
def test_the_largest_batch_fits_and_a_larger_one_does_not(model, layout, batch, tokens, refine):
    """On the fullest chip, whatever batch was asked; one more round of sequences is one too many."""
    layout = suiting(model, layout)
    asked = {"context_tokens": tokens, "refine": refine}
    most = float(ask(model, "gb200-nvl72", layout, batch=batch, **asked).largest_batch)
    ranks = read_layout(layout).data_parallel
    assert most % ranks == 0
    if most:
        assert ask(model, "gb200-nvl72", layout, batch=most, **asked).fits
    if "imbalance" not in refine:  # experts of larger batches are busied more evenly
        assert not ask(model, "gb200-nvl72", layout, batch=most + ranks, **asked).fits


@given(model=sampled_from(UNBOUNDED), layout=sampled_from(LAYOUTS[1:]), batch=integers(1, 300), tokens=contexts)
def test_the_largest_context_fits_and_a_longer_one_does_not(model, layout, batch, tokens):
    """At the batch that was asked, where all layers are dealt out alike."""
    layout = suiting(model, layout)
    most = float(ask(model, "gb200-nvl72", layout, batch=batch, context_tokens=tokens).largest_context)
    if most:
        assert ask(model, "gb200-nvl72", layout, batch=batch, context_tokens=most * (1 - 1e-9)).fits
    assert not ask(model, "gb200-nvl72", layout, batch=batch, context_tokens=most + 2).fits


# What no engine can run


@pytest.mark.parametrize(("model", "layout", "why"), [
    ("llama-3.1-70b", "tp3", "tp3 does not divide the 64 heads of attention; 2 or 4 would"),
    ("llama-3.1-70b", "tp128", "tp128 does not divide the 64 heads of attention; 64 would"),
    ("phi-4", "tp4", "tp4 neither divides nor repeats the 10 KV heads; 2 or 5 would"),
    ("llama-3.1-70b", "dp8 ep8", "it has no routed experts for ep or redundant"),
    ("llama-3.1-8b", "pp33", "it has 32 layers for 33 stages"),
    ("mixtral-8x7b", "dp16 ep16", "it has 8 experts in a layer for 16 ranks"),
    ("deepseek-v3", "tp1024", "it takes 1,024 chips, and there are 576"),
    ("deepseek-v3", "tp8 ep3", "ep3 deals experts to the chips of a stage, tp x cp x dp = 8, "
     "and does not divide them; 2 or 4 would, or dp3 beside it"),
    ("deepseek-v3", "ep16", "ep16 deals experts to the chips of a stage, tp x cp x dp = 1, "
     "and does not divide them; 1 would, or dp16 beside it"),
    ("deepseek-v3", "dp72 ep72 redundant1",
     "256 experts and 1 redundant ones do not divide over 72 ranks; 32 redundant ones would"),
    ("deepseek-v3", "dp3", "the 2,048 features of an expert do not divide over the 3 chips that ep1 leaves; a larger "
     "ep would"),
    (bare_model(70e9, 70e9, 1e5, "bf16"), "pp2",
     "bare numbers have no layers, heads or experts to deal out; only tp is known of them"),
])  # fmt: skip
def test_a_layout_that_no_engine_runs_is_refused_with_one_that_works(model, layout, why):
    """One line that says what does not go, and what would."""
    with pytest.raises(Infeasible) as refused:
        ask(model, "gb200-nvl72:8", layout)
    assert str(refused.value).endswith(f" cannot be laid out as {layout} on gb200-nvl72:8: {why}")


@pytest.mark.parametrize(("model", "layout"), [
    ("llama-3.1-70b", "tp4"), ("llama-3.1-70b", "tp64"), ("llama-3.1-70b", "tp3 pad"), ("phi-4", "tp5"),
    ("llama-3.1-8b", "pp32"), ("deepseek-v3", "tp8 ep4"), ("deepseek-v3", "dp72 ep72 redundant32"),
    ("deepseek-v3", "dp3 ep3"), ("deepseek-v3", "dp72 ep72"), (bare_model(70e9, 70e9, 1e5, "bf16"), "tp3"),
])  # fmt: skip
def test_the_layouts_that_refusals_name_do_work(model, layout):
    """Each is answered, and takes time."""
    assert ask(model, "gb200-nvl72:8", layout, refine=("attention",) if isinstance(model, str) else ()).step_s > 0


@pytest.mark.parametrize("text", ["tp8", "tp1", "pp2 dp64 ep64", "tp2 cp4 redundant32 dp36 ep288", "tp3 pad"])
def test_a_layout_is_read_as_it_is_written(text):
    """Degrees in any order, with commas or blanks, by short or long names."""
    layout = read_layout(text)
    assert read_layout(layout.text) == layout
    assert read_layout(text.replace(" ", ", ").upper()) == layout
    assert read_layout(text.replace("tp", "tensor_parallel=")) == layout
    assert layout.chips == layout.stage_chips * layout.pipeline_parallel


@pytest.mark.parametrize(("text", "why"), [
    ("", "found ''"), ("tp", "found 'tp'"), ("8", "found '8'"), ("xx8", "found 'xx8'"), ("tp-1", "found 'tp-1'"),
    ("tp8 tp4", "gives tensor_parallel twice"), ("tp0", "must be from 1 to"), ("dp99999999", "must be from 1 to"),
])  # fmt: skip
def test_what_is_no_layout_is_refused(text, why):
    """In one line that says how a layout is written, or which degree is wrong."""
    with pytest.raises(BadInput, match=why) as refused:
        read_layout(text)
    assert "\n" not in str(refused.value)


def test_chips_may_be_idle_and_heads_empty():
    """64 of 72 chips work, and the rate of a chip counts all of them; of 5 heads a chip, 40 hold 32."""
    used = ask("deepseek-v3", "gb200-nvl72", "dp64 ep64", batch=640)
    exact = ask("deepseek-v3", "gb200:64", "dp64 ep64", batch=640)
    assert used.step_s == exact.step_s
    assert used.tokens_per_s_per_chip * 72 == pytest.approx(exact.tokens_per_s_per_chip * 64)
    padded, even = (ask("llama-3.1-8b", "gb200-nvl72", layout) for layout in ("tp7 pad", "tp8"))
    assert padded.sheet.value("attention_q_held") * 32 == pytest.approx(5 * padded.sheet.value("attention_q_params"))
    assert padded.weights_bytes > even.weights_bytes


# Found by readers: each was wrong once


def laid(model, on, layout, **asked):
    """A pass as a person asks for it, with all refinements."""
    return headway.roofline(model, on=on, layout=layout, **asked)


def test_hops_are_paid_between_stages():
    """A micro-batch's hidden states pass from stage to stage, one passage less than there are stages."""
    for stages in (1, 2, 4, 8):
        one = laid("llama-3.1-70b", "h100-sxm:8", f"pp{stages}", batch=64, context=100, beyond_memory=True)
        sent = one.micro_batch * 8192 * 2 / one.scaleup_bytes_per_s + one.scaleup_latency_s
        assert one.t_hops_s == pytest.approx((stages - 1) * sent)


def test_experts_hit_are_those_of_all_tokens_of_the_stage_and_of_the_busiest_rank():
    """Hits follow the tokens of all ranks; the share that the busiest reads follows their number."""
    from headway.equations import moe

    one = laid("deepseek-v3", "h200-sxm:8", "dp8 ep8", batch=24)
    assert one.hit_share == pytest.approx(1 - (1 - 8 / 256) ** 24)
    busiest = float(moe.busiest_rank_share(one.hit_share, 32, 8))
    assert one.experts_read == pytest.approx(32 * busiest)
    assert one.experts_read > 32 * one.hit_share


def test_activations_are_cut_on_the_side_that_is_dealt():
    """Under tp8 a wide matrix reads all of its input and makes an eighth; the next reads an eighth and makes all."""
    one = laid("llama-3.1-70b", "h100-sxm:8", "tp8", batch=16)
    up, down = (float(one.value(f"mlp_{name}_moved_bytes")) for name in ("gate_up", "down"))
    assert up == 80 * 16 * 2 * (8192 + 2 * 28672 / 8)
    assert down == 80 * 16 * 2 * (28672 / 8 + 8192)


def test_a_stage_that_is_fuller_than_others_rounds_layers_up_and_not_the_head():
    """61 layers on 4 stages count as 64; the head is on one stage and counts once."""
    one, four = (
        laid("deepseek-v3", "h200-sxm:32", layout, batch=8, beyond_memory=True) for layout in ("tp8", "tp8 pp4")
    )
    assert four.router_weight_bytes == pytest.approx(64 / 61 * one.router_weight_bytes)
    assert four.head_weight_bytes == one.head_weight_bytes


def test_an_index_moves_nothing_but_its_own_entries():
    """Queries and results go through the core of attention once, and not again through its index."""
    one = laid("deepseek-v3.2", "h200-sxm:8", "dp8 ep8", batch=8)
    assert one.index_passed_bytes == 0
    assert one.selected_2048_attention_passed_bytes > 0


@pytest.mark.parametrize("layout", ["tp2 cp4", "tp8"])
def test_context_ranks_move_their_own_tokens_once(layout):
    """As many tokens on a rank move as many queries and results, with or without context ranks."""
    tokens = 16384
    ranks = 4 if "cp4" in layout else 1
    one = laid("llama-3.1-70b", "h100-sxm:8", layout, batch=1, context=0, pass_tokens=tokens * ranks)
    tp = int(layout[2])
    assert one.full_attention_passed_bytes == pytest.approx(80 * tokens * 16384 / tp * 2)
    assert one.full_attention_written_bytes == pytest.approx(tokens * 327_680 / min(tp, 8))


def test_the_exchange_reaches_all_chips_that_share_an_expert():
    """Between whole experts on every chip and slices of all on every chip there is no cheaper way."""
    seconds = {
        ep: float(laid("qwen3-235b-a22b", "h100-sxm:8", f"dp8 ep{ep}", batch=2048, beyond_memory=True).comm_s)
        for ep in (1, 2, 4, 8)
    }
    assert seconds[8] < min(seconds[4], seconds[2])
    one = laid("qwen3-235b-a22b", "h100-sxm:8", "dp8 ep2", batch=2048, beyond_memory=True)
    copies = float(one.copies)
    element = float(one.dispatch_element_bytes)
    layers = 94
    assert one.slice_sent_bytes == pytest.approx(layers * 3 / 4 * copies * 4096 * element)
    whole = laid("qwen3-235b-a22b", "h100-sxm:8", "dp8 ep8", batch=2048, beyond_memory=True)
    assert whole.slice_sent_bytes == 0


def test_a_copy_for_each_rank_is_fewer_than_one_for_each_expert():
    """Eight experts on eight ranks lie on 5.3 of them on average."""
    each, ranks = (laid("deepseek-v3", "h200-sxm:8", "dp8 ep8", batch=512, sends=how) for how in ("each", "rank"))
    assert ranks.ranks_hit == pytest.approx(8 * (1 - math.comb(224, 8) / math.comb(256, 8)))
    assert ranks.dispatch_sent_bytes == pytest.approx(each.dispatch_sent_bytes * ranks.ranks_hit / 8)


def test_a_chunk_keeps_attends_and_is_sent_too():
    """A prompt that is taken in by chunks has a cache, states, and parts on context ranks."""
    asked = {"batch": 8, "context": 100}
    plain, chunk, cached = (
        laid("llama-3.1-70b", "h100-sxm:8", "tp8", **asked, **more)
        for more in ({}, {"chunk_tokens": 2048}, {"chunk_tokens": 2048, "chunk_context": 50_000})
    )
    assert cached.chip_kv_bytes - plain.chip_kv_bytes == pytest.approx(52_048 * 327_680 / 8)
    assert chunk.chip_activation_bytes > plain.chip_activation_bytes
    assert cached.largest_batch < chunk.largest_batch < plain.largest_batch
    ring, more = (laid("llama-3.1-70b", "h100-sxm:8", "tp2 cp4", **asked, chunk_tokens=n) for n in (8, 8192))
    assert more.share_context_sent_bytes > 100 * ring.share_context_sent_bytes
    states = [laid("qwen3-next-80b-a3b", "h100-sxm:4", "tp4", batch=1, chunk_tokens=n) for n in (0, 4096)]
    assert states[1].state_1_flop == pytest.approx(4097 * states[0].state_1_flop)
    assert states[1].balance_batch is None


def test_useful_work_is_that_of_all_who_ride_along():
    """A pass bound by arithmetic alone is as useful as it is long: two FLOP for each parameter and token, and pairs."""
    one = laid("llama-3.1-70b", "h100-sxm:8", "tp8", batch=8, context=0, chunk_tokens=8192, refine="attention")
    assert one.bound == "compute"
    assert one.mfu == pytest.approx(1, rel=1e-3)
    assert one.useful_flop == pytest.approx(one.pass_flop * 8, rel=1e-3)  # padding of what does not divide


def test_stages_without_a_micro_batch_keep_nothing():
    """One sequence on eight stages has an eighth of its cache on each."""
    one, eight = (laid("llama-3.1-70b", "h200-sxm:8", layout, batch=1, context=500_000, beyond_memory=True)
                  for layout in ("tp1", "pp8"))  # fmt: skip
    assert eight.chip_kv_bytes == pytest.approx(one.chip_kv_bytes / 8)


def test_a_module_drafts_beside_the_last_stage():
    """Its one layer is not spread over the stages, and its tokens take no hops."""
    one, eight = (laid("deepseek-v3", "h200-sxm:64", layout, batch=batch, draft="mtp")
                  for layout, batch in (("dp8 ep8", 256), ("dp8 ep8 pp8", 2048)))  # fmt: skip
    assert eight.t_draft_s == pytest.approx(one.t_draft_s)


def test_a_drafter_must_be_able_to_run():
    """28 heads are not dealt to 8 chips, whoever asks; and what has no room beside the model is named."""
    asked = {"draft_tokens": 4, "acceptance": 0.7}
    with pytest.raises(Infeasible, match="the drafter qwen2-7b cannot be laid out as tp8: tp8 does not divide the 28"):
        laid("llama-3.1-70b", "h100-sxm:8", "tp8", draft="qwen2-7b", **asked)
    with pytest.raises(Infeasible, match=r"the drafter 87\.\d GB .* without the drafter, or with a smaller one"):
        laid("llama-3.1-70b", "h100-sxm:8", "tp8", draft="deepseek-v3", **asked)


def test_weights_that_are_too_many_are_shown_the_nearest_layout():
    """The fewest chips on which one degree more holds them."""
    with pytest.raises(Infeasible, match="tp2 on 2 chips would hold them"):
        laid("llama-3.1-70b", "h100-sxm:1", "tp1")


def test_where_arithmetic_takes_over_does_not_depend_on_the_batch_asked():
    """The balance is the machine's and the model's, although sequences come whole."""
    balances = [float(laid("llama-3.1-8b", "h100-sxm:8", "dp8", batch=n, context=0, refine="none").balance_batch)
                for n in (1, 8, 64)]  # fmt: skip
    assert balances == pytest.approx([balances[0]] * 3)


def test_a_latent_that_all_chips_hold_is_handed_over_once():
    """Eight chips with copies of one latent send an eighth each."""
    one, eight = (laid("deepseek-v3", on, layout, batch=8, context=0, pass_tokens=4096, disaggregated=True,
                       beyond_memory=True)
                  for on, layout in (("h200-sxm:1", "tp1"), ("h200-sxm:8", "tp8")))  # fmt: skip
    assert eight.handed_bytes == pytest.approx(one.handed_bytes / 8)


def test_idle_chips_lower_what_is_made_by_a_chip_and_no_utilisation():
    """Half of the chips at work are as busy as all; what they cost is shared by what they make."""
    half, all_of_them = (laid("llama-3.1-8b", f"h100-sxm:{n}", "tp4", batch=64) for n in (8, 4))
    assert half.mfu == all_of_them.mfu
    assert half.tokens_per_s_per_chip == pytest.approx(all_of_them.tokens_per_s_per_chip / 2)


def test_activations_in_16_bits_slow_narrow_weights_and_widen_the_dispatch():
    """Weights in fp8 with activations in bf16 are multiplied, and sent, in bf16."""
    narrow, wide = (
        laid("deepseek-v3", "h200-sxm:8", "dp8 ep8", batch=2048, context=500, act_dtype=how) for how in ("", "bf16")
    )
    assert wide.dispatch_sent_bytes == pytest.approx(2 / 1.03125 * narrow.dispatch_sent_bytes)
    assert wide.t_compute_s > 1.5 * narrow.t_compute_s


def test_a_plot_of_drafts_over_batches_is_drawn():
    """The drafter's passes follow the batch of the curve, and a layout's points are whole sequences."""
    from headway.figures import roofline_panels

    result = laid("llama-3.1-70b", "h100-sxm:8", "tp8", batch=[1, 64], draft="llama-3.1-8b", draft_tokens=2,
                  acceptance=0.5)  # fmt: skip
    latency = roofline_panels(result)[0]
    assert np.all(latency.x == np.round(latency.x))
    assert {"drafting", "moving activations"} <= {curve.label for curve in latency.curves}
