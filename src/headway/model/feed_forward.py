"""Kinds of feed-forward block: what each weighs and multiplies."""

from __future__ import annotations

from dataclasses import dataclass

from headway.equations import moe
from headway.model.block import Block


class FeedForward(Block):
    """What a layer does to each token by itself; it keeps nothing."""


@dataclass(frozen=True)
class Mlp(FeedForward):
    """A dense block: gate, up and down projections, or without `gated` the two of the first transformers."""

    hidden_size: int
    intermediate_size: int
    bias: bool = False
    gated: bool = True
    activation_params: int = 0

    @property
    def params(self) -> int:
        """Matrices and biases, and what an activation has learned."""
        up = 1 + self.gated
        biases = (up * self.intermediate_size + self.hidden_size) * self.bias
        return (up + 1) * self.hidden_size * self.intermediate_size + biases + self.activation_params

    @property
    def parts(self) -> dict[str, int]:
        """All of it is dense."""
        return {"dense_mlp": self.params}


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

    @property
    def expert_params(self) -> int:
        """Weights of one routed expert."""
        return Mlp(self.expert_input_size, self.expert_intermediate_size, self.expert_bias, self.gated).params

    @property
    def routed_params(self) -> int:
        """Weights of all routed experts."""
        matrices = 2 + self.gated
        weights = moe.routed_params(1, self.n_experts, self.expert_input_size, self.expert_intermediate_size, matrices)
        biases = self.expert_params - matrices * self.expert_input_size * self.expert_intermediate_size
        return int(weights) + self.n_experts * biases

    @property
    def shared_params(self) -> int:
        """Weights that every token visits: shared experts with their gate, and the projections of a latent."""
        width = self.shared_intermediate_size
        block = Mlp(self.hidden_size, width, self.shared_bias, self.gated).params
        shared = block + self.hidden_size * self.shared_gate if width else 0
        latent = 0 if self.latent_size is None else 2 * self.hidden_size * self.latent_size
        latent += (self.hidden_size + (self.latent_size or 0)) * self.shared_bias if latent else 0
        return shared + latent + (self.latent_size or 0) * self.latent_norm

    @property
    def router_params(self) -> int:
        """What scores experts; the bias of auxiliary-loss-free routing counts where it is a parameter, no buffer."""
        experts = self.n_experts + self.zero_experts
        return (self.hidden_size + self.router_bias) * experts + (self.hidden_size + experts) * self.router_scales

    @property
    def parts(self) -> dict[str, int]:
        """Routed and shared experts, and the router."""
        return {"routed_experts": self.routed_params, "shared_experts": self.shared_params,
                "router": self.router_params}  # fmt: skip

    @property
    def active(self) -> dict[str, float]:
        """Of the routed experts only those chosen."""
        return {**self.parts, "routed_experts": self.experts_per_token * self.expert_params}
