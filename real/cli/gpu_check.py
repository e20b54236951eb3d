"""`gpu-check`: everything worth knowing of a GPU in one run of a few minutes."""

from __future__ import annotations

import argparse
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import diffusers
import torch

import kds_ref
from real.bench.gpu import FULL, PARTS, TINY, Sizes
from real.bench.gpu_report import report
from real.cli import common
from real.cli.run import say
from real.errors import UserError
from real.images.files import write_json, write_text
from real.models.devices import pick_device

__all__ = ["run_gpu_check"]

ERRORS = (RuntimeError, OSError, ValueError, TypeError, subprocess.TimeoutExpired)  # of a part; the others still run


def run_gpu_check(options: argparse.Namespace, arguments: list[str]) -> int:
    """Run the parts one after the other and write what there is after each."""
    if not options.minutes >= 0.0:  # nor "nan", which would never be up
        raise UserError(f"must be at least 0, got {options.minutes:g}", argument="minutes")
    folder = common.make_output(options.output)
    device, start = torch.device(pick_device(options.device)), time.monotonic()
    record: dict[str, Any] = {
        "command": common.command_line(arguments),
        "device": str(device),
        "device_name": _name(device),
        "tiny": options.tiny,
        "versions": {
            "kds_ref": kds_ref.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "diffusers": diffusers.__version__,
        },
        "seconds": 0.0,
        "parts": {},
        "left_out": dict.fromkeys(PARTS, "not reached"),
    }

    # The report is written after every part, so that a run that is cut short keeps what it has.
    for name in PARTS:
        _run_part(name, device, TINY if options.tiny else FULL, start + 60.0 * options.minutes, record)
        record["seconds"] = time.monotonic() - start
        _write(folder, record)
        say(f"{name}: {record['left_out'].get(name, 'done')} ({record['seconds']:.0f} s)")
    say(f"{folder / 'gpu_check.md'} and gpu_check.json written")
    return 0


def _run_part(name: str, device: torch.device, sizes: Sizes, end: float, record: dict[str, Any]) -> None:
    """Add the rows of a part; it stops between two rows when time is up, and an error is noted, not raised."""
    rows: list[dict[str, Any]] = []
    record["parts"][name] = rows
    if time.monotonic() >= end:
        record["left_out"][name] = "time was up before it"
        return

    # Rows that are measured stay in the record, whatever ends the part.
    try:
        for row in PARTS[name](device, sizes):
            rows.append(row)
            if time.monotonic() >= end:
                record["left_out"][name] = f"time was up after {len(rows)} of its rows"
                return
    except ERRORS as error:
        record["left_out"][name] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return
    finally:
        if device.type == "cuda":
            torch.cuda.empty_cache()
    del record["left_out"][name]


def _write(folder: Path, record: dict[str, Any]) -> None:
    write_json(folder / "gpu_check.json", record)
    write_text(folder / "gpu_check.md", report(record))


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        return f"{torch.cuda.get_device_name(device)}, {memory:.0f} GiB"
    return f"{device.type}, {platform.machine()}"
