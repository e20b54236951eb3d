"""`python -m real sr`."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from real.alternatives.named import UPSCALERS, upscaler
from real.api import super_resolution_restorer
from real.backbones.hints import HintPlaces, Hints
from real.backbones.recipes import RECIPES
from real.cli import common
from real.cli.backbones import hint_places_of, recipe_of
from real.cli.outputs import run_alternatives, write_extras, written
from real.cli.run import say
from real.degradations.simple import Degradation
from real.errors import UserError
from real.images.files import write_json
from real.images.panels import Panel, save_panels
from real.images.photos import center_crop, load_photo, sample_photo, save_png
from real.images.seeds import degradation_rng
from real.metrics.score import make_score
from real.models.base import Model
from real.models.regression import load_regression, regress
from real.opening import FAMILIES
from real.parallel.environment import launched_size, refuse
from real.parallel.launch import device_of_process, launched
from real.parallel.ranks import Ranks
from real.restorers.base import Restoration, restore
from real.restorers.compare import Comparison, bicubic, compare, plain_comparison
from real.settings import Settings

__all__ = ["run_sr"]

LARGEST_LOW = 2048
RANK_TIMEOUT = 600  # seconds
SHARED = "must be one that several processes can share"
COLUMNS = {"psnr_rgb": "PSNR RGB", "ssim_rgb": "SSIM RGB", "psnr_y": "PSNR Y", "ssim_y": "SSIM Y"}


def run_sr(options: argparse.Namespace, arguments: list[str]) -> int:
    """Restore a photo four times as large; with --degrade compare with the truth."""
    if launched_size() > 1 and options.model in RECIPES:
        refuse(f"{SHARED}, got {options.model!r}; start it without torchrun", argument="model")
    if options.degradation is not None and not options.degrade:
        why = f"must be left out except with `degrade`, where IMAGE is the truth, got {options.degradation!r}"
        raise UserError(f"{why}; give both or none", argument="degradation")
    if options.metrics and not options.degrade:
        why = f"must be left out except with `degrade`, which gives the truth, got {', '.join(options.metrics)}"
        raise UserError(f"{why}; give both or none", argument="metrics")
    if options.rank_timeout is not None and launched_size() == 1:
        why = f"must be left out except with several processes, which torchrun starts, got {options.rank_timeout}"
        raise UserError(why, argument="rank_timeout")

    with launched(device=options.device, timeout=options.rank_timeout or RANK_TIMEOUT) as ranks:
        if ranks is None:
            return _restore(options, arguments)
        options.device = device_of_process(options.device)
        if options.particles % ranks.size:
            shared = f"must be a multiple of the {ranks.size} processes, got {options.particles}"
            raise UserError(shared, argument="particles")
        return _restore(options, arguments, ranks) if ranks.rank == 0 else _take_part(options, ranks)


def _take_part(options: argparse.Namespace, ranks: Ranks) -> int:
    """What every process but the first does meanwhile: it samples its share of the same particles."""
    photo, settings, model = _photo(options), common.settings_of(options), _model(options, ranks)
    low = _degraded(options, center_crop(photo)) if options.degrade else photo
    restorer = super_resolution_restorer(low, model, ranks=ranks)
    if options.degrade:  # the comparison draws the plain ensemble first
        restorer.sample(settings, steered=False)
    restorer.sample(settings)
    return 0


def _restore(options: argparse.Namespace, arguments: list[str], ranks: Ranks | None = None) -> int:
    started = time.perf_counter()
    settings = common.settings_of(options)
    photo = _photo(options)
    truth = center_crop(photo) if options.degrade else None
    low = photo if truth is None else _degraded(options, truth)
    text = {name: getattr(options, name) for name in ("prompt", "negative_prompt", "noise_level")}
    score = make_score(options.metrics)
    places, hints = _hints(options)
    alternatives = {name: upscaler(name) for name in options.compare}

    # What can be wrong with options, photo and folder has been found before the model is loaded.
    folder = common.make_output(options.output)
    model = _model(options, ranks)
    record = common.model_record(settings, model, common.command_line(arguments))
    record["processes"] = 1 if ranks is None else ranks.size

    others = run_alternatives({name: partial(enlarge, low) for name, enlarge in alternatives.items()})
    with common.StepBar(2 * settings.steps) as bar:
        restorer = super_resolution_restorer(
            low, model, **text, hints=hints, colour_fix=options.colour_fix, ranks=ranks
        )
        result: Restoration | Comparison
        if truth is None:
            result = restore(restorer, settings, progress=bar)
        else:
            run: dict[str, Any] = {"score": score, "progress": bar}
            plain = plain_comparison(restorer, truth, settings, baselines=_baselines(options, low) | others, **run)
            result = compare(restorer, truth, settings, plain=plain, **run)

    record |= restorer.describe(settings)
    if places is not None:
        record["hints"] = places.describe()
    if summary := restorer.summary(settings):
        say(summary)
    if truth is not None:
        record["degradation"] = asdict(common.degradation_of(options))

    record |= write_extras(folder, restorer, result, others)
    write_json(folder / "result.json", record | common.restoration_record(result))

    if isinstance(result, Restoration):
        panels = [(f"low resolution, {low.shape[1]} x {low.shape[0]}", "", low), ("bicubic", "", bicubic(low))]
        panels += [(name, "", image) for name, image in others.items()]
        save_png(folder / "restored.png", result.image)
        save_panels(folder / "comparison.png", panels + common.restoration_panels(settings, result))
    else:
        assert truth is not None
        _save_comparison(folder, truth, low, result, settings, options)
        columns = COLUMNS | {name.replace("-", "_"): name.upper() for name in options.metrics}
        common.print_scores(result, columns, UPSCALERS)
    say(written(folder, record, started))
    return 0


def _model(options: argparse.Namespace, ranks: Ranks | None) -> Model:
    """The model, loaded; refused where several processes are to share its particles and it cannot do that."""
    model = common.model_of(options, task="sr")
    if ranks is not None and "ranks" not in FAMILIES[model.family].options:
        raise UserError(
            f"{SHARED}, got {model.name!r} of the family {model.family}; start it without torchrun, or share its "
            "particles by steer_scheduler(..., process_group=...) in a script",
            argument="model",
        )
    return model


def _hints(options: argparse.Namespace) -> tuple[HintPlaces | None, Hints | None]:
    """What is known of the photo besides its pixels, for DiffBIR and SeeSR: where it is, and itself."""
    recipe = recipe_of(options)
    if recipe is None:
        return None, None
    places = hint_places_of(options, recipe)
    if options.degrade and options.cleaned is not None:
        accepted = "must be left out with `degrade=True`, where the low-resolution photo is made here"
        why = f"{accepted}, got {options.cleaned!r}; give `cleaner` instead"
        raise UserError(why, argument="cleaned")
    return places, places.read(["sample" if options.image is None else Path(options.image).stem])


def _degraded(options: argparse.Namespace, truth: np.ndarray) -> np.ndarray:
    return common.degradation_of(options)(truth, degradation_rng(options.seed, truth))


def _photo(options: argparse.Namespace) -> np.ndarray:
    if options.image is None:
        photo = sample_photo()
        return photo if options.degrade else Degradation()(photo, degradation_rng(options.seed, photo))
    if options.degrade:
        photo = load_photo(options.image)
        if min(photo.shape[:2]) < 64 or max(photo.shape[:2]) > 4 * LARGEST_LOW:
            size = f"{photo.shape[1]} x {photo.shape[0]}"
            sides = f"64 to {4 * LARGEST_LOW} pixels on a side with `degrade=True`"
            raise UserError(f"must have {sides}, got {options.image!r} of {size}", argument="image")
        return photo
    return load_photo(options.image, largest=LARGEST_LOW)


def _baselines(options: argparse.Namespace, low: np.ndarray) -> dict[str, np.ndarray]:
    """Pictures that need no diffusion model; the regression network knows the one-stage degradation alone."""
    learned = options.degradation in (None, "simple")
    return {"bicubic": bicubic(low)} | ({"mmse": regress(load_regression(), low)} if learned else {})


def _save_comparison(
    folder: Path,
    truth: np.ndarray,
    low: np.ndarray,
    result: Comparison,
    settings: Settings,
    options: argparse.Namespace,
) -> None:
    sampler = settings.sampler.upper()
    perceptual = options.metrics[0] if options.metrics else None

    def numbers(method: str) -> str:
        return common.psnr_and(perceptual, result, method)

    panels: list[Panel] = [
        ("low resolution", f"{low.shape[1]} x {low.shape[0]} pixels", low),
        *((name, numbers(name), result.images[name]) for name in ("bicubic", *options.compare)),
        (f"{sampler}, one particle", numbers("ddim_one"), result.images["ddim_one"]),
        (f"{sampler} + KDS", numbers("kds_choice"), result.images["kds_choice"]),
        ("truth", f"{truth.shape[1]} x {truth.shape[0]} pixels", truth),
    ]
    scores = "PSNR and SSIM in RGB" if perceptual is None else f"PSNR in RGB, {perceptual.upper()}"
    save_png(folder / "restored.png", result.images["kds_choice"])
    save_panels(folder / "comparison.png", panels, caption=f"{common.caption(settings)}; {scores}")
