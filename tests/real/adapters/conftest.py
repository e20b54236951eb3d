"""The libraries that the adapters are for; the tests of one that is not installed are skipped."""

import functools
import importlib
import importlib.util
import sys
import warnings
from types import ModuleType

import pytest
import torch

from kds_ref import SteeredDenoiser

BLOBS = torch.tensor([[-1.0, 0.6], [1.0, 0.2], [0.1, -1.0]], dtype=torch.float64)
WIDTH = 0.3


class Problem:
    """Samples of a mixture of three Gaussians at every pixel, whose exact denoiser is known."""

    N = 6  # particles
    H = 1.0  # bandwidth, in the units of the data
    SIGMAS = torch.logspace(1, -1.7, 13, dtype=torch.float64)

    @staticmethod
    def denoise(x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
        """The posterior mean, (B, 2, H, W)."""
        sigma = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, *[1] * (x.ndim - 1))
        blobs, variance = BLOBS.to(x.dtype)[:, :, None, None], WIDTH**2 + sigma**2
        distance = (x[:, None] - blobs).square().sum(2, keepdim=True)  # (B, 3, 1, H, W)
        weights = torch.softmax(-distance / (2 * variance[:, None]), dim=1)
        centre = (weights * blobs).sum(1)
        return centre + WIDTH**2 / variance * (x - centre)

    @classmethod
    def noise(cls, images: int = 1) -> torch.Tensor:
        """Standard normal, (images * N, 2, 4, 4)."""
        generator = torch.Generator().manual_seed(0)
        return torch.randn(images * cls.N, 2, 4, 4, generator=generator, dtype=torch.float64)

    @staticmethod
    def spread(x: torch.Tensor) -> float:
        """Root of the mean variance over the particles."""
        return float(x.var(0).mean().sqrt())

    @classmethod
    def kds(cls, **options: object) -> functools.partial[SteeredDenoiser]:
        """What the adapters take."""
        settings = {"num_particles": cls.N, "cutoff_sigma": 0.0, "bandwidth": cls.H}
        return functools.partial(SteeredDenoiser, **(settings | options))


@pytest.fixture(scope="session")
def problem() -> type[Problem]:
    return Problem


def _torchvision() -> None:
    """The libraries import torchvision, whose compiled operators load only with the build of torch that they fit.

    Elsewhere it goes without them, except that it insists on the signatures of these two. The libraries call neither.
    """
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        _library.append(torch.library.Library("torchvision", "FRAGMENT"))
        for name in ("nms", "qnms"):
            _library[0].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        importlib.import_module("torchvision")


_library: list[torch.library.Library] = []


def _load(name: str) -> ModuleType:
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        pytest.skip(f"{name} is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries' own code
        return importlib.import_module(name)


@pytest.fixture(scope="session")
def deepinv() -> ModuleType:
    _torchvision()
    return _load("deepinv")


@pytest.fixture(scope="session")
def smalldiffusion() -> ModuleType:
    _torchvision()
    return _load("smalldiffusion")


@pytest.fixture(scope="session")
def k_diffusion_sampling() -> ModuleType:
    """k_diffusion.sampling alone: the package as a whole imports eight libraries of 2023 for training."""
    _torchvision()
    spec = importlib.util.find_spec("k_diffusion")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("k-diffusion is not installed")
    sys.modules["k_diffusion"] = importlib.util.module_from_spec(spec)  # not executed
    return _load("k_diffusion.sampling")
