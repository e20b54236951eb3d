"""What torchrun says of this process: how many there are, and which it is. Loads no torch: `--help` asks here, too."""

from __future__ import annotations

import os
from typing import NoReturn

from real.errors import UserError

__all__ = ["ReportedElsewhereError", "launched_rank", "launched_size", "refuse"]


class ReportedElsewhereError(Exception):
    """This process has to end because of an error that another process of the same run has printed."""


def launched_size() -> int:
    """How many processes torchrun has started for this command; 1 without torchrun."""
    return _number("WORLD_SIZE", 1)


def launched_rank() -> int:
    """Number of this process among them, from 0."""
    return _number("RANK", 0) if launched_size() > 1 else 0


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default


def refuse(message: str, *, argument: str | None = None) -> NoReturn:
    """End all processes because of something that all of them see alike; the first one says what."""
    raise UserError(message, argument=argument) if launched_rank() == 0 else ReportedElsewhereError(message)
