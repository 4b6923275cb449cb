"""The reader of configs against a framework that builds the models: parameters, parts and caches.

`data/framework_counts.jsonl.gz` and `data/framework_caches.jsonl.gz` were made in 2026-11 by
`data/make_framework_data.py`, which says how to make them again, with transformers 5.23.0 (Apache-2.0; only counts were
taken). Counts: every model was built on the meta device from a config whose fields are random, or the defaults of its
class ("default"), or all written out ("full"); the shapes of its named parameters were summed up, in all and by part,
the part told by the parameter's name. Buffers (the bias of auxiliary-loss-free routing) are no parameters; LongCat's
surplus (matrices allocated for experts that do nothing) was taken off. Caches: a small model of every config ran on 37
and on 74 tokens; the sizes of its cached tensors were summed up by kind. Fields that say nothing of shape were left out
of the configs.

Left out are: configs without depth or width, which are refused; configs whose heads do not divide the hidden size and
that give no head_dim (GLM-4.5's class defaults); DeepSeek-V2's class defaults, which name no number of chosen experts;
Helium's with an output matrix that does not fit its heads; mistral3 wrappers that say nothing of tied embeddings (the
published ones have two matrices, the framework's class has one); OPT with embeddings of a width of their own; MPT with
an expansion_ratio other than 4, which the framework's class does not read; and the caches of Falcon's new architecture,
which the framework keeps for every query head (published tables count the key-value heads). Not drawn are Falcon's new
architecture with one norm before attention and MLP, and Nemotron-H whose mamba_proj_bias is not its use_bias.
"""

import gzip
import json
import math
from collections import Counter
from pathlib import Path

import pytest

from headway.errors import BadInput
from headway.model.architecture import Architecture
from headway.model.attention import CompressedAttention, GroupedQueryAttention, Mixer
from headway.model.config import read_config
from headway.model.kept import Kept
from headway.model.model import Model
from headway.model.recurrent import Lightning
from headway.provenance import Origin

DATA = Path(__file__).parent / "data"


def _rows(name):
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


COUNTS, CACHES = _rows("framework_counts.jsonl.gz"), _rows("framework_caches.jsonl.gz")
READ = [row for row in COUNTS if row["total"] is not None]
REFUSED = [row for row in COUNTS if row["total"] is None]
FAMILIES = sorted({row["name"].partition("--")[0] for row in READ})
# Models whose fields say all there is: no family need be known to count them.
PLAIN = ("cwm", "granite", "iquestcoder", "llama", "ministral3", "mixtral", "phi3", "smollm3")
OWN_HEAD_DIM = ("cwm", "iquestcoder", "ministral3")  # whose heads have a width by default


def _of(rows, family):
    return [row for row in rows if row["name"].partition("--")[0] == family]


def _read(config) -> Model:
    return read_config(config, name="a config", origin=Origin("user", "a config"))


def test_the_data_hold_every_family():
    """A thousand configs of a hundred families, and as many families of caches."""
    assert len(READ) > 1100
    assert len(FAMILIES) > 100
    assert len(CACHES) > 600


@pytest.mark.parametrize("family", FAMILIES)
def test_totals_are_those_of_the_framework(family):
    """The parameters of every config, to the last one; and no family that is read is read as an unknown one."""
    for row in _of(READ, family):
        model = _read(row["config"])
        assert model.total_params == row["total"], row["name"]
        assert not any("is not known" in sentence for sentence in model.assumed), row["name"]


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_are_those_of_the_framework(family):
    """The same part by part, as the names of the parameters tell them apart."""
    for row in _of(READ, family):
        if row["parts"] is not None:
            parts = {part: params for part, params in _read(row["config"]).architecture.parts().items() if params}
            assert parts == {part: params for part, params in row["parts"].items() if params}, row["name"]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row["name"])
