"""Whatever is typed, the command answers, refuses in one line, or says that it cannot be done; and soon.

Hypothesis draws systems, numbers, arguments, files and whole command lines, most of them nearly right. Each is run
through `headway.cli.main`. HEADWAY_FUZZ_EXAMPLES is the number of examples of all tests together; left unset, a few
thousand are drawn, the same at every run.
"""

import base64
import contextlib
import copy
import io
import json
import os
import re
import signal
import zlib
from dataclasses import replace
from datetime import timedelta
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from headway.catalog import entries, model_names, vocabulary
from headway.catalog.store import families
from headway.cli import COMMANDS, main
from headway.cli.equation import by_name
from headway.errors import HeadwayError
from headway.hardware import load_system
from headway.model.config import load_model
from headway.step.first_order import evaluate
from headway.step.layout import DEGREES, Layout
from headway.step.question import REFINEMENTS, Draft, Question
from headway.web.page import board_json, inputs_json
from headway.web.state import BOARDS

SEED = "HEADWAY_FUZZ_EXAMPLES"
TOTAL = int(os.environ.get(SEED, "4000"))
LIMIT_S = 10  # of one example, on a slow and busy machine; a typical one takes milliseconds


def share(percent, shrink=True):
    """Settings of a test that draws this part of all examples."""
    return settings(
        max_examples=max(5, TOTAL * percent // 100),
        deadline=timedelta(seconds=LIMIT_S),
        derandomize=SEED not in os.environ,
        database=None,
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if shrink else [])],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


# Running a command and judging its answer


