"""What blocks multiply: matrices and vectors add up to the model, and are dealt to chips as engines deal them."""

import gzip
import json
import math
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import integers, sampled_from

from headway import catalog
from headway.model.architecture import PARTS, Architecture
from headway.model.attention import CompressedAttention, GroupedQueryAttention, Index, LatentAttention
from headway.model.config import load_model, read_config
from headway.model.feed_forward import MixtureOfExperts, Mlp
from headway.model.kept import Kept, grouped
from headway.model.matrices import Matrix, Vector, dealt_pieces
from headway.model.recurrent import GatedDelta, KimiDelta, Lightning, Mamba, Mamba2, ShortConvolution
from headway.provenance import Origin
from headway.techniques.recached import recached

NAMES = sorted(catalog.model_names())


def framework_models():
    """Configs of a hundred families with random fields, the same that the framework counted."""
    data = Path(__file__).parent / "data" / "framework_counts.jsonl.gz"
    with gzip.open(data, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [(row["name"], row["config"]) for row in rows if row["total"] is not None]


def held(shape: Architecture):
    """Everything that is not looked up, with the number of times that it is there."""
    yield 1, shape.head
    yield from ((1, vector) for vector in shape.outside)
    for run in shape.layers:
        yield from ((run.count, vector) for vector in run.vectors)
        for block in run.blocks:
            yield from ((run.count, one) for one in (*block.matrices, *block.vectors))
            if isinstance(block, MixtureOfExperts):
                yield from ((run.count * block.n_experts, one) for one in block.expert_matrices)


def blocks(shape: Architecture):
    return [block for run in shape.layers for block in run.blocks]


def by_name(block) -> dict[str, Matrix]:
    found = {matrix.name: matrix for matrix in block.matrices}
    assert len(found) == len(block.matrices), "two matrices of one name"
    return found


# --- everything adds up ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_matrices_and_vectors_are_all_that_is_not_looked_up(name):
    """Head, layers with all their experts and what stands outside add up to the model without its lookups, exactly."""
    model = load_model(name)
    total = sum(count * one.params for count, one in held(model.architecture))
    assert total == model.total_params - model.lookup_params


@pytest.mark.parametrize("name", NAMES)
def test_every_part_is_the_sum_of_its_matrices_and_vectors(name):
    """Part by part as well, so that each is stored in its own format."""
    shape = load_model(name).architecture
    found = Counter()
    for count, one in held(shape):
        found[one.part] += count * one.params
    parts = shape.parts()
    parts["embedding"] -= shape.looked_up
    assert found.keys() <= set(PARTS)
    assert {part: found[part] for part in PARTS} == parts


def test_the_same_holds_for_every_family_that_the_framework_counted():
    """A thousand configs of random fields: what is not looked up is what matrices and vectors hold."""
    for name, config in framework_models():
        model = read_config(config, name=name, origin=Origin("user", "a config"))
        total = sum(count * one.params for count, one in held(model.architecture))
        assert total == model.total_params - model.lookup_params, name


@pytest.mark.parametrize("name", NAMES)
def test_names_tell_the_matrices_of_a_block_apart(name):
    """No block has two matrices, or two vectors, of one name; and none that is empty."""
    for block in blocks(load_model(name).architecture):
        for kind in (block.matrices, block.vectors):
            assert len({one.name for one in kind}) == len(kind)
        assert all(matrix.inputs > 0 and matrix.outputs > 0 for matrix in block.matrices)
        assert all(vector.params > 0 for vector in block.vectors)


def test_a_mixer_with_another_cache_keeps_its_matrices():
    """Techniques replace what a layer keeps, not what it multiplies."""
    model = load_model("deepseek-v3.2")
    other = recached(model, lambda _, cache: cache.all(lambda kept: Kept(1.0, 1.0, "one number")))
    assert other.kept != model.kept
    assert [(b.matrices, b.vectors) for b in blocks(other.architecture)] == [
        (b.matrices, b.vectors) for b in blocks(model.architecture)
    ]


# --- dealing out -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_one_chip_has_everything(name):
    """Dealt to one chip, every matrix and every vector is what it was."""
    for _, one in held(load_model(name).architecture):
        assert one.dealt(1) == one


@pytest.mark.parametrize("name", NAMES)
def test_pieces_divide_the_side_that_is_dealt(name):
    """No head, feature or channel is cut in two; a matrix that is one piece is whole on every chip."""
    for _, one in held(load_model(name).architecture):
        if isinstance(one, Vector):
            assert one.params % one.pieces == 0
            continue
        side = one.inputs if one.along == "inputs" else one.outputs
        assert side % one.pieces == 0
        assert one.along == "inputs" or one.others % one.pieces == 0


@given(
    one=sampled_from(sorted({one for name in NAMES for _, one in held(load_model(name).architecture)}, key=str)),
    chips=integers(1, 2000),
)
def test_chips_hold_a_model_between_them(one, chips):
    """All chips hold at least the whole; more chips never hold more each; no chip has less than one piece."""
    mine, fewer = one.dealt(chips), one.dealt(chips + 1)
    assert chips * mine.params >= one.params >= mine.params >= fewer.params > 0
    assert mine.pieces == max(1, math.ceil(one.pieces / chips)) == dealt_pieces(one.pieces, chips)
    if one.pieces == 1:
        assert mine == one


@given(pieces=integers(1, 64), width=integers(1, 64), others=sampled_from([0, 1]), chips=integers(1, 64))
def test_an_even_deal_divides_the_work_and_leaves_the_other_side(pieces, width, others, chips):
    """Where chips divide the pieces each has its part: of the columns with their biases, or of the rows without."""
    wide = pieces * chips * width
    columns = Matrix("up", "dense_mlp", 7, wide, pieces * chips, others=others * wide)
    rows = Matrix("down", "dense_mlp", wide, 7, pieces * chips, "inputs", others=others * 7)
    assert columns.dealt(chips).params * chips == columns.params
    assert columns.dealt(chips).inputs == 7
    assert (rows.dealt(chips).inputs * chips, rows.dealt(chips).outputs) == (wide, 7)
    assert rows.dealt(chips).others == rows.others


# --- what each kind multiplies -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_projections_have_the_widths_of_their_heads(name):
    """Queries are heads x head_dim wide and dealt by heads; keys and values by theirs, copied where they run out."""
    for block in blocks(load_model(name).architecture):
        if not isinstance(block, GroupedQueryAttention):
            continue
        found = by_name(block)
        q, out = found["q"], found["out"]
        assert (q.inputs, q.outputs, q.pieces) == (block.hidden_size, block.n_heads * block.head_dim, block.n_heads)
        assert (out.inputs, out.outputs) == (block.n_heads * block.v_head_dim, block.hidden_size)
        assert (out.pieces, out.along, q.copies) == (block.n_heads, "inputs", False)
        for key in ("k", "v"):
            if key in found:
                width = block.head_dim if key == "k" else block.v_head_dim
                assert found[key].outputs == block.n_kv_heads * width
                assert (found[key].pieces, found[key].copies) == (block.n_kv_heads, True)


def test_llama_70b_on_eight_chips():
    """Eight query heads, one key-value head and an eighth of the features on each chip; sixteen chips copy keys."""
    attention, mlp = blocks(load_model("llama-3.1-70b").architecture)
    q, k, v, out = attention.matrices
    assert [m.name for m in attention.matrices] == ["q", "k", "v", "out"]
    assert [m.dealt(8).outputs for m in (q, k, v, out)] == [1024, 128, 128, 8192]
    assert [m.dealt(16).outputs for m in (q, k, v, out)] == [512, 128, 128, 8192]
    assert out.dealt(8).inputs == 1024
    assert [(m.name, m.dealt(8).inputs, m.dealt(8).outputs) for m in mlp.matrices] == [
        ("gate", 8192, 3584), ("up", 8192, 3584), ("down", 3584, 8192)]  # fmt: skip


def test_deepseek_v3_deals_its_heads_and_keeps_its_latents_whole():
    """The shapes of arXiv 2412.19437 §4.2; every chip has both down-projections and the router as a whole."""
    run = load_model("deepseek-v3").architecture.layers[-1]
    attention, experts = run.blocks
    found = by_name(attention)
    shapes = {name: (m.inputs, m.outputs, m.pieces) for name, m in found.items()}
    assert shapes == {
        "q_down": (7168, 1536, 1), "q_up": (1536, 128 * 192, 128), "kv_down": (7168, 576, 1),
        "kv_up": (512, 128 * 256, 128), "out": (128 * 128, 7168, 128),
    }  # fmt: skip
    assert {name: m.pieces for name, m in by_name(experts).items()} == {
        "router": 1, "gate": 2048, "up": 2048, "down": 2048}  # fmt: skip
    assert {m.part for m in experts.matrices} == {"router", "shared_experts"}
    assert {m.part for m in experts.expert_matrices} == {"routed_experts"}
    assert experts.routed_params == 256 * 3 * 7168 * 2048
    assert attention.kept[0].kv_heads == 1
    assert attention.kept[0].heads == 128


def test_without_a_rank_latent_attention_has_one_projection_of_queries():
    """DeepSeek-V2-Lite projects queries directly, by heads."""
    attention = LatentAttention(2048, 16, None, 512, 128, 64, 128)
    assert [m.name for m in attention.matrices] == ["q", "kv_down", "kv_up", "out"]
    assert by_name(attention)["q"] == Matrix("q", "attention", 2048, 16 * 192, 16)


def test_the_indexer_is_whole_on_every_chip():
    """Queries, key and weights of an index are not dealt, and neither is what it keeps or does."""
    index = Index(7168, 1536, 64, 128, 2048.0, norm_params=256)
    attention = LatentAttention(7168, 128, 1536, 512, 128, 64, 128, index=index, selected_tokens=2048.0)
    own = [m for m in attention.matrices if m.name.startswith("index")]
    assert [(m.name, m.inputs, m.outputs) for m in own] == [
        ("index_q", 1536, 64 * 128), ("index_k", 7168, 128), ("index_weights", 7168, 64)]  # fmt: skip
    assert all(m.dealt(8) == m for m in own)
    assert (attention.kept[1].heads, attention.kept[1].kv_heads) == (1, 1)


def test_what_a_layer_shares_it_does_not_project():
    """A layer that reads an earlier one's cache has queries alone; keys that serve as values are projected once."""
    whole = GroupedQueryAttention(64, 8, 4, 16, 16, qk_norm="head")
    shared = GroupedQueryAttention(64, 8, 4, 16, 16, qk_norm="head", shared=True)
    alike = GroupedQueryAttention(64, 8, 4, 16, 16, qk_norm="head", keys_are_values=True)
    names = [[m.name for m in kind.matrices] for kind in (whole, shared, alike)]
    assert names == [["q", "k", "v", "out"], ["q", "out"], ["q", "k", "out"]]
    assert [v.name for v in shared.vectors] == ["q_norm"]


def test_deepseek_v4_deals_its_output_by_groups():
    """Each group of heads has its own down-projection; what compresses the cache is whole on every chip."""
    index = Index(4096, 1024, 64, 128, 512.0)
    attention = CompressedAttention(4096, 64, 512, 1024, 8, 1024, 128.0, 4, index)
    found = by_name(attention)
    down, out = found["out_down"], found["out"]
    assert (down.inputs, down.outputs, down.pieces) == (64 * 512 // 8, 8 * 1024, 8)
    assert (out.inputs, out.outputs, out.pieces, out.along) == (8 * 1024, 4096, 8, "inputs")
    whole = {"q_down", "kv", "compress", "compress_gate", "index_q", "index_k", "index_k_gate", "index_weights"}
    assert {name for name, m in found.items() if m.pieces == 1} == whole


RECURRENT = (
    GatedDelta(2048, 16, 32, 128, 128, 4, 4.0),
    KimiDelta(2304, 32, 128, 4, 4.0),
    KimiDelta(2304, 32, 128, 4, 4.0, full_rank_gate=True),
    Lightning(6144, 64, 128, 4.0),
    Mamba(4096, 8192, 16, 256, 4, 4.0, inner_norms=True),
    Mamba2(4096, 128, 64, 128, 8, 4, 4.0),
    ShortConvolution(2048, 3, bias=True),
)


@pytest.mark.parametrize("mixer", RECURRENT, ids=lambda mixer: type(mixer).__name__)
def test_recurrences_are_dealt_with_their_states(mixer):
    """Projections in and out, convolution and state are dealt alike: a chip has what its heads, or channels, need."""
    found = by_name(mixer)
    pieces = found["in"].pieces
    assert pieces > 1
    assert (found["in"].inputs, found["out"].outputs) == (mixer.hidden_size, mixer.hidden_size)
    assert (found["out"].along, found["out"].pieces) == ("inputs", pieces)
    assert {state.heads for state in mixer.states} == {pieces}
    assert {v.pieces for v in mixer.vectors if v.name == "convolution"} == (
        {pieces} if hasattr(mixer, "kernel") else set()
    )


def test_what_groups_of_heads_share_is_copied():
    """Mamba-2's groups follow the heads that they serve, onto as many chips as those are on."""
    shared = by_name(Mamba2(4096, 128, 64, 128, 8, 4, 4.0))["in_of_groups"]
    assert (shared.outputs, shared.pieces, shared.copies) == (2 * 8 * 128, 8, True)
    assert shared.dealt(8) == shared.dealt(64)


def test_key_heads_go_with_the_value_heads_that_they_serve():
    """A gated delta net is dealt by its key heads, each with its value heads: 16 of Qwen3-Next's 16 and 32."""
    assert by_name(GatedDelta(2048, 16, 32, 128, 128, 4, 4.0))["out"].pieces == 16


def test_mlp_and_experts_are_dealt_by_features():
    """Every projection of a block of features is cut along its features; those of experts have the part of experts."""
    mlp, plain = Mlp(64, 256), Mlp(64, 256, bias=True, gated=False)
    assert [(m.name, m.pieces, m.along) for m in mlp.matrices] == [
        ("gate", 256, "outputs"), ("up", 256, "outputs"), ("down", 256, "inputs")]  # fmt: skip
    assert [(m.name, m.others) for m in plain.matrices] == [("up", 256), ("down", 64)]
    latent = MixtureOfExperts(64, 8, 2, 32, shared_intermediate_size=48, shared_gate=True, latent_size=16)
    assert [m.name for m in latent.matrices] == [
        "router", "gate", "up", "down", "shared_gate", "latent_down", "latent_up"]  # fmt: skip
    assert {m.name: m.pieces for m in latent.matrices if m.pieces > 1} == {"gate": 48, "up": 48, "down": 48}
    assert [(m.inputs, m.outputs) for m in latent.expert_matrices] == [(16, 32), (16, 32), (32, 16)]


@pytest.mark.parametrize("tied", [True, False])
def test_the_head_is_dealt_by_the_vocabulary(tied):
    """The head is hidden x vocabulary in the format of the matrix that it is."""
    head = Architecture(64, 1000, tied, (), 64, head_bias=True).head
    assert head == Matrix("head", "embedding" if tied else "lm_head", 64, 1000, 1000, others=1000)
    assert head.dealt(8).outputs == 125


# --- the cache ---------------------------------------------------------------------------------------------------


def test_a_cache_is_dealt_by_its_key_value_heads():
    """Grouped queries have their own heads, multi-query attention and latents one; layers do not add heads."""
    for kv in (8, 1):
        (kept,) = GroupedQueryAttention(64, 16, kv, 16, 16).kept
        assert (kept.heads, kept.kv_heads) == (16, kv)
        assert (kept.times(5).heads, kept.times(5).kv_heads) == (16, kv)
    (near, far) = CompressedAttention(64, 16, 32, 8, 4, 8, 128.0, 128).kept
    assert {(k.heads, k.kv_heads) for k in (near, far)} == {(16, 1)}


@given(a=integers(1, 64), b=integers(1, 64), chips=integers(1, 64), numbers=integers(1, 100))
def test_a_sum_of_groups_never_understates_the_part_of_a_chip(a, b, chips, numbers):
    """The heads of a sum deal it more coarsely than its groups: a chip keeps at least what it keeps of both."""
    groups = [Kept(float(heads * numbers), 1.0, f"{heads}", heads=heads, kv_heads=heads) for heads in (a, b)]
    (both,) = grouped(groups)

    def on_a_chip(kept):
        return kept.numbers * dealt_pieces(kept.kv_heads, chips) / kept.kv_heads

    assert on_a_chip(both) >= sum(map(on_a_chip, groups)) * (1 - 1e-12)  # three divisions
    assert on_a_chip(both) <= both.numbers
