"""Files that are either whole or not there: written beside their place, then renamed."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from real.errors import UserError

__all__ = [
    "append_line",
    "no_room",
    "read_json",
    "remove_leftovers",
    "to_json",
    "write_atomically",
    "write_json",
    "write_text",
]

PART = ".part-"  # begins the names of temporary files
TORCH_CANNOT_WRITE = ("inline_container.cc", "PytorchStreamWriter", "iostream error")  # torch.save on a full disk


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a temporary file in the folder of `path`, then rename it to `path`.

    A reader sees the old file or the new one, never half of one, whatever happens in between.

    Args:
        path: File to write; its folder must exist.
        write: Function that writes a file, called with the temporary path (same suffix as `path`).

    Raises:
        UserError: The system refuses, since the disk is full or the folder cannot be written to.
    """
    try:
        # In the same folder, since a file is renamed in one go only within a file system.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{PART}{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)

        try:
            write(temporary)
            temporary.chmod(0o666 & ~_umask())
            _to_disk(temporary)  # before the name: a machine that goes down must not leave an empty file under it
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    except OSError as error:
        raise no_room(path, error) from error
    except RuntimeError as error:
        if any(words in str(error) for words in TORCH_CANNOT_WRITE):
            raise no_room(path, error) from error
        raise


def _to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def no_room(path: Path, error: Exception) -> UserError:
    """The error to raise where a file cannot be written: the system's errors of a full disk name no file."""
    why = getattr(error, "strerror", None) or " ".join(str(error).split())[:120] or type(error).__name__
    return UserError(f"cannot write {str(path)!r} ({why}); make room, or give another folder")


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, whole or not at all, whatever the locale; file names that are no text are escaped."""
    content = text.encode("utf-8", errors="backslashreplace")
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def append_line(path: Path, text: str) -> None:
    """Append a line to a file, and return when it is on the disk.

    Raises:
        UserError: The system refuses, since the disk is full or the file cannot be written to.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise no_room(path, error) from error


def write_json(path: Path, content: Any) -> None:
    """Write a result file as JSON, whole or not at all; numbers that are NaN or infinite are null."""
    write_text(path, to_json(content, indent=1) + "\n")


def to_json(content: Any, *, indent: int | None = None) -> str:
    """Content as JSON of the standard, which knows neither NaN nor infinity: they are null."""
    return json.dumps(_finite(content), indent=indent, allow_nan=False)


def read_json(path: Path, *, remedy: str) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file.
        remedy: What to do where it is damaged, for the message.

    Raises:
        UserError: It cannot be read, or is no JSON object.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {str(path)!r} ({error.strerror})") from error
    except ValueError as error:  # of JSON or of UTF-8
        raise UserError(f"{str(path)!r} must be a JSON object, got a damaged file ({error}); {remedy}") from error
    if not isinstance(content, dict):
        raise UserError(f"{str(path)!r} must be a JSON object, got a {type(content).__name__}; {remedy}")
    return content


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value


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