class Answer(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str


class Hang(BaseException):
    """No answer in time; a BaseException, so that nothing on the way swallows it."""


@contextlib.contextmanager
def time_limit():
    """Stop what takes too long, also where it would never end."""

    def stop(*_):
        raise Hang(f"no answer in {2 * LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 2 * LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True, scope="module")
def no_serving():
    """`headway ui` is asked for, says where it would be, and does not stay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headway.web.serve.serve", lambda listening, hosts, ready: ready())
        patch.setattr("webbrowser.open", lambda address: True)
        yield


def run(arguments, encoding="utf-8"):
    """Run the command in this process, on streams that refuse a character as a terminal's would."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding, newline="") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), time_limit():
        status = main(arguments)
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode(encoding))
    return Answer(status, *texts)


def judge(arguments, encoding="utf-8"):
    """Run a command and hold its answer to the contract, whatever was asked; the answer is returned."""
    answer = run(arguments, encoding)
    assert answer.status in (0, 2, 3), answer
    if answer.status:
        assert answer.out == "", "nothing on stdout beside a refusal"
        assert len(answer.err.splitlines()) == 1, answer.err
        assert re.fullmatch(r"headway: \S.*\n", answer.err), answer.err
        assert "Traceback" not in answer.err
        return answer
    assert answer.err == ""
    if answer.out.startswith("{"):
        sound(json.loads(answer.out, parse_constant=refuse_constant))
    else:
        assert answer.out.strip()
        told = [line for line in answer.out.splitlines() if "where(" not in line]  # formulas name infinity
        assert not re.search(r"(?<![\w.'=/-])-?(nan|inf)(?![\w.'-])", "\n".join(told)), answer.out
    return answer


def refuse_constant(name):
    """NaN and Infinity are no JSON."""
    raise AssertionError(f"{name} in JSON")


SIGNED = ("bias_pct", "error_pct", "difference_share", "saves_stored_share", "saves_read_share", "saves_step_share")


def sound(value, key=""):
    """No number below zero anywhere; beside every null its reason, which several of one object may share."""
    if isinstance(value, dict):
        shared = value.get("reason") or value.get("interval_reason")
        if "equation" in value and value["unit"] == "1":  # a margin may be below zero
            return
        for name, item in value.items():
            if name == "config" or name in SIGNED:  # quoted as published; a saving may be a loss
                continue
            assert name.endswith("_reason") or not holds_null(item) or value.get(f"{name}_reason") or shared, name
            sound(item, name)
    elif isinstance(value, list):
        for item in value:
            sound(item, key)
    elif isinstance(value, int | float):
        assert value >= 0, (key, value)


def holds_null(value):
    """Whether a value is null, or a list with a null in it."""
    return value is None or (isinstance(value, list) and any(map(holds_null, value)))


def answered(arguments):
    """A command that asks for JSON and gets it, or a refusal."""
    answer = judge([*arguments, "--json"])
    if answer.status == 0:
        assert isinstance(json.loads(answer.out), dict)
    return answer


# What people type


MODELS = [*model_names(), *(facts["hf_id"] for facts in model_names().values())]
CHIPS, SYSTEMS = list(entries("accelerator")), list(entries("system"))
FIGURES = list(vocabulary())
INPUTS = ["flop_per_s", "bandwidth_bytes_per_s", "memory_bytes", "scaleup_bytes_per_s", "rental_usd_per_s",
          "total_params", "lookup_params", "active_params", "weight_bytes_per_param", "lookup_bytes_per_param",
          "kv_bytes_per_token", "routed_params", "n_experts", "experts_per_token", "moe_layers", "n_layers",
          "hidden_size", "pair_flop", "expanded_pair_flop", "expansion_flop_per_token", "chips", "domain_chips",
          "usable_memory_fraction", "t_comm_s", "t_overhead_s", "dispatch_bytes_per_element",
          "combine_bytes_per_element", "batch", "context_tokens", "pass_tokens", "step_s"]  # fmt: skip
FIELDS = ["num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim", "vocab_size",
          "intermediate_size", "kv_lora_rank", "q_lora_rank", "qk_rope_head_dim", "n_routed_experts", "torch_dtype",
          "num_experts_per_tok", "moe_intermediate_size", "first_k_dense_replace", "moe_layer_freq", "model_type",
          "tie_word_embeddings", "sliding_window", "quantization_config", "layer_types", "mlp_only_layers",
          "num_nextn_predict_layers"]  # fmt: skip
UNITS = ["", "k", "M", "B", "Ki", "GB", "GiB", "TB/s", "Gb/s", "TFLOP/s", "PFLOPS", "ms", "s", "µs", "$", "$/h", "/h",
         "/Mtok", "W", "kW", "%", " tokens", "sequences", "x", "e"]  # fmt: skip
JUNK = ["", " ", "-", "--", "---", "-1", "-0", "0", "+", ".", ",", ":", "::", ":::", "=", "==", "a=", "=b",
        "nan", "-nan", "inf", "-inf", "Infinity", "1e400", "1e-400", "-1e400", "1e308", "5e-324", "1e30", "1e31",
        "1e999999999",
        "9" * 400, "9" * 5000, "0." + "0" * 400 + "1", "1_000", "1__0", "1,,2", ",1", "1,", "0x10", "1j", "²", "٣", "½",
        "\0", "a\0.json", "\n", "\r\n", "\t", "\x1b[31m", "\x85", "\u2028", "é", "名前", "💥", "\ud800", "\udcff",
        "x" * 300, "x" * 10_000, "a/" * 2000, "'", '"', "\\", "%s", "%(prog)s", "{}", "{0}", "$HOME", "~", "/", "..",
        "/dev/null", ".json", ".toml", "no-such.json", "no-such.toml", "true", "null", "None", "[]", "[" * 3000,
        '{"a":' * 3000, "@file", "-h8", "--batch=", "--=1"]  # fmt: skip

junk = st.one_of(st.sampled_from(JUNK), st.text(max_size=12), st.text(st.characters(), max_size=3))


@st.composite
def misspelt(draw, names):
    """A real name with a letter lost, doubled, changed or in another case, or joined to another name."""
    name = draw(st.sampled_from(names))
    at = draw(st.integers(0, len(name)))
    other = draw(st.sampled_from(["", name[at : at + 1] * 2, "x", "_", " ", "-", ":", name.upper(), "\0", "/"]))
    return name[:at] + other + name[at + 1 :]


def mostly(usual, *others):
    """Fifteen times in sixteen what is usual, else something else."""
    return st.integers(0, 15).flatmap(lambda n: usual if n < 15 else st.one_of(*others))


whole = st.one_of(st.integers(0, 300), st.integers(0, 2_000_000), st.integers(-3, 10**31)).map(str)
fraction = st.floats(allow_nan=True, allow_infinity=True).map(repr)
decimal = st.floats(1e-6, 1e15).map(lambda x: f"{x:.3g}")
plain_number = st.one_of(whole, decimal, fraction)
number = st.one_of(
    decimal,
    st.sampled_from(["0", "1", "1e-30", "1e30", "5e-324", "$2/h", "20 ms", "3.35 TB/s", "671B", "128k", "989 TFLOP/s"]),
    st.tuples(mostly(plain_number, junk), mostly(st.just(""), st.sampled_from(UNITS))).map("".join),
)
small = st.one_of(st.integers(0, 4096), st.sampled_from([1, 8, 64, 8000, 128_000])).map(str)
kind_of_range = st.one_of(
    st.sampled_from(["log", "lin", "log:5", "lin:3", "log:160", "lin:100000", "log:1e9", "log:0", "lin:1",
                     "lin:2.5", ""]),
    small.map("lin:{}".format), number, junk,
)  # fmt: skip
tidy = st.one_of(
    small,
    st.lists(small, min_size=1, max_size=5).map(",".join),
    st.tuples(st.integers(1, 64), st.integers(64, 10**6), st.sampled_from(["log", "log:9", "lin:5", "1000"])).map(
        lambda parts: ":".join(map(str, parts))
    ),
)
values = st.one_of(
    tidy,
    tidy,
    tidy,
    number,
    st.lists(number, min_size=1, max_size=4).map(",".join),
    st.tuples(small, small, kind_of_range).map(":".join),
    st.tuples(number, number, kind_of_range).map(":".join),
    junk,
)
models = mostly(st.sampled_from(MODELS), misspelt(MODELS), junk)
bare_systems = mostly(st.sampled_from(CHIPS + SYSTEMS), misspelt(CHIPS + SYSTEMS), junk)
counts = mostly(st.sampled_from(["1", "2", "8", "64", "72", "1000", "10000000"]), number, junk)
systems = st.one_of(
    bare_systems,
    st.tuples(bare_systems, counts).map(":".join),
    st.tuples(counts, st.sampled_from(["x", " x ", "X"]), bare_systems).map("".join),
)
changes = st.tuples(
    mostly(st.sampled_from(INPUTS), st.sampled_from(FIGURES), st.sampled_from(FIELDS), misspelt(INPUTS), junk),
    mostly(st.just("="), st.sampled_from(["= ", " =", "", "=="])),
    mostly(st.one_of(decimal, whole, number), values),
).map("".join)
dtypes = mostly(st.sampled_from(["bf16", "fp8", "fp4", "mxfp4", "int4", "FP16", "float32"]), junk)
refinements = mostly(st.sampled_from([*REFINEMENTS, "all", "none", ",".join(REFINEMENTS)]), misspelt(REFINEMENTS), junk)


def option(name, value):
    """An option that is there one time in four, joined to its value in either way."""
    joined = st.one_of(value.map(lambda v: [name, v]), value.map(lambda v: [f"{name}={v}"]))
    return st.integers(0, 3).flatmap(lambda n: st.just([]) if n < 3 else joined)


def flag(name):
    """A flag that is there one time in three."""
    return st.integers(0, 2).map(lambda n: [] if n < 2 else [name])


MODEL_OPTIONS = (option("--kv-dtype", dtypes), option("--weight-dtype", dtypes))
ROOFLINE_OPTIONS = (
    option("--batch", mostly(tidy, values)), option("--context", mostly(tidy, values)),
    option("--pass", mostly(tidy, values)), option("--refine", refinements),
    option("--price", number), option("--set", changes), option("--set", changes), flag("--beyond-memory"),
    option("--chart", mostly(st.sampled_from(["always", "never", "auto"]), junk)), flag("--explain"),
    *MODEL_OPTIONS,
)  # fmt: skip


def options(*parts):
    """A command line from parts that are lists of words."""
    return st.tuples(*parts).map(lambda lists: [word for words in lists for word in words])


named_model = models.map(lambda name: [name])
bare_model = options(number.map(lambda n: ["--params", n]), option("--active", number), option("--kv-bytes", number))
any_model = mostly(named_model, bare_model)


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory):
    """A folder of its own to run in, so that names of files mean nothing."""
    before, made = os.getcwd(), tmp_path_factory.mktemp("fuzz")
    os.chdir(made)
    yield made
    os.chdir(before)


