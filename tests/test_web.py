"""The page without a browser: states are bounded, boards say what the library says, the server gives nothing away."""

import base64
import contextlib
import gzip
import json
import math
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway
from headway import catalog
from headway.cli import main
from headway.errors import BadInput, HeadwayError
from headway.generations import generations
from headway.step.question import PLAIN_REFINEMENTS
from headway.uncertainty import LogError
from headway.units import format_si
from headway.web.drawn import step_below
from headway.web.library import MOST_CONFIG_BYTES, models, unpacked
from headway.web.page import board_json, details_json, inputs_json
from headway.web.state import BOARDS, Side, State, query, read, technique_names

PASSES = ("batch", "context", "pass-length")


def board(name, text=""):
    return board_json(name, parse_qsl(text, keep_blank_values=True))


def figure(answer, key, column=0):
    return next(one for one in answer["columns"][column]["figures"] if one["key"] == key)


def curve(drawn, label):
    """The points of a curve, those that the memory does not hold left out."""
    values = next(one["values"] for one in drawn["curves"] if one["label"] == label)
    pairs = [(x, y) for x, y in zip(drawn["x"]["values"], values, strict=True) if y is not None]
    return np.array(pairs).T


def packed(text):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.urlsafe_b64encode(deflate.compress(text.encode()) + deflate.flush()).decode().rstrip("=")


