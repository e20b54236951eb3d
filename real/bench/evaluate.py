"""The comparison on a folder of photos: rows that survive a kill, means, standard errors and paired tests.

Every photo is degraded and restored with random numbers of its own (`real.images.seeds`), the plain ensemble is drawn
once, and each steered variant starts from the same noise.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import wilcoxon
from tqdm import tqdm

from real.bench.quality import LOOKS, QualityRun, quality_summary, quality_table
from real.bench.reconstruction import photos_of, reconstruct
from real.bench.sets import SetFeatures
from real.degradations.real_esrgan import SecondOrderDegradation
from real.degradations.simple import Degradation
from real.images.files import write_atomically
from real.images.photos import center_crop, load_photo
from real.images.seeds import degradation_rng
from real.metrics.score import Score, make_score
from real.models.latent import LatentModel
from real.models.regression import load_regression
from real.records.journal import Rows, locked
from real.records.provenance import describe, mean_with_error
from real.restorers.compare import METHODS, bicubic, compare, plain_comparison
from real.restorers.latent import LatentSuperResolution
from real.settings import Settings

__all__ = ["evaluate_folder", "summarise", "table"]

DISTORTION = ("psnr_rgb", "ssim_rgb", "psnr_y", "ssim_y")
PAIRS = (
    ("kds_choice", "ddim_mean", "KDS + choice against one random plain particle: the paper's comparison"),
    ("kds_mean", "ddim_mean", "steering alone: a random particle with and without it"),
    ("ddim_choice", "ddim_mean", "choosing alone: without any steering"),
    ("kds_choice", "ddim_choice", "what steering adds to choosing"),
    ("kds_early", "kds_choice", "choosing at the cut-off instead of at the end"),
    ("kds_choice", "ddim_average", "KDS against the plain average of the ensemble"),
    ("kds_choice", "ddim_halfway", "KDS against the plain choice moved halfway to the ensemble mean"),
    ("kds_choice", "bicubic", "KDS against bicubic interpolation"),
)


def evaluate_folder(
    photos: Path,
    folder: Path,
    model: LatentModel,
    settings: Settings,
    degradation: Degradation | SecondOrderDegradation,
    *,
    crop: int | None,
    limit: int | None,
    cutoffs: Sequence[float],
    bandwidths: Sequence[float | str] | None,
    metrics: Sequence[str] = (),
    quality: bool = False,
    command: str,
) -> str:
    """Run the comparison on every photo of a folder; return a table for the terminal.

    Writes `rows.jsonl` (one row a photo and variant, appended as they are made; an interrupted evaluation goes on from
    there) and `evaluation.json` (settings, summary) into `folder`.

    Args:
        photos: Folder of truth photos.
        folder: Where the results go.
        model: The model.
        settings: Of every run; the variants replace its cut-off and bandwidth.
        degradation: Ranges of the degradation.
        crop: Side of the centre crop; None: the whole photo, to multiples of 4.
        limit: Only the first photos by name.
        cutoffs: Variants.
        bandwidths: Variants, combined with the cut-offs; None: that of the settings or the model.
        metrics: Names of perceptual metrics to score by too; see `real.metrics.score.make_score`.
        quality: Judge the plain samples as well (`real.bench.quality`).
        command: For the record.
    """
    score = make_score(metrics, device=str(model.device))
    paths = photos_of(photos, limit)
    variants = [
        replace(settings, cutoff=cutoff, bandwidth=bandwidth)
        for cutoff in cutoffs
        for bandwidth in bandwidths or [settings.bandwidth or model.bandwidth]
    ]
    identity = {**describe(settings, model, ""), "crop": crop, "degradation": asdict(degradation)}
    identity |= {"metrics": sorted(metrics), "quality": quality}
    for part in ("cutoff", "bandwidth"):  # of the variants
        identity["settings"].pop(part)
    judge = None
    if quality:
        features = SetFeatures(["fid-lite0"], device=str(model.device))
        judge = QualityRun(model, settings, score, load_regression(device=model.device), features)
    with locked(folder):
        rows = Rows(folder, identity)
        _measure(rows, paths, variants, model, settings, degradation, crop=crop, score=score, judge=judge)
    summaries = [summarise([rows[p.name, _name(variant)] for p in paths], variant) for variant in variants]
    report = {**describe(settings, model, command), "photos": len(paths), "crop": crop}
    report |= {"degradation": asdict(degradation), "methods": METHODS, "variants": summaries}
    tables = [table(s) for s in summaries]
    if judge is not None:
        found = {look: [rows[p.name, look]["quality"] for p in paths] for look in LOOKS}
        report["quality"] = quality_summary(found, settings.particles)
        tables.insert(0, quality_table(report["quality"]))
    write_atomically(folder / "evaluation.json", lambda p: p.write_text(json.dumps(report, indent=1) + "\n"))
    return "\n\n".join(tables)


def _measure(
    rows: Rows,
    paths: Sequence[Path],
    variants: Sequence[Settings],
    model: LatentModel,
    settings: Settings,
    degradation: Degradation | SecondOrderDegradation,
    *,
    crop: int | None,
    score: Score,
    judge: QualityRun | None,
) -> None:
    """Add the rows that are missing."""
    looks = LOOKS if judge else ()
    for path in tqdm(paths, desc="photos", unit="photo"):
        missing = [v for v in variants if (path.name, _name(v)) not in rows]
        unseen = [look for look in looks if (path.name, look) not in rows]
        if missing or unseen:
            truth = np.ascontiguousarray(center_crop(load_photo(path), side=crop))
            low = degradation(truth, degradation_rng(settings.seed, truth))
            restorer = LatentSuperResolution(low, model)
            drawn = restorer.draw(settings, steered=False, which="all") if missing or "plain" in unseen else None
            for look in unseen:
                assert judge is not None
                rows.add({"photo": path.name, "run": look, "quality": judge.row(look, truth, low, drawn)})
            if not missing:
                continue
            plain = plain_comparison(
                restorer, truth, settings, score=score, baselines={"bicubic": bicubic(low)}, drawn=drawn
            )
            autoencoder = score(reconstruct(model, truth), truth)
            for variant in missing:
                result = compare(restorer, truth, variant, plain=plain, score=score)
                scores = {**result.scores, "autoencoder": autoencoder}
                rows.add({"photo": path.name, "run": _name(variant), "scores": scores, "chosen": result.chosen})


def summarise(rows: list[dict[str, Any]], variant: Settings) -> dict[str, Any]:
    """Mean and standard error of every method, and the paired differences with a two-sided Wilcoxon test."""
    methods = list(rows[0]["scores"])
    values = {m: {k: np.array([r["scores"][m][k] for r in rows]) for k in rows[0]["scores"][m]} for m in methods}
    return {
        "cutoff": variant.cutoff,
        "bandwidth": variant.bandwidth,
        "photos": len(rows),
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


def _name(variant: Settings) -> str:
    return f"cut-off {variant.cutoff}, bandwidth {variant.bandwidth}"


def _label(metric: str) -> str:
    return metric.upper().replace("_", "-")


def _error(number: dict[str, float | None]) -> str:
    """The standard error as a table has it; unknown with one photo."""
    return "?" if number["standard_error"] is None else f"{number['standard_error']:.2f}"


def table(summary: dict[str, Any]) -> str:
    """One variant of an evaluation as text: every method, then the paired differences."""
    lines = [f"{summary['photos']} photos, cut-off {summary['cutoff']}, bandwidth {summary['bandwidth']}"]
    perceptual = [name for name in summary["methods"]["bicubic"] if name not in DISTORTION]
    last = "".join(f" {_label(name):>9}" for name in perceptual)
    lines.append(f"{'':14}{'PSNR RGB':>9} {'+-':>6} {'SSIM RGB':>9} {'PSNR Y':>9} {'SSIM Y':>9}{last}")
    for method, s in summary["methods"].items():
        psnr, error = s["psnr_rgb"]["mean"], _error(s["psnr_rgb"])
        rest = f"{s['ssim_rgb']['mean']:9.3f} {s['psnr_y']['mean']:9.2f} {s['ssim_y']['mean']:9.3f}"
        last = "".join(f" {s[name]['mean']:9.4f}" for name in perceptual)
        lines.append(f"{method:14}{psnr:9.2f} {error:>6} {rest}{last}")
    for pair in summary["pairs"]:
        d = pair["psnr_rgb"]
        last = "".join(f", {_label(m)} {pair[m]['mean']:+.4f} (p = {pair[m]['p']:.2g})" for m in perceptual)
        lines.append(
            f"{pair['what']}: {d['mean']:+.2f} +- {_error(d)} dB (p = {d['p']:.2g}), "
            f"SSIM {pair['ssim_rgb']['mean']:+.3f} (p = {pair['ssim_rgb']['p']:.2g}){last}"
        )
    return "\n".join(lines)
