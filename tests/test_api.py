"""The library call: what the command can ask, Python can, and a mistake is refused by name."""

from pathlib import Path

import numpy as np
import pytest

import headway
from headway.catalog.entries import DATA
from headway.equations import collectives, moe
from headway.model.config import changed_config, read_config
from headway.provenance import Origin
from headway.step.question import REFINEMENTS

FILE = Origin("config", "a test")


@pytest.mark.parametrize("model", ["llama-3.1-8b", "qwen3-30b-a3b"])
@pytest.mark.parametrize("price", ["$2/h", None])
def test_the_point_spoken_of_fits(model, price):
    """The cheapest point is one that the memory holds, however far beyond it the question went."""
    answer = headway.roofline(model, on="h100-sxm", batch=2.0 ** np.arange(25), price=price, beyond_memory=True)
    best = answer.point(answer.best)["batch"]
    assert best <= float(answer.largest_batch) < 2 * best


def test_a_point_that_does_not_fit_is_explained_as_such():
    """The derivation of a refused point says first that the memory does not hold it; of a held one it does not."""
    answer = headway.roofline("llama-3.1-70b", on="8xh100-sxm", batch=[64, 512], context=4000)
    refused, held = (headway.explain(answer, "step_s", at={"batch": b}) for b in (512, 64))
    assert refused.splitlines()[:2] == [
        "Written out for batch = 512 sequences.",
        "The memory does not hold this point: what follows is arithmetic beyond it, not an answer.",
    ]
    assert held.splitlines()[:2] == ["Written out for batch = 64 sequences.", "Derivation"]


def test_an_axis_is_named_in_an_explanation_as_it_was_asked():
    """`at` takes the keyword of the call as well as the worksheet's name."""
    answer = headway.roofline("llama-3.1-8b", on="h100", context=[1000, 2000])
    assert headway.explain(answer, at={"context": 2000}) == headway.explain(answer, at={"context_tokens": 2000})


def test_changes_reach_the_config_the_chip_and_the_pass():
    """A field of the config, a figure of the chip and an input of the pass are changed by one argument."""
    ask = {"on": "h100-sxm:8", "batch": 4}
    plain = headway.roofline("deepseek-v3", **ask, beyond_memory=True)
    changed = headway.roofline(
        "deepseek-v3", **ask, beyond_memory=True,
        changes={"num_experts_per_tok": 16, "fp8_flop_per_s": "1 PFLOP/s", "t_overhead_s": 0.001},
    )  # fmt: skip
    routed = 58 * 8 * 3 * 7168 * 2048
    assert changed.active_params - plain.active_params == routed
    assert changed.flop_per_s == 1e15
    assert changed.step_s == pytest.approx(plain.step_s + 0.001)


def test_a_change_that_nothing_depends_on_is_told():
    """Power is no input of a pass, and a rate of another dtype none of this one."""
    changes = {"power_w": "1 W", "fp8_flop_per_s": "1 PFLOP/s", "bandwidth_bytes_per_s": "1 TB/s"}
    answer = headway.roofline("llama-3.1-8b", on="h100", changes=changes)
    assert answer.without_effect == ["power_w", "fp8_flop_per_s"]


def test_any_input_may_be_an_array():
    """An array of bandwidths adds an axis before the grid, and each element is the answer of its own question."""
    bandwidths = np.array([1e12, 2e12, 4e12])
    changes = {"bandwidth_bytes_per_s": bandwidths.reshape(3, 1, 1, 1)}
    together = headway.roofline("llama-3.1-8b", on="h100", batch=[1, 8], changes=changes)
    for i, bandwidth in enumerate(bandwidths):
        alone = headway.roofline("llama-3.1-8b", on="h100", batch=[1, 8], changes={"bandwidth_bytes_per_s": bandwidth})
        np.testing.assert_allclose(together.step_s[i], alone.step_s, rtol=1e-15)


@pytest.mark.parametrize("refine", ["attention,expert-hits", ["attention", "expert-hits"], ("attention,expert-hits",)])
def test_refinements_are_named_as_on_the_command_line(refine):
    """One string with commas or several names mean the same; `all` means all."""
    assert headway.roofline("mixtral-8x7b", on="8xh100", refine=refine).question.refine == ("attention", "expert-hits")
    assert len(headway.roofline("mixtral-8x7b", on="8xh100", refine="all").question.refine) == len(REFINEMENTS)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"model": 5, "on": "h100"}, "a model is a catalog name"),
        ({"model": "llama-3.1-8b", "on": 8}, "a system is written like"),
        ({"model": "llama-3.1-8b", "on": "h100", "refine": "attention,al"}, "did you mean all"),
        ({"model": "llama-3.1-8b", "on": "h100", "batch": "many"}, "must be a number"),
        ({"model": "llama-3.1-8b", "on": "h100", "price": "2"}, "$2/h"),
        ({"model": "llama-3.1-8b", "on": "h100", "changes": {"bandwith_bytes_per_s": 1}}, "bandwidth_bytes_per_s"),
        ({"model": "llama-3.1-8b", "on": "h100", "price": 1, "changes": {"rental_usd_per_s": 1}}, "not both"),
    ],
)
def test_a_mistake_is_refused_by_name(arguments, told):
    """A wrong type, a misspelt name, a price without a unit: `BadInput` says what was expected."""
    with pytest.raises(headway.BadInput, match=told.replace("$", r"\$")):
        headway.roofline(**arguments)