def strings(value):
    """Every piece of text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


sides = st.builds(
    Side,
    model=st.sampled_from(sorted(models())),
    config=st.sampled_from(["", packed('{"a": 1}')]),
    on=st.sampled_from(["gb200-nvl72", "h100-sxm:8", "tpu-v5p:4", "a100-sxm-80gb"]),
    changes=st.dictionaries(
        st.sampled_from(["memory_bytes", "rental_usd_per_s", "x"]), st.sampled_from(["1e12", "$2/h"])
    ).map(lambda changes: tuple(changes.items())),
).map(lambda side: replace(side, model=Side.model) if side.config else side)
states = st.builds(
    State,
    board=st.sampled_from(BOARDS),
    a=sides,
    b=st.none() | sides,
    batch=st.integers(1, 2**20).map(float),
    context_tokens=st.integers(0, 10**8).map(float),
    prompt_tokens=st.integers(1, 10**6).map(float),
    refine=st.sets(st.sampled_from(PLAIN_REFINEMENTS)).map(
        lambda chosen: tuple(name for name in PLAIN_REFINEMENTS if name in chosen)
    ),
    terms=st.booleans(),
    techniques=st.sets(st.sampled_from(technique_names()), max_size=3).map(
        lambda chosen: tuple(n for n in technique_names() if n in chosen)
    ),
    chips=st.booleans(),
)


@given(states)
def test_an_address_is_the_whole_state(state):
    """What a state is written as is read back as that state, changed numbers and a pasted config included."""
    again = read(state.board, parse_qsl(query(state), keep_blank_values=True))
    assert again == state


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_without_an_address_is_its_first_sight(name):
    """Defaults are left out of the address."""
    assert query(read(name, [])) == ""
    assert board(name)["query"] == ""


BAD = [
    ("batch=nan", "expected a number"),
    ("batch=inf", "expected a number"),
    ("batch=0", "from 1 to"),
    ("batch=1.5", "whole number"),
    ("batch=1e300", "whole number from 1"),
    ("batch=-4", "from 1"),
    ("batch=", "expected a number"),
    ("batch=8&batch=9", "given 2 times"),
    ("context=2e8", "from 0 to 100,000,000"),
    ("prompt=0", "from 1"),
    ("modle=deepseek-v3", "did you mean model"),
    ("model=deepsek-v3", "did you mean deepseek-v3"),
    ("model=/etc/passwd", "unknown model"),
    ("model=../../etc/passwd", "unknown model"),
    ("model=gpt2/config.json", "unknown model"),
    ("model=openai-community/gpt2", "unknown model"),
    ("on=x.toml", "unknown machine"),
    ("on=../docs/my-chip.toml", "unknown machine"),
    ("on=h100-smx", "did you mean h100-sxm"),
    ("on=h100-sxm:0", "count"),
    ("on=h100-sxm:99999999999999999999", "count"),
    ("on=nvme-gen5-pm1743", "unknown machine"),
    ("on=deepseek-v3", "unknown machine"),
    ("terms=yes", "0 or 1"),
    ("refine=everything", "unknown refinement"),
    ("technique=magic", "unknown technique"),
    ("technique=fp8&technique=evict&technique=top-k&technique=latent", "at most 3"),
    ("set=x", "name=value"),
    ("set=bandwith_bytes_per_s=1", "did you mean bandwidth_bytes_per_s"),
    ("set=bandwidth_bytes_per_s=fast", "expected"),
    ("set=bandwidth_bytes_per_s=" + "9" * 300, "at most 200"),
    ("&".join(f"set=x{i}=1" for i in range(40)), "more than 32"),
    ("config=!!!", "does not unpack"),
    ("config=AAAA", "cut short"),
    ("config=_____w", "does not unpack"),
    (f"config={packed('[1]')}", "expected an object"),
    (f"config={packed('{')}", "is not JSON"),
    (f"config={packed('{}')}", "hidden_size is missing"),
    (f"config={packed('[' * 40_000)}", "nested too deeply"),
    (f"config={packed(' ' * (MOST_CONFIG_BYTES + 1))}", "larger than"),
    (f"config={'A' * 50_000}", "longer than"),
    (f"config={packed('{}')}&model=deepseek-v3", "not both"),
    ("vs_batch=8", "unknown field"),
    ("column=a", "unknown field"),
]


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize(("text", "told"), BAD, ids=[text[:40] for text, _ in BAD])
def test_a_malformed_state_is_refused_in_one_line(name, text, told):
    """Whatever is out of bounds is named, in a line."""
    with pytest.raises(HeadwayError, match=told) as refusal:
        board(name, text)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 600


FIELDS = ["batch", "context", "prompt", "model", "on", "set", "config", "refine", "terms", "technique", "chips",
          "vs_on", "vs_set", "vs_model", "x"]  # fmt: skip
VALUES = st.text(max_size=12) | st.sampled_from(["8", "8k", "1e6", "h100-sxm", "llama-3.1-8b", "attention", "fp8"])


@given(st.lists(st.tuples(st.sampled_from(FIELDS), VALUES), max_size=4), st.sampled_from(BOARDS))
def test_any_address_is_a_board_or_a_line(pairs, name):
    """No address brings anything but a board without NaN, or a refusal."""
    with contextlib.suppress(HeadwayError):
        json.dumps(board_json(name, pairs), allow_nan=False)


def test_numbers_beyond_any_are_offered_to_nobody():
    """A field with a googol, an infinity or NaN is no number that the page offers to change."""
    odd = '{"a": 1' + "0" * 400 + ', "b": 1e400, "c": NaN, "d": ' + "9" * 4000 + ', "e": 7, '
    config = odd + json.dumps(dict(models()["llama-3.1-8b"].config))[1:]
    offered = inputs_json("batch", [("column", "a"), ("config", packed(config))])["inputs"]
    assert {row["name"] for row in offered if row["name"] in "abcde"} == {"e"}


def test_a_pasted_config_is_unpacked_no_further_than_its_bound():
    """A few bytes that would unpack to gigabytes are refused."""
    bomb = packed(" " * 30_000_000)
    assert len(bomb) < 48_000
    with pytest.raises(BadInput, match="larger than"):
        unpacked(bomb)
    with pytest.raises(BadInput, match="cut short"):
        unpacked(packed('{"a": 1}' + " " * 5000)[:-6])


@pytest.mark.parametrize("name", BOARDS)
def test_first_sight_is_a_sentence_and_at_most_four_curves(name):
    """A board opens with one sentence, and with four curves or four charts of dots at most."""
    column = board(name)["columns"][0]
    assert column["answer"].endswith(".")
    assert len(column["answer"]) < 260
    curves = [one for drawn in column["figures"] for one in drawn.get("curves", [drawn])]
    assert 1 <= len(curves) <= 4


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("model", sorted(models()))
def test_every_model_has_every_board(name, model):
    """A board of any catalogued model is whole, or says why not; nothing on it is NaN, infinite or a bare None."""
    answer = board(name, f"model={model}")
    json.dumps(answer, allow_nan=False)
    words = list(strings({**answer, "boards": [], "compare": {}, "query": ""}))
    assert not [word for word in words if word in ("nan", "inf", "None") or " nan" in word or "None" in word.split()]
    assert answer["columns"][0]["answer"]


@pytest.mark.parametrize("machine", [*catalog.entries("system"), *catalog.entries("accelerator")])
def test_every_machine_has_every_board(machine):
    """A board of any catalogued machine is whole, or refused with the reason."""
    for name in BOARDS:
        answer = board(name, f"model=llama-3.1-8b&on={machine}")
        json.dumps(answer, allow_nan=False)
        (column,) = answer["columns"]
        assert column["answer"]
        assert column["refused"] or column["figures"]


CASES = [
    "",
    "model=llama-3.1-70b&on=h100-sxm:8&context=8k&terms=1",
    "model=kimi-k3&refine=attention&refine=expert-hits&terms=1",
    "model=gemma-3-27b&on=h100-sxm:2&set=bandwidth_bytes_per_s=10 TB/s&context=32k",
    "model=llama-3.1-8b&on=b200-sxm:8&set=num_hidden_layers=16&refine=communication&terms=1",
]


def asked(text, **axes):
    """The same question put to the library."""
    pairs = parse_qsl(text)
    given = dict(pairs)
    changes = dict(value.split("=", 1) for name, value in pairs if name == "set")
    question = {"batch": 8, "context": 4000, "refine": [value for name, value in pairs if name == "refine"]}
    if "context" in given:
        question["context"] = float(given["context"].replace("k", "000"))
    return headway.roofline(given.get("model", "deepseek-v3"), on=given.get("on", "gb200-nvl72"), changes=changes,
                            **{**question, **axes})  # fmt: skip


TERMS = {"arithmetic": "t_compute_s", "reading weights": "t_weights_s", "reading KV cache": "t_kv_s",
         "communication": "t_comm_s"}  # fmt: skip


@pytest.mark.parametrize("text", CASES)
def test_the_batch_board_is_the_library(text):
    """Every curve of the batch board, time and cost, terms and total, is what `headway.roofline` answers there."""
    answer = board("batch", text)
    time, cost = figure(answer, "latency"), figure(answer, "cost")
    batch, step = curve(time, "the pass")
    expected = asked(text, batch=batch)
    assert step == pytest.approx(np.ravel(expected.step_s) * 1e3, rel=1e-6)
    assert curve(cost, "the pass")[1] == pytest.approx(np.ravel(expected.cost_per_token_usd) * 1e6, rel=1e-6)
    if "terms=1" in text:
        assert {one["label"] for one in time["curves"]} <= {*TERMS, "the pass"}
        for label in [one["label"] for one in time["curves"][:-1]]:
            value = np.ravel(np.broadcast_to(getattr(expected, TERMS[label]), expected.step_s.shape))
            assert curve(time, label)[1] == pytest.approx(value * 1e3, rel=1e-6)


@pytest.mark.parametrize("text", CASES)
def test_the_pass_length_board_is_the_library(text):
    """Cost against pass length, and output over input against batch, are ratios of what the library answers."""
    answer = board("pass-length", f"{text}&prompt=1024")
    length, cost = curve(figure(answer, "cost"), "the pass")
    assert cost == pytest.approx(np.ravel(asked(text, pass_tokens=length).cost_per_token_usd) * 1e6, rel=1e-6)
    batch, ratio = curve(figure(answer, "ratio"), "output over input")
    output, into = (asked(text, batch=batch, pass_tokens=n).cost_per_token_usd for n in (1, 1024))
    assert ratio == pytest.approx(np.ravel(output / into), rel=1e-6)


def test_arithmetic_takes_over_where_the_curves_cross():
    """The marked pass length is that at which arithmetic and memory traffic take the same time."""
    drawn = figure(board("pass-length", "model=llama-3.1-70b&on=h100-sxm:8"), "cost")
    (mark,) = [mark for mark in drawn["marks"] if mark["label"] == "arithmetic takes over"]
    there = asked("model=llama-3.1-70b&on=h100-sxm:8", pass_tokens=mark["x"])
    assert float(there.t_compute_s) == pytest.approx(float(there.t_memory_s), rel=1e-9)


def test_a_prompt_on_its_floor_costs_arithmetic_alone():
    """Past the balance a token costs the same at any pass length: two FLOP a parameter at the peak rate."""
    length, cost = curve(figure(board("pass-length", "model=llama-3.1-70b&on=h100-sxm:8&batch=1"), "cost"), "the pass")
    model, chip = models()["llama-3.1-70b"], catalog.entry("h100-sxm").figures
    seconds = 2 * model.active_params / (8 * chip["bf16_flop_per_s"].value)
    floor = seconds * 8 * chip["rental_usd_per_s"].value * 1e6
    assert cost[length > 2000] == pytest.approx(floor, rel=1e-6)


@pytest.mark.parametrize("chips", [False, True])
@pytest.mark.parametrize("quantity", ["ridge_bf16", "drain_s", "scaleup_over_scaleout", "largest_model_params"])
def test_the_generations_board_is_the_catalog(quantity, chips):
    """Every machine whose figure is known has its dot, at that figure; the others are named."""
    drawn = figure(board("generations", f"chips={int(chips)}"), quantity)
    scale = {"drain_s": 1e3, "largest_model_params": 1e-9}.get(quantity, 1.0)
    known = {one.system.name: one.value(quantity) for one in generations(chips=chips)}
    extra = {} if "gb200-nvl72" in known else {"gb200-nvl72": dict.fromkeys(drawn)}
    dots = {dot["name"]: dot["y"] for dot in drawn["dots"] if dot["name"] not in extra}
    assert dots == pytest.approx({name: value * scale for name, value in known.items() if value is not None}, rel=1e-6)
    missing = {name for note in drawn["notes"] for name in note.removeprefix("no source gave it: ").split(", ")}
    assert missing == {name for name, value in known.items() if value is None}


def test_a_changed_machine_moves_its_dot():
    """A changed bandwidth moves the ridge of the chosen machine and of no other."""
    before, after = (figure(board("generations", text), "ridge_bf16")["dots"]
                     for text in ("", "set=bandwidth_bytes_per_s=16 TB/s"))  # fmt: skip
    was, now = ({dot["name"]: dot["y"] for dot in dots} for dots in (before, after))
    assert now.pop("gb200-nvl72") == pytest.approx(was.pop("gb200-nvl72") / 2, rel=1e-6)
    assert now == was


def test_a_change_of_a_model_changes_no_machine():
    """On the board of machines a field of the config has no effect, and the page says so."""
    (column,) = board("generations", "set=num_hidden_layers=30")["columns"]
    assert column["heading"] == "gb200-nvl72"
    assert "num_hidden_layers is no figure of a machine, and changes nothing here" in column["assumptions"]
    assert column["figures"] == board("generations")["columns"][0]["figures"]


@pytest.mark.parametrize(
    "text", ["on=gb10", "on=rtx-4090&context=1000", "on=gb200-nvl72&set=bandwidth_bytes_per_s=9 TB/s"]
)
@pytest.mark.parametrize("name", BOARDS)
def test_the_page_speaks_of_no_option_of_the_command(name, text):
    """Whatever is missing or changed, the page says how that is done on the page."""
    pairs = [*parse_qsl(f"{text}&model=llama-3.1-8b"), ("technique", "fp8")]
    answer = board_json(name, pairs)
    told = [inputs_json(name, [*pairs, ("column", "a")]), answer["columns"][0] | {"figures": []}]
    for drawn in answer["columns"][0]["figures"]:
        told += [details_json(name, [*pairs, ("column", "a"), ("figure", drawn["key"])])]
        told += [{**drawn, "command": "", "call": ""}]
    assert [word for one in told for word in strings(one) if " --" in word] == []


def test_what_is_not_known_of_a_machine_is_named_at_the_end():
    """A machine with gaps has a sentence of what is known."""
    answer = board("generations", "on=gb10")["columns"][0]["answer"]
    assert answer.endswith("its ridge at bf16 and how its links compare are not known.")
    assert "not known multiply" not in answer


def test_two_columns_share_their_axes():
    """Side by side the same figures have the same y axis, so that heights can be compared."""
    answer = board("batch", "vs_model=llama-3.1-70b&vs_on=h100-sxm:8")
    assert [column["heading"] for column in answer["columns"]] == ["deepseek-v3 on gb200-nvl72",
                                                                   "llama-3.1-70b on h100-sxm:8"]  # fmt: skip
    for key in ("latency", "cost"):
        assert figure(answer, key, 0)["y"] == figure(answer, key, 1)["y"]
        assert figure(answer, key, 0)["curves"] != figure(answer, key, 1)["curves"]


@given(st.floats(1e-12, 1e15))
def test_an_axis_begins_at_a_round_number(value):
    """The end of an axis is 1, 2 or 5 times a power of ten, at most a factor 2.5 away."""
    low = step_below(value)
    assert value / 2.500001 <= low <= value * 1.000001
    assert round(low / 10 ** math.floor(math.log10(low) + 1e-9), 6) in (1, 2, 5)


def test_what_does_not_fit_is_refused_and_gets_no_number():
    """A batch beyond the memory has the reason for its answer; the curve ends where the memory is full."""
    (column,) = board("batch", "model=llama-3.1-70b&on=h100-sxm:8&context=100k&batch=1024")["columns"]
    assert column["refused"]
    assert "does not fit" in column["answer"]
    assert column["facts"] == []
    drawn = column["figures"][0]
    assert drawn["equations"] == []
    held = drawn["curves"][-1]["held"]
    assert all(value is None for value in drawn["curves"][-1]["values"][held:])
    (column,) = board("batch", "model=llama-3.1-405b&on=h100-sxm:4")["columns"]
    assert column["refused"]
    assert column["figures"] == []


def test_a_machine_without_a_price_has_no_cost_and_says_so():
    """Where the rent is not known, the time is drawn and the cost is not."""
    (column,) = board("batch", "model=llama-3.1-8b&on=rtx-4090")["columns"]
    assert [drawn["key"] for drawn in column["figures"]] == ["latency"]
    assert "cost is not known" in column["answer"]


def test_a_measured_interval_is_drawn(monkeypatch):
    """Once a step has a measured error, the pass has a band, and its terms have none."""
    measured = LogError({("regime", "decode"): 0.1})
    monkeypatch.setattr("headway.step.first_order.unmeasured", lambda why: measured)
    drawn = figure(board("batch"), "latency")
    (total,) = [one for one in drawn["curves"] if one["role"] == "total"]
    wide = np.exp(1.6448536 * 0.1)
    middle, low, high = (np.array(total[end], dtype=float) for end in ("values", "low", "high"))
    assert high == pytest.approx(middle * wide, rel=1e-5, nan_ok=True)
    assert low == pytest.approx(middle / wide, rel=1e-5, nan_ok=True)
    assert [one["low"] for one in drawn["curves"] if one["role"] != "total"] == [None, None]
    (ratio,) = figure(board("pass-length"), "ratio")["curves"]
    assert ratio["low"] == ratio["values"] == ratio["high"]  # what is off in both passes alike cancels
    monkeypatch.undo()
    assert figure(board("batch"), "latency")["curves"][-1]["low"] is None


def test_a_pasted_config_is_read_as_the_model_it_is():
    """The config of a catalogued model, pasted, gives that model's curves."""
    text = json.dumps(dict(models()["llama-3.1-70b"].config))
    pasted, named = (
        board("batch", urlencode([pair])) for pair in (("config", packed(text)), ("model", "llama-3.1-70b"))
    )
    assert figure(pasted, "latency")["curves"] == figure(named, "latency")["curves"]
    assert "config.json" in figure(pasted, "latency")["command"]


