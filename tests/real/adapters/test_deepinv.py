"""KDS inside deepinv's own samplers."""

from types import ModuleType
from typing import Any

import pytest
import torch


@pytest.fixture
def model(deepinv: ModuleType, problem: Any) -> torch.nn.Module:
    class Mixture(deepinv.models.Denoiser):
        def forward(self, x: torch.Tensor, sigma: Any, **condition: Any) -> torch.Tensor:
            assert not condition.pop("bad", False)
            return problem.denoise(x, sigma) + condition.pop("add", 0.0)

    return Mixture()


def run(
    deepinv: ModuleType, problem: Any, model: torch.nn.Module, *, posterior: bool = False, images: int = 1
) -> torch.Tensor:
    """Sample with deepinv's posterior sampler and its DDIM, from the same noise."""
    sampling = deepinv.sampling
    sde = sampling.VarianceExplodingDiffusion(sigma_min=0.02, sigma_max=10.0, alpha=0.0)
    solver = sampling.DDIMSolver(timesteps=torch.linspace(1, 0.0, 12))
    x = 10.0 * problem.noise(images)
    fidelity, y, physics = None, None, None
    if posterior:
        fidelity = sampling.DPSDataFidelity(weight=0.2)  # its gradient goes through the denoiser, steering included
        physics = deepinv.physics.Denoising(deepinv.physics.GaussianNoise(0.4))
        y = torch.full((len(x), 2, 4, 4), 0.2)
    sampler = sampling.PosteriorDiffusion(fidelity, model, sde, solver, minus_one_one=False)
    return sampler(y, physics, x_init=x, timesteps=solver.timesteps)


@pytest.mark.parametrize("posterior", [False, True])
def test_particles_come_closer(deepinv: ModuleType, problem: Any, model: torch.nn.Module, posterior: bool) -> None:
    from real.adapters.deepinv import KDSDenoiser

    plain = run(deepinv, problem, model, posterior=posterior)
    steered = run(deepinv, problem, KDSDenoiser(model, problem.kds()), posterior=posterior)
    assert torch.isfinite(steered).all()
    assert problem.spread(steered) < 0.9 * problem.spread(plain)


def test_strength_0_is_the_library_bit_for_bit(deepinv: ModuleType, problem: Any, model: torch.nn.Module) -> None:
    from real.adapters.deepinv import KDSDenoiser

    unmoved = KDSDenoiser(model, problem.kds(strength=0.0))
    assert torch.equal(run(deepinv, problem, unmoved), run(deepinv, problem, model))


def test_images_of_a_batch_do_not_mix(deepinv: ModuleType, problem: Any, model: torch.nn.Module) -> None:
    from real.adapters.deepinv import KDSDenoiser

    both = run(deepinv, problem, KDSDenoiser(model, problem.kds()), images=2)
    torch.testing.assert_close(both[: problem.N], run(deepinv, problem, KDSDenoiser(model, problem.kds())))


def test_the_condition_reaches_the_model_and_its_weights_are_found(
    deepinv: ModuleType, problem: Any, model: torch.nn.Module
) -> None:
    from real.adapters.deepinv import KDSDenoiser

    denoiser = KDSDenoiser(model, problem.kds())
    x = problem.noise().float()
    assert isinstance(denoiser, deepinv.models.Denoiser)
    assert model in set(denoiser.modules())
    torch.testing.assert_close(denoiser(x, 0.3, add=1.0), denoiser(x, 0.3) + 1.0)


def test_wrong_options_are_found_at_once(deepinv: ModuleType, problem: Any, model: torch.nn.Module) -> None:
    from real.adapters.deepinv import KDSDenoiser

    with pytest.raises(ValueError, match="strength must be finite"):
        KDSDenoiser(model, problem.kds(strength=2.0))
