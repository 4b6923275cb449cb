"""The board of length: its curves are what the library answers, and its walls stand where they are worked out apart."""

import json
import shlex

import numpy as np
import pytest

import headway
from headway.cli import main
from headway.equations import context
from headway.model.dtypes import dtype
from headway.techniques.ranking import ranking
from headway.techniques.settings import settings
from headway.web.boards import context as board_of
from headway.web.drawn import board_as_json, tables
from headway.web.library import models
from headway.web.page import board_json, details_json, inputs_json
from headway.web.state import Side, State

ON = "gb200-nvl72"
PLAIN = ("llama-3.1-70b", "llama-3.1-8b", "deepseek-v3")
SEVERAL = (*PLAIN, "gemma-3-27b", "deepseek-v3.2", "kimi-k3", "qwen3-next-80b-a3b")
DRAWN = 1e-6  # a drawn number has seven digits
REFINED = ("expert-hits", "attention")


def state(model="deepseek-v3", on=ON, **asked):
    changes = tuple(asked.pop("changes", {}).items())
    return State("context", a=Side(model, on=on, changes=changes), **asked)


def column(asked):
    """The only column, after a look that nothing in it is NaN or infinite."""
    board = board_as_json(board_of.board(asked))
    (found,) = board["columns"]
    json.dumps(found, allow_nan=False)
    return found


def figure(asked, key):
    return next(one for one in column(asked)["figures"] if one["key"] == key)


def points(drawn, label):
    """The points of a curve that are drawn, and in SI units where they are costs."""
    values = next(one["values"] for one in drawn["curves"] if one["label"] == label)
    pairs = [(x, y) for x, y in zip(drawn["x"]["values"], values, strict=True) if y is not None]
    x, y = np.array(pairs).T
    return x, y / 1e6 if drawn["key"] == "cost" else y


def marks(drawn):
    return {mark["label"]: mark["x"] for mark in drawn["marks"] if "x" in mark}


def crossing(x, y):
    """Where a share comes to 1, between the two points around it."""
    after = int(np.argmax(y >= 1))
    at = np.interp(0.0, np.log(y[after - 1 : after + 1]), np.log(x[after - 1 : after + 1]))
    return float(np.exp(at))


def facts(asked):
    return {one["label"]: one["text"] for one in column(asked)["facts"]}


# What a token costs


@pytest.mark.parametrize("model", SEVERAL)
@pytest.mark.parametrize("refine", [(), REFINED])
def test_the_cost_curve_is_the_library(model, refine):
    """Every drawn cost is what `headway.roofline` answers at that context, to the digits of a drawn number."""
    x, y = points(figure(state(model, batch=64, refine=refine), "cost"), "as it is")
    answer = headway.roofline(model, on=ON, batch=64, context=x, refine=refine)
    assert np.all(answer.fits)
    assert y == pytest.approx(np.ravel(answer.cost_per_token_usd), rel=DRAWN)


@pytest.mark.parametrize("model", SEVERAL)
def test_length_never_makes_a_token_cheaper(model):
    """The cost grows with the context or stays, under every technique too."""
    chosen = tuple(
        t.short for t in settings().techniques if t.family != "place" and not t.why_not(models()[model], 1e8)
    )
    for short in chosen:
        drawn = figure(state(model, techniques=(short,)), "cost")
        for curve in drawn["curves"]:
            _, y = points(drawn, curve["label"])
            assert np.all(np.diff(y) >= -DRAWN * y[:-1]), (short, curve["label"])


@pytest.mark.parametrize("model", ["llama-3.1-70b", "deepseek-v3", "gemma-3-27b"])
def test_curves_end_where_the_memory_is_full(model):
    """The last context that is drawn is the last that fits, and one token more does not."""
    drawn = figure(state(model, batch=512), "cost")
    x, _ = points(drawn, "as it is")
    assert x[-1] == marks(drawn)["capacity wall"]
    assert bool(headway.roofline(model, on=ON, batch=512, context=x[-1]).fits)
    with pytest.raises(headway.Infeasible):
        headway.roofline(model, on=ON, batch=512, context=x[-1] + 1)