def number_in(text):
    """The first number of a text as people write it."""
    return float(re.search(r"-?[\d,]*\.?\d+(?:e-?\d+)?", text.replace(",", ""))[0])


def said(answer, label, column=0):
    """The number of a fact."""
    return number_in(next(fact["text"] for fact in answer["columns"][column]["facts"] if fact["label"] == label))


@pytest.mark.parametrize("text", CASES)
def test_the_words_of_the_batch_board_are_the_library(text):
    """The answer and every fact beside it have the library's numbers, to the three digits that they show."""
    answer, point = board("batch", text), asked(text)
    sentence = answer["columns"][0]["answer"]
    assert f"takes {format_si(float(point.step_s), 's')} on " in sentence
    assert f"{float(point.tokens_per_s):,.0f} tokens/s" in sentence
    assert format_si(float(point.cost_per_token_usd), "USD/token") in sentence
    assert said(answer, "drain time") == pytest.approx(float(point.drain_s) * 1e3, rel=5e-3)
    assert said(answer, "memory holds") == pytest.approx(float(point.largest_batch), rel=5e-3)
    assert said(answer, "each user sees") == pytest.approx(float(point.tokens_per_s_per_user), rel=5e-3)
    assert said(answer, "arithmetic in use") == pytest.approx(float(point.mfu) * 100, abs=0.051)
    assert said(answer, "bandwidth in use") == pytest.approx(float(point.mbu) * 100, abs=0.051)
    parity = float(point.t_weights_s / point.t_kv_s) * 8
    assert said(answer, "KV as long as weights") == pytest.approx(parity, rel=5e-3)
    balance = float(point.balance_batch_with_kv)
    knee = f"the knee is at a batch of {balance:,.0f}." if np.isfinite(balance) else "there is no knee"
    assert knee in sentence
    drawn = figure(answer, "latency")
    assert drawn["present"] == {"x": 8, "text": "8"}
    marks = {mark["label"]: mark.get("x", mark.get("y")) for mark in drawn["marks"]}
    expected = {"drain time": float(point.drain_s) * 1e3, "KV as long as weights": parity, "balance batch": balance,
                "balance, KV left out": point.balance_batch, "memory full": float(point.largest_batch)}  # fmt: skip
    assert marks == pytest.approx({label: float(expected[label]) for label in marks}, rel=1e-6)


