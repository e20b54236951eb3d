"""Rows that survive a kill: one line of JSON per photo and ensemble, whole or not there, never two of one.

`settings.json` says what the rows are rows of; a folder with rows of other settings is refused. A lock keeps a second
process out while one writes.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from real.errors import UserError
from real.images.files import append_line, read_json, remove_leftovers, to_json, write_json, write_text

__all__ = ["Rows", "locked"]

Row = dict[str, Any]


class Rows:
    """The rows of one folder, by photo and run.

    Args:
        folder: Folder of `rows.jsonl` and `settings.json`; it must exist.
        identity: What the rows depend on, as JSON holds it.

    Raises:
        UserError: The folder's rows are of other settings (the message names what differs), or damaged otherwise than
            by a last line that was cut off, which is dropped.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.path = folder / "rows.jsonl"
        mark = folder / "settings.json"
        identity = json.loads(to_json(identity))
        self._rows = {(row["photo"], row["run"]): row for row in self._read()}
        if self._rows:  # without rows there is nothing that other settings could spoil
            if not mark.exists():
                why = f"must have settings.json beside its rows, got {str(folder)!r} without it; give another folder"
                raise UserError(why, argument="output")
            known = read_json(mark, remedy="without it the folder's rows say nothing; give another folder")
            _check_same(known, identity, folder)

        write_json(mark, identity)
        # Written again: a last line that a kill cut off is gone then.
        write_text(self.path, "".join(to_json(row) + "\n" for row in self._rows.values()))

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __getitem__(self, key: tuple[str, str]) -> Row:
        return self._rows[key]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Row) -> None:
        """Append a row, and return when it is on the disk; numbers that are NaN or infinite become None.

        Raises:
            ValueError: The photo and run have a row already.
            UserError: It cannot be written, since the disk is full.
        """
        key = row["photo"], row["run"]
        if key in self._rows:
            raise ValueError(f"row: photo {key[0]!r} and run {key[1]!r} have a row already")
        line = to_json(row)
        append_line(self.path, line)
        self._rows[key] = json.loads(line)

    def _read(self) -> list[Row]:
        lines = self.path.read_bytes().split(b"\n") if self.path.exists() else [b""]
        rows = []
        for number, line in enumerate(lines[:-1], start=1):  # after the last newline there is nothing, or half a row
            try:
                row = json.loads(line)
                if not {"photo", "run"} <= row.keys():
                    raise ValueError("a row without its name")
                rows.append(row)
            except (ValueError, AttributeError) as error:
                why = f"must hold whole rows, got line {number} of {str(self.path)!r}; delete it"
                raise UserError(why, argument="output") from error
        return rows


def _check_same(known: dict[str, Any], identity: dict[str, Any], folder: Path) -> None:
    before, now = _flat(known), _flat(identity)
    # An option that is newer than the rows and switched off says nothing against them.
    before |= {name: False for name, value in now.items() if name not in before and value is False}
    differing = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    if differing:
        # Versions come last: which packages count may follow from what was asked for.
        name = min(differing, key=lambda name: name.startswith("versions."))
        more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
        raise UserError(
            f"must hold rows of the same settings, got {str(folder)!r} with those of others: {name} was "
            f"{before.get(name)!r} and is {now.get(name)!r}{more}; give another folder",
            argument="output",
        )


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {name: value}
    flat: dict[str, Any] = {}
    for key, part in value.items():
        flat |= _flat(part, f"{name}.{key}" if name else key)
    return flat


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system releases when the process ends, however it ends.

    Temporary files of a killed process are deleted.

    Raises:
        UserError: Another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return

    with (folder / ".lock").open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            why = f"must be a folder that no other process writes to, got {str(folder)!r}; wait for it"
            raise UserError(why, argument="output") from error
        except OSError as error:  # such as on a network file system
            why = f"must be a folder that can be locked, got {str(folder)!r} ({error.strerror}); take a local disk"
            raise UserError(why, argument="output") from error

        # Only under the lock: they could be those of a process that is still writing.
        remove_leftovers(folder)
        yield
