"""Options of the training stages: what `python -m real.train --help` shows."""

from __future__ import annotations

import argparse

import torch

from real.cli.options import given, seed
from real.degradations.simple import Degradation
from real.train.normalised import AutoencoderSettings

__all__ = ["build_parser"]

DESCRIPTION = """\
Train small latent diffusion models for 4x super-resolution and for inpainting, from any folders of photos, in stages:

  autoencoder   an f4 VQ autoencoder with 3 latent channels
  unet          the denoiser for super-resolution, conditioned on the low-resolution photo
  inpainting    the denoiser for inpainting, conditioned on the photo with its hole filled smoothly and on the hole
  decoder       the autoencoder's decoder again, now on what the denoiser (of super-resolution) makes as well
  regression    a network that guesses the photo at once, for comparison
  export        autoencoder and denoisers in half precision, with the training record, as a diffusers folder

If a stage is killed, start it again with the same command: it resumes from its last checkpoint.
"""
INPAINTING = """\
Train a denoiser that fills holes: boxes, brush strokes, scratches of 1 to 4 pixels, text and speckles, up to half of
the photo. Its condition is the latents of the photo with the hole filled smoothly from around it, and the hidden share
of every latent pixel.
"""
EXAMPLES = """\
example:
  python -m real.train autoencoder --photos DIV2K --output runs/autoencoder
  python -m real.train unet --photos DIV2K --autoencoder runs/autoencoder --output runs/unet
  python -m real.train decoder --photos DIV2K --autoencoder runs/autoencoder --unet runs/unet --output runs/decoder
  python -m real.train export --autoencoder runs/decoder --unet runs/unet --output my-model
  python -m real sr photo.jpg --model my-model --output out

  python -m real.train inpainting --photos DIV2K --autoencoder runs/decoder --start-from runs/unet \\
      --output runs/inpainting
  python -m real.train export --autoencoder runs/decoder --unet runs/unet --inpainting runs/inpainting \\
      --output my-models
"""


def build_parser() -> argparse.ArgumentParser:
    """The command line's parser."""
    parser = argparse.ArgumentParser(
        prog="python -m real.train",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")

    autoencoder = stages.add_parser("autoencoder", help="train the autoencoder")
    _add_common(autoencoder, steps=10000)
    _add_start_from(autoencoder)
    _add_autoencoder(autoencoder)
    _add_degradation(autoencoder)

    unet = stages.add_parser("unet", help="train the denoiser on the autoencoder's latents")
    unet.add_argument("--autoencoder", required=True, metavar="FOLDER", help="output folder of that stage")
    _add_common(unet, steps=12000)
    _add_start_from(unet)
    _add_degradation(unet)

    inpainting = stages.add_parser("inpainting", help="train a denoiser that fills holes", description=INPAINTING)
    inpainting.add_argument(
        "--autoencoder", required=True, metavar="FOLDER", help="output folder of it or of `decoder`"
    )
    _add_common(inpainting, steps=6000)
    _add_start_from(inpainting, "finished run of this stage or of `unet`")
    _add_holes(inpainting)

    decoder = stages.add_parser("decoder", help="train the decoder on the denoiser's predictions as well")
    decoder.add_argument("--autoencoder", required=True, metavar="FOLDER", help="output folder of that stage")
    decoder.add_argument("--unet", required=True, metavar="FOLDER", help="output folder of that stage")
    _add_common(decoder, steps=3000)
    decoder.add_argument(
        "--predicted",
        type=int,
        metavar="CROPS",
        help="crops of a batch that are decoded from the denoiser's predictions, the others from the encoder: more of "
        "them make results smoother (default: a quarter of the batch)",
    )
    _add_degradation(decoder)

    regression = stages.add_parser("regression", help="train the regression network")
    _add_common(regression, steps=12000, learning_rate=0.003)  # without normalisation 0.02 diverges
    _add_degradation(regression)

    export = stages.add_parser("export", help="write the trained model as a diffusers folder")
    export.add_argument("--autoencoder", required=True, metavar="FOLDER", help="output folder of it or of `decoder`")
    export.add_argument("--unet", required=True, metavar="FOLDER", help="output folder of it or of `inpainting`")
    export.add_argument(
        "--inpainting", metavar="FOLDER", help="output folder of it, beside that of `unet`: one folder for both tasks"
    )
    export.add_argument("--output", required=True, metavar="FOLDER", help="new or empty folder for the model")
    export.add_argument(
        "--bandwidth",
        type=float,
        metavar="H",
        help="for kds.json, in units of the latents (default: none, which means the paper's 0.3)",
    )

    for stage in stages.choices.values():
        stage.register("type", None, given)  # no text may be empty, as an unset shell variable would be
    return parser


def _add_common(parser: argparse.ArgumentParser, *, steps: int, learning_rate: float = 0.02) -> None:
    parser.add_argument(
        "--photos", action="append", required=True, metavar="FOLDER", help="photos, searched recursively; repeatable"
    )
    parser.add_argument("--output", required=True, metavar="FOLDER", help="checkpoint, curve and trained network")
    parser.add_argument("--steps", type=int, default=steps, help="optimiser steps (default %(default)s)")
    parser.add_argument("--batch", type=int, help="crops per step")
    parser.add_argument("--learning-rate", type=float, default=learning_rate, help="of Muon (default %(default)s)")
    parser.add_argument("--seed", type=seed, default=0, help="default %(default)s")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="default %(default)s")
    parser.add_argument("--float32", action="store_true", help="train without bfloat16 autocast")
    parser.add_argument("--checkpoint-every", type=int, default=500, metavar="STEPS", help="default %(default)s")


def _add_autoencoder(parser: argparse.ArgumentParser) -> None:
    default = AutoencoderSettings()
    parser.add_argument(
        "--channels",
        type=int,
        nargs=3,
        default=default.channels,
        metavar="C",
        help="at full, half and quarter resolution (default %(default)s); with --start-from at least as many as there",
    )

    parser.add_argument(
        "--mixed-weight",
        type=float,
        default=default.mixed_weight,
        metavar="W",
        help="weight of the loss on mixed latents: less is sharper, but guessed latents are decoded worse "
        "(default %(default)s)",
    )


def _add_start_from(parser: argparse.ArgumentParser, of: str = "finished run of this stage") -> None:
    parser.add_argument("--start-from", metavar="FOLDER", help=f"{of} whose network is trained on (default: none)")


def _add_holes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--crop", type=int, default=40, help="side of a crop in latent pixels (default %(default)s)")
    parser.add_argument(
        "--holes",
        type=int,
        default=3,
        help="holes that are drawn per photo, of which every third is a box, the others strokes, scratches, text and "
        "speckles by turns (default %(default)s)",
    )


def _add_degradation(parser: argparse.ArgumentParser) -> None:
    ranges = Degradation()
    for name, unit in (("blur", "truth pixels"), ("noise", "of 255"), ("jpeg", "quality")):
        low, high = getattr(ranges, name)
        parser.add_argument(
            f"--{name}",
            nargs=2,
            type=type(low),
            default=(low, high),
            metavar=("LOW", "HIGH"),
            help=f"range of the degradation's {name}, {unit} (default {low} {high})",
        )

    parser.add_argument(
        "--skip",
        type=float,
        default=0.3,
        metavar="P",
        help="probability with which blur, noise and JPEG are each left out, so that clean photos are learned, too "
        "(default %(default)s)",
    )
