"""Mixers with a state of a fixed size in the place of a cache: linear attention, state-space models, convolutions.

The arithmetic of their states counts products of two numbers that are added up: writing the new token, reading the
result, and for the delta rule reading the old value first. Decays, gates and the short convolutions are left out.

They are dealt out by heads, or by channels where they have no heads, as vLLM's mixers are (mamba_mixer.py,
mamba_mixer2.py, short_conv.py, and the gated delta nets and lightning attention beside them): input projections,
convolutions and decays by what comes out, the output projection by what goes in. A projection down to a low rank is
whole on every chip, but for Mamba's, which is a sum over its channels.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from headway.equations import attention
from headway.model.attention import Mixer
from headway.model.kept import State
from headway.model.matrices import Matrix, Vector, present

CONVOLUTION_BYTES = 2.0  # the newest inputs of a short convolution are kept as activations


def _matrix(heads: int, rows: int, columns: int, bytes_per_number: float, products: int, pieces: int = 0) -> State:
    flop = float(attention.state_flop(1, heads, rows, columns, products))
    text = f"{heads} heads x {rows} x {columns}"
    return State(float(heads * rows * columns), bytes_per_number, flop, text, pieces or heads)


def _convolution(channels: int, kernel: int, pieces: int) -> State:
    return State(float(channels * kernel), CONVOLUTION_BYTES, 0.0, f"{channels} channels x {kernel}", pieces)


def _into(name: str, inputs: int, outputs: int, pieces: int, *, bias: bool = False, copies: bool = False) -> Matrix:
    """A projection that is dealt by what comes out of it; whole with one piece."""
    return Matrix(name, "attention", inputs, outputs, pieces, others=outputs * bias, copies=copies)


def _out_of(name: str, inputs: int, outputs: int, pieces: int, *, bias: bool = False) -> Matrix:
    """A projection that is dealt by what goes into it."""
    return Matrix(name, "attention", inputs, outputs, pieces, "inputs", others=outputs * bias)


def _beside(name: str, params: int, pieces: int = 1) -> Vector:
    return Vector(name, "attention", params, pieces)


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
    def _pieces(self) -> int:
        """Key heads go with the value heads that they serve."""
        return math.gcd(self.n_key_heads, self.n_value_heads)

    @functools.cached_property
    def matrices(self) -> tuple[Matrix, ...]:
        """Queries, keys, values and the gate; two numbers a head, of decay and of writing; output."""
        (key, value), h, pieces = self._widths, self.hidden_size, self._pieces
        return (
            _into("in", h, 2 * key + 2 * value, pieces),
            _into("decay", h, 2 * self.n_value_heads, pieces),
            _out_of("out", value, h, pieces),
        )

    @functools.cached_property
    def vectors(self) -> tuple[Vector, ...]:
        """Convolution, decays and norm."""
        key, value = self._widths
        return present(
            _beside("convolution", (2 * key + value) * self.kernel, self._pieces),
            _beside("decays", 2 * self.n_value_heads, self._pieces),
            _beside("norm", self.value_dim),
        )

    @property
    def states(self) -> tuple[State, ...]:
        """A matrix for each value head, and the convolution's last inputs."""
        key, value = self._widths
        return (
            _matrix(self.n_value_heads, self.key_dim, self.value_dim, self.state_bytes, 3, self._pieces),
            _convolution(2 * key + value, self.kernel, self._pieces),
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

    @functools.cached_property
    def matrices(self) -> tuple[Matrix, ...]:
        """Queries, keys and values; how much each head writes; decays and output gate through a low rank; output."""
        h, heads, width, rank = self.hidden_size, self.n_heads, self.n_heads * self.head_dim, self.head_dim
        low = (_into("gate_down", h, rank, 1), _into("gate_up", rank, width, heads))
        return (
            _into("in", h, 3 * width, heads),
            _into("write", h, heads, heads),
            _into("decay_down", h, rank, 1),
            _into("decay_up", rank, width, heads),
            *((_into("gate", h, width, heads),) if self.full_rank_gate else low),
            _out_of("out", width, h, heads),
        )

    @functools.cached_property
    def vectors(self) -> tuple[Vector, ...]:
        """Convolutions, decays and a norm."""
        heads, width = self.n_heads, self.n_heads * self.head_dim
        return present(
            _beside("convolution", 3 * width * self.kernel, heads),
            _beside("decays", heads + width, heads),
            _beside("norm", self.head_dim),
        )

    @property
    def states(self) -> tuple[State, ...]:
        """A matrix for each head, and the last inputs of three convolutions."""
        return (
            _matrix(self.n_heads, self.head_dim, self.head_dim, self.state_bytes, products=3),
            _convolution(3 * self.n_heads * self.head_dim, self.kernel, self.n_heads),
        )


@dataclass(frozen=True)
class Lightning(Mixer):
    """Lightning attention (MiniMax-01, arXiv 2501.08313): linear attention with fixed decays and an output gate."""

    hidden_size: int
    n_heads: int
    head_dim: int
    state_bytes: float

    @functools.cached_property
    def matrices(self) -> tuple[Matrix, ...]:
        """Queries, keys and values; gate; output."""
        h, heads, width = self.hidden_size, self.n_heads, self.n_heads * self.head_dim
        return (_into("in", h, 3 * width, heads), _into("gate", h, width, heads), _out_of("out", width, h, heads))

    @functools.cached_property
    def vectors(self) -> tuple[Vector, ...]:
        """A norm over all heads."""
        return present(_beside("norm", self.n_heads * self.head_dim))

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

    @functools.cached_property
    def matrices(self) -> tuple[Matrix, ...]:
        """Input and gate; steps, inputs and outputs of the state, from all channels; steps of each channel; output."""
        h, inner, rank, bias = self.hidden_size, self.inner_size, self.step_rank, self.projection_bias
        return (
            _into("in", h, 2 * inner, inner, bias=bias),
            _out_of("select", inner, rank + 2 * self.state_size, inner),
            _into("step", rank, inner, inner, bias=True),
            _out_of("out", inner, h, inner, bias=bias),
        )

    @functools.cached_property
    def vectors(self) -> tuple[Vector, ...]:
        """Convolution, decays and skips, inner norms."""
        inner = self.inner_size
        return present(
            _beside("convolution", inner * (self.kernel + self.convolution_bias), inner),
            _beside("decays", inner * (self.state_size + 1), inner),
            _beside("norm", (self.step_rank + 2 * self.state_size) * self.inner_norms),
        )

    @property
    def states(self) -> tuple[State, ...]:
        """A row for each channel, and the convolution's last inputs."""
        return (
            _matrix(1, self.inner_size, self.state_size, self.state_bytes, 2, self.inner_size),
            _convolution(self.inner_size, self.kernel, self.inner_size),
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

    @functools.cached_property
    def matrices(self) -> tuple[Matrix, ...]:
        """Gate, inputs and steps of heads; what groups of heads share, copied where chips outnumber groups; output."""
        h, heads, inner, bias = self.hidden_size, self.n_heads, self.n_heads * self.head_dim, self.projection_bias
        return (
            _into("in", h, 2 * inner + heads, heads, bias=bias),
            _into("in_of_groups", h, 2 * self.groups * self.state_size, self.groups, bias=bias, copies=True),
            _out_of("out", inner, h, heads, bias=self.output_bias),
        )

    @functools.cached_property
    def vectors(self) -> tuple[Vector, ...]:
        """Convolution, of heads and of groups; decays, skips and biases of steps; norm."""
        heads, inner, kernel = self.n_heads, self.n_heads * self.head_dim, self.kernel + self.convolution_bias
        return present(
            _beside("convolution", inner * kernel, heads),
            _beside("convolution_of_groups", 2 * self.groups * self.state_size * kernel, self.groups),
            _beside("decays", 3 * heads, heads),
            _beside("norm", inner * self.gated_norm),
        )

    @property
    def states(self) -> tuple[State, ...]:
        """A matrix for each head, and the convolution's last inputs.

        Both are dealt by heads, though chips that outnumber the groups keep copies of the groups' inputs: that little
        is left out.
        """
        return (
            _matrix(self.n_heads, self.head_dim, self.state_size, self.state_bytes, products=2),
            _convolution(self._convolved, self.kernel, self.n_heads),
        )


@dataclass(frozen=True)
class ShortConvolution(Mixer):
    """The gated short convolution of LFM2 layers: no attention, a few inputs kept."""

    hidden_size: int
    kernel: int
    bias: bool = False

    @functools.cached_property
    def matrices(self) -> tuple[Matrix, ...]:
        """Input with two gates; output."""
        h = self.hidden_size
        return (_into("in", h, 3 * h, h, bias=self.bias), _out_of("out", h, h, h, bias=self.bias))

    @functools.cached_property
    def vectors(self) -> tuple[Vector, ...]:
        """The convolution."""
        return present(_beside("convolution", self.hidden_size * (self.kernel + self.bias), self.hidden_size))

    @property
    def states(self) -> tuple[State, ...]:
        """The convolution's last inputs."""
        return (_convolution(self.hidden_size, self.kernel, self.hidden_size),)
