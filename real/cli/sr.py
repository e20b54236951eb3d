"""`python -m real sr`."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from real.api import super_resolution_problem
from real.backbones.hints import HintPlaces, Hints
from real.backbones.problem import BackboneProblem
from real.backbones.recipes import RECIPES
from real.cli import common
from real.cli.backbones import hint_places_of, recipe_of, run_record, summary
from real.cli.run import say
from real.cli.studies import degradation_of
from real.degradations.simple import Degradation
from real.errors import UserError
from real.images.files import write_json
from real.images.panels import Panel, save_panels
from real.images.photos import center_crop, load_photo, sample_photo, save_png
from real.images.seeds import degradation_rng
from real.metrics.distortion import distortion
from real.parallel.environment import launched_size, refuse
from real.parallel.launch import device_of_process, launched
from real.parallel.ranks import Ranks
from real.restorers.base import Comparison, compare_problem, plain_comparison, restore_problem
from real.restorers.super_resolution import bicubic, take_part
from real.restorers.upscaling import NOISE_LEVEL
from real.settings import Settings

__all__ = ["run_sr"]

LARGEST_LOW = 2048
RANK_TIMEOUT = 600  # seconds
COLUMNS = {"psnr_rgb": "PSNR RGB", "ssim_rgb": "SSIM RGB", "psnr_y": "PSNR Y", "ssim_y": "SSIM Y"}


def run_sr(options: argparse.Namespace, arguments: list[str]) -> int:
    """Restore a photo four times as large; with --degrade compare with the truth."""
    if launched_size() > 1 and options.model in RECIPES:
        refuse(f"--model: {options.model} runs in one process; start it without torchrun")
    if options.degradation is not None and not options.degrade:
        raise UserError("--degradation: it belongs to --degrade, which says that IMAGE is the truth; give both or none")
    if options.rank_timeout is not None and launched_size() == 1:
        raise UserError("--rank-timeout: it belongs to several processes, which torchrun starts; leave it out")
    with launched(device=options.device, timeout=options.rank_timeout or RANK_TIMEOUT) as ranks:
        if ranks is None:
            return _restore(options, arguments)
        options.device = device_of_process(options.device)
        if options.particles % ranks.size:
            raise UserError(
                f"--particles: {options.particles} cannot be shared equally by {ranks.size} processes; "
                f"give a multiple of {ranks.size}"
            )
        if ranks.rank == 0:
            return _restore(options, arguments, ranks)
        photo, settings, model = _photo(options), common.settings_of(options), common.latent_model_of(options)
        low = _degraded(options, center_crop(photo)) if options.degrade else photo
        take_part(low, model, settings, ranks=ranks, compared=options.degrade)
        return 0


def _restore(options: argparse.Namespace, arguments: list[str], ranks: Ranks | None = None) -> int:
    started = time.perf_counter()
    settings = common.settings_of(options)
    photo = _photo(options)
    text = {name: getattr(options, name) for name in ("prompt", "negative_prompt", "noise_level")}
    places, hints = _hints(options)
    folder = common.make_output(options.output)
    model = common.model_of(options, task="sr")
    record = common.model_record(settings, model, common.command_line(arguments))
    record["processes"] = 1 if ranks is None else ranks.size
    if model.family == "x4-upscaler":
        used = {"prompt": text["prompt"] or "", "negative_prompt": text["negative_prompt"] or ""}
        record |= {**used, "noise_level": NOISE_LEVEL if text["noise_level"] is None else text["noise_level"]}
    with common.StepBar(2 * settings.steps) as bar:
        if not options.degrade:
            problem = super_resolution_problem(photo, model, **text, hints=hints, ranks=ranks)
            restored = restore_problem(problem, settings, progress=bar)
        else:
            truth = center_crop(photo)
            low = _degraded(options, truth)
            problem = super_resolution_problem(low, model, **text, hints=hints, ranks=ranks)
            baselines = {"bicubic": bicubic(low)}
            run: dict[str, Any] = {"score": distortion, "progress": bar}
            plain = plain_comparison(problem, truth, settings, baselines=baselines, **run)
            result = compare_problem(problem, truth, settings, plain=plain, **run)
    if isinstance(problem, BackboneProblem):
        run_of = run_record(problem, settings, places)
        record |= run_of
        say(summary(problem, run_of, settings))
    if options.degrade:
        record["degradation"] = asdict(degradation_of(options))
        write_json(folder / "result.json", record | common.restoration_record(result))
        _save_comparison(folder, truth, low, result, settings)
        common.print_scores(result, COLUMNS)
    else:
        write_json(folder / "result.json", record | common.restoration_record(restored))
        panels = [(f"low resolution, {photo.shape[1]} x {photo.shape[0]}", "", photo), ("bicubic", "", bicubic(photo))]
        save_png(folder / "restored.png", restored.image)
        save_panels(folder / "comparison.png", panels + common.restoration_panels(settings, restored))
    say(f"{folder / 'restored.png'}, comparison.png and result.json written in {time.perf_counter() - started:.0f} s")
    return 0


def _hints(options: argparse.Namespace) -> tuple[HintPlaces | None, Hints | None]:
    """What is known of the photo beside its pixels, for DiffBIR and SeeSR: where it is, and itself."""
    recipe = recipe_of(options)
    if recipe is None:
        return None, None
    places = hint_places_of(options, recipe)
    if options.degrade and options.cleaned is not None:
        raise UserError("--cleaned: with --degrade the low-resolution photo is made here; give --cleaner instead")
    return places, places.read(["sample" if options.image is None else Path(options.image).stem])


def _degraded(options: argparse.Namespace, truth: np.ndarray) -> np.ndarray:
    return degradation_of(options)(truth, degradation_rng(options.seed, truth))


def _photo(options: argparse.Namespace) -> np.ndarray:
    if options.image is None:
        photo = sample_photo()
        return photo if options.degrade else Degradation()(photo, degradation_rng(options.seed, photo))
    if options.degrade:
        photo = load_photo(options.image)
        if min(photo.shape[:2]) < 64 or max(photo.shape[:2]) > 4 * LARGEST_LOW:
            raise UserError(
                f"IMAGE: {options.image!r} has {photo.shape[1]} x {photo.shape[0]} pixels; "
                f"--degrade takes 64 to {4 * LARGEST_LOW} on a side"
            )
        return photo
    return load_photo(options.image, largest=LARGEST_LOW)


def _save_comparison(folder: Path, truth: np.ndarray, low: np.ndarray, result: Comparison, settings: Settings) -> None:
    sampler = settings.sampler.upper()
    panels: list[Panel] = [
        ("low resolution", f"{low.shape[1]} x {low.shape[0]} pixels", low),
        ("bicubic", common.psnr_and_ssim(result, "bicubic"), result.images["bicubic"]),
        (f"{sampler}, one particle", common.psnr_and_ssim(result, "ddim_one"), result.images["ddim_one"]),
        (f"{sampler} + KDS", common.psnr_and_ssim(result, "kds_choice"), result.images["kds_choice"]),
        ("truth", f"{truth.shape[1]} x {truth.shape[0]} pixels", truth),
    ]
    save_png(folder / "restored.png", result.images["kds_choice"])
    save_panels(folder / "comparison.png", panels, caption=f"{common.caption(settings)}; PSNR and SSIM in RGB")
