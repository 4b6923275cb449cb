"""Measured rows: read as they stand, asked as they were run, predicted by a pass, scored by configuration."""

import csv
import functools
import gzip
import io
import json
import math
import re
import statistics
import time
from collections import Counter
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import dictionaries, floats, integers, lists, sampled_from, text, tuples

from headway import catalog
from headway.cli import main
from headway.cli.validate import as_json
from headway.cli.validate_text import headline
from headway.errors import BadInput
from headway.figures.scatter import Scatter
from headway.hardware import load_system
from headway.model.config import load_model
from headway.step.operators import operators
from headway.validate import filling, in_flight, measured, predictions, score
from headway.validate.cases import METRICS, NO_PASS, case_of
from headway.validate.filling import NotPredicted
from headway.validate.formats import model_of
from headway.validate.predictions import Prediction, predict
from headway.validate.tables import table
from tests import step_stub

ROWS = measured.shipped()
HARD = [row for row in ROWS if row.text("tier") in ("A", "B")]


def row(**cells):
    """One row of a user's: a decode step of Llama-3.1-8B on an H100, but for what is said."""
    usual = {"model": "llama-3.1-8b", "hw_key": "h100-sxm", "n_chips": 1, "tp": 1, "metric": "tpot", "value": 5,
             "unit": "ms", "batch": 4, "batch_kind": "static", "input_len": 1000, "output_len": 200}  # fmt: skip
    (read,) = measured._rows(as_csv([usual | cells]), "a row")
    return read


def as_csv(rows, columns=None):
    """Rows as the text of a file."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns or list(rows[0]), restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def stubbed(**cells):
    (found,) = predict([row(**cells)], steps=step_stub.steps)
    return found


@functools.cache
def timed():
    """All shipped rows by the stub, and how long that took."""
    predictions.predict(ROWS[:10], steps=step_stub.steps)
    began = time.perf_counter()
    found = predictions.predict(ROWS, steps=step_stub.steps)
    return found, time.perf_counter() - began


def stub_of_all():
    """All shipped rows by the stub."""
    return timed()[0]


@functools.cache
def real():
    """All shipped rows by the step model itself."""
    return score.validate(ROWS)


def times(batch, context, pass_tokens=1, *, chips=1, model="llama-3.1-8b", chip="h100-sxm", **layout):
    """What the blackboard says of Llama-3.1-8B on H100s, or of another pair."""
    system = load_system(f"{chip}:{chips}")
    at = step_stub.steps(load_model(model), system, batch=batch, context_tokens=context,
                         pass_tokens=pass_tokens, **layout)  # fmt: skip
    return {name: float(value) if name != "refusal" else value for name, value in at.items()}


# The shipped rows


def test_the_shipped_rows_are_those_that_were_handed_over():
    """4,275 rows in 2,898 configurations of 36 sources, each with a value that is a number, none with a wrong cell."""
    assert len(ROWS) == 4275
    assert len({r.text("group_id") for r in ROWS}) == 2898
    assert len({r.text("source_key") for r in ROWS}) == 36
    assert len({r.text("id") for r in ROWS}) == 4275
    assert all(r.value > 0 and not r.wrong for r in ROWS)


def test_the_shipped_file_has_no_date_in_it_and_every_column():
    """Packing the same rows again gives the same bytes; the header is the one that user files are read by."""
    packed = (measured.DATA / "inference.csv.gz").read_bytes()
    assert packed[4:8] == bytes(4)
    header = gzip.decompress(packed).decode("utf-8").split("\r\n")[0]
    assert tuple(header.split(",")) == measured.COLUMNS


def test_every_source_stands_in_the_readme_with_its_licence():
    """The provenance beside the rows names every source, by itself or by its family, and adds up to all rows."""
    readme = (measured.DATA / "README.md").read_text("utf-8")
    lines = re.findall(r"^\| ([\w.*, -]+) \| ([\d,]+) \| .+ \| .+ \|$", readme, re.M)
    assert sum(int(count.replace(",", "")) for _, count in lines) == len(ROWS)
    for names, count in lines:
        members = [r for r in ROWS if r.fits({"source_key": names.split(", ")})]
        assert len(members) == int(count.replace(",", "")), names


def test_nine_in_ten_and_more_of_the_hard_rows_are_questions():
    """At least 95 % of the rows of tiers A and B are answered, whatever the step model."""
    assert len(HARD) == 4128
    answered = [p for p in stub_of_all() if p.row.text("tier") in ("A", "B") and p.predicted is not None]
    assert len(answered) / len(HARD) >= 0.95


def test_the_reasons_for_leaving_a_row_out_are_few():
    """Reasons are words that many rows share; what is particular to one stands beside them."""
    reasons = Counter(p.reason for p in stub_of_all())
    assert len(reasons) <= 12
    assert reasons["an account of production, not a pass"] == 10
    assert reasons["speculative decoding"] == 12
    assert reasons["held under a latency limit"] == 119


# The tables


@pytest.mark.parametrize(
    ("name", "key", "known"),
    [
        ("names", "model", {"row", "name", "why"}),
        ("names", "machine", {"hardware", "key", "name", "chips", "figures", "why", "from", "checked"}),
        ("formats", "format",
         {"when", "dtype", "base", "parts", "bytes_per_param", "file_bytes", "why", "from", "checked"}),
        ("loads", "kind", {"when", "load", "of", "batch", "most", "reason"}),
        ("defaults", "default", {"column", "when", "value", "rule", "sets", "why", "from", "checked", "own"}),
        ("explained", "why", {"when", "text"}),
        ("runtimes", "runtime", {"when", "buffers", "numbers", "chunk_tokens", "why", "from", "checked"}),
    ],
)  # fmt: skip
def test_the_tables_say_nothing_that_is_not_read(name, key, known):
    """Every field of every entry has a meaning; conditions are on columns; what cites a page says when it was read."""
    for entry in table(name, key):
        assert set(entry) <= known, entry
        assert set(entry.get("when", {})) <= set(measured.COLUMNS)
        assert ("from" in entry) == ("checked" in entry)
        assert entry.get("why") or name in ("loads", "explained"), entry


def test_a_default_that_cites_no_page_says_that_it_is_assumed():
    """A choice of our own is never dressed as a fact."""
    silent = [e for e in table("defaults", "default") if "from" not in e and "assumed" not in e["why"]]
    for entry in silent:  # what the row's own notes or columns say needs no other page
        by_the_row = ("stated", "attention-data-parallel", "whole-chips", "the middle of the answer",
                      "tp x pp x dp x cp", "the system of hw_key")  # fmt: skip
        assert "notes of the row say" in entry["why"] or entry.get("rule") in by_the_row, entry


@pytest.mark.parametrize("key", ["model", "machine"])
def test_every_name_leads_into_the_catalog(key):
    """A name that a table gives is one that the catalog has."""
    for entry in table("names", key):
        found = catalog.read_model(entry["name"]) if key == "model" else catalog.resolve(entry["name"])
        assert found is not None, entry


def test_every_entry_of_every_table_is_used():
    """No entry is dead: each of the names, formats, loads, defaults, reasons decides about at least one shipped row.

    Those that are for rows of a user alone decide about none.
    """
    used = {"names model": set(), "names machine": set(), "formats format": set(), "loads kind": set(),
            "defaults default": set(), "explained why": set(), "runtimes runtime": set()}  # fmt: skip
    for r in ROWS:
        used["names model"] |= {i for i, e in enumerate(table("names", "model")) if e["row"] == r.text("model")}
        used["names machine"] |= {
            i
            for i, e in enumerate(table("names", "machine"))
            if r.text("hardware") == e.get("hardware") or r.text("hw_key") == e.get("key")
        }
        used["formats format"] |= {next((i for i, e in enumerate(table("formats", "format")) if r.fits(e["when"])), -1)}
        used["loads kind"] |= {next(i for i, e in enumerate(table("loads", "kind")) if r.fits(e["when"]))}
        for key in ("explained why", "runtimes runtime"):
            used[key] |= {next((i for i, e in enumerate(table(*key.split())) if r.fits(e["when"])), -1)}
    names = {n for p in stub_of_all() if p.case for n in p.case.filled}
    used["defaults default"] = {i for i, e in enumerate(table("defaults", "default")) if filling.name_of(e) in names}
    for key, found in used.items():
        shared = {i for i, e in enumerate(table(*key.split())) if not e.get("own")}
        assert found - {-1} == shared, key


def test_names_of_defaults_tell_them_apart():
    """The name under which a default is counted is its own."""
    names = [filling.name_of(entry) for entry in table("defaults", "default")]
    assert len(set(names)) == len(names)


# From a row to a question


def test_a_row_that_states_everything_is_filled_by_nothing():
    """What is written is taken as it is written."""
    case = case_of(row(tp=4, pp=2, n_chips=8, ep=1, kv_dtype="fp8", weight_dtype="fp8", avg_context=700))
    assert case.filled == ()
    assert (case.laid.tensor_parallel, case.laid.pipeline_parallel, case.laid.servers) == (4, 2, 1)
    assert (case.model.kv_dtype.name, case.model.weight_dtype.name) == ("fp8", "fp8")
    assert (case.batch, case.context, case.prompt, case.output) == (4, 700, 1000, 200)


def test_a_card_of_two_chips_is_two_chips():
    """Rows that count cards of two have twice the chips."""
    (row_of_four,) = {r.text("n_chips") for r in ROWS if "B60 Dual" in r.text("hardware")}
    cases = [case_of(r) for r in ROWS if "B60 Dual" in r.text("hardware") and r.text("tier") == "B"]
    assert (row_of_four, {case.chips for case in cases}) == ("4", {8})


def test_a_die_is_a_device_where_rows_count_devices():
    """Rows of AMD's two-die module run on one die for each device, with links that the table adds."""
    cases = [p.case for p in stub_of_all() if p.row.text("hardware") == "AMD MI250"]
    assert {case.system.chip.name for case in cases} == {"mi250x-gcd"}
    assert {case.system.figure("scaleup_bytes_per_s").value for case in cases} == {400e9}
    assert load_system("mi250x-gcd:4").figure("scaleup_bytes_per_s").value is None


