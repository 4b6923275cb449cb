"""The command: what it prints, in text and JSON, what it refuses and how, and what it draws."""

import builtins
import io
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import types
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from headway import catalog
from headway.cli import COMMANDS, main
from headway.cli.output import WIDTH, plain, thinned, wrapped
from headway.errors import BadInput
from headway.step.question import REFINEMENTS
from headway.units import format_si

MAIN_JOB = ("roofline", "deepseek-v3", "--on", "gb200-nvl72")


@pytest.fixture
def headway(capsys):
    """Run the command in this process: exit status, standard output, standard error."""

    def run(*words):
        status = main([str(word) for word in words])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def answer(headway):
    """The JSON that a command answers with."""

    def run(*words):
        status, out, err = headway(*words, "--json")
        assert (status, err) == (0, "")
        return json.loads(out)

    return run


@pytest.fixture
def refusal(headway):
    """The one line with which a command refuses; its status is checked and nothing else is printed."""

    def run(*words, status=2):
        found, out, err = headway(*words)
        assert (found, out) == (status, ""), err
        assert err.startswith("headway: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        return err

    return run


def nulls(value, beside=None, key=""):
    """Every key whose value is null, or a list with a null in it, and that has no reason beside it."""
    if isinstance(value, dict):
        return [bad for name, item in value.items() for bad in nulls(item, value, name)]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [bad for item in value for bad in nulls(item)]
    holds = value is None or (isinstance(value, list) and "null" in json.dumps(value))
    return [key] if holds and not beside.get(f"{key}_reason") else []


# The JSON contract


DESIGN_ROOFLINE = (
    "t_compute_s", "t_weights_s", "t_kv_s", "t_comm_s", "t_overhead_s", "step_s", "step_s_interval", "bound", "mfu",
    "mbu", "balance_batch", "balance_context", "drain_s", "tokens_per_s", "cost_per_mtok_usd",
)  # fmt: skip
DESIGN_MODEL = (
    "total_params", "active_params", "active_params_published_convention", "kv_bytes_per_token", "contexts",
    "kv_read_bytes_per_token", "flops_per_token", "weight_bytes",
)  # fmt: skip
PER_POINT = ("t_compute_s", "t_weights_s", "t_kv_s", "t_comm_s", "t_overhead_s", "step_s", "bound", "mfu", "mbu",
             "tokens_per_s", "cost_per_mtok_usd", "fits")  # fmt: skip


def test_roofline_has_the_keys_of_the_contract(answer):
    """Every key that the design promises, each a number, or null with its reason."""
    out = answer(*MAIN_JOB)
    assert not set(DESIGN_ROOFLINE) - set(out)
    assert all(isinstance(out[key], int | float) for key in PER_POINT if key not in ("bound", "fits"))
    assert out["step_s_interval"] is None
    assert "measured" in out["step_s_interval_reason"]
    assert (out["system"], out["model"]) == ("gb200-nvl72", "deepseek-v3")


def test_model_has_the_keys_of_the_contract(answer):
    """Every key that the design promises, with the published figures of DeepSeek-V3 in the right places."""
    out = answer("model", "deepseek-v3", "--contexts", "1k,128k")
    assert not set(DESIGN_MODEL) - set(out)
    assert out["total_params"] == pytest.approx(671e9, rel=1e-3)  # published as 671 B
    assert out["active_params_published_convention"] == pytest.approx(37e9, rel=0.011)
    assert out["published_convention"] == "without input embedding"
    assert out["active_params_by_convention"][out["published_convention"]] == out["active_params"]
    assert out["active_params_by_convention"]["with embeddings"] == out["active_params"] + out["lookup_params"]
    assert out["kv_bytes_per_token"] == 70_272
    assert out["contexts"] == [1000, 128_000]
    assert out["kv_read_bytes_per_token"] == [70_272_000, 70_272 * 128_000]
    assert sum(out["parts"].values()) == out["total_params"]
    assert sum(out["active_parts"].values()) == out["active_params"]


@pytest.mark.parametrize(
    "lists", [(), ("batch",), ("context",), ("pass",), ("batch", "context"), ("batch", "context", "pass")]
)
def test_a_list_in_is_a_list_of_that_length_out(answer, lists):
    """For each axis that was a list, one level of lists; without any, scalars."""
    asked = {"batch": "1,8,64", "context": "1k,8k", "pass": "1,2,3,4"}
    sizes = [3 * ("batch" in lists), 2 * ("context" in lists), 4 * ("pass" in lists)]
    words = [word for axis in lists for word in (f"--{axis}", asked[axis])]
    out = answer(*MAIN_JOB, *words)
    assert out["axes"] == list(lists)

    def shape(value):
        return [len(value), *shape(value[0])] if isinstance(value, list) else []

    for key in PER_POINT:
        assert shape(out[key]) == [size for size in sizes if size], key
    for axis in ("batch", "context", "pass"):
        assert isinstance(out[axis], list) is (axis in lists)


def test_a_list_of_one_is_a_list(answer):
    """A range that has a single point still gives lists."""
    out = answer(*MAIN_JOB, "--batch", "8:8:log")
    assert out["batch"] == [8]
    assert len(out["step_s"]) == 1


def test_contexts_of_a_model_are_lists_where_a_list_was_given(answer):
    """One context gives numbers, several give lists of that length."""
    single = answer("model", "llama-3.1-8b", "--contexts", "8k")
    several = answer("model", "llama-3.1-8b", "--contexts", "8k,16k")
    for key in ("contexts", "kv_read_bytes_per_token", "flops_per_token"):
        assert [single[key]] == several[key][:1]
        assert len(several[key]) == 2


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(MAIN_JOB, id="no interval"),
        pytest.param((*MAIN_JOB, "--context", "0,1M"), id="no balance"),
        pytest.param(("roofline", "llama-3.1-8b", "--on", "h100-sxm", "--batch", "1:4096:log"), id="some do not fit"),
        pytest.param(("roofline", "llama-3.2-1b", "--on", "rtx-3070", "--batch", "1"), id="no price"),
        pytest.param(("roofline", "--params", "8B", "--kv-bytes", "0", "--on", "h100-sxm"), id="no KV cache"),
        pytest.param(("roofline", "--params", "8B", "--kv-bytes", "1", "--on", "h100-sxm"), id="bare numbers"),
        pytest.param(("model", "--params", "8B"), id="bare model"),
        pytest.param(("catalog", "generations"), id="generations"),
        pytest.param(("catalog", "generations", "--chips"), id="chips"),
        pytest.param(("catalog", "rtx-3070"), id="entry"),
        pytest.param(("catalog",), id="catalog"),
    ],
)
def test_beside_every_null_stands_its_reason(answer, words):
    """A gap is null, never left out and never NaN, and the key beside it says why."""
    assert nulls(answer(*words)) == []


