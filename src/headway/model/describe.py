"""What one token costs a model at a context: KV read, arithmetic, and the memory that the weights take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headway.equations import attention, kv_variants, roofline
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


def describe(model: Model, contexts: Any) -> Description:
    """KV bytes read and FLOP for one decoded token at each context, in full attention."""
    sheet = Worksheet(model.quantities())
    asked = Origin("user", "the question")
    sheet.give(Quantity("context_tokens", np.asarray(contexts, dtype=float), "tokens", asked))
    sheet.give(Quantity("one", 1.0, "sequences", Origin("default", "one sequence, one new token")))
    sheet.compute_all([
        ("read_params", roofline.read_params, "params", "total_params lookup_params"),
        ("weight_bytes", roofline.stored_weight_bytes, "B",
         "read_params weight_bytes_per_param lookup_params lookup_bytes_per_param"),
        ("kv_read_bytes_per_token", kv_variants.full_bytes, "B", "context_tokens kv_bytes_per_token"),
        ("matmul_flop_per_token", roofline.flop_per_sequence, "FLOP", "pass_tokens=one active_params"),
        ("attended_tokens", attention.mean_attended_tokens, "tokens", "pass_tokens=one context_tokens"),
        ("attention_flop_per_token", attention.attention_flop, "FLOP",
         "batch=one pass_tokens=one attended_tokens pair_flop"),
        ("flops_per_token", roofline.pass_flop, "FLOP",
         "matmul_flop=matmul_flop_per_token attention_flop=attention_flop_per_token"),
    ])  # fmt: skip
    return Description(model, sheet)
