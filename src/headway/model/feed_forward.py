"""Kinds of feed-forward block: what each weighs and multiplies."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from headway.model.block import Block
from headway.model.matrices import Matrix, Vector, count_params, present


class FeedForward(Block):
    """What a layer does to each token by itself; it keeps nothing."""


def _projections(part: str, hidden: int, width: int, *, gated: bool, bias: bool) -> tuple[Matrix, ...]:
    """Gate, up and down, dealt by features: a chip gates, and sums up, those that it has."""
    if not width:
        return ()
    wide = ("gate", "up") if gated else ("up",)
    return (
        *(Matrix(name, part, hidden, width, width, others=width * bias) for name in wide),
        Matrix("down", part, width, hidden, width, "inputs", others=hidden * bias),
    )


@dataclass(frozen=True)
class Mlp(FeedForward):
    """A dense block: gate, up and down projections, or without `gated` the two of the first transformers."""

    hidden_size: int
    intermediate_size: int
    bias: bool = False
    gated: bool = True
    activation_params: int = 0

    @functools.cached_property
    def matrices(self) -> tuple[Matrix, ...]:
        """Gate, up and down."""
        return _projections("dense_mlp", self.hidden_size, self.intermediate_size, gated=self.gated, bias=self.bias)

    @functools.cached_property
    def vectors(self) -> tuple[Vector, ...]:
        """What an activation has learned."""
        return present(Vector("activation", "dense_mlp", self.activation_params))


@dataclass(frozen=True)
class MixtureOfExperts(FeedForward):
    """A routed block: each token is sent to some experts of `n_experts`, and to all shared ones.

    `experts_per_token` is an expectation where `zero_experts`, which do nothing, are among those routed to. Experts of
    a `latent_size` work on a projection of the token.
    """

    hidden_size: int
    n_experts: int
    experts_per_token: float
    expert_intermediate_size: int
    shared_intermediate_size: int = 0
    gated: bool = True
    expert_bias: bool = False
    shared_bias: bool = False
    router_bias: bool = False
    router_scales: bool = False  # a scale for each input and each expert, as Gemma 4 has
    shared_gate: bool = False
    zero_experts: int = 0
    latent_size: int | None = None
    latent_norm: bool = False

    @property
    def expert_input_size(self) -> int:
        """Width of what is sent to an expert."""
        return self.latent_size or self.hidden_size

    @functools.cached_property
    def matrices(self) -> tuple[Matrix, ...]:
        """What every token visits: the router, shared experts and their gate, the projections to a latent and back.

        Only the shared experts are dealt out; routers, gates and the latent's projections engines keep whole (vLLM's
        `GateLinear` and the `ReplicatedLinear` of its Nemotron-H).
        """
        h, shared, experts = self.hidden_size, "shared_experts", self.n_experts + self.zero_experts
        width, latent = self.shared_intermediate_size, self.latent_size
        made = [Matrix("router", "router", h, experts, others=experts * self.router_bias)]
        made += _projections(shared, h, width, gated=self.gated, bias=self.shared_bias)
        if width and self.shared_gate:
            made.append(Matrix("shared_gate", shared, h, 1))
        if latent:
            made.append(Matrix("latent_down", shared, h, latent, others=latent * self.shared_bias))
            made.append(Matrix("latent_up", shared, latent, h, others=h * self.shared_bias))
        return tuple(made)

    @functools.cached_property
    def vectors(self) -> tuple[Vector, ...]:
        """Scales of what the router reads and of its experts; the norm of a latent."""
        scales = (self.hidden_size + self.n_experts + self.zero_experts) * self.router_scales
        norm = (self.latent_size or 0) * self.latent_norm
        return present(Vector("router_scales", "router", scales), Vector("latent_norm", "shared_experts", norm))

    @functools.cached_property
    def expert_matrices(self) -> tuple[Matrix, ...]:
        """Those of one routed expert, which only the tokens that are sent to it visit."""
        return _projections("routed_experts", self.expert_input_size, self.expert_intermediate_size,
                            gated=self.gated, bias=self.expert_bias)  # fmt: skip

    @property
    def expert_params(self) -> int:
        """Weights of one routed expert."""
        return count_params(self.expert_matrices)

    @property
    def routed_params(self) -> int:
        """Weights of all routed experts."""
        return self.n_experts * self.expert_params

    @property
    def parts(self) -> dict[str, int]:
        """Routed and shared experts, and the router."""
        return {"routed_experts": self.routed_params, "shared_experts": 0, **super().parts}

    @property
    def active(self) -> dict[str, float]:
        """Of the routed experts only those chosen."""
        return {**self.parts, "routed_experts": self.experts_per_token * self.expert_params}
