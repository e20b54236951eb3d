"""What a super-resolution model is worth without any steering: the section `quality` of an evaluation.

Four looks at every photo: the plain ensemble of DDIM, that of DPM-Solver++ 2S (50 steps of DDIM lose variance), the
photo reduced by four without any blur, noise or JPEG, and the photo in grey. Nothing here depends on KDS, so that a
model can be judged before anybody asks what KDS gains with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from real.bench.calibration import distances, exchangeability, rank_counts, truth_ranks
from real.bench.reconstruction import reconstruct
from real.bench.sets import SetFeatures, set_scores
from real.degradations.simple import SCALE
from real.metrics.score import Score
from real.models.codec import encode_photo
from real.models.latent import LatentModel
from real.models.regression import RegressionNetwork, regress
from real.records.finite import finite_photos
from real.records.provenance import mean_with_error
from real.restorers.base import Drawn
from real.restorers.compare import bicubic
from real.restorers.latent import LatentSuperResolution
from real.settings import Settings

__all__ = [
    "LOOKS",
    "QualityRun",
    "average_picture",
    "chroma",
    "colour_errors",
    "mean_scores",
    "number_text",
    "psnr_gain",
    "quality_summary",
    "quality_table",
]

LOOKS = ("plain", "dpmpp-2s", "clean", "grey")
BOX = 4  # side of the boxes whose colours are compared, in pixels


class QualityRun:
    """What all photos of a judgement share.

    Args:
        model: The model.
        settings: Of the plain samplers; what concerns steering is not used.
        score: Of an image against the truth.
        regression: The network that guesses the photo at once.
        features: Of sets of images.
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

    def row(self, look: str, truth: np.ndarray, low: np.ndarray, drawn: Drawn | None = None) -> dict[str, Any]:
        """What one of `LOOKS` finds on a photo.

        Args:
            look: Which.
            truth: RGB uint8 (H, W, 3), sides multiples of 4.
            low: RGB uint8 (H / 4, W / 4, 3).
            drawn: The plain ensemble of `low`, where it is there already.
        """
        if look == "plain":
            return self._plain(truth, low, drawn or self._draw(low, "ddim"))
        if look == "dpmpp-2s":
            return self._calibration(truth, self._draw(low, look))
        if look == "clean":
            return self._clean(truth)
        return self._grey(truth)

    def _restorer(self, low: np.ndarray) -> LatentSuperResolution:
        return LatentSuperResolution(low, self.model, colour_fix=self.colour_fix)

    def _draw(self, low: np.ndarray, sampler: str) -> Drawn:
        spacing = self.settings.spacing if sampler == "ddim" else None
        settings = replace(self.settings, sampler=sampler, spacing=spacing)
        return self._restorer(low).draw(settings, steered=False, which="all")

    def _plain(self, truth: np.ndarray, low: np.ndarray, drawn: Drawn) -> dict[str, Any]:
        guess = regress(self.regression, low)
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
        drawn = self._draw(low, "ddim")
        alone = reconstruct(self.model, np.asarray(grey.convert("RGB")))
        return {"chroma": {"one": chroma(drawn.images[0]), "autoencoder": chroma(alone)}}


