"""The parts of the study, its journal, and the commands: files, going on after a stop, one line for what is wrong."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import toy.posterior.study
from toy.__main__ import main
from toy.posterior import bound, patches, plane
from toy.posterior.degradations import degradations
from toy.posterior.journal import Journal
from toy.posterior.lines import photo_lines, rivals, short_lines
from toy.posterior.methods import Method, Steering
from toy.posterior.prior import load_prior
from toy.posterior.report import summarise_line
from toy.posterior.study import StudySettings, list_tasks

SMALL = ["posterior", "--pictures", "4", "--ensembles", "10", "--quiet"]


@pytest.fixture(scope="module")
def measured() -> patches.Measured:
    photos = [np.random.default_rng(0).random((40, 40)) for _ in range(2)]
    return patches.measure_photos(load_prior(), photos, degradations()["average"], pictures=4, seed=1)


def test_the_posteriors_of_the_plane_are_what_their_names_say() -> None:
    found = plane.posteriors()
    modes = {name: (mixture.weights > 0.02).sum() for name, mixture in found.items()}
    assert (modes["one mode"], modes["two modes"], modes["ridge"]) == (1, 2, 1)
    values = np.linalg.eigvalsh(found["ridge"].covariance())
    assert values[1] > 20 * values[0]
    # the mean of the arc lies where the arc is not
    arc = found["arc"]
    assert arc.log_density(arc.mean()[None])[0] < arc.log_density(arc.sample(500, np.random.default_rng(0))).mean() - 1


def test_the_average_falls_between_modes_and_kds_does_not() -> None:
    case = plane.exact_cases()["two modes"]
    noise = plane.initial_noise(60, 10, seed=2)
    kds = Method(name="", steps=20, steering=Steering(cutoff=0.0))
    found = plane.measure_case(case, kds, noise)["answers"]
    assert found["average"]["log_density"]["mean"] < found["random"]["log_density"]["mean"] - 2
    plain = plane.measure_case(case, Method(name="", steps=20), noise)["answers"]
    assert found["random"]["log_density"]["mean"] > plain["random"]["log_density"]["mean"] + 0.1


def test_errors_are_against_the_truth_and_shares_of_what_the_model_believes() -> None:
    case = plane.spurious(0.3, 2.5)
    assert case.truth.n_components + 1 == case.believed.n_components
    noise = plane.initial_noise(200, 10, seed=3)
    found = plane.measure_case(case, Method(name="", steps=20), noise)["answers"]["random"]
    assert found["shares"][-1]["mean"] == pytest.approx(0.3, abs=0.03)
    least = np.trace(case.truth.covariance())
    expected = 1 + (least + 0.3 * 2.5**2) / least
    assert found["error_over_least"]["mean"] == pytest.approx(expected, rel=0.1)


def test_the_lines_have_names_of_their_own() -> None:
    for lines in (photo_lines(), short_lines(), bound.bound_lines(), list(plane.lines().values())):
        names = [method.name for method in lines]
        assert len(set(names)) == len(names)
        assert names[0] == "plain"
    assert {m.name for m in rivals()} < {m.name for m in short_lines()}


def test_a_line_has_one_value_for_each_picture(measured: patches.Measured) -> None:
    plain = patches.answer_line(measured, Method(name="plain", steps=5))
    assert set(plain["answers"]) == {"random", "chosen", "chosen_by_patch", "average", "halfway"}
    assert all(len(values) == 4 for scores in plain["answers"].values() for values in scores.values())
    exact = patches.answer_line(measured, None)
    mean = patches.exact_mean_line(measured)["answers"]["mean"]["expected_error"]
    for line in (plain, exact):
        for scores in line["answers"].values():
            assert (np.array(scores["expected_error"]) >= np.array(mean)).all()
    # exact samples: twice the least error
    assert np.mean(exact["answers"]["random"]["expected_error"]) == pytest.approx(2 * np.mean(mean), rel=0.05)
    summary = summarise_line(plain, plain, scale=0.25)
    assert summary["answers"]["random"]["psnr_gain_truth"] == pytest.approx({"mean": 0, "low": 0, "high": 0})
    assert summary["answers"]["average"]["psnr_gain_posterior"]["low"] > 0


def test_choosing_one_place_is_choosing_by_patch(measured: patches.Measured) -> None:
    method = Method(name="plain", steps=5)
    line = patches.answer_line(measured, method)["answers"]
    found = patches.choosing_line(measured, method)
    by_places = {row["places"]: row["chosen"] for row in found["rows"]}
    assert list(by_places) == [1, 4, 16]
    assert by_places[1] == pytest.approx(np.mean(line["chosen_by_patch"]["expected_error"]), rel=1e-4)
    assert by_places[16] == pytest.approx(np.mean(line["chosen"]["expected_error"]), rel=1e-4)
    parts = [row["part_of_the_way"]["mean"] for row in found["rows"]]
    assert parts == sorted(parts, reverse=True)


@pytest.mark.parametrize("method", [None, Method(name="", steps=5), Method(name="", steps=5, renoise=0.3)])
def test_no_answer_lies_below_the_bound(measured: patches.Measured, method: Method | None) -> None:
    from toy.posterior.theory import best_error

    posterior = measured.posterior.take(slice(0, 64, 32))
    least = float(posterior.total_variance().mean()) / 64
    for name, point in bound.mixture_line(posterior, method, seed=4, ensembles=20).items():
        assert point["error"] >= best_error(least, point["distance"]) * 0.98, name


def test_with_one_gaussian_exact_samples_lie_on_the_bound() -> None:
    from toy.posterior.conditioning import condition_many
    from toy.posterior.theory import best_error

    one = bound.single_gaussian(load_prior().mixture)
    y = np.random.default_rng(5).standard_normal((500, 4))
    average = degradations()["average"]
    posterior = condition_many(one, average.operator, y, noise_covariance=average.noise_covariance)
    exact = posterior.sample(10, np.random.default_rng(6))
    found = bound.gaussian_line(posterior, None, np.empty(0), exact)
    least = float(posterior.total_variance()[0]) / 64
    for gamma in bound.GAMMAS:
        point = found[f"random, {gamma:g} of the way from the exact mean"]
        assert point["error"] == pytest.approx(best_error(least, point["distance"]), rel=0.03)
    with pytest.raises(ValueError, match="posterior must have one component, got 30"):
        bound.gaussian_line(
            condition_many(load_prior().mixture, average.operator, y, noise_covariance=average.noise_covariance),
            None,
            np.empty(0),
            exact,
        )


def test_a_journal_goes_on_and_refuses_other_settings(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    journal = Journal(path, {"seed": 0})
    journal.add("a", {"x": 1.5})
    with path.open("a") as stream:
        stream.write('{"key": "b", "resul')  # the machine stopped here
    again = Journal(path, {"seed": 0})
    assert again.results == {"a": {"x": 1.5}}
    again.add("b", {"x": 2.0})
    assert Journal(path, {"seed": 0}).results == {"a": {"x": 1.5}, "b": {"x": 2.0}}
    with pytest.raises(ValueError, match=r"output must hold this study, got .* with other settings"):
        Journal(path, {"seed": 1})
    path.write_text("no json\n")
    with pytest.raises(ValueError, match=r"output must hold a journal in rows\.jsonl, got another file"):
        Journal(path, {"seed": 0})


def short_study(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Leave few tasks and steps; return the names of what is computed."""
    done: list[str] = []
    every = toy.posterior.study.list_tasks

    def few(settings: StudySettings, folder: Path | None) -> list[object]:
        return [task for task in every(settings, folder) if task.part == "plane, exact"]

    def measure(case: plane.Case, method: Method, noise: np.ndarray) -> dict[str, object]:
        done.append(f"{case.name}, {method.name}")
        return plane_measure(case, Method(name="", steps=2), noise)

    plane_measure = plane.measure_case
    monkeypatch.setattr("toy.posterior.study.list_tasks", few)
    monkeypatch.setattr("toy.posterior.plane.measure_case", measure)
    monkeypatch.setattr("toy.posterior.plane_figures.draw_plane", lambda found: Figure())
    monkeypatch.setattr("toy.posterior.figures.draw_rest", lambda results: {})
    return done