@pytest.mark.parametrize("model", ["llama-3.1-70b", "gemma-3-27b", "kimi-k3"])
def test_a_technique_beside_it_is_the_library_with_another_cache(model):
    """A technique's curve is the pass of the model with its cache changed, attention and experts hit counted."""
    techniques = {t.short: t for t in settings().techniques}
    chosen = ("fp8", "top-k", "share")
    drawn = figure(state(model, batch=32, techniques=chosen), "cost")
    assert [one["role"] for one in drawn["curves"]] == ["total", "family1", "family2", "family3"]
    for short in chosen:
        technique = techniques[short]
        x, y = points(drawn, technique.name.replace("-", " "))
        changed = technique.changed(models()[model])
        answer = headway.roofline(changed, on=ON, batch=32, context=x, refine=REFINED)
        assert y == pytest.approx(np.ravel(answer.cost_per_token_usd), rel=DRAWN)


def test_a_cache_in_half_the_bytes_reaches_twice_as_far():
    """The same numbers in a format of half the size fill the memory at twice the context, to a step of the axis."""
    drawn = figure(state("llama-3.1-70b", batch=64, techniques=("fp8",)), "cost")
    (as_it_is, _), (halved, _) = (points(drawn, label) for label in ("as it is", "quantisation fp8"))
    fp8 = next(t for t in settings().techniques if t.short == "fp8")
    times = dtype("bf16").bytes_per_number / fp8.bytes_per_number
    step = (1e8 / 1e3) ** (1 / 159)
    assert as_it_is[-1] * times / step <= halved[-1] <= as_it_is[-1] * times


def test_terms_apart_are_the_pass_in_parts():
    """With the terms apart, arithmetic or the two reads, whichever is more, make the cost of the pass."""
    drawn = figure(state(batch=4096, terms=True), "cost")
    total, compute, weights, kv = (
        points(drawn, label)[1] for label in ("as it is", "arithmetic", "reading weights", "reading KV cache")
    )
    assert total == pytest.approx(np.maximum(compute, weights + kv), rel=2 * DRAWN)


# The walls


@pytest.mark.parametrize("model", PLAIN)
@pytest.mark.parametrize("batch", [1, 8, 1024])
def test_shares_cross_one_at_the_closed_forms(model, batch):
    """For a plain cache each curve passes 1 where the equation of its wall says."""
    asked = state(model, batch=batch)
    answer = headway.roofline(model, on=ON, batch=batch)
    value = answer.sheet.value
    kv = models()[model].kv_bytes_per_token
    expected = {
        "bandwidth": 2 * value("active_params") / value("flop_per_s") * value("bandwidth_bytes_per_s") / kv,
        "capacity": (value("usable_bytes") - value("stored_weight_bytes")) / batch / kv - 1,
        "attention": float(context.attention_wall_tokens(value("active_params"), _prompt_pair_flop(model))),
    }
    drawn = figure(asked, "walls")
    for curve in drawn["curves"]:
        name = curve["label"].partition(":")[0]
        x, y = points(drawn, curve["label"])
        if x[0] < expected[name] < x[-1]:
            # the wall is a point of the axis, a whole token for the capacity
            assert crossing(x, y) == pytest.approx(expected[name], rel=1e-4, abs=1.0), name
            assert marks(drawn)[f"{name} wall"] == pytest.approx(expected[name], rel=DRAWN, abs=1.0), name


def _prompt_pair_flop(model):
    """What a pair of tokens of a prompt takes, from the shape of the model; a latent expanded to keys and values."""
    if model == "deepseek-v3":
        return 61 * 2 * 128 * (192 + 128)
    layers, heads, width = {"llama-3.1-70b": (80, 64, 128), "llama-3.1-8b": (32, 32, 128)}[model]
    return layers * 2 * 2 * heads * width


@pytest.mark.parametrize(("model", "thousands"), [("llama-3.1-70b", 54), ("deepseek-v3", 15)])
def test_attention_reaches_the_weights_where_the_notes_say(model, thousands):
    """A token that attends to 54k (Llama-70B) or 15k (V3 prefill) others; the mean one of a prompt twice as long."""
    mean_attended = (marks(figure(state(model), "walls"))["attention wall"] + 1) / 2
    # two digits are stated, and parameters with the embedding, of which 1.5 to 2.5 % are looked up
    assert mean_attended == pytest.approx(1000 * thousands, rel=0.04)


