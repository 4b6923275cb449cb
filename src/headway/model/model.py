"""A model as the cost functions see it: what it weighs, what a token multiplies, what it keeps.

A model comes from a config (`headway.model.config`), where every figure follows from the architecture, or from bare
numbers. Either way it ends as the same named quantities on a worksheet, each with its origin.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from headway.errors import BadInput, UnknownName
from headway.model.architecture import Architecture
from headway.model.dtypes import Dtype, dtype
from headway.model.kept import Kept
from headway.model.storage import WIDE_PARTS, Stored, plain
from headway.provenance import Origin, Quantity, Reference

DEFAULT_DTYPE = "bf16"  # of weights and KV where neither the checkpoint nor the user says


@dataclass(frozen=True)
class Model:
    """A model with its name, its parameter counts, the formats it is stored in, and where all that was read.

    `beside` names what stands beside the text model and is not counted; `assumed` what neither the config nor the
    family says.
    """

    name: str
    total_params: float
    active_params: float
    origin: Origin
    storage: Mapping[str, Stored] = field(default_factory=lambda: plain(dtype(DEFAULT_DTYPE)))
    kv_dtype: Dtype = field(default_factory=lambda: dtype(DEFAULT_DTYPE))
    architecture: Architecture | None = None
    bare_kv_bytes_per_token: float | None = None
    published_convention: str = ""
    beside: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    mtp_modules: int = 0
    note: str = ""
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    looked_at: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    @property
    def positions(self) -> int | None:
        """The longest sequence that the config allows."""
        return self.architecture.positions if self.architecture else None

    @property
    def lookup_params(self) -> float:
        """Parameters that are looked up and neither multiplied nor streamed: an untied input embedding."""
        return float(self.architecture.looked_up) if self.architecture else 0.0

    @property
    def published_active_params(self) -> float | None:
        """Active parameters by the convention nearest to the makers' figure; with embeddings where they state none."""
        shape = self.architecture
        return None if shape is None else shape.active_by_convention()[self.published_convention]

    @property
    def mtp_params(self) -> float:
        """About what the multi-token-prediction modules hold beside the model, embedding and head being shared.

        A module is taken for a layer like the model's largest, a projection of two hidden states to one, and three
        norms: the form of DeepSeek-V3 (arXiv 2412.19437 §2.2).
        """
        if self.architecture is None:
            return 0.0
        hidden = self.architecture.hidden_size
        return float(self.mtp_modules * (self.architecture.largest_layer_params + 2 * hidden**2 + 3 * hidden))

    @property
    def weight_dtype(self) -> Dtype:
        """The format of most weights, which says at what rate they are multiplied."""
        if self.architecture is None:
            return self.storage["dense_mlp"].dtype
        held: dict[str, int] = {}
        for part, params in self.architecture.parts().items():
            name = self.storage[part].dtype.name
            held[name] = held.get(name, 0) + params
        return dtype(max(held, key=lambda name: held[name]))

    @property
    def wide_dtype(self) -> Dtype:
        """The format of what is not quantised."""
        return self.storage["embedding"].dtype

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weights as stored, part by part in its own format."""
        return self.read_weight_bytes + self.lookup_params * self.storage["embedding"].bytes_per_param

    @property
    def read_weight_bytes(self) -> float:
        """Bytes of the weights that a pass streams: all but what is looked up."""
        if self.architecture is None:
            return self.total_params * self.storage["dense_mlp"].bytes_per_param
        parts = dict(self.architecture.parts())
        parts["embedding"] -= self.architecture.looked_up
        return float(sum(params * self.storage[part].bytes_per_param for part, params in parts.items()))

    @property
    def kept(self) -> tuple[Kept, ...]:
        """The groups of the cache; one that grows with every token for bare numbers that say how."""
        if self.architecture is not None:
            return self.architecture.kept
        kv = self.bare_kv_bytes_per_token
        return () if kv is None else (Kept(kv / self.kv_dtype.bytes_per_number, 0.0, "as stated"),)

    @property
    def cache_is_plain(self) -> bool:
        """Whether the cache is one group that grows with every token and is read as a whole."""
        shape = self.architecture
        return shape is None or (len(shape.kept) == 1 and shape.kept[0].name == "full" and not shape.states)

    @property
    def kv_bytes_per_token(self) -> float | None:
        """Bytes by which the cache grows with each token, all layers that no window bounds; None if not known."""
        if self.architecture is None:
            return self.bare_kv_bytes_per_token
        return self.architecture.kv_numbers_per_token * self.kv_dtype.bytes_per_number

    @property
    def kv_window_bytes_per_token(self) -> float:
        """Bytes that a token keeps beside them while it is within the windows."""
        shape = self.architecture
        return shape.window_numbers_per_token * self.kv_dtype.bytes_per_number if shape else 0.0

    @property
    def state_bytes(self) -> float:
        """Bytes of recurrent state that a sequence keeps at any length."""
        return self.architecture.state_bytes if self.architecture else 0.0

    def quantities(self) -> list[Quantity]:
        """The model as named quantities for a worksheet."""
        return list(self._quantities)

    @functools.cached_property
    def _quantities(self) -> list[Quantity]:
        read = self.total_params - self.lookup_params
        wide = Origin("config", f"{self.wide_dtype.name}, the format of the checkpoint's unquantised parts")
        stored = self.read_weight_bytes / read
        return [
            Quantity("total_params", self.total_params, "params", self.noted(self._made_of())),
            Quantity("lookup_params", self.lookup_params, "params", self.noted("looked up: the input embedding")),
            Quantity("active_params", self.active_params, "params", self.noted("parameters that a token multiplies")),
            Quantity("weight_bytes_per_param", stored, "B", self.noted(self.stored_as())),
            Quantity("lookup_bytes_per_param", self.storage["embedding"].bytes_per_param, "B", wide),
            *self._cache(),
            *self._of_the_architecture(),
        ]  # fmt: skip

    def _cache(self) -> list[Quantity]:
        """What the cache keeps for a token; of a cache that is not plain, each group and the states."""
        if self.cache_is_plain:
            note = " + ".join(f"{kept.text} x {self._number()}" for kept in self.kept) if self.architecture else ""
            return [self._or_gap("kv_bytes_per_token", self.kv_bytes_per_token, "B", "supply --kv-bytes", note)]
        rows = []
        for kept in self.kept:
            size = kept.numbers * self.kv_dtype.bytes_per_number
            rows.append(Quantity(self.bytes_name(kept), size, "B", self.noted(f"{kept.text} x {self._number()}")))
            if math.isfinite(kept.bound):
                rows.append(
                    Quantity(f"{kept.name}_tokens", kept.bound, "tokens", self.noted("as many as a token reads"))
                )
            if kept.bound < kept.stored_tokens < math.inf:
                name = kept.bound_name(kept.stored_tokens)
                rows.append(Quantity(name, kept.stored_tokens, "tokens", self.noted("as many as are kept")))
        assert self.architecture is not None
        states = " + ".join(state.text for state in self.architecture.states)
        if self.state_bytes:
            rows.append(Quantity("state_bytes", self.state_bytes, "B", self.noted(states)))
        return rows

    def bytes_name(self, kept: Kept) -> str:
        """What the bytes for a token of a group are called; the only group that grows has no name of its own."""
        growing = [group for group in self.kept if not math.isfinite(group.stored_tokens)]
        return "kv_bytes_per_token" if growing == [kept] else f"{kept.name}_kv_bytes_per_token"

    def figure_name(self, kept: Kept, figure: str) -> str:
        """What the arithmetic of a group is called; that of a plain cache has no name of its own."""
        return figure if self.cache_is_plain else f"{kept.name}_{figure}"

    def _of_the_architecture(self) -> list[Quantity]:
        """What only an architecture tells; gaps where the model is bare numbers, or has no experts."""
        shape = self.architecture
        block = shape.experts if shape else None
        why = "bare numbers have no architecture; name a model, or give a config.json" if shape is None else ""
        dense = why or "it has no routed experts"
        rows = [
            ("routed_params", float(shape.parts()["routed_experts"]) if shape else None, "params", why),
            ("routed_format_ratio", self._routed_format_ratio, "1", why),
            ("n_experts", float(block.n_experts) if block else None, "experts", dense),
            ("experts_per_token", float(block.experts_per_token) if block else None, "experts", dense),
            ("moe_layers", float(shape.moe_layers) if shape else None, "layers", why),
            ("n_layers", float(shape.n_layers) if shape else None, "layers", why),
            ("hidden_size", float(shape.hidden_size) if shape else None, "1", why),
            ("expert_input_size", float(block.expert_input_size) if block else None, "1", dense),
        ]
        return [self._or_gap(name, value, unit, reason) for name, value, unit, reason in [*rows, *self._flop(why)]]

    @property
    def _routed_format_ratio(self) -> float:
        """Bytes of a parameter of routed experts over the mean of all that are read; 1 where nothing is known."""
        mean = self.read_weight_bytes / (self.total_params - self.lookup_params)
        return self.storage["routed_experts"].bytes_per_param / mean

    def _flop(self, why: str) -> list[tuple[str, float | None, str, str]]:
        """Arithmetic of attention for a pair of tokens, of each group, and of the states."""
        figures = ("pair_flop", "expanded_pair_flop", "expansion_flop")
        if self.architecture is None:
            return [(f"{figure}{_PER_TOKEN.get(figure, '')}", None, "FLOP", why) for figure in figures]
        rows: list[tuple[str, float | None, str, str]] = [
            (self.figure_name(kept, f"{figure}{_PER_TOKEN.get(figure, '')}"), getattr(kept, figure), "FLOP", why)
            for kept in self.kept
            for figure in figures
        ]
        if self.state_bytes:
            rows.append(("state_flop", float(sum(state.flop for state in self.architecture.states)), "FLOP", why))
        return rows

    def _or_gap(self, name: str, value: float | None, unit: str, why: str, note: str = "") -> Quantity:
        gap = "" if value is not None else f"{name} of {self.name} is not known: {why}"
        return Quantity(name, value, unit, self.noted(note), gap)

    def _made_of(self) -> str:
        """The sum that the total is."""
        parts = self.architecture.parts() if self.architecture else {}
        return " + ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in parts.items() if count)

    def _number(self) -> str:
        return f"{self.kv_dtype.bytes_per_number:g} B ({self.kv_dtype.name})"

    def stored_as(self) -> str:
        """The formats of the weights in words."""
        if self.architecture is None:
            return f"weights in {self.weight_dtype.name}"
        present = [part for part, params in self.architecture.parts().items() if params]
        formats: dict[str, list[str]] = {}
        for part in present:
            formats.setdefault(self.storage[part].dtype.name, []).append(_WORDS[part])
        if len(formats) == 1:
            return f"weights in {next(iter(formats))}"
        ordered = sorted(formats, key=lambda name: name == self.wide_dtype.name)
        narrow = [f"{_listed(formats[name])} in {name}" for name in ordered[:-1]]
        return f"{'; '.join(narrow)}; the rest in {ordered[-1]}"

    def noted(self, note: str) -> Origin:
        """The model's origin with a remark."""
        return Origin(self.origin.kind, self.origin.where, self.origin.references, note)


