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
from scipy.stats import ttest_1samp

torch = pytest.importorskip("torch")
from real.api import inpaint, open_model  # noqa: E402
from real.bench import runner, unsampled, writing  # noqa: E402
from real.bench.loading import load  # noqa: E402
from real.bench.photo_sets import find_photos  # noqa: E402
from real.bench.plan import Grid, Line, fill_grid, wanted_by  # noqa: E402
from real.bench.request import StudyRequest, lines_of  # noqa: E402
from real.bench.runner import run_study  # noqa: E402
from real.bench.store import EnsembleStore  # noqa: E402
from real.bench.studies import STUDIES  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.images.colour import fix_colours  # noqa: E402
from real.images.masks import center_box  # noqa: E402
from real.images.seeds import photo_seed  # noqa: E402
from real.metrics import score  # noqa: E402
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
    "attribution": {"seed": [0, 3], "steps": [4]},  # t = 999, 749, 499 and 249: one below the cut-off
    "front": {"budget": [10]},
    "fig6": {"particles": [1, 2, 3], "bandwidth": [1.0, 30.0]},
    "fig7": {"bandwidth": [1.0, 30.0]},
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


def request_of(name: str, photos: Path, **changes: list[Any]) -> StudyRequest:
    study = STUDIES[name]
    small = {"steps": [2], "bandwidth": [30.0], "particles": [3]} | SMALL.get(name, {}) | changes
    grid = fill_grid(study, small)
    return StudyRequest(name, study, grid, Settings(), find_photos(photos), crop=64, command=f"bench {name}")


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
            run_study(request_of(name, photos), tiny_for(name), done[name])
        return done[name]

    return folder


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]


def lines_of_study(name: str, photos: Path, model: LatentModel) -> tuple[dict[str, Line], tuple[int, ...]]:
    """Lines by key, and seeds."""
    request = request_of(name, photos).for_model(model)
    return {line.key: line for line in lines_of(request, model)}, request.grid.seed


def scores_of(rows: list[dict[str, Any]], photo: str, line: Line, seed: int = 0) -> dict[str, float]:
    """Of a line on a photo."""
    (found,) = (
        row["scores"][str(line.particles)][line.ending]
        for row in rows
        if (row["photo"], row["ensemble"]) == (photo, line.with_seed(seed).ensemble.key)
    )
    return dict(found)


def without_cost(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "cost"} for row in rows]


@pytest.mark.parametrize("name", list(STUDIES))
def test_the_report_is_what_the_rows_say(
    name: str, finished: Finished, photos: Path, tiny_for: Callable[[str], LatentModel]
) -> None:
    folder = finished(name)
    rows, report = rows_of(folder), json.loads((folder / "report.json").read_text())
    lines, seeds = lines_of_study(name, photos, tiny_for(name))
    ensembles = wanted_by(line.with_seed(seed) for line in lines.values() for seed in seeds)
    expected = itertools.product(["0.png", "1.png"], ensembles)
    assert sorted((row["photo"], row["run"]) for row in rows) == sorted(expected)
    assert [line["key"] for line in report["lines"]] == list(lines)
    values = {}
    for line in report["lines"]:
        own = lines[line["key"]]
        by_seed = [[scores_of(rows, photo, own, seed) for seed in seeds] for photo in ("0.png", "1.png")]
        values[line["key"]] = {m: np.array([[s[m] for s in row] for row in by_seed]).mean(1) for m in by_seed[0][0]}
        for metric, numbers in values[line["key"]].items():
            assert line["scores"][metric]["mean"] == pytest.approx(numbers.mean(), abs=1e-9)
            change = numbers - values[report["lines"][0]["key"]][metric]
            check_interval(line["scores"][metric], numbers)
            check_interval(line["change"][metric], change)
    for pair in report["pairs"]:
        for metric in values[pair["a"]]:
            difference = values[pair["a"]][metric] - values[pair["b"]][metric]
            check_interval(pair["scores"][metric], difference)
            assert pair["scores"][metric]["positive"] == sum(d > 0 for d in difference)
            if np.ptp(difference) > 1e-9:
                assert pair["scores"][metric]["p"] == pytest.approx(ttest_1samp(difference, 0.0).pvalue)
            if len(seeds) > 1:
                found = pair["scores"][metric]["by_seed"]
                assert np.mean([found[str(seed)] for seed in seeds]) == pytest.approx(difference.mean(), abs=1e-9)
    text = (folder / "report.md").read_text()
    assert all(line["label"] in text for line in report["lines"])
    assert all(pair["what"] in text for pair in report["pairs"])
    with Image.open(folder / f"{name}.png") as plot:
        assert min(plot.size) > 200
        assert len(np.unique(np.asarray(plot.convert("L")))) > 20


