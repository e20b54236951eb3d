"""What a super-resolution model is worth without any steering: the section `quality` of an evaluation.

Four looks at every photo: the plain ensemble of DDIM, that of DPM-Solver++ 2S (50 steps of DDIM lose variance), the
photo reduced by four without any blur, noise or JPEG, and the photo in grey. Nothing here depends on KDS, so that a
model can be judged before anybody asks what KDS gains with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from real.bench.calibration import distances, truth_ranks
from real.bench.reconstruction import reconstruct
from real.bench.sets import SetFeatures
from real.degradations.simple import SCALE
from real.images.disagreement import average_picture
from real.metrics.score import Score
from real.models.codec import encode_photo
from real.models.latent import LatentModel
from real.models.regression import RegressionNetwork, regress
from real.restorers.base import Drawn, Which
from real.restorers.compare import bicubic
from real.restorers.latent import LatentSuperResolution
from real.settings import Settings

__all__ = ["LOOKS", "QualityRun", "chroma", "colour_errors"]

LOOKS = ("plain", "dpmpp-2s", "clean", "grey")
BOX = 4  # side of the boxes whose colours are compared, in pixels


class QualityRun:
    """What all photos of a judgement share.

    Args:
        model: The model.
        settings: Settings of the plain samplers; what concerns steering is not used.
        score: Metrics of an image against the truth.
        regression: The network that guesses the photo at once.
        features: Features of sets of images.
        colour_fix: How samples take the colours of the input (`real.images.colour`).
    """

    def __init__(
        self,
        model: LatentModel,
        settings: Settings,
        score: Score,
        regression: RegressionNetwork,
        features: SetFeatures,
        colour_fix: str = "none",
    ) -> None:
        self.model, self.settings, self.score = model, settings, score
        self.regression, self.features, self.colour_fix = regression, features, colour_fix

    def row(
        self, look: str, truth: np.ndarray, low: np.ndarray, drawn: Drawn | None = None
    ) -> tuple[dict[str, Any], np.ndarray | None]:
        """What one of `LOOKS` finds on a photo.

        Args:
            look: One of `LOOKS`.
            truth: RGB uint8 (H, W, 3), sides multiples of 4.
            low: RGB uint8 (H / 4, W / 4, 3).
            drawn: The plain ensemble of `low`, where it is there already.

        Returns:
            The numbers, and of "plain" a strip of three pictures: the low-resolution photo with its pixels as squares,
            the first sample, the truth.
        """
        if look == "plain":
            drawn = drawn or self._draw(low, "ddim")
            squares = low.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
            return self._plain(truth, low, drawn), np.concatenate([squares, drawn.images[0], truth], axis=1)
        if look == "dpmpp-2s":
            return self._calibration(truth, self._draw(low, look)), None
        return (self._clean(truth) if look == "clean" else self._grey(truth)), None

    def _restorer(self, low: np.ndarray) -> LatentSuperResolution:
        return LatentSuperResolution(low, self.model, colour_fix=self.colour_fix)

    def _draw(self, low: np.ndarray, sampler: str, which: Which = "all") -> Drawn:
        spacing = self.settings.spacing if sampler == "ddim" else None
        settings = replace(self.settings, sampler=sampler, spacing=spacing)
        return self._restorer(low).draw(settings, steered=False, which=which)

    def _plain(self, truth: np.ndarray, low: np.ndarray, drawn: Drawn) -> dict[str, Any]:
        guess = regress(self.regression, low)
        # The mean of latents and the mean of pictures differ: decoding is not linear.
        decoded = self._restorer(low).decode(drawn.particles.latents.mean(0, keepdim=True))[0]
        images = {
            "bicubic": bicubic(low),
            "mmse": guess,
            "mmse_decoded": reconstruct(self.model, guess),
            "one": drawn.images[0],
            "average": average_picture(drawn.images),
            "latent_average": decoded,
        }
        scores = {name: self.score(image, truth) for name, image in images.items()}
        # A random particle, with less noise: the mean of the scores of all.
        every = [self.score(image, truth) for image in drawn.images]
        scores["random"] = {name: float(np.mean([s[name] for s in every])) for name in every[0]}

        kept = ("bicubic", "mmse", "one", "average")
        row = {"scores": scores, "colour": {name: colour_errors(images[name], truth) for name in kept}}
        row["features"] = self.features.row({(len(every), name): images[name] for name in kept}, truth)
        return row | self._calibration(truth, drawn)

    def _calibration(self, truth: np.ndarray, drawn: Drawn) -> dict[str, Any]:
        encoded = encode_photo(self.model, truth).float().cpu().numpy()
        height, width = encoded.shape[-2:]  # what is beyond is padding
        latents = drawn.particles.latents.float().cpu().numpy()[..., :height, :width]
        pixels = np.stack(drawn.images).astype(np.float64)
        return {
            "latents": distances(latents, encoded),
            "pixels": distances(pixels, truth.astype(np.float64)),
            "ranks": truth_ranks(latents, encoded),
        }

    def _clean(self, truth: np.ndarray) -> dict[str, Any]:
        """A good photo, only smaller."""
        size = (truth.shape[1] // SCALE, truth.shape[0] // SCALE)
        low = np.asarray(Image.fromarray(truth).resize(size, Image.Resampling.BICUBIC))
        drawn = self._draw(low, "ddim")
        images = {"bicubic": bicubic(low), "mmse": regress(self.regression, low), "one": drawn.images[0]}
        images["average"] = average_picture(drawn.images)
        return {"scores": {name: self.score(image, truth) for name, image in images.items()}}

    def _grey(self, truth: np.ndarray) -> dict[str, Any]:
        """A photo in grey, reduced without noise, whose colours would be the camera's: does the model add some?"""
        size = (truth.shape[1] // SCALE, truth.shape[0] // SCALE)
        grey = Image.fromarray(truth).convert("L")
        low = np.asarray(grey.resize(size, Image.Resampling.BICUBIC).convert("RGB"))
        drawn = self._draw(low, "ddim", "first")
        alone = reconstruct(self.model, np.asarray(grey.convert("RGB")))
        return {"chroma": {"one": chroma(drawn.images[0]), "autoencoder": chroma(alone)}}


def colour_errors(image: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """How far colours are off, in levels of 255; both RGB uint8 (H, W, 3), sides multiples of 4.

    Returns:
        `cast`: the error of the mean of a channel over the whole photo, mean absolute value over channels; `boxes`: the
        mean squared error of the means of 4 x 4 pixels.
    """
    error = image.astype(np.float64) - truth
    return {"cast": float(np.abs(error.mean((0, 1))).mean()), "boxes": float(np.square(_boxes(error)).mean())}


def chroma(image: np.ndarray) -> float:
    """Distance of the largest from the smallest channel in boxes of 4 x 4 pixels, mean over boxes: 0 for grey."""
    boxes = _boxes(image.astype(np.float64))
    return float((boxes.max(-1) - boxes.min(-1)).mean())


def _boxes(values: np.ndarray) -> np.ndarray:
    height, width, channels = values.shape
    means: np.ndarray = values.reshape(height // BOX, BOX, width // BOX, BOX, channels).mean((1, 3))
    return means