_WORDS = {"embedding": "embedding", "lm_head": "head", "attention": "attention", "dense_mlp": "dense blocks",
          "routed_experts": "routed experts", "shared_experts": "shared experts", "router": "routers",
          "norm": "norms"}  # fmt: skip


_PER_TOKEN = {"expansion_flop": "_per_token"}


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def stored_in(model: Model, text: str) -> dict[str, Stored]:
    """The storage of a model whose weights are in other formats: one for all that is linear, and of single parts.

    Written `fp8`, or `nvfp4,attention=bf16`, or `attention=fp8` beside what the checkpoint has. Without being named,
    what is wide is no narrower than the rest.
    """
    storage = dict(model.storage)
    for place, entry in enumerate(text.split(",")):
        part, equals, name = (word.strip() for word in entry.partition("="))
        asked = dtype(name if equals else part)
        stored = Stored(asked, asked.bytes_per_number)
        if equals:
            if part not in storage:
                raise UnknownName("part of a model", part, storage)
            storage[part] = stored
            continue
        if place:
            raise BadInput(
                f"the format of all weights comes once and first, such as nvfp4,attention=bf16; got {text!r}"
            )
        narrow = asked.bytes_per_number < model.wide_dtype.bytes_per_number
        storage |= {other: stored for other in storage if not (narrow and other in WIDE_PARTS)}
    return storage


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
        storage=plain(dtype(weight_dtype or DEFAULT_DTYPE)),
        bare_kv_bytes_per_token=kv_bytes_per_token,
    )


def references(facts: Mapping[str, Any]) -> tuple[Reference, ...]:
    """The page a catalogued config was read on."""
    return (Reference(facts["config_source"], facts["checked"]),) if "config_source" in facts else ()
