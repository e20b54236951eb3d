"""Options that several commands share, in groups."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["add_degradation", "add_memory", "add_method", "add_model", "add_text", "bandwidth", "whole"]


def add_degradation(parser: argparse.ArgumentParser) -> None:
    """--degradation."""
    parser.add_argument(
        "--degradation",
        choices=("simple", "real-esrgan", "stable-sr"),
        default="simple",
        help="how truths are degraded: one stage, as the bundled model was trained (default), or two, with the ranges "
        "of Real-ESRGAN x4plus or of StableSR's test sets",
    )


def add_method(parser: argparse.ArgumentParser, *, seed_of: str) -> None:
    """--output, and everything that `real.sampling.Settings` holds."""
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="made if it is not there")
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
    group.add_argument(
        "--cutoff", type=float, default=0.3, metavar="C", help="steer while t/T is at least this (0.3; 0: to the end)"
    )
    group.add_argument("--patch-size", type=whole, default=1, metavar="P", help="side in latent pixels (default 1)")
    group.add_argument("--guidance", type=float, default=1.0, metavar="W", help="classifier-free guidance (1: none)")
    group.add_argument("--seed", type=int, default=0, help=f"of {seed_of} (default 0)")
    group.add_argument(
        "--early-choice",
        action="store_true",
        help="choose when the steering window closes, and sample only that particle on: fewer model evaluations",
    )


def add_model(parser: argparse.ArgumentParser, *, what: str) -> argparse._ArgumentGroup:
    """--model and how it is loaded and run; returns the group, for options of single commands."""
    group = parser.add_argument_group("model")
    group.add_argument("--model", metavar="FOLDER_OR_HUB_ID", help=what)
    group.add_argument("--revision", help="commit, tag or branch of a hub id")
    group.add_argument(
        "--pickled-weights", action="store_true", help="also load pickles, which can carry code: trust the author"
    )
    group.add_argument("--device", default="auto", help="cpu, cuda, mps or auto (default)")
    group.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="of the numbers of LDM-SR's denoiser, or of a whole pipeline (float32); half precision is faster where "
        "the processor has it",
    )
    group.add_argument(
        "--max-batch",
        type=whole,
        metavar="M",
        help="most rows that go through the denoiser at once: less memory, the same result",
    )
    group.add_argument("--threads", type=whole, help="CPU threads (default: torch's choice)")
    return group


def add_memory(group: argparse._ArgumentGroup) -> None:
    """What only pipelines have, to save memory."""
    group.add_argument("--vae-tiling", action="store_true", help="pipelines: encode and decode in tiles")
    group.add_argument(
        "--cpu-offload",
        action="store_true",
        help="pipelines: each network is on the device only while it works (needs accelerate)",
    )


def add_text(parser: argparse.ArgumentParser, *, models: str) -> argparse._ArgumentGroup:
    """--prompt and --negative-prompt; returns the group."""
    group = parser.add_argument_group("text", models)
    group.add_argument("--prompt", metavar="TEXT", help="what is to be seen (default: empty)")
    group.add_argument(
        "--negative-prompt", metavar="TEXT", help="what to move away from; needs --guidance above 1 (default: empty)"
    )
    return group


def bandwidth(text: str) -> float | str:
    """A number, or the name of a rule, which the core checks."""
    try:
        return float(text)
    except ValueError:
        return text


def whole(text: str) -> int:
    """A whole number of at least 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; give a whole number of at least 1")
    return value
