"""Models: parameters, cache and bytes of a config, against the framework and against tensor shapes; and refusals."""

import csv
import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import booleans, builds, composite, fixed_dictionaries, integers, none, sampled_from

from headway import catalog
from headway.errors import BadInput, UnknownName
from headway.model.config import changed_config, load_model, read_config
from headway.model.describe import describe
from headway.model.dtypes import DTYPES, dtype
from headway.model.model import bare_model
from headway.model.modules import part_of
from headway.provenance import Origin
from headway.units import parse

DATA = Path(__file__).parent / "data"
NAMES = sorted(catalog.model_names())
USER = Origin("user", "the test")


def rows_of(file):
    lines = [line for line in (DATA / file).read_text("utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def counted():
    """The independent count, by config file."""
    return {row["file"]: row for row in rows_of("model_param_counts.csv")}


# Families whose code is written out below as tensors, a count of our own beside that of the data set.
TENSORS_WRITTEN = (
    "llama",
    "mistral",
    "mixtral",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "deepseek_v2",
    "deepseek_v3",
    "kimi_k2",
)
WRITTEN = [name for name in NAMES if catalog.read_model(name)[2]["model_type"] in TENSORS_WRITTEN]


# --- the tensors of a checkpoint, as the families' own code allocates them ---------------------------------------


def tensors(config):
    """Every weight of a checkpoint as (part, shape), from the fields of its config; a second way to count."""
    h, heads = config["hidden_size"], config["num_attention_heads"]
    yield "embedding", (config["vocab_size"], h)
    if not config.get("tie_word_embeddings"):
        yield "lm_head", (config["vocab_size"], h)
    yield "norm", (h,)
    for layer in range(config["num_hidden_layers"]):
        yield from (("norm", (h,)), ("norm", (h,)))
        yield from latent(config, h, heads) if config.get("kv_lora_rank") else grouped(config, h, heads)
        yield from feed_forward(config, h, layer)


def grouped(config, h, heads):
    size = config.get("head_dim") or h // heads
    q, kv = heads * size, (config.get("num_key_value_heads") or heads) * size
    yield from (("attention", shape) for shape in ((q, h), (kv, h), (kv, h), (h, q)))
    if config["model_type"] == "qwen2" or config.get("attention_bias"):
        yield from (("attention", (width,)) for width in (q, kv, kv))
        if config["model_type"] != "qwen2":
            yield "attention", (h,)
    if config["model_type"].startswith("qwen3"):
        yield from (("attention", (size,)), ("attention", (size,)))


def latent(config, h, heads):
    q = heads * (config["qk_nope_head_dim"] + config["qk_rope_head_dim"])
    rank, kv_rank = config.get("q_lora_rank"), config["kv_lora_rank"]
    if rank:
        yield from (("attention", shape) for shape in ((rank, h), (rank,), (q, rank)))
    else:
        yield "attention", (q, h)
    yield "attention", (kv_rank + config["qk_rope_head_dim"], h)
    yield "attention", (kv_rank,)
    yield "attention", (heads * (config["qk_nope_head_dim"] + config["v_head_dim"]), kv_rank)
    yield "attention", (h, heads * config["v_head_dim"])


def feed_forward(config, h, layer):
    experts = config.get("n_routed_experts") or config.get("num_local_experts") or config.get("num_experts")
    if not experts or layer < config.get("first_k_dense_replace", 0):
        yield from gated("dense_mlp", h, config["intermediate_size"])
        if config.get("mlp_bias"):
            yield from (("dense_mlp", (n,)) for n in (config["intermediate_size"], config["intermediate_size"], h))
        return
    width = config.get("moe_intermediate_size") or config["intermediate_size"]
    yield "router", (experts, h)
    for expert in range(experts):
        part = "routed_experts" if expert >= config["num_experts_per_tok"] else "chosen_experts"
        yield from gated(part, h, width)
    if shared := config.get("n_shared_experts"):
        yield from gated("shared_experts", h, shared * width)


def gated(part, h, width):
    return [(part, (width, h)), (part, (width, h)), (part, (h, width))]


def size(shape):
    return math.prod(shape)


def tally(config):
    parts = {}
    for part, shape in tensors(config):
        parts[part] = parts.get(part, 0) + size(shape)
    return parts


# --- against counts that others made -----------------------------------------------------------------------------


def test_every_shipped_model_is_counted_independently():
    """No config is shipped without a row of the independent count."""
    assert {facts["file"] for facts in catalog.model_names().values()} == set(counted())


def test_totals_are_those_of_the_framework():
    """The framework, told to build a model from the same config, allocates exactly as many parameters.

    Eleven configs it could not build; one it built with 3.4 millionths less than the parts of the count add up to.
    """
    built = {name: int(count) for name in NAMES
             if (count := counted()[catalog.model_names()[name]["file"]]["framework_total"])}  # fmt: skip
    assert len(built) == len(NAMES) - 11
    assert {name for name, total in built.items() if load_model(name).total_params != total} == {"step-3.7-flash"}
    assert load_model("step-3.7-flash").total_params == pytest.approx(built["step-3.7-flash"], rel=1e-5)


CONVENTIONS = {
    "with embeddings": "computed_active",
    "without input embedding": "computed_active_without_input_embedding",
    "without input embedding and head": "computed_active_without_embeddings",
}


@pytest.mark.parametrize("name", NAMES)
def test_parts_are_those_of_the_independent_count(name):
    """Embedding, head, attention, dense and routed blocks and routers agree one by one, and so does what is active."""
    row = {k: int(v) for k, v in counted()[catalog.model_names()[name]["file"]].items() if v.isdigit()}
    model = load_model(name)
    parts, active = model.architecture.parts(), model.architecture.active_parts()
    for part in ("embedding", "lm_head", "dense_mlp", "routed_experts", "shared_experts", "router"):
        assert parts[part] == row[part], part
    # the two counts put the norms inside attention on different sides
    mixing = row["attention_or_mixer"] + row["norm_and_residual_mixing"]
    assert parts["attention"] + parts["norm"] == mixing
    assert model.total_params == sum(parts.values()) == row["computed_total"]
    assert active["routed_experts"] == row["routed_experts_active"]
    for convention, column in CONVENTIONS.items():
        assert model.architecture.active_by_convention()[convention] == row[column], convention
    assert model.active_params == row["computed_active_without_input_embedding"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_assumed_of_a_shipped_model(name):
    """Every field of a catalogued config is interpreted, and its family known; some were published without a format."""
    config = catalog.read_model(name)[2]
    inner = config.get("text_config", {})
    silent = not any(part.get(key) for part in (config, inner) for key in ("torch_dtype", "dtype"))
    assert load_model(name).assumed == (("no torch_dtype: weights taken for bf16",) if silent else ())


def test_a_router_of_idle_experts_is_counted_by_expectation():
    """LongCat-Flash sends a token to 12 of 768 experts, of which 256 do nothing: on average 8 work, 27.1 B active."""
    model = load_model("longcat-flash")
    assert model.architecture.experts.experts_per_token == 12 * 512 / 768 == 8
    assert model.active_params == 27_149_490_176


@pytest.mark.parametrize("name", WRITTEN)
def test_parts_are_those_of_the_tensors(name):
    """Shape by shape, the tensors that the family's code allocates add up to the same parts."""
    _, _, config = catalog.read_model(name)
    parts = tally(config)
    model = load_model(name)
    assert sum(parts.values()) == model.total_params == sum(model.architecture.parts().values())
    used = parts | {"routed_experts": 0} | ({} if config.get("tie_word_embeddings") else {"embedding": 0})
    assert sum(used.values()) == model.active_params


# Totals that makers state in a document: to 1 %, but for two that round up.
STATED = [(n, f["published_total"]) for n, f in catalog.model_names().items() if f.get("published_kind") == "stated"]
# 15.71 B printed as 16 B, 1.026 T as 1 T, 1.573 T as 1.6 T, 49.1 B as 48 B, 107.8 B beside a vision tower as 109 B.
ROUNDED_UP = {"deepseek-v2-lite": 0.02, "kimi-k2": 0.03, "kimi-k2.5": 0.03, "deepseek-v4-pro": 0.02,
              "kimi-linear-48b-a3b": 0.03, "llama-4-scout": 0.02}  # fmt: skip


@pytest.mark.parametrize(("name", "stated"), STATED)
def test_totals_are_those_that_the_makers_state(name, stated):
    """What the makers publish of a model's size is what its config adds up to."""
    assert load_model(name).total_params == pytest.approx(parse(stated, "params"), rel=ROUNDED_UP.get(name, 0.01))


def test_active_parameters_by_every_convention():
    """DeepSeek-V3's published 37 B lie between what a token multiplies and what counts the embedding in."""
    model = load_model("deepseek-v3")
    counts = model.architecture.active_by_convention()
    assert model.total_params == 671_026_404_352
    assert model.active_params == counts["without input embedding"] < 37e9
    assert counts["with embeddings"] == 37_552_282_624
    assert counts["with embeddings"] - counts["without input embedding"] == model.lookup_params
    assert model.published_convention == "without input embedding"  # nearest to 37 B


STATED_ACTIVE = [(n, f) for n, f in catalog.model_names().items() if f.get("published_active")]


@pytest.mark.parametrize(("name", "facts"), STATED_ACTIVE)
def test_the_convention_named_is_the_one_nearest_to_the_makers_figure(name, facts):
    """Of the three conventions the catalog names the one whose count lies nearest to what the makers publish."""
    stated = parse(facts["published_active"], "params")
    counts = load_model(name).architecture.active_by_convention()
    nearest = min(abs(count - stated) for count in counts.values())
    assert abs(counts[facts["nearest_active_convention"]] - stated) == nearest
    assert load_model(name).published_active_params == counts[facts["nearest_active_convention"]]


# --- cache and bytes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "published"),
    [("deepseek-v3", 70_272), ("deepseek-r1", 70_272), ("llama-3.1-70b", 327_680), ("llama-3.3-70b", 327_680),
     ("qwen2.5-72b", 327_680), ("llama-3.1-405b", 516_096), ("kimi-k2", 70_272), ("kimi-k3", 27_648)],
)  # fmt: skip
def test_cache_of_a_token_as_published(name, published):
    """KV bytes of a token in bf16: the anchors of the published tables."""
    assert load_model(name).kv_bytes_per_token == published
    assert load_model(name, kv_dtype="fp8").kv_bytes_per_token == published / 2  # Kimi K3: 13,824


PUBLISHED_CACHES = rows_of("model_architectures.csv")
# The rows of Llama 4 count all layers as full, "an upper bound", for want of the field that says otherwise; the config
# has it (attention_chunk_size), and three layers of four look no further than a chunk of 8,192 tokens.
UPPER_BOUNDS = {"meta-llama/Llama-4-Scout-17B-16E-Instruct", "meta-llama/Llama-4-Maverick-17B-128E-Instruct"}


@pytest.mark.parametrize("row", PUBLISHED_CACHES, ids=lambda row: row["hf_id"])
def test_cache_and_attention_are_those_of_the_published_table(row):
    """Growth, fixed bytes, bytes read at 200k and arithmetic of attention: a second count, made for the price data.

    It counts windows and caches in fp8, states in fp32, and no inputs of convolutions.
    """
    model = load_model(row["hf_id"])
    shape = model.architecture
    if row["hf_id"] in UPPER_BOUNDS:
        assert shape.kv_numbers_per_token == float(row["kv_elements_per_token"]) / 4
        assert sum(kept.numbers for kept in shape.kept) == float(row["kv_elements_per_token"])
        return
    wide = [state for state in shape.states if state.bytes_per_number == 4]
    fixed = sum(state.numbers * 4 for state in wide)
    windows = sum(kept.numbers * kept.stored_tokens for kept in shape.kept if kept.stored_tokens < math.inf)
    read = sum(kept.numbers * min(kept.read_tokens, 200_000) for kept in shape.kept)
    growing = [kept for kept in shape.kept if kept.read_tokens == math.inf]
    assert load_model(row["hf_id"], kv_dtype="bf16").kv_bytes_per_token == float(row["kv_bytes_per_token_bf16"])
    assert load_model(row["hf_id"], kv_dtype="fp8").kv_bytes_per_token == float(row["kv_bytes_per_token_fp8"])
    assert fixed + windows == float(row["fixed_state_bytes_per_sequence"])
    assert read + fixed == pytest.approx(1e6 * float(row["kv_read_MB_per_decode_step_at_200k_fp8"]), rel=1e-4)
    assert sum(kept.pair_flop for kept in growing) == float(row["decode_attn_flops_per_context_token"])
    assert sum(kept.expanded_pair_flop for kept in growing) == float(row["attn_flops_per_token_per_context_token"])


@pytest.mark.parametrize("name", WRITTEN)
def test_cache_of_a_token_is_what_attention_keeps(name):
    """Two vectors for each key-value head and layer, or one latent with its rotary key, in two bytes a number."""
    _, _, c = catalog.read_model(name)
    if c.get("kv_lora_rank"):
        kept = c["kv_lora_rank"] + c["qk_rope_head_dim"]
    else:
        head = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
        kept = 2 * (c.get("num_key_value_heads") or c["num_attention_heads"]) * head
    model, small = load_model(name), load_model(name, kv_dtype="fp8")
    of_all = 2 * kept * c["num_hidden_layers"]
    assert model.kv_bytes_per_token + model.kv_window_bytes_per_token == of_all
    assert small.kv_bytes_per_token + small.kv_window_bytes_per_token == of_all / 2
    slides = c.get("sliding_window") and c.get("use_sliding_window", True)
    assert model.kv_bytes_per_token == (0 if slides else of_all)


def stored(part, shape):
    """Bytes of a tensor in a DeepSeek fp8 checkpoint: linear weights in fp8 with a scale per 128 x 128 block."""
    if part in ("embedding", "lm_head", "router") or len(shape) == 1:
        return 2 * size(shape)
    return size(shape) + 4 * math.ceil(shape[0] / 128) * math.ceil(shape[1] / 128)


def test_bytes_of_deepseek_v3_are_those_of_its_checkpoint():
    """fp8 weights with their scales: the published files, 688,586,727,753 bytes, hold the model and a prediction layer.

    The prediction layer is one more routed layer with copies of embedding and head, a projection of two hidden states
    to one, and three norms. What is left are the headers of the files, about 130 bytes for each of 92,000 tensors.
    """
    _, _, config = catalog.read_model("deepseek-v3")
    model = load_model("deepseek-v3")
    main = sum(stored(part, shape) for part, shape in tensors(config))
    # Partly filled blocks and the inner norms are all that the model's own sum leaves out.
    assert model.weight_bytes == pytest.approx(main, rel=1e-6)

    h, attention_and_norms = (
        config["hidden_size"],
        [*latent(config, config["hidden_size"], 128), ("norm", (7168,)), ("norm", (7168,))],
    )
    layer = [*attention_and_norms, *feed_forward(config, h, layer=60)]
    copies = 2 * [("embedding", (config["vocab_size"], h))] + 3 * [("norm", (h,))]
    prediction = sum(stored(part, shape) for part, shape in [*layer, *copies]) + 2 * (h * 2 * h)
    routing_bias = 59 * 4 * 256  # a buffer of fp32 in each routed layer, no parameter
    headers = 688_586_727_753 - (main + prediction + routing_bias)
    linear = sum(
        part not in ("embedding", "lm_head", "router") and len(shape) == 2 for part, shape in [*tensors(config), *layer]
    )
    names = sum(1 for _ in tensors(config)) + len(layer) + linear
    assert 100 * names < headers < 160 * names


def test_bytes_of_a_plain_checkpoint_are_two_for_each_parameter():
    """Without a quantization_config every parameter is stored as the config says: Llama 3.1 8B is 16.06 GB."""
    model = load_model("llama-3.1-8b")
    assert model.weight_bytes == 2 * 8_030_261_248
    assert model.read_weight_bytes == model.weight_bytes - 2 * 128256 * 4096


@pytest.mark.parametrize("name", NAMES)
def test_quantities_add_up_to_the_bytes(name):
    """What goes onto a worksheet gives the weight bytes back: streamed parameters and looked-up ones."""
    model = load_model(name)
    q = {quantity.name: quantity.value for quantity in model.quantities()}
    streamed = (q["total_params"] - q["lookup_params"]) * q["weight_bytes_per_param"]
    assert streamed + q["lookup_params"] * q["lookup_bytes_per_param"] == pytest.approx(model.weight_bytes, rel=1e-12)
    assert q["active_params"] <= q["total_params"] - q["lookup_params"]


def test_arithmetic_of_a_token_grows_from_two_per_active_parameter():
    """Two FLOP for each active parameter, and attention in proportion to the context on top (DeepSeek-V3, absorbed).

    Of each cached token every head multiplies its latent of 512 twice and its rotary key of 64 once.
    """
    model = load_model("deepseek-v3")
    described = describe(model, [0, 4096, 8192])
    flop, read = described.value("flops_per_token"), described.value("kv_read_bytes_per_token")
    pair = 61 * 128 * 2 * (512 + 64 + 512)
    assert flop == pytest.approx(2 * model.active_params + pair * (np.array([0, 4096, 8192]) + 1), rel=1e-12)
    assert read == pytest.approx([0, 4096 * 70272, 8192 * 70272])


# --- laws on configs that nobody published -----------------------------------------------------------------------


@composite
def grouped_config(draw):
    """A dense or routed model with grouped-query attention, of any of the families."""
    family = draw(sampled_from(["llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe"]))
    kv, group, head = draw(integers(1, 8)), draw(integers(1, 8)), draw(integers(1, 16).map(lambda n: 8 * n))
    config = {
        "model_type": family, "hidden_size": draw(integers(1, 64)) * kv * group,
        "num_hidden_layers": draw(integers(1, 6)),
        "num_attention_heads": kv * group, "num_key_value_heads": kv, "intermediate_size": draw(integers(1, 999)),
        "vocab_size": draw(integers(1, 9999)), "tie_word_embeddings": draw(booleans()),
    }  # fmt: skip
    if draw(booleans()) or family.startswith("qwen3"):  # where Qwen3 is silent, its code has 128
        config["head_dim"] = head
    if family == "llama":
        config |= {"attention_bias": draw(booleans()), "mlp_bias": draw(booleans())}
    if family in ("mixtral", "qwen3_moe"):
        experts = draw(integers(1, 12))
        config["num_local_experts" if family == "mixtral" else "num_experts"] = experts
        config["num_experts_per_tok"] = draw(integers(1, experts))
        if family == "qwen3_moe":
            config["moe_intermediate_size"] = draw(integers(1, 99))
    return config


@composite
def latent_config(draw):
    """A model of DeepSeek's kind: latent attention, a few dense layers first, shared experts."""
    layers, experts = draw(integers(1, 6)), draw(integers(1, 12))
    shape = fixed_dictionaries({
        "hidden_size": integers(1, 99), "num_attention_heads": integers(1, 8), "q_lora_rank": none() | integers(1, 99),
        "kv_lora_rank": integers(1, 99), "qk_nope_head_dim": integers(1, 99), "qk_rope_head_dim": integers(0, 99),
        "v_head_dim": integers(1, 99), "intermediate_size": integers(1, 99), "moe_intermediate_size": integers(1, 99),
        "vocab_size": integers(1, 999), "n_shared_experts": integers(0, 3), "num_experts_per_tok": integers(1, experts),
        "first_k_dense_replace": integers(0, layers), "tie_word_embeddings": booleans(),
        "model_type": sampled_from(["deepseek_v2", "deepseek_v3", "kimi_k2"]),
    })  # fmt: skip
    return draw(shape) | {"num_hidden_layers": layers, "n_routed_experts": experts}


CONFIGS = grouped_config() | latent_config()


def read(config):
    return read_config(config, name="made up", origin=USER)


@given(CONFIGS)
def test_any_config_is_the_sum_of_its_tensors(config):
    """For any shape of any family, the parts are those of the tensors that its code would allocate."""
    model, parts = read(config), tally(config)
    assert model.total_params == sum(parts.values())
    used = parts | {"routed_experts": 0} | ({} if config["tie_word_embeddings"] else {"embedding": 0})
    assert model.active_params == sum(used.values())
    assert 0 < model.active_params <= model.total_params - model.lookup_params
    assert model.kv_bytes_per_token > 0


@given(CONFIGS, integers(1, 5))
def test_more_layers_are_more_parameters_in_proportion(config, more):
    """Every layer past the first dense ones adds the same: parameters, active ones, and cache."""
    deep = [read(config | {"num_hidden_layers": config["num_hidden_layers"] + more * k}) for k in range(3)]
    for figure in ("total_params", "active_params", "kv_bytes_per_token", "weight_bytes"):
        a, b, c = (getattr(model, figure) for model in deep)
        assert a < b < c
        assert b - a == c - b


@given(CONFIGS)
def test_tying_the_embedding_saves_one_matrix(config):
    """A tied model lacks the head's own copy; a token multiplies the same matrix, so as many are active."""
    tied, untied = (read(config | {"tie_word_embeddings": t}) for t in (True, False))
    assert untied.total_params - tied.total_params == config["vocab_size"] * config["hidden_size"]
    assert untied.active_params == tied.active_params
    assert (untied.lookup_params, tied.lookup_params) == (config["vocab_size"] * config["hidden_size"], 0)


@given(CONFIGS, sampled_from(sorted(DTYPES)), sampled_from(sorted(DTYPES)))
def test_bytes_scale_with_the_format(config, weights, cache):
    """Cache bytes are numbers times the format's size; weights lie between all narrow and all wide."""
    config = {**config, "torch_dtype": "bfloat16"}
    model = read(config)
    numbers = model.architecture.kv_numbers_per_token
    assert model.weight_bytes == 2 * model.total_params
    changed = read_as(config, weights, cache)
    assert changed.kv_bytes_per_token == numbers * dtype(cache).bytes_per_number
    narrow, wide = sorted((dtype(weights).bytes_per_number, 2.0))
    assert narrow * model.total_params * (1 - 1e-12) <= changed.weight_bytes <= wide * model.total_params * (1 + 1e-12)
    if dtype(weights).bytes_per_number >= 2:
        assert changed.weight_bytes == dtype(weights).bytes_per_number * model.total_params


def read_as(config, weights, cache):
    """A config through a file, as the command reads it, with other formats."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(config), "utf-8")
        return load_model(str(path), weight_dtype=weights, kv_dtype=cache)


@given(latent_config(), integers(1, 20))
def test_more_experts_weigh_more_and_work_the_same(config, more):
    """An added expert weighs its three matrices and a row of the router; a token multiplies only that row more."""
    a, b = read(config), read(config | {"n_routed_experts": config["n_routed_experts"] + more})
    routed = config["num_hidden_layers"] - config["first_k_dense_replace"]
    row = config["hidden_size"]
    expert = 3 * config["hidden_size"] * config["moe_intermediate_size"]
    assert b.total_params - a.total_params == routed * more * (expert + row)
    assert b.active_params - a.active_params == routed * more * row
    assert b.kv_bytes_per_token == a.kv_bytes_per_token


@given(integers(1, 40), sampled_from(["moe_layer_freq", "decoder_sparse_step"]), integers(1, 5))
def test_which_layers_route(layers, field, every):
    """DeepSeek routes layer i where i divides by the step, counting from 0; Qwen counts from 1."""
    config = {"model_type": "qwen3_moe", "hidden_size": 8, "num_attention_heads": 1, "num_hidden_layers": layers,
              "num_key_value_heads": 1, "intermediate_size": 8, "vocab_size": 8, "num_experts": 2,
              "num_experts_per_tok": 1, "moe_intermediate_size": 4, field: every}  # fmt: skip
    expected = math.ceil(layers / every) if field == "moe_layer_freq" else layers // every
    assert read(config).architecture.moe_layers == expected


@given(integers(1, 10**13), integers(1, 10**13), none() | integers(0, 10**7))
def test_bare_numbers_are_a_model(total, active, kv):
    """Parameters, active parameters and KV bytes are enough; more active than there are is refused."""
    if active > total:
        with pytest.raises(BadInput, match="cannot exceed the total"):
            bare_model(total, active, kv)
        return
    model = bare_model(total, active, kv)
    assert (model.total_params, model.active_params, model.kv_bytes_per_token) == (total, active, kv)
    assert model.weight_bytes == 2 * total
    assert bare_model(total).active_params == total
    gap = next(q for q in model.quantities() if q.name == "kv_bytes_per_token").gap
    assert gap == ("" if kv is not None else "kv_bytes_per_token of bare numbers is not known: supply --kv-bytes")


# --- names and files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_found_by_name_alias_and_hugging_face_id(name):
    """Any case and underscores; the id of its page; each alias: one and the same model, with its page."""
    facts, model = catalog.model_names()[name], load_model(name)
    for spelling in (
        name.upper(),
        name.replace("-", "_"),
        facts["hf_id"],
        facts["hf_id"].lower(),
        *facts.get("aliases", ()),
    ):
        assert load_model(spelling) == model
    assert model.origin.references[0].where == facts["config_source"]


def test_a_misspelt_model_suggests_its_neighbours():
    """A name that nothing answers to is refused with the nearest names."""
    with pytest.raises(UnknownName, match="did you mean deepseek-v3"):
        load_model("deepseek-v33")


LLAMA = {
    "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 1000, "torch_dtype": "bfloat16",
}  # fmt: skip
DEEPSEEK = {
    "model_type": "deepseek_v3", "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 99,
    "kv_lora_rank": 16, "q_lora_rank": 24, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8,
    "intermediate_size": 128, "moe_intermediate_size": 32, "n_routed_experts": 8, "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
}  # fmt: skip


@pytest.fixture
def config_file(tmp_path):
    def write(content):
        path = tmp_path / "config.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


def test_a_config_is_read_by_its_path_or_its_folder(config_file):
    """A config.json by path, or the folder that holds it, as downloaded checkpoints lie about."""
    path = config_file(LLAMA)
    assert load_model(str(path)).total_params == load_model(str(path.parent)).total_params == sum(tally(LLAMA).values())


def test_fields_of_a_config_can_be_changed():
    """A change replaces a field before the config is read: half the layers, half the cache."""
    assert changed_config(load_model("llama-3.1-8b"), {"num_hidden_layers": 16}).kv_bytes_per_token == 65_536


@pytest.mark.parametrize("name", NAMES)
def test_a_change_reaches_the_field_wherever_it_stands(name):
    """In a wrapper's text model as in a flat config: twice the vocabulary is twice the embedding."""
    model = load_model(name)
    vocabulary = model.architecture.vocab_size
    twice = load_model(name, changes={"vocab_size": str(2 * vocabulary)})
    assert twice.architecture.vocab_size == 2 * vocabulary
    assert changed_config(model, {"vocab_size": 2 * vocabulary}).total_params == twice.total_params > model.total_params
    assert load_model(name).total_params == model.total_params


def test_a_change_supplies_what_a_config_lacks():
    """A field that nobody wrote, needed or not, is taken as if it had been there; one that nothing reads is refused."""
    short = {key: value for key, value in LLAMA.items() if key != "hidden_size"}
    assert load_model(short, changes={"hidden_size": "64"}).total_params == load_model(LLAMA).total_params
    assert load_model("llama-3.1-8b", changes={"head_dim": 64}).kv_bytes_per_token == 65_536
    with pytest.raises(UnknownName, match="hidden_size"):
        load_model("llama-3.1-8b", changes={"hiden_size": 64})


def fp8_in_blocks_of(sizes):
    return DEEPSEEK | {"quantization_config": {"quant_method": "fp8", "weight_block_size": sizes}}


# What is wrong with a config, and what the one line must contain.
BAD_CONFIGS = {
    "family is a list": (LLAMA | {"model_type": ["llama"]}, "the field model_type must be a string"),
    "a window of words": (LLAMA | {"sliding_window": "4k"}, "sliding_window must be a whole number"),
    "layers that slide without a window": (
        LLAMA | {"layer_types": ["sliding_attention"] * 2}, "the field sliding_window is missing"),
    "too few layer types": (LLAMA | {"layer_types": ["full_attention"]}, "layer_types has 1 entries for 2 layers"),
    "a new kind of layer": (LLAMA | {"layer_types": ["full_attention", "telepathy"]}, "unknown kind of layer"),
    "a list of objects": (LLAMA | {"layer_types": [{}, {}]}, "unknown kind of layer"),
    "linear layers of no kind": (LLAMA | {"layer_types": ["linear_attention"] * 2}, "no field that says which"),
    "a sparse index without heads": (DEEPSEEK | {"index_topk": 2048}, "the field index_n_heads is missing"),
    "more shared layers than layers": (LLAMA | {"num_kv_shared_layers": 3}, "cannot exceed the layers (2)"),
    "an encoder-decoder": (LLAMA | {"is_encoder_decoder": True}, "an encoder-decoder"),
    "an encoder": (LLAMA | {"architectures": ["BertForMaskedLM"]}, "an encoder (BertForMaskedLM) keeps no cache"),
    "an encoder by its family": (LLAMA | {"model_type": "roberta"}, "an encoder (RoBERTa) is not read"),
    "an adapter": ({"peft_type": "LORA", "r": 16}, "the config of an adapter"),
    "layer types as a word": (LLAMA | {"layer_types": "full"}, "layer_types must be a list"),
    "a new cache": (LLAMA | {"model_type": "new", "global_layers": [0, 1]}, "the field 'global_layers' may change"),
    "experts under a new name": (
        LLAMA | {"model_type": "new", "moe_primary_count": 8}, "the field 'moe_primary_count' may change what a layer"),
    "a depth run through repeatedly": (LLAMA | {"total_ut_steps": 4}, "the field total_ut_steps announces a depth"),
    "no heads in some layer": (LLAMA | {"num_attention_heads_per_layer": [4, 0]}, "must be whole numbers from 1"),
    "a searched model without layers": (LLAMA | {"block_configs": {}}, "block_configs must be a list"),
    "an empty pattern": (
        {k: v for k, v in LLAMA.items() if k != "num_hidden_layers"} | {"hybrid_override_pattern": ""}, "is empty"),
    "a group of a googol": (
        LLAMA | {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 10**400}}, "group_size"),
    "a block of a googol": (fp8_in_blocks_of([10**400, 1]), "two positive"),
    "a cache scheme that is a number": (
        LLAMA | {"quantization_config": {"quant_method": "fp8", "kv_cache_scheme": 5}}, "kv_cache_scheme must be"),
    "a text config that is a list": ({"text_config": [LLAMA]}, "text_config must be an object"),
    "an unknown quantisation": (
        LLAMA | {"quantization_config": {"quant_method": "magic"}}, "quant_method 'magic' is not read"),
    "awq without bits": (LLAMA | {"quantization_config": {"quant_method": "awq"}}, "the field bits is missing"),
    "groups of nothing": (
        LLAMA | {"quantization_config": {"config_groups": {"g": 4}}}, "must hold objects with weights"),
    "modules by an impossible pattern": (
        LLAMA | {"quantization_config": {"quant_method": "fp8", "ignore": ["re:("]}}, "impossible pattern"),
    "modules by a pattern that may not end": (
        LLAMA | {"quantization_config": {"quant_method": "fp8", "ignore": ["re:(a+)+$"]}}, "repeats too much"),
    "modules by a pattern that goes back and forth": (
        LLAMA | {"quantization_config": {"quant_method": "fp8", "ignore": ["re:.*.*.*.*.*.*_$"]}}, "repeats too much"),
    "modules by a pattern that hides its repetition behind an alternative": (
        LLAMA | {"quantization_config": {"quant_method": "fp8", "ignore": ["re:(?:x|(.+)+_)"]}}, "repeats too much"),
    "modules by a pattern with many ways": (
        LLAMA | {"quantization_config": {"quant_method": "fp8", "ignore": ["re:" + "(.|..)" * 9]}}, "repeats too"),
    "modules by a pattern that may be empty in many ways": (
        LLAMA | {"quantization_config": {"quant_method": "fp8", "ignore": ["re:" + ".?" * 60 + "_"]}}, "repeats too"),
    "modules by a pattern that looks behind": (
        LLAMA | {"quantization_config": {"quant_method": "fp8", "ignore": ["re:(?<=x)y"]}}, "not read"),
    "modules by many patterns that go back and forth": (
        LLAMA | {"quantization_config": {"quant_method": "fp8", "ignore": [f"re:.*.*.*_{i}" for i in range(500)]}},
        "too long to read"),
    "layers listed by what is no digit": (
        LLAMA | {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "moe_layers_enum": 7},
        "moe_layers_enum"),
    "thousands of patterns": (
        LLAMA | {"quantization_config": {"quant_method": "fp8", "ignore": [f"*{i}.x" for i in range(9999)]}},
        "9,999 patterns, more than 500"),
    "an unknown algorithm": (
        LLAMA | {"quantization_config": {"quant_algo": "FP3"}}, "quant_algo 'FP3' is not read"),
    "modules that are numbers": (
        LLAMA | {"quantization_config": {"quant_method": "fp8", "ignore": [1]}}, "a list of module names"),
    "block of three": (fp8_in_blocks_of([1, 2, 3]), "two positive"),
    "block of nothing": (fp8_in_blocks_of([0, 0]), "two positive"),
    "quantization is a word": (LLAMA | {"quantization_config": "fp8"}, "quantization_config must be an object"),
    "negative": (LLAMA | {"hidden_size": -64}, "hidden_size must be a whole number from 1 to 100,000,000, found '-64'"),
    "zero": (LLAMA | {"num_attention_heads": 0}, "num_attention_heads must be a whole number from 1"),
    "half a layer": (LLAMA | {"num_hidden_layers": 2.5}, "num_hidden_layers must be a whole number"),
    "a word": (LLAMA | {"vocab_size": "many"}, "vocab_size must be a whole number"),
    "true": (LLAMA | {"vocab_size": True}, "vocab_size must be a whole number"),
    "a list": (LLAMA | {"intermediate_size": [128]}, "intermediate_size has 1 entries for 2 layers"),
    "huge": (LLAMA | {"hidden_size": 10**12}, "hidden_size must be a whole number from 1 to 100,000,000"),
    "a huge fraction": (LLAMA | {"hidden_size": 1e300}, "hidden_size must be a whole number"),
    "not a number": (LLAMA | {"hidden_size": math.nan}, "hidden_size must be a whole number"),
    "infinite": (LLAMA | {"hidden_size": math.inf}, "hidden_size must be a whole number"),
    "a million layers": (LLAMA | {"num_hidden_layers": 10**6}, "a whole number from 1 to 10,000, found '1000000'"),
    "null": (LLAMA | {"hidden_size": None}, "the field hidden_size is missing"),
    "heads that do not group": (LLAMA | {"num_key_value_heads": 3}, "must be a multiple of num_key_value_heads (3)"),
    "width that does not divide": (LLAMA | {"hidden_size": 65}, "of num_attention_heads (4), or give head_dim"),
    "more chosen than there are": (DEEPSEEK | {"num_experts_per_tok": 9}, "(9) cannot exceed n_routed_experts (8)"),
    "tied as a word": (LLAMA | {"tie_word_embeddings": "yes"}, "tie_word_embeddings must be true or false"),
    "unknown format": (LLAMA | {"torch_dtype": "float9"}, "unknown dtype 'float9'"),
    "plain layers as a number": (DEEPSEEK | {"mlp_only_layers": 3}, "mlp_only_layers must be a list of whole numbers"),
    "a list instead": ([LLAMA], "expected an object with the fields of a config.json"),
    "a number instead": (5, "expected an object with the fields of a config.json"),
    "an empty object": ({}, "the field hidden_size is missing"),
    "no JSON": (b"model_type: llama", "config.json is not JSON"),
    "an empty file": (b"", "config.json is not JSON"),
    "no text": (b"\xff\xfe\x00\x00", "cannot read"),
    "deep lists": (b"[" * 1_000_000, "config.json is nested too deeply"),
    "deep objects": (b'{"a":' * 1_000_000, "config.json is nested too deeply"),
    "thousands of digits": (b'{"hidden_size":' + b"9" * 5000 + b"}", "config.json is not JSON"),
    "25 MB": (b" " * 25_000_000, "config.json is larger than 20 MB"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_a_config_with_a_mistake_is_refused_in_one_line(config_file, content, expected):
    """What is missing, impossible or not understood is refused by name, in one line; nothing is guessed."""
    with pytest.raises(BadInput) as refusal:
        load_model(str(config_file(content)))
    message = str(refusal.value)
    assert expected in message
    assert message.isprintable()
    assert len(message) < 330


@pytest.mark.parametrize("config", [LLAMA, DEEPSEEK], ids=["llama", "deepseek"])
def test_each_field_that_counts_is_required(config):
    """Without a field that every config states, the refusal names it; where another is absent, the answer says so.

    What the family's code takes in its place is what the checkpoint would be run with.
    """
    core = {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"}
    for field in core:
        with pytest.raises(BadInput, match=field):
            read({k: v for k, v in config.items() if k != field})
    sizes = set(config) - core - {"model_type", "first_k_dense_replace"}
    for field in sizes & {"num_experts_per_tok", "n_routed_experts", "kv_lora_rank", "qk_nope_head_dim", "v_head_dim"}:
        said = outcome({k: v for k, v in config.items() if k != field})
        assert field in (said if isinstance(said, str) else " ".join(said.assumed))


def test_a_window_that_is_mentioned_and_not_used_is_fine():
    """Qwen's configs carry a window they switch off, Mistral's a null, Phi's one longer than any sequence."""
    qwen = LLAMA | {"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": False}
    phi = LLAMA | {"model_type": "phi3", "sliding_window": 262144, "max_position_embeddings": 131072}
    for config in (qwen, LLAMA | {"model_type": "mistral", "sliding_window": None}, phi):
        assert read(config).kv_window_bytes_per_token == 0 < read(config).kv_bytes_per_token


def test_an_unknown_family_with_familiar_fields_is_answered():
    """A model_type that nobody knew is read by its fields; the answer says what was assumed, and what was not read."""
    known, new = read(LLAMA), read(LLAMA | {"model_type": "llama9", "tie_word_embeddings": False, "hyper_heads": 7})
    assert known.assumed == ()
    assert new.total_params == known.total_params
    said = " ".join(new.assumed)
    assert "model_type 'llama9' is not known" in said
    assert "hyper_heads" in said
    odd = {"residual_streams": 4, "ttt_steps": 3, "use_residual_mlp": True, "use_cache": True, "rope_theta": 1e4}
    said = " ".join(read(LLAMA | {"model_type": "llama9"} | odd).assumed)
    assert "residual_streams, ttt_steps, use_residual_mlp" in said
    assert "rope" not in said
    windowed = read(LLAMA | {"model_type": "llama9", "sliding_window": 4096})
    assert "sliding_window without a pattern: taken to bound every layer" in windowed.assumed
    nameless = read({k: v for k, v in LLAMA.items() if k != "model_type"})
    assert "it has no model_type" in " ".join(nameless.assumed)
    assert "tie_word_embeddings is absent" in " ".join(nameless.assumed)


def test_a_wrapper_is_read_by_its_text_model():
    """What stands beside the text tower is named and not counted; outer fields hold where the inner are silent."""
    inner = {k: v for k, v in LLAMA.items() if k != "model_type"}
    wrapped = read(
        {"model_type": "llama", "text_config": inner, "vision_config": {"depth": 2}, "tie_word_embeddings": True}
    )
    assert wrapped.total_params == read(LLAMA | {"tie_word_embeddings": True}).total_params
    assert wrapped.beside == ("a vision tower (vision_config)",)


def test_norms_and_biases_that_the_framework_test_does_not_draw():
    """Falcon's new architecture may have one norm a layer; Nemotron-H's projections are biased by use_bias alone."""
    falcon = {"model_type": "falcon", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
              "num_kv_heads": 2, "vocab_size": 100, "new_decoder_architecture": True}  # fmt: skip
    two, one = (read(falcon | more).total_params for more in ({}, {"num_ln_in_parallel_attn": 1}))
    assert two - one == 2 * 2 * 64  # a weight and a bias, two layers
    config = catalog.read_model("nemotron-h-56b")[2]
    assert read(config | {"mamba_proj_bias": True}).total_params == read(config).total_params


def test_heads_may_differ_from_layer_to_layer():
    """Key-value heads given layer by layer, as DeciLM has them, are kept layer by layer."""
    model = read(LLAMA | {"model_type": "decilm", "num_key_value_heads_per_layer": [4, 1]})
    assert model.kv_bytes_per_token == 2 * 2 * 16 * (4 + 1)


@pytest.mark.parametrize("none", [-1, 0, False, None])
def test_a_window_of_nothing_is_none(none):
    """Minus one, zero, false and null all say that there is no window."""
    assert read(LLAMA | {"sliding_window": none}).kv_window_bytes_per_token == 0


def test_quantisation_is_found_where_tools_write_it(tmp_path):
    """In a file of modelopt's beside the config, in MLX's own field, and under the older name of compressed-tensors."""
    (tmp_path / "config.json").write_text(json.dumps(LLAMA), "utf-8-sig")
    (tmp_path / "hf_quant_config.json").write_text(json.dumps({"quantization": {"quant_algo": "NVFP4"}}))
    assert load_model(tmp_path).storage["attention"].dtype.name == "nvfp4"
    assert read(LLAMA | {"quantization": {"group_size": 64, "bits": 4}}).storage["attention"].bytes_per_param == 0.5625
    assert (
        read(LLAMA | {"compression_config": {"config_groups": {"g": GROUP}}}).storage["attention"].dtype.name == "int4"
    )


def quantised(config, table):
    return read(config | {"quantization_config": table}).storage


GROUP = {"weights": {"num_bits": 4, "type": "int", "group_size": 32, "symmetric": True}}
EXPERTS_ONLY = ["lm_head", "re:.*self_attn.*", "re:.*shared_experts.*", "re:.*mlp\\.(gate|up|gate_up|down)_proj.*"]
SCHEMES = {
    "fp8 in blocks": ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", 1 + 4 / 128**2),
    "mxfp4": ({"quant_method": "mxfp4"}, "mxfp4", 0.5 + 1 / 32),
    "awq": ({"quant_method": "awq", "bits": 4, "group_size": 128}, "int4", 0.5 + 2.5 / 128),
    "gptq": ({"quant_method": "gptq", "bits": 8, "group_size": -1}, "int8", 1.0),
    "bitsandbytes": ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "int4", 0.5 + 4 / 64),
    "bitsandbytes, scales quantised": (
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True}, "int4",
        0.5 + (1 + 4 / 256) / 64),
    "nvfp4 of modelopt": ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4", 0.5 + 1 / 16),
    "fp8 of modelopt": ({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8", 1.0),
    "int4 in groups": (
        {"quant_method": "compressed-tensors", "config_groups": {"group_0": GROUP}}, "int4", 0.5 + 2 / 32),
}  # fmt: skip


@pytest.mark.parametrize(("table", "name", "size"), SCHEMES.values(), ids=SCHEMES)
def test_each_quantisation_has_its_bytes(table, name, size):
    """Linear weights in the scheme's format with its scales; embedding, head, routers and norms as they were."""
    storage = quantised(DEEPSEEK, table)
    assert (storage["routed_experts"].dtype.name, storage["routed_experts"].bytes_per_param) == (name, size)
    assert storage["attention"] == storage["routed_experts"]
    assert {storage[part].bytes_per_param for part in ("embedding", "lm_head", "router", "norm")} == {2.0}


def test_parts_that_a_quantisation_leaves_out_stay_wide():
    """By regular expressions, as Kimi K2.5 has them; by globs and by single layers, of which a part may have some."""
    scheme = {"quant_method": "compressed-tensors", "config_groups": {"group_0": GROUP}}
    storage = quantised(DEEPSEEK, scheme | {"ignore": EXPERTS_ONLY})
    assert {part for part, stored in storage.items() if stored.dtype.name == "int4"} == {"routed_experts"}
    storage = quantised(DEEPSEEK, {"quant_method": "fp8", "ignore": ["model.layers.*.self_attn*"]})
    assert (storage["attention"].bytes_per_param, storage["dense_mlp"].bytes_per_param) == (2, 1)
    storage = quantised(DEEPSEEK, {"quant_method": "fp8", "ignore": ["model.layers.1.self_attn.q_proj"]})
    assert storage["attention"].bytes_per_param == pytest.approx(1 + 1 / 3)  # one layer of three


MODULES = {
    "attention": ["model.layers.0.self_attn.q_proj", "layers.3.attn.wq_b", "self_attn",
                  "backbone.layers.1.mixer.in_proj", "model.language_model.layers.0.linear_attn.in_proj_z"],
    "dense_mlp": ["model.layers.0.mlp.gate_proj", "transformer.h.1.mlp.c_fc", "model.layers.2.feed_forward.w1"],
    "routed_experts": ["model.layers.59.block_sparse_moe.experts.127.w2", "layers.0.ffn.experts"],
    "shared_experts": ["model.layers.9.mlp.shared_experts.up_proj", "model.layers.9.mlp.shared_expert.gate_proj"],
    "router": ["model.layers.3.mlp.gate", "gate", "model.layers.*.mlp.router"],
    "lm_head": ["lm_head", "language_model.lm_head", "head"],
    "": ["model.layers.0.input_layernorm", "vision_tower", "mtp", "model.layers.0.self_attn.indexer.k_norm.bias",
         "e_score_correction_bias", "model.layers.7.mlp.shared_expert_gate"],
}  # fmt: skip


@pytest.mark.parametrize(("part", "module"), [(part, name) for part, names in MODULES.items() for name in names])
def test_the_name_of_a_module_tells_its_part(part, module):
    """The names that quantisation tools write belong to a part of the model, or to none that counts."""
    assert part_of(module) == part


def test_mixed_precision_is_read_module_by_module():
    """A format for each module by name, as modelopt writes it: experts in 4 bits, the rest in 8, the head as well."""
    layers = {"lm_head": {"quant_algo": "NVFP4"}}
    for i in range(3):
        layers |= {
            f"language_model.model.layers.{i}.self_attn.{m}": {"quant_algo": "MXFP8"} for m in ("q_proj", "o_proj")
        }
        layers |= {f"language_model.model.layers.{i}.mlp.experts.{j}.w1": {"quant_algo": "NVFP4"} for j in range(8)}
    storage = quantised(
        DEEPSEEK, {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": layers}
    )
    assert {part: one.dtype.name for part, one in storage.items()} == {
        "lm_head": "nvfp4", "attention": "fp8", "routed_experts": "nvfp4", "dense_mlp": "bf16",
        "shared_experts": "bf16", "embedding": "bf16", "router": "bf16", "norm": "bf16",
    }  # fmt: skip
    assert storage["attention"].bytes_per_param == 1 + 1 / 32


def test_a_checkpoint_quantised_again_keeps_what_the_first_step_made():
    """Experts in nvfp4 over a checkpoint in fp8: what the second step left out is still in fp8."""
    again = {"quant_method": "fp8", "ignore": ["*.self_attn.*"], "quantized_layers":
             {f"layers.{i}.ffn.experts": {"quant_algo": "NVFP4"} for i in (1, 2)}}  # fmt: skip
    storage = quantised(DEEPSEEK, again)
    assert (storage["attention"].dtype.name, storage["routed_experts"].dtype.name) == ("fp8", "nvfp4")


def test_a_block_that_is_left_out_takes_its_experts_along():
    """`mlp` of a layer means the experts in it, but where a dense block stands beside them, as in Gemma 4."""
    storage = quantised(DEEPSEEK, {"quant_method": "fp8", "ignore": [f"model.layers.{i}.mlp*" for i in range(3)]})
    assert storage["routed_experts"].dtype.name == storage["dense_mlp"].dtype.name == "bf16"
    gemma = dict(catalog.read_model("gemma-4-26b-a4b")[2])
    left = [f"model.language_model.layers.{i}.mlp*" for i in range(30)]
    storage = quantised(gemma, {"quant_method": "fp8", "ignore": left})
    assert (storage["dense_mlp"].dtype.name, storage["routed_experts"].dtype.name) == ("bf16", "fp8")


@pytest.mark.parametrize(
    ("name", "stored"),
    [("gpt-oss-120b", {"routed_experts": "mxfp4", "attention": "bf16"}),
     ("kimi-k2.5", {"routed_experts": "int4", "attention": "bf16", "shared_experts": "bf16", "dense_mlp": "bf16"}),
     ("kimi-k3", {"routed_experts": "mxfp4", "attention": "bf16", "shared_experts": "bf16"}),
     ("deepseek-v4-pro", {"routed_experts": "mxfp4", "attention": "fp8", "shared_experts": "fp8"}),
     ("gemma-4-31b-nvfp4", {"dense_mlp": "nvfp4", "attention": "bf16"}),
     ("minimax-m2.5", {"routed_experts": "fp8", "attention": "fp8", "router": "bf16"}),
     ("laguna-s-2.1", {"routed_experts": "fp8", "dense_mlp": "bf16"})],
)  # fmt: skip
def test_checkpoints_are_stored_part_by_part(name, stored):
    """The format of each part of published checkpoints that quantise some and leave some."""
    storage = load_model(name).storage
    assert {part: storage[part].dtype.name for part in stored} == stored


def test_bytes_of_gpt_oss_are_those_that_its_makers_state():
    """Its card gives 60.8 GiB for the checkpoint of gpt-oss-120b, as fitmygpu.com/models/gpt-oss-120b quotes it."""
    assert load_model("gpt-oss-120b").weight_bytes / 2**30 == pytest.approx(60.8, rel=0.005)


@pytest.mark.parametrize("path", ["nowhere.json", "x" * 5000, "a\0b", "", "no/such/folder", "x" * 5000 + ".json"])
def test_a_path_that_leads_nowhere_is_refused(path, tmp_path, monkeypatch):
    """No such file, a name no file can have, nothing at all: one line."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput) as refusal:
        load_model(path)
    assert str(refusal.value).isprintable()


FIELDS = sampled_from(sorted({*LLAMA, *DEEPSEEK, "head_dim", "torch_dtype", "quantization_config"}))
ANYTHING = sampled_from([None, 0, 1, -1, 3.0, 2**31, 1e99, "", "x", [], [1], {}, True, math.nan, math.inf])


@given(builds(lambda config, field, value: config | {field: value}, CONFIGS, FIELDS, ANYTHING))
def test_any_field_gone_wrong_is_counted_or_refused(config):
    """With any one field replaced by anything, a config is a model with positive counts, or refused in one line."""
    found = outcome(config)
    if isinstance(found, str):
        assert found.isprintable()
    else:
        assert 0 < found.active_params <= found.total_params < math.inf
        assert 0 < found.weight_bytes < math.inf


def outcome(config):
    try:
        return read(config)
    except BadInput as refusal:
        return str(refusal)
