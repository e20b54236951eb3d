"""An inpainting model judged on a folder of photos: rows that survive a kill, a report, a sheet of samples, a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from real.bench.inpainting_quality import INPAINTING_RUNS, InpaintingJudge, inpainting_summary, inpainting_table
from real.bench.loading import check_crop, load_truth
from real.bench.photo_sets import Photo, check_known, digest_of, find_photos, left_out_text, used
from real.bench.quality_pictures import SHEET, save_picture, save_ranks, save_sheet
from real.errors import UserError
from real.images.files import write_json
from real.metrics.score import make_score
from real.models.latent import LatentModel
from real.records.journal import Rows, locked
from real.records.provenance import describe, weights_digest
from real.settings import Settings

__all__ = ["evaluate_inpainting"]

STRIPS = "samples"  # folder of the pictures that sheets are made of


def evaluate_inpainting(
    photos: Path,
    folder: Path,
    model: LatentModel,
    settings: Settings,
    *,
    crop: int | None,
    limit: int | None,
    metrics: Sequence[str] = (),
    command: str,
) -> str:
    """Judge the plain samples of an inpainting model on every photo of a folder; return a table for the terminal.

    Writes into `folder`: `rows.jsonl` (one row per photo and run, appended as they are made; an interrupted evaluation
    resumes from there), `evaluation.json` (settings and the section `quality`), `ranks.png`, and `sheet-KIND.png` for
    each kind of hole: the hole, a sample and the truth of the first 24 photos.

    Args:
        photos: Folder of truth photos.
        folder: Folder for the results.
        model: Model of the family "ldm-inpaint".
        settings: Settings of the plain samplers; what concerns steering is not used.
        crop: Side of the centre crop; None: the whole photo, to multiples of 4.
        limit: Number of photos, the first by name; None: all.
        metrics: Names of perceptual metrics of the whole photo; see `real.metrics.score.make_score`.
        command: Command line, for the record.

    Raises:
        UserError: No photo can be used, an option does not fit, or the folder holds something else.
    """
    check_crop(crop)
    if settings.particles < 2:
        raise UserError(f"must be at least 2 to compare samples, got {settings.particles}", argument="particles")
    judge = InpaintingJudge(model, settings, make_score(metrics, device=str(model.device)))
    found = find_photos(photos)[:limit]
    identity = {**describe(settings, model, ""), "weights": weights_digest(model), "hole": model.hole, "crop": crop}
    identity["settings"]["spacing"] = settings.spacing or model.timestep_spacing  # of DDIM, whatever is steered
    identity |= {"task": "inpaint", "metrics": sorted(metrics)}
    with locked(folder):
        rows = Rows(folder, identity)
        check_known(found, rows, folder, lambda photo: digest_of([photo.truth]))
        left_out = _measure(rows, found, judge, folder, crop=crop)

    names = used(found, left_out)
    by_run = {run: [rows[name, " ".join(run)]["quality"] for name in names] for run in INPAINTING_RUNS}
    quality = inpainting_summary(by_run, settings.particles)
    report = {**describe(settings, model, command), "hole": model.hole, "photos": len(names), "crop": crop}
    write_json(folder / "evaluation.json", {**report, "left_out": left_out, "quality": quality})
    _draw(folder, quality, names)
    return "\n\n".join([inpainting_table(quality), *([left_out_text(left_out)] if left_out else [])])


def _measure(
    rows: Rows, photos: Sequence[Photo], judge: InpaintingJudge, folder: Path, *, crop: int | None
) -> dict[str, str]:
    """Add the rows that are missing; return the photos that cannot be used, and why."""
    left_out: dict[str, str] = {}
    shown = 0  # photos that count so far, of which the first are on the sheets
    with tqdm(total=len(photos) * len(INPAINTING_RUNS), desc="holes", unit="hole") as bar:
        for photo in photos:
            missing = [run for run in INPAINTING_RUNS if (photo.name, " ".join(run)) not in rows]
            bar.update(len(INPAINTING_RUNS) - len(missing))
            # Photos of an earlier run count, too: their pictures for the sheets are on the disk.
            if not missing:
                shown += 1
                continue
            try:
                truth = load_truth(photo, crop=crop)
            except UserError as error:
                left_out[photo.name] = error.message
                bar.update(len(missing))
                continue

            shown += 1
            known = {"photo": photo.name, "digest": digest_of([photo.truth])}
            for kind, sampler in missing:
                quality, strip = judge.row(kind, sampler, truth)
                if shown <= SHEET and sampler == "ddim":  # before the row, which says that all is done
                    save_picture(_strip(folder, kind, photo.name), strip)
                rows.add({**known, "run": f"{kind} {sampler}", "quality": quality})
                bar.update()
    return left_out


def _draw(folder: Path, quality: Mapping[str, Any], names: Sequence[str]) -> None:
    """The sheets and the rank histograms."""
    holes = quality["holes"]
    ranks = {kind: {s: of["ranks"] for s, of in hole["calibration"].items()} for kind, hole in holes.items()}
    save_ranks(folder / "ranks.png", ranks)
    for kind in holes:
        save_sheet(folder / f"sheet-{kind}.png", [_strip(folder, kind, name) for name in names[:SHEET]])


def _strip(folder: Path, kind: str, name: str) -> Path:
    return folder / STRIPS / kind / f"{name}.png"
