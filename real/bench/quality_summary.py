"""From what `real.bench.quality` found on every photo to the section of a report, and to the text of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from real.bench.calibration import exchangeability, rank_counts
from real.bench.sets import set_scores
from real.records.finite import finite_photos
from real.records.provenance import mean_with_error

__all__ = ["mean_scores", "number_text", "psnr_gain", "quality_summary", "quality_table"]


def quality_summary(rows: Mapping[str, Sequence[Mapping[str, Any]]], num_particles: int) -> dict[str, Any]:
    """The section of a report, from the rows of every look."""
    plain, clean = rows["plain"], rows["clean"]
    samplers = {"ddim": plain, "dpmpp-2s": rows["dpmpp-2s"]}

    calibration = {
        name: {
            "latents": exchangeability([row["latents"] for row in kept]),
            "pixels": exchangeability([row["pixels"] for row in kept]),
            "ranks": rank_counts([row["ranks"] for row in kept], num_particles),
        }
        for name, kept in samplers.items()
    }

    kinds = list(plain[0]["colour"])
    grey = rows["grey"]
    colour = {
        "cast": {name: mean_with_error(np.array([row["colour"][name]["cast"] for row in plain])) for name in kinds},
        # Squared errors of the photos: their mean comes before the root.
        "boxes": {name: float(np.sqrt(np.mean([row["colour"][name]["boxes"] for row in plain]))) for name in kinds},
        "chroma of grey photos": {
            name: mean_with_error(np.array([row["chroma"][name] for row in grey])) for name in grey[0]["chroma"]
        },
    }
    sets = {name: set_scores(plain, str(num_particles), name) for name in kinds}

    return {
        "photos": len(plain),
        "scores": mean_scores(plain),
        "sets": sets,
        "gains": {
            "average over bicubic": psnr_gain(plain, "average", "bicubic"),
            "mmse over bicubic": psnr_gain(plain, "mmse", "bicubic"),
            "latent_average over mmse_decoded": psnr_gain(plain, "latent_average", "mmse_decoded"),
            "clean: average over bicubic": psnr_gain(clean, "average", "bicubic"),
        },
        "calibration": calibration,
        "colour": colour,
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
