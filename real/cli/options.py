"""Options that several commands share, in groups."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

from real.settings import SPACINGS

__all__ = [
    "add_colour_fix",
    "add_degradation",
    "add_memory",
    "add_method",
    "add_model",
    "add_text",
    "bandwidth",
    "folder",
    "given",
    "seed",
    "threads",
    "whole",
]


def add_degradation(parser: argparse.ArgumentParser) -> None:
    """--degradation."""
    parser.add_argument(
        "--degradation",
        choices=("simple", "real-esrgan", "stable-sr"),
        help="how truths are degraded: one stage, as the bundled model was trained (default), or two, with the ranges "
        "of Real-ESRGAN x4plus or of StableSR's test sets",
    )


def add_method(parser: argparse.ArgumentParser, *, seed_of: str) -> None:
    """--output, and everything that `real.settings.Settings` holds."""
    parser.add_argument("--output", required=True, type=folder, metavar="FOLDER", help="made if it is not there")
    group = parser.add_argument_group("method", "defaults are the paper's")
    group.add_argument("--particles", type=whole, default=10, metavar="N", help="size of the ensemble (default 10)")
    group.add_argument("--steps", type=whole, default=50, metavar="S", help="model evaluations (default 50)")
    group.add_argument("--sampler", choices=("ddim", "dpmpp-2s"), default="ddim", help="default ddim")
    group.add_argument(
        "--bandwidth",
        type=bandwidth,
        metavar="H",
        help="of the kernel, in units of the latent, or a rule: median, scott, silverman, likelihood (default: the "
        "model's)",
    )
    group.add_argument(
        "--kernel", default="gaussian", metavar="K", help="gaussian (default), laplacian, epanechnikov, flat or l2"
    )

    group.add_argument("--strength", type=float, default=0.3, metavar="D", help="part of the shift, 0 to 1 (0.3)")
    cutoff = group.add_mutually_exclusive_group()
    cutoff.add_argument(
        "--cutoff", type=float, default=0.3, metavar="C", help="steer while t/T is at least this (0.3; 0: to the end)"
    )
    cutoff.add_argument(
        "--cutoff-nsr",
        type=float,
        metavar="R",
        help="in place of --cutoff: steer while noise over signal, sqrt((1 - alpha_bar) / alpha_bar), is at least this "
        "(the paper's with LDM-SR: 1.126), which means the same with every schedule; times the latents' deviation "
        "where that is not 1",
    )

    group.add_argument(
        "--patch-size",
        type=whole,
        default=1,
        metavar="P",
        help="side in latent pixels (default 1); one above the latents' side is all of them",
    )
    group.add_argument(
        "--guidance",
        type=float,
        metavar="W",
        help="classifier-free guidance (1: none, the default; diffbir: 4, seesr: 5.5)",
    )

    group.add_argument("--seed", type=int, default=0, help=f"of {seed_of} (default 0)")
    group.add_argument(
        "--spacing",
        choices=SPACINGS,
        help="grid of DDIM's timesteps: trailing starts at the last timestep of training, leading below it (default: "
        "as the model's scheduler says; models in LDM's shape)",
    )
    group.add_argument(
        "--early-choice",
        action="store_true",
        help="choose when the steering window closes, and sample only that particle on: fewer model evaluations",
    )


def add_model(parser: argparse.ArgumentParser, *, what: str) -> argparse._ArgumentGroup:
    """--model and how it is loaded and run; returns the group, for options of single commands."""
    group = parser.add_argument_group("model")
    group.add_argument("--model", type=given, metavar="FOLDER_OR_HUB_ID_OR_NAME", help=what)
    group.add_argument("--revision", type=given, help="commit, tag or branch of a hub id")

    group.add_argument(
        "--pickled-weights", action="store_true", help="also load pickles, which can carry code: trust the author"
    )

    group.add_argument("--device", type=given, default="auto", help="cpu, cuda, mps or auto (default)")
    group.add_argument(
        "--dtype",
        choices=("auto", "float32", "bfloat16", "float16"),
        default="auto",
        help="of the numbers of LDM-SR's denoiser, of a whole pipeline, of diffbir's and seesr's networks but the "
        "autoencoder; auto (default): half precision on CUDA, and for LDM-SR's denoiser on a CPU that computes in it, "
        "too (result.json says which)",
    )

    group.add_argument(
        "--max-batch",
        type=whole,
        metavar="M",
        help="most rows that go through the denoiser at once: less memory, and the same result up to rounding (a grey "
        "level in places)",
    )
    group.add_argument(
        "--threads",
        type=threads,
        help="CPU threads (default: torch's choice); their number changes results by rounding (a grey level in places)",
    )

    return group


def add_colour_fix(parser: argparse.ArgumentParser) -> None:
    """--colour-fix."""
    parser.add_argument(
        "--colour-fix",
        choices=("none", "wavelet", "adain"),
        help="how results take the colours of the low-resolution photo: its low frequencies (wavelet), its mean and "
        "spread (adain), or not (none); default: as the authors do, diffbir wavelet, seesr adain, others none",
    )


def add_memory(group: argparse._ArgumentGroup) -> None:
    """What only pipelines and backbones have, to save memory."""
    group.add_argument("--vae-tiling", action="store_true", help="encode and decode in tiles (not for LDM-SR's shape)")
    group.add_argument(
        "--cpu-offload",
        action="store_true",
        help="pipelines: each network is on the device only while it works (needs accelerate)",
    )


def add_text(parser: argparse.ArgumentParser, *, models: str) -> argparse._ArgumentGroup:
    """--prompt and --negative-prompt; returns the group."""
    group = parser.add_argument_group("text", models)
    group.add_argument("--prompt", metavar="TEXT", help="what is to be seen (default: empty, or the model's)")
    group.add_argument("--negative-prompt", metavar="TEXT", help="what to move away from; needs --guidance above 1")
    return group


def given(text: str) -> str:
    """A text that is not empty, as an unset shell variable would be."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty, got ''; is a shell variable not set?")
    return text


def folder(text: str) -> Path:
    """A path that is not empty: an empty one would be the current folder."""
    return Path(given(text))


def bandwidth(text: str) -> float | str:
    """A positive number, or the name of a rule, which the core checks."""
    try:
        value = float(text)
    except ValueError:
        return given(text)
    if not (value > 0.0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(
            f"must be a positive number or the name of a rule, got {text}; --kernel l2 is the limit of large ones, "
            "--strength 0 switches steering off"
        )
    return value


def threads(text: str) -> int:
    """A number of CPU threads; with far more than there are processors OpenMP ends the process."""
    value, most = whole(text), max(256, os.cpu_count() or 1)
    if value > most:
        raise argparse.ArgumentTypeError(f"must be at most {most}, got {value}; {os.cpu_count()} processors are here")
    return value


def seed(text: str) -> int:
    """A seed that NumPy and torch take."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 2^63 - 1, got {text!r}")
    return value


def whole(text: str) -> int:
    """A whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return value
