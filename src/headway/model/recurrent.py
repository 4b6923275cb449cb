"""Mixers with a state of a fixed size in the place of a cache: linear attention, state-space models, convolutions.

The arithmetic of their states counts products of two numbers that are added up: writing the new token, reading the
result, and for the delta rule reading the old value first. Decays, gates and the short convolutions are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from headway.equations import attention
from headway.model.attention import Mixer
from headway.model.kept import State

CONVOLUTION_BYTES = 2.0  # the newest inputs of a short convolution are kept as activations


def _matrix(heads: int, rows: int, columns: int, bytes_per_number: float, products: int) -> State:
    flop = float(attention.state_flop(1, heads, rows, columns, products))
    return State(float(heads * rows * columns), bytes_per_number, flop, f"{heads} heads x {rows} x {columns}")


def _convolution(channels: int, kernel: int) -> State:
    return State(float(channels * kernel), CONVOLUTION_BYTES, 0.0, f"{channels} channels x {kernel}")


@dataclass(frozen=True)
class GatedDelta(Mixer):
    """Gated delta net, as in Qwen3-Next (S. Yang et al. 2024, arXiv 2412.06464): keys, values, a gate and decays."""

    hidden_size: int
    n_key_heads: int
    n_value_heads: int
    key_dim: int
    value_dim: int
    kernel: int
    state_bytes: float

    @property
    def _widths(self) -> tuple[int, int]:
        return self.n_key_heads * self.key_dim, self.n_value_heads * self.value_dim

    @property
    def params(self) -> int:
        """Queries, keys, values, the gate; two numbers a head; convolution, decays and norm; output."""
        key, value = self._widths
        wide = 2 * key + 2 * value + 2 * self.n_value_heads
        inner = (2 * key + value) * self.kernel + 2 * self.n_value_heads + self.value_dim
        return self.hidden_size * (wide + value) + inner

    @property
    def states(self) -> tuple[State, ...]:
        """A matrix for each value head, and the convolution's last inputs."""
        key, value = self._widths
        return (
            _matrix(self.n_value_heads, self.key_dim, self.value_dim, self.state_bytes, products=3),
            _convolution(2 * key + value, self.kernel),
        )


@dataclass(frozen=True)
class KimiDelta(Mixer):
    """Kimi delta attention (Kimi Linear): a delta rule whose every channel decays by itself."""

    hidden_size: int
    n_heads: int
    head_dim: int
    kernel: int
    state_bytes: float
    full_rank_gate: bool = False

    @property
    def params(self) -> int:
        """Queries, keys, values and output; decays and output gate through a low rank; convolutions; a norm."""
        width, rank = self.n_heads * self.head_dim, self.head_dim
        low = rank * (self.hidden_size + width)
        gate = self.hidden_size * width if self.full_rank_gate else low
        inner = 3 * width * self.kernel + self.n_heads + width + self.head_dim
        return self.hidden_size * (4 * width + self.n_heads) + low + gate + inner

    @property
    def states(self) -> tuple[State, ...]:
        """A matrix for each head, and the last inputs of three convolutions."""
        return (
            _matrix(self.n_heads, self.head_dim, self.head_dim, self.state_bytes, products=3),
            _convolution(3 * self.n_heads * self.head_dim, self.kernel),
        )


@dataclass(frozen=True)
class Lightning(Mixer):
    """Lightning attention (MiniMax-01, arXiv 2501.08313): linear attention with fixed decays and an output gate."""

    hidden_size: int
    n_heads: int
    head_dim: int
    state_bytes: float

    @property
    def params(self) -> int:
        """Queries, keys, values, gate, output, and a norm over all heads."""
        return 5 * self.hidden_size * self.n_heads * self.head_dim + self.n_heads * self.head_dim

    @property
    def states(self) -> tuple[State, ...]:
        """A matrix for each head."""
        return (_matrix(self.n_heads, self.head_dim, self.head_dim, self.state_bytes, products=2),)


@dataclass(frozen=True)
class Mamba(Mixer):
    """A selective state space (A. Gu and T. Dao 2023, arXiv 2312.00752), with Jamba's norms where they are."""

    hidden_size: int
    inner_size: int
    state_size: int
    step_rank: int
    kernel: int
    state_bytes: float
    convolution_bias: bool = True
    projection_bias: bool = False
    inner_norms: bool = False

    @property
    def params(self) -> int:
        """Input and gate; convolution; steps, inputs and outputs of the state; decays and skips; output."""
        h, i, n, r = self.hidden_size, self.inner_size, self.state_size, self.step_rank
        selective = i * (r + 2 * n) + r * i + i + (r + 2 * n) * self.inner_norms
        biases = i * self.convolution_bias + (2 * i + h) * self.projection_bias
        return 3 * h * i + i * self.kernel + selective + i * n + i + biases

    @property
    def states(self) -> tuple[State, ...]:
        """A row for each channel, and the convolution's last inputs."""
        return (
            _matrix(1, self.inner_size, self.state_size, self.state_bytes, products=2),
            _convolution(self.inner_size, self.kernel),
        )


@dataclass(frozen=True)
class Mamba2(Mixer):
    """Mamba-2 (T. Dao and A. Gu 2024, arXiv 2405.21060): heads with one decay each, inputs shared by groups."""

    hidden_size: int
    n_heads: int
    head_dim: int
    state_size: int
    groups: int
    kernel: int
    state_bytes: float
    convolution_bias: bool = True
    projection_bias: bool = False
    output_bias: bool = False
    gated_norm: bool = True

    @property
    def _convolved(self) -> int:
        return self.n_heads * self.head_dim + 2 * self.groups * self.state_size

    @property
    def params(self) -> int:
        """Gate, convolved inputs and steps; convolution; decays, skips and biases of steps; norm; output."""
        h, inner = self.hidden_size, self.n_heads * self.head_dim
        wide = inner + self._convolved + self.n_heads
        biases = self._convolved * self.convolution_bias + wide * self.projection_bias + h * self.output_bias
        return h * (wide + inner) + self._convolved * self.kernel + biases + 3 * self.n_heads + inner * self.gated_norm

    @property
    def states(self) -> tuple[State, ...]:
        """A matrix for each head, and the convolution's last inputs."""
        return (
            _matrix(self.n_heads, self.head_dim, self.state_size, self.state_bytes, products=2),
            _convolution(self._convolved, self.kernel),
        )


@dataclass(frozen=True)
class ShortConvolution(Mixer):
    """The gated short convolution of LFM2 layers: no attention, a few inputs kept."""

    hidden_size: int
    kernel: int
    bias: bool = False

    @property
    def params(self) -> int:
        """Input with two gates, convolution, output."""
        h = self.hidden_size
        return 4 * h * h + h * self.kernel + 5 * h * self.bias

    @property
    def states(self) -> tuple[State, ...]:
        """The convolution's last inputs."""
        return (_convolution(self.hidden_size, self.kernel),)
