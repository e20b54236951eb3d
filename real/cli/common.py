"""Between options and files: what every command does with its options, and how results are written."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from tqdm import tqdm

from real.backbones.recipes import RECIPES
from real.cli.backbones import recipe_of
from real.cli.run import say
from real.degradations.real_esrgan import PRESETS, SecondOrderDegradation
from real.degradations.simple import Degradation
from real.errors import UserError
from real.images.panels import Panel
from real.models.base import Model
from real.models.latent import LatentModel
from real.opening import open_model
from real.parallel.launch import launcher
from real.records.provenance import describe
from real.restorers.base import Restoration
from real.restorers.compare import METHODS, Comparison
from real.settings import Settings

__all__ = [
    "StepBar",
    "caption",
    "command_line",
    "degradation_of",
    "latent_model_of",
    "make_output",
    "model_of",
    "model_record",
    "print_scores",
    "psnr_and",
    "psnr_and_ssim",
    "restoration_panels",
    "restoration_record",
    "settings_of",
]


class StepBar:
    """A progress bar that sampler callbacks move; one step is one evaluation of the model on the ensemble."""

    def __init__(self, steps: int) -> None:
        self._bar = tqdm(total=steps, unit="step", desc="restoring")

    def __call__(self, state: object) -> None:
        """Advance by one step; the state is ignored."""
        self._bar.update()

    def __enter__(self) -> StepBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


def settings_of(options: argparse.Namespace) -> Settings:
    """The method's settings among the options; without a guidance that of the model's authors, or none."""
    values = {f.name: getattr(options, f.name) for f in fields(Settings)}
    if values["guidance"] is None:
        values["guidance"] = RECIPES[options.model].guidance if options.model in RECIPES else 1.0
    return Settings(**values)


def degradation_of(options: argparse.Namespace) -> Degradation | SecondOrderDegradation:
    """The degradation among the options, which is the one-stage one where none is given."""
    return PRESETS[options.degradation] if options.degradation in PRESETS else Degradation()


def command_line(arguments: list[str]) -> str:
    """The command as one can type it again."""
    return f"{launcher()} real {shlex.join(arguments)}"


def make_output(folder: Path) -> Path:
    """The output folder, made if it is not there.

    Raises:
        UserError: It cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".kds-restore"
        probe.touch()
        probe.unlink()
    except OSError as error:
        why = f"must be a folder that can be written to, got {str(folder)!r} ({error.strerror}); give another"
        raise UserError(why, argument="output") from error
    return folder


def model_of(options: argparse.Namespace, *, task: str) -> Model:
    """The model among the options, loaded."""
    if options.threads:
        torch.set_num_threads(options.threads)

    return open_model(
        options.model,
        task=task,
        device=options.device,
        dtype=options.dtype,
        revision=options.revision,
        pickled_weights=options.pickled_weights,
        max_batch=options.max_batch,
        vae_tiling=getattr(options, "vae_tiling", False),
        cpu_offload=getattr(options, "cpu_offload", False),
        recipe=recipe_of(options),
    )


def latent_model_of(options: argparse.Namespace, *, task: str = "sr") -> LatentModel:
    """The model of a command that takes networks in LDM's shape alone.

    Raises:
        UserError: It is of another family.
    """
    if options.model in RECIPES:
        why = f"must be of LDM's shape, got {options.model!r}, which is for the commands sr and bench"
        raise UserError(why, argument="model")
    model = model_of(options, task=task)
    if not isinstance(model, LatentModel):
        why = f"must be of LDM's shape, got {model.name!r} of the family {model.family}"
        raise UserError(why, argument="model")
    return model


def model_record(settings: Settings, model: Model, command: str) -> dict[str, Any]:
    """How a result came about: `real.records.provenance.describe`, and the family of the model."""
    return {**describe(settings, model, command), "family": model.family}


def restoration_record(result: Restoration | Comparison) -> dict[str, Any]:
    """What a result file says of the ensembles."""
    if isinstance(result, Restoration):
        particles = result.particles
        return {"chosen": particles.chosen, "evaluations": particles.evaluations, "trace": particles.trace}
    scores = {method: {name: round(value, 4) for name, value in s.items()} for method, s in result.scores.items()}
    numbers = {"chosen": result.chosen, "evaluations": result.evaluations}
    return {**numbers, "scores": scores, "trace": result.trace}


def restoration_panels(settings: Settings, restored: Restoration) -> list[Panel]:
    """The panels of a restoration whose truth is unknown: the plain sampler and KDS."""
    name = settings.sampler.upper()
    return [(name, "one particle", restored.plain), (f"{name} + KDS", f"N = {settings.particles}", restored.image)]


def psnr_and(perceptual: str | None, result: Comparison, method: str) -> str:
    """The line above a panel, with a perceptual metric where there is one, else with SSIM."""
    if perceptual is None:
        return psnr_and_ssim(result, method)
    scores = result.scores[method]
    return f"{scores['psnr_rgb']:.2f} dB   {perceptual.upper()} {scores[perceptual.replace('-', '_')]:.3f}"


def psnr_and_ssim(result: Comparison, method: str, *, prefix: str = "") -> str:
    """The line above a panel."""
    scores = result.scores[method]
    return f"{scores[prefix + 'psnr_rgb']:.2f} dB   SSIM {scores[prefix + 'ssim_rgb']:.3f}"


def caption(settings: Settings) -> str:
    """The line below the panels."""
    return f"N = {settings.particles}, {settings.steps} steps, seed {settings.seed}"


def print_scores(result: Comparison, columns: dict[str, str], alternatives: Mapping[str, str]) -> None:
    """A table for the terminal.

    Args:
        result: The comparison.
        columns: Name of a score -> title of its column.
        alternatives: What stands beside the methods, as far as the comparison has it: name -> in words.
    """
    say(f"{'':14}" + " ".join(f"{title:>9}" for title in columns.values()))
    for method, what in {**alternatives, **METHODS}.items():
        if method in result.scores:
            numbers = (result.scores[method][name] for name in columns)
            cells = (f"{v:9.2f}" if "psnr" in name else f"{v:9.3f}" for name, v in zip(columns, numbers, strict=True))
            say(f"{method:14}{' '.join(cells)}   {what}")
