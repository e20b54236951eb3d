"""The store of ensembles: what any study's lines need to know of them, one row per photo and ensemble, drawn once.

Rows name their ensemble, not their study. A study that asks for more of an ensemble than its row has gets a second row
with the rest. Features of images, for Frechet distances, are large and lie in a file of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from real.bench.endings import ENDINGS
from real.bench.photo_sets import Photo, check_known
from real.bench.plan import Line
from real.images.files import append_line, to_json, write_text
from real.records.journal import Rows

__all__ = ["EnsembleStore", "Found"]

Found = dict[str, Any]  # scores, evaluations, picked, cost, features: of one photo, ensemble, N and ending


class EnsembleStore:
    """Rows in a folder, which must be locked by the caller.

    Args:
        folder: Folder of the rows; it may hold none yet.
        identity: What all of them depend on.

    Raises:
        UserError: The folder's rows are of something else; see `Rows`.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder
        self._rows = Rows(folder, identity)
        self._features = folder / "features.jsonl"
        self._found: dict[tuple[str, str, str, str], Found] = {}
        features = self._read_features()
        for row in self._rows:
            self._remember(row, features.get(row["run"] + row["photo"], {}))

    def check(self, photos: Sequence[Photo], digest: Callable[[Photo], str]) -> None:
        """Refuse photos that differ from those of the rows with their names.

        Args:
            photos: The photos.
            digest: Digest of what a photo's rows depend on.

        Raises:
            UserError: There are such rows.
        """
        check_known(photos, self._rows, self.folder, digest)

    def has(self, photo: str, line: Line) -> bool:
        """Whether everything that a line needs of a photo is known."""
        return _key(photo, line) in self._found

    def add(self, photo: str, digest: str, key: str, content: dict[str, Any], features: Mapping[str, Any]) -> None:
        """Append what was measured of a photo's ensemble; it is on the disk on return.

        Args:
            photo: Name of the photo.
            digest: Digest of what its rows depend on.
            key: Key of the ensemble.
            content: Content of the row, see `real.bench.measure.measure`.
            features: Features of its images, see `real.bench.sets.SetFeatures`.

        Raises:
            UserError: It cannot be written, since the disk is full.
        """
        run, number = key, 2
        while (photo, run) in self._rows:
            run, number = f"{key} ({number})", number + 1

        if features:  # before the row, which says that they are there
            self._append_features({"of": run + photo, "features": features})
        row = {"photo": photo, "digest": digest, "run": run, "ensemble": key, **content}
        self._rows.add(row)
        self._remember(self._rows[photo, run], features)

    def of(self, photo: str, line: Line) -> Found:
        """What is known of a line on a photo."""
        return self._found[_key(photo, line)]

    def _remember(self, row: Mapping[str, Any], features: Mapping[str, Any]) -> None:
        for n, endings in row["scores"].items():
            for ending, scores in endings.items():
                cost = _cost(row["cost"], ending) if "cost" in row else {}
                self._found[row["photo"], row["ensemble"], n, ending] = {
                    "scores": {**scores, **cost},
                    "evaluations": row["evaluations"][n][ending],
                    "picked": row["picked"].get(n, {}).get(ending),
                    "features": features,
                }

    def _append_features(self, entry: Mapping[str, Any]) -> None:
        append_line(self._features, to_json(entry))

    def _read_features(self) -> dict[str, Mapping[str, Any]]:
        """Only whole lines: one that a kill cut off is dropped, and the row that it belongs to was never written."""
        if not self._features.exists():
            return {}
        lines = self._features.read_text(encoding="utf-8").split("\n")[:-1]
        write_text(self._features, "".join(line + "\n" for line in lines))
        return {entry["of"]: entry["features"] for entry in map(json.loads, lines)}


def _key(photo: str, line: Line) -> tuple[str, str, str, str]:
    return photo, line.ensemble.key, str(line.particles), line.ending


def _cost(cost: Mapping[str, Mapping[str, Any]], ending: str) -> dict[str, float]:
    """Seconds, and the peak of memory where it was measured, of the pieces of work that an ending needs."""
    parts = ENDINGS[ending].cost
    numbers = {"seconds": sum(cost["seconds"][part] for part in parts)}
    memory = [cost["memory_gb"][part] for part in parts]
    return numbers if None in memory else numbers | {"memory_gb": max(memory)}