@pytest.mark.parametrize("model", SEVERAL)
@pytest.mark.parametrize("refine", [(), REFINED])
def test_shares_are_ratios_of_what_the_library_answers(model, refine):
    """At every context: reading over arithmetic of a sequence, memory over memory, attention over weights."""
    drawn = figure(state(model, batch=64, refine=refine), "walls")
    x = np.array(drawn["x"]["values"])
    answer = headway.roofline(model, on=ON, batch=64, context=x, refine=refine, beyond_memory=True)
    one = headway.roofline(model, on=ON, batch=1, context=x, refine=[r for r in refine if r == "attention"],
                           beyond_memory=True)  # fmt: skip
    prompt = headway.describe(models()[model], x)
    weights = 2 * models()[model].active_params
    expected = {
        "bandwidth": np.ravel(one.t_kv_s / one.t_compute_s) * np.ones(x.size),
        "capacity": np.ravel(answer.needed_bytes / answer.usable_bytes),
        "attention": prompt.value("prefill_flops_per_token") / weights - 1,
    }
    for curve in drawn["curves"]:
        _, y = points(drawn, curve["label"])
        # flops per token minus those of the weights: the difference has fewer digits where attention is small
        assert y == pytest.approx(expected[curve["label"].partition(":")[0]], rel=1e-5), curve["label"]


@pytest.mark.parametrize("model", ["gemma-3-27b", "deepseek-v3.2", "kimi-k3", "jamba-v0.1", "gpt-oss-120b"])
@pytest.mark.parametrize("refine", [(), ("attention",)])
def test_walls_of_any_cache_stand_where_two_sides_are_equal(model, refine):
    """With windows, choices, latents or states too, the two sides of a share are equal at its wall."""
    asked = state(model, batch=16, refine=refine)
    places = marks(figure(asked, "walls"))
    if "bandwidth wall" in places:
        one = headway.roofline(model, on=ON, batch=1, context=places["bandwidth wall"], refine=refine)
        assert float(one.t_kv_s) == pytest.approx(float(one.t_compute_s), rel=1e-6)
    if "attention wall" in places:
        per_token = headway.describe(models()[model], places["attention wall"]).value("prefill_flops_per_token")
        assert float(per_token) == pytest.approx(4 * models()[model].active_params, rel=1e-6)
    for label, batch in (("capacity wall", 16), ("capacity of one sequence", 1)):
        if label in places:
            assert bool(headway.roofline(model, on=ON, batch=batch, context=places[label]).fits)
            beyond = headway.roofline(model, on=ON, batch=batch, context=places[label] + 1, beyond_memory=True)
            assert not bool(beyond.fits)


def test_a_larger_batch_meets_the_capacity_wall_first():
    """The walls of bandwidth and attention stay where they are; that of capacity comes nearer as 1 / batch."""
    few, many = (marks(figure(state("llama-3.1-70b", batch=batch), "walls")) for batch in (8, 80))
    for label in ("bandwidth wall", "attention wall", "capacity of one sequence"):
        assert few[label] == many[label]
    assert few["capacity wall"] == pytest.approx(10 * many["capacity wall"], rel=1e-4)  # whole tokens
    answer = column(state("llama-3.1-70b", batch=50_000, context_tokens=100))["answer"]
    assert "the capacity wall comes first, at 7" in answer


# Words


def test_the_answer_is_a_sentence_with_the_cost_and_the_first_wall():
    """What a token costs at the present context, and which wall comes first, or came."""
    answer = column(state("llama-3.1-70b", context_tokens=1000))["answer"]
    cost = float(headway.roofline("llama-3.1-70b", on=ON, context=1000).cost_per_token_usd) * 1e6
    assert answer.startswith(f"A decoded token costs ${cost:.2f}/Mtok at 1,000 tokens of context in a batch of 8;")
    assert answer.endswith("the bandwidth wall comes first, at 1,357 tokens.")
    assert "the bandwidth wall came first" in column(state("llama-3.1-70b", context_tokens=2000))["answer"]


def test_ten_times_the_context_costs_what_the_library_says_or_does_not_fit():
    """The fact beside the present cost is the cost at ten times the context."""
    told = facts(state("llama-3.1-70b"))
    cost = float(headway.roofline("llama-3.1-70b", on=ON, context=40_000).cost_per_token_usd) * 1e6
    assert told["cost at 40,000 tokens"] == f"${cost:.2f}/Mtok"
    assert facts(state("llama-3.1-70b", context_tokens=1e6))["cost at 10,000,000 tokens"] == "does not fit"


