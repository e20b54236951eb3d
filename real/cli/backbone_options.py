"""The options of DiffBIR and SeeSR: their parts, what is known of the photo, how they are run."""

from __future__ import annotations

import argparse

from real.cli.options import given, whole

__all__ = ["BACKBONE_OPTIONS", "add_backbones"]

# Name in the namespace -> the models that take the option; `add_backbones` says what each is.
BACKBONE_OPTIONS = {
    "base": ("diffbir", "seesr"),
    "unet": ("diffbir",),
    "control": ("diffbir",),
    "cleaner": ("diffbir",),
    "cleaned": ("diffbir",),
    "seesr": ("seesr",),
    "tags": ("seesr",),
    "image_tokens": ("seesr",),
    "start": ("diffbir", "seesr"),
    "time_grid": ("diffbir", "seesr"),
    "last_alpha": ("diffbir", "seesr"),
    "control_scale": ("diffbir", "seesr"),
    "tile": ("diffbir", "seesr"),
    "process_size": ("diffbir", "seesr"),
}


def add_backbones(parser: argparse.ArgumentParser) -> None:
    """What --model diffbir and --model seesr stand for, and how they are run."""
    group = parser.add_argument_group(
        "diffbir and seesr",
        "their parts (a folder or file here, or ID, ID/FILE, ID@REVISION on the hub), what is known of the\n"
        "photo, and settings; defaults are their authors', and result.json has them all",
    )

    for option, metavar, what in (
        ("--base", "PLACE", "both: folder or id of Stable Diffusion 2.1-base (diffbir) or 2-base (seesr)"),
        ("--unet", "FILE", "diffbir: checkpoint of Stable Diffusion, original names, instead of the base's UNet"),
        ("--control", "FILE", "diffbir: weights of its control net (default: v2.pth of lxq007/DiffBIR-v2, a pickle)"),
        ("--cleaner", "FILE", "diffbir: weights of its first stage, BSRNet or SwinIR (needs spandrel), or: bicubic"),
        ("--cleaned", "PICTURE", "diffbir: what the first stage makes of the photo, at the result's size, or a folder"),
        ("--seesr", "PLACE", "seesr: folder or id with unet/ and controlnet/ (default: CSWRY/SeeSR)"),
        ("--tags", "TEXT", "seesr: words of what is in the photo (may be empty), or a folder with NAME.txt"),
        ("--image-tokens", "FILE", "seesr: its tagger's tokens as safetensors, or a folder with NAME.safetensors"),
    ):
        group.add_argument(option, type=str if option == "--tags" else given, metavar=metavar, help=what)

    group.add_argument(
        "--start", choices=("condition", "noise"), help="both: start from the noised input (default) or noise alone"
    )
    group.add_argument(
        "--time-grid",
        choices=("official", "diffusers"),
        help="both: DDIM's timesteps, the authors' (default) or diffusers' (which are one for seesr)",
    )
    group.add_argument(
        "--last-alpha",
        choices=("first", "one"),
        help="both: DDIM ends on the noise level of timestep 0, as the authors' (default), or on none, as the paper's",
    )

    group.add_argument("--control-scale", type=float, metavar="F", help="both: factor of the controls (1)")
    group.add_argument(
        "--tile", type=int, metavar="T", help="both: side of the tiles in latent pixels (64, 96; 0: never in tiles)"
    )
    group.add_argument(
        "--process-size", type=whole, metavar="PX", help="both: restore smaller photos at this shorter side (512)"
    )
