"""What one token costs a model at a context, decoded or of a prompt: cache kept and read, arithmetic, weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from headway.equations import kv_variants, roofline
from headway.errors import BadInput, shown
from headway.model.cache import write_attention_flop, write_read, write_read_once, write_stored
from headway.model.config import load_model
from headway.model.model import Model
from headway.provenance import Origin, Quantity, Worksheet


@dataclass(frozen=True)
class Description:
    """A model's figures at a list of contexts, on a worksheet."""

    model: Model
    sheet: Worksheet

    def value(self, name: str) -> Any:
        """A quantity of the worksheet, None for a gap."""
        return self.sheet.value(name)


def describe(model: Model | str | Path | Mapping[str, Any], contexts: Any = 0) -> Description:
    """Figures at each context (tokens): of one decoded token, and of a prompt of that many tokens, for each of its own.

    The model may be one, or what `load_model` takes. A decoded token reads the cache that a sequence of the context
    stores, as far as its layers look. A prompt is one pass on an empty cache; of a context of 0 it is taken as one
    token. Raises `BadInput` for contexts that are no numbers of at least 0.

    >>> describe("deepseek-v3", [8000]).value("kv_read_bytes_per_token")
    array([5.62176e+08])
    """
    model = model if isinstance(model, Model) else load_model(model)
    sheet = Worksheet(model.quantities())
    asked = Origin("user", "the question")
    tokens = _tokens(contexts)
    sheet.give(Quantity("context_tokens", tokens, "tokens", asked))
    sheet.give(Quantity("prompt_tokens", np.maximum(tokens, 1.0), "tokens", asked))
    sheet.give(Quantity("one", 1.0, "sequences", Origin("default", "one sequence, one new token")))
    sheet.give(Quantity("no_tokens", 0.0, "tokens", Origin("default", "nothing cached before a prompt")))
    sheet.compute_all([
        ("read_params", roofline.read_params, "params", "total_params lookup_params"),
        ("weight_bytes", roofline.stored_weight_bytes, "B",
         "read_params weight_bytes_per_param lookup_params lookup_bytes_per_param"),
    ])  # fmt: skip
    _decode(sheet, model)
    _prefill(sheet, model)
    return Description(model, sheet)


def _tokens(contexts: Any) -> np.ndarray[Any, Any]:
    try:
        tokens = np.asarray(contexts, dtype=float)
    except (TypeError, ValueError, OverflowError):
        raise BadInput(f"contexts are numbers of tokens, found {shown(contexts)}") from None
    if tokens.size == 0 or tokens.ndim > 1 or not np.all(np.isfinite(tokens)) or np.any(tokens < 0):
        raise BadInput(f"contexts are numbers of tokens, at least 0, found {shown(contexts)}")
    return tokens


def _decode(sheet: Worksheet, model: Model) -> None:
    """One new token behind the context."""
    write_stored(sheet, model, "context_tokens", "kv_stored_bytes")
    write_read(sheet, model, "context_tokens", "kv_read_bytes_per_token")
    write_attention_flop(sheet, model, "one", passed="one", suffix="_of_token", as_cached=True)
    sheet.compute_all([
        ("matmul_flop_of_token", roofline.flop_per_sequence, "FLOP", "pass_tokens=one active_params"),
        ("flops_per_token", roofline.pass_flop, "FLOP",
         "matmul_flop=matmul_flop_of_token attention_flop=attention_flop_of_token"),
    ])  # fmt: skip


def _prefill(sheet: Worksheet, model: Model) -> None:
    """A prompt in one pass, its own keys and values read once."""
    write_read_once(sheet, model, "prompt_tokens", "prefill_kv_read_bytes")
    write_attention_flop(sheet, model, "one", passed="prompt_tokens", context="no_tokens", suffix="_of_prompt")
    sheet.compute_all([
        ("prefill_kv_read_bytes_per_token", kv_variants.share_of_token_bytes, "B",
         "sequence_bytes=prefill_kv_read_bytes tokens=prompt_tokens"),
        ("matmul_flop_of_prompt", roofline.flop_per_sequence, "FLOP", "pass_tokens=prompt_tokens active_params"),
        ("flop_of_prompt", roofline.pass_flop, "FLOP",
         "matmul_flop=matmul_flop_of_prompt attention_flop=attention_flop_of_prompt"),
        ("prefill_flops_per_token", roofline.flop_per_token, "FLOP", "pass_flop=flop_of_prompt tokens=prompt_tokens"),
    ])  # fmt: skip
