"""The store of ensembles: what any study's lines need to know of them, one row a photo and ensemble, drawn once.

Rows name their ensemble, not their study. A study that asks for more of an ensemble than its row has gets a second row
with the rest. Features of images, for Frechet distances, are large and lie in a file of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from real.bench.endings import ENDINGS
from real.bench.photos import Photo
from real.bench.plan import Line, Wanted
from real.errors import UserError
from real.images.files import write_atomically
from real.records.journal import Rows

__all__ = ["EnsembleStore", "Found"]

Found = dict[str, Any]  # scores, evaluations, picked, cost, features: of one photo, ensemble, N and ending


class EnsembleStore:
    """Rows in a folder, which must be locked by the caller.

    Args:
        folder: Where the rows are, or will be.
        identity: What all of them depend on.

    Raises:
        UserError: The folder's rows are of something else; see `Rows`.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder
        self._rows = Rows(folder, identity)
        self._features = folder / "features.jsonl"
        self._found: dict[tuple[str, str, str, str], Found] = {}
        self._digests: dict[str, str] = {}
        features = self._read_features()
        for row in self._rows:
            self._remember(row, features.get(row["run"] + row["photo"], {}))

    def check(self, photos: Iterable[Photo]) -> None:
        """Refuse photos that differ from those of the rows with their names.

        Raises:
            UserError: There are such rows.
        """
        for photo in photos:
            if self._digests.get(photo.name, photo.digest) != photo.digest:
                why = f"{str(self.folder)!r} holds rows of another {photo.name}; give another folder"
                raise UserError(why, argument="output")

    def missing(self, photo: Photo, wanted: Wanted) -> Wanted:
        """What of the wanted has no row yet."""
        lacking: Wanted = {}
        for key, (plan, endings) in wanted.items():
            rest = {
                n: tuple(ending for ending in names if (photo.name, key, str(n), ending) not in self._found)
                for n, names in endings.items()
            }
            if rest := {n: names for n, names in rest.items() if names}:
                lacking[key] = plan, rest
        return lacking

    def add(self, photo: Photo, key: str, content: dict[str, Any], features: Mapping[str, Any]) -> None:
        """Append what was measured of a photo's ensemble; it is on the disk on return."""
        run, number = key, 2
        while (photo.name, run) in self._rows:
            run, number = f"{key} ({number})", number + 1
        if features:  # before the row, which says that they are there
            with self._features.open("a") as file:
                file.write(json.dumps({"of": run + photo.name, "features": features}) + "\n")
        row = {"photo": photo.name, "digest": photo.digest, "run": run, "ensemble": key, **content}
        self._rows.add(row)
        self._remember(row, features)

    def of(self, photo: str, line: Line, seed: int) -> Found:
        """What is known of a line on a photo."""
        return self._found[photo, line.with_seed(seed).key, str(line.particles), line.ending]

    def _remember(self, row: Mapping[str, Any], features: Mapping[str, Any]) -> None:
        self._digests[row["photo"]] = row["digest"]
        for n, endings in row["scores"].items():
            for ending, scores in endings.items():
                found: Found = {"scores": dict(scores), "evaluations": row["evaluations"][n][ending]}
                found["picked"] = row["picked"].get(n, {}).get(ending)
                found["features"] = features
                if "cost" in row:
                    found["scores"] |= _cost(row["cost"], ending)
                self._found[row["photo"], row["ensemble"], n, ending] = found

    def _read_features(self) -> dict[str, Mapping[str, Any]]:
        """Whole lines alone; what a kill cut off goes, its row is not there either."""
        if not self._features.exists():
            return {}
        lines = self._features.read_text().split("\n")[:-1]
        write_atomically(self._features, lambda path: path.write_text("".join(line + "\n" for line in lines)))
        return {entry["of"]: entry["features"] for entry in map(json.loads, lines)}


def _cost(cost: Mapping[str, Mapping[str, Any]], ending: str) -> dict[str, float]:
    """Seconds, and the peak of memory where it was measured, of the pieces of work that an ending needs."""
    parts = ENDINGS[ending].cost
    numbers = {"seconds": sum(cost["seconds"][part] for part in parts)}
    memory = [cost["memory_gb"][part] for part in parts]
    return numbers if None in memory else numbers | {"memory_gb": max(memory)}
