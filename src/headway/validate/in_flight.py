"""What an engine keeps alive of work that is under way: part of a measured peak of memory, and of nothing else.

An engine that encodes ahead of the chip holds the arrays of every command buffer until it is done. What these buffers
touch is weights and activations, in the proportion in which the layers have them; the weights are there anyway, so the
share of the activations is what comes on top. Which engine runs how far ahead stands in `runtimes.toml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headway.model.model import Model
from headway.step.operators import Operators, operators
from headway.validate.measured import Row
from headway.validate.tables import first

BYTES = 2.0  # of a number: activations are 16 bits wide; the words of packed weights are counted as if they were, too


def in_flight_bytes(row: Row, model: Model, tokens: float) -> float:
    """Activations that the engine of a row keeps alive in a pass of so many tokens [B]; 0 where nothing is known of it.

    At most those of the whole pass.
    """
    runtime = first("runtimes", "runtime", row)
    if runtime is None or model.architecture is None:
        return 0.0
    return touched_bytes(operators(model), model, min(tokens, runtime["chunk_tokens"]), runtime)


def touched_bytes(ops: Operators, model: Model, tokens: float, runtime: Mapping[str, Any]) -> float:
    """Of the numbers that the buffers under way touch, those that are activations [B]."""
    activations = BYTES * tokens * numbers_per_token(ops, model)
    weights = sum(one.params * _copies(ops, one.bank) * model.storage[one.part].bytes_per_param
                  for one in ops.multiplies if one.tokens != "head")  # fmt: skip
    share = activations / (activations + weights)
    return float(min(activations, runtime["buffers"] * runtime["numbers"] * BYTES * share))


def numbers_per_token(ops: Operators, model: Model) -> float:
    """Numbers that a token's pass writes: results of all matrices, in and out of every core, before every block."""
    used = {bank.name: bank.experts_per_token for bank in ops.banks}
    written = sum(one.layers * one.times * one.outputs * (used[one.bank] if one.tokens == "expert" else 1.0)
                  for one in ops.multiplies if one.tokens != "head")  # fmt: skip
    cores = sum(one.layers * one.width for one in ops.attends)
    hidden = model.architecture.hidden_size if model.architecture else 0
    return float(written + cores + hidden * (ops.mixing_layers + ops.feeding_layers))


def _copies(ops: Operators, bank: str) -> float:
    return next((float(one.n_experts) for one in ops.banks if one.name == bank), 1.0)