def test_nulls_come_with_the_reason_that_is_theirs(answer):
    """The reasons tell a missing price, a full memory and a context beyond balance apart."""
    unpriced = answer("roofline", "llama-3.2-1b", "--on", "rtx-3070", "--batch", "1")
    assert unpriced["cost_per_mtok_usd"] is None
    assert "rental_usd_per_s" in unpriced["cost_per_mtok_usd_reason"]
    full = answer("roofline", "llama-3.1-8b", "--on", "h100-sxm", "--batch", "1,100000")
    assert full["fits"] == [True, False]
    for key in ("step_s", "bound", "cost_per_mtok_usd"):
        assert full[key][0] is not None
        assert full[key][1] is None
        assert "memory" in full[f"{key}_reason"]
    long = answer(*MAIN_JOB, "--context", "1M", "--batch", "1")
    assert long["balance_batch_with_kv"] is None
    assert "memory-bound at every batch" in long["balance_batch_with_kv_reason"]


def test_units_stand_in_the_names_of_the_keys(answer):
    """Times end in _s, money in _usd, bytes in _bytes; rates say per what."""
    out = answer(*MAIN_JOB, "--refine", "all")
    for name, row in out["inputs"].items():
        ending = {"s": "_s", "B/s": "_bytes_per_s", "FLOP/s": "flop_per_s", "USD/s": "_usd_per_s"}.get(row["unit"], "")
        assert name.endswith(ending), name
    assert out["cost_per_mtok_usd"] == pytest.approx(
        out["step_s"] * out["chips"] * out["inputs"]["rental_usd_per_s"]["value"] / out["batch"] * 1e6
    )


def test_every_input_has_a_unit_and_an_origin(answer):
    """The JSON tells of each input who says so, and catalog figures carry their pages."""
    for name, row in answer(*MAIN_JOB)["inputs"].items():
        assert {"value", "unit", "origin", "sources"} <= set(row), name
        assert row["origin"]
        if row["origin"].startswith("catalog: accelerator"):
            assert any(source.startswith("http") for source in row["sources"]), name


def test_what_json_cannot_say_is_null():
    """Infinity and NaN become null at any depth, whole floats integers; the rest stays."""
    import numpy as np

    masked = np.ma.masked_array([1.0, 2.0], [False, True])
    value = {"a": [math.nan, math.inf, 2.0, 2.5], "b": masked, "c": np.array([[1.0, -np.inf]]), "d": "nan"}
    assert plain(value) == {"a": [None, None, 2, 2.5], "b": [1, None], "c": [[1, None]], "d": "nan"}


def test_json_is_one_line_of_ascii(headway):
    """One object on one line, readable on any terminal."""
    _, out, _ = headway(*MAIN_JOB, "--explain", "--json")
    assert out.count("\n") == 1
    assert out.isascii()


# Questions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1:4096:log", [2**i for i in range(13)]),
        ("1:100:log:3", [1, 10, 100]),
        ("1:6:log", [1, 2, 4, 6]),
        ("2:10:lin:5", [2, 4, 6, 8, 10]),
        ("10:50:20", [10, 30, 50]),
        ("1,8,64", [1, 8, 64]),
        ("64,1,64", [64, 1, 64]),
        ("8k", 8000),
        ("8Ki", 8192),
        ("1:1:log", [1]),
        ("1,500", [1, 500]),
        ("8.2k", 8200),
        ("1:2.5:lin:2", [1, 2]),
    ],
)
def test_values_lists_and_ranges(answer, text, expected):
    """A value is a scalar; lists stay as typed; ranges hold both ends."""
    assert answer(*MAIN_JOB, "--batch", text)["batch"] == expected


def test_a_range_may_start_at_no_context(answer):
    """0:100k:10k counts from 0 to 100,000."""
    assert answer(*MAIN_JOB, "--context", "0:100k:10k")["context"] == list(range(0, 100_001, 10_000))


@pytest.mark.parametrize(
    ("batch", "told"),
    [
        ("4096:1:log", "end at or after its start"), ("0:8:log", "above 0"), ("1:8", "start:stop:log"),
        ("1:8:lin", "number of points"), ("1:8:log:1", "from 2 to"), ("1:8:cube:3", "start:stop:log"),
        ("1:8:0", "positive"), ("1:1e12:1", "points"), ("1:10:log:1e9", "points"), ("1e-300:1e300:log", "range"),
        ("1.5", "must be a whole number"), ("1,2.5", "must be a whole number"), ("1:9:0.5", "must be a whole number"),
        ("1e-9", "must be a whole number"), ("1,000", "a comma separates a list; write 1000"),
        ("1,024", "write 1024"), ("1:8:log:many", "number in chips"),
        ("0", "from 1 to"),
        ("-1", "batch"), ("many", "sequences"), ("", "sequences"), ("1,,2", "sequences"), ("8 GB", "sequences"),
        ("nan", "sequences"), ("1e400", "finite"), ("1e31", "batch"),
    ],
)  # fmt: skip
def test_a_batch_that_is_none_is_refused(refusal, batch, told):
    """Each slip in a number or a range has a line that says what is expected."""
    assert told in refusal(*MAIN_JOB, f"--batch={batch}")


def test_too_many_points_are_refused_at_once(refusal):
    """Axes multiply; a grid that nobody could read is refused before it is computed."""
    before = time.perf_counter()
    assert "points" in refusal(*MAIN_JOB, "--batch", "1:50000:1", "--context", "1:50000:1", "--pass", "1:50000:1")
    assert time.perf_counter() - before < 5