def test_sums_in_16_bits_double_the_rate_of_cards_for_games():
    """llama.cpp on a GeForce multiplies at twice the rate of the catalog, whichever weights; elsewhere at that rate."""
    for p in stub_of_all():
        if p.case and p.row.text("source_key") == "llamacpp-xd":
            chip = p.case.system.chip.name
            doubled = 2 if chip in ("rtx-3070", "rtx-3080", "rtx-3090", "rtx-4070-ti", "rtx-4090") else 1
            known = load_system(chip).figure("fp16_flop_per_s").value
            assert p.case.system.figure("fp16_flop_per_s").value == (known and pytest.approx(doubled * known, rel=1e-3))


def test_how_messages_hide_is_said_by_the_row_or_its_defaults():
    """Two-batch overlap where the source has it; a word that is no overlap is a wrong cell."""
    overlapped = {p.row.text("source_key") for p in stub_of_all() if p.case and p.case.overlap}
    assert overlapped == {"lmsys-96h100", "deepseek-profile"}
    assert case_of(row(overlap="Two-Batch")).overlap == "two-batch"
    with pytest.raises(NotPredicted, match="a cell is not"):
        case_of(row(overlap="mostly"))


def test_chips_beyond_the_layout_are_servers_of_their_own():
    """Eight chips of which two work together are four servers with a quarter of the batch each."""
    case = case_of(row(tp=2, n_chips=8, batch=10))
    assert (case.laid.servers, case.batch, case.system.chips) == (4, 3, 2)
    with pytest.raises(NotPredicted, match="does not multiply"):
        case_of(row(tp=3, n_chips=8))


def test_without_a_layout_a_server_is_the_smallest_that_holds_the_weights_in_half_its_memory():
    """Llama-3.1-8B in bf16 takes one H100, the 70B four: 141 GB are less than half of 4 x 72 GB."""
    assert case_of(row(tp="", n_chips=8)).laid.text == "8 x tp1"
    assert case_of(row(model="llama-3.1-70b", tp="", n_chips=8)).laid.text == "2 x tp4"
    assert case_of(row(model="llama-3.1-405b", tp="", n_chips=8)).laid.text == "tp8"


