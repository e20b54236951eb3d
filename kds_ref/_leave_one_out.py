"""The leave-one-out likelihood of a bandwidth, and the search for its highest maximum."""

from __future__ import annotations

import math

import array_api_compat

from kds_ref._arrays import Array, Namespace, root, trailing

# Evaluations on the grid that finds the highest maximum, and halvings that refine it. A cell of the grid spans at most
# a factor of e^1.5, so the result is exact to about 1e-9.
_GRID, _HALVINGS = 24, 30


class LeaveOneOut:
    """Leave-one-out likelihood as a function of h (...), of ensembles with squared distances (..., N, N)."""

    def __init__(self, squared: Array, dimensions: Array | int, xp: Namespace) -> None:
        n = squared.shape[-1]
        self.xp, self.squared, self.dimensions = xp, squared, dimensions
        self.itself = xp.eye(n, dtype=squared.dtype, device=array_api_compat.device(squared)) > 0.0
        self.nearest = xp.min(xp.where(self.itself, math.inf, squared), axis=-1)  # (..., N)
        self.excess = xp.where(self.itself, 0.0, squared - xp.expand_dims(self.nearest, axis=-1))

        # Between these the maximum lies: see the notes of `likelihood_bandwidth`.
        wide = root(xp.sum(xp.sum(squared, axis=-1), axis=-1) / (n * (n - 1)) / dimensions, xp)
        self.high = xp.where(wide > 0.0, wide, 1.0)  # equal particles: the caller multiplies by 0
        floor = float(xp.finfo(squared.dtype).eps) * self.high
        self.low = xp.maximum(root(xp.mean(self.nearest, axis=-1) / dimensions, xp), floor)

    def value_and_slope(self, h: Array) -> tuple[Array, Array]:
        """Log-likelihood up to a constant, and its derivative by log h, times 1/N."""
        xp = self.xp
        precision, kernel, total = self._weights(h)
        log_kernels = xp.log(total) - 0.5 * trailing(precision, 1, xp) * self.nearest
        value = xp.mean(log_kernels, axis=-1) - self.dimensions * xp.log(h)
        return value, self._slope(precision, kernel, total)

    def slope(self, h: Array) -> Array:
        """The derivative alone."""
        return self._slope(*self._weights(h))

    def _weights(self, h: Array) -> tuple[Array, Array, Array]:
        """1 / h^2, and each particle's weights of the others with their sum, relative to the nearest's."""
        xp = self.xp
        precision = 1.0 / h / h
        kernel = xp.exp(-0.5 * trailing(precision, 2, xp) * self.excess)
        kernel = xp.where(self.itself, 0.0, kernel)  # 1 for the nearest: the sum is never 0
        return precision, kernel, xp.sum(kernel, axis=-1)

    def _slope(self, precision: Array, kernel: Array, total: Array) -> Array:
        distance = self.xp.mean(self.xp.sum(kernel * self.squared, axis=-1) / total, axis=-1)
        return distance * precision - self.dimensions

    def newton_step(self, h: Array) -> Array:
        """Change of log h by Newton's method on the slope; 0 where the likelihood has no maximum near h."""
        xp = self.xp
        precision, kernel, total = self._weights(h)
        mean = xp.sum(kernel * self.squared, axis=-1) / total
        variance = xp.sum(kernel * (self.squared - xp.expand_dims(mean, axis=-1)) ** 2, axis=-1) / total
        slope = xp.mean(mean, axis=-1) * precision - self.dimensions
        bend = precision * (precision * xp.mean(variance, axis=-1) - 2.0 * xp.mean(mean, axis=-1))
        good = (bend < 0.0) & (xp.abs(slope) <= -1e-3 * bend)
        return xp.where(good, -slope / xp.where(good, bend, -1.0), 0.0)


def highest_maximum(likelihood: LeaveOneOut, xp: Namespace) -> Array:
    """Maximiser, ensemble by ensemble: the best point of a geometric grid, then bisection of the slope."""
    low, high = likelihood.low, likelihood.high
    factor = (high / low) ** (1.0 / _GRID)
    h = best = low
    best_value, best_slope = likelihood.value_and_slope(low)
    for _ in range(_GRID):
        h = h * factor
        value, slope = likelihood.value_and_slope(h)
        better = value > best_value
        best, best_value = xp.where(better, h, best), xp.where(better, value, best_value)
        best_slope = xp.where(better, slope, best_slope)

    rising = best_slope > 0.0
    low, high = xp.where(rising, best, best / factor), xp.where(rising, best * factor, best)
    for _ in range(_HALVINGS):
        middle = xp.sqrt(low * high)
        rising = likelihood.slope(middle) > 0.0
        low, high = xp.where(rising, middle, low), xp.where(rising, high, middle)
    return xp.sqrt(low * high)
