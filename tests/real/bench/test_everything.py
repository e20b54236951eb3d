"""`bench all`: every distinct ensemble is drawn once for all studies, in stages, and it goes on where it was."""

import argparse
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
from real.__main__ import main  # noqa: E402
from real.api import open_model  # noqa: E402
from real.bench import everything, runner, writing  # noqa: E402
from real.bench.everything import run_everything  # noqa: E402
from real.bench.photo_sets import find_photos  # noqa: E402
from real.bench.plan import fill_grid  # noqa: E402
from real.bench.request import StudyRequest  # noqa: E402
from real.bench.runner import run_study  # noqa: E402
from real.bench.studies import ORDER, STUDIES  # noqa: E402
from real.cli.parsers import add_bench  # noqa: E402
from real.cli.task import requests_of  # noqa: E402
from real.models.latent import LatentModel  # noqa: E402
from real.settings import Settings  # noqa: E402

NAMES = ("table1", "attribution", "fig4", "fig7", "table3")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for i in range(4):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    return folder


def requests(photos: Path) -> list[StudyRequest]:
    made = []
    for name in NAMES:
        study = replace(STUDIES[name], photos=3 if name == "table1" else 2)
        grid = fill_grid(study, {"steps": [4], "bandwidth": [2.0], "particles": [2]})
        grid = replace(grid, seed=(0, 1) if name == "attribution" else (0,), sampler=("ddim",))
        found = find_photos(photos)
        request = StudyRequest(name, study, grid, Settings(), found[:3], crop=64, noise_photos=tuple(found[3:]))
        made.append(replace(request, limit=study.photos))
    return made


@pytest.fixture
def models(tiny: LatentModel, hole_filler_folder: Path) -> Callable[[str], LatentModel]:
    filler = open_model(str(hole_filler_folder), task="inpaint", device="cpu", dtype="float32")
    return lambda task: filler if task == "inpaint" else tiny


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def test_each_ensemble_is_drawn_once_and_a_report_is_there_early(
    photos: Path, models: Callable[[str], LatentModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everything, "STAGES", (1, 2))
    monkeypatch.setattr(writing, "save_plot", lambda *arguments: None)  # seen in the test of the command
    drawn: list[tuple[str, str]] = []
    measure, interrupted = runner.measure, list[bool]()

    def counted(plan: Any, wanted: Any, truth: np.ndarray, *others: Any, **options: Any) -> Any:
        drawn.append((truth.tobytes().hex()[:64], plan.key))
        if len(drawn) == 6 and not interrupted:  # Table 1 is done with its first photo, `attribution` is not
            interrupted.append(True)
            raise KeyboardInterrupt
        return measure(plan, wanted, truth, *others, **options)

    monkeypatch.setattr(runner, "measure", counted)
    with pytest.raises(KeyboardInterrupt):
        run_everything(requests(photos), models, tmp_path)
    early = json.loads((tmp_path / "table1" / "report.json").read_text())
    assert early["photos"] == 1
    known = drawn.pop()  # which was not finished
    reports = run_everything(requests(photos), models, tmp_path)
    assert known in drawn
    assert max(Counter(drawn).values()) == 1
    assert {name: report["photos"] for name, report in reports.items()} == dict.fromkeys(NAMES, 2) | {"table1": 3}
    assert all(not row["run"].endswith(")") for row in rows_of(tmp_path / "sr"))
    picked = json.loads((tmp_path / "sr" / "fixed_noise.json").read_text())
    assert (picked["photos"], len(picked["psnr_rgb"])) == (["3.png"], 16)
    assert picked["picked"] == int(np.argmax(picked["psnr_rgb"]))
    index = (tmp_path / "index.md").read_text()
    assert all(f"[{name}]({name}/report.md)" in index for name in NAMES)
    assert {path.name for path in tmp_path.iterdir()} == {*NAMES, "sr", "inpaint", "index.md"}
    count = len(drawn)
    assert run_everything(requests(photos), models, tmp_path) == reports
    assert len(drawn) == count  # nothing is missing
    lines = {line["key"]: line for line in reports["attribution"]["lines"]}
    assert lines["fixed-noise"]["evaluations"] == 4


def test_the_reports_are_those_of_single_studies(
    photos: Path, models: Callable[[str], LatentModel], tmp_path: Path
) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "alone").mkdir()
    asked = [request for request in requests(photos) if request.name in ("table1", "fig4")]
    together = run_everything(asked, models, tmp_path / "all")
    alone = run_study(replace(asked[1], limit=2), models("sr"), tmp_path / "alone")
    for one, other in zip(together["fig4"]["lines"], alone["lines"], strict=True):
        assert one["scores"]["psnr_rgb"]["mean"] == pytest.approx(other["scores"]["psnr_rgb"]["mean"], abs=1e-3)


