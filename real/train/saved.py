"""What `torch.save` wrote into a run's folder, read back without unpickling code; a damaged file is named."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from real.errors import UserError

__all__ = ["load_saved"]


def load_saved(path: Path, *, device: str = "cpu") -> Any:
    """The content of a file of this run.

    Raises:
        UserError: It is damaged, such as by a disk that was full.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, OSError, EOFError, KeyError, pickle.UnpicklingError) as error:
        why = " ".join(str(error).split())[:120] or type(error).__name__
        message = f"{str(path)!r} must be whole, got a damaged file ({why}); delete it, or give another folder"
        raise UserError(message, argument="output") from error
