"""The perceptual metrics of the paper, with the networks that they are defined with, by torchmetrics and pyiqa.

Both libraries fetch those networks from the web the first time, so they are loaded only when they are asked for, and a
network that cannot be had is an error, never a substitute (`real.metrics.lpips_hed` has metrics that need no network,
under names of their own). LPIPS and DISTS come from torchmetrics (Apache-2.0), the others from pyiqa, whose licence is
not for commercial use.

| name | what | weights | better |
|---|---|---|---|
| `lpips` | learned perceptual distance, Zhang et al. 2018 | AlexNet, version 0.1 | less |
| `dists` | structure and texture similarity, Ding et al. 2020 | VGG16 | less |
| `nima` | aesthetics, Talebi and Milanfar 2018 | InceptionResNetV2, AVA | more |
| `maniqa` | attention for quality, Yang et al. 2022 | KonIQ | more |
| `maniqa-pipal` | the same | PIPAL | more |
| `clipiqa` | CLIP for quality, Wang et al. 2023 | CLIP ResNet-50 | more |
| `liqe` | vision and language for quality, Zhang et al. 2023 | KonIQ | more |
| `fid` | distance of sets, Heusel et al. 2017 (only of studies) | Inception v3 | less |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from real.errors import UserError, out_of_memory
from real.metrics.distortion import check_pair

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["INSTALL", "PUBLISHED", "PublishedMetric", "inception_features"]

INSTALL = 'pip install "kds-ref[real,metrics]"'
PUBLISHED = {  # name: (library, needs the truth)
    "lpips": ("torchmetrics", True),
    "dists": ("torchmetrics", True),
    "nima": ("pyiqa", False),
    "maniqa": ("pyiqa", False),
    "maniqa-pipal": ("pyiqa", False),
    "clipiqa": ("pyiqa", False),
    "liqe": ("pyiqa", False),
}


class PublishedMetric:
    """One of `PUBLISHED` as a callable.

    Args:
        name: Name in the table above.
        device: Device on which the network runs.

    Raises:
        ValueError: There is no such metric.
        UserError: The library is not installed, or the network could not be had; the message says what to do.
    """

    def __init__(self, name: str, *, device: str = "cpu") -> None:
        if name not in PUBLISHED:
            raise ValueError(f"name must be one of {', '.join(PUBLISHED)}, got {name!r}")
        self.name, self.device = name, device
        self.library, self.needs_truth = PUBLISHED[name]
        with _explained(name, self.library):
            self._metric = _MAKERS.get(name, _from_pyiqa)(name, device)

    @torch.no_grad()
    def __call__(self, image: np.ndarray, truth: np.ndarray) -> float:
        """Score of an RGB uint8 image (H, W, 3), against the truth of the same shape where the metric needs one.

        Raises:
            ValueError: The image, or the truth, is no such array.
        """
        check_pair(image, truth)
        given = (image, truth) if self.needs_truth else (image,)
        tensors = [_rows(pixels, self.device).float() / 255 for pixels in given]
        if self.library != "pyiqa":
            return float(self._metric(*tensors))
        with _explained(self.name, self.library):  # pyiqa fetches some of its networks here
            return float(self._metric(*tensors))


def inception_features(*, device: str = "cpu") -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """Pooled features of the Inception network that FID is defined with (Heusel et al. 2017), by torchmetrics.

    Args:
        device: Device on which the network runs.

    Returns:
        A function of RGB uint8 images (H, W, 3), of any sizes: features (n, 2048), float64.

    Raises:
        UserError: The library is not installed, or the network could not be had; the message says what to do.
    """
    with _explained("fid", "torchmetrics"):
        from torchmetrics.image.fid import FrechetInceptionDistance

        network = FrechetInceptionDistance(feature=2048).inception.to(device).eval()

    @torch.no_grad()
    def features(images: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate([network(_rows(image, device)).double().cpu().numpy() for image in images])

    return features


def _rows(pixels: np.ndarray, device: str) -> torch.Tensor:
    """uint8 (H, W, 3) -> uint8 (1, 3, H, W)."""
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].to(device)


@contextmanager
def _explained(metric: str, library: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        missing = error.name or library
        raise UserError(f"{metric}: {missing} is not installed; {INSTALL}", argument="metrics") from error
    except (OSError, RuntimeError) as error:
        if out_of_memory(error):
            raise
        text = str(error).strip().split("\n")[0][:150]
        raise UserError(
            f"the network of {metric} could not be loaded ({text}); {library} fetches it from the web once: check the "
            "connection, or copy its cache (TORCH_HOME, HF_HOME) from where it has been fetched",
            argument="metrics",
        ) from error


def _lpips(name: str, device: str) -> Callable[..., Any]:
    from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

    return LearnedPerceptualImagePatchSimilarity(net_type="alex", normalize=True).to(device).eval()  # from [0, 1]


def _dists(name: str, device: str) -> Callable[..., Any]:
    # Not the metric class around it, which loads the network again for every image.
    from torchmetrics.functional.image.dists import DISTSNetwork

    return DISTSNetwork().to(device).eval()


def _from_pyiqa(name: str, device: str) -> Callable[..., Any]:
    import pyiqa

    metric: Callable[..., Any] = pyiqa.create_metric(name, device=torch.device(device))
    return metric


_MAKERS = {"lpips": _lpips, "dists": _dists}