def test_the_words_of_the_pass_length_board_are_the_library():
    """The ratio in the answer is that of the costs which it names."""
    sentence = board("pass-length", "batch=64&prompt=1024&model=llama-3.1-70b&on=h100-sxm:8")["columns"][0]["answer"]
    out, into = (headway.roofline("llama-3.1-70b", on="h100-sxm:8", batch=64, context=4000, pass_tokens=n)
                 .cost_per_token_usd for n in (1, 1024))  # fmt: skip
    assert f"costs {format_si(float(out / into), '1')} times one of a prompt of 1,024" in sentence
    assert format_si(float(out), "USD/token") in sentence
    assert format_si(float(into), "USD/token") in sentence
    assert "At a batch of 64 " in sentence


def test_the_words_of_the_generations_board_are_the_catalog():
    """The answer has the machine's own figures, worked out from its data sheet."""
    chip = catalog.entry("gb200").figures
    sentence = board("generations")["columns"][0]["answer"]
    ridge = chip["bf16_flop_per_s"].value / 2 * 2 / chip["bandwidth_bytes_per_s"].value
    drain = chip["memory_bytes"].value / chip["bandwidth_bytes_per_s"].value
    assert f"{format_si(ridge, '1')} multiply-adds" in sentence
    assert f"drains in {format_si(drain, 's')}" in sentence


