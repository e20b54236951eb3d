"""What a study was asked for: whether a model can do it, and what its rows depend on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import torch

from real.backbones.hints import HintPlaces
from real.bench.adapter import takes_opponents
from real.bench.endings import ENDINGS
from real.bench.photo_sets import Photo, describe_degradations, digest_of
from real.bench.plan import OF_MODELS_BANDWIDTH, Grid, Line, Study
from real.errors import UserError
from real.metrics.score import versions_of
from real.models.base import Model
from real.opening import FAMILIES
from real.records.provenance import describe, weights_digest
from real.restorers.upscaling import check_noise_level
from real.settings import Settings

__all__ = ["StudyRequest", "check_model", "identity_of", "lines_of", "text_of"]

METHOD = ("particles", "steps", "sampler", "bandwidth", "cutoff", "patch_size", "guidance", "kernel", "seed")


@dataclass(frozen=True)
class StudyRequest:
    """What `python -m real bench` was asked for.

    Attributes:
        name: Name of the study.
        study: The study.
        grid: Grid of the study, as asked for; see `fill_grid`.
        settings: Settings of every run, where the grid says nothing: the strength.
        photos: All photos or pairs of the folder.
        crop: Side of the centre crop of the truth in pixels; None: the whole.
        limit: Number of photos, the first by name; None: all.
        metrics: Names of perceptual metrics to score by too; see `real.metrics.score.make_score` and `real.bench.sets`.
        command: Command line, for the record.
        noise_photos: Photos on which the fixed noise is picked; without any there is no such line.
        hints: Places of what else is known of the photos, for DiffBIR and SeeSR.
        prompt: What is to be seen, for pipelines; None: empty. DiffBIR and SeeSR have their texts in the recipe.
        negative_prompt: What to move away from, likewise; needs guidance above 1.
        noise_level: Timestep of the noise that the x4 upscaler adds to the photo; None: its default.
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
    noise_photos: tuple[Photo, ...] = ()
    hints: HintPlaces | None = None
    prompt: str | None = None
    negative_prompt: str | None = None
    noise_level: int | None = None

    @property
    def judged(self) -> Sequence[Photo]:
        """The photos that count."""
        return self.photos[: self.limit]

    def digest(self, photo: Photo) -> str:
        """Digest of all files that a photo's rows depend on.

        Raises:
            UserError: One is missing or cannot be read.
        """
        hints = self.hints.files(photo.stems) if self.hints is not None else []
        return digest_of([path for path in (photo.truth, photo.low, *hints) if path is not None])

    def for_model(self, model: Model) -> StudyRequest:
        """The same with the model's bandwidth in the grid, and the grid's first values in the settings.

        Raises:
            UserError: The model's bandwidth is given as a number, too.
            ValueError: A value of the grid is out of range.
        """
        values = tuple(_number_of(h, model) for h in self.grid.bandwidth)
        if len(set(values)) < len(values):
            why = f"must be different numbers, got one twice: the model's own is {model.bandwidth:g}; leave one out"
            raise UserError(why, argument="bandwidth")

        grid = replace(self.grid, bandwidth=values)
        settings = replace(self.settings, **{name: getattr(grid, name)[0] for name in METHOD})
        for name in METHOD:
            for value in getattr(grid, name)[1:]:
                replace(settings, **{name: value})  # raises by name what is out of range
        return replace(self, grid=grid, settings=settings)


def _number_of(bandwidth: float | str, model: Model) -> float | str:
    """A bandwidth with the model's in place of its name, to four digits."""
    factor = OF_MODELS_BANDWIDTH.get(str(bandwidth))
    return bandwidth if factor is None else float(f"{factor * model.bandwidth:.4g}")


def lines_of(request: StudyRequest, model: Model) -> list[Line]:
    """The lines of a study that can be drawn.

    Pipelines run their own sampler, which no opponent enters; the fixed noise is picked on other photos; and a best of
    N is picked by a metric that is asked for.
    """
    lines = request.study.lines(request.settings, request.grid)
    if request.study.timed:
        lines = [replace(line, ensemble=replace(line.ensemble, timed=torch.get_num_threads())) for line in lines]
    return [
        line
        for line in lines
        if takes_opponents(model, [line.ensemble.kind])
        and (line.ensemble.kind != "fixed-noise" or request.noise_photos)
        and ENDINGS[line.ending].judge in ("", *request.metrics)
    ]


def check_model(request: StudyRequest, model: Model) -> None:
    """Refuse what the model cannot do, before anything is computed or written.

    Raises:
        UserError: The model takes no text or noise, or no such noise; guidance below 1, or a negative prompt and no
            guidance.

    Warns:
        UserWarning: If prompt and negative prompt are the same, so that guidance above 1 changes nothing.
    """
    taken = FAMILIES[model.family].options
    for name, who in (
        ("prompt", "models that read text (Stable Diffusion inpainting, the x4 upscaler, diffbir, seesr)"),
        ("negative_prompt", "models that read text, as `prompt` does"),
        ("noise_level", "the x4 upscaler"),
    ):
        if (value := getattr(request, name)) is not None and taken.get(name) is None:
            raise UserError(f"must be left out except with {who}, got {value!r}", argument=name)
    if request.noise_level is not None:
        check_noise_level(request.noise_level, model)

    # Models that read text are guided by it, away from the negative prompt: below 1 that would be towards it.
    guidance = request.grid.guidance
    if "prompt" in taken and min(guidance) < 1.0:
        least = f"must be at least 1 for this model (1: no guidance), got {min(guidance):g}"
        raise UserError(least, argument="guidance")
    if request.negative_prompt and 1.0 in guidance:
        accepted = "must be left out without guidance, through which alone it acts"
        why = f"{accepted}, got {request.negative_prompt!r}; give `guidance` above 1 only, without 1"
        raise UserError(why, argument="negative_prompt")
    text = text_of(request, model)
    if text and text["prompt"] == text["negative_prompt"] and max(guidance) > 1.0:
        warnings.warn("`guidance`: prompt and negative prompt are the same, so it changes nothing", stacklevel=2)


def text_of(request: StudyRequest, model: Model) -> dict[str, Any]:
    """What a pipeline gets besides the photo, as used; nothing where that is none or the recipe's."""
    options = FAMILIES[model.family].options
    defaults = {name: options.get(name) for name in ("prompt", "negative_prompt", "noise_level")}
    given = {name: getattr(request, name) for name in defaults}
    used = {name: default if given[name] is None else given[name] for name, default in defaults.items()}
    return {name: value for name, value in used.items() if defaults[name] is not None}


def identity_of(request: StudyRequest, model: Model) -> dict[str, Any]:
    """What rows of any study depend on, besides the photo and the ensemble, which they name themselves.

    Args:
        request: What was asked for.
        model: The model.
    """
    identity = {**describe(request.settings, model, ""), "weights": weights_digest(model), **text_of(request, model)}
    del identity["settings"], identity["command"]  # rows name their ensemble, which has the settings
    identity["versions"] |= {name: version(name) for name in ("scipy", "scikit-image")}
    identity["versions"] |= versions_of(request.metrics)
    if request.hints is not None:
        identity["hints"] = request.hints.describe()
    if request.noise_photos:
        identity["noise_photos"] = [digest_of([photo.truth]) for photo in request.noise_photos]
    return identity | {
        "crop": request.crop,
        "metrics": sorted(request.metrics),
        "degradations": describe_degradations(),
    }
