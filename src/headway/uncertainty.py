"""How sure a number is: one model of error, multiplicative, in named causes that results share.

A predicted quantity is its stated value times exp(sum of loading_c * z_c), the z_c independent standard normal
causes: which chip, which framework, which model family, which regime, and noise. The loadings are sizes that were
measured on held-out rows. Because the causes have names, a quantity derived from others keeps their correlation: the
chip's error cancels from a ratio of two predictions on that chip, and doubles in their product.

Until a regime has been measured its error is `unmeasured`, with the reason, and so is every quantity derived from it:
no interval is better than an invented one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

import numpy as np

Cause = tuple[str, str]
"""What may be off, and which one: ("chip", "gb200"), ("regime", "decode")."""

DEFAULT_LEVEL = 0.90


@dataclass(frozen=True)
class LogError:
    """The logarithmic error of a quantity: how far each cause moves it, or why that is not known."""

    loadings: Mapping[Cause, Any] = field(default_factory=dict)
    unmeasured: str = ""

    def times(self, elasticity: Any) -> LogError:
        """The error of this quantity raised to a power, or passed on with that elasticity."""
        if not np.any(elasticity):
            return EXACT
        return LogError({cause: size * elasticity for cause, size in self.loadings.items()}, self.unmeasured)

    def __add__(self, other: LogError) -> LogError:
        """The error of a product: shared causes add, whatever their sign, before anything is squared."""
        causes = {**self.loadings}
        for cause, size in other.loadings.items():
            causes[cause] = causes.get(cause, 0.0) + size
        return LogError(causes, self.unmeasured or other.unmeasured)

    def __sub__(self, other: LogError) -> LogError:
        """The error of a ratio: shared causes cancel."""
        return self + other.times(-1.0)

    @property
    def sigma(self) -> Any:
        """Standard deviation of the logarithm; raises where the error is unmeasured."""
        if self.unmeasured:
            raise ValueError(f"no error was measured: {self.unmeasured}")
        return np.sqrt(sum((np.square(size) for size in self.loadings.values()), 0.0))

    def interval(self, value: Any, level: float = DEFAULT_LEVEL) -> tuple[Any, Any] | None:
        """The central interval around a value that holds the truth with probability `level`; None if unmeasured."""
        if self.unmeasured:
            return None
        factor = np.exp(NormalDist().inv_cdf(0.5 + level / 2) * self.sigma)
        return value / factor, value * factor


EXACT = LogError()


def unmeasured(reason: str) -> LogError:
    """An error whose size nobody has measured yet, and why."""
    return LogError(unmeasured=reason)


def inherit(
    function: Any, values: Mapping[str, Any], errors: Mapping[str, LogError], own: LogError = EXACT, step: float = 1e-5
) -> LogError:
    """The error of `function(**values)` when each argument carries its own, to first order (the delta method).

    Each argument's error is passed on with the elasticity d ln f / d ln x at the stated values, a central difference.
    """
    total = own
    for name, error in errors.items():
        if error is EXACT:
            continue
        with np.errstate(all="ignore"):  # where a value is zero or infinite no elasticity is defined
            up = function(**{**values, name: values[name] * (1 + step)})
            down = function(**{**values, name: values[name] * (1 - step)})
            elasticity = (np.log(up) - np.log(down)) / (np.log1p(step) - np.log1p(-step))
        lost = error.unmeasured and not np.all(np.isfinite(elasticity))  # what nobody measured stays unmeasured
        total = total + (error if lost else error.times(np.nan_to_num(elasticity, posinf=0.0, neginf=0.0)))
    return total
