"""`headway roofline` on a layout: what it says, lists and refuses."""

import json

import pytest

import headway
from headway.cli import main

WIDE = ("roofline", "deepseek-v3", "--on", "h100-sxm:64", "--layout", "dp64,ep64", "--batch", "2048", "--refine", "all")
TERMS = ("t_compute_s", "t_weights_s", "t_kv_s", "t_activations_s", "t_comm_s", "t_hops_s")


@pytest.fixture
def said(capsys):
    """Run a command and give what it printed."""

    def run(*arguments):
        status = main([*arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def answer(said):
    """Run a command for its JSON object."""
    return lambda *arguments: json.loads(said(*arguments, "--json")[1])


def test_the_operators_add_up_to_the_terms(answer):
    """The rows' arithmetic, bytes and messages are those of the pass, and so are their times one after another."""
    found = answer(*WIDE, "--terms")
    rows = found["terms"]
    result = headway.roofline("deepseek-v3", on="h100-sxm:64", layout="dp64 ep64", batch=2048, refine="all", terms=True)
    for key, name in (("weight_bytes", "weights_bytes"), ("kv_bytes", "kv_bytes"), ("flop", "pass_flop"),
                      ("moved_bytes", "activation_bytes_moved")):  # fmt: skip
        assert sum(row[key] or 0 for row in rows) == pytest.approx(float(result.value(name)), rel=1e-12)
    assert sum(row["t_s"] for row in rows) == pytest.approx(found["step_s"], rel=1e-12)
    exchanged = {row["name"]: row for row in rows if row["sent_bytes"]}
    assert set(exchanged) == {"dispatch", "combine"}
    assert (
        exchanged["dispatch"]["messages"] == found["terms"][0]["layers"] * 58 / 61 * 2
    )  # inside and across, each once


def test_the_table_lists_every_operator_with_work_and_no_other(said):
    """Operators stand by name with the product as the chip does it; what does not happen has no row."""
    _, text, _ = said(*WIDE, "--terms")
    assert "61 x (32 x 7,168 x 1,536)" in text
    assert "58 x 2 x (294 x 7,168 x 2,048), 4 experts" in text
    assert "dispatch" in text
    assert "\n              ring" not in text  # one context rank exchanges nothing
    assert "laid out as dp64 ep64 on 64 chips" in " ".join(text.split())


def test_terms_need_no_layout_and_change_no_number(answer):
    """Taken apart into operators the blackboard is the same, but for what has no closed form then."""
    plain, apart = answer(*WIDE[:4], "--batch", "64"), answer(*WIDE[:4], "--batch", "64", "--terms")
    same = ("step_s", *TERMS[:3], "balance_batch", "largest_batch", "tokens_per_s", "mfu", "cost_per_mtok_usd")
    assert [plain[key] for key in same] == pytest.approx([apart[key] for key in same], rel=1e-12)
    assert plain["bound"] == apart["bound"]
    assert sum(row["flop"] or 0 for row in apart["terms"]) == pytest.approx(
        plain["t_compute_s"] * 64 * 1979e12, rel=1e-3
    )


def test_the_terms_of_a_grid_are_those_of_its_best_point(answer):
    """Of several points the operators of the cheapest that fits are listed, and it is named."""
    found = answer(*WIDE[:6], "--batch", "64,2048", "--terms")
    assert found["terms_at"] == {"batch": 2048.0}
    assert found["terms"][0]["tokens"] == 32


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--layout", "tp3"), "tp3 does not divide the 128 heads of attention; 2 or 4 would"),
        (("--layout", "ep65,dp64"), "tp x cp x dp = 64, and does not divide them; 64 would, or dp65 beside it"),
        (("--layout", "tp8,dp16"), "it takes 128 chips, and there are 64"),
        (("--layout", "pp62"), "it has 61 layers for 62 stages"),
    ],
)
def test_a_layout_that_no_engine_runs_is_an_answer_of_its_own(said, options, told):
    """The command ends with 3 and one line that says what does not go round, and what would."""
    status, out, err = said("roofline", "deepseek-v3", "--on", "h100-sxm:64", *options)
    assert (status, out) == (3, "")
    assert told in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--layout", "tp0"), "tensor_parallel must be from 1"),
        (("--layout", "xp4"), "a layout is written like tp8 or tp1,dp64,ep64"),
        (("--layout", "tp2,tp4"), "gives tensor_parallel twice"),
        (("--overlap", "1.5", "--layout", "tp8"), "must be from 0 to 1"),
        (("--overlap", "0.5"), "need a layout"),
        (("--chunk-context", "5"), "the context of a chunk needs a chunk"),
        (("--acceptance", "0.8"), "need a draft"),
        (("--draft", "mtp", "--pass", "8"), "leave the pass length out"),
        (("--draft", "llama-3.1-8b"), "needs --draft-tokens and --acceptance"),
        (("--domains-per-token", "4"), "needs sends domain"),
        (("--layout", "dp64,ep64", "--refine", "none", "--overlap", "0.5"), "about the refinement 'communication'"),
        (("--layout", "dp64,ep64", "--disaggregated"), "handed over after a prefill"),
        (("--act-dtype", "fp7"), "unknown dtype"),
    ],
)
def test_an_option_that_makes_no_sense_is_one_line(said, options, told):
    """The command ends with 2 and says what was expected."""
    status, out, err = said("roofline", "deepseek-v3", "--on", "h100-sxm:64", *options)
    assert (status, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_a_layout_explains_itself_down_to_the_pieces(said):
    """The derivation has the shares, the held parameters and the sum of the operators, with the numbers put in."""
    _, text, _ = said(*WIDE, "--explain")
    assert "dealt_share" not in text  # equations stand as formulas
    assert "expert_gate_up_held = expert_gate_up_params * share_of_2048_expert_ways * fill" in text
    assert "matmul_flop = attention_q_down_flop + attention_q_up_flop" in text


def test_what_rides_along_is_said(said):
    """Chunks, overlap, drafts and the handing over stand among the assumptions."""
    _, text, _ = said(*WIDE, "--chunk", "64", "--overlap", "two-batch", "--draft", "mtp")
    text = " ".join(text.split())
    assert "64 tokens of a prompt ride along on each data-parallel rank" in text
    assert "two halves of the batch hide each other's messages" in text
    assert "each token is kept with probability 0.85: 1.85 tokens a pass" in text
    _, text, _ = said(*WIDE[:6], "--batch", "64", "--pass", "4k", "--context", "0", "--disaggregated")
    assert "handed over to chips that decode" in " ".join(text.split())
    assert "domains of 8 chips, 450 GB/s and 1.60 µs a message inside, 50.0 GB/s" in " ".join(text.split())
