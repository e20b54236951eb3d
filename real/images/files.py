"""Files that are either whole or not there: written beside their place, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

__all__ = ["remove_leftovers", "write_atomically"]

PART = ".part-"  # begins the names of temporary files


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a temporary file in the folder of `path`, then rename it to `path`.

    A reader sees the old file or the new one, never half of one, whatever happens in between.

    Args:
        path: Where the file shall be; its folder must exist.
        write: Called with the temporary path (same suffix as `path`).
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{PART}{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Delete what `write_atomically` left in a folder, and in those below it, when its process was killed.

    Nothing else may be writing there.
    """
    for path in folder.rglob(f"{PART}*"):
        path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
