"""Passes on layouts against arithmetic written out here, from the shapes of two models: what a pencil would get."""

import numpy as np
import pytest

import headway
from headway.equations import moe

# Llama-3.1-70B: 80 layers, width 8192, 64 heads of 128, 8 KV heads, features 28672, vocabulary 128256, in bf16.
LLAMA = {"model": "llama-3.1-70b", "on": "h200-sxm:64"}
KV = 2 * 8 * 128 * 80 * 2  # bytes of a token
HIDDEN, VOCABULARY, FEATURES, LAYERS = 8192, 128256, 28672, 80
# DeepSeek-V3: 58 routed layers of 256 experts, 8 of them for a token, of width 7168 and 2048 features.
V3 = {"model": "deepseek-v3", "on": "h200-sxm:64"}


def asked(of, layout, **more):
    """A pass as a person asks for it, also where it does not fit."""
    return headway.roofline(**of, layout=layout, beyond_memory=True, **more)


def near(value, exact):
    assert float(value) == pytest.approx(float(exact), rel=1e-12)


@pytest.mark.parametrize("overlap", [0.0, "two-batch"])
def test_what_tensor_ranks_send(overlap):
    """Two all-reduces a layer, one of the embedding, and the logits of the tokens asked for; halves send as much."""
    one = asked(LLAMA, "tp8 dp2", batch=64, context=100, overlap=overlap)
    hidden = 32 * HIDDEN * 2
    near(one.reduce_sent_bytes, 160 * 2 * 7 / 8 * hidden)
    near(one.embed_sent_bytes, 2 * 7 / 8 * hidden)
    near(one.gather_sent_bytes, 7 / 8 * 32 * VOCABULARY * 2)
    near(one.reduce_messages, 160 * 2 * one.sub_batches)
    near(one.chip_weights_bytes, asked(LLAMA, "tp8 dp2", batch=64, context=100).chip_weights_bytes)


def test_logits_of_a_prompt_are_gathered_for_its_last_token():
    """And those of every token that a draft wants verified; a chunk has one of its own."""
    prompt = asked(LLAMA, "tp8", batch=4, context=0, pass_tokens=1000)
    near(prompt.gather_sent_bytes, 7 / 8 * 4 * VOCABULARY * 2)
    near(prompt.head_flop, 2 * 4 * HIDDEN * VOCABULARY / 8)
    drafted = asked(LLAMA, "tp8", batch=4, context=100, draft="llama-3.1-8b", draft_tokens=3, acceptance=0.5)
    near(drafted.sampled_tokens, 4 * 4)
    near(drafted.useful_head_flop, 2 * 4 * 4 * HIDDEN * VOCABULARY)
    mixed = asked(LLAMA, "tp8", batch=4, context=100, chunk_tokens=50)
    near(mixed.head_flop, 2 * (4 + 1) * HIDDEN * VOCABULARY / 8)


def test_uneven_stages_fill_layers_and_neither_head_nor_hops():
    """80 layers on 3 stages count as 81; a micro-batch passes on twice."""
    one, three = (asked(LLAMA, layout, batch=24, context=100) for layout in ("tp8", "tp8 pp3"))
    near(three.mlp_down_weight_bytes, 81 / 80 * one.mlp_down_weight_bytes)
    near(three.head_moved_bytes, 8 * 2 * (HIDDEN + VOCABULARY / 8))
    near(three.hops_messages, 2)
    near(three.hops_sent_bytes, 2 * 8 * HIDDEN * 2)