def test_two_columns_are_told_apart_in_a_sentence():
    """Side by side, the page says how many times the tokens and the cost."""
    text = "model=llama-3.1-70b&on=h100-sxm:8&vs_on=h200-sxm:8&batch=64"
    left, right = (
        headway.roofline("llama-3.1-70b", on=on, batch=64, context=4000) for on in ("h100-sxm:8", "h200-sxm:8")
    )
    told = board("batch", text)["compared"]
    assert f"{format_si(float(right.tokens_per_s / left.tokens_per_s), '1')} times the tokens a second" in told
    assert f"{format_si(float(right.cost_per_token_usd / left.cost_per_token_usd), '1')} times its cost" in told
    assert board("batch")["compared"] == ""


@pytest.mark.parametrize("name", PASSES)
def test_the_table_has_the_points_of_the_command_and_the_present_one(name):
    """Rows of the table are the points that command and Python ask for, the present one among them."""
    text = "batch=300&context=7000&prompt=700&model=llama-3.1-8b&on=h100-sxm:8"
    for drawn in board(name, text)["columns"][0]["figures"]:
        tables = details_json(name, [*parse_qsl(text), ("column", "a"), ("figure", drawn["key"])])["tables"]
        rows = [row[0] for row in tables[-1]["rows"]]
        assert drawn["present"]["text"] in rows or name == "context"  # whose charts are the same at every context
        asked_for = {part.replace(",", "") for part in rows}
        assert len(asked_for & set(re.findall(r"\d+", drawn["call"]))) >= len(rows) - 1


