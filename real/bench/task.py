"""What a study was asked for: whether a model can do it, and what its rows depend on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from real.backbones.hints import HintPlaces
from real.bench.photos import Photo, describe_degradations
from real.bench.plan import Grid, Study, describe_grid
from real.errors import UserError
from real.models.base import Model
from real.opening import FAMILIES
from real.records.provenance import describe, weights_digest
from real.restorers.upscaling import check_noise_level
from real.settings import Settings

__all__ = ["StudyTask", "check_model", "identity_of", "text_of"]


@dataclass(frozen=True)
class StudyTask:
    """What `python -m real bench` was asked for.

    Attributes:
        name: Of the study.
        study: The study.
        grid: Its grid, as asked for; see `fill_grid`.
        settings: Of every run, where the grid says nothing: strength and seed.
        photos: All photos or pairs of the folder.
        crop: Side of the centre crop of the truth in pixels; None: the whole.
        limit: Only the first photos by name.
        metrics: Names of perceptual metrics to score by too; see `real.metrics.score.make_score` and `real.bench.sets`.
        command: For the record.
        hints: Where more is known of the photos, for DiffBIR and SeeSR.
        prompt: What is to be seen, for pipelines; None: empty. DiffBIR and SeeSR have their texts in the recipe.
        negative_prompt: What to move away from, likewise; needs guidance above 1.
        noise_level: Of the x4 upscaler; None: its default.
    """

    name: str
    study: Study
    grid: Grid
    settings: Settings
    photos: Sequence[Photo]
    crop: int | None = None
    limit: int | None = None
    metrics: tuple[str, ...] = ()
    command: str = ""
    hints: HintPlaces | None = None
    prompt: str | None = None
    negative_prompt: str | None = None
    noise_level: int | None = None


def check_model(task: StudyTask, grid: Grid, model: Model) -> None:
    """Refuse what the model cannot do before anything is computed, or is written that says what rows there will be.

    Raises:
        UserError: The model takes no text or noise, or no such noise; guidance below 1, or a negative prompt and no
            guidance.

    Warns:
        UserWarning: If prompt and negative prompt are the same, so that guidance above 1 changes nothing.
    """
    taken = FAMILIES[model.family].options
    for name, who in (
        ("prompt", "models that read text: Stable Diffusion inpainting, the x4 upscaler, diffbir, seesr"),
        ("negative_prompt", "models that read text, as `prompt` does"),
        ("noise_level", "the x4 upscaler"),
    ):
        if getattr(task, name) is not None and taken.get(name) is None:
            raise UserError(f"it belongs to {who}; leave it out", argument=name)
    if task.noise_level is not None:
        check_noise_level(task.noise_level, model)

    # Models that read text are guided by it, away from the negative prompt: below 1 that would be towards it.
    if "prompt" in taken and min(grid.guidance) < 1.0:
        least = f"must be at least 1 for this model (1: no guidance), got {min(grid.guidance):g}"
        raise UserError(least, argument="guidance")
    if task.negative_prompt and 1.0 in grid.guidance:
        why = "it acts through guidance alone; give `guidance` above 1 only, without 1"
        raise UserError(why, argument="negative_prompt")
    text = text_of(task, model)
    if text and text["prompt"] == text["negative_prompt"] and max(grid.guidance) > 1.0:
        warnings.warn("`guidance`: prompt and negative prompt are the same, so it changes nothing", stacklevel=2)


def text_of(task: StudyTask, model: Model) -> dict[str, Any]:
    """What a pipeline is told besides the photo, as used; nothing where that is none or the recipe's."""
    options = FAMILIES[model.family].options
    defaults = {name: options.get(name) for name in ("prompt", "negative_prompt", "noise_level")}
    given = {name: getattr(task, name) for name in defaults}
    used = {name: default if given[name] is None else given[name] for name, default in defaults.items()}
    return {name: value for name, value in used.items() if defaults[name] is not None}


def identity_of(task: StudyTask, settings: Settings, grid: Grid, model: Model) -> dict[str, Any]:
    """What the rows depend on, besides the photos; how many photos is not part of it, so that more can be added.

    Args:
        task: What was asked for.
        settings: With the first values of the grid.
        grid: With the model's bandwidth.
        model: The model.
    """
    identity = {"study": task.name, **describe(settings, model, ""), "weights": weights_digest(model)}
    identity |= text_of(task, model)
    identity["versions"] |= {
        "scipy": version("scipy"),
        "scikit-image": version("scikit-image"),
        "matplotlib": version("matplotlib"),
    }
    if task.hints is not None:
        identity["hints"] = task.hints.describe()
    return identity | {
        "grid": describe_grid(grid),
        "crop": task.crop,
        "metrics": sorted(task.metrics),
        "degradation": describe_degradations(grid.degradation),
    }