@pytest.mark.parametrize(("layout", "kv", "heads"), [("tp16 cp4", 1 / 8, 1 / 16), ("tp2 cp4", 1 / 2, 1 / 2)])
def test_what_context_ranks_send(layout, kv, heads):
    """Keys and values of a prompt, or the queries and results of a decoded token: all but a rank's own quarter."""
    prompt = asked(LLAMA, layout, batch=1, context=0, pass_tokens=4096)
    near(prompt.share_context_sent_bytes, 3 / 4 * 4096 * KV * kv)
    decoded = asked(LLAMA, layout, batch=8, context=100_000)
    near(decoded.share_context_sent_bytes, 3 / 4 * LAYERS * 8 * 2 * HIDDEN * 2 * heads)
    near(decoded.full_attention_written_bytes, 8 * KV * kv / 4)
    near(decoded.full_attention_passed_bytes, LAYERS * 8 * 2 * HIDDEN * 2 * heads)
    near(decoded.full_attention_kv_bytes, 8 * 100_000 * KV * kv / 4)
    near(prompt.full_attention_flop, LAYERS * 4 * HIDDEN * 4096 * 4097 / 2 * heads / 4)


@pytest.mark.parametrize("overlap", [0.0, "two-batch"])
def test_what_expert_ranks_send(overlap):
    """A copy for each expert out and back; where experts are cut, the rank's copies among its chips."""
    one = asked(V3, "tp2 dp8 ep8", batch=512, context=100, overlap=overlap, refine="communication,attention")
    element = 1 + 4 / 128
    near(one.exchanged_tokens, 512 / 16 / one.sub_batches)
    near(one.dispatch_sent_bytes, 58 * 7 / 8 * 512 / 16 * 8 * 7168 * element)
    near(one.combine_sent_bytes, 58 * 7 / 8 * 512 / 16 * 8 * 7168 * 2)
    near(one.slice_sent_bytes, 58 * 1 / 2 * 512 * 8 / 8 * 7168 * element)
    near(one.unslice_sent_bytes, 58 * 1 / 2 * 512 * 8 / 8 * 7168 * 2)
    near(one.spread_sent_bytes, 0)
    near(one.t_comm_s, max(one.comm_s - one.work_s, 0) if overlap else one.comm_s)


def test_slices_of_all_experts_gather_all_tokens():
    """Where no rank has whole experts every token goes to every chip, and nothing is dispatched."""
    one = asked(V3, "dp8", batch=512, context=100, refine="communication")
    near(one.spread_sent_bytes, 58 * 7 / 8 * 512 * 7168 * (1 + 4 / 128))
    near(one.sums_sent_bytes, 58 * 7 / 8 * 512 * 7168 * 2)
    near(one.dispatch_sent_bytes + one.slice_sent_bytes, 0)
    alone = asked(V3, "tp8", batch=512, context=100, refine="communication")
    near(alone.spread_sent_bytes + alone.dispatch_sent_bytes, 0)


def test_a_chunk_is_shared_as_other_tokens_are():
    """Each rank takes in one; its context ranks share it, and the experts see those of all ranks."""
    one = asked(V3, "cp2 dp8 ep16", batch=64, context=100, chunk_tokens=512, chunk_context=1000)
    near(one.mixed_tokens, 8 + 256)
    near(one.mixed_stage_tokens, 64 + 8 * 512)
    near(one.sender_tokens, (8 + 512) / 2)
    near(one.useful_chunk_attention_flop, 8 * one.chunk_attention_flop)
    two = asked(V3, "cp2 dp4 ep8 pp2", batch=64, context=100, chunk_tokens=512, chunk_context=1000)
    near(two.useful_chunk_attention_flop, 4 * 2 * two.chunk_attention_flop)
    near(two.prompt_tokens_per_s * two.step_s, 512 * 4 * 2)


def test_what_a_chip_needs():
    """Weights, cache, the widest point of a layer, logits, a buffer for each chip of the rank, and the runtime."""
    one = asked(LLAMA, "tp4 pp2 dp2", batch=64, context=1000)
    near(one.chip_kv_bytes, 32 * 1001 * KV / 4 / 2)
    near(one.peak_activation_bytes, 16 * (3 * HIDDEN + 2 * FEATURES / 4) * 2)
    near(one.logits_bytes, 16 * VOCABULARY / 4 * 4)
    layer = HIDDEN * (2 * HIDDEN + 2 * 1024) + 3 * HIDDEN * FEATURES
    ends = HIDDEN * VOCABULARY / 4 * 2  # the head of the last stage, as large as the first one's embedding
    near(one.chip_weights_bytes, 40 * layer / 4 * 2 + ends + (2 * 80 + 1) * HIDDEN * 2 / 2)
    own = one.chip_weights_bytes + one.chip_kv_bytes + one.peak_activation_bytes + one.logits_bytes
    near(one.chip_needed_bytes, own + 8 * one.collective_buffer_bytes + one.runtime_reserve_bytes)
    experts = asked(V3, "dp64 ep64", batch=64 * 256, context=0, refine="none")
    near(experts.peak_expert_bytes, 2048 * (2 * 7168 + 2 * 2048) * 2)