@pytest.mark.parametrize("name", BOARDS)
def test_every_figure_says_how_it_is_made(name):
    """Under each figure: its equations with numbers, a command, a call; on demand its table and its sources."""
    answer = board(name)
    for drawn in answer["columns"][0]["figures"]:
        assert drawn["about"]
        assert drawn["command"].startswith("headway ")
        assert all(one["numbers"] and one["value"] and one["source"] for one in drawn["equations"])
        assert drawn["equations"]
        details = details_json(name, [("column", "a"), ("figure", drawn["key"])])
        assert len(details["tables"][-1]["rows"]) > 3
        for table in details["tables"]:
            assert {len(row) for row in table["rows"]} == {len(table["header"])}
        names = [step["name"] for step in details["derivation"]["steps"]]
        assert {one["name"] for one in drawn["equations"]} <= set(names)


@pytest.mark.parametrize("text", ["", "model=llama-3.1-70b&on=h100-sxm:8&set=memory_bytes=100 GB&refine=attention"])
@pytest.mark.parametrize("name", BOARDS)
def test_the_command_under_a_figure_runs(name, text, capsys):
    """What stands under a figure as a command is one that runs."""
    for drawn in board(name, text)["columns"][0]["figures"]:
        for line in drawn["command"].splitlines():
            if line.startswith("#"):
                continue
            assert main(shlex.split(line)[1:]) == 0, line
            assert capsys.readouterr().out


def test_the_command_prints_what_is_drawn(capsys):
    """The step times that the command prints lie on the curve of the figure."""
    drawn = figure(board("batch", "model=llama-3.1-70b&on=h100-sxm:8"), "latency")
    main([*shlex.split(drawn["command"])[1:], "--json"])
    told = json.loads(capsys.readouterr().out)
    x, y = curve(drawn, "the pass")
    for batch, step in zip(told["batch"], told["step_s"], strict=True):
        if step is not None:
            between = np.exp(np.interp(np.log(batch), np.log(x), np.log(y)))
            assert between == pytest.approx(step * 1e3, rel=2e-3)  # a straight line between neighbours of a curve


