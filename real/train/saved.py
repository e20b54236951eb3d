"""What a run keeps in its folder, read back without unpickling code; a damaged file is named.

What was computed beforehand carries a digest of what it was made of, and is made again where that is something else.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from real.errors import UserError
from real.images.files import write_atomically

__all__ = ["digest_of_arrays", "fingerprint", "keep", "load_kept", "load_saved"]


def load_saved(path: Path, *, device: str = "cpu") -> Any:
    """The content of a file of this run.

    Raises:
        UserError: It is damaged, such as by a disk that was full.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, OSError, EOFError, KeyError, pickle.UnpicklingError) as error:
        why = " ".join(str(error).split())[:120] or type(error).__name__
        message = f"must hold whole files, got a damaged {str(path)!r} ({why}); delete it, or give another folder"
        raise UserError(message, argument="output") from error


def digest_of_arrays(arrays: Iterable[np.ndarray], *words: object) -> str:
    """SHA-256 of arrays, with their shapes, and of words."""
    digest = hashlib.sha256(repr(words).encode())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def fingerprint(model: torch.nn.Module) -> str:
    """SHA-256 of a network's weights, so that a run is not continued with another one."""
    return digest_of_arrays(value.detach().cpu().numpy() for value in model.state_dict().values())


def keep(path: Path, made_of: str, content: Any) -> None:
    """Write what was computed, whole or not at all, with a digest of what it was made of."""
    write_atomically(path, lambda temporary: torch.save({"made_of": made_of, "content": content}, temporary))


def load_kept(path: Path, made_of: str) -> Any:
    """What `keep` wrote; None if there is no such file, or if it was made of something else.

    Raises:
        UserError: It is damaged.
    """
    kept = load_saved(path) if path.exists() else None
    return kept["content"] if isinstance(kept, dict) and kept["made_of"] == made_of else None
