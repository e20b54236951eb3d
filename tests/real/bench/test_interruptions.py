"""Studies that are interrupted or killed at random moments end with the files of an uninterrupted run."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("diffusers")

WORKER = Path(__file__).parent / "workers" / "interrupted.py"
COUNT = 20


@pytest.mark.slow
def test_after_twenty_interruptions_nothing_is_lost_or_doubled(run_all: Any, tiny_folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(4):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(photos / f"{i}.png")
    ((status, text),) = run_all([[sys.executable, WORKER, tiny_folder, photos, tmp_path, COUNT]])
    assert status == 0, text
    report = json.loads(text.splitlines()[-1])
    assert len(report["ends"]) == COUNT
    assert set(report["ends"]) <= {130, -2, -9}  # -2: before the command was there to handle it
    assert -9 in report["ends"]
    assert 130 in report["ends"]
    progress = 0
    for study, name in report["studies"]:
        whole, broken = tmp_path / f"{study}-whole", tmp_path / name
        assert {p.name for p in broken.iterdir()} == {p.name for p in whole.iterdir()}
        for file in ("rows.jsonl", "settings.json", "report.md", "report.json"):
            assert (broken / file).read_text().replace(str(broken), str(whole)) == (whole / file).read_text(), file
        progress += len((broken / "rows.jsonl").read_text().splitlines())
    assert progress > 20