def test_what_does_not_fit_is_refused_and_its_walls_stay():
    """A context beyond the memory gets the reason for its answer; shares go on, for they are no passes."""
    found = column(state("llama-3.1-70b", on="h200-sxm:8", batch=1000, context_tokens=100_000))
    with pytest.raises(headway.Infeasible) as refusal:
        headway.roofline("llama-3.1-70b", on="h200-sxm:8", batch=1000, context=100_000)
    assert found["refused"]
    assert found["answer"] == str(refusal.value)
    cost, shares = found["figures"]
    assert not cost["equations"]
    assert points(cost, "as it is")[0][-1] == 2666
    assert all(None not in curve["values"] for curve in shares["curves"])
    assert {one["label"]: one["text"] for one in found["facts"]}["cost at 100,000 tokens"] == "does not fit"


def test_what_does_not_fit_may_fit_under_a_technique():
    """Where the model as it is has no room, the facts say what a token costs under the techniques that make some."""
    asked = state("llama-3.1-70b", on="h100-sxm:8", context_tokens=1e6, techniques=("fp8", "evict"))
    found = column(asked)
    assert found["refused"]
    told = {one["label"]: one["text"] for one in found["facts"]}
    assert (told["cost at 1,000,000 tokens"], told["with quantisation fp8"]) == ("does not fit", "does not fit")
    ranked = ranking("llama-3.1-70b", "h100-sxm:8", batch=8, context_tokens=1e6)
    cost = next(row.figures.value("cost_per_mtok_usd") for row in ranked.alone if row.names == ("eviction",))
    assert told["with eviction"] == f"${cost:.2f}/Mtok"


def test_weights_that_fit_nowhere_leave_the_walls_and_no_price():
    """Where not even the weights fit there is no cost, of no technique; the table says so in every row."""
    asked = state("deepseek-v3", on="h100-sxm:8", techniques=("fp8",))
    found = column(asked)
    assert found["refused"]
    assert [one["key"] for one in found["figures"]] == ["walls"]
    assert "not even the first token of 8 sequences fits" in found["why"]
    told = tables(board_of.board(asked).columns[0].figures[0])[0]
    assert {row[1] for row in told["rows"]} == {"does not fit: weights 673 GB > 576 GB"}


@pytest.mark.parametrize(
    "changes", [{"kv_bytes_per_token": "0"}, {"rental_usd_per_s": "0"}, {"num_hidden_layers": "3"}]
)
@pytest.mark.parametrize("tokens", [0, 1, 4000, 1e8])
def test_odd_numbers_get_clear_words(changes, tokens):
    """No cache, no price, another shape, any length: a whole board, without NaN or infinity, or a refusal in words."""
    asked = state("llama-3.1-70b", changes=changes, context_tokens=tokens, techniques=("fp8", "evict", "top-k"))
    found = column(asked)
    assert found["answer"]
    assert not {"nan", "inf", "infinity", "None"} & set(json.dumps(found).replace('"', " ").replace(",", " ").split())
    for drawn in found["figures"]:
        found_tables = tables(next(f for f in board_of.board(asked).columns[0].figures if f.key == drawn["key"]))
        rows = [row for table in found_tables for row in table["rows"]]
        assert not [cell for row in rows for cell in row if "nan" in cell.split() or "infinity" in cell]


def test_without_a_cache_there_is_no_wall_of_memory():
    """A model that keeps nothing for a token meets neither bandwidth nor capacity."""
    told = facts(state("llama-3.1-70b", changes={"kv_bytes_per_token": "0"}))
    assert told["bandwidth wall"].startswith("none")
    assert told["capacity wall, 8 sequences"].startswith("none")


def test_a_machine_without_a_price_shows_the_time():
    """Where the rent is not known, the time of a pass is drawn, and the answer says what is missing."""
    found = column(state("llama-3.1-8b", on="h20"))
    assert "the cost is not known" in found["answer"]
    assert [one["key"] for one in found["figures"]] == ["time", "walls"]
    x, y = points(found["figures"][0], "as it is")
    answer = headway.roofline("llama-3.1-8b", on="h20", context=x)
    assert y / 1e3 == pytest.approx(np.ravel(answer.step_s), rel=DRAWN)


