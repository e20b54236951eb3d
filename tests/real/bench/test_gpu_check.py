"""`python -m real gpu-check`: a dry run on the CPU, time that runs out, and parts that fail."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from real.__main__ import main  # noqa: E402
from real.bench import gpu  # noqa: E402
from real.bench.gpu_report import TITLES, report  # noqa: E402


def run(folder: Path, *options: str) -> tuple[dict[str, Any], str]:
    assert main(["gpu-check", "--tiny", "--device", "cpu", "--output", str(folder), *options]) == 0
    return json.loads((folder / "gpu_check.json").read_text()), (folder / "gpu_check.md").read_text()


@pytest.mark.slow
def test_a_dry_run_measures_everything_that_needs_no_gpu(tmp_path: Path) -> None:
    record, text = run(tmp_path)
    assert set(record["left_out"]) == {"tests", "compiled"}
    assert all("CUDA GPU" in why for why in record["left_out"].values())
    assert "A dry run at tiny sizes" in text
    parts = record["parts"]
    assert [row["max_batch"] for row in parts["overhead"]] == [None, 1]
    assert all(0 < row["copy_seconds"] < row["seconds"] for row in parts["steering"])
    assert [(r["model"], r["kind"]) for r in parts["backbones"]] == [
        (model, kind) for model in ("diffbir", "seesr") for kind in ("plain", "kds")
    ]
    steer = [row for row in parts["agreement"] if row["what"].startswith("steer")]
    assert {(row["what"], row["dtype"]) for row in steer if row["difference"] > 0.0} == {
        (row["what"], row["dtype"]) for row in steer if row["dtype"] != "float32"
    }
    assert all(row["difference"] < 0.05 for row in parts["agreement"])
    assert all(row["seconds"] > 0 for row in parts["bundled"])
    assert all(f"## {TITLES[name]}" in text for name in parts if parts[name])


def parts_of(monkeypatch: pytest.MonkeyPatch, **parts: Callable[..., Iterator[dict[str, Any]]]) -> None:
    for name in gpu.PARTS:
        monkeypatch.setitem(gpu.PARTS, name, parts.get(name, lambda device, sizes: iter(())))


def test_when_time_is_up_it_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts_of(monkeypatch)
    record, text = run(tmp_path, "--minutes", "0")
    assert set(record["left_out"]) == set(gpu.PARTS)
    assert "- backbones: time was up before it" in text


def test_a_part_cut_short_keeps_its_rows_and_the_others_still_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"what": "steer", "dtype": "float16", "difference": 1e-3}

    def fails(device: Any, sizes: Any) -> Iterator[dict[str, Any]]:
        yield row
        raise torch.cuda.OutOfMemoryError("no memory\nfor this")

    parts_of(monkeypatch, agreement=fails, tests=lambda device, sizes: iter([{"exit": 0, "summary": "9 passed"}]))
    record, text = run(tmp_path)
    assert record["left_out"] == {"agreement": "OutOfMemoryError: no memory for this"}
    assert record["parts"]["agreement"] == [row]
    assert "| steer | float16 | 1.0e-03 |" in text
    assert "Exit status 0: 9 passed" in text


def test_the_report_of_a_gpu_has_memory_and_no_word_of_a_dry_run() -> None:
    steering = {"shape": [10, 4, 64, 64], "dtype": "float16", "seconds": 2e-4, "copy_seconds": 5e-6, "copies": 40.0}
    record = {
        "device_name": "Some GPU, 80 GiB",
        "versions": {"torch": "2"},
        "seconds": 9.0,
        "tiny": False,
        "parts": {"steering": [{**steering, "peak_bytes": 3 * 2**20}]},
        "left_out": {},
    }
    text = report(record)
    assert text.startswith("# GPU check\n\nSome GPU, 80 GiB; torch 2; 9 s.\n\n## One call of steer")
    assert "| N = 10, 64x64x4 | float16 | 0.200 ms | 0.0050 ms | 40 | 3 MiB |" in text
    assert text.endswith("## Left out\n\nNothing.\n")