@pytest.mark.parametrize(
    ("cells", "batch"),
    [
        ({"batch_kind": "sequences_per_chip", "batch": 3}, 12),
        ({"batch_kind": "tokens_per_chip", "batch": 2000}, 8),
        ({"batch_kind": "static", "batch": 3}, 3),
        ({"batch_kind": "Concurrency", "batch": 3}, 3),
    ],
)
def test_a_batch_counts_what_its_kind_says(cells, batch):
    """On four chips with prompts of 1,000 tokens."""
    assert case_of(row(tp=4, n_chips=4, **cells)).batch == batch


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"model": "no-such-model"}, "model not in the catalog"),
        ({"model": "/etc/hosts"}, "model not in the catalog"),
        ({"model": "meta-llama/NoSuchModel"}, "model not in the catalog"),
        ({"hw_key": "no-such-chip"}, "machine not in the catalog"),
        ({"hw_key": "ddr5-rdimm-64gb-2026q1"}, "machine not in the catalog"),
        ({"n_chips": "", "tp": ""}, "number of chips not stated"),
        ({"metric": "happiness"}, "metric not known"),
        ({"unit": "fortnights"}, "unit not known"),
        ({"per": "continent", "metric": "output_tokens_per_s", "unit": "tokens/s"}, "per what is not known"),
        ({"batch": ""}, "batch not stated"),
        ({"batch_kind": "as it comes"}, "kind of batch not known"),
        ({"batch_kind": "qps=soon"}, "kind of batch not known"),
        ({"batch_kind": "mlperf-server"}, "held under a latency limit"),
        ({"weight_dtype": "int3"}, "format of the weights not known"),
        ({"kv_dtype": "int3"}, "format of the KV cache not known"),
        ({"input_len": "", "output_len": ""}, "context not stated"),
        ({"metric": "ttft", "input_len": ""}, "prompt length not stated"),
        ({"metric": "e2e_latency", "output_len": ""}, "output length not stated"),
        ({"spec_decode": "MTP3"}, "speculative decoding"),
        ({"value": "many"}, "a cell is not what its column means"),
        ({"value": "-5"}, "a cell is not what its column means"),
        ({"value": "inf"}, "a cell is not what its column means"),
        ({"tp": "1.5"}, "a cell is not what its column means"),
        ({"tier": "Z"}, "a cell is not what its column means"),
        ({"hw_key": "h100-sxm:8", "tp": 8, "n_chips": 4}, "a cell is not what its column means"),
        ({"metric": "ttft", "input_len": 0}, "a cell is not what its column means"),
        ({"metric": "e2e_latency", "output_len": 0}, "a cell is not what its column means"),
        ({"batch": "", "batch_kind": ""}, "batch not stated"),
    ],
)
def test_a_row_that_cannot_be_asked_is_told_with_its_reason(cells, reason):
    """Never an error of the whole file: the row is listed, and the others are answered."""
    bad, good = predict([row(**cells), row()], steps=step_stub.steps)
    assert (bad.reason, bad.predicted) == (reason, None)
    assert reason == "held under a latency limit" or re.search("expected|unknown|does not multiply", bad.detail)
    assert good.predicted is not None


@pytest.mark.parametrize(
    ("cells", "bytes_per_param", "rate"),
    [
        ({"weight_dtype": "fp8"}, 1.0, "fp8"),
        ({"weight_dtype": "q8", "framework": "mlx-lm"}, 1.0625, "bf16"),
        ({"weight_dtype": "q4", "framework": "mlx-lm"}, 0.5625, "bf16"),
        ({"weight_dtype": "int4 g32", "act_dtype": "bf16"}, 0.625, "bf16"),
        ({"weight_dtype": "int8", "act_dtype": "bf16"}, 1.0, "bf16"),
        ({"weight_dtype": "int8"}, 1.0, "int8"),
        ({"weight_dtype": "fp4", "framework": "TensorRT 10.8"}, 0.5625, "fp4"),
        ({"weight_dtype": ""}, 2.0, "bf16"),
    ],
)
def test_weights_have_the_bytes_and_the_rate_that_their_word_means(cells, bytes_per_param, rate):
    """Of the linear weights; weight-only formats are multiplied in 16 bits, others at the rate of their own."""
    model = model_of(row(**cells))
    assert model.storage["dense_mlp"].bytes_per_param == bytes_per_param
    assert model.weight_dtype.rates[0] == f"{rate}_flop_per_s"


def test_a_file_of_known_size_is_read_as_a_whole():
    """4.58 GiB of Q4_K_M for the 8B model, embedding and all."""
    (q4,) = {model_of(r).weight_bytes for r in ROWS if r.text("weight_dtype").startswith("q4_k_m")
             and r.text("model") == "Llama-3-8B"}  # fmt: skip
    assert q4 == pytest.approx(4.58 * 2**30, rel=1e-9)


def test_deepseek_in_four_bits_keeps_its_attention_in_sixteen():
    """As the source of such rows says."""
    model = model_of(next(r for r in ROWS if r.text("model") == "DeepSeek-R1" and r.text("weight_dtype") == "nvfp4"))
    assert model.storage["routed_experts"].dtype.name == "nvfp4"
    assert model.storage["attention"].dtype.name == "bf16"


# From a question to a number, by the blackboard of the stub


def test_a_decode_time_is_the_step_at_the_context_of_the_row():
    """In milliseconds, at input + output / 2 where no context is stated, and at that where it is."""
    assert stubbed().predicted == pytest.approx(1e3 * times(4, 1100)["step_s"])
    assert stubbed(avg_context=50_000).predicted == pytest.approx(1e3 * times(4, 50_000)["step_s"])
    assert stubbed(unit="s").predicted == pytest.approx(times(4, 1100)["step_s"])


def test_the_first_token_is_the_prefill_of_one_prompt_or_of_a_batch_that_starts_together():
    """A user of a closed loop waits for the own prompt alone."""
    assert stubbed(metric="ttft").predicted == pytest.approx(1e3 * times(4, 0, 1000)["step_s"])
    alone = stubbed(metric="ttft", batch_kind="concurrency")
    assert alone.predicted == pytest.approx(1e3 * times(1, 0, 1000)["step_s"])


def test_a_request_is_its_prefill_and_a_step_for_every_further_token():
    """The first token of 200 comes out of the prefill."""
    wanted = times(4, 0, 1000)["step_s"] + 199 * times(4, 1100)["step_s"]
    assert stubbed(metric="e2e_latency").predicted == pytest.approx(1e3 * wanted)
    rate = stubbed(metric="output_tokens_per_s", unit="tokens/s").predicted
    assert rate == pytest.approx(4 * 200 / wanted)


def test_a_request_that_makes_one_token_is_a_prefill():
    """No step follows."""
    assert stubbed(metric="e2e_latency", output_len=1).predicted == stubbed(metric="ttft", output_len=1).predicted


@pytest.mark.parametrize(("per", "times_system"), [("chip", 1 / 16), ("node(8)", 1 / 2), ("system", 1), ("", 1)])
def test_a_rate_is_of_what_the_row_says(per, times_system):
    """Of a chip, a node of eight, or all sixteen."""
    cells = {"metric": "output_tokens_per_s", "unit": "tokens/s", "n_chips": 16, "tp": 4, "batch": 64}
    assert stubbed(per=per, **cells).predicted == pytest.approx(times_system * stubbed(**cells).predicted)


