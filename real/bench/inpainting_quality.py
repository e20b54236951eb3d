"""What an inpainting model is worth without any steering: the section `quality` of its evaluation.

Every photo gets seven holes, drawn from (seed, photo, kind). Of each hole the plain ensembles of DDIM and of
DPM-Solver++ 2S (50 steps of DDIM lose variance) are judged: whether their samples are exchangeable with the truth in
the hole, how near one sample of DDIM and the average of all come to it beside biharmonic interpolation, and whether the
border of the hole shows. Nothing here depends on KDS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from real.alternatives.fillings import biharmonic
from real.bench.calibration import distances, exchangeability, hole_ranks, rank_counts
from real.bench.quality_summary import mean_scores, number_text, psnr_gain
from real.images.disagreement import average_picture
from real.images.holes import draw_box, draw_hole
from real.images.masks import latent_mask
from real.images.seeds import hole_rng
from real.metrics.distortion import hole_distortion
from real.metrics.score import Score
from real.models.codec import encode_photo
from real.models.latent import LatentModel
from real.records.provenance import mean_with_error
from real.restorers.inpainting import LatentInpainting
from real.settings import Settings

__all__ = [
    "INPAINTING_RUNS",
    "InpaintingJudge",
    "edge_steps",
    "inpainting_summary",
    "inpainting_table",
    "judged_hole",
]

AREAS = {"box-4": 0.04, "box-8": 0.08, "box-30": 0.3}  # shares of the photo's area; a box of 25 in 128 is 4%
KINDS = (*AREAS, "strokes", "scratches", "text", "speckles")
SPACES = ("latents", "pixels")
INPAINTING_RUNS = tuple((kind, sampler) for sampler in ("ddim", "dpmpp-2s") for kind in KINDS)


def judged_hole(kind: str, seed: int, truth: np.ndarray) -> np.ndarray:
    """The hole of a photo that belongs to (seed, photo, kind).

    Args:
        kind: One of "box-4", "box-8", "box-30" (boxes of 4, 8 and 30% of the area), "strokes", "scratches", "text",
            "speckles".
        seed: The evaluation's.
        truth: RGB uint8 (H, W, 3).

    Returns:
        bool (H, W), True inside.
    """
    rng = hole_rng(seed, truth, kind)
    height, width = truth.shape[:2]
    return draw_box(height, width, AREAS[kind], rng) if kind in AREAS else draw_hole(kind, height, width, rng)


class InpaintingJudge:
    """What all photos of a judgement share.

    Args:
        model: Model of the family "ldm-inpaint".
        settings: Settings of the plain samplers; what concerns steering is not used.
        score: Metrics of a whole picture against the truth.
    """

    def __init__(self, model: LatentModel, settings: Settings, score: Score) -> None:
        self.model, self.settings, self.score = model, settings, score

    def row(self, kind: str, sampler: str, truth: np.ndarray) -> tuple[dict[str, Any], np.ndarray]:
        """What one of `INPAINTING_RUNS` finds on a photo.

        Args:
            kind: Kind of the hole.
            sampler: "ddim" or "dpmpp-2s".
            truth: RGB uint8 (H, W, 3), sides multiples of 4.

        Returns:
            The numbers (scores, and steps at the border, of DDIM alone), and a strip of three pictures: the photo with
            its hole in grey, the first sample, the truth.
        """
        mask = judged_hole(kind, self.settings.seed, truth)
        spacing = self.settings.spacing if sampler == "ddim" else None
        settings = replace(self.settings, sampler=sampler, spacing=spacing)
        restorer = LatentInpainting(truth, mask, self.model)
        drawn = restorer.draw(settings, steered=False, which="all")
        row = {"hidden": float(mask.mean()), **self._calibration(drawn.particles.latents, drawn.images, truth, mask)}
        if sampler == "ddim":
            row |= self._pictures(drawn.images, truth, mask)
        return row, np.hstack([restorer.shown, drawn.images[0], truth])

    def _calibration(self, latents: Any, images: list[np.ndarray], truth: np.ndarray, mask: np.ndarray) -> Any:
        """Distances and ranks over latent pixels that the hole touches, and over its pixels."""
        encoded = encode_photo(self.model, truth).float().cpu().numpy()
        height, width = encoded.shape[-2:]  # what is beyond is padding
        samples = latents.float().cpu().numpy()[..., :height, :width]
        touched = latent_mask(mask).numpy() > -1.0
        pixels = np.stack([image[mask] for image in images]).astype(np.float64)
        return {
            "latents": distances(samples[..., touched], encoded[..., touched]),
            "pixels": distances(pixels, truth[mask].astype(np.float64)),
            "ranks": hole_ranks(samples, encoded, touched),
        }

    def _pictures(self, images: list[np.ndarray], truth: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
        """Scores over the whole photo and over the hole, and steps at the hole's border."""
        kept = {"biharmonic": biharmonic(truth, mask), "one": images[0], "average": average_picture(images)}
        scores = {name: self._scores(image, truth, mask) for name, image in kept.items()}
        every = [self._scores(image, truth, mask) for image in images]
        scores["random"] = {name: float(np.mean([s[name] for s in every])) for name in every[0]}
        return {"scores": scores, "edges": {k: edge_steps(v, mask) for k, v in {**kept, "truth": truth}.items()}}

    def _scores(self, image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> dict[str, float]:
        return {**hole_distortion(image, truth, mask), **self.score(image, truth)}


def edge_steps(image: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Mean difference of neighbouring pixels, in levels of 255: a hole whose border shows has larger ones across it.

    Args:
        image: RGB uint8 (H, W, 3).
        mask: bool (H, W), True inside the hole.

    Returns:
        `border`, where one of the two pixels is in the hole, and `inside`, where both are; NaN where there are none.
    """
    border, inside = [], []
    for axis in (0, 1):
        steps = np.abs(np.diff(image.astype(np.float64), axis=axis)).mean(-1)
        both = np.diff(mask.astype(np.int8), axis=axis) == 0
        hidden = mask[1:] if axis == 0 else mask[:, 1:]
        border.append(steps[~both])
        inside.append(steps[both & hidden])
    return {"border": _mean(border), "inside": _mean(inside)}


def _mean(parts: list[np.ndarray]) -> float:
    values = np.concatenate(parts)
    return float(values.mean()) if len(values) else float("nan")


def inpainting_summary(
    rows: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]], num_particles: int
) -> dict[str, Any]:
    """The section of a report, from the rows of every run."""
    first = rows[INPAINTING_RUNS[0]]
    holes: dict[str, Any] = {kind: _of_kind(rows[kind, "ddim"]) for kind in KINDS}
    for (kind, sampler), kept in rows.items():
        holes[kind]["calibration"][sampler] = {
            "latents": exchangeability([row["latents"] for row in kept]),
            "pixels": exchangeability([row["pixels"] for row in kept]),
            "ranks": rank_counts([row["ranks"] for row in kept], num_particles),
        }
    return {"photos": len(first), "holes": holes}


def _of_kind(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Outside the hole every picture is the truth, so that gains in PSNR are those inside the hole."""
    edges = {name: {part: _steps(rows, name, part) for part in ("border", "inside")} for name in rows[0]["edges"]}
    return {
        "hidden": mean_with_error(np.array([row["hidden"] for row in rows])),
        "scores": mean_scores(rows),
        "gains": {
            "average over biharmonic": psnr_gain(rows, "average", "biharmonic"),
            "one over biharmonic": psnr_gain(rows, "one", "biharmonic"),
        },
        "edges": edges,
        "calibration": {},
    }


def _steps(rows: Sequence[Mapping[str, Any]], name: str, part: str) -> dict[str, float | None]:
    return mean_with_error(np.array([row["edges"][name][part] for row in rows], dtype=np.float64))


def inpainting_table(quality: Mapping[str, Any]) -> str:
    """The section as text, for the terminal and the model's card."""
    lines = [f"Without steering, {quality['photos']} photos; PSNR over the pixels of the hole"]
    for kind, found in quality["holes"].items():
        lines.append(f"{kind}, {found['hidden']['mean']:.1%} of the photo")

        # PSNR and SSIM of a whole photo mostly say how large its hole is; those over the hole are shown.
        for name, scores in found["scores"].items():
            shown = {k: v for k, v in scores.items() if k not in ("psnr_rgb", "ssim_rgb", "psnr_y", "ssim_y")}
            numbers = [f"{metric} {number_text(score['mean'], '.4g')}" for metric, score in shown.items()]
            lines.append(f"  {name:11}{'  '.join(numbers)}")

        for name, gain in found["gains"].items():
            error = number_text(gain["standard_error"], ".2f")
            lines.append(f"  {name}: {number_text(gain['mean'], '+.2f')} +- {error} dB")

        for sampler, of_sampler in found["calibration"].items():
            pairs = [(of_sampler[space]["ratio"], of_sampler[space]["standard_error"], space) for space in SPACES]
            ratios = ", ".join(f"{ratio:.2f} +- {error:.2f} in {space}" for ratio, error, space in pairs)
            lines.append(f"  distance between samples over distance to the truth, {sampler}: {ratios}")

        steps = [(name, edge["border"]["mean"], edge["inside"]["mean"]) for name, edge in found["edges"].items()]
        parts = ", ".join(f"{n} {number_text(b, '.1f')} / {number_text(i, '.1f')}" for n, b, i in steps)
        lines.append(f"  steps between pixels, of 255, at the border / inside: {parts}")
    return "\n".join(lines)