# The tests


@share(26)
@given(model=any_model, system=systems, rest=options(*ROOFLINE_OPTIONS), as_json=flag("--json"))
def test_any_roofline_is_answered_or_refused(model, system, rest, as_json):
    """Models, systems and options of all kinds: numbers that make sense, or one line that says what does not."""
    judge(["roofline", *model, "--on", system, *rest, *as_json])


@share(8)
@given(system=systems, encoding=st.sampled_from(["utf-8", "ascii", "latin-1"]))
def test_any_system_is_known_or_refused(system, encoding):
    """Names, counts and spellings of systems, on terminals of several encodings."""
    judge(["roofline", "llama-3.1-8b", "--on", system, "--explain"], encoding)
    judge(["catalog", "generations", system], encoding)


@share(10)
@given(axis=st.sampled_from(["--batch", "--context", "--pass"]), text=values, more=values)
def test_any_number_list_or_range_is_read_or_refused(axis, text, more):
    """Numbers, lists and ranges on each axis, alone and with another."""
    answered(["roofline", "qwen3-8b", "--on", "h100-sxm:8", f"{axis}={text}", "--beyond-memory"])
    answered(["model", "qwen3-8b", f"--contexts={more}"])


@share(13)
@given(
    model=st.sampled_from(["deepseek-v3", "llama-3.1-8b"]),
    set_to=st.lists(changes, min_size=1, max_size=4),
    refine=st.sampled_from(["none", "all"]),
    beyond=flag("--beyond-memory"),
)
def test_any_input_may_be_set_to_anything(model, set_to, refine, beyond):
    """Every input of the worksheet, figure of a chip and field of a config, set to numbers from 0 to beyond any."""
    words = [f"--set={change}" for change in set_to]
    answered(["roofline", model, "--on", "gb200-nvl72", "--batch", "1:4096:log", "--refine", refine, *beyond, *words])