def test_a_users_rate_is_one_over_the_step():
    """Whatever the batch."""
    cells = {"metric": "decode_output_tokens_per_s", "unit": "tokens/s"}
    assert stubbed(per="user", **cells).predicted == pytest.approx(1 / times(4, 1100)["step_s"])
    assert stubbed(per="system", **cells).predicted == pytest.approx(4 / times(4, 1100)["step_s"])


def test_a_saturated_server_runs_as_many_as_fit_at_full_length():
    """The largest batch of the memory model at input + output tokens, all prompts prefilled, then the steps."""
    cells = {"metric": "output_tokens_per_s", "unit": "tokens/s", "batch": "", "batch_kind": "max_load"}
    most = times(1, 1199)["largest_batch"]
    whole = times(most, 0, 1000)["step_s"] + 199 * times(most, 1100)["step_s"]
    assert stubbed(**cells).predicted == pytest.approx(most * 200 / whole)
    assert stubbed(model="llama-3.1-405b", **cells).reason == "does not fit"


def test_users_beyond_the_memory_wait_outside():
    """A closed loop of a million has no more in flight than fit; a static batch is taken at its word."""
    most = times(1, 1199)["largest_batch"]
    assert stubbed(batch=10**6, batch_kind="concurrency").predicted == pytest.approx(1e3 * times(most, 1100)["step_s"])
    assert stubbed(batch=10**6).predicted == pytest.approx(1e3 * times(10**6, 1100)["step_s"])


@given(rate=floats(0.05, 1e4))
@settings(max_examples=30, deadline=None)
def test_an_open_loop_obeys_littles_law(rate):
    """In flight = rate x time in the server, at least one and at most as many as fit."""
    flying = stubbed(batch="", batch_kind=f"qps={rate!r}").account["in_flight"]
    in_server = times(1, 0, 1000)["step_s"] + 199 * times(flying, 1100)["step_s"]
    if flying == 1:
        assert rate * in_server <= 1.01
    elif flying == times(1, 1199)["largest_batch"]:
        assert rate * in_server >= 0.99 * flying
    else:
        assert flying == pytest.approx(rate * in_server, rel=0.01)  # between two points of a grid


@given(rate=floats(0.05, 1e4))
@settings(max_examples=30, deadline=None)
def test_an_open_loop_answers_what_arrives_and_no_more_than_a_full_server_can(rate):
    """Below saturation throughput is the arrival rate, above it that of the same server under maximal load."""
    asked = {"metric": "output_tokens_per_s", "unit": "tokens/s", "batch": ""}
    full = stubbed(batch_kind="max_load", **asked).predicted
    found = stubbed(batch_kind=f"qps={rate!r}", **asked).predicted
    assert found == pytest.approx(min(rate * 200, full))


def test_memory_utilisation_and_bandwidth_are_those_of_the_pass():
    """Peak memory of all chips, arithmetic over time, weights over time."""
    at = times(4, 1100)
    memory = stubbed(metric="peak_memory", unit="GB").predicted
    assert memory == pytest.approx(times(4, 1199)["chip_needed_bytes"] / 1e9)
    mfu = stubbed(metric="mfu", unit="fraction", phase="decode").predicted
    assert mfu == pytest.approx(at["t_compute_s"] / at["step_s"])
    bandwidth = stubbed(metric="achieved_mem_bandwidth", unit="GB/s").predicted
    assert bandwidth == pytest.approx(at["weights_bytes"] / at["step_s"] / 1e9)


def test_every_metric_of_the_shipped_rows_is_known():
    """Each is asked of a pass, or known to be no question of one."""
    assert {r.text("metric") for r in ROWS} <= {*METRICS, *NO_PASS}


def test_rows_are_answered_in_their_order_and_independently():
    """A row's prediction does not depend on what stands beside it."""
    some = ROWS[::97]
    together = predict(some, steps=step_stub.steps)
    alone = [predict([r], steps=step_stub.steps)[0] for r in some]
    assert [p.row.text("id") for p in together] == [r.text("id") for r in some]
    for a, b in zip(together, alone, strict=True):
        assert (a.predicted is None) == (b.predicted is None)
        assert a.predicted is None or a.predicted == pytest.approx(b.predicted, rel=1e-12)


def test_a_row_that_the_step_model_refuses_does_not_take_others_with_it():
    """Of rows that are asked in one call, only the one at fault is left out."""

    def refusing(*given, batch, **asked):
        if np.any(np.asarray(batch) == 13):
            raise BadInput("no thirteen")
        return step_stub.steps(*given, batch=batch, **asked)

    good, bad = predict([row(), row(batch=13)], steps=refusing)
    assert good.predicted == stubbed().predicted
    assert (bad.reason, bad.detail) == ("refused by the step model", "no thirteen")


# The score


def invented(errors, group="g", **cells):
    """Predictions that are off by so much, of one configuration."""
    return [Prediction(row(value=10, group_id=group, **cells), 10 * (1 + error)) for error in errors]


def test_a_configuration_counts_once_however_many_rows_it_has():
    """A thousand good rows of one group and one bad row of another: the median lies between them."""
    found = score.score([*invented([0.1] * 1000, "a"), *invented([0.9], "b")])
    assert (found.groups, found.predicted) == (2, 1001)
    assert found.median_abs_pct_error == pytest.approx(50)


def test_errors_of_both_signs_do_not_cancel_in_the_error_and_do_in_the_bias():
    """Within a configuration the absolute errors are averaged, and the signed ones."""
    found = score.score(invented([0.5, -0.5], "a"))
    assert found.median_abs_pct_error == pytest.approx(50)
    assert found.bias_pct == pytest.approx(0)


