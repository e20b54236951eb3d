"""Numbers of a set of images against the set of truths: Frechet distances between features.

A row keeps the features of its images, so that a killed study can resume without its pictures: float32 numbers as
base64 text, some 7 kB per image.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from real.metrics.lpips_hed import FidLite0, frechet_distance
from real.metrics.published import inception_features

__all__ = ["SETS", "SetFeatures", "set_scores"]

Features = Callable[[Sequence[np.ndarray]], np.ndarray]
SETS = ("fid-lite0", "fid")


class SetFeatures:
    """Features of images, for the rows of a study.

    Args:
        names: Names in `SETS`.
        device: Device on which the networks run.

    Raises:
        UserError: Packages or weights are missing; the message says what to do.
    """

    def __init__(self, names: Sequence[str], *, device: str) -> None:
        makers: dict[str, Callable[[], Features]] = {
            "fid-lite0": lambda: FidLite0(device=device).features,
            "fid": lambda: inception_features(device=device),
        }
        self._features = {name.replace("-", "_"): makers[name]() for name in names}

    def row(self, images: Mapping[tuple[int, str], np.ndarray], truth: np.ndarray) -> dict[str, Any]:
        """Features of the truth and of every image by metric, then by N and outcome, as text."""
        row: dict[str, Any] = {}
        for metric, features in self._features.items():
            by_n: dict[str, dict[str, str]] = {}
            for (n, outcome), image in images.items():
                by_n.setdefault(str(n), {})[outcome] = _text(features([image])[0])
            row[metric] = {"truth": _text(features([truth])[0]), "outcomes": by_n}
        return row


def set_scores(rows: Sequence[Mapping[str, Any]], n: str, outcome: str) -> dict[str, float]:
    """Frechet distances, Heusel et al. 2017, Eq. 6, between the images of one outcome and the truths.

    They are biased upwards, the more the fewer the images: of use beside each other only, for equal numbers of images.

    Args:
        rows: One row per photo, as the study keeps them; without features there is nothing to compare.
        n: Size of the ensemble, as text.
        outcome: Name of the outcome.

    Returns:
        The distances by metric; none for fewer than two photos.
    """
    kept = [row.get("features", {}) for row in rows]
    if len(kept) < 2:
        return {}
    return {
        metric: frechet_distance(
            np.stack([_numbers(features[metric]["outcomes"][n][outcome]) for features in kept]),
            np.stack([_numbers(features[metric]["truth"]) for features in kept]),
        )
        for metric in kept[0]
    }


def _text(features: np.ndarray) -> str:
    return base64.b64encode(features.astype("<f4").tobytes()).decode()


def _numbers(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float64)
