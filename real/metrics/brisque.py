"""BRISQUE: a score of one image that needs neither a truth nor a network.

The blind spatial quality evaluator of Mittal, Moorthy and Bovik 2012 ("No-Reference Image Quality Assessment in the
Spatial Domain") fits the statistics of locally normalised pixels and of products of neighbours, at two scales, and
a support vector regression that was trained on people's opinions of distorted photos (LIVE) turns the 36 numbers into
one. The package brisque carries the regression. What the score knows are blur, noise, JPEG and JPEG 2000; it does not
know what a photo shows, as LIQE does.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from real.errors import UserError

__all__ = ["INSTALL", "Brisque"]

INSTALL = 'pip install "kds-ref[real,judge]"'
LEAST_SIDE = 32  # at half the size still some neighbours to count


class Brisque:
    """The score as a callable: from about 0 (a good photo) to 100, in both directions beyond; less is better.

    Args:
        device: Device, an argument like that of the other metrics; the score is computed on the CPU.

    Raises:
        UserError: A package is missing; the message holds the command that installs it.
    """

    def __init__(self, *, device: str = "cpu") -> None:
        try:
            from brisque import BRISQUE
        except ImportError as error:  # of the package, or of the OpenCV that it asks for
            missing = getattr(error, "name", None) or "opencv-python-headless"
            raise UserError(f"brisque: {missing} is not installed; {INSTALL}", argument="metrics") from error
        self._package: Any = BRISQUE()
        scale = self._package.scale_features
        # brisque 0.2.0 leaves each feature in an array of length one, which NumPy 2.4 does not turn into a number.
        self._package.scale_features = lambda features: scale(np.hstack(features).astype(np.float64))

    def __call__(self, image: np.ndarray, truth: np.ndarray | None = None) -> float:
        """Score of an RGB uint8 image (H, W, 3), sides of at least 32 pixels.

        Args:
            image: RGB uint8 (H, W, 3).
            truth: Any image, which is ignored; other metrics have this argument.

        Returns:
            The score; nan for a flat image, which has no statistics.

        Raises:
            ValueError: The image is no such array.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < LEAST_SIDE:
            raise ValueError(
                f"image must be uint8 (H, W, 3) with sides of at least {LEAST_SIDE}, got {image.dtype} {image.shape}"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a flat image divides zero by zero
            return float(self._package.score(image))
