"""`python -m real evaluate` and `python -m real bench`: many photos."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from real.bench.evaluate import evaluate_folder
from real.bench.everything import run_everything
from real.bench.reconstruction import evaluate_autoencoder
from real.bench.runner import run_study
from real.bench.studies import list_studies
from real.cli import common
from real.cli.task import requests_of
from real.degradations.real_esrgan import PRESETS, SecondOrderDegradation
from real.degradations.simple import Degradation
from real.errors import UserError

__all__ = ["degradation_of", "run_bench", "run_evaluate"]


def run_evaluate(options: argparse.Namespace, arguments: list[str]) -> int:
    """The comparison of `sr --degrade` on a folder."""
    settings = common.settings_of(options)
    if not Path(options.photos).is_dir():
        raise UserError(f"{options.photos!r} is not a folder", argument="photos")
    folder = common.make_output(options.output)
    if options.autoencoder_only:
        alone: dict[str, Any] = {name: getattr(options, name) for name in ("crop", "limit", "metrics")}
        model, command = common.latent_model_of(options), common.command_line(arguments)
        print(evaluate_autoencoder(Path(options.photos), folder, model, **alone, command=command))
        return 0
    summary = evaluate_folder(
        Path(options.photos),
        folder,
        common.latent_model_of(options),
        settings,
        degradation_of(options),
        crop=options.crop,
        limit=options.limit,
        cutoffs=options.cutoffs or [settings.cutoff],
        bandwidths=options.bandwidths,
        metrics=options.metrics,
        quality=options.quality,
        command=common.command_line(arguments),
    )
    print(summary)
    return 0


def run_bench(options: argparse.Namespace, arguments: list[str]) -> int:
    """A study, all of them, or the list of them."""
    if options.list:
        print(list_studies())
        return 0
    requests = requests_of(options, common.command_line(arguments))
    folder = common.make_output(options.output)
    if options.study == "all":
        with common.memory_errors():
            run_everything(requests, lambda task: common.model_of(options, task=task), folder)
        print(f"{folder / 'index.md'} names the reports of {len(requests)} studies")
        return 0

    (request,) = requests
    model = common.model_of(options, task=request.study.task)
    with common.memory_errors():
        report = run_study(request, model, folder)
    for pair in report["pairs"]:
        psnr = pair["scores"]["psnr_rgb"]
        p = "" if psnr["p"] is None else f" (p = {psnr['p']:.2g})"
        print(f"{psnr['mean']:+.2f} dB{p}  {pair['what']}")
    for name, why in report["left_out"].items():
        print(f"left out: {name}: {why}")
    print(f"{folder / 'report.md'}, report.json and {request.name}.png written; {report['photos']} photos")
    return 0


def degradation_of(options: argparse.Namespace) -> Degradation | SecondOrderDegradation:
    """The degradation among the options."""
    return Degradation() if options.degradation == "simple" else PRESETS[options.degradation]