@given(errors=lists(floats(-0.99, 10), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_the_score_of_groups_of_one_is_that_of_their_rows(errors):
    """Median and nine tenths of the absolute errors, median of the signed ones."""
    found = score.score([p for i, e in enumerate(errors) for p in invented([e], str(i))])
    assert found.median_abs_pct_error == pytest.approx(100 * np.median(np.abs(errors)), abs=1e-9)
    assert found.p90_abs_pct_error == pytest.approx(100 * np.percentile(np.abs(errors), 90), abs=1e-9)
    assert found.bias_pct == pytest.approx(100 * np.median(errors), abs=1e-9)


def test_a_perfect_prediction_has_no_error():
    """All three are 0."""
    found = score.score(invented([0.0]))
    assert (found.median_abs_pct_error, found.p90_abs_pct_error, found.bias_pct) == (0, 0, 0)


def test_the_headline_leaves_out_quarantine_and_tier_c():
    """They are scored beside it."""
    report = score.Report(
        (*invented([0.1], "a"), *invented([0.9], "b", quarantine="suspect"), *invented([3.0], "c", tier="C")),
        (), score.HARD_TIERS,
    )  # fmt: skip
    whole = report.whole
    assert whole.counted.median_abs_pct_error == pytest.approx(10)
    assert whole.with_quarantine.median_abs_pct_error == pytest.approx(50)
    assert whole.all_tiers.median_abs_pct_error == pytest.approx(155)


def test_the_bins_hold_every_row_once():
    """By whatever the rows are sorted."""
    report = score.validate(ROWS[::20], steps=step_stub.steps)
    for what in score.BY:
        bins = report.by(what)
        assert sum(b.all_tiers.rows for b in bins.values()) == report.whole.all_tiers.rows
        assert sum(b.counted.predicted for b in bins.values()) == report.whole.counted.predicted
    assert sum(report.skipped.values()) == sum(p.predicted is None for p in report.predictions)


def test_a_decode_row_that_is_faster_than_the_pass_is_listed_and_no_other():
    """A time that is shorter, a rate that is higher; a first token is no decode."""
    report = score.validate(
        [
            row(id="fast", value=1e-3),
            row(id="slow", value=1e3),
            row(id="rate", metric="decode_output_tokens_per_s", unit="tokens/s", value=1e9),
            row(id="first", metric="ttft", value=1e-6),
        ],
        steps=step_stub.steps,
    )
    assert {b.prediction.row.text("id") for b in report.beaten} == {"fast", "rate"}
    assert all(b.faster_pct > 0 for b in report.beaten)


# The first score, by the step model itself


def test_nearly_all_hard_rows_are_answered():
    """At least 95 % of the rows of tiers A and B, and no row is left out because the step model refuses it."""
    answered, hard = real().answered
    assert hard == len(HARD)
    assert answered / hard >= 0.95
    assert "refused by the step model" not in real().skipped


def test_no_row_is_faster_than_predicted_without_a_reason():
    """No decode row beats the computed bound unless it is known why, and the few others that are faster are, too."""
    assert [b.prediction.row.text("id") for b in real().beaten + real().ahead if b.why == score.NOT_EXPLAINED] == []
    assert len(real().beaten) <= 10
    assert len(real().ahead) <= 15


@pytest.mark.parametrize("measured_row", [r for r in ROWS if r.text("metric") == "peak_memory"],
                         ids=lambda r: r.text("id"))  # fmt: skip
def test_a_measured_peak_of_memory_is_met_within_a_tenth(measured_row):
    """Each of the five rows."""
    (found,) = predict([measured_row])
    assert abs(found.error) < 0.10


def test_work_under_way_is_counted_only_where_it_is_known_how_far_the_engine_runs_ahead():
    """Another engine's peak is that of the pass; a prompt beyond a chunk adds nothing."""
    usual = {"metric": "peak_memory", "unit": "GB", "model": "qwen3-4b", "hw_key": "M4-Max", "input_len": 2048}
    ahead, bare = (stubbed(framework=engine, **usual).predicted for engine in ("mlx-lm", "llama.cpp"))
    model = load_model("qwen3-4b")
    alive = in_flight.in_flight_bytes(row(framework="mlx-lm", **usual), model, 4 * 2048) / 1e9
    assert alive == in_flight.in_flight_bytes(row(framework="mlx-lm", **usual), model, 2048) / 1e9
    assert 0 < alive < 1.05  # ten buffers of 50 x 2^20 numbers of 2 B
    at_end = times(4, 2247, model="qwen3-4b", chip="apple-m4-max")["chip_needed_bytes"] / 1e9
    in_prefill = times(4, 0, 2048, model="qwen3-4b", chip="apple-m4-max")["chip_needed_bytes"] / 1e9
    assert bare == pytest.approx(at_end)
    assert ahead == pytest.approx(max(at_end, in_prefill + alive))


def test_the_numbers_that_a_token_writes_are_those_of_the_layers():
    """Qwen3-4B, by hand: seven matrices, rotated queries and results of the core, and two norms, in 36 layers."""
    model = load_model("qwen3-4b")
    layer = (4096 + 1024 + 1024 + 2560) + (9728 + 9728 + 2560) + 2 * 4096 + 2 * 2560
    assert in_flight.numbers_per_token(operators(model), model) == 36 * layer


def test_work_under_way_is_at_most_the_activations_of_the_pass():
    """It grows with the prompt; of a model that fits into the buffers as a whole it is all activations, no more."""
    mine = row(framework="mlx-lm", hw_key="M4-Max")
    large, small = load_model("qwen3-4b"), load_model("gpt-350m")
    sizes = [in_flight.in_flight_bytes(mine, large, tokens) for tokens in (1, 10, 100, 1000, 2048)]
    assert sizes == sorted(set(sizes))
    of_a_token = 2 * in_flight.numbers_per_token(operators(small), small)
    assert in_flight.in_flight_bytes(mine, small, 10) == pytest.approx(10 * of_a_token)
    assert in_flight.in_flight_bytes(mine, small, 2048) < 2048 * of_a_token


def test_the_score_of_the_shipped_rows_is_that_of_an_independent_count():
    """From the rows as the command prints them: group by group, with the standard library."""
    cells = {r.text("id"): r.cells for r in ROWS}
    groups = {}
    for p in as_json(real())["rows"]:
        mine = cells[p["id"]]
        if p["predicted"] is not None and mine["tier"] in "AB" and not mine["quarantine"]:
            groups.setdefault(mine["group_id"], []).append(100 * (p["predicted"] / float(mine["value"]) - 1))
    absolute = sorted(statistics.fmean(map(abs, errors)) for errors in groups.values())
    place = 0.9 * (len(absolute) - 1)
    low = absolute[int(place)]
    tenth = low + (absolute[math.ceil(place)] - low) * (place - int(place))
    found = real().whole.counted
    assert found.groups == len(groups)
    assert found.median_abs_pct_error == pytest.approx(statistics.median(absolute))
    assert found.p90_abs_pct_error == pytest.approx(tenth)
    assert found.bias_pct == pytest.approx(statistics.median(map(statistics.fmean, groups.values())))


def test_times_and_rates_are_too_fast_by_the_same_factor():
    """Half a time and twice a rate are both twice too fast; memory is neither."""
    case = case_of(row())
    rate = replace(case, asked="decode rate")
    memory = replace(case, asked="memory")
    made = [Prediction(row(value=10, group_id="a"), 5.0, case=case),
            Prediction(row(value=10, group_id="b", metric="rate"), 20.0, case=rate),
            Prediction(row(value=10, group_id="c"), 1000.0, case=memory)]  # fmt: skip
    report = score.Report(tuple(made), (), score.HARD_TIERS)
    whole, rates = report.whole.counted, report.by("metric")["rate"].counted
    assert (whole.median_times_too_fast, whole.p90_times_too_fast) == pytest.approx((2, 2))
    assert rates.median_times_too_fast == pytest.approx(2)
    nothing = score.score(made[2:])
    assert (nothing.predicted, nothing.median_times_too_fast, nothing.p90_times_too_fast) == (1, None, None)


def test_a_factor_and_its_inverse_cancel_within_a_configuration():
    """Twice too fast and twice too slow are as fast as measured, which their errors of +100 and -50 % do not say."""
    case = replace(case_of(row()), asked="decode rate")
    found = score.score([Prediction(row(value=10, group_id="a"), value, case=case) for value in (20.0, 5.0)])
    assert found.median_times_too_fast == pytest.approx(1)
    assert found.bias_pct == pytest.approx(25)


def test_first_tokens_under_load_are_those_of_servers_with_users():
    """A batch that starts together has none."""
    report = score.validate([row(id="own", metric="ttft"), row(id="load", metric="ttft", batch_kind="concurrency")],
                            steps=step_stub.steps)  # fmt: skip
    assert report.first_tokens_under_load.predicted == 1
    assert report.whole.counted.predicted == 2


def test_the_order_of_alike_configurations_is_counted_in_pairs():
    """Of three that were measured at 1, 2 and 10 and predicted in the order 2, 1, 10, one pair of three is wrong."""
    made = [Prediction(row(value=value, group_id=name, source_key="s"), predicted)
            for name, value, predicted in (("a", 1, 2.0), ("b", 2, 1.0), ("c", 10, 9.0))]  # fmt: skip
    other = Prediction(row(value=5, group_id="d", source_key="another"), 100.0)
    report = score.Report((*made, other), (), score.HARD_TIERS)
    assert report.ranked() == (2, 3)
    assert report.ranked(3) == (2, 2)
    assert report.ranked(same_chips=True) == (2, 3)


# Files of a user


def write(tmp_path, content, name="mine.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def test_a_users_file_needs_four_columns(tmp_path):
    """Model, machine, metric and value; an id, a group and a tier are given where they are missing."""
    found = measured.read(write(tmp_path, "model,hw_key,metric,value\nllama-3.1-8b,h100-sxm,tpot,5\n\n,,,\nx,y,z,7\n"))
    assert [r.text("id") for r in found] == ["row 1", "row 2"]
    assert [r.text("group_id") for r in found] == ["row 1", "row 2"]
    assert {r.text("tier") for r in found} == {"A"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty"),
        ("model,hw_key,metric\n", "lacks the column value"),
        ("model,metric,value\na,b,1\n", "lacks the column hw_key"),
        ("models,hw_key,metric,value\na,b,c,1\n", "lacks the column model; did you call it 'models'"),
        ("model,hw_key,metric,value\n", "no rows"),
        ("model,hw_key,metric,value,value\na,b,c,1,1\n", "twice"),
        ('model,hw_key,metric,value\n"a,b,c,1\n', "is not CSV"),
        (b"model,hw_key,metric,value\n\xff\xfe,b,c,1\n", "cannot read"),
        ("model,hw_key,metric,value\n" + "a" * 200_000 + ",b,c,1\n", "is not CSV"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path, content, says, capsys):
    """By name, with what was expected; exit status 2."""
    path = write(tmp_path, content)
    with pytest.raises(BadInput, match=re.escape(says)):
        measured.read(path)
    assert main(["validate", "--data", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(("headway: mine.csv", "headway: cannot read"))
    assert said.count("\n") == 1


def test_a_file_of_too_many_rows_is_refused(tmp_path, monkeypatch):
    """Before they are all predicted."""
    monkeypatch.setattr(measured, "MOST_ROWS", 3)
    with pytest.raises(BadInput, match="more than 3 rows"):
        measured.read(write(tmp_path, "model,hw_key,metric,value\n" + "a,b,c,1\n" * 4))


CELLS = sampled_from(
    ["", "1", "0", "-1", "1e400", "nan", "8", "llama-3.1-8b", "deepseek-v3", "h100-sxm", "tpu-v5p", "tpot", "ttft",
     "h100-sxm:8", "4xh100-sxm", "gb200-nvl72:2", "h100-sxm:0",
     "ms", "tokens/s", "output_tokens_per_s", "static", "concurrency", "max_load", "qps=3", "qps=nan", "fp8", "nvfp4",
     "*", "["]
) | text(max_size=8)  # fmt: skip
FILES = lists(dictionaries(sampled_from(measured.COLUMNS), CELLS, min_size=4), min_size=1, max_size=4)


@given(found=FILES)
@settings(max_examples=150, deadline=None)
def test_any_rows_are_predicted_or_told_why_not(found):
    """Whatever stands in the cells: a finite number above 0, or a reason."""
    try:
        rows = tuple(measured._rows(as_csv(found, measured.COLUMNS), "a file"))
    except BadInput:
        return
    for p in predict(rows, steps=step_stub.steps):
        assert bool(p.reason) == (p.predicted is None)
        assert p.predicted is None or (math.isfinite(p.predicted) and p.predicted > 0)


@given(cells=tuples(integers(1, 64), integers(1, 10**5), integers(1, 10**4)), chips=sampled_from([1, 2, 4, 8]))
@settings(max_examples=40, deadline=None)
def test_a_prediction_of_a_pass_grows_with_its_batch(cells, chips):
    """More sequences, a longer context or a longer answer never shorten a request."""
    batch, prompt, output = cells
    asked = {"metric": "e2e_latency", "n_chips": chips, "tp": chips}
    first = stubbed(batch=batch, input_len=prompt, output_len=output, **asked).predicted
    assert stubbed(batch=2 * batch, input_len=prompt, output_len=output, **asked).predicted >= first
    assert stubbed(batch=batch, input_len=prompt, output_len=2 * output, **asked).predicted >= first


def test_columns_in_other_words_are_told_with_the_one_that_is_meant(tmp_path):
    """Nothing is silently left unread; what is known is not complained about."""
    told = []
    content = "model,hw_key,metric,value,nchips,tensor,colour,overlap\na,b,c,1,8,8,red,\n"
    measured.read(write(tmp_path, content), told.append)
    assert told == [
        "mine.csv: not read: the columns 'nchips' (did you mean n_chips?), 'tensor' (did you mean tp?), 'colour'"
    ]
    told.clear()
    measured.read(write(tmp_path, ",".join(measured.COLUMNS) + "\n" + "1," * (len(measured.COLUMNS) - 1)), told.append)
    assert told == []


def test_every_other_name_leads_to_a_column():
    """What columns are called elsewhere is no name of ours, and what they mean here is one."""
    assert set(measured._OTHER_NAMES.values()) <= set(measured.KNOWN)
    assert not set(measured._OTHER_NAMES) & set(measured.KNOWN)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_cells_are_parted_as_the_header_is(tmp_path, delimiter):
    """By commas, semicolons or tabs; a decimal comma is told as what it is."""
    lines = [["model", "hw_key", "metric", "value"], ["llama-3.1-8b", "h100-sxm:1", "TPOT", "5.5"]]
    found = measured.read(write(tmp_path, "\n".join(map(delimiter.join, lines))))
    assert [(r.value, r.text("metric")) for r in found] == [(5.5, "tpot")]
    if delimiter != ",":
        comma = write(tmp_path, "\n".join(map(delimiter.join, lines)).replace("5.5", "5,5"))
        (bad,) = measured.read(comma)
        assert bad.wrong == "value is '5,5'; expected a number above 0, written with a point"


def test_a_row_with_other_than_the_cells_of_the_header_is_told_so(tmp_path):
    """Fewer or more; blank cells beyond the header are of no matter."""
    lines = ["model,hw_key,metric,value,unit", "a,b,c,1", "a,b,c,1,ms,5", "a,b,c,1,ms,,"]
    few, many, good = measured.read(write(tmp_path, "\n".join(lines)))
    assert few.wrong == "the row has 4 cells; expected 5, as the header has"
    assert many.wrong == "the row has 6 cells; expected 5, as the header has"
    assert (good.wrong, good.place) == ("", 3)


@pytest.mark.parametrize(
    ("cells", "kind", "load"),
    [
        ({"metric": "tpot"}, "concurrency", "closed"),
        ({"metric": "TTFT"}, "concurrency", "closed"),
        ({"metric": "ttft", "output_len": ""}, "static", "static"),
        ({"metric": "e2e_latency"}, "static", "static"),
        ({"metric": "decode_output_tokens_per_s", "unit": "tokens/s"}, "static", "static"),
        ({"metric": "prefill_input_tokens_per_s", "unit": "tokens/s"}, "static", "static"),
        ({"metric": "output_tokens_per_s", "unit": "tokens/s"}, "static", "static"),
        ({"metric": "peak_memory", "unit": "GB"}, "static", "static"),
        ({"metric": "mfu", "unit": "fraction"}, "static", "static"),
    ],
)
def test_a_batch_without_its_kind_is_what_the_table_says_and_never_the_largest_that_fits(cells, kind, load):
    """A batch that stands in the row counts, and the default is named."""
    case = case_of(row(batch=64, batch_kind="", **cells))
    assert (case.load, case.batch) == (load, 64)
    assert any(name.startswith(f"batch_kind = {kind}") for name in case.filled)


def test_a_rate_without_a_batch_is_that_of_a_full_server_and_says_so():
    """The same number as with `max_load` in the row; a batch beside that caps it."""
    cells = {"metric": "output_tokens_per_s", "unit": "tokens/s"}
    full, blank = (stubbed(batch="", batch_kind=kind, **cells) for kind in ("max_load", ""))
    assert blank.predicted == full.predicted
    assert any(name.startswith("batch_kind = max_load") for name in blank.case.filled)
    assert not any(name.startswith("batch_kind") for name in full.case.filled)
    assert stubbed(batch=7, batch_kind="max_load", **cells).account["in_flight"] == 7


@pytest.mark.parametrize(
    ("metric", "unit"),
    [("tpot", "ms"), ("ttft_mean", "ms"), ("prefill_latency", "ms"), ("output_tokens_per_s", "tokens/s"),
     ("decode_output_tokens_per_s", "tokens/s"), ("achieved_mem_bandwidth", "GB/s"), ("peak_memory", "GB"),
     ("mfu", "fraction")],
)  # fmt: skip
def test_a_missing_unit_is_that_of_all_shipped_rows_of_the_metric(metric, unit):
    """Named as a default; in any case of letters where it is stated."""
    assert {r.text("unit") for r in ROWS if r.text("metric") == metric} == {unit}
    blank, stated = stubbed(metric=metric, unit=""), stubbed(metric=metric, unit=unit.upper())
    assert blank.predicted == stated.predicted
    assert any(name.startswith(f"unit = {unit}") for name in blank.case.filled)
    assert not any(name.startswith("unit") for name in stated.case.filled)


@pytest.mark.parametrize(
    ("cells", "chips", "layout"),
    [
        ({"hw_key": "h100-sxm:8", "tp": 8}, 8, "tp8"),
        ({"hw_key": "8xh100-sxm", "tp": 4}, 8, "2 x tp4"),
        ({"hw_key": "H100_SXM:2", "tp": ""}, 2, "2 x tp1"),
        ({"hw_key": "gb200-nvl72", "tp": 8}, 8, "tp8"),
        ({"hw_key": "gb200-nvl72", "tp": ""}, 72, "72 x tp1"),
        ({"hw_key": "gb200-nvl72:2", "tp": ""}, 144, "144 x tp1"),
        ({"hw_key": "", "hardware": "h100-sxm:4", "tp": 4}, 4, "tp4"),
    ],
)
def test_a_machine_is_written_as_a_system_is(cells, chips, layout):
    """A chip with a count, or a system, without `n_chips`."""
    case = case_of(row(n_chips="", batch=256, **cells))
    assert (case.chips, case.laid.text) == (chips, layout)


def test_every_guess_about_a_row_is_named():
    """Format, chips, context, layout, a model or a machine under another name: each stands in the list of defaults."""
    bare = row(model="Mistral-7B", hw_key="A100 (variant not stated)", n_chips="", tp=4, unit="", batch_kind="")
    names = {name.split()[0] for name in case_of(bare).filled}
    assert names == {"model", "machine", "unit", "batch_kind", "kv_dtype", "weight_dtype", "n_chips", "avg_context"}


def test_memory_of_a_chip_is_its_share():
    """`per` chip of four that share a model evenly."""
    cells = {"metric": "peak_memory", "unit": "GB", "tp": 4, "n_chips": 4}
    assert stubbed(per="chip", **cells).predicted == pytest.approx(stubbed(**cells).predicted / 4)


# The command


def printed(capsys, *arguments):
    assert main(["validate", *arguments]) == 0
    return capsys.readouterr().out


def test_the_json_matches_the_schema_and_names_its_nulls(capsys):
    """The keys that others rely on are there; every null has a reason beside it."""
    found = json.loads(json.dumps(as_json(real(), explain=True)))
    assert json.loads(printed(capsys, "--source", "mlx-lm", "--json")).keys() == found.keys()
    schema = json.loads((files("headway.cli") / "validate.schema.json").read_text("utf-8"))
    jsonschema.validate(found, schema)
    assert found["n"] == len(found["rows"]) == len(ROWS)
    assert found["predicted"] + sum(found["skipped"].values()) == found["n"]
    assert found["predicted"] / found["n"] > 0.9
    assert found["interval_coverage"] is None
    assert found["interval_coverage_reason"]


def test_the_reference_names_every_key(capsys):
    """A key that the command prints is a key that the reference explains, of the report and of a row."""
    reference = (Path(__file__).parent.parent / "docs" / "reference.md").read_text("utf-8")
    found = json.loads(printed(capsys, "--source", "gpt-fast", "--json"))
    keys = {*found, *found["rows"][0], *found["all_tiers"]}
    assert not [key for key in keys if not key.endswith("reason") and f"`{key}`" not in reference]


def test_a_users_file_is_scored_like_the_shipped_rows(tmp_path, capsys):
    """The same rows give the same score."""
    chosen = [r for r in ROWS if r.text("source_key") == "gpt-fast"]
    path = write(tmp_path, as_csv([r.cells for r in chosen], measured.COLUMNS))
    mine = json.loads(printed(capsys, "--data", str(path), "--json"))
    shipped = json.loads(printed(capsys, "--source", "gpt-fast", "--json"))
    assert mine == shipped


def test_the_text_begins_with_the_answer(capsys):
    """How many rows, how far off, for which rows."""
    out = printed(capsys, "--source", "gpt-fast,mlx-lm", "--worst", "3", "--by", "chip", "--explain")
    first = " ".join(out.split("\n\n")[0].split())
    assert re.match(r"\d+ of 58 rows are predicted; predicted passes are [\d.]+ times too fast in the median "
                    r"\([\d.]+ times at the 90th percentile\)\. The median error is [\d.,]+ %, nine in ten are within ",
                    first)  # fmt: skip
    assert "default that was used" in out
    assert "output_len = 200 (source_key gpt-fast)" in out


def test_first_tokens_under_load_stand_in_the_headline():
    """Where they are a part of the rows."""
    assert re.search(r"percentile; first tokens under load [\d.]+ times\)", headline(real()))


def test_rows_of_a_users_own_that_are_left_out_are_told_one_by_one(tmp_path, capsys):
    """By number and name, with what stands there and what was expected: the first ones, or all with --explain."""
    bad = [{"id": f"mine-{i}", "metric": "tpot", "value": "x" if i else 5} for i in range(12)]
    path = write(tmp_path, as_csv([row().cells | cells for cells in bad]))
    brief, full = (printed(capsys, "--data", str(path), *more) for more in ([], ["--explain"]))
    assert "- row 2 (mine-1): value is 'x'; expected a number above 0" in brief
    assert "- and 3 more; --explain lists all" in brief
    assert "row 12 (mine-11)" not in brief
    assert "row 12 (mine-11)" in full
    told = json.loads(printed(capsys, "--data", str(path), "--json"))["rows"]
    assert all("expected" in r["detail"] for r in told[1:])


def test_the_template_is_a_file_that_is_scored(tmp_path, capsys):
    """Two of the shipped rows, nothing of them unread or left out."""
    path = write(tmp_path, printed(capsys, "--template"))
    assert main(["validate", "--data", str(path), "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    found = json.loads(said.out)
    assert (found["n"], found["predicted"]) == (2, 2)


def test_the_help_names_what_a_row_needs(capsys):
    """Every metric, the columns that it takes, and where the rest stands."""
    out = _help(capsys)
    for word in (*METRICS, "model", "hw_key", "n_chips", "value", "unit", "docs/accuracy.md", "--template"):
        assert word in out, word


def test_notes_on_a_file_stand_beside_the_answer(tmp_path, capsys):
    """Columns that are not read, and units that are taken for granted; on standard error, one line each."""
    path = write(tmp_path, "model,hw_key,metric,value,batch,input_len,output_len,nchips\n"
                           "llama-3.1-8b,h100-sxm:1,tpot,9,8,1000,100,1\n")  # fmt: skip
    assert main(["validate", "--data", str(path), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["predicted"] == 1
    assert [line.split(";")[0] for line in said.err.splitlines()] == [
        "headway: mine.csv: not read: the column 'nchips' (did you mean n_chips?)",
        "headway: rows without a unit: 1",
    ]


def test_marks_are_larger_where_there_are_fewer():
    """From those that stand alone down to those of a crowd."""
    few, some, many = (Scatter("", "", "", "s", {"a": ((1.0, 1.0),) * n}).mark_area for n in (5, 200, 10_000))
    assert few > some > many > 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--source", "gptfast"], "did you mean gpt-fast?"),
        (["--tier", "D"], "known are A, B, C"),
        (["--by", "colour"], "known are source, chip"),
        (["--refine", "everything"], "unknown refinement"),
        (["--worst", "1.5"], "whole number"),
        (["--data", "no-such.csv"], "there is no file"),
        (["--source", "gpt-fast", "--tier", "C"], "no row of gpt-fast is of tier C"),
        (["--plot", "x.pdf"], ".svg"),
        (["--template", "--json"], "--template stands alone"),
    ],
)
def test_a_wrong_option_is_refused_with_what_was_expected(arguments, says, capsys):
    """One line, exit status 2."""
    assert main(["validate", *arguments]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1


def _help(capsys):
    assert main(["validate", "--help"]) == 0
    return capsys.readouterr().out


def test_without_refinements_it_is_the_blackboard(capsys):
    """`none` and nothing beyond it."""
    assert json.loads(printed(capsys, "--source", "gpt-fast", "--refine", "none", "--json"))["refine"] == []


def test_a_picture_has_a_mark_for_each_regime(tmp_path, capsys):
    """Times beside rates; an HTML page carries the scores as a table."""
    pytest.importorskip("matplotlib")
    for name in ("p.svg", "p.html"):
        printed(capsys, "--source", "gpt-fast,splitwise", "--plot", str(tmp_path / name))
        drawn = (tmp_path / name).read_text("utf-8")
        assert "Rates" in drawn
        assert "decode-batch1" in drawn
    assert "<h2>Numbers</h2>" in drawn


def test_all_rows_are_scored_within_seconds():
    """The scorer itself, by the stub; the step model has a bound of its own."""
    assert timed()[1] < 10