WORDS = ["--json", "--explain", "--help", "-h", "--chips", "--on", "--batch", "--context", "--pass", "--set",
         "--refine", "--price", "--plot", "--chart", "--params", "--active", "--kv-bytes", "--kv-dtype",
         "--weight-dtype",
         "--contexts", "--beyond-memory", "--jsn", "--batches", "-x", "--on=", "--version"]  # fmt: skip
KINDS = ["accelerators", "systems", "memory-tiers", "models", "generations", "memory_tiers", "MODELS", "chips"]
EQUATIONS = list(by_name())


@share(16)
@given(
    command=mostly(st.sampled_from([name for name in COMMANDS if name != "demo"]), misspelt(list(COMMANDS)), junk),
    words=st.lists(
        st.one_of(
            st.sampled_from(WORDS), models, systems, values, changes, junk, st.sampled_from(KINDS),
            st.sampled_from(EQUATIONS), misspelt(WORDS),
        ),
        max_size=7,
    ),
)  # fmt: skip
def test_any_words_in_any_order_are_answered_or_refused(command, words):
    """Whole command lines of options, names and rubbish in any order; of measured rows those of a small source."""
    judge([command, *words, *(["--source", "pope2022"] if command == "validate" else [])])


@share(5)
@given(words=options(
    mostly(st.sampled_from(KINDS).map(lambda k: [k]), junk.map(lambda j: [j])), flag("--json"),
    mostly(st.just([]), st.just(["--chips"])),
    st.one_of(st.just([]), models.map(lambda n: [n]), systems.map(lambda n: [n])), flag("--explain"),
))  # fmt: skip
def test_any_search_of_the_catalog_finds_or_suggests(words):
    """Kinds and names, right and wrong, in the catalog."""
    judge(["catalog", *words])


@st.composite
def puts(draw):
    """An equation with a value for most of its arguments."""
    name = draw(st.sampled_from(EQUATIONS))
    words = [name]
    for argument in by_name()[name].__code__.co_varnames[: by_name()[name].__code__.co_argcount]:
        text = draw(mostly(st.one_of(small, st.floats(0, 1).map(lambda x: f"{x:.3f}")), values))
        words.append(f"{argument}={text}")
    return words


@share(4)
@given(words=puts(), rest=options(flag("--explain"), flag("--json")))
def test_any_equation_takes_or_refuses_any_values(words, rest):
    """Every equation, with values within its domain and far outside."""
    judge(["equation", *words, *rest])


@share(2)
@given(
    numbers_=st.lists(mostly(st.sampled_from(["kv_bytes=1667", "params=70B", "active=37B", "kv_bytes=2k"]),
                             st.tuples(st.sampled_from(["kv_bytes", "params", "active", "kv"]), number).map("=".join),
                             junk), min_size=1, max_size=3),
    rest=options(option("--within", number), option("--most", number), option("--kv-dtype", dtypes), flag("--json"),
                 flag("--explain")),
)  # fmt: skip
def test_any_number_to_match_is_matched_or_refused(numbers_, rest):
    """Numbers of bytes and parameters of all sizes, alone and together, and words that are none."""
    judge(["model", *(word for text in numbers_ for word in ("--matching", text)), *rest])