def average_picture(images: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of pictures, RGB uint8 (H, W, 3)."""
    mean: np.ndarray = np.mean([image.astype(np.float64) for image in images], axis=0)
    return np.rint(mean).astype(np.uint8)


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


def quality_summary(rows: Mapping[str, Sequence[Mapping[str, Any]]], num_particles: int) -> dict[str, Any]:
    """The section of a report, from the rows of every look."""
    plain, clean = rows["plain"], rows["clean"]
    samplers = {"ddim": plain, "dpmpp-2s": rows["dpmpp-2s"]}

    boxes = {
        name: float(np.sqrt(np.mean([row["colour"][name]["boxes"] for row in plain]))) for name in plain[0]["colour"]
    }

    return {
        "photos": len(plain),
        "scores": mean_scores(plain),
        "sets": {name: set_scores(plain, str(num_particles), name) for name in plain[0]["colour"]},
        "gains": {
            "average over bicubic": psnr_gain(plain, "average", "bicubic"),
            "mmse over bicubic": psnr_gain(plain, "mmse", "bicubic"),
            "latent_average over mmse_decoded": psnr_gain(plain, "latent_average", "mmse_decoded"),
            "clean: average over bicubic": psnr_gain(clean, "average", "bicubic"),
        },
        "calibration": {
            name: {
                "latents": exchangeability([row["latents"] for row in kept]),
                "pixels": exchangeability([row["pixels"] for row in kept]),
                "ranks": rank_counts([row["ranks"] for row in kept], num_particles),
            }
            for name, kept in samplers.items()
        },
        "colour": {
            "cast": {
                name: mean_with_error(np.array([row["colour"][name]["cast"] for row in plain]))
                for name in plain[0]["colour"]
            },
            "boxes": boxes,
            "chroma of grey photos": {
                name: mean_with_error(np.array([row["chroma"][name] for row in rows["grey"]]))
                for name in rows["grey"][0]["chroma"]
            },
        },
        "clean": {"photos": len(clean), "scores": mean_scores(clean)},
    }


def mean_scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean of every score over the photos at which all kinds of picture have a finite one."""
    values = {
        name: {key: np.array([row["scores"][name][key] for row in rows], dtype=np.float64) for key in first}
        for name, first in rows[0]["scores"].items()
    }
    kept = finite_photos(values)
    return {name: {key: mean_with_error(v[kept[key]]) for key, v in of.items()} for name, of in values.items()}


def psnr_gain(rows: Sequence[Mapping[str, Any]], a: str, b: str) -> dict[str, float | None]:
    """PSNR in RGB of `a` over `b`, paired by photo, where both are finite."""
    first, second = (np.array([row["scores"][name]["psnr_rgb"] for row in rows], dtype=np.float64) for name in (a, b))
    kept = np.isfinite(first) & np.isfinite(second)
    return mean_with_error(first[kept] - second[kept])


def number_text(value: float | None, style: str) -> str:
    """A number in a style, or a dash where there is none."""
    return "-" if value is None else format(value, style)


def quality_table(quality: Mapping[str, Any]) -> str:
    """The section as text, for the terminal and the model's card."""
    lines = [f"Without steering, {quality['photos']} photos"]
    for name, scores in quality["scores"].items():
        numbers = [f"{metric} {number_text(score['mean'], '.4g')}" for metric, score in scores.items()]
        numbers += [f"{key} {value:.1f}" for key, value in quality["sets"].get(name, {}).items()]
        lines.append(f"{name:15}{'  '.join(numbers)}")

    for name, gain in quality["gains"].items():
        error = "?" if gain["standard_error"] is None else f"{gain['standard_error']:.2f}"
        lines.append(f"{name}: {number_text(gain['mean'], '+.2f')} +- {error} dB")

    for sampler, found in quality["calibration"].items():
        pairs = [(found[space]["ratio"], found[space]["standard_error"], space) for space in ("latents", "pixels")]
        ratios = ", ".join(f"{ratio:.2f} +- {error:.2f} in {space}" for ratio, error, space in pairs)
        lines.append(f"distance between samples over distance to the truth, {sampler}: {ratios}")

    colour = quality["colour"]
    casts = ", ".join(f"{name} {cast['mean']:.2f}" for name, cast in colour["cast"].items())
    boxes = ", ".join(f"{name} {error:.2f}" for name, error in colour["boxes"].items())
    grey = ", ".join(f"{name} {value['mean']:.2f}" for name, value in colour["chroma of grey photos"].items())
    lines += [f"colour cast, of 255: {casts}", f"error of boxes of 4 x 4 pixels, of 255: {boxes}"]
    return "\n".join([*lines, f"colour of grey photos, of 255: {grey}"])
