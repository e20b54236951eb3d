"""Gradients through the bandwidth rules, against finite differences, and where nothing has a scale."""

from typing import Any

import numpy as np
import pytest

from kds_ref import likelihood_bandwidth, mean_shift, median_bandwidth, scott_bandwidth, silverman_bandwidth, steer

torch = pytest.importorskip("torch")

RULES = {
    "median": median_bandwidth,
    "scott": scott_bandwidth,
    "silverman": silverman_bandwidth,
    "likelihood": likelihood_bandwidth,
}
every_rule = pytest.mark.parametrize("name", RULES)


def points(seed: int, *shape: int) -> Any:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def differences(function: Any, x: Any, step: float = 1e-6) -> Any:
    """Central differences of a number."""
    slopes = torch.zeros_like(x).reshape(-1)
    for i in range(slopes.numel()):
        by = torch.zeros_like(slopes)
        by[i] = step
        by = by.reshape(x.shape)
        slopes[i] = (function(x + by) - function(x - by)) / (2.0 * step)
    return slopes.reshape(x.shape)


@every_rule
@pytest.mark.parametrize("shape", [(4, 1), (5, 3), (2, 6, 2)])
def test_the_bandwidth_has_its_gradient(name: str, shape: tuple[int, ...]) -> None:
    x = points(3, *shape).requires_grad_()
    weights = torch.arange(1.0, 1.0 + max(1, len(shape) - 1), dtype=torch.float64)[: shape[0] if len(shape) > 2 else 1]

    def number(z: Any) -> Any:
        return (RULES[name](z) * weights).sum()

    (slope,) = torch.autograd.grad(number(x), x)
    assert float(slope.abs().max()) > 0.01
    # the search of the likelihood ends 1e-9 from its maximum
    torch.testing.assert_close(slope, differences(number, x.detach(), 1e-4), rtol=1e-5, atol=1e-6)


@every_rule
@pytest.mark.parametrize("patch_size", [1, 2, None])
def test_gradients_pass_through_steering_by_a_rule(name: str, patch_size: int | None) -> None:
    x = points(5, 4, 2, 2, 2).requires_grad_()
    weights = points(6, 4, 2, 2, 2)

    def number(z: Any) -> Any:
        return (steer(z, bandwidth=name, strength=0.8, patch_size=patch_size)[0] * weights).sum()

    (slope,) = torch.autograd.grad(number(x), x)
    torch.testing.assert_close(slope, differences(number, x.detach(), 1e-4), rtol=1e-4, atol=1e-6)


@every_rule
def test_gradients_are_finite_where_particles_have_no_scale(name: str) -> None:
    x = torch.full((5, 1, 2, 2), 0.5, dtype=torch.float64)
    x[4, 0, 0] = 5.5  # in the first row one of five differs: the median is 0 there, too
    x.requires_grad_()
    moved, info = steer(x, bandwidth=name)
    (moved.sum() + info.shift_norm.sum() + info.effective_particles.sum()).backward()
    assert bool(torch.isfinite(x.grad).all())
    query = torch.tensor([[1.0], [4.0]], dtype=torch.float64, requires_grad=True)
    particles = torch.tensor([[0.0]] * 4 + [[5.0]], dtype=torch.float64, requires_grad=True)
    mean_shift(query, particles, bandwidth=name).sum().backward()
    assert bool(torch.isfinite(query.grad).all())
    assert bool(torch.isfinite(particles.grad).all())
    if name == "median":  # the step to the nearest particle
        assert query.grad.ravel().tolist() == [-1.0, -1.0]


