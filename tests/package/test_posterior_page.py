"""The page "When does KDS help?" states the committed results, and what it says of them is so."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "posterior"
RENDER = runpy.run_path(str(FOLDER / "render.py"))
RESULTS = RENDER["load"]()
KDS = ("KDS h=0.1 to 0.3", "KDS h=0.3 to 0.3", "KDS h=1 to 0.3", "KDS h=3 to 0.3", "KDS h=0.1 to 0", "KDS h=0.3 to 0",
       "KDS h=1 to 0", "KDS h=3 to 0", "KDS h=3 to 0, patch 8")  # fmt: skip


def answer(line: str, name: str, part: str = "average") -> dict[str, Any]:
    found: dict[str, Any] = RESULTS[part][line]["answers"][name]
    return found


def gain(line: str, name: str, end: str = "mean", part: str = "average") -> float:
    return float(answer(line, name, part)["psnr_gain_truth"][end])


def density(line: str, name: str, part: str = "average") -> float:
    return float(answer(line, name, part)["log_density"]["mean"])


def plane(part: str, case: str, line: str, score: str, name: str = "random") -> float:
    return float(RESULTS[part][case][line]["answers"][name][score]["mean"])


def share(case: str, line: str, name: str = "random") -> float:
    return float(RESULTS["plane, spurious"][case][line]["answers"][name]["shares"][-1]["mean"])


def test_the_page_is_that_of_the_results() -> None:
    assert RENDER["page"](RESULTS) == (FOLDER / "index.md").read_text(encoding="utf-8")


def test_the_results_say_how_they_were_made() -> None:
    settings = RESULTS["settings"]
    assert RESULTS["command"] == (
        f"python -m toy posterior --photos {settings['photos']} --pictures {settings['pictures']} "
        f"--ensembles {settings['ensembles']} --seed {settings['seed']}"
    )
    assert {"numpy", "scipy", "kds-ref"} < set(RESULTS["versions"])


def test_every_task_of_the_study_is_in_the_results() -> None:
    study = pytest.importorskip("toy.posterior.study", exc_type=ImportError)
    tasks = study.list_tasks(study.StudySettings(), None)
    assert [(t.part, t.name) for t in tasks if t.name not in RESULTS[t.part]] == []


def test_the_figures_are_drawn_from_the_results() -> None:
    figures = pytest.importorskip("toy.posterior.figures", exc_type=ImportError)
    drawn = figures.draw_rest(RESULTS)
    for name, figure in drawn.items():
        assert (FOLDER / name).stat().st_size > 10_000
        assert all(ax.get_title() or ax.get_ylabel() for ax in figure.axes)
    assert (FOLDER / "posterior_plane.png").stat().st_size > 10_000
    front = drawn["posterior_bound.png"].axes[0]
    shown = {tuple(point) for dots in front.collections for point in dots.get_offsets().tolist()}
    point = RESULTS["bound, Gaussian"]["KDS h=0.3 to 0"]["random"]
    assert (point["distance"], point["error"]) in shown


def test_steering_at_the_papers_setting_gives_less_than_choosing_and_averaging() -> None:
    assert gain("KDS h=0.3 to 0.3", "random", "low") > 0
    assert gain("KDS h=0.3 to 0.3", "random", "high") < gain("plain", "chosen")
    assert gain("plain", "chosen") < gain("plain", "chosen_by_patch") < gain("plain", "average")
    assert 0.2 < gain("KDS h=0.3 to 0.3", "random") < 0.45
    # several times, and half of that for whole pictures
    assert gain("plain", "chosen_by_patch") > 4 * gain("KDS h=0.3 to 0.3", "random")
    assert 0.35 < gain("plain", "chosen") / gain("plain", "chosen_by_patch") < 0.65


def test_steering_to_the_end_does_most_of_what_averaging_does() -> None:
    assert gain("KDS h=1 to 0", "random") > 0.8 * gain("plain", "average")
    for line in KDS:
        assert gain(line, "random", "low") > 0
        # the average as good as any steered particle
        assert gain("plain", "average") > gain(line, "random")
        assert density(line, "random") > density("plain", "random")
    assert density("KDS h=1 to 0", "random") > density("plain", "chosen")
    assert 0 < gain("KDS h=1 to 0", "chosen_by_patch") - gain("plain", "average") < 0.3


def test_one_particle_of_hds_is_better_than_one_of_kds_in_error_and_density() -> None:
    for line in KDS:
        assert gain("HDS below 0.3", "random") > gain(line, "random")
        assert density("HDS below 0.3", "random") > density(line, "random")
    for part in ("hole", "noise"):
        for line in ("KDS h=0.3 to 0.3", "KDS h=0.3 to 0", "KDS h=1 to 0"):
            assert density("HDS below 0.3", "random", part) > density(line, "random", part)
            assert gain("HDS below 0.3", "random", part=part) > gain(line, "random", part=part)
    ensembles = {name: line["ensemble"] for name, line in RESULTS["average"].items() if line.get("ensemble")}
    assert ensembles["HDS below 0.3"]["spread"]["mean"] < 0.3
    energy = {name: scores["energy_distance"]["mean"] for name, scores in ensembles.items()}
    assert max(energy, key=energy.__getitem__) == "HDS below 0.3"


def test_nothing_beats_the_exact_mean() -> None:
    for part in ("average", "hole", "noise"):
        least = answer("exact mean", "mean", part)["expected_error"]["mean"]
        for line in RESULTS[part].values():
            assert all(one["expected_error"]["mean"] >= least for one in line["answers"].values())


def test_exact_samples_are_calibrated_and_steered_ensembles_are_not() -> None:
    found = RESULTS["average"]["exact samples"]["ensemble"]
    assert found["spread"]["mean"] == pytest.approx(1.0, abs=0.05)
    assert abs(found["energy_distance"]["mean"]) < 0.002
    ensembles = {line: RESULTS["average"][line]["ensemble"] for line in ("plain", *KDS)}
    assert ensembles["plain"]["spread"]["mean"] < 1
    assert ensembles["KDS h=1 to 0"]["spread"]["mean"] < 0.4 < ensembles["KDS h=0.3 to 0.3"]["spread"]["mean"]


def test_few_steps_have_less_error_and_less_spread() -> None:
    steps = [f"plain, {n} steps" for n in (5, 10, 25)] + ["plain", "plain, 100 steps", "plain, 250 steps"]
    values = [answer(line, "random")["expected_error"]["mean"] for line in steps]
    assert values == sorted(values)
    spread = [RESULTS["average"][line]["ensemble"]["spread"]["mean"] for line in steps]
    assert spread == sorted(spread)
    exact = answer("exact samples", "random")["expected_error"]["mean"]
    assert values[-1] < exact


def test_long_patches_at_the_same_bandwidth_steer_less() -> None:
    values = [gain(f"KDS h=0.3 to 0{patch}", "random") for patch in ("", ", patch 2", ", patch 4", ", patch 8")]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.1 * values[0]
    assert gain("KDS h=3 to 0, patch 8", "random") == pytest.approx(gain("KDS h=1 to 0", "random"), abs=0.1)


def test_choosing_weakens_with_the_number_of_places() -> None:
    for line in ("plain", "KDS h=0.3 to 0.3"):
        rows = RESULTS["choosing"][line]["rows"]
        parts = [row["part_of_the_way"]["mean"] for row in rows]
        assert [row["places"] for row in rows][:4] == [1, 4, 16, 64]
        assert parts == sorted(parts, reverse=True)
        assert parts[0] > 0.7
        assert parts[3] < 0.6 * parts[0]


def test_halfway_from_the_chosen_patch_to_the_average_is_good_in_both() -> None:
    row = RESULTS["choosing"]["plain"]["rows"][0]
    assert row["halfway"] < row["chosen"]
    assert row["halfway"] < 1.01 * RESULTS["choosing"]["plain"]["average"]
    assert row["log_density"]["halfway"] > density("plain", "average") + 10
    assert row["log_density"]["halfway"] > row["log_density"]["chosen"] - 3


def test_what_the_page_says_of_the_plane() -> None:
    exact = "plane, exact"
    for case in ("one mode", "ridge"):
        for score, best in (("error_over_least", min), ("log_density", max)):
            values = {a: plane(exact, case, "plain", score, a) for a in ("random", "chosen", "average")}
            assert best(values, key=values.__getitem__) == "average"
    for case in ("two modes", "arc"):
        values = {a: plane(exact, case, "plain", "log_density", a) for a in ("random", "chosen", "average")}
        assert values["average"] < values["random"] - 1.5
        assert plane(exact, case, "h=0.3 to 0", "log_density") > plane(exact, case, "plain", "log_density") + 0.1
        assert plane(exact, case, "h=3 to 0", "log_density") < plane(exact, case, "plain", "log_density") - 0.3
        assert plane(exact, case, "h=3 to 0", "error_over_least") < 1.5


def test_what_the_page_says_of_spurious_modes() -> None:
    for weight in (0.05, 0.1, 0.2, 0.3, 0.4):
        case = f"weight {weight:g}"
        for line in ("h=0.3 to 0.3", "h=0.3 to 0"):
            assert 0.85 * share(case, "plain") < share(case, line) < share(case, "plain")
        assert share(case, "h=3 to 0") < share(case, "h=1 to 0") < share(case, "plain")
    assert share("weight 0.1", "plain", "chosen") < 0.02
    assert share("weight 0.2", "plain", "chosen") < 0.05
    assert share("weight 0.4", "plain", "chosen") > 0.2
    left = [share(f"weight {w:g}", "h=3 to 0") / share(f"weight {w:g}", "plain") for w in (0.05, 0.1, 0.2, 0.3, 0.4)]
    assert left == sorted(left)
    assert left[0] < 0.1 < 0.7 < left[-1]


def test_a_renoised_mean_is_worth_the_more_the_later() -> None:
    values = [gain(f"renoised mean at {cutoff}", "random") for cutoff in (0.6, 0.3, 0.1)]
    assert values == sorted(values)
    assert values[0] < 0.3
    assert values[2] == pytest.approx(gain("KDS h=1 to 0", "random"), abs=0.15)


def test_what_the_page_says_of_other_errors() -> None:
    part = "plane, errors"
    for line in ("plain", "h=0.3 to 0", "h=3 to 0"):
        assert RESULTS[part]["missing mode"][line]["answers"]["random"]["shares"][0]["mean"] > 0.99
        assert plane(part, "biased", line, "error_over_least", "average") > 1.6
    flat = [plane(part, "too flat", line, "log_density") for line in ("plain", "h=0.3 to 0", "h=1 to 0")]
    assert flat == sorted(flat)
    sharp = plane(part, "too sharp", "plain", "log_density")
    assert sharp > plane("plane, exact", "two modes", "h=0.3 to 0", "log_density")


def test_kds_to_the_end_lies_next_to_the_bound_and_choosing_does_not() -> None:
    theory = pytest.importorskip("toy.posterior.theory", exc_type=ImportError)
    lines = RESULTS["bound, Gaussian"]
    least = lines["exact samples"]["random, 0 of the way from the exact mean"]["error"]

    def excess(line: str, name: str) -> float:
        point = lines[line][name]
        return float(point["error"] / theory.best_error(least, point["distance"]))

    for line in ("KDS h=0.3 to 0", "KDS h=1 to 0", "KDS h=3 to 0, patch 8"):
        assert 0.99 < excess(line, "random") < 1.04
    assert 1.015 < excess("plain", "chosen") < 1.035
    assert 1.015 < excess("renoised mean at 0.3", "random") < 1.035
    for part in ("bound, Gaussian", "bound, mixture"):
        bottom = RESULTS[part]["exact samples"]["random, 0 of the way from the exact mean"]["error"]
        for points in RESULTS[part].values():
            for point in points.values():
                assert point["error"] > 0.98 * theory.best_error(bottom, point["distance"])


def test_halfway_is_as_good_as_the_average_in_error_and_as_the_chosen_particle_in_density() -> None:
    plain = RESULTS["choosing"]["plain"]
    patch = plain["rows"][0]
    assert patch["halfway"] == pytest.approx(plain["average"], rel=0.02)
    assert patch["halfway"] < 0.95 * patch["chosen"]
    density = patch["log_density"]
    assert density["halfway"] == pytest.approx(density["chosen"], abs=3)
    assert density["halfway"] > RESULTS["average"]["plain"]["answers"]["average"]["log_density"]["mean"] + 10


def test_the_numbers_are_small_enough_for_a_repository() -> None:
    assert len(json.dumps(RESULTS)) < 400_000
