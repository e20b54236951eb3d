"""KDS under k-diffusion's convention: in its samplers where it is installed, and in its Euler loop written out here."""

from itertools import pairwise
from types import ModuleType
from typing import Any

import pytest
import torch

from real.adapters.k_diffusion import kds_model

SAMPLERS = ["sample_euler", "sample_heun", "sample_dpmpp_2m"]


@pytest.fixture
def model(problem: Any) -> Any:
    def denoise(x: torch.Tensor, sigma: torch.Tensor, *, add: float = 0.0) -> torch.Tensor:
        assert sigma.shape == x.shape[:1]
        return problem.denoise(x, sigma) + add

    return denoise


@pytest.fixture
def start(problem: Any) -> torch.Tensor:
    return problem.SIGMAS[0] * problem.noise()


@pytest.fixture
def sigmas(problem: Any) -> torch.Tensor:
    """With the 0 at which these samplers end."""
    return torch.cat([problem.SIGMAS, torch.zeros(1, dtype=torch.float64)])


def euler(model: Any, x: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
    """The loop of `sample_euler`, Algorithm 2 of Karras et al. (2022) without churn."""
    for here, there in pairwise(sigmas):
        x = x + (x - model(x, here.expand(len(x)))) / here * (there - here)
    return x


def test_particles_come_closer_in_euler(problem: Any, model: Any, start: torch.Tensor, sigmas: torch.Tensor) -> None:
    steered = euler(kds_model(model, problem.kds()), start, sigmas)
    assert problem.spread(steered) < 0.9 * problem.spread(euler(model, start, sigmas))


def test_strength_0_is_the_plain_loop_bit_for_bit(
    problem: Any, model: Any, start: torch.Tensor, sigmas: torch.Tensor
) -> None:
    unmoved = kds_model(model, problem.kds(strength=0.0))
    assert torch.equal(euler(unmoved, start, sigmas), euler(model, start, sigmas))


def test_extra_arguments_reach_the_model(problem: Any, model: Any, start: torch.Tensor) -> None:
    steered, sigma = kds_model(model, problem.kds()), torch.full((problem.N,), 0.5, dtype=torch.float64)
    torch.testing.assert_close(steered(start, sigma, add=1.0), steered(start, sigma) + 1.0)


def test_wrong_options_are_found_at_once(problem: Any, model: Any) -> None:
    with pytest.raises(ValueError, match="strength must be finite"):
        kds_model(model, problem.kds(strength=2.0))


@pytest.mark.parametrize("name", SAMPLERS)
def test_particles_come_closer_in_the_library(
    k_diffusion_sampling: ModuleType, problem: Any, model: Any, start: torch.Tensor, sigmas: torch.Tensor, name: str
) -> None:
    sampler = getattr(k_diffusion_sampling, name)
    plain = sampler(model, start, sigmas, disable=True)
    steered = sampler(kds_model(model, problem.kds()), start, sigmas, disable=True)
    assert problem.spread(steered) < 0.9 * problem.spread(plain)
    assert torch.equal(sampler(kds_model(model, problem.kds(strength=0.0)), start, sigmas, disable=True), plain)


def test_the_loop_here_is_the_librarys(
    k_diffusion_sampling: ModuleType, model: Any, start: torch.Tensor, sigmas: torch.Tensor
) -> None:
    theirs = k_diffusion_sampling.sample_euler(model, start, sigmas, disable=True)
    torch.testing.assert_close(euler(model, start, sigmas), theirs)
