"""Posterior sampling against the one posterior that is known exactly: that of Gaussian data."""

import math
from typing import Any

import pytest
import torch

from kds_ref import SteeredDenoiser
from real.priors.posterior import noise_levels, particle_noise, sample_posterior

SHAPE = (3, 24, 24)


def gaussian(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """Posterior mean of standard normal data."""
    return x / (1.0 + sigma * sigma)


def run(denoiser: Any, *, particles: int = 8, steps: int = 60, agree: Any = None) -> torch.Tensor:
    sigmas = noise_levels(steps, largest=2.0, smallest=0.005)
    noise = particle_noise(particles, SHAPE, seed=[3], draws=steps)
    x = torch.full((particles, *SHAPE), 0.7)
    return sample_posterior(denoiser, x, sigmas=sigmas, noise=noise[1:], agree=agree)


def test_samples_have_the_posteriors_mean_and_variance() -> None:
    # y = 0.7 = x0 + 2 n, x0 ~ N(0, 1): mean 0.7 / 5, variance 4 / 5
    samples = run(gaussian, steps=200)
    count = samples.numel()
    assert abs(float(samples.mean()) - 0.14) < 4 * math.sqrt(0.8 / count)
    assert abs(float(samples.var()) - 0.8) < 0.02 + 4 * 0.8 * math.sqrt(2 / count)


def test_one_step_is_the_denoiser() -> None:
    torch.testing.assert_close(run(gaussian, steps=1), torch.full((8, *SHAPE), 0.14))


def test_particles_are_a_prefix_of_more() -> None:
    assert torch.equal(run(gaussian, particles=8)[:3], run(gaussian, particles=3))


def test_kds_brings_particles_together_and_strength_0_changes_no_bit() -> None:
    plain = run(gaussian)
    steered = run(SteeredDenoiser(gaussian, cutoff_sigma=0.0, bandwidth=1.0))
    unmoved = run(SteeredDenoiser(gaussian, cutoff_sigma=0.0, bandwidth=1.0, strength=0.0))
    assert float(steered.var(0).mean()) < 0.3 * float(plain.var(0).mean())
    assert torch.equal(unmoved, plain)


def test_the_end_agrees_with_what_is_known() -> None:
    def agree(x0: torch.Tensor) -> torch.Tensor:
        x0 = x0.clone()
        x0[..., :12] = 0.25
        return x0

    samples = run(gaussian, agree=agree)
    assert torch.equal(samples[..., :12], torch.full_like(samples[..., :12], 0.25))
    assert float(samples[..., 12:].std()) > 0.5


@pytest.mark.parametrize("sigmas", [(), (1.0, 1.0), (0.5, 1.0), (1.0, 0.0), (1.0, -1.0)])
def test_levels_must_descend_to_something_positive(sigmas: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="sigmas must be at least one positive number, descending"):
        sample_posterior(gaussian, torch.zeros(2, *SHAPE), sigmas=sigmas, noise=torch.zeros(5, 2, *SHAPE))


def test_too_little_noise_is_named() -> None:
    with pytest.raises(ValueError, match="noise must have 2 draws, one between two levels, got 1"):
        sample_posterior(gaussian, torch.zeros(2, *SHAPE), sigmas=(3.0, 2.0, 1.0), noise=torch.zeros(1, 2, *SHAPE))


def test_levels_are_in_even_ratios() -> None:
    assert noise_levels(3, largest=0.4, smallest=0.1) == pytest.approx((0.4, 0.2, 0.1))
