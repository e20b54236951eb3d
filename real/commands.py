"""What the commands do: read, restore, write, print."""

from __future__ import annotations

import argparse
import json
import shlex
import time
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from kds_ref import SamplerState
from real.bench.command import task_of
from real.bench.runner import run_study
from real.bench.studies import list_studies
from real.cli import UserError
from real.degrade import Degradation
from real.evaluate import evaluate_folder
from real.files import write_atomically
from real.images import center_crop, load_photo, sample_photo, save_png
from real.models import SuperResolutionModel, load_model
from real.picture import Panel, save_panels
from real.records import describe
from real.restore import METHODS, Comparison, bicubic, compare, restore
from real.sampling import Settings
from real.second_order import PRESETS, SecondOrderDegradation

__all__ = ["COMMANDS"]

LARGEST_LOW = 2048


def _sr(options: argparse.Namespace, arguments: list[str]) -> int:
    started = time.perf_counter()
    settings = _settings(options)
    photo = _photo(options)
    folder = _output(options.output)
    model = _model(options)
    command = "python -m real " + shlex.join(arguments)
    if options.degrade:
        truth = center_crop(photo)
        degradation = _degradation(options)
        low = degradation(truth, np.random.default_rng(settings.seed))
        with StepBar(2 * settings.steps) as bar:
            result = compare(truth, low, model, settings, progress=bar)
        record = {**describe(settings, model, command), "degradation": asdict(degradation)}
        _write_comparison(folder, truth, low, result, settings, record)
    else:
        with StepBar(2 * settings.steps) as bar:
            restoration = restore(photo, model, settings, progress=bar)
        save_png(folder / "restored.png", restoration.image)
        panels: list[Panel] = [
            (f"low resolution, {photo.shape[1]} x {photo.shape[0]}", "", photo),
            ("bicubic", "", bicubic(photo)),
            (settings.sampler.upper(), "one particle", restoration.plain),
            (f"{settings.sampler.upper()} + KDS", f"N = {settings.particles}", restoration.image),
        ]
        save_panels(folder / "comparison.png", panels)
        record = {**describe(settings, model, command), "chosen": restoration.particles.chosen}
        _write_json(folder / "result.json", {**record, "trace": restoration.particles.trace})
    print(f"{folder / 'restored.png'}, comparison.png and result.json written in {time.perf_counter() - started:.0f} s")
    return 0


def _evaluate(options: argparse.Namespace, arguments: list[str]) -> int:
    settings = _settings(options)
    if not Path(options.photos).is_dir():
        raise UserError(f"--photos: {options.photos!r} is not a folder")
    folder = _output(options.output)
    summary = evaluate_folder(
        Path(options.photos),
        folder,
        _model(options),
        settings,
        _degradation(options),
        crop=options.crop,
        limit=options.limit,
        cutoffs=options.cutoffs or [settings.cutoff],
        bandwidths=options.bandwidths,
        perceptual=options.perceptual,
        command="python -m real " + shlex.join(arguments),
    )
    print(summary)
    return 0


def _bench(options: argparse.Namespace, arguments: list[str]) -> int:
    if options.list:
        print(list_studies())
        return 0
    task = task_of(options, "python -m real bench " + shlex.join(arguments[1:]))
    folder = _output(options.output)
    report = run_study(task, _model(options), folder)
    for pair in report["pairs"]:
        psnr = pair["scores"]["psnr_rgb"]
        print(f"{psnr['mean']:+.2f} dB (p = {psnr['p']:.2g})  {pair['what']}")
    for name, why in report["left_out"].items():
        print(f"left out: {name}: {why}")
    print(f"{folder / 'report.md'}, report.json and {task.name}.png written; {report['photos']} photos")
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace, list[str]], int]] = {
    "sr": _sr,
    "evaluate": _evaluate,
    "bench": _bench,
}


class StepBar:
    """A progress bar that sampler callbacks move; one step is one evaluation of the model on the ensemble."""

    def __init__(self, steps: int) -> None:
        self._bar = tqdm(total=steps, unit="step", desc="restoring")

    def __call__(self, state: SamplerState) -> None:
        self._bar.update()

    def __enter__(self) -> StepBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(**{f.name: getattr(options, f.name) for f in fields(Settings)})


def _degradation(options: argparse.Namespace) -> Degradation | SecondOrderDegradation:
    return Degradation() if options.degradation == "simple" else PRESETS[options.degradation]


def _photo(options: argparse.Namespace) -> np.ndarray:
    if options.image is None:
        photo = sample_photo()
        return photo if options.degrade else Degradation()(photo, np.random.default_rng(options.seed))
    if options.degrade:
        photo = load_photo(options.image)
        if min(photo.shape[:2]) < 64 or max(photo.shape[:2]) > 4 * LARGEST_LOW:
            raise UserError(
                f"IMAGE: {options.image!r} has {photo.shape[1]} x {photo.shape[0]} pixels; "
                f"--degrade takes 64 to {4 * LARGEST_LOW} on a side"
            )
        return photo
    return load_photo(options.image, largest=LARGEST_LOW)


def _output(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".kds-restore"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"--output: cannot write to {str(folder)!r} ({error.strerror}); give another folder") from error
    return folder


def _model(options: argparse.Namespace) -> SuperResolutionModel:
    if options.threads:
        torch.set_num_threads(options.threads)
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        text = str(error).split("\n")[0][:120]
        raise UserError(f"--device: {device!r} cannot be used here ({text}); give cpu, cuda, mps or auto") from error
    return load_model(
        options.model,
        device=device,
        dtype=options.dtype,
        revision=options.revision,
        pickled_weights=options.pickled_weights,
    )


def _write_comparison(
    folder: Path,
    truth: np.ndarray,
    low: np.ndarray,
    result: Comparison,
    settings: Settings,
    record: dict[str, Any],
) -> None:
    def numbers(method: str) -> str:
        return f"{result.scores[method]['psnr_rgb']:.2f} dB   SSIM {result.scores[method]['ssim_rgb']:.3f}"

    sampler = settings.sampler.upper()
    panels: list[Panel] = [
        ("low resolution", f"{low.shape[1]} x {low.shape[0]} pixels", low),
        ("bicubic", numbers("bicubic"), result.images["bicubic"]),
        (f"{sampler}, one particle", numbers("ddim_one"), result.images["ddim_one"]),
        (f"{sampler} + KDS", numbers("kds_choice"), result.images["kds_choice"]),
        ("truth", f"{truth.shape[1]} x {truth.shape[0]} pixels", truth),
    ]
    caption = f"N = {settings.particles}, {settings.steps} steps, seed {settings.seed}; PSNR and SSIM in RGB"
    save_png(folder / "restored.png", result.images["kds_choice"])
    save_panels(folder / "comparison.png", panels, caption=caption)
    record = {**record, "chosen": result.chosen}
    _write_json(folder / "result.json", {**record, "scores": _rounded(result.scores), "trace": result.trace})
    print(f"{'':14}{'PSNR RGB':>9} {'SSIM RGB':>9} {'PSNR Y':>9} {'SSIM Y':>9}")
    for method in (m for m in METHODS if m in result.scores):
        s = result.scores[method]
        row = f"{s['psnr_rgb']:9.2f} {s['ssim_rgb']:9.3f} {s['psnr_y']:9.2f} {s['ssim_y']:9.3f}"
        print(f"{method:14}{row}   {METHODS[method]}")


def _rounded(scores: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {method: {name: round(value, 4) for name, value in s.items()} for method, s in scores.items()}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(json.dumps(content, indent=1) + "\n"))
