"""Architectures that fit a number: laws of the search, what the catalog must find of itself, and the command."""

import json
import math
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, sampled_from

from headway import load_model
from headway.cli import main
from headway.equations import kv_variants
from headway.errors import BadInput, UnknownName
from headway.explanation import explain
from headway.matching.grid import entries, stacks
from headway.matching.habits import Size, habits, known_models, layers_habit
from headway.matching.search import FEWEST_BYTES, FORMATS, MOST_BYTES, find
from headway.model.dtypes import dtype

KNOWN = {model.name: model for model in known_models()}
UNIFORM = [name for name, model in KNOWN.items() if len(model.entries) == 1]  # the same cache in every layer
SIZES = floats(50, 1e6)


def recomputed(match):
    """The bytes of one token, by the equations called one by one."""
    entry, size = match.entry, match.dtype.bytes_per_number
    layers = float(kv_variants.caching_layers(match.growing_layers, match.layers_per_cache))
    kept = layers * entry.index_dim * size
    kept += kv_variants.latent_bytes_per_token(layers, entry.latent_dim, entry.rope_dim, size)
    kept += kv_variants.grouped_bytes_per_token(layers, entry.kv_heads, entry.key_dim, entry.value_dim, size)
    return kept / entry.compression_stride


def identity(match):
    return match.entry, match.kv_layers, match.dtype.name


# --- laws --------------------------------------------------------------------------------------------------------


@given(kv_bytes=SIZES)
def test_every_match_recomputes_to_its_bytes_and_lies_within_the_tolerance(kv_bytes):
    """What a match says of itself is what the equations give for its layers, heads and format; and it fits."""
    found = find(kv_bytes, within_share=0.002)
    for i, match in enumerate(found.best()):
        assert math.isclose(match.kv_bytes_per_token, recomputed(match), rel_tol=1e-12)
        assert match.kv_bytes_per_token == found.fits.kv_bytes[i]
        assert abs(match.difference_share) <= 0.002 * (1 + 1e-9)
        assert float(kv_variants.caching_layers(match.growing_layers, match.layers_per_cache)) == match.kv_layers


@given(kv_bytes=SIZES)
def test_no_two_matches_are_the_same_cache(kv_bytes):
    """Equivalent readings are one match: the same entry in as many caches in the same format."""
    matches = find(kv_bytes, within_share=0.01).best()
    assert len(set(map(identity, matches))) == len(matches)


@given(kv_bytes=SIZES, narrow=floats(0, 0.02), wider=floats(0, 0.02))
def test_more_tolerance_never_loses_a_match(kv_bytes, narrow, wider):
    """Whatever fits within a share fits within a larger one, as plausible as before."""
    few, many = (find(kv_bytes, within_share=share) for share in (narrow, narrow + wider))
    more = {identity(match): match.plausibility for match in many.best()}
    assert all(more[identity(match)] == match.plausibility for match in few.best())


@given(kv_bytes=SIZES, active=floats(1e9, 1e12))
def test_the_ranking_follows_plausibility_which_sums_to_at_most_one(kv_bytes, active):
    """The likeliest come first; all that fit are a part of the whole grid, whose plausibility is 1."""
    fits = find(kv_bytes, active_params=active).fits
    assert np.all(np.diff(fits.plausibility) <= 0)
    assert 0 <= fits.plausibility.sum() <= 1 + 1e-9
    assert len(fits) == 0 or fits.share.sum() == pytest.approx(1)


@given(kv_bytes=SIZES)
def test_what_is_asked_in_one_format_is_a_part_of_what_is_asked_in_all(kv_bytes):
    """A number format only selects: the same caches fit, and three times as plausible, there being three formats."""
    everything = {identity(match): match.plausibility for match in find(kv_bytes, within_share=0.005).best()}
    parted = {}
    for name in FORMATS:
        for match in find(kv_bytes, kv_dtype=name, within_share=0.005).best():
            parted[identity(match)] = match.plausibility
    assert parted.keys() == everything.keys()
    assert all(parted[key] == pytest.approx(3 * share) for key, share in everything.items())


