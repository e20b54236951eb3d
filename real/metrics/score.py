"""The numbers that an image gets: always PSNR and SSIM, and what else is asked for by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from real.errors import UserError
from real.metrics.distortion import distortion
from real.metrics.lpips_hed import LpipsHed
from real.metrics.published import PUBLISHED, PublishedMetric

__all__ = ["METRICS", "Score", "make_score"]

Score: TypeAlias = Callable[[np.ndarray, np.ndarray], dict[str, float]]  # of image and truth, uint8 (H, W, 3)
METRICS = ("lpips-hed", *PUBLISHED)


def make_score(metrics: Sequence[str] = (), *, device: str = "cpu") -> Score:
    """PSNR and SSIM, and the perceptual metrics of the given names; the networks are loaded here.

    Args:
        metrics: "lpips-hed" (see `real.metrics.lpips_hed`), or those of `real.metrics.published`.
        device: Where the networks run.

    Returns:
        A function of an image and its truth, RGB uint8 (H, W, 3). It returns the numbers by name: `psnr_rgb`,
        `ssim_rgb`, `psnr_y`, `ssim_y`, and the others with _ for -.

    Raises:
        UserError: There is no such metric, or its packages or weights are missing; the message says what to do.
    """
    if unknown := [name for name in metrics if name not in METRICS]:
        raise UserError(
            f"must be of {', '.join(METRICS)} (of sets, for bench: fid-lite0, fid), got {unknown[0]!r}",
            argument="metrics",
        )
    more: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {}
    for name in metrics:
        metric = LpipsHed(device=device) if name == "lpips-hed" else PublishedMetric(name, device=device)
        more[name.replace("-", "_")] = metric
    return lambda image, truth: {
        **distortion(image, truth),
        **{key: metric(image, truth) for key, metric in more.items()},
    }