@pytest.mark.parametrize("system", ["h100-sxm:8", "H100-SXM:8", "h100_sxm:8", "8xh100-sxm", "8 x H100_SXM", "dgx-h100",
                                    "DGX_H100", "dgx-h100:1"])  # fmt: skip
def test_a_system_in_every_spelling(answer, system):
    """Eight H100s are eight H100s, however they are written."""
    written = answer("roofline", "llama-3.1-70b", "--on", system)
    plainly = answer("roofline", "llama-3.1-70b", "--on", "h100-sxm:8")
    assert written["chips"] == 8
    assert written["step_s"] == plainly["step_s"]


def test_a_system_of_ones_own(answer, tmp_path):
    """A TOML file defines a chip or a system, and counts multiply it."""
    file = tmp_path / "mine.toml"
    file.write_text('[[accelerator]]\nname = "mine"\nmemory_bytes = "100 GB"\nbandwidth_bytes_per_s = "1 TB/s"\n'
                    'bf16_flop_per_s = "100 TFLOP/s"\nrental_usd_per_s = "$1/h"\n')  # fmt: skip
    out = answer("roofline", "--params", "10B", "--kv-bytes", "0", "--on", f"{file}:4")
    assert out["chips"] == 4
    assert out["t_weights_s"] == pytest.approx(10e9 * 2 / 4e12)
    assert out["drain_s"] == pytest.approx(0.1)


def test_a_smaller_domain_can_be_set(capsys):
    """With domains of 36 the rack is two of them, and what covers one domain says so."""
    assert main([*MAIN_JOB, "--set", "domain_chips=36", "--refine", "communication"]) == 2
    assert "has 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "name", "expected"),
    [
        ("bandwidth_bytes_per_s=10e12", "bandwidth_bytes_per_s", 10e12),
        ("bandwidth_bytes_per_s=10 TB/s", "bandwidth_bytes_per_s", 10e12),
        ("fp8_flop_per_s=1e15", "flop_per_s", 1e15),
        ("memory_bytes=1TB", "memory_bytes", 1e12),
        ("rental_usd_per_s=$3.60/h", "rental_usd_per_s", 0.001),
        ("num_hidden_layers=30", "kv_bytes_per_token", 30 * (512 + 64) * 2),
        ("qk_rope_head_dim=128", "kv_bytes_per_token", 61 * (512 + 128) * 2),
        ("kv_bytes_per_token=1000", "kv_bytes_per_token", 1000),
        ("usable_memory_fraction=0.5", "usable_memory_fraction", 0.5),
        ("usable_memory_fraction=95%", "usable_memory_fraction", 0.95),
        ("t_overhead_s=1ms", "t_overhead_s", 0.001),
    ],
)
def test_any_input_can_be_set(answer, change, name, expected):
    """Inputs of the worksheet, figures of the chip and fields of the config, in any unit, and the origin says so."""
    changed, plainly = answer(*MAIN_JOB, "--set", change), answer(*MAIN_JOB)
    assert changed["inputs"][name]["value"] == pytest.approx(expected)
    assert plainly["inputs"][name]["value"] != pytest.approx(expected)


def test_a_field_of_the_config_changes_all_that_follows_from_it(answer):
    """Fewer layers have fewer parameters and keep less; a narrower model has smaller matrices."""
    plainly = answer(*MAIN_JOB)
    for change in ("num_hidden_layers=30", "hidden_size=3584"):
        changed = answer(*MAIN_JOB, "--set", change)
        for name in ("total_params", "active_params"):
            assert changed["inputs"][name]["value"] < 0.6 * plainly["inputs"][name]["value"], (change, name)
        assert changed["t_weights_s"] < 0.6 * plainly["t_weights_s"]
    assert answer("model", "deepseek-v3", "--set", "num_hidden_layers=30")["n_layers"] == 30


def test_a_price_is_the_rent_that_is_set(answer):
    """--price and --set are two spellings of one thing, and exclude each other."""
    priced, changed = answer(*MAIN_JOB, "--price", "$2/h"), answer(*MAIN_JOB, "--set", "rental_usd_per_s=$2/h")
    assert priced["cost_per_mtok_usd"] == changed["cost_per_mtok_usd"]


def test_bare_numbers_are_a_model(answer):
    """Parameters, active ones and KV bytes are enough, and without --active a model is dense."""
    out = answer("roofline", "--params", "671B", "--active", "37B", "--kv-bytes", "70272", "--weight-dtype", "fp8",
                 "--on", "gb200-nvl72")  # fmt: skip
    assert out["balance_batch"] == pytest.approx(312.5 * 671 / 37)
    assert answer("model", "--params", "8B")["active_params"] == 8e9


def test_dtypes_change_what_is_stored_and_read(answer):
    """Weights in bf16 instead of fp8 are twice the bytes, a KV cache in fp8 half."""
    plainly, wide = answer("model", "deepseek-v3"), answer("model", "deepseek-v3", "--weight-dtype", "bf16")
    assert wide["weight_bytes"] == 2 * wide["total_params"]
    assert wide["weight_bytes"] > 1.9 * plainly["weight_bytes"]
    assert answer("model", "deepseek-v3", "--kv-dtype", "fp8")["kv_bytes_per_token"] == 70_272 / 2


def test_refinements_add_up_and_none_means_none(answer):
    """Names may be repeated or joined by commas; `all` is all of them."""
    both = answer(*MAIN_JOB, "--refine", "expert-hits,attention")
    assert both == answer(*MAIN_JOB, "--refine", "attention", "--refine", "expert-hits")
    assert both["left_out"] == ["communication", *REFINEMENTS[3:], "overhead"]
    assert answer(*MAIN_JOB, "--refine", "all", "--set", "t_overhead_s=1ms")["left_out"] == []
    assert "communication" not in answer(*MAIN_JOB, "--set", "t_comm_s=1ms")["left_out"]
    assert answer(*MAIN_JOB, "--refine", "none")["step_s"] == answer(*MAIN_JOB)["step_s"]


