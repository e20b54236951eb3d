"""Output files that appear complete or not at all, and what is said of them.

`__main__` prepares every file in memory and hands them over together; each is written under a temporary name
beside its place and then renamed.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path


def say(*lines: object) -> None:
    """Print lines for the user; a reader that left, or a full disk, is no reason to fail a finished run.

    Args:
        lines: what to print, each on a line of its own.
    """
    try:
        print(*lines, sep="\n", flush=True)
    except OSError:
        # What was not written is still in the buffer, and would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def prepare_folder(folder: Path) -> None:
    """Make the folder if it is missing and check that files can be made in it, before any work is done.

    Args:
        folder: folder for the results; missing parents are made, too.

    Raises:
        OSError: the folder cannot be made, is a file, or cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trial = _temporary(folder / "trial")
    with suppress(FileNotFoundError):  # of a run that was killed
        trial.unlink()
    trial.touch(exist_ok=False)
    trial.unlink()


def write_files(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write files into a folder, replacing older ones; none appears before all have reached the disk.

    Args:
        folder: an existing folder.
        contents: file name -> content.

    Returns:
        The paths of the files, in the order of contents.

    Raises:
        OSError: a file could not be written, or a folder has its name; no temporary file stays, and no file
            of these names is changed unless the disk failed between two renames.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as name:
        ...     [path.name for path in write_files(Path(name), {"a.txt": b"complete"})]
        ['a.txt']
    """
    places = {folder / name: _temporary(folder / name) for name in contents}
    for place in places:  # before the first rename
        if place.is_dir():
            raise IsADirectoryError(errno.EISDIR, f"{place.name} is a folder there")

    # All are written before the first takes its place, so that a full disk leaves the old files together.
    try:
        for temporary, content in zip(places.values(), contents.values(), strict=True):
            with temporary.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        for place, temporary in places.items():
            temporary.replace(place)
    finally:
        for temporary in places.values():
            with suppress(FileNotFoundError):
                temporary.unlink()
    return list(places)


def _temporary(place: Path) -> Path:
    return place.with_name(f".{place.name}.{os.getpid()}.tmp")
