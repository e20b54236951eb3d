"""Train the bundled model, or one of your own: `python -m real.train --help`."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from real.cli.run import run_command
from real.degradations.simple import Degradation
from real.errors import UserError
from real.models.devices import pick_device
from real.train.autoencoder import train_autoencoder
from real.train.crops import load_photos
from real.train.decoder import DecoderSettings, train_decoder
from real.train.export import export_model
from real.train.latents import Task
from real.train.normalised import AutoencoderSettings
from real.train.parsers import build_parser
from real.train.regression import RegressionSettings, train_regression
from real.train.tasks import InpaintingTask, SuperResolutionTask
from real.train.training_run import RunSettings
from real.train.unet import UNetSettings, train_unet

__all__ = ["main"]

SAVE = "give a smaller `batch` or `crop`, or fewer `photos`"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = build_parser().parse_args(arguments)
    return run_command(lambda: _run(options, arguments), prog="real.train", options=vars(options), save_memory=SAVE)


def _run(options: argparse.Namespace, arguments: list[str]) -> int:
    # Export reads finished runs: it needs no photos, no device and no training settings.
    if options.stage == "export":
        folders = Path(options.autoencoder), Path(options.unet), Path(options.output)
        inpainting = Path(options.inpainting) if options.inpainting else None
        export_model(*folders, inpainting=inpainting, bandwidth=options.bandwidth)
        return 0

    command = "python -m real.train " + shlex.join(arguments)
    for name in ("steps", "batch", "checkpoint_every", "crop"):
        value = getattr(options, name, None)
        if value is not None and value < 1:
            raise UserError(f"must be a whole number of at least 1, got {value}", argument=name)

    run_settings = RunSettings(
        steps=options.steps,
        learning_rate=options.learning_rate,
        seed=options.seed,
        device=pick_device(options.device),
        bf16=not options.float32,
        checkpoint_every=options.checkpoint_every,
    )

    photos, data = load_photos(options.photos)
    task = {"batch": options.batch} if options.batch else {}
    output = Path(options.output)

    # Inpainting has no options of a degradation: its photos have holes and nothing else.
    degradation = Degradation()
    if options.stage != "inpainting":
        degradation = Degradation(tuple(options.blur), tuple(options.noise), tuple(options.jpeg), options.skip)
    common = (degradation, run_settings, data)

    if options.stage == "regression":
        train_regression(photos, output, RegressionSettings(**task), *common, command=command)
        return 0

    if options.stage == "autoencoder":
        start_from = Path(options.start_from) if options.start_from else None
        if options.batch:
            task["mixed"] = options.batch // 2  # the share that the defaults have
        channels, weight = tuple(options.channels), options.mixed_weight
        settings = AutoencoderSettings(channels=channels, mixed_weight=weight, **task)
        train_autoencoder(photos, output, settings, *common, start_from=start_from, command=command)
        return 0

    # The remaining stages work on the latents of a finished autoencoder.
    autoencoder = Path(options.autoencoder)
    if options.stage in ("unet", "inpainting"):
        start_from = Path(options.start_from) if options.start_from else None
        restoration: Task = SuperResolutionTask(degradation)
        unet = UNetSettings(**task)
        if options.stage == "inpainting":
            restoration = InpaintingTask(holes=options.holes)
            unet = UNetSettings(crop=options.crop, attention=True, **{"batch": 8, **task})
        run = (unet, restoration, run_settings, data)
        train_unet(photos, autoencoder, output, *run, start_from=start_from, command=command)
        return 0

    if options.batch:
        task["predicted"] = max(1, options.batch // 4)  # the share that the defaults have
    if options.predicted is not None:
        task["predicted"] = options.predicted
    train_decoder(photos, autoencoder, Path(options.unet), output, DecoderSettings(**task), *common, command=command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
