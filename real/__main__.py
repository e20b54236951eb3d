"""Restore a photo with Kernel Density Steering: `python -m real --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from real.cli import UserError, run_command

__all__ = ["main"]

DESCRIPTION = """\
Kernel Density Steering (KDS) on real photos: N samples of a latent diffusion model run side by side, at every step each
moves a little towards where they agree, and the one nearest their mean is the result.
"""
EPILOG = """\
examples:
  python -m real sr --degrade --output out              a photo that is installed with the package, with its truth
  python -m real sr photo.jpg --output out              restore a small photo, four times as large
  python -m real sr photo.jpg --degrade --output out    degrade a photo first, restore it, compare with the truth
  python -m real sr photo.jpg --output out --sampler dpmpp-2s --steps 20 --particles 5
  python -m real evaluate --photos BSD100 --crop 192 --output out
  python -m real bench --list                           the paper's tables and figures as commands
"""
SR = """\
Restore a low-resolution photo four times as large. Written to the output folder:

  restored.png     the restored photo
  comparison.png   low resolution, bicubic, the plain sampler and KDS side by side (and the truth, with --degrade)
  result.json      settings, versions, diagnostics of the ensemble (and, with --degrade, every score)

With --degrade the photo is the truth: it is blurred, reduced by four, made noisy and compressed, then restored, and
PSNR and SSIM tell apart what steering does and what choosing the particle does.
"""
EVALUATE = """\
Run the comparison of `sr --degrade` on a folder of photos: same noise with and without KDS, means with standard errors,
paired tests. Killed and started again with the same options, it goes on where it was.
"""
BENCH = """\
Run one of the paper's studies, or one beyond it, on a folder of photos: same noise in all of its lines, means with
bootstrap intervals, paired tests. Killed and started again with the same options, it goes on where it was. Written to
the output folder:

  report.md     tables of the lines and of their differences, the paper's numbers beside them
  report.json   the same as numbers, with settings, versions and the command
  NAME.png      the plot
  rows.jsonl    one row per photo and ensemble

Options that a study goes through take several values there; all others take one.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    return run_command(lambda: _run(options, arguments), prog="kds-restore")