@given(kv_bytes=SIZES, power=integers(0, 2))
def test_half_the_bytes_a_number_is_half_the_bytes_a_token(kv_bytes, power):
    """A cache of so many bytes in one format is a cache of half as many in a format of half the size."""
    wide, narrow = find(2 * kv_bytes, kv_dtype="bf16"), find(kv_bytes, kv_dtype="fp8")
    assert {identity(match)[:2] for match in wide.best(50)} == {identity(match)[:2] for match in narrow.best(50)}


@given(kv_bytes=SIZES)
def test_to_know_more_leaves_no_more(kv_bytes):
    """One choice known leaves at least one match and at most all."""
    found = find(kv_bytes)
    assert all(1 - 1e-9 <= left <= len(found.fits) + 1e-9 for left in found.left_if_known().values())
    assert found.likeliest_half <= len(found.fits)


@given(kv_bytes=floats(FEWEST_BYTES, MOST_BYTES), within=sampled_from([0, 1e-9]))
def test_where_nothing_fits_the_nearest_below_and_above_are_shown(kv_bytes, within):
    """Without a match there are caches on either side, as far as the grid goes, and none between them."""
    found = find(kv_bytes, within_share=within)
    if len(found.fits):
        return
    nearest = [match.kv_bytes_per_token for match in found.nearest]
    assert nearest
    assert nearest == sorted(nearest)
    assert len(nearest) == 1 or nearest[0] < kv_bytes < nearest[1]
    for size in nearest:
        assert len(find(size, within_share=0).fits)


# --- plausibility is the catalog's -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(habits()))
def test_a_choice_is_as_plausible_as_its_votes_plus_one(name):
    """The rule of succession, and nothing else; so what the catalog never does keeps the weight of one model."""
    habit = habits()[name]
    total = sum(habit.votes) + len(habit.values)
    assert habit.plausibility == pytest.approx([(vote + 1) / total for vote in habit.votes])
    assert len(set(habit.values)) == len(habit.values)


def test_every_model_with_a_growing_cache_has_one_vote():
    """Grouped and latent together are as many as the models that keep a cache."""
    voters = [model for model in KNOWN.values() if model.entries]
    assert sum(habits()["kind"].votes) == pytest.approx(len(voters))
    for name in ("global_share", "layers_per_cache", "index_dim", "compression_stride"):
        assert sum(habits()[name].votes) == pytest.approx(len(voters))
    assert sum(habits()["latent_dim"].votes) + sum(habits()["kv_heads"].votes) == pytest.approx(len(voters))


def test_the_plausibility_of_the_grid_is_one():
    """Entries sum to one, and so do numbers of caches, with a size and without."""
    assert entries().plausibility.sum() == pytest.approx(1)
    for layers in (layers_habit(), layers_habit(671e9), layers_habit(None, 1e9), layers_habit(1e12, 32e9)):
        assert layers.plausibility.sum() == pytest.approx(1)
        assert stacks(layers).plausibility.sum() == pytest.approx(1)


@pytest.mark.parametrize("name", list(habits()))
@pytest.mark.parametrize("size", [Size(70e9), Size(None, 3e9), Size(671e9, 37e9), Size(1e15)])
def test_near_a_size_a_vote_weighs_by_its_doublings(name, size):
    """2^-d^2 of a vote, and as many votes more as there are values, divided as the whole catalog divides its own."""
    every, near = habits()[name], habits(size)[name]
    assert near.values == every.values
    total = sum(near.votes) + len(near.values)
    expected = [(vote + len(near.values) * share) / total for vote, share in
                zip(near.votes, every.plausibility, strict=True)]  # fmt: skip
    assert near.plausibility == pytest.approx(expected)
    assert near.plausibility.sum() == pytest.approx(1)
    voters = [m for m in KNOWN.values() if m.entries]
    if name in ("kind", "global_share", "layers_per_cache"):
        assert sum(near.votes) == pytest.approx(sum(size.votes(m) for m in voters))


def test_half_a_vote_at_twice_the_size():
    """A whole one at the same size, a half at twice or half of it, a sixteenth at four times; of two sizes, both."""
    model = KNOWN["deepseek-v3"]
    total, active = model.total_params, model.active_params
    for factor, votes in ((1, 1), (2, 1 / 2), (1 / 2, 1 / 2), (4, 1 / 16)):
        assert Size(total * factor).votes(model) == pytest.approx(votes)
        assert Size(None, active * factor).votes(model) == pytest.approx(votes)
    assert Size(total * 2, active * 2).votes(model) == pytest.approx(1 / 4)
    assert Size().votes(model) == 1