@pytest.mark.parametrize("more", [
    {"chunk_tokens": 8192, "chunk_context": 10_000},
    {"draft": "llama-3.1-8b", "draft_tokens": 3, "acceptance": 0.5},
], ids=["chunk", "draft"])  # fmt: skip
@pytest.mark.parametrize("layout", ["tp8", "tp4 pp2"])
def test_the_largest_batch_beside_a_chunk_or_a_drafter_fits(layout, more):
    """Whatever batch was asked, the largest fits and one sequence more does not; so does the longest context."""
    of = {"model": "llama-3.1-70b", "on": "h100-sxm:8"}
    most = float(asked(of, layout, batch=1, context=2000, **more).largest_batch)
    assert most > 10
    assert asked(of, layout, batch=most, context=2000, **more).fits
    assert not asked(of, layout, batch=most + 1, context=2000, **more).fits
    longest = float(asked(of, layout, batch=4, context=2000, **more).largest_context)
    # A drafter keeps a token or two less of each sequence, which counts for more where it was asked than at the end.
    slack = 0.002 * longest if "draft" in more else 2
    assert asked(of, layout, batch=4, context=longest - slack, **more).fits
    assert not asked(of, layout, batch=4, context=longest + slack, **more).fits


@pytest.mark.parametrize(("of", "layout", "more"), [
    ({"model": "deepseek-v3", "on": "h100-sxm:64"}, "dp64 ep64", {"chunk_tokens": 8192}),
    ({"model": "mixtral-8x7b", "on": "h100-sxm:8"}, "tp8", {"chunk_tokens": 2048}),
    ({"model": "deepseek-v3", "on": "h200-sxm:16"}, "pp8 dp2", {"draft": "mtp"}),
    ({"model": "deepseek-v3", "on": "h200-sxm:64"}, "pp8 dp4 ep2 cp2", {"draft": "mtp"}),
])  # fmt: skip
def test_the_largest_batch_fits_with_experts_too(of, layout, more):
    """Copies of a chunk at its experts, and a module's cache beside the last stage, have their room."""
    most = float(asked(of, layout, batch=64, context=4000, **more).largest_batch)
    assert most > 0
    assert asked(of, layout, batch=most, context=4000, **more).fits
    assert not asked(of, layout, batch=1.1 * most + 64, context=4000, **more).fits


def test_a_drafter_decodes_one_token_at_a_time():
    """Its pass is that of one token of each sequence, whatever the pass verifies; a module holds no head of its own."""
    small = asked({"model": "llama-3.1-8b", "on": "h200-sxm:64"}, "tp8", batch=16, context=500)
    drafted = asked(LLAMA, "tp8", batch=16, context=500, draft="llama-3.1-8b", draft_tokens=5, acceptance=0.5)
    near(drafted.t_draft_s, 5 * small.step_s)
    near(drafted.draft_kv_bytes, small.chip_kv_bytes)
    near(drafted.draft_weights_bytes, small.chip_weights_bytes)
    module = asked(V3, "dp8 ep8", batch=64, draft="mtp")
    experts = 256 / 8 * 3 * 7168 * 2048
    assert experts < module.draft_weights_bytes < 1.2 * experts  # fp8, and attention, shared expert, router, norms


