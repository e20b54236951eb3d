"""The training record: what made a network, in one JSON file beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import diffusers
import torch

from real.errors import UserError
from real.images.files import read_json, write_json
from real.models.latent import SECOND
from real.train.training_run import TrainingRun

__all__ = ["denoiser_of", "read_record", "short", "write_record"]


TRAIN_AGAIN = "export or train again"
EXPORTED = {"vqvae": "autoencoder", "unet": "unet", SECOND: SECOND}  # folders of networks -> names of their records


def write_record(
    run: TrainingRun,
    *,
    command: str,
    settings: dict[str, Any],
    data: dict[str, int],
    started_from: dict[str, Any] | None = None,
) -> None:
    """Write `record.json`: the command, every setting, the data and the curve of a finished run.

    `started_from` is the record of the run whose networks this one started from, if there was one.
    """
    rows = [json.loads(line) for line in (run.folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    record = {
        "command": command,
        "settings": settings,
        "run": asdict(run.settings),
        "photos": data,
        "seconds": round(run.seconds),
        "versions": {"torch": torch.__version__, "diffusers": diffusers.__version__},
        "curve": [*rows[: -1 : max(1, len(rows) // 100)], rows[-1]],
    }
    if started_from is not None:
        record["started_from"] = started_from
    write_json(run.folder / "record.json", record)


def read_record(folder: Path, part: str) -> dict[str, Any]:
    """The record of a finished run, or of that part of an exported model, whose network lies in `folder/part`.

    Raises:
        UserError: There is none, or it is damaged.
    """
    record: dict[str, Any]
    if (folder / part).is_dir() and (folder / "record.json").is_file():
        record = read_json(folder / "record.json", remedy=TRAIN_AGAIN)
        return record
    if (folder / part).is_dir() and (folder / "training.json").is_file():  # an exported model, the bundled one perhaps
        record = read_json(folder / "training.json", remedy=TRAIN_AGAIN)[EXPORTED[part]]
        return record
    raise UserError(
        f"{str(folder)!r} must hold a finished run ({part}/ and record.json) or an exported model ({part}/ and "
        "training.json), got neither; train first"
    )


def denoiser_of(folder: Path, stage: str) -> str:
    """Folder of the denoiser in a run or a model: of a model with two that of the stage, "unet" or "inpainting"."""
    return SECOND if stage == "inpainting" and (folder / SECOND).is_dir() else "unet"


def short(record: dict[str, Any], *, curve: bool = True) -> dict[str, Any]:
    """A record whose earlier runs keep the last point of their curves alone; those of the denoiser are left out.

    A model's record has the denoiser's beside the autoencoder's, and the decoder stage would repeat it.
    """
    kept = dict(record)
    if "curve" in kept and not curve:
        kept["curve"] = kept["curve"][-1:]
    if "started_from" in kept:
        earlier = kept["started_from"]
        kept["started_from"] = short(earlier.get("autoencoder", earlier), curve=False)
    return kept