def test_far_from_every_model_the_whole_catalog_decides():
    """A size that nothing is near leaves every choice as plausible as without a size, and layers to the trend."""
    for name, habit in habits(Size(1e15)).items():
        assert habit.plausibility == pytest.approx(habits()[name].plausibility, abs=1e-6)


def test_larger_models_are_taken_to_be_deeper():
    """The catalog's trend: more parameters, more layers."""
    expected = [layers_habit(None, size).expected for size in (1e9, 10e9, 100e9)]
    assert expected == sorted(expected)
    off = [abs(math.log(m.mixing_layers / layers_habit(None, m.active_params).expected)) for m in KNOWN.values()]
    assert np.mean(np.array(off) <= math.log(layers_habit(None, 1e9).spread_factor)) > 0.6  # of a normal: 0.68


# --- the catalog finds itself ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", UNIFORM)
def test_a_catalogued_model_is_among_those_that_fit_its_own_number(name):
    """Asked for its own bytes in its own format, its layers, heads and dimensions are there, exact, and like itself."""
    model, known = load_model(name), KNOWN[name]
    ((entry, layers),) = known.entries.items()
    found = find(model.kv_bytes_per_token, kv_dtype=model.kv_dtype.name, within_share=0)
    (own,) = [match for match in found.best() if match.entry == entry and match.kv_layers == layers]
    assert own.kv_bytes_per_token == model.kv_bytes_per_token
    assert own.difference_share == 0
    assert name in own.like


@pytest.mark.parametrize("name", [name for name, model in KNOWN.items() if model.stored_numbers])
def test_a_catalogued_model_is_as_near_to_its_own_number_as_can_be(name):
    """Asked for its bytes and its size, it is its own neighbour, at factor 1."""
    model = load_model(name)
    found = find(model.kv_bytes_per_token, total_params=model.total_params, active_params=model.active_params,
                 kv_dtype=model.kv_dtype.name)  # fmt: skip
    for near_by in ("stored", "size", "all"):
        first = next(near for near in found.neighbours if near.near_by == near_by)
        assert (first.factor == 1) or near_by == "size"
    assert name in {near.model.name for near in found.neighbours if near.near_by == "all"}


def test_neighbours_tell_what_is_stored_from_what_is_read():
    """DeepSeek-V3.2 stores 85,888 bytes a token and reads 15,616 more for each token of context: its index alone."""
    read = next(near for near in find(15616, kv_dtype="bf16").neighbours if near.near_by == "read")
    assert read.model.name in ("deepseek-v3.2", "deepseek-v3.2-exp")
    assert (read.kv_bytes_per_token, read.kv_read_growth_bytes, read.factor) == (85888, 15616, 1)
    stored = next(near for near in find(85888, kv_dtype="bf16").neighbours if near.near_by == "stored")
    assert (stored.model.name, stored.factor) == (read.model.name, 1)


# --- examples ----------------------------------------------------------------------------------------------------


def test_the_lecture_number_has_no_exact_cache():
    """1,667 B a token is N_act / (300 x 200k): nothing keeps exactly that, and thousands are within 5 %.

    Among them are 13 layers of one key-value head in fp4, and three latent layers in fp8; the format decides.
    """
    found = find(1667)
    assert not len(found.exact)
    assert len(found.fits) > 1000
    sizes = {(match.dtype.name, match.kv_bytes_per_token) for match in found.best(20)}
    assert {("fp4", 1664), ("fp4", 1728), ("fp8", 1728)} <= sizes
    formats = [find(1667, kv_dtype=name) for name in FORMATS]
    assert sum(len(one.fits) for one in formats) == len(found.fits)
    assert all(len(one.fits) for one in formats)


def test_two_kilobytes_are_one_cache_that_all_layers_share():
    """The lecture's other number (01:33:02): 2 x 8 x 128 at one byte, one cache for all layers, is the likeliest."""
    first = find(2048).match(0)
    assert first.reading == "one cache of 2 x 8 KV heads x 128 in fp8, shared by all 32 layers"
    assert (first.kv_layers, first.entry.kv_heads, first.entry.key_dim, first.dtype.name) == (1, 8, 128, "fp8")
    assert first.kv_bytes_per_token == 2048