# Refusals


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(("rofline",), "did you mean roofline?", id="command"),
        pytest.param(("roofline", "deepseek-v4", "--on", "h100-sxm"), "deepseek-v3", id="model"),
        pytest.param(("roofline", "deepseek-v3", "--on", "gb200-nvl27"), "gb200-nvl72", id="system"),
        pytest.param((*MAIN_JOB, "--bach", "3"), "did you mean --batch", id="option"),
        pytest.param((*MAIN_JOB, "--set", "bandwith_bytes_per_s=1"), "bandwidth_bytes_per_s", id="input"),
        pytest.param((*MAIN_JOB, "--set", "num_hiden_layers=3"), "num_hidden_layers", id="field"),
        pytest.param((*MAIN_JOB, "--set", "fp8_flops_per_s=3"), "fp8_flop_per_s", id="figure"),
        pytest.param(("model", "deepseek-v3", "--set", "num_hiden_layers=3"), "num_hidden_layers", id="model's field"),
        pytest.param((*MAIN_JOB, "--refine", "expert-hit"), "expert-hits", id="refinement"),
        pytest.param((*MAIN_JOB, "--kv-dtype", "fp88"), "fp8", id="dtype"),
        pytest.param(("catalog", "accelerators", "h100-smx"), "h100-sxm", id="entry"),
        pytest.param(("catalog", "acelerators", "h100"), "accelerators", id="kind"),
        pytest.param(("catalog", "gb200-nvl27"), "gb200-nvl72", id="search"),
        pytest.param(("equation", "balance_bacth"), "balance_batch", id="equation"),
        pytest.param(("roofline", "deepseek-v3"), "--on", id="no system"),
        pytest.param(("roofline", "deepseek-v3", "--system", "h100"), "'--system'; did you mean --on?", id="--system"),
        pytest.param(("roofline", "deepseek-v3", "--bach", "8"), "'--bach'; did you mean --batch", id="option first"),
        pytest.param(("roofline", "deepseek-v3", "--on", "llama-3.1-8b"), "that is a model", id="model as system"),
        pytest.param(("roofline", "deepseek-v3", "--on", "hbm3e-stack"), "that is a memory tier", id="tier as system"),
        pytest.param(
            ("roofline", "h100-sxm:8", "--on", "h100-sxm"),
            "is no model but a catalogued accelerator; try headway roofline deepseek-v3 --on h100-sxm:8",
            id="system as model",
        ),
        pytest.param(("model", "gb200-nvl72"), "is no model but a catalogued system", id="rack as model"),
        pytest.param((*MAIN_JOB, "--set", "usable_memory_fraction=most"), "a number such as '0.9'", id="no share"),
        pytest.param(("model", "--params", "70"), "did you mean 70B?", id="params without B"),
        pytest.param(("model", "--params", "70B", "--active", "12.5"), "did you mean 12.5B?", id="active without B"),
        pytest.param(("model", "--params", "1e40"), "at most 1e+30", id="too many parameters"),
        pytest.param(("help", "rofline"), "did you mean roofline?", id="help of no command"),
        pytest.param(("equation", "tokens_per_pass", "acceptance=1.2", "draft_tokens=3"), "from 0 to 1", id="share"),
        pytest.param(
            ("equation", "recompute_usd", "flop=1", "flop_per_s=1", "mfu=40", "device_usd_per_s=0"),
            "mfu must be from 0 to 1",
            id="mfu",
        ),
        pytest.param(
            ("equation", "usable_bytes", "system_memory_bytes=1e31", "usable_memory_fraction=1"),
            "to 1e+30",
            id="too large",
        ),
        pytest.param(
            ("equation", "hit_probability", "tokens=8", "n_experts=8,4", "experts_per_token=2,8"),
            "experts_per_token cannot exceed n_experts",
            id="more experts than there are",
        ),
        pytest.param(("roofline", "--on", "h100-sxm"), "name a model", id="no model"),
        pytest.param(("roofline", "a", "b", "--on", "h100-sxm"), "unexpected argument", id="two models"),
        pytest.param((*MAIN_JOB, "--params", "3B"), "not both", id="name and numbers"),
        pytest.param(("model", "deepseek-v3", "--active", "3B"), "needs --params", id="active alone"),
        pytest.param(("model", "--params", "3B", "--active", "4B"), "cannot exceed", id="active above total"),
        pytest.param(("model", "--params", "0"), "positive", id="no parameters"),
        pytest.param(("model", "--params", "8B", "--kv-dtype", "fp8"), "--kv-bytes", id="dtype of bare numbers"),
        pytest.param(("model", "deepseek-v3", "--contexts=-1"), "0 or more", id="negative context"),
        pytest.param(("roofline", "--params", "8B", "--on", "h100-sxm"), "--kv-bytes", id="no KV bytes"),
        pytest.param((*MAIN_JOB, "--price", "2 TB/s"), "$2/h", id="price"),
        pytest.param((*MAIN_JOB, "--price", "2"), "$2/h", id="bare price"),
        pytest.param((*MAIN_JOB, "--set", "rental_usd_per_s=2"), "$2/h", id="bare rent"),
        pytest.param((*MAIN_JOB, "--price", "$2/h", "--set", "rental_usd_per_s=1"), "not both", id="two prices"),
        pytest.param((*MAIN_JOB, "--set", "flop_per_s"), "NAME=VALUE", id="set without value"),
        pytest.param((*MAIN_JOB, "--set", "batch=3"), "--batch", id="set an axis"),
        pytest.param((*MAIN_JOB, "--weight-dtype=--"), "lacks a value", id="dashes for a value"),
        pytest.param((*MAIN_JOB, "--json=yes"), "--json", id="value for a flag"),
        pytest.param(("roofline", "deepseek-v3", "--on", "h100-sxm:²"), "whole number", id="a digit that is none"),
        pytest.param(("roofline", "deepseek-v3", "--on", "h100-sxm:0"), "between 1 and", id="no chips"),
        pytest.param(("roofline", "x" * 5000, "--on", "h100-sxm"), "unknown model", id="a very long name"),
        pytest.param(("roofline", "a\0b.json", "--on", "h100-sxm"), "no file", id="null byte"),
        pytest.param(("catalog", "--chips"), "generations", id="chips alone"),
    ],
)
def test_bad_input_is_refused_in_one_line_with_the_nearest_names(refusal, words, told):
    """Exit 2, nothing on standard output, and one line that says what was wrong and what would be right."""
    assert told in refusal(*words)
    assert told in refusal(*words, "--json")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(("llama-3.1-405b", "--on", "h100-sxm:8"), "812 GB > 8 x 80.0 GB x 0.9 = 576 GB", id="weights"),
        pytest.param(("llama-3.1-8b", "--on", "h100-sxm", "--batch", "1M"), "KV cache", id="cache"),
    ],
)
def test_what_cannot_be_done_exits_with_3_and_the_arithmetic(refusal, words, told):
    """The question is clear, and the answer is no, with the reason; beyond memory there is one."""
    assert told in refusal("roofline", *words, status=3)


