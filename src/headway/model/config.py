"""Read a Hugging Face `config.json` into a `Model`, by its fields.

What a field says is read; what no field says is taken from the family where it is known (`catalog/data/families.toml`),
and else assumed, which the model then says (`assumed`). A field that cannot be what it says, a kind of layer that is
not known, or a missing count is refused by name.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from headway.catalog.store import families
from headway.errors import BadInput, UnknownName, shown
from headway.model.architecture import CONVENTIONS, Architecture
from headway.model.dtypes import Dtype, dtype
from headway.model.fields import CHANGES_CACHE, Fields
from headway.model.find import find_config
from headway.model.model import Model, stored_in
from headway.model.read_layers import norm_params, read_layers, refuse_what_is_not_read
from headway.model.read_mixers import positions
from headway.model.storage import plain, read_kv_format, read_storage
from headway.provenance import Origin

# Where wrappers keep the text model, and what else they hold.
_TEXT = ("text_config", "llm_config", "language_config", "text_model_config")
_WRAPPED = (*_TEXT, "thinker_config")
_TOWERS = {"vision_config": "a vision tower", "audio_config": "an audio tower", "visual": "a vision tower",
           "speech_config": "an audio tower", "vision_tower_config": "a vision tower", "audio_tower": "an audio tower",
           "projector_config": "a projector", "sound_config": "an audio tower"}  # fmt: skip
# Objects whose fields are read as the config's own.
_NESTED = ("attn_config", "ffn_config", "sparse_attention_config", "ssm_cfg", "attn_cfg")
_LINEAR, _RENAMED = "linear_attn_config", {"num_heads": "kda_num_heads", "head_dim": "kda_head_dim"}
_OF_THE_WHOLE = ("quantization_config", "torch_dtype", "dtype", "kv_cache_dtype")
_MTP = ("num_nextn_predict_layers", "num_mtp_modules", "mtp_num_hidden_layers", "num_mtp_layers", "mtp_num_layers")


def load_model(
    name: str | Path | Mapping[str, Any], *, kv_dtype: str | None = None, weight_dtype: str | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Model:  # fmt: skip
    """A model by catalog name, Hugging Face id, path to a `config.json` or its folder, or a dict of its fields.

    An id that is not catalogued is looked up in the local Hugging Face cache, then downloaded where `huggingface_hub`
    is installed and the network allows. `changes` replace or supply fields of the config before it is read. Raises
    `UnknownName` (a name that means no model, a field that nothing reads) or `BadInput`.

    >>> load_model("deepseek-v3").kv_bytes_per_token
    70272.0
    >>> load_model("deepseek-v3", changes={"num_hidden_layers": 30}).architecture.n_layers
    30
    """
    found = find_config(name)
    config = with_fields(found.config, changes or {})
    model = read_config(config, name=found.name, origin=found.origin, facts=found.facts,
                        read_formats=weight_dtype is None or "=" in weight_dtype.split(",")[0])  # fmt: skip
    _refuse_unread(changes or {}, found.config, model)
    if weight_dtype is not None:
        model = replace(model, storage=stored_in(model, weight_dtype))
    return replace(model, kv_dtype=dtype(kv_dtype)) if kv_dtype is not None else model


def changed_config(model: Model, fields: Mapping[str, Any]) -> Model:
    """The model that its config gives with some fields replaced; the formats that were asked for stay."""
    asked = {"quantization_config", "torch_dtype", "dtype"} & fields.keys()
    fresh = read_config(with_fields(model.config, fields), name=model.name, origin=model.origin,
                        read_formats=bool(asked),
                        facts={"nearest_active_convention": model.published_convention})  # fmt: skip
    kept: dict[str, Any] = {"kv_dtype": model.kv_dtype} | ({} if asked else {"storage": model.storage})
    return replace(fresh, **kept)


def with_fields(config: Mapping[str, Any], fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """A config with fields replaced where they stand: in the text model, in an object of its, or around it."""
    if not fields:
        return config
    fresh: dict[str, Any] = copy.deepcopy(dict(config))
    places = [fresh]
    while inner := next((places[-1][key] for key in _WRAPPED if isinstance(places[-1].get(key), dict)), None):
        places.append(inner)
    text = places[-1]
    places += [text[key] for key in (*_NESTED, _LINEAR) if isinstance(text.get(key), dict)]
    for name, value in fields.items():
        found = [
            place for place in places if name in place and (place is not text.get(_LINEAR) or name not in _RENAMED)
        ]
        for place in found or [text]:
            place[name] = _as_json(value)
    return fresh


def _refuse_unread(changes: Mapping[str, Any], config: Mapping[str, Any], model: Model) -> None:
    """Refuse a change of a field that neither the config has nor anything looks at."""
    known = {*text_config(config, model.name)[0], *config, *model.looked_at}
    for name in changes:
        if name not in known:
            raise UnknownName("field of the config", name, known)


def _as_json(value: Any) -> Any:
    """A field as typed on a command line: JSON where it is JSON, else the text itself."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def text_config(config: Mapping[str, Any], name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of the text model, out of whatever wraps it, and what stands beside it."""
    beside: dict[str, str] = {}
    flat = dict(config)
    for _ in range(3):  # a wrapper may wrap a wrapper
        beside |= {key: f"{what} ({key})" for key, what in _TOWERS.items() if flat.get(key)}
        if "thinker_config" in flat:
            beside["talker_config"] = "a talker (talker_config)"
        inner = next((flat[key] for key in _WRAPPED if flat.get(key)), None)
        if inner is None:
            break
        if not isinstance(inner, dict):
            raise BadInput(f"{name}: the field text_config must be an object, found {shown(inner)}")
        tied = _tying(flat, inner)
        outer = {k: flat[k] for k in (*_OF_THE_WHOLE, "model_type") if k in flat}
        flat = {**outer, **{k: v for k, v in inner.items() if v is not None or k not in outer}, **tied}
    _quantisation(flat)
    for key in _NESTED:
        if isinstance(nested := flat.get(key), dict):
            flat = {**{k: v for k, v in nested.items() if k != "model_type"}, **flat}
    if linear := flat.get(_LINEAR):
        if not isinstance(linear, dict):
            raise BadInput(f"{name}: the field {_LINEAR} must be an object, found {shown(linear)}")
        flat = {**{_RENAMED.get(str(k), str(k)): v for k, v in linear.items()}, **flat}
    return flat, tuple(beside.values())


