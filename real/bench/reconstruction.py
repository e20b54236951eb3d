"""What the autoencoder alone makes of photos: the ceiling of every restoration in its latents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from real.errors import UserError
from real.images.files import write_atomically
from real.images.photos import SUFFIXES, center_crop, load_photo
from real.metrics.score import make_score
from real.models.codec import decode, padded_condition
from real.models.latent import LatentModel
from real.records.journal import Rows, locked
from real.records.provenance import describe, mean_with_error
from real.settings import Settings

__all__ = ["evaluate_autoencoder", "photos_of", "reconstruct"]

RUN = "autoencoder"


@torch.no_grad()
def reconstruct(model: LatentModel, truth: np.ndarray) -> np.ndarray:
    """Encode as a whole and decode as a restoration is, in tiles where it is large: RGB uint8 (H, W, 3) -> the same."""
    latents = model.vqvae.encode(padded_condition(truth, model)).latents
    return decode(model, latents[0], height=truth.shape[0], width=truth.shape[1])


def photos_of(folder: Path, limit: int | None) -> list[Path]:
    """Photos of a folder, sorted by name.

    Raises:
        UserError: There is none.
    """
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)[:limit]
    if not paths:
        raise UserError(f"{str(folder)!r} holds no photo ({', '.join(sorted(SUFFIXES))})", argument="photos")
    return paths


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

    Writes `rows.jsonl` (a row a photo; an interrupted run goes on from there) and `reconstruction.json` into `folder`.

    Args:
        photos: Folder of photos.
        folder: Where the results go.
        model: The model; its denoiser is not used.
        crop: Side of the centre crop; None: the whole photo, to multiples of 4.
        limit: Only the first photos by name.
        metrics: Names of perceptual metrics to score by too; see `real.metrics.score.make_score`.
        command: For the record.
    """
    score = make_score(metrics, device=str(model.device))
    paths = photos_of(photos, limit)
    described = {k: v for k, v in describe(Settings(), model, "").items() if k != "settings"}
    with locked(folder):
        rows = Rows(folder, {**described, "what": RUN, "crop": crop, "metrics": sorted(metrics)})
        for path in tqdm(paths, desc="photos", unit="photo"):
            if (path.name, RUN) not in rows:
                truth = np.ascontiguousarray(center_crop(load_photo(path), side=crop))
                rows.add({"photo": path.name, "run": RUN, "scores": score(reconstruct(model, truth), truth)})
    scores = [rows[path.name, RUN]["scores"] for path in paths]
    values = {name: np.array([s[name] for s in scores]) for name in scores[0]}
    means = {k: mean_with_error(v) for k, v in values.items()}
    report = {**described, "command": command, "photos": len(paths), "crop": crop, "scores": means}
    write_atomically(folder / "reconstruction.json", lambda p: p.write_text(json.dumps(report, indent=1) + "\n"))
    parts = ", ".join(f"{name} {s['mean']:.4g}" for name, s in means.items())
    return f"{len(paths)} photos, autoencoder alone: {parts}"