@pytest.mark.parametrize("text", ["set=bandwidth_bytes_per_s=10 TB/s", "set=num_hidden_layers=30&on=h200-sxm:8"])
@pytest.mark.parametrize("name", BOARDS)
def test_the_python_under_a_figure_runs(name, text):
    """What stands under a figure as Python is a program that prints its numbers."""
    for drawn in board(name, text)["columns"][0]["figures"]:
        done = subprocess.run(
            [sys.executable, "-c", drawn["call"]], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


@pytest.mark.parametrize("name", BOARDS)
def test_every_number_offered_can_be_changed(name):
    """Each input that the page offers for a change is taken, and is then said to be changed."""
    for row in inputs_json(name, [("column", "a")])["inputs"]:
        if row["group"] == "pass" and row["value"]:
            value = row["value"].split()[0] if row["unit"] in ("1", "tokens", "params", "layers") else row["value"]
            change = ("set", f"{row['name']}={value.removesuffix('params')}")
            again = inputs_json(name, [("column", "a"), change])
            assert [one["edited"] for one in again["inputs"] if one["name"] == row["name"]] == [True]


@pytest.fixture(scope="module")
def process():
    """A real server in a process of its own, with its address."""
    command = [sys.executable, "-m", "headway", "ui", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        running.url = json.loads(running.stdout.readline())["url"]
        yield running
        running.terminate()


@pytest.fixture
def server(process):
    """The address of the server."""
    return process.url


def fetch(url, **headers):
    """Status, headers and body of an answer, whatever its status."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


@pytest.mark.parametrize("name", BOARDS)
def test_the_server_answers_what_the_board_is(server, name):
    """The JSON of a board over HTTP is the board."""
    status, headers, body = fetch(f"{server}{name}.json?terms=1")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(body) == json.loads(json.dumps(board(name, "terms=1")))


@pytest.mark.parametrize(("text", "told"), [BAD[0], BAD[12], BAD[16], BAD[36]], ids=lambda value: value[:20])
def test_the_server_refuses_with_one_line(server, text, told):
    """A malformed state is a 400 with one line, as JSON and as a page."""
    status, _, body = fetch(f"{server}batch.json?{text}")
    assert status == 400
    assert told in json.loads(body)["error"]
    status, headers, body = fetch(f"{server}batch?{text}")
    assert (status, headers["content-type"].partition(";")[0]) == (400, "text/html")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_the_page_of_another_site_gets_nothing(server, site):
    """A picture or a script of another page, which would make the server work, is turned away; a link is not."""
    asked = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    assert fetch(f"{server}batch.json", **asked)[0] == 403
    assert fetch(f"{server}batch", **asked)[0] == 403
    assert fetch(f"{server}batch", **{**asked, "Sec-Fetch-Mode": "navigate"})[0] == 200
    assert fetch(f"{server}batch.json", **{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"})[0] == 200


@pytest.mark.parametrize(
    ("accepted", "packed"), [("gzip", True), ("br, gzip;q=0.5", True), ("gzip;q=0", False), ("x-gzip", False)]
)
def test_what_is_sent_is_packed_for_who_takes_it(server, accepted, packed):
    """Compression is the browser's choice."""
    _, headers, body = fetch(f"{server}static/app.js", **{"Accept-Encoding": accepted})
    assert (headers["content-encoding"] == "gzip") is packed
    assert (gzip.decompress(body) if packed else body).startswith(b"//")


def test_an_unknown_page_says_so(server):
    """A wrong page is a 404 with a way to a right one."""
    status, headers, body = fetch(f"{server}nope")
    assert (status, headers["content-type"].partition(";")[0]) == (404, "text/html")
    assert b"There is no such page; known are batch" in body


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--port", "x"], "whole number from 0 to 65535"),
        (["--port", "99999"], "whole number"),
        (["--port", "٣٠"], "whole number"),
        (["--host", ""], "takes an address or a name"),
        (["--host", "*"], "takes an address or a name"),
        (["--host", "203.0.113.7", "--port", "0"], "cannot listen on"),
        (["--allow-host", "*.example"], "takes an address or a name"),
        (["--allow-host", "name:80"], "takes an address or a name"),
    ],
)
def test_an_impossible_place_is_refused(options, told, capsys):
    """A port, an address or a name that cannot be is told in one line."""
    assert main(["ui", *options]) == 2
    assert told in capsys.readouterr().err


def test_a_taken_port_is_told(server, capsys):
    """Where somebody listens already, the line says how to get another port."""
    port = urlsplit(server).port
    assert main(["ui", "--port", str(port)]) == 2
    assert "--port 0 takes a free one" in capsys.readouterr().err