def _quantisation(flat: dict[str, Any]) -> None:
    """The quantisation under its usual name, where older tools and MLX have another."""
    if flat.get("quantization_config"):
        return
    if isinstance(older := flat.get("compression_config"), dict):
        flat["quantization_config"] = older
    elif isinstance(mlx := flat.get("quantization"), dict):
        flat["quantization_config"] = {"quant_method": "mlx", **mlx}


def _tying(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a wrapper ties the embeddings of its text model: families heed one of the two fields, or either."""
    family = outer.get("model_type")
    kin = families().get(family, {}) if isinstance(family, str) else {}
    key, by = "tie_word_embeddings", kin.get("tied_by", "either")
    places = {"outer": (outer, kin), "inner": (inner, kin), "either": (outer, inner, kin)}[by]
    if by == "either" and inner.get(key) is True and outer.get(key) is False and kin:
        return {key: True}
    return next(({key: place[key]} for place in places if place.get(key) is not None), {})


def read_config(
    config: Mapping[str, Any], *, name: str, origin: Origin, facts: Mapping[str, Any] | None = None,
    read_formats: bool = True,
) -> Model:  # fmt: skip
    """A model from the fields of its config; what is missing, impossible or not understood is a `BadInput`.

    `facts` are what is known of a catalogued model; without `read_formats` its weights are taken for unquantised.
    """
    flat, beside = text_config(config, name)
    family = flat.get("model_type")
    if family is not None and not isinstance(family, str):
        raise BadInput(f"{name}: the field model_type must be a string, found {shown(family)}")
    implied = families().get(family or "")
    fields = Fields(flat, name, {**(implied or {}), "known_family": implied is not None})
    _refuse_what_is_no_decoder(fields)
    if implied is None:
        told = f"model_type {shown(family)} is not known" if family else "it has no model_type"
        fields.assume(f"{told}: read by its fields alone, with what most decoders have where they are silent "
                      "(two norms of weights a layer, no biases but those stated)")  # fmt: skip
    shape, layer_parts = _architecture(fields)
    if not fields.has("torch_dtype", "dtype") and read_formats:
        fields.assume("no torch_dtype: weights taken for bf16")
    wide = _wide(fields)
    storage = read_storage(fields, wide, layer_parts) if read_formats else plain(wide)
    modules = next((fields.count(key, least=0, most=1000) for key in _MTP if fields.has(key)), 0)
    if fields.defaulted:
        absent = ", ".join(f"{key} {value:,}" for key, value in fields.defaulted.items())
        fields.assume(f"absent from the config, and as the code of its family has them: {absent}")
    unread = list(fields.unread())
    changing = [] if fields.known else [key for key in unread if CHANGES_CACHE.search(key)]
    if shape.experts is None and not fields.known:
        changing += [key for key in unread if re.search("expert|moe", key, re.IGNORECASE)]
    if changing:
        raise BadInput(f"{name}: the field {shown(changing[0])} may change what a layer is or keeps, and is not known; "
                       "describe the model by --params, --active and --kv-bytes")  # fmt: skip
    if unread:
        names = ", ".join(shown(key)[1:-1] for key in unread[:12])
        fields.assume(f"not interpreted, and taken to change no count: {names}"
                      + (f" and {len(unread) - 12} more" if len(unread) > 12 else ""))  # fmt: skip
    convention = (facts or {}).get("nearest_active_convention") or CONVENTIONS[0]
    return Model(
        name=name,
        total_params=float(sum(shape.parts().values())),
        active_params=float(sum(shape.active_parts().values())),
        origin=origin,
        storage=storage,
        kv_dtype=read_kv_format(fields),
        architecture=shape,
        published_convention=convention,
        beside=beside,
        assumed=tuple(fields.assumed),
        note=str((facts or {}).get("note", "")),
        looked_at=frozenset(fields.looked_at),
        mtp_modules=modules,
        config=config,
    )


_NO_DECODER = ("ForMaskedLM", "ForPreTraining", "ForCTC", "ForImageClassification", "CLIPModel", "SiglipModel",
               "BertModel", "RobertaModel", "ForAudioClassification", "ForSpeechSeq2Seq")  # fmt: skip


def _wide(fields: Fields) -> Dtype:
    """The format of what is not quantised."""
    name = fields.text("torch_dtype", "dtype", default="bfloat16").removeprefix("torch.")
    try:
        return dtype("bfloat16" if name == "auto" else name)
    except UnknownName as error:
        raise BadInput(f"{fields.name}: torch_dtype: {error}") from None


def _refuse_what_is_no_decoder(fields: Fields) -> None:
    """Encoders and encoder-decoders have other passes than a decoder, and an adapter's config is none of a model."""
    if fields.has("peft_type", "base_model_name_or_path"):
        raise BadInput(f"{fields.name}: this is the config of an adapter (peft_type); name the model under it")
    made_for = fields.raw("architectures")
    for word in made_for if isinstance(made_for, list) else []:
        if isinstance(word, str) and word.endswith(_NO_DECODER):
            raise BadInput(f"{fields.name}: an encoder ({word}) keeps no cache and is not read")
    if fields.has("type_vocab_size") and not fields.flag("is_decoder"):
        raise BadInput(f"{fields.name}: an encoder (type_vocab_size) keeps no cache and is not read")
    if fields.raw("is_encoder_decoder") is True or fields.has("encoder_layers", "num_decoder_layers"):
        raise BadInput(f"{fields.name}: an encoder-decoder (is_encoder_decoder, encoder_layers) is not read; "
                       "describe the model by --params, --active and --kv-bytes")  # fmt: skip


def _architecture(fields: Fields) -> tuple[Architecture, list[tuple[str, ...]]]:
    refuse_what_is_not_read(fields)
    hidden = fields.count("hidden_size", "n_embd", "n_embed", "d_model", "dim")
    if fields.has("word_embed_proj_dim") and fields.count("word_embed_proj_dim") != hidden:
        raise BadInput(f"{fields.name}: embeddings of another width than the layers (word_embed_proj_dim) are not read")
    layers, layer_parts = read_layers(fields, hidden)
    vocabulary = fields.count("vocab_size", "padded_vocab_size")
    vocabulary = fields.count("embedding_size", default=vocabulary)  # rows that are there, though never asked for
    silent = not fields.has("tie_word_embeddings", "weight_tying") and not fields.states("tie_word_embeddings")
    if silent:
        fields.assume("tie_word_embeddings is absent: embedding and head taken for one matrix, the format's default")
    longest = positions(fields)
    own = fields.count("hidden_size_per_layer_input", default=0, least=0)
    n_layers = sum(run.count for run in layers)
    beside = fields.count("positions_beside", default=0, least=0)
    learned = (longest + beside) * hidden * fields.flag("learned_positions")
    norms = fields.flag("do_layer_norm_before", default=True) + fields.flag("embedding_norm")
    rows = fields.count("vocab_size_per_layer_input", default=vocabulary)
    return Architecture(
        hidden, vocabulary, fields.flag("tie_word_embeddings", default=silent), layers,
        extra_norm_params=norms * norm_params(fields, hidden) + _head_streams(fields, hidden) + own,
        lookup_params=rows * n_layers * own + learned,
        projection_params=n_layers * own * hidden + _stream_projections(fields, hidden),
        head_bias=fields.flag("head_bias", "lm_head_bias", default=_biased_throughout(fields)),
        positions=longest or None,
    ), layer_parts  # fmt: skip


def _biased_throughout(fields: Fields) -> bool:
    """Whether the field that biases every projection biases the head too, as ERNIE's does."""
    return fields.flag("bias_to_head") and fields.flag("use_bias")


def _head_streams(fields: Fields, hidden: int) -> int:
    """What gathers the residual streams of hyper-connections before the head."""
    streams = fields.count("hc_mult", default=0, least=0)
    return streams * (streams * hidden + 1) + 1 if streams else 0


def _stream_projections(fields: Fields, hidden: int) -> int:
    """What spreads and gathers the streams of Gemma 3n."""
    inputs = fields.count("altup_num_inputs", default=1)
    return 2 * (inputs - 1) * hidden * hidden