@share(1)
@given(
    model=any_model, system=systems,
    rest=options(option("--context", number), option("--batch", number), option("--price", number),
                 option("--by", mostly(st.sampled_from(["step", "stored", "read", "cost", "largest-batch"]), junk)),
                 option("--set", changes), flag("--json"), flag("--explain")),
)  # fmt: skip
def test_any_ranking_of_techniques_is_made_or_refused(model, system, rest):
    """Any model on any machine at any context and batch: a ranking, or one line that says why there is none."""
    judge(["model", *model, "--kv-techniques", "--on", system, *rest])


@share(2)
@given(
    ids=st.lists(mostly(st.sampled_from(["B25", "d19", "E01", "A01", "Q17"]), junk), max_size=3),
    rest=options(option("--area", mostly(st.sampled_from(["kv", "ep", "moe"]), junk)),
                 option("--verdict", mostly(st.sampled_from(["fails", "derived", "not built yet"]), junk)),
                 flag("--json"), flag("--explain")),
)  # fmt: skip
def test_any_claims_are_told_or_refused(ids, rest):
    """Claims by id, area and verdict, known and unknown."""
    judge(["claims", *ids, *rest])


# Files


SHIPPED = [json.loads(path.read_text("utf-8")) for path in (files("headway.catalog") / "data" / "models").iterdir()]
ODD = [None, True, False, 0, -1, 1, 3, 1.5, 8.0, 1e308, -0.0, 10**8, 10**9, 10**20, "", "8", "fp8", "float8", [],
       [1, 2],
       [128, 128], [-1], {}, {"quant_method": "fp8"}, {"quant_method": "fp8", "weight_block_size": [0, 1]},
       {"quant_method": "gptq"}, {"quant_method": "awq", "bits": 4, "group_size": 128}, ["full_attention"] * 200,
       ["sliding_attention", "linear_attention"] * 100, [{}] * 200, [0, 1] * 100, "\ud800", "x\ny", [[[]]],
       float("nan"), float("inf"), *families()]  # fmt: skip
NESTED = [inner for config in SHIPPED for inner in config.values() if isinstance(inner, dict)]
ALL_FIELDS = sorted({field for config in (*SHIPPED, *NESTED) for field in config} | set(FIELDS))
mutation = st.tuples(
    mostly(st.sampled_from(ALL_FIELDS), junk),
    st.one_of(st.sampled_from([*ODD, "delete"]), st.integers(-2, 4096), st.recursive(st.none() | st.booleans() |
              st.floats() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))),
)  # fmt: skip