@pytest.mark.parametrize(
    ("kv_bytes", "format_", "reading", "like"),
    [
        (70272, "bf16", "61 layers of (512 latent + 64 rotary) in bf16", "deepseek-v3"),
        (327680, "bf16", "80 layers of 2 x 8 KV heads x 128 in bf16", "llama-3.1-70b"),
        (516096, "bf16", "126 layers of 2 x 8 KV heads x 128 in bf16", "llama-3.1-405b"),
    ],
)
def test_known_numbers_lead_to_known_architectures(kv_bytes, format_, reading, like):
    """The bytes of DeepSeek-V3, of Llama's largest: to the byte, the likeliest cache is theirs."""
    match = find(kv_bytes, kv_dtype=format_, within_share=0).match(0)
    assert match.reading == reading
    assert like in match.like


def test_kimi_k3_in_fp8_is_24_latent_layers():
    """13,824 B in fp8 is the growing cache of Kimi K3: 24 layers of 512 + 64."""
    found = find(13824, kv_dtype="fp8", within_share=0)
    (own,) = [m for m in found.best() if m.entry.latent_dim == 512 and m.entry.rope_dim == 64 and m.kv_layers == 24
              and m.entry.compression_stride == 1 and not m.entry.index_dim]  # fmt: skip
    assert own.like[0] == "kimi-k3"
    assert found.best(5).index(own) < 5


@pytest.mark.parametrize(
    ("kv_bytes", "sizes", "reading"),
    [
        (327680, {"total_params": 70e9}, "80 layers of 2 x 8 KV heads x 128 in bf16"),
        (131072, {"total_params": 8e9}, "32 layers of 2 x 8 KV heads x 128 in bf16"),
        (70272, {"total_params": 671e9, "active_params": 37e9}, "61 layers of (512 latent + 64 rotary) in bf16"),
        (516096, {"total_params": 405e9}, "126 layers of 2 x 8 KV heads x 128 in bf16"),
    ],
)
def test_with_a_size_the_architecture_of_that_size_comes_first(kv_bytes, sizes, reading):
    """Within 5 % and in any format: what the catalogued models near that size do is the likeliest."""
    found = find(kv_bytes, **sizes)
    assert found.match(0).reading == reading
    assert found.exact[0] == 0


@pytest.mark.parametrize(
    ("kv_bytes", "sizes", "format_", "names"),
    [
        (131072, {}, "bf16", {"llama-3.1-8b", "hunyuan-a13b"}),
        (131072, {"total_params": 8e9}, "bf16", {"llama-3.1-8b"}),
        (57344, {}, "bf16", {"qwen2.5-7b", "ernie-4.5-21b-a3b"}),
        (57344, {"total_params": 7.6e9}, "bf16", {"qwen2-7b", "qwen2.5-7b"}),
        (327680, {"total_params": 70e9}, "bf16", {"llama-3.1-70b"}),
        (327680, {"total_params": 35e9}, "fp4", {"command-r"}),
    ],
)
def test_of_models_that_are_as_near_the_one_of_that_size_and_format_is_named(kv_bytes, sizes, format_, names):
    """By size where it is given; then in the format of its checkpoint; then by name."""
    every = find(kv_bytes, **sizes).nearest_models
    assert (every[0].dtype.name, every[0].factor) == (format_, 1)
    assert every[0].model.name in names
    alike = {near.model.name for near in every}
    stored = {one.bytes_per_number for one in map(dtype, FORMATS)}
    assert alike == {m.name for m in KNOWN.values() if kv_bytes in {m.stored_numbers * size for size in stored}}


def test_a_size_changes_the_order_and_not_the_caches():
    """Parameters are a prior: the same caches fit, in another order, in deeper or shallower stacks."""
    bare, sized = find(1667), find(1667, active_params=100e9)
    assert set(map(identity, bare.best())) == set(map(identity, sized.best()))
    assert sized.match(0).n_layers == pytest.approx(sized.layers.expected, rel=0.3)
    assert bare.layers.expected is None


