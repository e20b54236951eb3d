"""The study's memory: what each task found, one line of JSON as soon as it is done, so that a killed run can resume.

The first line holds the settings; a folder with other settings is refused instead of mixed up. A last line that was
cut short by the kill is dropped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


class Journal:
    """Results by key, kept in a file.

    Args:
        path: path of the file; made with the first line if missing.
        settings: what the results depend on.

    Raises:
        ValueError: the file belongs to other settings, or is no journal.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Journal(Path(folder) / "rows.jsonl", {"seed": 0}).add("one", {"found": 1})
        ...     Journal(Path(folder) / "rows.jsonl", {"seed": 0}).results
        {'one': {'found': 1}}
    """

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        self.results: dict[str, Any] = {}
        lines = self._whole_lines()
        if not lines:
            self._append({"settings": settings})
        elif lines[0].get("settings") != settings:
            folder = str(path.parent)
            raise ValueError(f"output must hold this study, got {folder!r} with other settings; name another folder")
        for line in lines[1:]:
            self.results[line["key"]] = line["result"]

    def add(self, key: str, result: dict[str, Any]) -> None:
        """Keep a result; it is on the disk when this returns."""
        self._append({"key": key, "result": result})
        self.results[key] = result

    def _whole_lines(self) -> list[dict[str, Any]]:
        """Read the file and cut off a line without an end."""
        if not self.path.exists():
            return []
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        try:
            lines = [json.loads(line) for line in whole.splitlines()]
        except json.JSONDecodeError as error:
            name = self.path.name
            raise ValueError(f"output must hold a journal in {name}, got another file; name another folder") from error
        if whole != text:
            os.truncate(self.path, len(whole.encode()))
        return lines

    def _append(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, allow_nan=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
