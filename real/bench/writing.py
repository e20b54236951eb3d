"""The files of a report: `report.json`, `report.md` and the plot of a study, from what the store knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from real.bench.markdown import render
from real.bench.photo_sets import Photo, used
from real.bench.plan import Line, describe_grid
from real.bench.plots import save_plot
from real.bench.report import summarise
from real.bench.request import StudyRequest, identity_of, text_of
from real.bench.store import EnsembleStore
from real.images.files import write_json, write_text
from real.models.base import Model
from real.records.provenance import describe

__all__ = ["write_report"]


def write_report(
    request: StudyRequest,
    lines: Sequence[Line],
    model: Model,
    store: EnsembleStore,
    photos: Sequence[Photo],
    folder: Path,
    *,
    left_out: Mapping[str, str],
) -> dict[str, Any]:
    """Write `report.json`, `report.md` and the plot of a study into a folder.

    Args:
        request: The study, with the model's bandwidth.
        lines: Lines that the model can draw.
        model: The model.
        store: Store with all that the lines need of the photos.
        photos: Photos that count, but for those that are left out.
        folder: Folder for the report; made if it is not there.
        left_out: Photos that cannot be used, and why; others than these may be named.

    Returns:
        The content of `report.json`.

    Raises:
        UserError: None of the photos can be used, or a file cannot be written.
    """
    names = {photo.name for photo in photos}
    done = used(photos, left_out)
    report = {
        **_provenance(request, model),
        "left_out": {name: why for name, why in left_out.items() if name in names},
        **summarise(request.study, lines, request.grid.seed, store, done),
    }

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", report)
    write_text(folder / "report.md", render(report))
    save_plot(folder / f"{request.name}.png", request.study.plot, report, lines, store.folder)
    return report


def _provenance(request: StudyRequest, model: Model) -> dict[str, Any]:
    """What was asked for, and of what model."""
    described = describe(request.settings, model, request.command)
    identity = identity_of(request, model)
    described["versions"] |= identity["versions"]
    ranges = identity["degradations"]

    return {
        **described,
        "study": request.name,
        "title": request.study.title,
        "about": request.study.about,
        "grid": describe_grid(request.grid),
        "crop": request.crop,
        "degradation": {name: ranges[name] for name in request.grid.degradation if name in ranges},
        **text_of(request, model),
        **({"threads": torch.get_num_threads()} if request.study.timed else {}),
    }
