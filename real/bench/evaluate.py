"""The comparison on a folder of photos: rows that survive a kill, means, standard errors and paired tests.

Every photo is degraded and restored with random numbers of its own (`real.images.seeds`), the plain ensemble is drawn
once, and each steered variant starts from the same noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from real.bench.loading import check_crop, load_truth
from real.bench.photo_sets import Photo, check_known, digest_of, find_photos, left_out_text, used
from real.bench.quality import LOOKS, QualityRun
from real.bench.quality_pictures import SHEET, save_picture, save_ranks, save_sheet
from real.bench.quality_summary import quality_summary, quality_table
from real.bench.reconstruction import reconstruct
from real.bench.sets import SetFeatures
from real.bench.summary import summarise, table
from real.bench.unsampled import regression_digest
from real.degradations.real_esrgan import SecondOrderDegradation
from real.degradations.simple import Degradation
from real.errors import UserError
from real.images.files import write_json
from real.images.seeds import degradation_rng
from real.metrics.score import Score, make_score
from real.models.latent import LatentModel
from real.models.regression import RegressionNetwork, load_regression, regress
from real.records.journal import Rows, locked
from real.records.provenance import describe, weights_digest
from real.restorers.compare import METHODS, bicubic, compare, plain_comparison
from real.restorers.latent import LatentSuperResolution
from real.settings import Settings

__all__ = ["evaluate_folder", "variants_of"]


def evaluate_folder(
    photos: Path,
    folder: Path,
    model: LatentModel,
    settings: Settings,
    degradation: Degradation | SecondOrderDegradation,
    *,
    crop: int | None,
    limit: int | None,
    cutoffs: Sequence[float] | None,
    bandwidths: Sequence[float | str] | None,
    metrics: Sequence[str] = (),
    quality: bool = False,
    colour_fix: str = "none",
    command: str,
) -> str:
    """Run the comparison on every photo of a folder; return a table for the terminal.

    Writes `rows.jsonl` (one row per photo and variant, appended as they are made; an interrupted evaluation resumes
    from there) and `evaluation.json` (settings, summary) into `folder`. With `quality` it writes
    `ranks.png` and `sheet.png`, too: the low-resolution photo, a sample and the truth of the first 24 photos.

    Photos that cannot be read or are smaller than the crop are left out and named.

    Args:
        photos: Folder of truth photos.
        folder: Folder for the results.
        model: The model.
        settings: Settings of every run; the variants replace its cut-off and bandwidth.
        degradation: Ranges of the degradation.
        crop: Side of the centre crop; None: the whole photo, to multiples of 4.
        limit: Number of photos, the first by name; None: all.
        cutoffs: Variants; None: that of the settings.
        bandwidths: Variants, combined with the cut-offs; None: that of the settings or the model.
        metrics: Names of perceptual metrics to score by too; see `real.metrics.score.make_score`.
        quality: Whether to judge the plain samples as well (`real.bench.quality`).
        colour_fix: How results take the colours of the input (`real.images.colour`).
        command: Command line, for the record.

    Raises:
        UserError: No photo can be used, an option does not fit, or the folder holds something else.
    """
    check_crop(crop)
    settings = settings.for_schedule(model.schedule.alphas_cumprod)
    own = settings.bandwidth or model.bandwidth
    variants = variants_of(settings, cutoffs or [settings.cutoff], bandwidths or [own])
    score = make_score(metrics, device=str(model.device))
    found = find_photos(photos)[:limit]

    # What rows depend on. Each variant has rows of its own, and more variants can be added later.
    identity = {**describe(settings, model, ""), "weights": weights_digest(model), "crop": crop}
    identity["settings"]["spacing"] = settings.spacing or model.timestep_spacing  # of DDIM, whatever is steered
    identity |= {"degradation": asdict(degradation)}
    identity |= {"metrics": sorted(metrics), "quality": quality, "colour_fix": colour_fix}
    uses_regression = quality or degradation == Degradation()
    identity |= {"regression": regression_digest() if uses_regression else None}
    for part in ("cutoff", "bandwidth"):  # of the variants
        identity["settings"].pop(part)

    # The regression network knows the one-stage degradation; for photos degraded otherwise it is no baseline.
    regression = load_regression(device=model.device)
    judge = None
    if quality:
        features = SetFeatures(["fid-lite0"], device=str(model.device))
        judge = QualityRun(model, settings, score, regression, features, colour_fix)
    run: dict[str, Any] = {"crop": crop, "score": score, "judge": judge, "colour_fix": colour_fix}
    run["regression"] = regression if degradation == Degradation() else None

    with locked(folder):
        rows = Rows(folder, identity)
        check_known(found, rows, folder, lambda photo: digest_of([photo.truth]))
        left_out = _measure(rows, found, variants, model, settings, degradation, folder, **run)

    names = used(found, left_out)
    summaries = [summarise([rows[name, _name(variant)] for name in names], variant) for variant in variants]
    report = {**describe(settings, model, command), "photos": len(names), "crop": crop, "left_out": left_out}
    report |= {"degradation": asdict(degradation), "colour_fix": colour_fix, "methods": METHODS, "variants": summaries}
    tables = [table(s) for s in summaries]

    if judge is not None:
        looks = {look: [rows[name, look]["quality"] for name in names] for look in LOOKS}
        report["quality"] = quality_summary(looks, settings.particles)
        tables.insert(0, quality_table(report["quality"]))

    write_json(folder / "evaluation.json", report)
    if judge is not None:
        _draw(folder, report["quality"], names)
    return "\n\n".join([*tables, *([left_out_text(left_out)] if left_out else [])])


def variants_of(
    settings: Settings, cutoffs: Sequence[float], bandwidths: Sequence[float | str | None]
) -> list[Settings]:
    """Every cut-off with every bandwidth.

    Raises:
        UserError: One is given twice, so that it has two rows of one name.
        ValueError: One is out of range.
    """
    for option, values in (("cutoffs", cutoffs), ("bandwidths", bandwidths)):
        if len(set(values)) < len(values):
            raise UserError(f"must be different values, got {', '.join(map(str, values))}", argument=option)
    return [replace(settings, cutoff=cutoff, bandwidth=h) for cutoff in cutoffs for h in bandwidths]


def _measure(
    rows: Rows,
    photos: Sequence[Photo],
    variants: Sequence[Settings],
    model: LatentModel,
    settings: Settings,
    degradation: Degradation | SecondOrderDegradation,
    folder: Path,
    *,
    crop: int | None,
    score: Score,
    judge: QualityRun | None,
    colour_fix: str,
    regression: RegressionNetwork | None,
) -> dict[str, str]:
    """Add the rows that are missing; return the photos that cannot be used, and why."""
    looks = LOOKS if judge else ()
    left_out: dict[str, str] = {}
    shown = 0  # photos that count so far, of which the first are on the sheet
    for photo in tqdm(photos, desc="photos", unit="photo"):
        missing = [v for v in variants if (photo.name, _name(v)) not in rows]
        unseen = [look for look in looks if (photo.name, look) not in rows]
        if not missing and not unseen:
            shown += 1
            continue
        try:
            truth = load_truth(photo, crop=crop)
        except UserError as error:
            left_out[photo.name] = error.message
            continue

        shown += 1
        known = {"photo": photo.name, "digest": digest_of([photo.truth])}
        low = degradation(truth, degradation_rng(settings.seed, truth))
        restorer = LatentSuperResolution(low, model, colour_fix=colour_fix)

        # One plain ensemble serves all variants, and the judgement of quality where it is DDIM's.
        judged = settings.sampler == "ddim"
        drawn = None
        if missing or ("plain" in unseen and judged):
            drawn = restorer.draw(settings, steered=False, which="all")
        for look in unseen:
            assert judge is not None
            found, strip = judge.row(look, truth, low, drawn if judged else None)
            if strip is not None and shown <= SHEET:  # before the row, which says that all is done
                save_picture(_strip(folder, photo.name), strip)
            rows.add({**known, "run": look, "quality": found})
        if not missing:
            continue

        baselines = {"bicubic": bicubic(low)}
        if regression is not None:
            baselines["mmse"] = regress(regression, low)
        plain = plain_comparison(restorer, truth, settings, score=score, baselines=baselines, drawn=drawn)
        autoencoder = score(reconstruct(model, truth), truth)
        for variant in missing:
            result = compare(restorer, truth, variant, plain=plain, score=score)
            scores = {**result.scores, "autoencoder": autoencoder}
            rows.add({**known, "run": _name(variant), "scores": scores, "chosen": result.chosen})
    return left_out


def _draw(folder: Path, quality: dict[str, Any], names: Sequence[str]) -> None:
    """The sheet and the rank histograms."""
    ranks = {sampler: of["ranks"] for sampler, of in quality["calibration"].items()}
    save_ranks(folder / "ranks.png", {f"{len(names)} photos": ranks})
    save_sheet(folder / "sheet.png", [_strip(folder, name) for name in names[:SHEET]])


def _strip(folder: Path, name: str) -> Path:
    return folder / "strips" / f"{name}.png"


def _name(variant: Settings) -> str:
    return f"cut-off {variant.cutoff}, bandwidth {variant.bandwidth}"
