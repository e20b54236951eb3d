"""Rows that survive a kill: one line of JSON per photo and ensemble, whole or not there, never two of one.

`settings.json` says what the rows are rows of; a folder with rows of other settings is refused. A lock keeps a second
process out while one writes.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from real.errors import UserError
from real.images.files import remove_leftovers, write_atomically

__all__ = ["Rows", "locked"]

Row = dict[str, Any]


class Rows:
    """The rows of one folder, by photo and run.

    Args:
        folder: Where `rows.jsonl` and `settings.json` are; it must exist.
        identity: What the rows depend on, as JSON has it.

    Raises:
        UserError: The folder's rows are of other settings (the message names what differs), or damaged otherwise than
            by a last line that was cut off, which is dropped.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.path = folder / "rows.jsonl"
        mark = folder / "settings.json"
        identity = json.loads(json.dumps(identity))
        if self.path.exists() and not mark.exists():
            raise UserError(f"{str(folder)!r} has rows but no settings.json; give another folder", argument="output")
        if mark.exists():
            _check_same(json.loads(mark.read_text()), identity, folder)
        write_atomically(mark, lambda p: p.write_text(json.dumps(identity, indent=1) + "\n"))
        self._rows = {(row["photo"], row["run"]): row for row in self._read()}
        content = "".join(json.dumps(row) + "\n" for row in self._rows.values())
        write_atomically(self.path, lambda p: p.write_text(content))

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __getitem__(self, key: tuple[str, str]) -> Row:
        return self._rows[key]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Row) -> None:
        """Append a row, and return when it is on the disk.

        Raises:
            ValueError: The photo and run have a row already.
        """
        key = row["photo"], row["run"]
        if key in self._rows:
            raise ValueError(f"row: photo {key[0]!r} and run {key[1]!r} have a row already")
        row = json.loads(json.dumps(row))
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._rows[key] = row

    def _read(self) -> list[Row]:
        lines = self.path.read_text().split("\n") if self.path.exists() else [""]
        rows = []
        for number, line in enumerate(lines[:-1], start=1):  # after the last newline there is nothing, or half a row
            try:
                row = json.loads(line)
                if not {"photo", "run"} <= row.keys():
                    raise ValueError("a row without its name")
                rows.append(row)
            except (ValueError, AttributeError) as error:
                raise UserError(
                    f"line {number} of {str(self.path)!r} is no row; delete it", argument="output"
                ) from error
        return rows


def _check_same(known: dict[str, Any], identity: dict[str, Any], folder: Path) -> None:
    before, now = _flat(known), _flat(identity)
    # An option that is newer than the rows and switched off says nothing against them.
    before |= {name: False for name, value in now.items() if name not in before and value is False}
    differing = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    if differing:
        name = differing[0]
        more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
        raise UserError(
            f"{str(folder)!r} holds rows of other settings: {name} was {before.get(name)!r} and is "
            f"{now.get(name)!r}{more}; give another folder",
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
    with (folder / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(f"another process is writing to {str(folder)!r}; wait for it", argument="output") from error
        remove_leftovers(folder)
        yield
