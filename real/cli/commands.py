"""What the commands do: read, restore, write, print. One module a command; `common` has what they share."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from real.cli.gpu_check import run_gpu_check
from real.cli.inpaint import run_inpaint
from real.cli.sr import run_sr
from real.cli.studies import run_bench, run_evaluate

__all__ = ["COMMANDS"]

COMMANDS: dict[str, Callable[[argparse.Namespace, list[str]], int]] = {
    "sr": run_sr,
    "inpaint": run_inpaint,
    "evaluate": run_evaluate,
    "bench": run_bench,
    "gpu-check": run_gpu_check,
}
