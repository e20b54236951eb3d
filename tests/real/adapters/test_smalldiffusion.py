"""KDS inside smalldiffusion's sampler: DDIM, its accelerated form, DDPM, and guidance."""

from types import ModuleType
from typing import Any

import pytest
import torch

from kds_ref import steer


@pytest.fixture
def model(smalldiffusion: ModuleType, problem: Any) -> torch.nn.Module:
    class Mixture(torch.nn.Module, smalldiffusion.ModelMixin):
        input_dims = (2, 4, 4)

        def forward(self, x: torch.Tensor, sigma: torch.Tensor, cond: Any = None) -> torch.Tensor:
            return (x - problem.denoise(x, sigma)) / sigma

    return Mixture()


def run(
    smalldiffusion: ModuleType, problem: Any, model: torch.nn.Module, *, gam: float = 1.0, mu: float = 0.0
) -> torch.Tensor:
    start = problem.SIGMAS[0] * problem.noise()
    with torch.random.fork_rng():
        torch.manual_seed(1)  # DDPM's noise: the library has no generator of its own
        *_, x0 = smalldiffusion.samples(model, problem.SIGMAS, gam=gam, mu=mu, xt=start, accelerator=_Cpu())
    return x0


class _Cpu:
    """What `samples` reads of an accelerator, so that nothing is set up for training."""

    device = torch.device("cpu")


@pytest.mark.parametrize(("gam", "mu"), [(1.0, 0.0), (2.0, 0.0), (1.0, 0.5)], ids=["ddim", "accelerated", "ddpm"])
def test_particles_come_closer(
    smalldiffusion: ModuleType, problem: Any, model: torch.nn.Module, gam: float, mu: float
) -> None:
    from real.adapters.smalldiffusion import KDSModel

    plain = run(smalldiffusion, problem, model, gam=gam, mu=mu)
    steered = run(smalldiffusion, problem, KDSModel(model, problem.kds()), gam=gam, mu=mu)
    assert problem.spread(steered) < 0.9 * problem.spread(plain)


@pytest.mark.parametrize(("gam", "mu"), [(1.0, 0.0), (2.0, 0.0), (1.0, 0.5)], ids=["ddim", "accelerated", "ddpm"])
def test_strength_0_is_the_library_bit_for_bit(
    smalldiffusion: ModuleType, problem: Any, model: torch.nn.Module, gam: float, mu: float
) -> None:
    from real.adapters.smalldiffusion import KDSModel

    assert torch.equal(
        run(smalldiffusion, problem, KDSModel(model, problem.kds(strength=0.0)), gam=gam, mu=mu),
        run(smalldiffusion, problem, model, gam=gam, mu=mu),
    )


def test_the_noise_belongs_to_the_steered_clean_sample(problem: Any, model: torch.nn.Module) -> None:
    from real.adapters.smalldiffusion import KDSModel

    x, sigma = problem.noise(), torch.tensor(0.8, dtype=torch.float64)
    eps = KDSModel(model, problem.kds()).predict_eps_cfg(x, sigma, None, 0.0)
    torch.testing.assert_close(x - sigma * eps, steer(problem.denoise(x, sigma), bandwidth=problem.H)[0])


def test_guidance_comes_first(problem: Any, model: torch.nn.Module) -> None:
    from real.adapters.smalldiffusion import KDSModel

    class Guided(type(model)):
        def predict_eps_cfg(self, x: Any, sigma: Any, cond: Any, cfg_scale: float) -> torch.Tensor:
            return self.predict_eps(x, sigma) * cfg_scale + cond

    x, sigma = problem.noise(), torch.tensor(0.8, dtype=torch.float64)
    cond = 0.1 * problem.noise()
    guided = Guided()
    eps = KDSModel(guided, problem.kds()).predict_eps_cfg(x, sigma, cond, 1.5)
    x0 = x - sigma * guided.predict_eps_cfg(x, sigma, cond, 1.5)
    torch.testing.assert_close(x - sigma * eps, steer(x0, bandwidth=problem.H)[0])