def test_beyond_memory_every_point_is_answered(answer):
    """--beyond-memory answers what does not fit, and still says that it does not."""
    out = answer("roofline", "llama-3.1-405b", "--on", "h100-sxm:8", "--beyond-memory")
    assert out["fits"] is False
    assert out["step_s"] > 0


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not JSON"), (b"[1]", "expected an object"), (b"\xff", "cannot read"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 5000, "not JSON"), (b'{"model_type": "llama"}', "hidden_size is missing"),
        (b'{"model_type": "mamba"}', "hidden_size is missing"), (b"{}", "hidden_size is missing"),
        (b'{"is_encoder_decoder": true}', "encoder-decoder"),
    ],
)  # fmt: skip
def test_a_config_that_is_none_is_refused(refusal, tmp_path, content, told):
    """Whatever lies in the file, there is one line."""
    file = tmp_path / "config.json"
    file.write_bytes(content)
    assert told in refusal("model", file)
    assert told in refusal("model", tmp_path)
    assert "there is no file" in refusal("model", tmp_path / "another.json")


# Text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(headway, command):
    """--help answers with the options, --json and --explain among them."""
    status, out, err = headway(command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: headway {command}")
    assert "--json" in out
    assert "--explain" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_is_its_help(headway, command):
    """`headway help COMMAND` prints what `headway COMMAND --help` prints."""
    assert headway("help", command) == headway(command, "--help")


@pytest.mark.parametrize("words", [(), ("-h",), ("--help",), ("help",)])
def test_the_top_help_names_every_command(headway, words):
    """Without a command the command lists them all, one line each."""
    status, out, _ = headway(*words)
    assert status == 0
    assert all(re.search(rf"^  {command}  ", out, re.M) for command in COMMANDS)


@pytest.mark.parametrize(
    "words", [MAIN_JOB, ("model", "llama-3.1-8b"), ("catalog", "gb200-nvl72"), ("catalog", "generations"),
              ("equation", "balance_batch", "ridge=300", "read_params=671B", "active_params=37B")]
)  # fmt: skip
def test_every_command_has_json_and_explain(headway, words):
    """Both flags are taken by every command, alone and together."""
    for flags in (("--json",), ("--explain",), ("--json", "--explain")):
        status, out, err = headway(*words, *flags)
        assert (status, err) == (0, "")
        if "--json" in flags:
            assert isinstance(json.loads(out), dict)


def test_the_first_line_answers_with_the_numbers_of_the_json(headway, answer):
    """Time, rate and cost of the cheapest point, as the JSON has them."""
    for batch in ("64", "1:4096:log"):
        _, out, _ = headway(*MAIN_JOB, "--batch", batch)
        found = answer(*MAIN_JOB, "--batch", batch)
        values = {key: found[key] if isinstance(found[key], list) else [found[key]] for key in PER_POINT}
        best = min(range(len(values["step_s"])), key=lambda i: values["cost_per_mtok_usd"][i])
        first = " ".join(out.partition("It is ")[0].split())
        assert format_si(values["step_s"][best], "s") in first
        assert f"{values['tokens_per_s'][best]:,.0f} tokens/s" in first
        assert format_si(values["cost_per_mtok_usd"][best] * 1e-6, "USD/token") in first


def test_the_table_has_the_numbers_of_the_json(headway, answer):
    """Every row is a point of the JSON, in milliseconds and dollars, to the digits shown."""
    _, out, _ = headway(*MAIN_JOB, "--batch", "1,64,4096")
    found = answer(*MAIN_JOB, "--batch", "1,64,4096")
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.split()[:2] == ["batch", "context"])
    names = re.split(r"  +", lines[start].strip())
    scaled = {
        "compute ms": ("t_compute_s", 1e3), "weights ms": ("t_weights_s", 1e3), "KV ms": ("t_kv_s", 1e3),
        "step ms": ("step_s", 1e3), "tokens/s": ("tokens_per_s", 1), "$/Mtok": ("cost_per_mtok_usd", 1),
    }  # fmt: skip
    assert set(scaled) <= set(names)
    for i in range(3):
        row = dict(zip(names, lines[start + 1 + i].split(), strict=True))
        for column, (key, scale) in scaled.items():
            shown = float(row[column].replace(",", ""))
            assert shown == pytest.approx(found[key][i] * scale, rel=6e-3), (i, column)  # three digits
        assert row["bound"] == found["bound"][i]


def test_assumptions_and_left_out_terms_close_the_answer(headway):
    """What was assumed, what was left out and why there is no error bar stand at the end."""
    _, out, _ = headway(*MAIN_JOB)
    closing = " ".join(out.partition("Assumptions")[2].split())
    for told in ("2 FLOP", "dense peaks", "90% of memory", "expert-hits, attention, communication", "no error bar"):
        assert told in closing


def test_explain_writes_the_equations_with_the_numbers_put_in(headway):
    """The derivation holds the equations by their symbols, the numbers, and the pages they were read on."""
    _, out, _ = headway(*MAIN_JOB, "--explain")
    told = out.partition("Derivation")[2]
    assert "step_s = max(t_compute_s, t_weights_s + t_kv_s) + t_comm_s + t_overhead_s" in told
    assert re.search(r"drain_s = memory_bytes / bandwidth_bytes_per_s\n += 186 GB / 8.00 TB/s\n += 23.2 ms", told)
    assert re.search(r"\[1\] https?://", told)


