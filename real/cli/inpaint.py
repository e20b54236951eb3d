"""`python -m real inpaint`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from real.alternatives.named import FILLERS, filler
from real.api import inpainting_restorer
from real.cli import common
from real.cli.outputs import run_alternatives, write_extras, written
from real.cli.run import say
from real.errors import UserError, blaming
from real.images.files import write_json
from real.images.masks import center_box, check_mask, load_mask
from real.images.panels import Panel, save_panels
from real.images.photos import load_photo, sample_photo, save_png
from real.restorers.base import Restoration, restore
from real.restorers.compare import Comparison, compare, plain_comparison
from real.restorers.inpainting import inpainting_score
from real.settings import Settings

__all__ = ["run_inpaint"]

LARGEST = 2048
COLUMNS = {
    "hole_psnr_rgb": "PSNR hole",
    "hole_ssim_rgb": "SSIM hole",
    "psnr_rgb": "PSNR all",
    "ssim_rgb": "SSIM all",
}


def run_inpaint(options: argparse.Namespace, arguments: list[str]) -> int:
    """Paint the masked part of a photo; with --center-box compare with what was there."""
    started = time.perf_counter()
    settings = common.settings_of(options)
    photo = sample_photo() if options.image is None else load_photo(options.image, largest=LARGEST)
    mask, hole = _mask(options, photo)
    # What can be wrong with options, photo and folder is found before the model is loaded.
    alternatives = {name: filler(name) for name in options.compare}
    folder = common.make_output(options.output)
    model = common.model_of(options, task="inpaint")
    record = common.model_record(settings, model, common.command_line(arguments)) | hole
    record["paste"] = options.paste
    text = {"prompt": options.prompt, "negative_prompt": options.negative_prompt}

    others = run_alternatives({name: partial(fill, photo, mask) for name, fill in alternatives.items()})
    with common.StepBar(2 * settings.steps) as bar:
        restorer = inpainting_restorer(photo, mask, model, **text, paste=options.paste)
        result: Restoration | Comparison
        if options.mask:
            result = restore(restorer, settings, progress=bar)
        else:
            # The photo is whole, so that what the box hides is the truth.
            run: dict[str, Any] = {"score": inpainting_score(mask), "progress": bar}
            plain = plain_comparison(restorer, photo, settings, baselines=others, **run)
            result = compare(restorer, photo, settings, plain=plain, **run)

    record |= restorer.describe(settings)
    record |= write_extras(folder, restorer, result, others)
    write_json(folder / "result.json", record | common.restoration_record(result))
    if isinstance(result, Restoration):
        save_png(folder / "restored.png", result.image)
        panels: list[Panel] = [("masked", f"{100 * mask.mean():.0f}% to paint", restorer.shown)]
        panels += [(name, "", image) for name, image in others.items()]
        save_panels(folder / "comparison.png", panels + common.restoration_panels(settings, result))
    else:
        _save_comparison(folder, photo, restorer.shown, result, settings, others)
        common.print_scores(result, COLUMNS, FILLERS)
    say(written(folder, record, started))
    return 0


def _mask(options: argparse.Namespace, photo: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """The mask, and what result.json says of it."""
    if options.mask is None:
        by = options.box_by or "area"
        with blaming("center_box"):
            mask = center_box(photo.shape[0], photo.shape[1], options.center_box, by=by)
        return mask, {"center_box": options.center_box, "box_by": by, "masked": round(float(mask.mean()), 6)}
    if options.box_by is not None:
        why = f"must be left out except with `center_box`, got {options.box_by!r} with `mask`"
        raise UserError(why, argument="box_by")
    mask = load_mask(options.mask)
    check_mask(mask, photo)
    return mask, {"mask": str(options.mask), "masked": round(float(mask.mean()), 6)}


def _save_comparison(
    folder: Path, truth: np.ndarray, masked: np.ndarray, result: Comparison, settings: Settings, others: Iterable[str]
) -> None:
    sampler = settings.sampler.upper()

    def numbers(method: str) -> str:
        return common.psnr_and_ssim(result, method, prefix="hole_")

    panels: list[Panel] = [
        ("masked", f"{truth.shape[1]} x {truth.shape[0]} pixels", masked),
        *((name, numbers(name), result.images[name]) for name in others),
        (f"{sampler}, one particle", numbers("ddim_one"), result.images["ddim_one"]),
        (f"{sampler} + KDS", numbers("kds_choice"), result.images["kds_choice"]),
        ("truth", "", truth),
    ]
    save_png(folder / "restored.png", result.images["kds_choice"])
    caption = f"{common.caption(settings)}; PSNR and SSIM of the hole, in RGB"
    save_panels(folder / "comparison.png", panels, caption=caption)