@pytest.mark.parametrize("name", ["mxfp4", "int4", "fp32", "bfloat16"])
def test_any_format_may_be_asked_for(name):
    """Formats beyond the usual three, scales of their blocks included."""
    match = find(2 * 8 * 128 * dtype(name).bytes_per_number, kv_dtype=name, within_share=0).match(0)
    assert match.dtype == dtype(name)


def test_a_match_is_derived():
    """The derivation of a match ends in its bytes, by the library's equations."""
    text = explain(find(85888, kv_dtype="bf16", within_share=0).match(0))
    assert "kv_layers * (latent_dim + rope_dim) * element_bytes" in text
    assert "index" in text


def test_numbers_may_be_texts():
    """As people write them: 2k is 2,000 bytes a token, 70B parameters, 1%."""
    texts = find("2k", total_params="70B", within_share="1%")
    assert texts.asked == find(2000, total_params=70e9, within_share=0.01).asked
    assert find("2Ki").asked.kv_bytes == find("2 KiB").asked.kv_bytes == 2048
    assert find("1,667").asked.kv_bytes == 1667


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kv_bytes", [0, -1, 0.5, 1e10, math.inf, math.nan])
def test_a_number_that_no_cache_has_is_refused(kv_bytes):
    """Nothing, less than a byte, more than a gigabyte."""
    with pytest.raises(BadInput, match="kv_bytes must be from 1 to 1,000,000,000"):
        find(kv_bytes)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"within_share": 1}, "below 1"),
        ({"within_share": -0.1}, "from 0"),
        ({"within_share": math.nan}, "from 0"),
        ({"active_params": 100}, "did you mean 100B"),
        ({"total_params": 1e9, "active_params": 2e9}, "cannot exceed"),
        ({"total_params": 1e20}, "params must be"),
        ({"total_params": [1]}, "number in params"),
        ({"within_share": "some"}, "expected a number"),
        ({"kv_dtype": 8}, "kv_dtype is the name of a format"),
    ],
)
def test_other_numbers_out_of_range_are_refused(asked, said):
    """A tolerance of everything, a size no model has, parts larger than the whole."""
    with pytest.raises(BadInput, match=said):
        find(1667, **asked)


@pytest.mark.parametrize("kv_bytes", [None, [1667], "many", "5%", True, {}])
def test_what_is_no_number_of_bytes_is_refused_with_an_example(kv_bytes):
    """One line that names kv_bytes and shows what works."""
    with pytest.raises(BadInput, match=r"kv_bytes takes a number of bytes, such as 1667, 2k or '1\.6 kB'"):
        find(kv_bytes)


def test_an_unknown_format_has_neighbours():
    """A format is one of those that are known."""
    with pytest.raises(UnknownName, match="fp8"):
        find(1667, kv_dtype="fp9")


# --- the command -------------------------------------------------------------------------------------------------


def answer(capsys, *arguments):
    assert main(["model", *arguments]) == 0
    return capsys.readouterr().out


def test_the_command_answers_first_and_keeps_its_tables_narrow(capsys):
    """The first line counts what fits; tables are at most 100 columns, prose at most 110."""
    lines = answer(capsys, "--matching", "kv_bytes=1667").splitlines()
    assert "plausible caches keep 1,667 B" in lines[0]
    tables = [line for line in lines if "  " in line.strip() and not line.startswith(" ")]
    assert max(map(len, tables)) <= 100
    assert max(map(len, lines)) <= 110
    assert "deepseek-v4-flash" in "\n".join(lines)


def test_the_likeliest_exact_cache_is_always_in_the_table(capsys):
    """Marked; where it is not among those shown it is the last row, with its number."""
    lines = answer(capsys, "--matching", "kv_bytes=70272", "--matching", "params=1B", "--most", "3").splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("format"))
    rows = lines[head + 1 : lines.index("", head)]
    assert ["exact" in row for row in rows[:4]] == [False, False, False, True]
    told = json.loads(
        answer(capsys, "--matching", "kv_bytes=70272", "--matching", "params=1B", "--most", "3", "--json")
    )
    best = told["likeliest_exact"]
    assert rows[4] == f"(the last row, number {best['rank']:,}, is the likeliest that is exact)"
    assert (best["difference_share"], best["kv_bytes_per_token"]) == (0, 70272)
    assert len(told["matches"]) == 3
    text = answer(capsys, "--matching", "kv_bytes=70272", "--matching", "params=671B", "--matching", "active=37B")
    assert "61  70,272  exact" in text
    assert "the last row" not in text


