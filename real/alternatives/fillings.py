"""Holes filled without a model: by the biharmonic equation, by fast marching, by fluid dynamics.

Damelin and Hoang 2018 (`biharmonic`, scikit-image), Telea 2004 (`fast_marching`), and Bertalmio, Bertozzi and Sapiro
2001 (`navier_stokes`), the last two by OpenCV. All three continue what lies around the hole; none knows what photos
look like.
"""

from __future__ import annotations

import importlib.util

import numpy as np
from skimage.restoration import inpaint_biharmonic

from real.errors import UserError

__all__ = ["INSTALL", "biharmonic", "fast_marching", "navier_stokes", "need_opencv"]

INSTALL = 'pip install "kds-ref[real,alternatives]"'
RADIUS = 3.0  # pixels around each pixel of the hole that OpenCV looks at


def biharmonic(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The smoothest continuation: the square of the Laplacian is 0 in the hole.

    Args:
        photo: RGB uint8 (H, W, 3); what lies in the hole is ignored.
        mask: bool (H, W), True in the hole, False somewhere.

    Returns:
        RGB uint8 (H, W, 3), with the photo's own pixels outside the hole.

    Raises:
        ValueError: The arrays do not fit.
    """
    _check(photo, mask)
    if not mask.any():
        return photo.copy()
    filled = inpaint_biharmonic(np.where(mask[..., None], 0.0, photo / 255.0), mask, channel_axis=-1)
    pixels = np.rint(255.0 * np.clip(filled, 0.0, 1.0)).astype(np.uint8)
    return np.where(mask[..., None], pixels, photo)


def fast_marching(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Weighted means of what is known, from the border inwards; arguments and result as for `biharmonic`."""
    return _opencv(photo, mask, "INPAINT_TELEA")


def navier_stokes(photo: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Lines of equal brightness go on into the hole; arguments and result as for `biharmonic`."""
    return _opencv(photo, mask, "INPAINT_NS")


def need_opencv() -> None:
    """UserError with the command that installs it unless OpenCV is there."""
    if importlib.util.find_spec("cv2") is None:
        raise UserError(f"OpenCV is not installed: {INSTALL}")


def _opencv(photo: np.ndarray, mask: np.ndarray, method: str) -> np.ndarray:
    _check(photo, mask)
    need_opencv()
    import cv2

    hidden = np.where(mask[..., None], np.uint8(0), photo)
    filled: np.ndarray = cv2.inpaint(hidden, mask.astype(np.uint8), RADIUS, getattr(cv2, method))
    return np.where(mask[..., None], filled, photo)


def _check(photo: np.ndarray, mask: np.ndarray) -> None:
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise ValueError(f"photo must be RGB uint8 (H, W, 3), got {photo.dtype} {photo.shape}")
    if mask.dtype != bool or mask.shape != photo.shape[:2] or mask.all():
        raise ValueError(f"mask must be bool {photo.shape[:2]} with a known pixel, got {mask.dtype} {mask.shape}")