def test_a_terminal_gets_a_chart_of_a_range_only(headway):
    """Characters draw the curves where asked; a single point has none."""
    assert "both logarithmic" in headway(*MAIN_JOB, "--batch", "1:64:log", "--chart", "always")[1]
    assert "both logarithmic" not in headway(*MAIN_JOB, "--batch", "1:64:log")[1]
    assert "both logarithmic" not in headway(*MAIN_JOB, "--chart", "always")[1]


def test_what_costs_nothing_is_charted_without_a_chart_of_cost(headway):
    """A price of zero has no logarithm: the time is drawn and the cost is not."""
    status, out, _ = headway(*MAIN_JOB, "--batch", "1:64:log", "--chart", "always", "--price", "0")
    assert status == 0
    assert out.count("both logarithmic") == 1


def test_a_search_lists_what_contains_the_words(headway, answer):
    """A part of a name or title finds all that contain it, whichever order options and names come in."""
    found = answer("catalog", "accelerators", "pcie")["matches"]
    assert found == [n for n, e in catalog.entries("accelerator").items() if "pcie" in n or "pcie" in e.title.lower()]
    assert json.loads(headway("catalog", "accelerators", "--json", "pcie")[1])["matches"] == found


def test_a_chapter_lists_its_equations(headway, answer):
    """The name of a chapter lists that chapter whole, and nothing else."""
    from headway.cli.equation import by_name

    names = [n for n, f in by_name().items() if f.__module__.endswith(".memory_tiers")]
    for written in ("memory_tiers", "Memory-Tiers"):
        assert [e["name"] for e in answer("equation", written)["equations"]] == names
    assert headway("equation", "moe")[1].count("\nmoe ") == 18


def test_lists_put_into_an_equation_give_a_table(headway, answer):
    """Each value stands beside the arguments that it belongs to; a single one is a line."""
    asked = ("equation", "mm1_wait_s", "utilisation=10%,0.5,1", "service_s=20ms")
    rows = [re.split("  +", line.strip()) for line in headway(*asked)[1].splitlines()]
    assert rows[0] == ["utilisation", "mm1_wait_s"]
    assert rows[1:] == [["0.1000", "2.222 ms"], ["0.5000", "20.00 ms"], ["1.000", "infinity"]]
    assert answer(*asked)["utilisation"] == [0.1, 0.5, 1]
    single = headway("equation", "mm1_wait_s", "utilisation=0.5", "service_s=20ms")[1]
    assert single == "mm1_wait_s = 20.00 ms\n"


def test_a_reason_in_the_catalog_has_no_remedy(answer):
    """The catalog only shows: how to supply a figure is told where it is needed."""
    for words in (("catalog", "rtx-3070"), ("catalog", "generations"), ("catalog", "generations", "--chips")):
        text = json.dumps(answer(*words))
        assert "no source gave" in text
        assert "supply" not in text


def test_generations_fit_on_a_screen(headway):
    """A row of the comparison is no wider than about 130 characters, and has every figure of the JSON."""
    lines = headway("catalog", "generations")[1].splitlines()
    assert max(map(len, lines)) <= 132
    rack = next(line for line in lines if line.startswith("gb200-nvl72")).split()
    assert rack[-7:] == ["ms", "900/50.0", "18.0", "1,200", "120", "1,360", "6.03T"]
    assert "312/312" in rack


@pytest.mark.parametrize(("count", "most"), [(1, 16), (16, 16), (17, 16), (31, 16), (1000, 16), (46, 16), (5, 2)])
def test_a_long_table_keeps_every_kth_row_and_the_last(count, most):
    """Rows are equally far apart, apart from the last, which is always there."""
    rows = thinned(count, most)
    assert (rows[0], rows[-1]) == (0, count - 1)
    assert len(rows) <= most
    assert len({b - a for a, b in itertools.pairwise(rows[:-1])}) <= 1


@pytest.mark.parametrize(("columns", "width"), [(60, 60), (20, 40), (300, 110)])
def test_prose_fits_a_narrow_terminal(monkeypatch, columns, width):
    """On a terminal lines are no longer than it is wide; in a file they are what they always are."""
    monkeypatch.setenv("COLUMNS", str(columns))
    text = "word " * 100
    assert max(map(len, wrapped(text).splitlines())) in range(WIDTH - 5, WIDTH + 1)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert max(map(len, wrapped(text).splitlines())) in range(width - 5, width + 1)


# Pictures


class Tags(HTMLParser):
    """Collects what opens and closes in a page."""

    def __init__(self):
        super().__init__()
        self.opened, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.opened.append(tag)

    def handle_data(self, data):
        self.text.append(data)


RANGE = (*MAIN_JOB, "--batch", "1:4096:log")
CURVES = ("arithmetic", "reading weights", "reading KV cache", "the pass")


def test_an_svg_is_drawn_with_every_curve_labelled(headway, tmp_path):
    """The file is XML, its texts name the curves, the axes with units, and the balance; the answer names the file."""
    file = tmp_path / "out.svg"
    status, out, _ = headway(*RANGE, "--plot", file)
    assert status == 0
    assert out.rstrip().endswith(f"Picture: {file}")
    source = file.read_text("utf-8")
    assert ET.fromstring(source).tag.endswith("svg")
    for label in (*CURVES, "batch [sequences]", "[ms]"):
        assert label in source, label