@pytest.mark.parametrize("model", models())
def test_every_model_has_its_board(model):
    """Any catalogued model gives an answer and both charts, or a refusal; with every technique that can be drawn."""
    found = column(state(model))
    assert found["answer"]
    assert [one["key"] for one in found["figures"]] == ["cost", "walls"]
    assert sum(len(one["curves"]) for one in found["figures"]) <= 4
    beside = column(state(model, techniques=("evict", "top-k", "latent")))
    assert 1 <= len(beside["figures"][0]["curves"]) <= 4
    details = details_json("context", [("model", model), ("column", "a"), ("figure", "walls")])
    assert {"bandwidth_share", "capacity_share", "attention_share"} <= {
        s["name"] for s in details["derivation"]["steps"]
    }


# Techniques that are not drawn, and the table


def test_what_cannot_be_drawn_says_why():
    """A technique that does nothing, lies elsewhere, or would undo a changed number is named with the reason."""
    caption = figure(state("deepseek-v3", techniques=("latent",)), "cost")["caption"]
    assert "latent: it keeps a latent already" in caption
    assert "latent numbers" not in caption
    changed = state("llama-3.1-70b", changes={"kv_bytes_per_token": "1000"}, techniques=("fp8",))
    assert "it would change kv_bytes_per_token, which was set" in figure(changed, "cost")["caption"]
    windowed = state("gemma-3-27b", changes={"window_1024_tokens": "512"}, techniques=("share", "evict"))
    assert len(figure(windowed, "cost")["curves"]) >= 1


def needed(asked):
    told = tables(board_of.board(asked).columns[0].figures[0])[0]
    return {row[0]: dict(zip(told["header"], row, strict=True)) for row in told["rows"]}


def test_the_table_says_what_a_context_needs():
    """Memory and bandwidth for the batch, worked out from bytes kept and read; only what applies has a row."""
    rows = needed(state("llama-3.1-70b", context_tokens=100_000, batch=10))
    kept = 100_000 * 327_680
    row = rows["as it is"]
    assert row["a sequence keeps"] == row["a token reads"] == f"{kept / 1e9:.1f} GB"
    assert row["memory for the batch"] == f"{(70_553_706_496 * 2 + 10 * kept) / 1e9:.0f} GB"
    drain_s = 186e9 / 8e12
    rate = ((70_553_706_496 - 1_050_673_152) * 2 + 10 * kept) / drain_s
    assert row["bandwidth for a step of one drain time"] == f"{rate / 1e12:.1f} TB/s"
    assert "latent" in rows
    assert "latent" not in needed(state("deepseek-v3"))
    assert rows["rematerialisation"]["largest batch"].startswith("no limit")
    assert "host_link_bytes_per_s" in rows["offload"]["cost of a token"]


def test_the_table_is_made_only_when_asked_for(monkeypatch):
    """A board that is drawn computes no row of it; the details do."""
    made = []
    monkeypatch.setattr(board_of, "needs", lambda *_: made.append(1) or [])
    column(state())
    assert not made
    with pytest.raises(IndexError):
        details_json("context", [("column", "a"), ("figure", "cost")])
    assert made


def test_the_table_counts_what_the_board_counts():
    """The cost in the first row is that of the answer, whichever refinements are asked for."""
    for asked in (state(), state(refine=REFINED), state(techniques=("fp8",))):
        assert f"costs {needed(asked)['as it is']['cost of a token']} at" in column(asked)["answer"]


# The command and the call