@st.composite
def config_files(draw):
    """The bytes of a config.json: a shipped one with some fields changed, or text that is none."""
    config = copy.deepcopy(draw(st.sampled_from(SHIPPED)))
    for field, value in draw(st.lists(mutation, max_size=3)):
        insides = [inner for inner in config.values() if isinstance(inner, dict) and inner]
        place = draw(st.sampled_from([config, *insides]))
        if value == "delete":
            place.pop(field, None)
        else:
            place[field] = copy.deepcopy(value)
    text = json.dumps(config).encode()
    return draw(mostly(st.just(text), st.sampled_from([
        b"", b"null", b"[]", b"{", b'"x"', b"\xff\xfe", b"\xef\xbb\xbf" + text, text[: len(text) // 2], b"[" * 100_000,
        b'{"a":' * 990 + b"1" + b"}" * 990, b'{"model_type":' + b"[" * 900 + b"]" * 900 + b"}", b"9" * 5000,
        b'{"hidden_size":' + b"9" * 5000 + b"}", b'{"model_type":NaN}', b"\0" * 100, text.replace(b":", b"="),
    ]), st.binary(max_size=200)))  # fmt: skip


@share(10)
@given(content=config_files(), rest=options(*MODEL_OPTIONS, flag("--json"), flag("--explain")), roofline=st.booleans())
def test_any_config_is_read_or_refused(folder, content, rest, roofline):
    """Configs with fields that are missing, of another kind, too large or too small, and files that are no configs."""
    (folder / "config.json").write_bytes(content)
    asked = ["roofline", "config.json", "--on", "gb300-nvl72:8"] if roofline else ["model", "config.json"]
    judge([*asked, *rest])


degrees = mostly(st.sampled_from([1, 1, 1, 2, 4, 8]), st.sampled_from([3, 5, 16, 64, 72]), st.integers(1, 10**7))


@st.composite
def layouts(draw):
    """A layout; the ranks of a stage may have experts of their own, as many or any number."""
    layout = Layout(
        *(draw(degrees) for _ in DEGREES), draw(mostly(st.just(0), st.integers(0, 64))), draw(st.booleans())
    )
    ranks = draw(mostly(st.sampled_from([1, layout.stage_chips]), st.just(layout.expert_parallel)))
    return replace(layout, expert_parallel=ranks)


sizes = mostly(st.integers(1, 10**5), st.floats(0, 1e30), st.sampled_from([0, 1e-30, 1e30, -1, float("nan"), "x"]))
axes = st.one_of(sizes, st.lists(sizes, min_size=1, max_size=3))
chance = st.floats(0, 1)
drafters = st.sampled_from(["llama-3.2-1b", "qwen3-30b-a3b"]).map(load_model)
passes = st.fixed_dictionaries({
    "batch": axes, "context_tokens": axes, "pass_tokens": st.one_of(st.just(1), axes),
    "refine": st.lists(st.sampled_from(REFINEMENTS), unique=True).map(tuple), "layout": mostly(layouts(), st.none()),
    "beyond_memory": mostly(st.just(True), st.just(False)), "by_operator": st.booleans(),
    "overlap": mostly(st.sampled_from([0.0, "two-batch"]), chance, junk),
    "sends": mostly(st.sampled_from(["each", "domain"]), junk),
    "act_dtype": mostly(st.sampled_from(["", "bf16", "fp8"]), junk), "chunk_tokens": mostly(st.just(0), sizes),
    "handed_over": mostly(st.just(False), st.just(True)),
    "draft": mostly(st.none(), st.builds(Draft, drafters, st.integers(1, 9), chance)),
})  # fmt: skip
MARGINS = ("largest_length",)  # below zero where the states alone take more than there is


@share(12)
@given(
    content=mostly(st.none(), config_files()), name=st.sampled_from(MODELS),
    system=st.sampled_from([*CHIPS, *SYSTEMS]), count=st.sampled_from(["", ":8", ":64", ":144", ":1024"]),
    asked=passes,
)  # fmt: skip
def test_any_model_on_any_layout_of_any_system_is_a_pass_or_refused(folder, content, name, system, count, asked):
    """Models of the catalog and of mutated configs, whatever is asked: times from zero up without NaN, or one line."""
    if content is not None:
        (folder / "config.json").write_bytes(content)
        name = "config.json"
    with time_limit():
        try:
            result = evaluate(load_model(name), load_system(f"{system}{count}"), Question(**asked))
        except HeadwayError as error:
            told = str(error)
            assert told == " ".join(told.split())
            assert len(told) < 1000
            return
    for cell in result.sheet:
        quantity = cell.quantity
        if quantity.value is not None:
            assert not np.any(np.isnan(quantity.value)), quantity
            assert quantity.name.startswith(MARGINS) or np.all(np.asarray(quantity.value) >= 0), quantity
    assert np.all(np.asarray(result.sheet.need("step_s")) > 0)
    assert np.all(np.isfinite(result.sheet.need("step_s")))


PLACES = ("batch", "context", "prompt", "model", "on", "set", "refine", "terms", "technique", "chips", "vs_model",
          "vs_on", "vs_set")  # fmt: skip


@share(6)
@given(
    board=st.sampled_from(BOARDS),
    pairs=st.lists(
        st.tuples(mostly(st.sampled_from(PLACES), junk), st.one_of(values, models, systems, junk)), max_size=4
    ),
    content=st.none() | config_files(),
)
def test_any_address_of_the_page_is_a_board_or_refused(board, pairs, content):
    """Fields right and wrong, configs with anything changed in them: a board without NaN, or one line."""
    if content is not None:
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = base64.urlsafe_b64encode(deflate.compress(content) + deflate.flush()).decode().rstrip("=")
        pairs = [*pairs, ("config", packed)]
    with time_limit():
        try:
            json.dumps(board_json(board, pairs), allow_nan=False)
            json.dumps(inputs_json(board, [*pairs, ("column", "a")]), allow_nan=False)
        except HeadwayError as error:
            told = str(error)
            assert told == " ".join(told.split())
            assert len(told) < 1000


def as_toml(value):
    """A value in TOML's spelling."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {as_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return "nan" if value != value else json.dumps(value).replace("Infinity", "inf").replace("null", '""')


NOT_NUMBERS = ("nan", "inf", "infinity")  # a chip may be called so, and the judge could not tell
TEXTS = ["name", "title", "chip", "aliases", "torus", "vendor", "launch", "launch_from", "notes", "cables", "unit"]
stated = mostly(
    st.one_of(
        st.integers(1, 10**6), st.floats(1e-30, 1e30), st.sampled_from([0.5, 4, 72, 1e-30, 1e30]),
        st.fixed_dictionaries({"value": st.floats(1e-30, 1e30)}, optional={"from": st.text(), "note": st.text()}),
    ),
    number, st.floats(), st.sampled_from(ODD), st.sampled_from(["80 GB", "3 TB/s", "1 PFLOP/s", "$2/h"]),
    st.fixed_dictionaries({"value": number}, optional={"from": junk, "note": junk, "page": junk}),
)  # fmt: skip


@st.composite
def toml_files(draw):
    """The bytes of a user's TOML file: a chip and a system with figures of all kinds, or text that is none."""
    letters = draw(mostly(st.sampled_from(["as", "a", "s", "sa", "aas", "asm"]), st.text("asmr", max_size=3)))
    lines = []
    for kind in [{"a": "accelerator", "s": "system", "m": "memory_tier", "r": "rack"}[letter] for letter in letters]:
        table = {
            "name": draw(
                mostly(st.just(f"my-{kind}"), junk.filter(lambda name: name.strip("-+").lower() not in NOT_NUMBERS))
            )
        }
        if kind == "accelerator":
            table |= {"memory_bytes": "80 GB", "bandwidth_bytes_per_s": "3 TB/s", "bf16_flop_per_s": "1 PFLOP/s"}
        if kind == "system":
            chips = mostly(st.sampled_from(["my-accelerator", "h100-sxm", "gb200"]), misspelt(CHIPS))
            table |= {"chip": draw(chips), "domain_chips": 4}
        of_the_kind = [word.name for word in vocabulary().values() if kind in word.of] or FIGURES
        fields = mostly(st.sampled_from(of_the_kind), st.sampled_from(FIGURES), st.sampled_from(TEXTS), junk)
        table |= draw(st.dictionaries(fields, stated, max_size=2))
        lines += [f"[[{kind}]]", *(f"{json.dumps(field)} = {as_toml(value)}" for field, value in table.items())]
    text = "\n".join(lines).encode("utf-8", "replace")
    return draw(mostly(st.just(text), st.sampled_from([
        b"", b"\xff", b"x = " + b"[" * 5000, b"x = " + b"9" * 5000, b"accelerator = 3", b"[[system]]",
        text[: len(text) // 2], b"accelerator = [1, 2]", b"x = 2026-13-45", b"a.b.c = 1", text + text,
        b"[accelerator]\nname = 'a'",
    ]), st.binary(max_size=200)))  # fmt: skip


@share(7)
@given(content=toml_files(), count=mostly(st.just(""), counts.map(":{}".format)), rest=options(*ROOFLINE_OPTIONS))
def test_any_toml_file_is_a_system_or_refused(folder, content, count, rest):
    """Chips and systems of one's own with figures of every kind and unit, and files that are no TOML."""
    (folder / "mine.toml").write_bytes(content)
    judge(["roofline", "llama-3.2-1b", "--on", f"mine.toml{count}", *rest])


@share(1, shrink=False)  # a picture takes half a second
@given(
    target=mostly(
        st.sampled_from(["a.svg", "a.png", "a.html"]),
        st.sampled_from(["a.pdf", "a", "", ".svg", "no/a.svg", "x" * 300 + ".svg", "a\0.svg", "\udcff.svg", "名.html"]),
    ),
    model=st.sampled_from(["deepseek-v3", "llama-3.1-8b"]),
    rest=options(*ROOFLINE_OPTIONS),
)
@example(target="\udcff.svg", model="llama-3.1-8b", rest=[])
@example(target="a\0.svg", model="llama-3.1-8b", rest=[])
def test_any_picture_is_drawn_or_refused(target, model, rest):
    """Whatever can be asked can be drawn, and a file that cannot be written is refused."""
    judge(["roofline", model, "--on", "gb200-nvl72", "--plot", target, *rest])