def test_what_is_not_read_is_refused_by_name(row):
    """Families of other kinds of layer get one line that names what it is, and what to do instead."""
    with pytest.raises(BadInput, match=r"a config: .* (is|are) not read; describe the model by") as refused:
        _read(row["config"])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("family", "field"), [("deepseek_v2", "q_lora_rank"), ("qwen3", "head_dim"), ("gemma2", "sliding_window")]
)
def test_null_is_none_and_absent_is_the_default_of_the_family(family, field):
    """A field that a config holds as null is none; one that it leaves out is what the family's class says."""
    configs = [row["config"] for row in _of(READ, family)]
    config = next(c for c in configs if "layer_types" not in c and c.get(field) and c.get("head_dim") != 128)
    # A window as long as the longest sequence would bound nothing.
    silent = {key: value for key, value in config.items() if key not in (field, "max_position_embeddings")}
    default = {"q_lora_rank": 1536, "head_dim": 128, "sliding_window": 4096}[field]
    absent, null, stated = (_read(silent | more) for more in ({}, {field: None}, {field: default}))
    assert absent.architecture == stated.architecture
    assert null.architecture != absent.architecture


def _stored(kept: Kept, mixer: Mixer, tokens: int, config) -> float:
    """What the framework stores of a group.

    Its windows count the newest token, and keep one fewer between steps; but where the field is called
    sliding_window_size (MiMo), they keep as many as it says. A compressed cache has entries of whole strides alone.
    Where one vector is key and value (Gemma 4), the framework writes it twice.
    """
    twice = 2 if isinstance(mixer, GroupedQueryAttention) and mixer.keys_are_values else 1
    if math.isfinite(kept.stored_tokens):
        window = kept.stored_tokens - (0 if "sliding_window_size" in config else 1)
        return twice * kept.numbers * min(tokens, window)
    if isinstance(mixer, CompressedAttention):
        return kept.numbers * mixer.stride * (tokens // mixer.stride)
    return twice * kept.numbers * tokens


def _kind(kept: Kept, mixer: Mixer) -> str:
    if "index" in kept.text:
        return "index"
    if math.isfinite(kept.stored_tokens):
        return "window"
    return "compressed" if isinstance(mixer, CompressedAttention) else "full"


def _cache(shape: Architecture, tokens: int, config) -> dict[str, float]:
    """Numbers in the cache after so many tokens, by kind; lightning attention's state is not in the framework's."""
    found: Counter[str] = Counter()
    for count, mixer in shape.mixers:
        for kept in mixer.kept:
            if kept.stored_tokens:
                found[_kind(kept, mixer)] += count * _stored(kept, mixer, tokens, config)
        for state in mixer.states if not isinstance(mixer, Lightning) else ():
            found["conv_states" if "channels" in state.text else "recurrent_states"] += count * state.numbers
    return {kind: numbers for kind, numbers in found.items() if numbers}


@pytest.mark.parametrize("family", sorted({row["name"].partition("--")[0] for row in CACHES}))
def test_caches_are_those_of_the_framework(family):
    """Groups and states give what a model holds after 37 and after 74 tokens, number for number."""
    for row in _of(CACHES, family):
        shape = _read(row["config"]).architecture
        for tokens, measured in row["kept"].items():
            assert _cache(shape, int(tokens), row["config"]) == measured, (row["name"], tokens)


@pytest.mark.parametrize("family", PLAIN)
def test_an_unknown_name_for_the_same_fields_is_answered_with_what_was_assumed(family):
    """A plain decoder under another name has the same parameters, and the answer says that the name is not known."""
    stated = ("tie_word_embeddings", "num_key_value_heads", *(("head_dim",) if family in OWN_HEAD_DIM else ()))
    rows = [row for row in _of(READ, family) if all(row["config"].get(key) is not None for key in stated)]
    assert rows
    for row in rows:
        model = _read({**row["config"], "model_type": "next_year"})
        assert model.total_params == row["total"], row["name"]
        assert "model_type 'next_year' is not known" in model.assumed[0]
