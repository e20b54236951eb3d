"""Train the bundled model, or one of your own: `python -m real.train --help`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from real.cli import UserError, run_command
from real.degrade import Degradation
from real.train.autoencoder import train_autoencoder
from real.train.decoder import DecoderSettings, train_decoder
from real.train.export import export_model
from real.train.latents import Task
from real.train.loop import RunSettings
from real.train.normalised import AutoencoderSettings
from real.train.parsers import build_parser
from real.train.photos import load_photos
from real.train.regression import RegressionSettings, train_regression
from real.train.rescale import rescale_latents
from real.train.tasks import InpaintingTask, SuperResolutionTask
from real.train.unet import UNetSettings, train_unet

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    return run_command(lambda: _run(arguments), prog="real.train")


def _run(arguments: list[str]) -> int:
    options = build_parser().parse_args(arguments)
    if options.stage == "export":
        folders = Path(options.autoencoder), Path(options.unet), Path(options.output)
        export_model(*folders, bandwidth=options.bandwidth)
        return 0
    command = "python -m real.train " + shlex.join(arguments)
    if options.stage == "rescale":
        autoencoder, output = Path(options.autoencoder), Path(options.output)
        rescale_latents(autoencoder, output, latent_std=options.latent_std, command=command)
        return 0
    for name in ("steps", "batch", "checkpoint_every", "crop"):
        value = getattr(options, name, None)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')}: got {value}; give a whole number of at least 1")
    run_settings = RunSettings(
        steps=options.steps,
        learning_rate=options.learning_rate,
        seed=options.seed,
        device=options.device,
        bf16=not options.float32,
        checkpoint_every=options.checkpoint_every,
    )
    photos, data = load_photos(options.photos)
    task = {"batch": options.batch} if options.batch else {}
    output = Path(options.output)
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
            task["mixed"] = options.batch // 2
        shape = {"latent_std": options.latent_std, "mixed_weight": options.mixed_weight}
        settings = AutoencoderSettings(channels=tuple(options.channels), **shape, **task)
        train_autoencoder(photos, output, settings, *common, start_from=start_from, command=command)
        return 0
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
        task["predicted"] = options.batch // 2
    if options.predicted is not None:
        task["predicted"] = options.predicted
    train_decoder(photos, autoencoder, Path(options.unet), output, DecoderSettings(**task), *common, command=command)
    return 0


if __name__ == "__main__":
    sys.exit(main())