def _run(options: argparse.Namespace, arguments: list[str]) -> int:
    # Imported here, so that --help and wrong options answer at once.
    try:
        from real import commands
    except ModuleNotFoundError as error:
        raise UserError(f'{error.name} is not installed; install the extra: pip install "kds-ref[real]"') from error
    return commands.COMMANDS[options.command](options, arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kds-restore",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    raw = argparse.RawDescriptionHelpFormatter
    sr = commands.add_parser("sr", help="restore a low-resolution photo", description=SR, formatter_class=raw)
    sr.add_argument("image", nargs="?", metavar="IMAGE", help="the photo; without one, one that scikit-image carries")
    sr.add_argument("--degrade", action="store_true", help="IMAGE is the truth: degrade it first, then compare")
    _add_degradation(sr)
    _add_method(sr)
    _add_model(sr)
    evaluate = commands.add_parser(
        "evaluate", help="compare with and without KDS on a folder", description=EVALUATE, formatter_class=raw
    )
    evaluate.add_argument("--photos", required=True, metavar="FOLDER", help="photos, taken as the truth")
    evaluate.add_argument("--crop", type=_whole, metavar="PX", help="centre crop; default: to multiples of 4")
    evaluate.add_argument("--limit", type=_whole, metavar="N", help="only the first N photos by name")
    evaluate.add_argument(
        "--cutoffs", type=float, nargs="+", metavar="C", help="steer at each of these (default: --cutoff)"
    )
    evaluate.add_argument("--bandwidths", type=float, nargs="+", metavar="H", help="and at each of these bandwidths")
    evaluate.add_argument(
        "--perceptual", action="store_true", help="score by LPIPS-HED too (its packages: see real/perceptual.py)"
    )
    _add_degradation(evaluate)
    _add_method(evaluate)
    _add_model(evaluate)
    _add_bench(
        commands.add_parser("bench", help="run one of the paper's studies", description=BENCH, formatter_class=raw)
    )
    return parser


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", nargs="?", metavar="NAME", help="of the study")
    parser.add_argument("--list", action="store_true", help="show all studies, one line each")
    photos = parser.add_mutually_exclusive_group()
    photos.add_argument("--photos", type=Path, metavar="FOLDER", help="photos, taken as the truth and degraded")
    photos.add_argument(
        "--pairs", type=Path, metavar="FOLDER", help="pairs in StableSR's layout: gt/ and lq/, or test_HR/ and test_LR/"
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="made if it is not there")
    parser.add_argument("--crop", type=_whole, metavar="PX", help="centre crop of the truth, a multiple of 4")
    parser.add_argument("--limit", type=_whole, metavar="N", help="only the first N photos by name")
    parser.add_argument(
        "--perceptual", action="store_true", help="score by LPIPS-HED too (its packages: see real/perceptual.py)"
    )
    group = parser.add_argument_group("method", "defaults are those of the study, which are the paper's")
    for option, kind, metavar, what in (
        ("--particles", _whole, "N", "sizes of the ensemble"),
        ("--steps", _whole, "S", "model evaluations of a sample"),
        ("--sampler", str, "NAME", "ddim or dpmpp-2s"),
        ("--bandwidth", _bandwidth, "H", "of the kernel, a rule as for sr, or model: the model's own"),
        ("--cutoff", float, "C", "steer while t/T is at least this"),
        ("--patch-size", _whole, "P", "side in latent pixels"),
        ("--guidance", float, "W", "classifier-free guidance (1: none)"),
        ("--kernel", str, "K", "as for sr"),
        ("--degradation", str, "NAME", "simple, real-esrgan or stable-sr"),
    ):
        group.add_argument(option, type=kind, nargs="+", metavar=metavar, help=what)
    group.add_argument("--strength", type=float, default=0.3, metavar="D", help="part of the shift, 0 to 1 (0.3)")
    group.add_argument("--seed", type=int, default=0, help="of noise and degradation (default 0)")
    _add_model(parser)


def _add_degradation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--degradation",
        choices=("simple", "real-esrgan", "stable-sr"),
        default="simple",
        help="how truths are degraded: one stage, as the bundled model was trained (default), or two, with the ranges "
        "of Real-ESRGAN x4plus or of StableSR's test sets",
    )


def _add_method(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER", help="made if it is not there")
    group = parser.add_argument_group("method", "defaults are the paper's")
    group.add_argument("--particles", type=_whole, default=10, metavar="N", help="size of the ensemble (default 10)")
    group.add_argument("--steps", type=_whole, default=50, metavar="S", help="model evaluations (default 50)")
    group.add_argument("--sampler", choices=("ddim", "dpmpp-2s"), default="ddim", help="default ddim")
    group.add_argument(
        "--bandwidth",
        type=_bandwidth,
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
    group.add_argument("--patch-size", type=_whole, default=1, metavar="P", help="side in latent pixels (default 1)")
    group.add_argument("--guidance", type=float, default=1.0, metavar="W", help="classifier-free guidance (1: none)")
    group.add_argument("--seed", type=int, default=0, help="of noise and degradation (default 0)")
    group.add_argument(
        "--early-choice",
        action="store_true",
        help="choose when the steering window closes, and sample only that particle on: fewer model evaluations",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model", metavar="FOLDER_OR_HUB_ID", help="diffusers folder or hub id in LDM-SR's shape (default: bundled)"
    )
    group.add_argument("--revision", help="commit, tag or branch of a hub id")
    group.add_argument(
        "--pickled-weights", action="store_true", help="also load pickles, which can carry code: trust the author"
    )
    group.add_argument("--device", default="auto", help="cpu, cuda, mps or auto (default)")
    group.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="of the denoiser's numbers (float32); half precision is faster where the processor has it",
    )
    group.add_argument("--threads", type=_whole, help="CPU threads (default: torch's choice)")


def _bandwidth(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text  # the name of a rule; the core checks it


def _whole(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; give a whole number of at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
