"""One good noise for all photos (arXiv 2305.15357): picked once on photos that are not judged, kept in a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from real.bench.adapter import super_resolver
from real.bench.loading import load
from real.bench.opponents import fixed_noise
from real.bench.request import StudyRequest
from real.images.files import read_json, write_json
from real.metrics.distortion import distortion
from real.models.base import Model

__all__ = ["CANDIDATES", "picked"]

CANDIDATES = 16
STEPS = 25


def picked(request: StudyRequest, model: Model, folder: Path) -> int:
    """Seed of the noise whose samples have the highest mean PSNR over `request.noise_photos`.

    It is picked when it is first asked for, with 25 steps at most, and from then on read from `fixed_noise.json`. All
    photos must have the size of the photos that are judged, which `crop` makes so.

    Args:
        request: Request with the photos to pick on; steps, sampler and degradation are the first of its grid.
        model: Model in LDM's shape.
        folder: Folder of the file.
    """
    path = folder / "fixed_noise.json"
    if path.exists():
        return int(read_json(path, remedy="delete it, so that the noise is picked again")["picked"])

    # Fewer steps than the study has: noises are compared with each other only.
    settings = replace(request.settings, steps=min(STEPS, request.settings.steps))
    scores = np.zeros((len(request.noise_photos), CANDIDATES))
    for row, photo in enumerate(request.noise_photos):
        loaded = load(photo, crop=request.crop, seed=settings.seed)
        restorer = super_resolver(loaded.low(request.grid.degradation[0]), model)
        for seed in range(CANDIDATES):
            with torch.no_grad():
                latents, _ = fixed_noise(restorer, settings, seed)
            scores[row, seed] = distortion(restorer.decode(latents)[0], loaded.truth)["psnr_rgb"]

    means = scores.mean(0)
    record = {
        "picked": int(means.argmax()),
        "psnr_rgb": means.round(4).tolist(),
        "photos": [photo.name for photo in request.noise_photos],
        "steps": settings.steps,
        "evaluations": scores.size * settings.steps,
    }
    write_json(path, record)
    return record["picked"]