@pytest.mark.parametrize("explain", [False, True])
def test_the_command_says_where_the_page_is_and_ends_when_asked(explain):
    """The first line has the address, `--explain` says what the page may do, and Ctrl-C ends it with status 0."""
    command = [sys.executable, "-m", "headway", "ui", "--port", "0", *(["--explain"] if explain else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = process.stdout.readline()
        assert first.startswith("The blackboards are at http://127.0.0.1:")
        assert fetch(first.split()[4])[0] == 200
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()  # `communicate` would lose what is buffered already
    assert process.returncode == 0
    assert out.endswith("stopped\n")
    assert ("content" in out or "default-src" in out) is explain
    assert err == ""


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:80", "[::2]"])
def test_another_host_is_refused(server, host):
    """A page of another site whose name leads here (DNS rebinding) gets nothing."""
    status, headers, body = fetch(f"{server}batch.json", Host=host)
    assert status == 400
    assert b"columns" not in body
    assert "content-security-policy" in headers


@pytest.mark.parametrize("host", ["localhost", "localhost:1234", "127.0.0.1", "[::1]:80"])
def test_the_loopback_is_answered_by_all_its_names(server, host):
    """A forwarded port may have another number."""
    assert fetch(f"{server}batch.json", Host=host)[0] == 200


@pytest.mark.parametrize("path", ["batch", "batch.json", "static/app.js", "nope", "batch.json?batch=x", "static/x"])
def test_every_answer_carries_its_policy(server, path):
    """Whatever is asked, the answer keeps the page to this host, without inline code, frames or sniffing."""
    _, headers, _ = fetch(server + path)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert headers["access-control-allow-origin"] is None


@pytest.mark.parametrize(
    "path",
    ["static/../app.py", "static/%2e%2e/app.py", "static/..%2fapp.py", "static/vendor/../../app.py", "static/",
     "static//etc/passwd", "static/page.html", "static/vendor/CHECKSUMS", "%2e%2e/secret", "batch.json/../x"],
)  # fmt: skip
def test_only_the_files_of_the_page_are_handed_out(server, path):
    """Nothing outside the page's own scripts and styles is read, however it is spelled."""
    assert fetch(server + path)[0] == 404


def test_only_questions_are_answered(server):
    """The server takes no orders: any method but GET and HEAD is refused."""
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        request = urllib.request.Request(f"{server}batch.json", data=b"{}", method=method)
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(request, timeout=10)


def test_a_long_address_is_answered_or_refused(server):
    """A packed config of the largest size is read; an address beyond all bounds is a 4xx and the server lives on."""
    assert fetch(f"{server}batch.json?config={'A' * 47_000}&vs_config={'A' * 47_000}")[0] == 400
    try:
        status = fetch(f"{server}batch.json?config={'A' * 400_000}")[0]
    except OSError:
        status = 400  # cut off while it still sends
    assert 400 <= status < 500
    assert fetch(f"{server}batch.json")[0] == 200


REQUESTS = int(os.environ.get("HEADWAY_LOAD_REQUESTS", "400"))


def resident_bytes(process):
    """Memory of a process; 0 where the system does not tell."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return 0
    text = status.read_text("utf-8")
    return 1024 * int(re.search(r"VmRSS:\s+(\d+)", text)[1])


def test_the_server_bears_a_crowd(process):
    """Eight who ask at once, at every board and state, each get a board or a line; memory stays bounded."""
    names, machines = sorted(models()), [*catalog.entries("system"), "h100-sxm:8", "rtx-4090"]
    config = dict(models()["llama-3.1-8b"].config)

    def ask(turn):
        draw = random.Random(turn)
        state = {
            "model": draw.choice(names),
            "on": draw.choice(machines),
            "batch": draw.randint(0, 2000),
            "context": draw.randint(0, 10**6),
            "technique": draw.choice(technique_names()),
            "terms": draw.choice("012"),
        }
        if turn % 5 == 0:
            state["config"] = packed(json.dumps(config | {"num_hidden_layers": turn % 97, "note": "x" * 50_000}))
            del state["model"]
        part = draw.choice([".json", "/inputs.json", "/details.json", ""])
        more = {"column": "a", "figure": "cost"} if "/" in part else {}
        status, _, body = fetch(f"{process.url}{draw.choice(BOARDS)}{part}?{urlencode(state | more)}")
        return status, body if status >= 500 else b""

    with ThreadPoolExecutor(8) as crowd:
        told = list(crowd.map(ask, range(REQUESTS)))
    assert [body for status, body in told if status >= 500] == []
    assert {status for status, _ in told} == {200, 400}
    assert resident_bytes(process) < 400e6


NOTHING_TOUCHED = """
import asyncio, json, sys
from headway.web.app import create_app
app = create_app()
touched = []

async def ask(path, query):
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query.encode(),
             "headers": [(b"host", b"localhost")], "scheme": "http", "server": ("127.0.0.1", 80), "http_version": "1.1",
             "root_path": ""}
    sent = []
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message):
        sent.append(message)
    await app(scope, receive, send)
    return sent[0]["status"]

async def everything():
    await ask("/batch.json", "")  # threads of the event loop start here
    sys.addaudithook(lambda event, args: touched.append(f"{event} {args}") if event in WATCHED and watching else None)
    global watching
    watching = True
    statuses = [await ask(path, query) for path, query in json.loads(sys.argv[1])]
    watching = False
    return statuses

watching = False
WATCHED = {"open", "os.listdir", "os.scandir", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system",
           "import", "glob.glob", "urllib.Request"}
print(json.dumps({"statuses": asyncio.run(everything()), "touched": touched}))
"""


def test_no_request_reads_a_file_or_calls_a_host():
    """Whatever a page asks for, the server opens no file, imports no module and connects nowhere."""
    config = packed(json.dumps(dict(models()["llama-3.1-8b"].config)))
    asked = [(".json", ""), ("", ""), (".json", f"config={config}&set=num_hidden_layers=3"),
             (".json", "model=org/name"), (".json", "model=/etc/passwd"), (".json", "model=config.json"),
             (".json", "on=my.toml"), (".json", "on=deepseek-v3"), ("/inputs.json", "column=a"),
             (".json", "model=kimi-k3&on=h100-sxm:64&refine=attention&technique=fp8"),
             ("/details.json", "column=a&figure=cost"), ("/details.json", "column=a&figure=drain_s")]  # fmt: skip
    questions = [(f"/{name}{part}", text) for name in BOARDS for part, text in asked]
    questions += [("/static/app.js", ""), ("/static/nope.js", ""), ("/etc/passwd", "")]
    program = [sys.executable, "-c", NOTHING_TOUCHED, json.dumps(questions)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["touched"] == []
    assert set(told["statuses"]) == {200, 400, 404}