def test_first_photos_that_cannot_be_used_do_not_end_it(
    photos: Path, models: Callable[[str], LatentModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everything, "STAGES", (1,))
    mixed = tmp_path / "photos"
    shutil.copytree(photos, mixed)
    (mixed / "0.png").write_bytes(b"no photo")
    asked = [replace(one, photos=find_photos(mixed)[:2]) for one in requests(photos) if one.name == "fig4"]
    (tmp_path / "out").mkdir()
    report = run_everything(asked, models, tmp_path / "out")["fig4"]
    assert (report["photos"], list(report["left_out"])) == (1, ["0.png"])


def test_what_the_command_runs() -> None:
    assert ORDER[:3] == ("table1", "attribution", "front")  # what most hangs on comes first
    assert set(ORDER) == set(STUDIES) - {"table2"}
    least = {name: study.photos for name, study in STUDIES.items()}
    assert [least[name] for name in ("table1", "fig4", "attribution")] == [100] * 3
    assert [least[name] for name in ("table3", "front")] == [40] * 2
    assert min(least.values()) >= 30
    assert STUDIES["attribution"].grid.seed == (0, 1, 2)
    assert STUDIES["front"].grid.budget == (10, 25, 50, 100, 250, 500)


def asked(*arguments: object) -> dict[str, int | None]:
    """Studies that a command asks for, in its order, and how many photos of each."""
    parser = argparse.ArgumentParser()
    add_bench(parser.add_subparsers())
    options = parser.parse_args(["bench", *map(str, arguments), "--output", "out"])
    return {request.name: request.limit for request in requests_of(options, "")}


def test_several_names_are_as_many_studies_as_far_as_each_is_planned(photos: Path) -> None:
    assert asked("fig4", "table3", "fig4", "--photos", photos) == {"fig4": 100, "table3": 40}
    assert asked("front", "table1", "--photos", photos, "--limit", 50) == {"front": 40, "table1": 50}
    assert asked("table1", "--photos", photos) == {"table1": None}  # alone: all that there are
    assert list(asked("all", "--photos", photos)) == list(ORDER)
    assert asked("all", "--photos", photos)["attribution"] == 100
    of_super_resolution = [name for name in ORDER if STUDIES[name].task == "sr"]
    assert list(asked("all", "--photos", photos, "--model", "folder")) == of_super_resolution


def test_the_command(photos: Path, tiny_folder: Path, tmp_path: Path, capsys: Any) -> None:
    """With a model that was named: of all studies those of super-resolution."""
    options = ["--photos", photos, "--crop", 64, "--limit", 1, "--steps", 4, "--particles", 2, "--bandwidth", 2]
    options += ["--model", tiny_folder, "--guidance", 1, "--patch-size", 1, "--budget", 25, "--seed", 0]
    assert main(["bench", "all", *map(str, options), "--output", str(tmp_path / "out")]) == 0
    assert "names the reports of 12 studies" in capsys.readouterr().out
    assert not (tmp_path / "out" / "inpaint").exists()
    report = json.loads((tmp_path / "out" / "fig6" / "report.json").read_text())
    assert report["command"].startswith("python -m real bench all ")