def ran(line, capsys):
    assert main(shlex.split(line)[1:]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("model", ["llama-3.1-70b", "kimi-k3"])
def test_the_command_is_the_curve(model, capsys):
    """The command under the cost prints costs that lie on its curve."""
    drawn = figure(state(model, batch=64, refine=("attention",)), "cost")
    told = json.loads(ran(drawn["command"] + " --json", capsys))
    x, y = points(drawn, "as it is")
    fits = [(c, cost) for c, cost in zip(told["context"], told["cost_per_mtok_usd"], strict=True) if cost is not None]
    along = np.array([c for c, _ in fits])
    # between two points the curve is interpolated
    assert np.interp(along, x, y) * 1e6 == pytest.approx([cost for _, cost in fits], rel=1e-3)


def test_the_command_beside_techniques_prints_what_is_drawn(capsys):
    """With techniques chosen, the command ranks them at the present context, at the costs of the curves."""
    drawn = figure(state("llama-3.1-70b", batch=64, context_tokens=50_000, techniques=("fp8", "top-k")), "cost")
    told = json.loads(ran(drawn["command"] + " --json", capsys))
    costs = {row["name"].replace("-", " "): row["cost_per_mtok_usd"] for row in told["techniques"]}
    costs["as it is"] = told["baseline"]["cost_per_mtok_usd"]
    for curve in drawn["curves"]:
        x, y = points(drawn, curve["label"])
        assert np.interp(50_000, x, y) * 1e6 == pytest.approx(costs[curve["label"]], rel=1e-3), curve["label"]


def test_the_commands_of_the_walls_print_both_sides(capsys):
    """Both commands run, and print the numbers that the equations under the figure divide."""
    drawn = figure(
        state("llama-3.1-70b", changes={"bandwidth_bytes_per_s": "4e12", "num_key_value_heads": "4"}), "walls"
    )
    told = "".join(ran(line, capsys) for line in drawn["command"].splitlines())
    for equation in drawn["equations"]:
        for name, number in zip(*(equation[part].split(" / ") for part in ("symbols", "numbers")), strict=True):
            assert f"  {name} = " in told
            assert f"= {number}\n" in told


@pytest.mark.parametrize("asked", [state("gemma-3-27b"), state("llama-3.1-70b", refine=REFINED, batch=64)])
def test_the_calls_run_and_give_the_figures(asked, capsys):
    """The Python under each figure prints numbers that lie on its curves."""
    for drawn in column(asked)["figures"]:
        space = {}
        exec(drawn["call"], space)
        assert capsys.readouterr().out
        passes = space["passes"]
        along = np.ravel(passes.question.context_tokens)
        sides = {"as it is": passes.cost_per_token_usd}
        if drawn["key"] == "walls":
            value = space["prompt"].value
            sides = {
                "bandwidth": passes.t_kv_per_sequence_s / passes.t_compute_per_sequence_s,
                "capacity": passes.needed_bytes / passes.usable_bytes,
                "attention": value("attention_flop_of_prompt") / value("matmul_flop_of_prompt"),
            }
        for curve in drawn["curves"]:
            x, y = points(drawn, curve["label"])
            expected = np.ma.ravel(sides[curve["label"].partition(":")[0]])[along <= x[-1]]
            found = np.exp(np.interp(np.log(along[along <= x[-1]]), np.log(x), np.log(y)))
            # between two points the curve is interpolated
            assert found == pytest.approx(np.asarray(expected), rel=2e-3), curve["label"]


def test_the_call_beside_techniques_prints_every_cost(capsys):
    """With techniques chosen, the Python under the cost ranks them, changes of the machine put in."""
    asked = state("llama-3.1-70b", techniques=("fp8",), changes={"bandwidth_bytes_per_s": "4e12"})
    drawn = figure(asked, "cost")
    exec(drawn["call"], {})
    told = dict(
        line.rsplit(" ", 1) for line in capsys.readouterr().out.splitlines() if line.startswith(("as", "quant"))
    )
    for label, name in (("as it is", "as it is"), ("quantisation fp8", "quantisation-fp8")):
        x, y = points(drawn, label)
        assert np.interp(4000, x, y) * 1e6 == pytest.approx(float(told[name]), rel=1e-3)


# On the page


def test_the_board_is_on_the_page():
    """The address of the board gives it, its numbers can be changed, and the walls of two columns share an axis."""
    answer = board_json("context", [("model", "llama-3.1-70b"), ("vs_model", "gemma-3-27b"), ("technique", "fp8")])
    first, second = answer["columns"]
    assert [one["y"]["range"] for one in first["figures"]] == [one["y"]["range"] for one in second["figures"]]
    names = {one["name"] for one in inputs_json("context", [("column", "a")])["inputs"]}
    assert "kv_bytes_per_token" in names
    assert "prompt_tokens" not in names
    offered = next(one for one in answer["controls"] if one["name"] == "technique")["options"]
    assert {"offload", "remat"}.isdisjoint(value for value, _ in offered)
    counted = next(one for one in answer["controls"] if one["name"] == "refine")
    assert (counted["value"], counted["forced"]) == ([], list(REFINED))
    assert answer["query"].count("refine") == 0
