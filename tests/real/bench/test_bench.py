"""Studies end to end with the tiny model: every one runs, its report is what its rows say, and kills lose nothing."""

import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import wilcoxon

torch = pytest.importorskip("torch")
from real import open_model  # noqa: E402
from real.api import inpaint  # noqa: E402
from real.bench import measure as measuring  # noqa: E402
from real.bench import runner  # noqa: E402
from real.bench.photos import find_photos, load  # noqa: E402
from real.bench.plan import Grid, draws, fill_grid  # noqa: E402
from real.bench.runner import run_study  # noqa: E402
from real.bench.studies import STUDIES  # noqa: E402
from real.bench.task import StudyTask  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.images.masks import center_box  # noqa: E402
from real.images.seeds import photo_seed  # noqa: E402
from real.metrics.distortion import distortion  # noqa: E402
from real.models.codec import decode, padded_condition  # noqa: E402
from real.models.latent import LatentModel  # noqa: E402
from real.records.journal import Rows  # noqa: E402
from real.restorers import latent as latent_restorer  # noqa: E402
from real.restorers.compare import bicubic  # noqa: E402
from real.sampling import sample  # noqa: E402
from real.settings import Settings  # noqa: E402

# few particles and steps; bandwidths at which the latents of an untrained model see each other
SMALL: dict[str, dict[str, list[Any]]] = {
    "table4": {"particles": [2, 3]},
    "table5": {"particles": [2, 3], "patch_size": [1, 4, 16]},
    "front": {"particles": [1, 3], "steps": [2, 3]},
    "fig6": {"particles": [1, 2, 3], "bandwidth": [1.0, 20.0]},
    "fig7": {"bandwidth": [1.0, 20.0]},
    "table13": {"bandwidth": ["model", "median"]},
    "table6": {"guidance": [1, 2]},
}
Finished = Callable[[str], Path]


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    y, x = np.mgrid[:64, :72]
    for i in range(2):
        photo = np.stack([3 * x + 0 * y, 2 * y + 60 * ((x // (8 + i) + y // 8) % 2), 255 - 2 * x + 0 * y], axis=-1)
        Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    return folder


def task_of(name: str, photos: Path) -> StudyTask:
    study = STUDIES[name]
    small = {"steps": [2], "bandwidth": [20.0], "particles": [3]} | SMALL.get(name, {})
    grid = fill_grid(study, small)
    return StudyTask(name, study, grid, Settings(), find_photos(photos), crop=64, command=f"bench {name}")


@pytest.fixture(scope="session")
def tiny_for(tiny: LatentModel, hole_filler_folder: Path) -> Callable[[str], LatentModel]:
    """Study -> the model that it runs with."""
    filler = open_model(str(hole_filler_folder), task="inpaint", device="cpu", dtype="float32")
    return lambda name: filler if STUDIES[name].task == "inpaint" else tiny


@pytest.fixture(scope="session")
def finished(
    tmp_path_factory: pytest.TempPathFactory, photos: Path, tiny_for: Callable[[str], LatentModel]
) -> Finished:
    """Study -> folder with its results, run without interruption, once."""
    done: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in done:
            done[name] = tmp_path_factory.mktemp(name)
            run_study(task_of(name, photos), tiny_for(name), done[name])
        return done[name]

    return folder


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def lines_of(folder: Path, name: str, photos: Path, tiny: LatentModel) -> dict[str, Any]:
    task = task_of(name, photos)
    grid = runner._with_bandwidth(task.grid, tiny)
    return {line.key: line for line in task.study.lines(runner._first(task.settings, grid), grid)}


def without_cost(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "cost"} for row in rows]


@pytest.mark.parametrize("name", list(STUDIES))
def test_the_report_is_what_the_rows_say(
    name: str, finished: Finished, photos: Path, tiny_for: Callable[[str], LatentModel]
) -> None:
    folder = finished(name)
    rows, report = rows_of(folder), json.loads((folder / "report.json").read_text())
    lines, plan = lines_of(folder, name, photos, tiny_for(name)), None
    plan = draws(list(lines.values()), timed=STUDIES[name].timed)
    assert len({(row["photo"], row["run"]) for row in rows}) == len(rows) == 2 * len({d.run.key for d in plan.values()})
    assert [line["key"] for line in report["lines"]] == list(lines)
    values = {}
    for line in report["lines"]:
        own = lines[line["key"]]
        of_line = sorted((r for r in rows if r["run"] == plan[own.run.key].run.key), key=lambda r: r["photo"])
        assert [r["photo"] for r in of_line] == ["0.png", "1.png"]
        scores = [r["outcomes"][str(own.run.settings.particles)][own.outcome] for r in of_line]
        values[line["key"]] = {m: np.array([s[m] for s in scores]) for m in scores[0]}
        for metric, numbers in values[line["key"]].items():
            assert line["scores"][metric]["mean"] == pytest.approx(numbers.sum() / 2, abs=1e-9)
            # of two photos the resampled mean is a, (a + b) / 2 or b, with 1/4, 1/2, 1/4
            ends = line["scores"][metric]["low"], line["scores"][metric]["high"]
            assert ends == (pytest.approx(numbers.min()), pytest.approx(numbers.max()))
            change = numbers - values[report["lines"][0]["key"]][metric]
            numbers_of_change = tuple(line["change"][metric][part] for part in ("low", "mean", "high"))
            assert numbers_of_change == pytest.approx((change.min(), change.mean(), change.max()), abs=1e-9)
    for pair in report["pairs"]:
        for metric in values[pair["a"]]:
            difference = values[pair["a"]][metric] - values[pair["b"]][metric]
            assert pair["scores"][metric]["mean"] == pytest.approx(difference.mean(), abs=1e-9)
            assert pair["scores"][metric]["positive"] == sum(d > 0 for d in difference)
            p = wilcoxon(difference).pvalue if any(difference) else 1.0
            assert pair["scores"][metric]["p"] == pytest.approx(p)
    text = (folder / "report.md").read_text()
    assert all(line["label"] in text for line in report["lines"])
    assert all(pair["what"] in text for pair in report["pairs"])
    with Image.open(folder / f"{name}.png") as plot:
        assert min(plot.size) > 200
        assert len(np.unique(np.asarray(plot.convert("L")))) > 20


@pytest.mark.parametrize("name", list(STUDIES))
def test_a_killed_study_goes_on(
    name: str,
    finished: Finished,
    photos: Path,
    tiny_for: Callable[[str], LatentModel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = finished(name)
    lines = (whole / "rows.jsonl").read_text().splitlines(keepends=True)
    kept = len(lines) - 2
    shutil.copy(whole / "settings.json", tmp_path)
    # as a kill in the middle of a line leaves it
    (tmp_path / "rows.jsonl").write_text("".join(lines[:kept]) + lines[kept][: len(lines[kept]) // 2])
    monkeypatch.setattr(runner, "save_plot", lambda *arguments: None)  # seen in the other test
    run_study(task_of(name, photos), tiny_for(name), tmp_path)
    assert without_cost(rows_of(tmp_path)) == without_cost(rows_of(whole))
    if not STUDIES[name].timed:
        for file in ("report.json", "report.md", "rows.jsonl"):
            assert (tmp_path / file).read_text() == (whole / file).read_text()


@pytest.mark.parametrize("after", range(6))
def test_interrupted_after_any_row_nothing_is_lost_or_doubled(
    after: int,
    finished: Finished,
    photos: Path,
    tiny: LatentModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add, added = Rows.add, []

    def interrupted(self: Rows, row: dict[str, Any]) -> None:
        if len(added) == after:
            raise KeyboardInterrupt
        added.append(row["run"])
        add(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Rows, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_study(task_of("attribution", photos), tiny, tmp_path)
    assert len(rows_of(tmp_path)) == after
    monkeypatch.setattr(runner, "save_plot", lambda *arguments: None)
    drawn: list[str] = []
    monkeypatch.setattr(runner, "measure", lambda draw, *a, **k: drawn.append(draw.run.key) or measure(draw, *a, **k))
    measure = measuring.measure
    run_study(task_of("attribution", photos), tiny, tmp_path)
    assert len(drawn) == 6 - after  # nothing is computed twice
    whole = finished("attribution")
    for file in ("report.json", "report.md", "rows.jsonl"):
        assert (tmp_path / file).read_text() == (whole / file).read_text()


def test_the_scores_are_those_of_the_method(finished: Finished, photos: Path, tiny: LatentModel) -> None:
    """Every number of the attribution of one photo, computed here from the latents."""
    truth, make_low = load(find_photos(photos)[1], crop=64, seed=0)
    low = make_low("simple")
    base = Settings(particles=3, steps=2, bandwidth=20.0, seed=photo_seed(0, low))
    expected = {}
    for name, settings, steered in (
        ("plain", base, False),
        ("kds-0.3", replace(base, cutoff=0.3), True),
        ("kds-0", replace(base, cutoff=0.0), True),
    ):
        particles = sample(tiny, padded_condition(low, tiny), settings, steered=steered)
        images = decode(tiny, particles.latents, height=64, width=64)
        scores = [distortion(image, truth)["psnr_rgb"] for image in images]
        expected[name] = sum(scores) / 3
        flat = particles.latents.reshape(3, -1).double().numpy()
        nearest = int(np.argmin(np.linalg.norm(flat - flat.mean(0), axis=1)))
        expected[f"{name}-choice"] = scores[nearest]
        average = np.rint(images.astype(float).mean(0)).astype(np.uint8)
        expected[f"{name}-average"] = distortion(average, truth)["psnr_rgb"]
    lines = lines_of(finished("attribution"), "attribution", photos, tiny)
    plan = draws(list(lines.values()))
    rows = {(row["photo"], row["run"]): row for row in rows_of(finished("attribution"))}
    got = {
        key: rows["1.png", plan[line.run.key].run.key]["outcomes"]["3"][line.outcome]["psnr_rgb"]
        for key, line in lines.items()
    }
    assert got == {key: pytest.approx(value, abs=0.02) for key, value in expected.items()}
    # The lines differ: the test can tell them apart. With two trailing steps both cut-offs steer both.
    assert len({round(value, 6) for value in got.values()}) == 6


def test_bicubic_is_of_the_degraded_photo(finished: Finished, photos: Path) -> None:
    truth, make_low = load(find_photos(photos)[0], crop=64, seed=0)
    (row,) = (r for r in rows_of(finished("table1")) if r["run"].startswith("bicubic") and r["photo"] == "0.png")
    expected = distortion(bicubic(make_low("simple")), truth)
    assert row["outcomes"]["3"]["one"]["psnr_rgb"] == pytest.approx(expected["psnr_rgb"])


def test_all_lines_start_from_the_same_noise(
    photos: Path, tiny: LatentModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[torch.Tensor] = []
    conditions: list[torch.Tensor] = []

    def spy(
        model: Any, condition: torch.Tensor, settings: Settings, *, steered: bool, progress: Any, **others: Any
    ) -> Any:
        first: list[torch.Tensor] = []

        def watch(state: Any) -> None:
            first.append(state.x_t)
            progress(state)

        particles = sample(model, condition, settings, steered=steered, progress=watch, **others)
        starts.append(first[0].clone())
        conditions.append(condition)
        return particles

    monkeypatch.setattr(latent_restorer, "sample", spy)
    task = replace(task_of("fig6", photos), limit=1)
    run_study(task, tiny, tmp_path)
    assert [len(start) for start in starts] == [3, 2, 2, 3, 3]  # plain once, at the largest N; then N x h
    assert all(torch.equal(start, starts[0][: len(start)]) for start in starts)
    assert all(torch.equal(condition, conditions[0]) for condition in conditions)


def test_a_hole_is_scored_with_the_known_pixels_pasted(
    finished: Finished, photos: Path, tiny_for: Callable[[str], LatentModel]
) -> None:
    """Table 3 against the front door."""
    with Image.open(photos / "0.png") as image:
        truth = np.ascontiguousarray(np.asarray(image)[:, 4:68])
    hole = center_box(64, 64, 0.3)
    settings = Settings(particles=3, steps=2, bandwidth=20.0)
    rows = {row["run"]: row for row in rows_of(finished("table3")) if row["photo"] == "0.png"}
    for sampler, (steered, outcome) in itertools.product(("ddim", "dpmpp-2s"), ((True, "choice"), (False, "choice"))):
        strength = 0.3 if steered else 0.0
        how = replace(settings, sampler=sampler, strength=strength)
        expected = distortion(inpaint(truth, hole, model=tiny_for("table3"), settings=how).image, truth)
        (run,) = (key for key in rows if key.startswith("kds" if steered else "plain") and sampler in key)
        scores = rows[run]["outcomes"]["3"][outcome]
        assert {name: scores[name] for name in expected} == pytest.approx(expected, rel=1e-4)  # decoded alone or not


def test_without_strength_kds_is_the_plain_sampler(photos: Path, tiny: LatentModel, tmp_path: Path) -> None:
    task = replace(task_of("attribution", photos), settings=Settings(strength=0.0), limit=1)
    report = run_study(task, tiny, tmp_path)
    lines = {line["key"]: line["scores"] for line in report["lines"]}
    assert lines["kds-0.3"] == lines["kds-0"] == lines["plain"]
    assert lines["kds-0-average"] == lines["plain-average"]


def test_other_settings_other_photos_and_a_second_process_are_refused(
    finished: Finished, photos: Path, tiny: LatentModel, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    shutil.copytree(finished("table12"), folder)
    before = (folder / "rows.jsonl").read_text()
    task = task_of("table12", photos)
    for other, named in (
        (replace(task, settings=Settings(seed=1)), "settings.seed was 0 and is 1"),
        (replace(task, grid=replace(task.grid, kernel=("l2",))), "kernel was"),
        (replace(task, crop=None), "crop was 64"),
        (task_of("table1", photos), "study was 'table12'"),
    ):
        with pytest.raises(UserError, match=named):
            run_study(other, tiny, folder)
    moved = tmp_path / "photos"
    shutil.copytree(photos, moved)
    shutil.copy(moved / "0.png", moved / "1.png")
    with pytest.raises(UserError, match=r"another 1\.png"):
        run_study(replace(task, photos=find_photos(moved)), tiny, folder)
    with runner.locked(folder), pytest.raises(UserError, match="another process"):
        run_study(task, tiny, folder)
    assert (folder / "rows.jsonl").read_text() == before


def test_more_photos_can_be_added(finished: Finished, photos: Path, tiny: LatentModel, tmp_path: Path) -> None:
    task = task_of("attribution", photos)
    assert run_study(replace(task, limit=1), tiny, tmp_path)["photos"] == 1
    assert run_study(task, tiny, tmp_path)["photos"] == 2
    assert (tmp_path / "report.md").read_text() == (finished("attribution") / "report.md").read_text()


def test_photos_that_cannot_be_used_are_named_and_the_rest_is_done(
    photos: Path, tiny: LatentModel, tmp_path: Path
) -> None:
    mixed = tmp_path / "photos"
    shutil.copytree(photos, mixed)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (80, 80, 3), dtype=np.uint8)).save(mixed / "broken.png")
    (mixed / "broken.png").write_bytes((mixed / "broken.png").read_bytes()[:2000])
    (mixed / "empty.jpg").touch()
    Image.fromarray(rng.integers(0, 256, (40, 90, 3), dtype=np.uint8)).save(mixed / "small.png")
    Image.fromarray(rng.integers(0, 256, (70, 90), dtype=np.uint8)).save(mixed / "grey.png")
    Image.fromarray(rng.integers(0, 256, (70, 90, 4), dtype=np.uint8), "CMYK").save(mixed / "cmyk.jpg")
    Image.new("L", (9000, 9000)).save(mixed / "huge.png")  # 81 million pixels in a few kB
    (mixed / "notes.txt").write_text("not a photo")
    folder = tmp_path / "out"
    folder.mkdir()
    report = run_study(replace(task_of("fig4", photos), photos=find_photos(mixed)), tiny, folder)
    assert set(report["left_out"]) == {"broken.png", "empty.jpg", "huge.png", "small.png"}
    assert "9000 x 9000 pixels" in report["left_out"]["huge.png"]
    assert report["photos"] == 4
    assert "small.png: 90 x 40 pixels" in (folder / "report.md").read_text()
    with pytest.raises(UserError, match="none of 1 photos"):
        run_study(replace(task_of("fig4", photos), photos=find_photos(mixed)[2:3]), tiny, tmp_path)


def test_time_and_memory_are_those_of_what_a_line_needs(finished: Finished) -> None:
    folder = finished("table4")
    report = json.loads((folder / "report.json").read_text())
    lines = {line["key"]: line["scores"] for line in report["lines"]}
    of_three = [row["cost"] for row in rows_of(folder) if "N=3" in row["run"]]
    plain, kds = ([c for c in of_three if ("judge" in c["seconds"]) == judged] for judged in (True, False))
    assert len(plain) == len(kds) == 2
    needs = {"best-3": (plain, ("sample", "decode_all", "judge")), "kds-3": (kds, ("sample", "decode_one"))}
    for key, (costs, parts) in needs.items():
        seconds = [sum(cost["seconds"][part] for part in parts) for cost in costs]
        assert lines[key]["seconds"]["mean"] == pytest.approx(np.mean(seconds))
        if "memory_gb" in lines[key]:
            peaks = [max(cost["memory_gb"][part] for part in parts) for cost in costs]
            assert lines[key]["memory_gb"]["mean"] == pytest.approx(np.mean(peaks))
    assert all("decode_all" not in cost["seconds"] for cost in kds)  # only the chosen one is decoded
    assert lines["choice-3"]["seconds"]["mean"] < lines["best-3"]["seconds"]["mean"]


def test_an_early_choice_costs_less_and_is_the_particle_nearest_at_the_cutoff(
    finished: Finished, photos: Path, tiny: LatentModel
) -> None:
    report = json.loads((finished("front") / "report.json").read_text())
    lines = {line["key"]: line for line in report["lines"]}
    # S = 3, DDIM at t = 999, 666 and 332: three evaluations of three particles at or above 0.3, and none after it
    assert lines["plain-ddim-3-3-early"]["evaluations"] == 3 * 3
    assert lines["plain-ddim-3-3-choice"]["evaluations"] == 9
    assert lines["plain-ddim-3-1"]["evaluations"] == 3
    predicted = []
    _, make_low = load(find_photos(photos)[0], crop=64, seed=0)
    low = make_low("simple")
    settings = Settings(particles=3, steps=3, bandwidth=20.0, seed=photo_seed(0, low))
    sample(
        tiny,
        padded_condition(low, tiny),
        settings,
        progress=lambda state: predicted.append((state.t, state.x0_steered)),
    )
    at_cutoff = [x0 for t, x0 in predicted if t >= 300][-1].reshape(3, -1).double().numpy()
    nearest = int(np.argmin(np.linalg.norm(at_cutoff - at_cutoff.mean(0), axis=1)))
    (row,) = (
        r
        for r in rows_of(finished("front"))
        if r["run"].startswith("kds ddim S=3") and "cutoff=0.3" in r["run"] and r["photo"] == "0.png"
    )
    assert row["picked"]["3"]["early"] == nearest
    assert report["budgets"][0]["best"]["psnr_rgb"] in lines


def test_defaults_are_the_papers() -> None:
    assert Grid() == Grid(particles=(10,), steps=(50,), cutoff=(0.3,), patch_size=(1,), guidance=(1.0,))
    assert STUDIES["table4"].grid.particles == (5, 10)
    assert STUDIES["table5"].grid.patch_size == (1, 4, 16)
    assert STUDIES["table6"].grid.guidance == (1, 2, 4, 6)
    assert STUDIES["fig6"].grid.particles == (1, 5, 10, 15, 20)
    assert STUDIES["fig6"].grid.bandwidth == (0.1, 0.3, 0.6)