def test_states_are_dealt_by_heads():
    """A quarter of a recurrent state is on each of four chips: of its traffic, its arithmetic and its room."""
    of = {"model": "qwen3-next-80b-a3b", "on": "h200-sxm:8"}
    one, four = (asked(of, layout, batch=8, context=100) for layout in ("tp1", "tp4"))
    for name in ("state_1_kv_bytes", "state_1_flop", "state_2_kv_bytes", "state_1_stored_bytes"):
        near(four.value(name), one.value(name) / 4)


def test_one_token_reads_no_more_experts_than_it_has_copies():
    """On few ranks the busiest reads what comes to it, and its load is counted after the uneven placing."""
    one = asked(V3, "dp2 ep2", batch=1, context=100)
    assert float(one.experts_read) <= float(one.copies) <= 8
    skewed = asked(V3, "dp8 ep8", batch=256, context=100, changes={"expert_skew": 8})
    chance = float(moe.busiest_load_ratio(8, 256 * 8 / 8 * skewed.placed_imbalance))
    near(skewed.copies, 256 * skewed.placed_imbalance * chance)


def test_biases_of_what_is_summed_are_on_every_chip():
    """A matrix cut along its inputs adds its bias once: the bias is whole where the matrix is a share."""
    of = {"model": "gpt-oss-120b", "on": "h200-sxm:8"}
    one, eight = (asked(of, layout, batch=8, context=100) for layout in ("tp1", "tp8"))
    near(one.attention_out_params, 36 * 4096 * 2880)
    near(one.attention_vectors_held, eight.attention_vectors_held)
    sinks = [float(r.value("attention_vectors_2_held")) for r in (one, eight)]
    near(sinks[0], 8 * sinks[1])


def test_queries_of_a_low_rank_output_pass_with_their_heads():
    """DeepSeek-V4's output goes through groups; what leaves the core is as wide as its queries."""
    of = {"model": "deepseek-v4-pro", "on": "h200-sxm:64"}
    one = asked(of, "tp8", batch=8, context=100)
    shape = headway.load_model("deepseek-v4-pro").architecture
    block = shape.layers[0].blocks[0]
    wide = [name for name in dir(one) if name.endswith("_attention_passed_bytes")]
    passed = sum(float(one.value(name)) for name in wide)
    near(passed, shape.n_layers * 8 * 2 * block.n_heads * block.head_dim * 2 / 8)


def test_hops_count_for_what_binds():
    """Where stages are far apart and do little, the way between them is what a pass is bound by."""
    slow = {"scaleout_bytes_per_s": 1e6, "scaleup_bytes_per_s": 1e6}
    one = asked({"model": "llama-3.2-1b", "on": "h100-sxm:16"}, "pp16", batch=16, context=0, changes=slow)
    assert one.t_hops_s > one.work_s
    assert np.all(one.bound == "communication")


def test_each_part_has_the_format_that_is_asked_for():
    """Bytes and rate of one part change, and no other's; the rest is the checkpoint's, or the one format for all."""
    of = {"on": "h200-sxm:8", "layout": "tp8", "batch": 256, "context": 100}
    plain, narrow, mixed = (
        headway.roofline(headway.load_model("llama-3.1-70b", weight_dtype=name), **of)
        for name in (None, "dense_mlp=fp8", "fp8,attention=bf16")
    )
    near(narrow.mlp_down_weight_bytes, plain.mlp_down_weight_bytes / 2)
    near(narrow.attention_q_weight_bytes, plain.attention_q_weight_bytes)
    assert narrow.t_compute_s < 0.65 * plain.t_compute_s
    for name in ("attention_q", "mlp_down", "head"):
        near(mixed.value(f"{name}_weight_bytes"), narrow.value(f"{name}_weight_bytes"))
    with pytest.raises(headway.BadInput, match="did you mean attention"):
        headway.load_model("llama-3.1-70b", weight_dtype="atention=fp8")
    for twice in ("attention=bf16,fp8", "fp8,nvfp4"):
        with pytest.raises(headway.BadInput, match="once and first"):
            headway.load_model("llama-3.1-70b", weight_dtype=twice)