def test_a_stopped_study_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = short_study(monkeypatch)
    assert main([*SMALL, "--output", str(tmp_path)]) == 0
    assert len(done) == 4 * len(plane.lines())
    assert sorted(os.listdir(tmp_path)) == ["posterior.json", "posterior_plane.png", "posterior_rows.jsonl"]
    first = (tmp_path / "posterior.json").read_bytes()
    rows = (tmp_path / "posterior_rows.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "posterior_rows.jsonl").write_text("".join(rows[:3]))  # settings and two tasks
    done.clear()
    assert main([*SMALL, "--output", str(tmp_path)]) == 0
    assert len(done) == 2 * len(plane.lines())
    assert (tmp_path / "posterior.json").read_bytes() == first
    results = json.loads(first)
    assert results["command"] == "python -m toy posterior --pictures 4 --ensembles 10 --seed 0"
    assert "shown" not in first.decode()


def test_the_study_shows_progress(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short_study(monkeypatch)
    monkeypatch.setattr("toy.posterior.report.format_table", lambda results: "table")
    assert main([*SMALL[:-1], "--output", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "posterior_plane.png" in out.splitlines()[0]
    assert "100%" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["posterior", "--pictures", "2"], "--pictures must lie between 4 and 2000, got 2"),
        (["posterior", "--ensembles", "1"], "--ensembles must lie between 10 and 10000, got 1"),
        (["posterior", "--seed", "-1"], "--seed must lie between"),
        (["posterior", "--photos", "nowhere"], "--photos must be a folder, got 'nowhere'"),
        (["posterior", "--output="], "--output must be the name of a folder, got ''"),
        (["posterior", "--other"], "unrecognized arguments: --other"),
        (["prior", "--photos", "nowhere"], "--photos must be a folder"),
        (["prior", "--components", "0"], "--components must lie between 1 and 200, got 0"),
        (["prior", "--patches", "50"], "--patches must lie between 300"),
        (["others"], "invalid choice: 'others'"),
    ],
)
def test_what_is_wrong_is_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_another_folder_is_asked_for_where_the_settings_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short_study(monkeypatch)
    Journal(tmp_path / "posterior_rows.jsonl", {"seed": 7})
    assert main([*SMALL, "--output", str(tmp_path)]) == 2
    assert "--output" in (err := capsys.readouterr().err)
    assert "other settings" in err


def test_a_prior_is_fitted_by_the_command(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="comes with the extra toy")
    pytest.importorskip("skimage", reason="comes with the extra toy")
    assert main(["prior", "--patches", "60", "--components", "2", "--quiet", "--output", str(tmp_path)]) == 0
    from toy.posterior.prior import read_prior

    prior = read_prior((tmp_path / "patch_prior.npz").read_bytes())
    assert prior.mixture.n_components == 2
    assert prior.source["command"] == "python -m toy prior --patches 60 --components 2 --seed 0"


def test_the_tasks_are_those_of_the_issue_and_have_keys_of_their_own() -> None:
    tasks = list_tasks(StudySettings(), None)
    keys = [task.key for task in tasks]
    assert len(set(keys)) == len(keys)
    assert {task.part for task in tasks} == {
        "plane, exact", "plane, spurious", "plane, errors", "bound, Gaussian", "average", "hole", "noise", "choosing",
        "bound, mixture",
    }  # fmt: skip