def test_the_nearest_models_are_counted(capsys):
    """One is named, and how many keep exactly as much."""
    words = " ".join(answer(capsys, "--matching", "kv_bytes=131072", "--matching", "params=8B").split())
    told = json.loads(answer(capsys, "--matching", "kv_bytes=131072", "--matching", "params=8B", "--json"))
    more = told["n_models_exact"] - 1
    assert f"Nearest in the catalog: llama-3.1-8b in bf16, 131,072, and {more} more, all exact." in words
    assert told["nearest_model"]["model"] == "llama-3.1-8b"
    assert "all exact" not in answer(capsys, "--matching", "kv_bytes=1667")


KEYS = {"asked", "within_share", "n_grid", "n_matching", "n_exact", "likeliest_half", "plausibility_of_matches",
        "matches", "formats", "left_if_known", "nearest", "neighbours", "notes"}  # fmt: skip
MATCH = {"kind", "kv_layers", "kv_heads", "head_dim", "latent_dim", "rope_dim", "layers_per_cache",
         "compression_stride", "dtype", "kv_bytes_per_token", "difference_share", "plausibility", "reading",
         "like"}  # fmt: skip
NEIGHBOUR = {"model", "kv_bytes_per_token", "dtype", "factor", "kind", "near_by", "kv_read_growth_bytes"}


def test_the_json_has_its_keys_and_a_reason_beside_every_null(capsys):
    """The keys stay; what an architecture has not is null, with the reason."""
    told = json.loads(answer(capsys, "--matching", "kv_bytes=70272", "--matching", "active=37B", "--json"))
    assert told.keys() >= KEYS
    assert told["asked"] == {"kv_bytes": 70272, "active": 37e9}
    assert len(told["matches"]) == 10
    for row in [*told["matches"], *told["formats"]]:
        assert all(row[f"{key}_reason"] for key, value in row.items() if value is None)
    assert all(row.keys() >= MATCH for row in told["matches"])
    assert all(row.keys() >= NEIGHBOUR for row in told["neighbours"])
    assert {row["near_by"] for row in told["neighbours"]} == {"stored", "read", "size", "all"}
    assert told["n_layers_expected"] > 0
    none = json.loads(answer(capsys, "--matching", "kv_bytes=1667", "--json"))
    assert none["likeliest_exact"] is None
    assert none["likeliest_exact_reason"]


SCHEMA = json.loads((files("headway.cli") / "matching.schema.json").read_text("utf-8"))


@pytest.mark.parametrize(
    "words",
    ["kv_bytes=1667 --explain", "kv_bytes=1667 --within 0", "kv_bytes=500MB", "kv_bytes=70272 --most 500",
     "kv_bytes=327680 --matching params=70B --kv-dtype bf16", "kv_bytes=1 --matching active=1B --kv-dtype mxfp4"],
)  # fmt: skip
def test_the_json_is_as_the_schema_has_it(words, capsys):
    """Whether something fits or nothing does, with a size, in one format, with the derivation."""
    jsonschema.validate(json.loads(answer(capsys, "--matching", *words.split(), "--json")), SCHEMA)


@pytest.mark.parametrize(
    ("path", "value"),
    [(("matches", 0, "kv_heads"), None), (("matches", 0, "beauty"), 1), (("matches", 0, "kv_layers"), 0),
     (("neighbours", 0, "near_by"), "far"), (("likeliest_exact", "rank"), "first"), (("n_layers_expected",), 80.0)],
)  # fmt: skip
def test_the_schema_refuses_what_an_answer_never_is(path, value, capsys):
    """A null without its reason, a key that nobody documented, no layers, half of the trend."""
    told = json.loads(answer(capsys, "--matching", "kv_bytes=327680", "--kv-dtype", "bf16", "--most", "1", "--json"))
    jsonschema.validate(told, SCHEMA)
    place = told
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(told, SCHEMA)