def test_the_same_question_draws_the_same_file(headway, tmp_path):
    """A picture under version control changes only when its numbers do."""
    for name in ("a.svg", "b.svg"):
        headway(*RANGE, "--plot", tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_png_is_drawn(headway, tmp_path):
    """The file has the signature, a size and an end of a PNG."""
    file = tmp_path / "OUT.PNG"
    assert headway(*RANGE, "--plot", file)[0] == 0
    content = file.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert content.endswith(b"IEND\xaeB`\x82")
    width, height = (int.from_bytes(content[i : i + 4], "big") for i in (16, 20))
    assert width > height > 300


def test_a_page_carries_picture_numbers_and_derivation(headway, tmp_path):
    """HTML has the picture inside it, the table under it, and the derivation with its sources."""
    file = tmp_path / "out.html"
    assert headway(*RANGE, "--plot", file, "--json")[0] == 0
    page = Tags()
    page.feed(file.read_text("utf-8"))
    text = "".join(page.text)
    assert page.opened.count("svg") == 1
    assert {"h1", "pre", "title"} <= set(page.opened)
    assert "script" not in page.opened
    assert "deepseek-v3 on gb200-nvl72" in text
    assert "4,096" in text
    assert "Derivation" in text
    assert "https://" in text


@pytest.mark.parametrize("axis", ["--context=1k:128k:log", "--pass=1:4096:log", "--context=0:100k:10k", "--batch=7"])
def test_every_axis_can_be_drawn(headway, tmp_path, axis):
    """Along the context, along the pass length, from zero, and around a single point."""
    assert headway(*MAIN_JOB, axis, "--plot", tmp_path / "out.svg")[0] == 0
    assert (tmp_path / "out.svg").stat().st_size > 5000


def test_a_second_axis_draws_a_curve_for_each_value(headway, tmp_path):
    """Two lists give a family of totals, each labelled by its value."""
    headway(*RANGE, "--context", "1k,8k,64k", "--plot", tmp_path / "out.svg")
    source = (tmp_path / "out.svg").read_text("utf-8")
    for label in ("context 1,000", "context 8,000", "context 64,000"):
        assert label in source


@pytest.mark.parametrize(
    ("name", "told"),
    [("out.pdf", ".svg, .png, .html"), ("out", ".svg"), ("", ".svg"), ("none/out.svg", "no folder"),
     ("a\0.svg", "cannot write"), ("x" * 300 + ".svg", "cannot write")],
)  # fmt: skip
def test_a_picture_that_cannot_be_drawn_is_refused(refusal, tmp_path, monkeypatch, name, told):
    """An unknown format, a missing folder, a name that no file can have."""
    monkeypatch.chdir(tmp_path)
    assert told in refusal(*MAIN_JOB, "--plot", name)
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_a_picture_is_refused_with_the_remedy(refusal, monkeypatch, tmp_path):
    """The extra is named; everything else works without it."""
    real = builtins.__import__

    def missing(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    assert "headway[plot]" in refusal(*MAIN_JOB, "--plot", tmp_path / "out.svg")
    assert main([*MAIN_JOB]) == 0


def test_the_demo_runs_the_main_job_and_draws_it(headway, monkeypatch, tmp_path):
    """`headway demo` shows the command that it runs, its answer, and the picture that it wrote."""
    monkeypatch.chdir(tmp_path)
    status, out, _ = headway("demo")
    assert status == 0
    assert out.startswith("$ headway roofline deepseek-v3 --on gb200-nvl72")
    assert "Picture: headway-demo.svg" in out
    assert ET.parse(tmp_path / "headway-demo.svg").getroot().tag.endswith("svg")


# The process


BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def process(*words, **how):
    """The command in a process of its own."""
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": BUFFERED} | how
    return subprocess.Popen([sys.executable, "-m", "headway", *words], **settings)


def test_a_reader_that_stops_reading_is_no_error():
    """`headway ... | head` ends in silence, for an answer longer than a pipe and for one shorter."""
    for words in ((*MAIN_JOB, "--batch", "1:20000:1", "--json"), ("catalog",)):
        child = process(*words)
        child.stdout.close()  # before it has imported anything, let alone written
        err = child.stderr.read().decode()
        assert (child.wait(60), err) == (0, "")
        child.stderr.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_is_told_in_one_line():
    """An answer that cannot be written is an error, in one line."""
    with open("/dev/full", "w") as full:
        child = process("catalog", stdout=full)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 2
    assert err.decode().splitlines() == ["headway: cannot read or write: No space left on device"]


def test_an_interrupt_stops_in_one_line(monkeypatch, refusal):
    """Ctrl-C is no traceback."""

    def interrupted(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("headway.cli.model.main", interrupted)
    assert refusal("model", "deepseek-v3", status=130) == "headway: stopped\n"


def test_an_interrupted_process_stops_in_one_line():
    """A real signal in the middle of a command."""
    code = (
        "import headway.cli, headway.cli.model, signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "headway.cli.model.main = lambda words: (print('ready', flush=True), time.sleep(60))\n"
        "sys.exit(headway.cli.main(['model', 'deepseek-v3']))\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with child.stdout, child.stderr:
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGINT)
        assert child.stderr.read() == b"headway: stopped\n"
        assert child.wait(60) == 130


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_without_a_character_gets_its_code(encoding):
    """Microseconds and models from files with foreign names print on any terminal."""
    environment = {**BUFFERED, "PYTHONIOENCODING": encoding}
    child = process("roofline", "llama-3.2-1b", "--on", "gb200-nvl72", "--explain", env=environment)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, b"")
    assert out.decode(encoding).startswith("One pass")


def test_without_a_home_there_is_a_catalog():
    """A container's nameless user has no home folder, and gets the shipped catalog."""
    environment = {k: v for k, v in os.environ.items() if k not in ("HOME", "HEADWAY_CATALOG")}
    code = "import os; os.path.expanduser = lambda p: p; import headway; print(len(headway.catalog.entries('system')))"
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert int(found.stdout) > 10


def test_more_memory_than_there_is_is_refused(monkeypatch, refusal):
    """A question too large for the machine is told so."""

    def too_large(arguments):
        raise MemoryError

    monkeypatch.setattr("headway.cli.model.main", too_large)
    assert "fewer points" in refusal("model", "deepseek-v3")


def test_an_answer_is_whole_or_absent(monkeypatch, headway):
    """A mistake found late leaves nothing on standard output."""
    monkeypatch.setattr("headway.cli.roofline_text.numbers", lambda *a, **k: (_ for _ in ()).throw(BadInput("late")))
    assert headway(*MAIN_JOB) == (2, "", "headway: late\n")


def test_a_range_written_with_a_dash_shows_how_one_is_written(headway):
    """`1-64` is what people type for a range; the answer is the range in its own spelling."""
    status, out, err = headway(*MAIN_JOB, "--batch", "1-64")
    assert (status, out) == (2, "")
    assert "1:64:log" in err


def test_an_uncatalogued_model_can_still_be_described(headway):
    """A model without neighbours in the catalog is refused with the way to describe it by numbers."""
    status, _, err = headway("roofline", "xyzzy", "--on", "h100")
    assert status == 2
    assert "--params" in err


def test_models_side_by_side(headway, answer):
    """Several models are one table, a column each; in JSON a list of the objects that each has alone."""
    names = ["deepseek-v3", "deepseek-v3.2", "kimi-k3"]
    status, out, _ = headway("model", *names, "--contexts", "1k,128k")
    assert status == 0
    assert all(name in out for name in names)
    assert "deepseek-v3.2 reads least cache for a decoded token" in out
    together = answer("model", *names)["models"]
    assert together == [answer("model", name) for name in names]


def test_the_cache_of_a_hybrid_is_told_group_by_group(answer):
    """Growth, what windows hold, and the state are told apart, and add up to what a sequence stores."""
    for name in ("gemma-4-26b-a4b", "gpt-oss-120b", "qwen3-next-80b-a3b", "deepseek-v4-pro", "deepseek-v3.2"):
        out = answer("model", name, "--contexts", "0,100k")
        groups = sum(g["bytes_per_token"] * min(100_000, g["stored_tokens"] or 1e9) for g in out["cache"])
        assert out["kv_stored_bytes"][1] == pytest.approx(groups + out["state_bytes_per_sequence"], rel=1e-12)
        assert out["kv_stored_bytes"][0] == out["state_bytes_per_sequence"]
        assert out["kv_read_bytes_per_token"][1] <= out["kv_stored_bytes"][1]


HUB_CONFIG = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
              "intermediate_size": 128, "vocab_size": 1000}  # fmt: skip


def test_a_model_is_found_in_the_local_hub_cache(answer, tmp_path, monkeypatch):
    """What the Hugging Face libraries downloaded before is read where they keep it: the snapshot of the main branch."""
    folder = tmp_path / "hub" / "models--someone--Their-Model"
    for commit, layers in (("aaa", 2), ("bbb", 3)):
        (folder / "snapshots" / commit).mkdir(parents=True)
        (folder / "snapshots" / commit / "config.json").write_text(
            json.dumps(HUB_CONFIG | {"num_hidden_layers": layers})
        )
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("bbb")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert answer("model", "someone/Their-Model")["n_layers"] == 3


def test_without_a_cache_the_way_to_a_download_is_told(refusal, tmp_path, monkeypatch):
    """An id that is nowhere: what was tried, and what would help, in one line."""
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE forbids a download" in refusal("model", "someone/Their-Model")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install 'headway[hub]'" in refusal("model", "someone/Their-Model")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace())
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert "the Hub cannot be reached" in refusal("model", "someone/Their-Model")
    monkeypatch.setattr("headway.model.find._reachable", lambda: True)
    hub = types.SimpleNamespace(hf_hub_download=lambda *_: (_ for _ in ()).throw(OSError("401\nClient Error")))
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert "the download failed: 401" in refusal("model", "someone/Their-Model")


