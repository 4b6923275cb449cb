"""A model as the cost functions see it: what it weighs, what a token multiplies, what it keeps.

A model comes from a config (`headway.model.config`), where every figure follows from the architecture, or from bare
numbers. Either way it ends as the same named quantities on a worksheet, each with its origin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headway.errors import BadInput
from headway.model.dtypes import Dtype, dtype
from headway.model.layers import Layers, MixtureOfExperts
from headway.provenance import Origin, Quantity, Reference

DEFAULT_DTYPE = "bf16"  # of weights and KV where neither the checkpoint nor the user says
DEFAULT_KV_DTYPE = "bf16"


@dataclass(frozen=True)
class Architecture:
    """The shape of a decoder: runs of layers between an embedding and a head."""

    hidden_size: int
    vocab_size: int
    tied_embeddings: bool
    layers: tuple[Layers, ...]

    @property
    def n_layers(self) -> int:
        """Layers in all."""
        return sum(run.count for run in self.layers)

    @property
    def moe_layers(self) -> int:
        """Layers that route tokens to experts."""
        return sum(run.count for run in self.layers if isinstance(run.feed_forward, MixtureOfExperts))

    @property
    def experts(self) -> MixtureOfExperts | None:
        """The routed block, if there is one."""
        blocks = [run.feed_forward for run in self.layers]
        return next((block for block in blocks if isinstance(block, MixtureOfExperts)), None)

    def parts(self) -> dict[str, int]:
        """Parameters part by part; they sum to the total."""
        count = dict.fromkeys(
            ("embedding", "lm_head", "attention", "dense_mlp", "routed_experts", "shared_experts", "router", "norm"), 0
        )
        count["embedding"] = self.vocab_size * self.hidden_size
        count["lm_head"] = 0 if self.tied_embeddings else self.vocab_size * self.hidden_size
        count["norm"] = self.hidden_size
        for run in self.layers:
            count["attention"] += run.count * run.attention.params
            count["norm"] += run.count * run.norm_params
            block = run.feed_forward
            if isinstance(block, MixtureOfExperts):
                count["routed_experts"] += run.count * block.routed_params
                count["shared_experts"] += run.count * block.shared_params
                count["router"] += run.count * block.router_params
            else:
                count["dense_mlp"] += run.count * block.params
        return count

    def active_parts(self) -> dict[str, int]:
        """Parameters that one token multiplies: of the routed experts its own, of an untied embedding none."""
        count = self.parts()
        count["routed_experts"] = sum(
            run.count * run.feed_forward.experts_per_token * run.feed_forward.expert_params
            for run in self.layers
            if isinstance(run.feed_forward, MixtureOfExperts)
        )
        if not self.tied_embeddings:
            count["embedding"] = 0  # looked up, one row a token
        return count

    @property
    def kv_numbers_per_token(self) -> int:
        """Numbers that the cache keeps for one token, all layers."""
        return sum(run.count * run.attention.kv_numbers_per_token for run in self.layers)

    def over_layers(self, figure: str) -> float:
        """A figure of the attention (`pair_flop`, `expanded_pair_flop`, `expansion_flop`) summed over all layers."""
        return float(sum(run.count * getattr(run.attention, figure) for run in self.layers))


# Parts that quantised checkpoints leave in the wide format (the `modules_to_not_convert` of published fp8 configs).
WIDE_PARTS = ("embedding", "lm_head", "router", "norm")


@dataclass(frozen=True)
class Model:
    """A model with its name, its parameter counts, the formats it is stored in, and where all that was read."""

    name: str
    total_params: float
    active_params: float
    origin: Origin
    weight_dtype: Dtype = field(default_factory=lambda: dtype(DEFAULT_DTYPE))
    wide_dtype: Dtype = field(default_factory=lambda: dtype(DEFAULT_DTYPE))
    kv_dtype: Dtype = field(default_factory=lambda: dtype(DEFAULT_KV_DTYPE))
    scale_bytes_per_param: float = 0.0
    architecture: Architecture | None = None
    bare_kv_bytes_per_token: float | None = None
    published_active_params: float | None = None
    published_convention: str = ""
    mtp_note: str = ""
    positions: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def lookup_params(self) -> float:
        """Parameters that are looked up and neither multiplied nor streamed: an untied input embedding."""
        shape = self.architecture
        return 0.0 if shape is None or shape.tied_embeddings else float(shape.parts()["embedding"])

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weights as stored, part by part in its own format."""
        return self.read_weight_bytes + self.lookup_params * self.wide_dtype.bytes_per_number

    @property
    def read_weight_bytes(self) -> float:
        """Bytes of the weights that a pass streams: all but a looked-up embedding."""
        narrow = self.weight_dtype.bytes_per_number + self.scale_bytes_per_param
        if self.architecture is None:
            return self.total_params * narrow
        parts = self.architecture.parts()
        wide = sum(parts[part] for part in WIDE_PARTS) - self.lookup_params
        return wide * self.wide_dtype.bytes_per_number + (self.total_params - self.lookup_params - wide) * narrow

    @property
    def kv_bytes_per_token(self) -> float | None:
        """Bytes of KV cache that one token keeps, all layers; None for bare numbers that do not say."""
        if self.architecture is None:
            return self.bare_kv_bytes_per_token
        return self.architecture.kv_numbers_per_token * self.kv_dtype.bytes_per_number

    def quantities(self) -> list[Quantity]:
        """The model as named quantities for a worksheet."""
        read = self.total_params - self.lookup_params
        wide = Origin("config", f"{self.wide_dtype.name}, the format of the checkpoint's unquantised parts")
        stored = self.read_weight_bytes / read
        return [
            Quantity("total_params", self.total_params, "params", self._noted(self._made_of())),
            Quantity("lookup_params", self.lookup_params, "params", self._noted("the untied input embedding")),
            Quantity("active_params", self.active_params, "params", self._noted("parameters that a token multiplies")),
            Quantity("weight_bytes_per_param", stored, "B", self._noted(self.stored_as())),
            Quantity("lookup_bytes_per_param", self.wide_dtype.bytes_per_number, "B", wide),
            self._or_gap("kv_bytes_per_token", self.kv_bytes_per_token, "B", "supply --kv-bytes", self._kept_as()),
            *self._of_the_architecture(),
        ]  # fmt: skip

    def _of_the_architecture(self) -> list[Quantity]:
        """What only an architecture tells; gaps where the model is bare numbers, or has no experts."""
        shape = self.architecture
        block = shape.experts if shape else None
        why = "bare numbers have no architecture; name a model, or give a config.json" if shape is None else ""
        dense = why or "it has no routed experts"
        rows = [
            ("routed_params", float(shape.parts()["routed_experts"]) if shape else None, "params", why),
            ("n_experts", float(block.n_experts) if block else None, "experts", dense),
            ("experts_per_token", float(block.experts_per_token) if block else None, "experts", dense),
            ("moe_layers", float(shape.moe_layers) if shape else None, "layers", why),
            ("n_layers", float(shape.n_layers) if shape else None, "layers", why),
            ("hidden_size", float(shape.hidden_size) if shape else None, "1", why),
        ]
        for name, figure in (("pair_flop", "pair_flop"), ("expanded_pair_flop", "expanded_pair_flop"),
                             ("expansion_flop_per_token", "expansion_flop")):  # fmt: skip
            rows.append((name, shape.over_layers(figure) if shape else None, "FLOP", why))
        return [self._or_gap(name, value, unit, reason) for name, value, unit, reason in rows]

    def _or_gap(self, name: str, value: float | None, unit: str, why: str, note: str = "") -> Quantity:
        gap = "" if value is not None else f"{name} of {self.name} is not known: {why}"
        return Quantity(name, value, unit, self._noted(note), gap)

    def _made_of(self) -> str:
        """The sum that the total is."""
        parts = self.architecture.parts() if self.architecture else {}
        return " + ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in parts.items() if count)

    def _kept_as(self) -> str:
        """The product that the KV cache of a token is."""
        stored = f"{self.kv_dtype.bytes_per_number:g} B ({self.kv_dtype.name})"
        runs = self.architecture.layers if self.architecture else ()
        layers: dict[str, int] = {}
        for run in runs:
            layers[run.attention.kept] = layers.get(run.attention.kept, 0) + run.count
        return " + ".join(f"{count} layers x {kept} x {stored}" for kept, count in layers.items())

    def stored_as(self) -> str:
        """The formats of the weights in words."""
        if self.architecture is None or self.weight_dtype == self.wide_dtype:
            return f"weights in {self.weight_dtype.name}"
        return (
            f"linear weights in {self.weight_dtype.name} with their scales; "
            f"embedding, head, router and norms in {self.wide_dtype.name}"
        )

    def _noted(self, note: str) -> Origin:
        return Origin(self.origin.kind, self.origin.where, self.origin.references, note)


def bare_model(
    total_params: float, active_params: float | None = None, kv_bytes_per_token: float | None = None,
    weight_dtype: str | None = None,
) -> Model:  # fmt: skip
    """A model given by bare numbers; without `active_params` it is dense."""
    active = total_params if active_params is None else active_params
    if active > total_params:
        raise BadInput(f"active parameters ({active:g}) cannot exceed the total ({total_params:g})")
    return Model(
        name="bare numbers",
        total_params=total_params,
        active_params=active,
        origin=Origin("user", "--params, --active and --kv-bytes"),
        weight_dtype=dtype(weight_dtype or DEFAULT_DTYPE),
        bare_kv_bytes_per_token=kv_bytes_per_token,
    )


def references(facts: Mapping[str, Any]) -> tuple[Reference, ...]:
    """The page a catalogued config was read on."""
    return (Reference(facts["config_source"], facts["checked"]),) if "config_source" in facts else ()