def check_interval(number: dict[str, float], values: np.ndarray) -> None:
    assert number["mean"] == pytest.approx(values.mean(), abs=1e-9)
    if np.ptp(values) > 1e-9:  # scipy has no interval of equal values
        known = ttest_1samp(values, 0.0).confidence_interval(0.95)
        assert (number["low"], number["high"]) == (pytest.approx(known.low), pytest.approx(known.high))


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
    if STUDIES[name].pictures:
        shutil.copytree(whole / "images", tmp_path / "images")
    # as a kill in the middle of a line leaves it
    (tmp_path / "rows.jsonl").write_text("".join(lines[:kept]) + lines[kept][: len(lines[kept]) // 2])
    monkeypatch.setattr(writing, "save_plot", lambda *arguments: None)  # seen in the other test
    run_study(request_of(name, photos), tiny_for(name), tmp_path)
    assert without_cost(rows_of(tmp_path)) == without_cost(rows_of(whole))
    if not STUDIES[name].timed:
        for file in ("report.json", "report.md", "rows.jsonl"):
            assert (tmp_path / file).read_text() == (whole / file).read_text()


@pytest.mark.parametrize("after", range(4))
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
            run_study(request_of("fig4", photos), tiny, tmp_path)
    assert len(rows_of(tmp_path)) == after
    monkeypatch.setattr(writing, "save_plot", lambda *arguments: None)
    drawn: list[str] = []
    measure = runner.measure
    monkeypatch.setattr(runner, "measure", lambda plan, *a, **k: drawn.append(plan.key) or measure(plan, *a, **k))
    run_study(request_of("fig4", photos), tiny, tmp_path)
    assert len(drawn) == 4 - after  # nothing is computed twice
    whole = finished("fig4")
    for file in ("report.json", "report.md", "rows.jsonl"):
        assert (tmp_path / file).read_text() == (whole / file).read_text()


def test_a_study_that_asks_for_more_of_an_ensemble_draws_that_alone(
    finished: Finished, photos: Path, tiny: LatentModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Table 1 and Figure 4 look at the same two ensembles: in one folder the second study adds endings."""
    shutil.copytree(finished("table1"), tmp_path / "both")
    before = rows_of(tmp_path / "both")
    report = run_study(request_of("fig4", photos), tiny, tmp_path / "both")
    rows = rows_of(tmp_path / "both")
    assert rows[: len(before)] == before
    asked = [(row["run"], row["scores"]["3"].keys()) for row in rows[len(before) :] if row["photo"] == "0.png"]
    assert [(run.split()[0], run.endswith("(2)"), list(endings)) for run, endings in asked] == [
        ("plain", True, ["worst"]),
        ("kds", True, ["worst"]),
    ]
    alone = json.loads((finished("fig4") / "report.json").read_text())
    for one, other in zip(report["lines"], alone["lines"], strict=True):
        known = {metric: score["mean"] for metric, score in other["scores"].items()}
        assert {metric: score["mean"] for metric, score in one["scores"].items()} == pytest.approx(known, rel=1e-4)


def test_an_extra_that_comes_later_adds_its_line_alone(
    finished: Finished, photos: Path, tiny: LatentModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of a machine without Real-ESRGAN takes its rows when it is there: the store's identity is the same."""
    monkeypatch.setattr(unsampled, "installed", lambda name: name != "real-esrgan")
    request = request_of("attribution", photos)
    folder = shutil.copytree(finished("attribution"), tmp_path / "later")
    before = [row for row in rows_of(folder) if not row["ensemble"].startswith("real-esrgan")]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in before))
    monkeypatch.setattr(writing, "save_plot", lambda *arguments: None)  # seen in the other test
    report = run_study(request, tiny, folder)
    assert "real-esrgan" not in {line["key"] for line in report["lines"]}
    assert rows_of(folder) == before

    monkeypatch.setattr(unsampled, "installed", lambda name: True)
    monkeypatch.setattr(unsampled, "_upscaler", lambda name: lambda low: low.repeat(4, 0).repeat(4, 1))
    report = run_study(request, tiny, folder)
    added = rows_of(folder)[len(before) :]
    assert rows_of(folder)[: len(before)] == before
    assert [row["ensemble"].split()[0] for row in added] == ["real-esrgan"] * 4  # two photos, two seeds
    (pair,) = (pair for pair in report["pairs"] if pair["b"] == "real-esrgan")
    assert pair["a"] == "kds-0.3-choice"
    (line,) = (line for line in report["lines"] if line["key"] == "real-esrgan")
    assert line["evaluations"] == 0
    loaded = [load(photo, crop=64, seed=0) for photo in find_photos(photos)]
    expected = [distortion(one.low("simple").repeat(4, 0).repeat(4, 1), one.truth) for one in loaded]
    found = [row["scores"]["3"]["one"] for row in added if row["run"].endswith("seed=0")]
    assert [one["psnr_rgb"] for one in found] == pytest.approx([one["psnr_rgb"] for one in expected], abs=1e-6)


def test_the_scores_are_those_of_the_method(finished: Finished, photos: Path, tiny: LatentModel) -> None:
    """The numbers of the attribution of one photo and one seed, computed here from the latents."""
    loaded = load(find_photos(photos)[1], crop=64, seed=3)
    truth, low = loaded.truth, loaded.low("simple")
    base = Settings(particles=3, steps=4, bandwidth=30.0, seed=photo_seed(3, low))
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
        for fix in ("wavelet", "adain"):
            fixed = fix_colours(images[nearest], low, fix)
            expected[f"{name}-choice-{fix}"] = distortion(fixed, truth)["psnr_rgb"]
        average = images.astype(float).mean(0)
        expected[f"{name}-average"] = distortion(np.rint(average).astype(np.uint8), truth)["psnr_rgb"]
        if name == "plain":
            between = np.rint((average + images[nearest]) / 2).astype(np.uint8)
            expected["plain-halfway-pixels"] = distortion(between, truth)["psnr_rgb"]
            middle = (particles.latents.mean(0) + particles.latents[nearest]) / 2
            halfway = decode(tiny, middle[None], height=64, width=64)[0]
            expected["plain-halfway"] = distortion(halfway, truth)["psnr_rgb"]
            expected["plain-by-patch"] = distortion(by_patch(tiny, particles.latents), truth)["psnr_rgb"]
    lines, _ = lines_of_study("attribution", photos, tiny)
    whats = [pair.what for pair in STUDIES["attribution"].pairs(list(lines.values()))]
    assert len(set(whats)) == len(whats)  # each says what it compares
    rows = rows_of(finished("attribution"))
    got = {key: scores_of(rows, "1.png", lines[key], 3)["psnr_rgb"] for key in expected}
    assert got == {key: pytest.approx(value, abs=0.02) for key, value in expected.items()}
    assert len({round(value, 4) for value in got.values()}) > 15  # the lines differ: the test can tell them apart


def by_patch(model: LatentModel, latents: torch.Tensor) -> np.ndarray:
    """The particle nearest to the mean, at every latent pixel, by loops."""
    values, mean = latents.numpy(), latents.numpy().mean(0)
    chosen = np.empty_like(mean)
    for y, x in np.ndindex(mean.shape[1:]):
        nearest = min(range(len(values)), key=lambda i, y=y, x=x: ((values[i, :, y, x] - mean[:, y, x]) ** 2).sum())
        chosen[:, y, x] = values[nearest, :, y, x]
    return decode(model, torch.from_numpy(chosen)[None], height=64, width=64)[0]


def test_bicubic_is_of_the_degraded_photo(finished: Finished, photos: Path) -> None:
    loaded = load(find_photos(photos)[0], crop=64, seed=0)
    (row,) = (r for r in rows_of(finished("table1")) if r["run"].startswith("bicubic") and r["photo"] == "0.png")
    expected = distortion(bicubic(loaded.low("simple")), loaded.truth)
    assert row["scores"]["3"]["one"]["psnr_rgb"] == pytest.approx(expected["psnr_rgb"], abs=1e-6)


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
    run_study(replace(request_of("fig6", photos), limit=1), tiny, tmp_path)
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
    settings = Settings(particles=3, steps=2, bandwidth=30.0)
    rows = {row["run"]: row for row in rows_of(finished("table3")) if row["photo"] == "0.png"}
    for sampler, (steered, outcome) in itertools.product(("ddim", "dpmpp-2s"), ((True, "choice"), (False, "choice"))):
        strength = 0.3 if steered else 0.0
        how = replace(settings, sampler=sampler, strength=strength)
        expected = distortion(inpaint(truth, hole, model=tiny_for("table3"), settings=how).image, truth)
        (run,) = (key for key in rows if key.startswith("kds" if steered else "plain") and sampler in key)
        scores = rows[run]["scores"]["3"][outcome]
        assert {name: scores[name] for name in expected} == pytest.approx(expected, rel=1e-4)  # decoded alone or not


def test_without_strength_kds_is_the_plain_sampler(photos: Path, tiny: LatentModel, tmp_path: Path) -> None:
    request = replace(request_of("attribution", photos, seed=[0]), settings=Settings(strength=0.0), limit=1)
    report = run_study(request, tiny, tmp_path)
    lines = {line["key"]: line["scores"] for line in report["lines"]}
    assert lines["kds-0.3"] == lines["kds-0"] == lines["plain"]
    assert lines["kds-0-average"] == lines["plain-average"]
    assert lines["kds-renoise"] == lines["renoise"]


def test_other_crops_other_photos_and_a_second_process_are_refused(
    finished: Finished, photos: Path, tiny: LatentModel, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    shutil.copytree(finished("table12"), folder)
    before = (folder / "rows.jsonl").read_text()
    request = request_of("table12", photos)
    for other, named in (
        (replace(request, crop=None), "crop was 64"),
        (replace(request, metrics=("lpips-hed",)), "metrics was"),
    ):
        with pytest.raises(UserError, match=named):
            run_study(other, tiny, folder)
    moved = tmp_path / "photos"
    shutil.copytree(photos, moved)
    shutil.copy(moved / "0.png", moved / "1.png")
    with pytest.raises(UserError, match=r"another 1\.png"):
        run_study(replace(request, photos=find_photos(moved)), tiny, folder)
    with runner.locked(folder), pytest.raises(UserError, match="must be a folder that no other process writes to"):
        run_study(request, tiny, folder)
    assert (folder / "rows.jsonl").read_text() == before


def test_other_settings_are_other_rows_of_the_store(
    finished: Finished, photos: Path, tiny: LatentModel, tmp_path: Path
) -> None:
    shutil.copytree(finished("table1"), tmp_path / "out")
    first = json.loads((tmp_path / "out" / "report.json").read_text())
    other = run_study(request_of("table1", photos, seed=[5]), tiny, tmp_path / "out")
    assert other["lines"][0]["scores"] != first["lines"][0]["scores"]
    assert run_study(request_of("table1", photos), tiny, tmp_path / "out")["lines"] == first["lines"]
    assert len(rows_of(tmp_path / "out")) == 2 * 2 * 4  # photos, seeds; plain, KDS, bicubic, the regression network


def test_more_photos_can_be_added(finished: Finished, photos: Path, tiny: LatentModel, tmp_path: Path) -> None:
    request = request_of("fig4", photos)
    assert run_study(replace(request, limit=1), tiny, tmp_path)["photos"] == 1
    assert run_study(request, tiny, tmp_path)["photos"] == 2
    assert (tmp_path / "report.md").read_text() == (finished("fig4") / "report.md").read_text()


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
    report = run_study(replace(request_of("fig4", photos), photos=find_photos(mixed)), tiny, folder)
    assert set(report["left_out"]) == {"broken.png", "empty.jpg", "huge.png", "small.png"}
    assert "9000 x 9000" in report["left_out"]["huge.png"]
    assert report["photos"] == 4
    assert "small.png: 90 x 40 pixels" in (folder / "report.md").read_text()
    with pytest.raises(UserError, match="none of 1 photos"):
        run_study(replace(request_of("fig4", photos), photos=find_photos(mixed)[2:3]), tiny, tmp_path)


def test_time_and_memory_are_those_of_what_a_line_needs(
    photos: Path, tiny: LatentModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "PublishedMetric", lambda name, device: lambda image, truth: float(image.mean()))
    run_study(replace(request_of("table4", photos), metrics=("liqe",)), tiny, folder := tmp_path)
    report = json.loads((folder / "report.json").read_text())
    lines = {line["key"]: line["scores"] for line in report["lines"]}
    of_three = [row["cost"] for row in rows_of(folder) if "N=3" in row["run"]]
    plain, kds = ([c for c in of_three if ("judge-liqe" in c["seconds"]) == judged] for judged in (True, False))
    assert len(plain) == len(kds) == 2
    needs = {"best-3-liqe": (plain, ("sample", "decode_all", "judge-liqe")), "kds-3": (kds, ("sample", "decode_one"))}
    for key, (costs, parts) in needs.items():
        seconds = [sum(cost["seconds"][part] for part in parts) for cost in costs]
        assert lines[key]["seconds"]["mean"] == pytest.approx(np.mean(seconds))
        if "memory_gb" in lines[key]:
            peaks = [max(cost["memory_gb"][part] for part in parts) for cost in costs]
            assert lines[key]["memory_gb"]["mean"] == pytest.approx(np.mean(peaks))
    assert all("decode_all" not in cost["seconds"] for cost in kds)  # only the chosen one is decoded
    assert report["threads"] == torch.get_num_threads()
    assert f"time was measured: {torch.get_num_threads()}." in (folder / "report.md").read_text()
    assert lines["choice-3"]["seconds"]["mean"] < lines["best-3-liqe"]["seconds"]["mean"]


def test_an_early_choice_is_the_particle_nearest_at_the_cutoff(
    finished: Finished, photos: Path, tiny: LatentModel
) -> None:
    predicted = []
    low = load(find_photos(photos)[0], crop=64, seed=0).low("simple")
    settings = Settings(particles=3, steps=4, bandwidth=30.0, seed=photo_seed(0, low))
    sample(
        tiny,
        padded_condition(low, tiny),
        settings,
        progress=lambda state: predicted.append((state.t, state.x0_steered)),
    )
    at_cutoff = [x0 for t, x0 in predicted if t >= 300][-1].reshape(3, -1).double().numpy()
    nearest = int(np.argmin(np.linalg.norm(at_cutoff - at_cutoff.mean(0), axis=1)))
    lines, _ = lines_of_study("attribution", photos, tiny)
    early = lines["kds-early"].ensemble.key
    (row,) = (r for r in rows_of(finished("attribution")) if (r["photo"], r["run"]) == ("0.png", early))
    assert row["picked"]["3"]["early"] == nearest
    whole = dict.fromkeys(("random", "choice", "choice-wavelet", "choice-adain", "average"), 12)
    assert row["evaluations"]["3"] == whole | {"early": 3 * 3 + 1}


def test_the_budgets_of_the_front_are_kept(finished: Finished) -> None:
    report = json.loads((finished("front") / "report.json").read_text())
    costs = {line["key"]: line["evaluations"] for line in report["lines"]}
    assert all(cost <= 10 for cost in costs.values())
    assert costs["DDIM-10"] == costs["KDS-10"] == costs["average-10"] == costs["HDS-10"] == 10
    assert costs["early-10"] == costs["renoise-10"] == 2 * 4 + 1  # S = 5: t = 801, 601, 401 and 201, 1 and rounding
    assert "fixed-noise-10" not in costs  # there is nothing to pick it on
    (budget,) = report["budgets"]
    assert budget["evaluations"] == 10
    assert set(budget["best"].values()) <= costs.keys()
    assert costs["bicubic"] == costs["lanczos"] == costs["regression"] == 0
    assert all(costs[key] > 0 for key in budget["best"].values())  # an untrained model is worse than interpolation


def test_defaults_are_the_papers() -> None:
    assert Grid() == Grid(particles=(10,), steps=(50,), cutoff=(0.3,), patch_size=(1,), guidance=(1.0,))
    assert STUDIES["table4"].grid.particles == (5, 10)
    assert STUDIES["table5"].grid.patch_size == (1, 4, 16)
    assert STUDIES["table6"].grid.guidance == (1, 2, 4, 6)
    assert STUDIES["fig6"].grid.particles == (1, 5, 10, 15, 20)
    assert STUDIES["fig6"].grid.bandwidth == ("model/3", "model", "model*2")


def test_what_a_kill_leaves_of_the_features_is_dropped(tmp_path: Path) -> None:
    """Features are on the disk before the row that says so; half a line of them has no row."""
    content = {"scores": {"1": {"one": {"psnr_rgb": 1.0}}}, "evaluations": {"1": {"one": 2}}, "picked": {}}
    store = EnsembleStore(tmp_path, {})
    store.add("0.png", "digest", "a", content, {"fid": {"truth": "x", "outcomes": {}}})
    with (tmp_path / "features.jsonl").open("a") as file:
        file.write('{"of": "b0.png", "fea')
    again = EnsembleStore(tmp_path, {})
    again.add("0.png", "digest", "b", content, {"fid": {"truth": "y", "outcomes": {}}})
    known = EnsembleStore(tmp_path, {})._found
    assert [known["0.png", key, "1", "one"]["features"]["fid"]["truth"] for key in ("a", "b")] == ["x", "y"]
