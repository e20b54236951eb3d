"""`python -m real evaluate` and `python -m real bench`: many photos."""

from __future__ import annotations

import argparse
from typing import Any

from real.backbones.recipes import RECIPES
from real.bench.evaluate import evaluate_folder, variants_of
from real.bench.evaluate_inpainting import evaluate_inpainting
from real.bench.everything import run_everything
from real.bench.loading import check_crop
from real.bench.photo_sets import left_out_text
from real.bench.reconstruction import evaluate_autoencoder
from real.bench.runner import run_study
from real.bench.studies import list_studies
from real.cli import common
from real.cli.run import say
from real.cli.task import requests_of
from real.errors import UserError

__all__ = ["run_bench", "run_evaluate"]


def run_evaluate(options: argparse.Namespace, arguments: list[str]) -> int:
    """The comparison of `sr --degrade` on a folder, or the judgement of an inpainting model."""
    settings = common.settings_of(options)
    if not options.photos.is_dir():
        raise UserError(f"must be a folder, got {str(options.photos)!r}", argument="photos")
    _refuse_ignored(options)
    check_crop(options.crop)
    # Called for its checks: a value out of range is found before the model is loaded.
    variants_of(settings, options.cutoffs or [settings.cutoff], options.bandwidths or [settings.bandwidth])
    folder = common.make_output(options.output)

    shared: dict[str, Any] = {name: getattr(options, name) for name in ("crop", "limit", "metrics")}
    shared["command"] = common.command_line(arguments)
    model = common.latent_model_of(options, task=options.task)
    if options.autoencoder_only:
        say(evaluate_autoencoder(options.photos, folder, model, **shared))
        return 0
    if options.task == "inpaint":
        say(evaluate_inpainting(options.photos, folder, model, settings, **shared))
        return 0

    summary = evaluate_folder(
        options.photos,
        folder,
        model,
        settings,
        common.degradation_of(options),
        cutoffs=options.cutoffs,
        bandwidths=options.bandwidths,
        quality=options.quality,
        colour_fix=options.colour_fix or "none",
        **shared,
    )
    say(summary)
    return 0


def run_bench(options: argparse.Namespace, arguments: list[str]) -> int:
    """A study, several, or the list of them."""
    if options.list:
        say(list_studies())
        return 0

    if options.colour_fix is not None and options.model not in RECIPES:
        accepted = "must be left out in bench except with diffbir and seesr"
        why = f"{accepted}, got {options.colour_fix!r}; evaluate has it for the others"
        raise UserError(why, argument="colour_fix")
    requests = requests_of(options, common.command_line(arguments))
    folder = common.make_output(options.output)
    # Several studies run together, since they share ensembles.
    if len(requests) > 1:
        run_everything(requests, lambda task: common.model_of(options, task=task), folder)
        say(f"{folder / 'index.md'} names the reports of {len(requests)} studies")
        return 0

    (request,) = requests
    report = run_study(request, common.model_of(options, task=request.study.task), folder)
    for pair in report["pairs"]:
        psnr = pair["scores"]["psnr_rgb"]
        mean = "-" if psnr["mean"] is None else f"{psnr['mean']:+.2f}"  # no photo with finite numbers
        p = "" if psnr["p"] is None else f" (p = {psnr['p']:.2g})"  # one photo
        say(f"{mean} dB{p}  {pair['what']}")
    for name in sorted({entry["photo"] for entry in report["not_finite"]}):
        say(f"not finite: some numbers of {name}, which report.md names")
    if report["left_out"]:
        say(left_out_text(report["left_out"]))
    say(f"{folder / 'report.md'}, report.json and {request.name}.png written; {report['photos']} photos")
    return 0


def _refuse_ignored(options: argparse.Namespace) -> None:
    """UserError for options that another one makes meaningless."""
    if options.autoencoder_only:
        for name in ("cutoffs", "bandwidths", "quality", "degradation"):
            if value := getattr(options, name):
                accepted = "must be left out with `autoencoder_only`, which samples and degrades nothing"
                raise UserError(f"{accepted}, got {value!r}; leave one out", argument=name)

    if options.task == "inpaint":
        for name in ("cutoffs", "bandwidths", "degradation", "colour_fix"):
            if value := getattr(options, name):
                accepted = "must be left out with `task=inpaint`, which steers and degrades nothing"
                raise UserError(f"{accepted}, got {value!r}; leave one out", argument=name)

    if options.bandwidths and options.bandwidth is not None:
        why = f"must be left out with `bandwidths`, which takes its place, got {options.bandwidth}"
        raise UserError(why, argument="bandwidth")
    if options.cutoffs and options.cutoff_nsr is not None:
        why = f"must be left out with `cutoffs`, which takes its place, got {options.cutoff_nsr}"
        raise UserError(why, argument="cutoff_nsr")
