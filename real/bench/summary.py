"""Means and paired differences of an evaluation, and the same as text."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import wilcoxon

from real.records.finite import finite_photos, not_finite
from real.records.provenance import mean_with_error
from real.settings import Settings

__all__ = ["summarise", "table"]

DISTORTION = ("psnr_rgb", "ssim_rgb", "psnr_y", "ssim_y")
PAIRS = (
    ("kds_choice", "ddim_mean", "KDS + choice against one random plain particle: the paper's comparison"),
    ("kds_mean", "ddim_mean", "steering alone: a random particle with and without it"),
    ("ddim_choice", "ddim_mean", "choosing alone: without any steering"),
    ("kds_choice", "ddim_choice", "what steering adds to choosing"),
    ("kds_early", "kds_choice", "choosing at the cut-off instead of at the end"),
    ("kds_choice", "ddim_average", "KDS against the plain average of the ensemble"),
    ("kds_choice", "ddim_halfway", "KDS against the plain choice moved halfway to the ensemble mean"),
    ("kds_halfway", "ddim_halfway", "what steering adds to the choice moved halfway to the ensemble mean"),
    ("kds_average", "ddim_average", "what steering adds to the average of the ensemble"),
    ("kds_choice", "bicubic", "KDS against bicubic interpolation"),
    ("kds_choice", "mmse", "KDS against the regression network's one guess"),
)


def summarise(rows: list[dict[str, Any]], variant: Settings) -> dict[str, Any]:
    """Mean and standard error of every method, and the paired differences with a two-sided Wilcoxon test.

    `not_finite` says what means are without, see `real.records.finite`.
    """
    methods = list(rows[0]["scores"])
    every = {
        m: {k: np.array([r["scores"][m][k] for r in rows], dtype=np.float64) for k in rows[0]["scores"][m]}
        for m in methods
    }

    # A photo without a finite number in one method is left out of that metric in all, so that means stay comparable.
    kept = finite_photos(every)
    values = {m: {k: v[kept[k]] for k, v in of_method.items()} for m, of_method in every.items()}

    return {
        "cutoff": variant.cutoff,
        "bandwidth": variant.bandwidth,
        "photos": len(rows),
        "not_finite": not_finite(every, [r["photo"] for r in rows]),
        "methods": {m: {k: mean_with_error(v) for k, v in values[m].items()} for m in methods},
        "pairs": [
            {"a": a, "b": b, "what": what} | {k: _difference(values[a][k], values[b][k]) for k in values[a]}
            for a, b, what in PAIRS
            if a in values and b in values  # after an early choice there is one steered particle
        ],
    }


def _difference(a: np.ndarray, b: np.ndarray) -> dict[str, float | None]:
    """Mean of a - b with its error, and p of the two-sided paired Wilcoxon signed-rank test; 1 where none differs."""
    return {**mean_with_error(a - b), "p": float(wilcoxon(a, b).pvalue) if np.any(a != b) else 1.0}


def _label(metric: str) -> str:
    return metric.upper().replace("_", "-")


def _error(number: dict[str, float | None]) -> str:
    """The standard error as a table has it; unknown with one photo."""
    return "?" if number["standard_error"] is None else f"{number['standard_error']:.2f}"


def _mean(number: dict[str, float | None], style: str) -> str:
    """The mean as a table has it; there is none where no photo has a finite number."""
    return "-" if number["mean"] is None else format(number["mean"], style)


def table(summary: dict[str, Any]) -> str:
    """One variant of an evaluation as text: every method, then the paired differences."""
    lines = [f"{summary['photos']} photos, cut-off {summary['cutoff']}, bandwidth {summary['bandwidth']}"]
    # Which perceptual metrics there are is the user's choice, so their columns come last.
    perceptual = [name for name in summary["methods"]["bicubic"] if name not in DISTORTION]
    last = "".join(f" {_label(name):>9}" for name in perceptual)
    lines.append(f"{'':14}{'PSNR RGB':>9} {'+-':>6} {'SSIM RGB':>9} {'PSNR Y':>9} {'SSIM Y':>9}{last}")

    for method, s in summary["methods"].items():
        psnr, error = _mean(s["psnr_rgb"], ".2f"), _error(s["psnr_rgb"])
        rest = f"{_mean(s['ssim_rgb'], '.3f'):>9} {_mean(s['psnr_y'], '.2f'):>9} {_mean(s['ssim_y'], '.3f'):>9}"
        last = "".join(f" {_mean(s[name], '.4f'):>9}" for name in perceptual)
        lines.append(f"{method:14}{psnr:>9} {error:>6} {rest}{last}")

    for pair in summary["pairs"]:
        d = pair["psnr_rgb"]
        last = "".join(f", {_label(m)} {_mean(pair[m], '+.4f')} (p = {pair[m]['p']:.2g})" for m in perceptual)
        lines.append(
            f"{pair['what']}: {_mean(d, '+.2f')} +- {_error(d)} dB (p = {d['p']:.2g}), "
            f"SSIM {_mean(pair['ssim_rgb'], '+.3f')} (p = {pair['ssim_rgb']['p']:.2g}){last}"
        )

    for entry in summary["not_finite"]:
        where = f"{entry['photo']} ({', '.join(entry['lines'])})"
        lines.append(f"not finite, left out of {_label(entry['metric'])}: {where}")
    return "\n".join(lines)