def test_the_derivation_fits_its_lines(capsys):
    """--explain is prose of at most 110 columns; the address of a source stays whole."""
    lines = answer(capsys, "--matching", "kv_bytes=1667", "--explain").splitlines()
    assert all(len(line) <= 110 for line in lines if not line.lstrip().startswith("["))


def test_the_reference_names_every_key(capsys):
    """A key that the command prints is a key that the reference explains."""
    told = json.loads(answer(capsys, "--matching", "kv_bytes=1667", "--matching", "active=37B", "--json"))
    rows = [told, *told["matches"], *told["formats"], *told["neighbours"], told["left_if_known"]]
    reference = (Path(__file__).parent.parent / "docs" / "reference.md").read_text("utf-8")
    keys = {key for row in rows for key in row if not key.endswith("_reason")}
    assert not [key for key in sorted(keys) if f"`{key}`" not in reference]


def test_the_options_select(capsys):
    """--within, --most, --kv-dtype and repeated numbers; --explain derives the first match."""
    said = ["--matching", "kv_bytes_per_token=70272", "--matching", "params=671B", "--within", "0", "--most", "3"]
    told = json.loads(answer(capsys, *said, "--kv-dtype", "bf16", "--json", "--explain"))
    assert told["within_share"] == 0
    assert len(told["matches"]) == 3
    assert {row["dtype"] for row in told["matches"]} == {"bf16"}
    assert all(row["difference_share"] == 0 for row in told["matches"])
    assert any("kv_bytes_per_token" in line for line in told["explanation"])


def test_where_nothing_fits_the_answer_is_a_sentence(capsys):
    """No match is an answer too: the nearest on either side, and exit 0."""
    assert answer(capsys, "--matching", "kv_bytes=1667", "--within", "0").startswith(
        "No cache on the grid keeps 1,667 B"
    )
    told = json.loads(answer(capsys, "--matching", "kv_bytes=500MB", "--json"))
    assert (told["n_matching"], told["matches"], len(told["nearest"])) == (0, [], 1)
    assert "No cache" in answer(capsys, "--matching", "kv_bytes=500MB", "--explain")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--matching", "kv_bytes=0"], "must be from 1 to"),
        (["--matching", "kv_bytes=-5"], "must be from 1 to"),
        (["--matching", "kv_bytes=1e30"], "must be from 1 to"),
        (["--matching", "kv_bytes=nan"], "number"),
        (["--matching", "kv_bytes=many"], "number"),
        (["--matching", "kv_bytes=2x"], "kv_bytes takes a number of bytes, such as 1667, 2k or '1.6 kB', found '2x'"),
        (["--matching", "kv_bytes=1667", "--weight-dtype", "fp8"], "--kv-dtype"),
        (["--matching", "kv_bytes"], "NAME=VALUE"),
        (["--matching", "kv_bytes="], "NAME=VALUE"),
        (["--matching", "kv_byte=1667"], "did you mean kv_bytes"),
        (["--matching", "layers=61"], "known are kv_bytes"),
        (["--matching", "kv_dtype=fp8"], "--kv-dtype"),
        (["--matching", "active=37B"], "needs kv_bytes"),
        (["--matching", "kv_bytes=1", "--matching", "kv_bytes=2"], "twice"),
        (["--matching", "kv_bytes=1667", "--within", "5"], "did you mean 5%"),
        (["--matching", "kv_bytes=1667", "--within=-1"], "from 0"),
        (["--matching", "kv_bytes=1667", "--most", "0"], "--most"),
        (["--matching", "kv_bytes=1667", "--most", "1.5"], "--most"),
        (["--matching", "kv_bytes=1667", "--kv-dtype", "fp9"], "dtype"),
        (["--matching", "kv_bytes=1667", "--params", "1B"], "--matching params=1B"),
        (["--matching", "kv_bytes=1667", "--set", "a=1"], "--set"),
        (["deepseek-v3", "--matching", "kv_bytes=1667"], "leave out 'deepseek-v3'"),
    ],
)
def test_a_question_that_cannot_be_understood_is_refused_in_one_line(arguments, said, capsys):
    """Exit 2, one line, what was wrong and what would be right."""
    assert main(["model", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err
