"""The training record: what made a network, in one JSON file beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import diffusers
import torch

from real.files import write_atomically
from real.train.loop import RunSettings

__all__ = ["write_record"]


def write_record(
    folder: Path,
    *,
    command: str,
    settings: dict[str, Any],
    run_settings: RunSettings,
    data: dict[str, int],
    seconds: float,
) -> None:
    """Write `record.json`: the command, every setting, the data and the curve of a finished run."""
    rows = [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]
    record = {
        "command": command,
        "settings": settings,
        "run": asdict(run_settings),
        "photos": data,
        "seconds": round(seconds),
        "versions": {"torch": torch.__version__, "diffusers": diffusers.__version__},
        "curve": rows[:: max(1, len(rows) // 100)],
    }
    write_atomically(folder / "record.json", lambda path: path.write_text(json.dumps(record, indent=1) + "\n"))