def test_a_path_is_a_model():
    """A `Path` to a config.json is read like its name."""
    path = Path(str(DATA / "models" / "deepseek-ai__DeepSeek-V3.json"))
    by_path, by_name = (headway.roofline(model, on="gb200-nvl72") for model in (path, "deepseek-v3"))
    assert by_path.step_s == by_name.step_s


def test_a_quantity_that_is_not_there_suggests_its_neighbours():
    """An attribute that a pass lacks names the nearest one, and `dir` lists those it has."""
    answer = headway.roofline("llama-3.1-8b", on="h100")
    with pytest.raises(AttributeError, match="cost_per_token_usd"):
        _ = answer.cost_per_tokens_usd
    assert {"step_s", "balance_batch", "cost_per_token_usd"} <= set(dir(answer))
    assert repr(answer) == "<pass of llama-3.1-8b on h100-sxm, 1 point(s)>"


def test_the_exchanges_of_a_torus_take_the_time_of_its_longest_ring():
    """On a 4x4x4 torus the exchange takes V n / 8 over one of six links, three times a switch of the same links."""
    answer = headway.roofline("deepseek-v3", on="trn2-ultraserver", batch=640, refine="communication")
    held = 640 / 64 * float(moe.all_to_all_bytes(8, 7168, 1, 2)) * 58
    assert answer.t_comm_s == pytest.approx(held * 4 / 8 / (640e9 / 6))
    switched = float(collectives.all_to_all_s(held, 64, 640e9))
    assert answer.t_comm_s / switched == pytest.approx(3 * 64 / 63)  # a switch sends no share to itself


@pytest.mark.parametrize("system", ["ironwood-superpod", "tpu-v5e:64"])
def test_a_torus_without_known_rings_is_refused(system):
    """Where no source gave the rings, or only a part of a pod is asked for, no exchange is made up."""
    with pytest.raises(headway.BadInput, match="rings"):
        headway.roofline("mixtral-8x7b", on=system, refine="communication")


@pytest.mark.parametrize("refine", ["expert-hits", "attention", "communication"])
def test_bare_numbers_have_no_architecture_to_refine(refine):
    """A refinement that needs an architecture is refused for bare numbers, never silently left out."""
    from headway.model.model import bare_model

    with pytest.raises(headway.BadInput, match="name a model"):
        headway.roofline(bare_model(671e9, 37e9, 70272), on="gb200-nvl72", refine=refine)


@pytest.mark.parametrize(
    "said",
    [{"kv_cache_scheme": {"num_bits": 8, "type": "float"}}, {"kv_cache_quant_algo": "FP8"}, {"kv_cache_dtype": "fp8"}],
)
def test_the_checkpoint_says_in_which_format_it_keeps_its_cache(said):
    """A KV format stated in the quantisation of the checkpoint halves the cache of a bf16 one."""
    config = headway.load_model("llama-3.1-8b").config
    plain = read_config(config, name="m", origin=FILE)
    quantised = read_config({**config, "quantization_config": {"quant_method": "fp8", **said}}, name="m", origin=FILE)
    assert quantised.kv_bytes_per_token * 2 == plain.kv_bytes_per_token


def test_formats_that_were_asked_for_survive_a_changed_config():
    """Changing the depth of a model does not undo a chosen weight or KV format."""
    chosen = headway.load_model("llama-3.1-8b", kv_dtype="fp8", weight_dtype="int4")
    deeper = changed_config(chosen, {"num_hidden_layers": "64"})
    assert (deeper.kv_dtype, deeper.weight_dtype) == (chosen.kv_dtype, chosen.weight_dtype)
    assert deeper.kv_bytes_per_token == 2 * chosen.kv_bytes_per_token


def test_with_attention_counted_the_balance_is_where_the_terms_meet():
    """At the refined balance batch arithmetic with attention takes as long as reading all the weights."""
    ask = {"on": "gb200-nvl72", "context": 1000, "refine": "attention"}
    balance = float(headway.roofline("deepseek-v3", **ask).balance_batch)
    there = headway.roofline("deepseek-v3", **ask, batch=balance)
    assert there.t_compute_s == pytest.approx(there.t_weights_s, rel=1e-12)
    assert there.balance_context is None
