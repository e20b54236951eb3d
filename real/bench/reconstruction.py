"""What the autoencoder alone makes of photos: the ceiling of every restoration in its latents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from real.bench.loading import check_crop, load_truth
from real.bench.photo_sets import check_known, digest_of, find_photos, left_out_text, used
from real.errors import UserError
from real.images.files import write_json
from real.metrics.score import make_score
from real.models.codec import decode, padded_condition
from real.models.latent import LatentModel
from real.records.finite import not_finite
from real.records.journal import Rows, locked
from real.records.provenance import describe, mean_with_error, weights_digest
from real.settings import Settings

__all__ = ["evaluate_autoencoder", "reconstruct"]

RUN = "autoencoder"


@torch.no_grad()
def reconstruct(model: LatentModel, truth: np.ndarray) -> np.ndarray:
    """Encode as a whole and decode as a restoration is, in tiles where it is large: RGB uint8 (H, W, 3) -> the same."""
    latents = model.vqvae.encode(padded_condition(truth, model)).latents
    return decode(model, latents[0], height=truth.shape[0], width=truth.shape[1])


def evaluate_autoencoder(
    photos: Path,
    folder: Path,
    model: LatentModel,
    *,
    crop: int | None,
    limit: int | None,
    metrics: Sequence[str] = (),
    command: str,
) -> str:
    """Reconstruct every photo of a folder and score it; return a line for the terminal.

    Writes `rows.jsonl` (one row per photo; an interrupted run resumes there) and `reconstruction.json` into `folder`.

    Args:
        photos: Folder of photos.
        folder: Folder for the results.
        model: The model; its denoiser is not used.
        crop: Side of the centre crop; None: the whole photo, to multiples of 4.
        limit: Number of photos, the first by name; None: all.
        metrics: Names of perceptual metrics to score by too; see `real.metrics.score.make_score`.
        command: Command line, for the record.

    Raises:
        UserError: No photo can be used, an option does not fit, or the folder holds something else.
    """
    check_crop(crop)
    score = make_score(metrics, device=str(model.device))
    found = find_photos(photos)[:limit]
    left_out: dict[str, str] = {}

    # The method's settings play no part here; leaving them out lets rows be shared by runs that differ in them.
    described = {k: v for k, v in describe(Settings(), model, "").items() if k != "settings"}
    identity = {**described, "weights": weights_digest(model), "what": RUN, "crop": crop, "metrics": sorted(metrics)}

    # A row per photo, on the disk at once: an interrupted run resumes where it stopped.
    with locked(folder):
        rows = Rows(folder, identity)
        check_known(found, rows, folder, lambda photo: digest_of([photo.truth]))
        for photo in tqdm(found, desc="photos", unit="photo"):
            if (photo.name, RUN) in rows:
                continue
            try:
                truth = load_truth(photo, crop=crop)
            except UserError as error:
                left_out[photo.name] = error.message
                continue
            row = {"photo": photo.name, "digest": digest_of([photo.truth]), "run": RUN}
            rows.add({**row, "scores": score(reconstruct(model, truth), truth)})

    names = used(found, left_out)
    scores = [rows[name, RUN]["scores"] for name in names]
    values = {name: np.array([s[name] for s in scores], dtype=np.float64) for name in scores[0]}
    means = {k: mean_with_error(v) for k, v in values.items()}

    report = {**described, "command": command, "photos": len(names), "crop": crop, "left_out": left_out}
    report |= {"not_finite": not_finite({RUN: values}, names), "scores": means}
    write_json(folder / "reconstruction.json", report)

    parts = ", ".join(f"{name} {'-' if s['mean'] is None else format(s['mean'], '.4g')}" for name, s in means.items())
    return "\n".join([f"{len(names)} photos, autoencoder alone: {parts}", *filter(None, [left_out_text(left_out)])])
