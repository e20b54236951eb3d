"""The options of each command."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from real.alternatives.named import FILLERS, UPSCALERS
from real.cli.backbone_options import add_backbones
from real.cli.descriptions import BENCH, EVALUATE, GPU_CHECK, INPAINT, SR
from real.cli.options import (
    add_colour_fix,
    add_degradation,
    add_memory,
    add_method,
    add_model,
    add_text,
    bandwidth,
    folder,
    given,
    whole,
)

__all__ = ["add_bench", "add_evaluate", "add_gpu_check", "add_inpaint", "add_sr"]

LDM_SR = "diffusers folder or hub id in LDM-SR's shape, or ldm-sr: the public one (default: bundled)"


def add_sr(commands: Any) -> None:
    """`sr`."""
    parser = _add(commands, "sr", "restore a low-resolution photo", SR)

    parser.add_argument(
        "image", nargs="?", type=given, metavar="IMAGE", help="the photo; without one, one that scikit-image carries"
    )
    parser.add_argument("--degrade", action="store_true", help="IMAGE is the truth: degrade it first, then compare")
    _add_metrics(parser)

    add_degradation(parser)
    _add_compare(parser, UPSCALERS)
    add_colour_fix(parser)
    add_method(parser, seed_of="noise and degradation")
    add_memory(
        add_model(
            parser,
            what="diffusers folder or hub id in LDM-SR's shape, or of the x4 upscaler; or diffbir, seesr, ldm-sr: see "
            "docs/how-to/backbones.md (default: bundled LDM-SR)",
        )
    )

    add_backbones(parser)
    _add_noise_level(add_text(parser, models="x4 upscaler, diffbir, seesr"))
    _add_processes(parser)


def add_inpaint(commands: Any) -> None:
    """`inpaint`."""
    parser = _add(commands, "inpaint", "paint a part of a photo", INPAINT)
    parser.add_argument(
        "image", nargs="?", type=given, metavar="IMAGE", help="the photo; without one, one that scikit-image carries"
    )

    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "--mask",
        type=given,
        metavar="MASK",
        help="picture of the photo's size, light where to paint; what is transparent is known",
    )
    where.add_argument("--center-box", type=float, metavar="F", help="hide this part of the photo, in its centre (0.3)")
    parser.add_argument(
        "--box-by", choices=("area", "side"), help="what F is a part of: the area (default), or each side of the photo"
    )

    parser.add_argument(
        "--no-paste",
        dest="paste",
        action="store_false",
        help="leave the known pixels as the autoencoder makes them, instead of putting them back",
    )
    _add_compare(parser, FILLERS)
    add_method(parser, seed_of="the noise")
    add_memory(
        add_model(
            parser,
            what="folder or hub id of Stable Diffusion inpainting (9 channels) or of LDM's (7) (default: bundled LDM)",
        )
    )
    add_text(parser, models="without a prompt and guidance the surroundings alone say what to paint")


def add_evaluate(commands: Any) -> None:
    """`evaluate`."""
    parser = _add(commands, "evaluate", "compare with and without KDS on a folder", EVALUATE)
    parser.add_argument("--task", choices=("sr", "inpaint"), default="sr", help="what the model does (default sr)")
    parser.add_argument("--photos", required=True, type=folder, metavar="FOLDER", help="photos, taken as the truth")
    parser.add_argument("--crop", type=whole, metavar="PX", help="centre crop, a multiple of 4 (default: the whole)")
    parser.add_argument("--limit", type=whole, metavar="N", help="only the first N photos by name")

    parser.add_argument(
        "--cutoffs", type=float, nargs="+", metavar="C", help="steer at each of these (default: --cutoff)"
    )
    parser.add_argument("--bandwidths", type=bandwidth, nargs="+", metavar="H", help="and at each of these bandwidths")

    parser.add_argument(
        "--autoencoder-only",
        action="store_true",
        help="sample nothing: encode and decode the photos, the ceiling of restoration; writes reconstruction.json",
    )
    parser.add_argument(
        "--quality",
        action="store_true",
        help="judge the plain samples as well: calibration, colours, clean photos, the regression network (of an "
        "inpainting model this is what the command does)",
    )

    _add_metrics(parser)
    add_degradation(parser)
    add_colour_fix(parser)
    add_method(parser, seed_of="noise and degradation")
    add_model(parser, what=LDM_SR + "; for --task inpaint one in LDM's inpainting shape")


def add_bench(commands: Any) -> None:
    """`bench`."""
    parser = _add(commands, "bench", "run one of the paper's studies", BENCH)
    parser.add_argument("study", nargs="*", metavar="NAME", help="of a study, of several, or all")
    parser.add_argument("--list", action="store_true", help="show all studies, one line each")

    photos = parser.add_mutually_exclusive_group()
    photos.add_argument("--photos", type=folder, metavar="FOLDER", help="photos, taken as the truth and degraded")
    photos.add_argument(
        "--pairs",
        type=folder,
        metavar="FOLDER",
        help="pairs in StableSR's layout: gt/ and lq/, or test_HR/ and test_LR/",
    )

    parser.add_argument("--output", type=folder, metavar="FOLDER", help="made if it is not there")
    parser.add_argument("--crop", type=whole, metavar="PX", help="centre crop of the truth, a multiple of 4")
    parser.add_argument("--limit", type=whole, metavar="N", help="only the first N photos by name")
    _add_metrics(parser)

    group = parser.add_argument_group("method", "defaults are those of the study, which are the paper's")
    for option, kind, metavar, what in (
        ("--particles", whole, "N", "sizes of the ensemble"),
        ("--steps", whole, "S", "model evaluations of a sample"),
        ("--sampler", str, "NAME", "ddim or dpmpp-2s"),
        ("--bandwidth", bandwidth, "H", "of the kernel, a rule as for sr, or model: the model's own"),
        ("--cutoff", float, "C", "steer while t/T is at least this"),
        ("--patch-size", whole, "P", "side in latent pixels"),
        ("--guidance", float, "W", "classifier-free guidance (1: none)"),
        ("--kernel", str, "K", "as for sr"),
        ("--degradation", str, "NAME", "simple, real-esrgan or stable-sr"),
        ("--seed", int, "N", "of noise and degradation; a photo's scores are means over several"),
        ("--budget", whole, "E", "model evaluations of all particles together, for front"),
    ):
        group.add_argument(option, type=kind, nargs="+", metavar=metavar, help=what)
    add_colour_fix(parser)

    group.add_argument("--strength", type=float, default=0.3, metavar="D", help="part of the shift, 0 to 1 (0.3)")
    group.add_argument(
        "--noise-photos", type=folder, metavar="FOLDER", help="other photos, on which one noise is picked for all"
    )
    add_memory(add_model(parser, what="one that sr takes (default: bundled LDM-SR); for table3 one that inpaint takes"))
    add_backbones(parser)
    _add_noise_level(add_text(parser, models="Stable Diffusion inpainting, x4 upscaler, diffbir, seesr"))

    group = parser.add_argument_group("the paper's numbers")
    group.add_argument(
        "--dataset",
        choices=("DIV2K", "RealSR", "DRealSR"),
        help="whose numbers in the paper stand next to yours, where its table has them (default: the study's)",
    )


def add_gpu_check(commands: Any) -> None:
    """`gpu-check`."""
    parser = _add(commands, "gpu-check", "measure cost and agreement on a GPU", GPU_CHECK)
    parser.add_argument("--output", required=True, type=folder, metavar="FOLDER", help="made if it is not there")
    parser.add_argument("--device", type=given, default="auto", help="cuda, cuda:1, cpu or auto (default)")
    parser.add_argument("--minutes", type=float, default=8.0, metavar="M", help="start nothing new after (default 8)")
    parser.add_argument("--tiny", action="store_true", help="dry run at tiny sizes, for a CPU")


def _add(commands: Any, name: str, what: str, description: str) -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser: argparse.ArgumentParser = commands.add_parser(name, help=what, description=description, formatter_class=raw)
    return parser


def _add_compare(parser: argparse.ArgumentParser, alternatives: Mapping[str, str]) -> None:
    parser.add_argument(
        "--compare",
        nargs="+",
        choices=alternatives,
        default=(),
        metavar="NAME",
        help="show beside it what one could use instead, and write NAME.png: "
        + "; ".join(f"{name}, {what}" for name, what in alternatives.items()),
    )


def _add_noise_level(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--noise-level",
        type=int,
        metavar="L",
        help="x4 upscaler: timestep of the noise that the photo gets, 0 to 350 (default 20)",
    )


def _add_metrics(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--metrics",
        nargs="+",
        default=(),
        metavar="M",
        help="perceptual metrics to score by too: lpips-hed or brisque, which need no network, or lpips, dists, nima, "
        "maniqa, maniqa-pipal, clipiqa, liqe, whose networks are fetched from the web; for bench also fid-lite0, fid",
    )


def _add_processes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "several processes", "torchrun --nproc-per-node R -m real ... shares the particles between R processes"
    )
    group.add_argument(
        "--rank-timeout",
        type=whole,
        metavar="SECONDS",
        help="a process that does not answer for so long is an error (default 600)",
    )