def test_a_download_is_read_like_a_file(answer, tmp_path, monkeypatch):
    """With the library at hand the config comes from the Hub."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("headway.model.find._reachable", lambda: True)
    path = tmp_path / "fetched.json"
    path.write_text(json.dumps(HUB_CONFIG))
    hub = types.SimpleNamespace(
        hf_hub_download=lambda repo, file: path if (repo, file) == ("a/b", "config.json") else 1
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert answer("model", "a/b")["n_layers"] == 2


def test_a_config_is_pasted_on_standard_input(headway, monkeypatch):
    """`headway model -` reads the fields from standard input, and refuses what is none."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(HUB_CONFIG)))
    status, out, _ = headway("model", "-", "--json")
    assert (status, json.loads(out)["n_layers"]) == (0, 2)
    for pasted, told in (("", "standard input is not JSON"), ("[1]", "expected an object")):
        monkeypatch.setattr(sys, "stdin", io.StringIO(pasted))
        status, _, err = headway("model", "-")
        assert status == 2
        assert told in err


def test_models_are_drawn(headway, tmp_path):
    """Cache and arithmetic against context, of one model or a few, into a picture that names them."""
    for names in (["gemma-3-27b"], ["llama-3.1-70b", "deepseek-v3.2", "kimi-k3"]):
        target = tmp_path / f"{len(names)}.svg"
        status, out, _ = headway("model", *names, "--contexts", "1k:1M:log", "--plot", target)
        assert status == 0
        assert f"Picture: {target}" in out
        assert "<svg" in target.read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["kimi-k3", "--plot", "a.pdf"], "--plot takes a file ending in"),
        (["kimi-k3", "--plot", "a.html"], "into a .svg or .png file"),
        (["kimi-k3"] * 5 + ["--plot", "a.svg"], "up to 4 models, found 5"),
        (["--params", "7B", "--plot", "a.svg"], "there is nothing to draw"),
        (["kimi-k3", "--on", "gb200-nvl72"], "--on has an effect only with --kv-techniques"),
        (["kimi-k3", "--most", "3"], "--most has an effect only with --matching"),
        (["kimi-k3", "--kv-techniques"], "--kv-techniques needs a machine"),
        (["kimi-k3", "--kv-techniques", "--on", "b200", "--contexts", "8k"], "--contexts has no effect"),
        (["kimi-k3", "kimi-k2", "--kv-techniques", "--on", "b200"], "ranks for one model, found 2"),
        (["--matching", "kv_bytes=9", "--kv-techniques"], "ask one of them"),
        (["--matching", "kv_bytes=9", "--plot", "a.svg"], "--plot draws no answer of --matching"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(refusal, words, told):
    """Each question has its options; one that it would not look at is refused, not ignored."""
    assert told in refusal("model", *words)
