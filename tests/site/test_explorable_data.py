"""The data of the explorable page: the runs are the toy's own, the file holds them, and the page's text is true."""

import base64
import doctest
import importlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("scipy", reason="comes with the extra toy")
pytest.importorskip("matplotlib", reason="comes with the extra toy")
from mistakes import MISTAKES
from packing import HALF_WIDTH, SIDE, contour_paths, explorable_file, letters, more_file, place
from sweep import Sweep, Ways, explore, explore_mistakes, follow

import kds_ref
from toy.experiment import run_method
from toy.figure import MASSES
from toy.mixture import three_modes
from toy.settings import Settings
from toy.statistics import ensemble_statistics

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explorable.md"
SWEEP = Sweep()
PLAIN = 0
NEAR, WIDE = SWEEP.bandwidths.index(0.3), SWEEP.bandwidths.index(2.0)
CUT = SWEEP.steered(0.3).index(False)  # the first picture that is not steered on


def numbers(text: str) -> np.ndarray:
    """The whole numbers in a string of letters, decoded bit by bit."""
    bits = np.unpackbits(np.frombuffer(base64.b64decode(text + "A" * (-len(text) % 4)), dtype=np.uint8))
    bits = bits[: 6 * len(text)].reshape(-1, 12).astype(int)
    return bits @ (1 << np.arange(11, -1, -1))


@pytest.fixture(scope="module")
def fifty() -> dict[tuple[float, float | None], Ways]:
    """The ways of 50 particles by (strength, cut-off)."""
    settings: list[tuple[float, float | None]] = [(0.0, None), (0.3, 0.3), (0.3, 0.0), (1.0, 0.3), (1.0, 0.0)]
    target = three_modes()
    return {(s, c): follow(target, SWEEP, n_particles=50, strength=s, cutoff=c) for s, c in settings}


@pytest.fixture(scope="module")
def text() -> str:
    return " ".join(PAGE.read_text(encoding="utf-8").split())


def shares(way: Ways, b: int) -> str:
    return " / ".join(str(2 * count) for count in way.counts[b])  # percent of 50


@pytest.mark.parametrize(("n", "strength", "cutoff"), [(5, 0.3, 0.3), (20, 1.0, 0.0), (50, 0.0, None)])
def test_the_ways_are_those_of_the_toys_own_runs(n: int, strength: float, cutoff: float | None) -> None:
    ways = follow(three_modes(), SWEEP, n_particles=n, strength=strength, cutoff=cutoff)
    for b, h in enumerate(SWEEP.bandwidths):
        settings = Settings(n_seeds=1, n_particles=n, bandwidth=h, strength=strength)
        run = run_method(three_modes(), settings, cutoff=cutoff)
        for snapshot, picture in zip(run.snapshots, (0, SWEEP.kept().index(499), -1), strict=True):
            assert SWEEP.fractions()[picture] == snapshot.fraction
            assert SWEEP.alpha_bars()[picture] == snapshot.alpha_bar
            np.testing.assert_allclose(ways.x[picture, b], snapshot.x[0], rtol=0, atol=1e-9)
        values = ensemble_statistics(run.snapshots[-1].x, three_modes())
        np.testing.assert_allclose(ways.variance[-1, b], values["within_mode_variance"][0], rtol=1e-6, atol=1e-12)
        np.testing.assert_array_equal(ways.counts[b] / n, values["mode_shares"][0])


def test_effective_particles_by_a_loop(fifty: dict[tuple[float, float | None], Ways]) -> None:
    x = fifty[0.3, 0.0].x[-1, NEAR]
    counted = []
    for point in x:
        weights = np.exp(-((x - point) ** 2).sum(-1) / (2 * 0.3**2))
        counted.append(weights.sum() ** 2 / (weights**2).sum())
    np.testing.assert_allclose(fifty[0.3, 0.0].effective_particles[-1, NEAR], np.mean(counted), rtol=1e-9)
    assert fifty[0.3, 0.0].effective_particles[0, NEAR] == pytest.approx(50, abs=1e-3)  # all predictions coincide


def test_pictures_come_at_even_times_and_when_the_cutoff_takes_hold() -> None:
    assert SWEEP.kept()[0] == 999
    assert SWEEP.kept()[CUT] == 299
    assert set(np.diff(SWEEP.kept()[1:])) == {-40}
    assert SWEEP.steered(0.0) == (True,) * (len(SWEEP.kept())) + (False,)
    assert Sweep(num_inference_steps=4, every=1).kept() == (999, 749, 499, 249)
    assert [len(Sweep(num_inference_steps=4, every=every).fractions()) for every in (1, 2, 4)] == [5, 4, 3]


def test_a_smaller_ensemble_starts_with_the_first_of_a_larger() -> None:
    np.testing.assert_array_equal(SWEEP.noise(5, 2), SWEEP.noise(50, 2)[:5])


# --- The file ---


@pytest.fixture(scope="module")
def packed() -> tuple[Sweep, dict[int, list[Ways]], dict[str, Any]]:
    sweep = Sweep(n_particles=(5, 10), bandwidths=(0.3, 2.0), strengths=(0.0, 1.0))
    script = explorable_file(sweep)
    assert script.startswith("window.kdsExplorable = {")
    assert script.endswith("};\n")
    return sweep, explore(sweep), json.loads(script.split(" = ", 1)[1].rstrip(";\n"))


def test_the_file_holds_every_position_and_number(packed: Any) -> None:
    sweep, ways, data = packed
    for n, runs in ways.items():
        ensemble = data["ensembles"][str(n)]
        pictures = numbers(ensemble["pictures"]).reshape(-1, n, 2)
        shape = (len(runs), len(sweep.bandwidths), len(sweep.fractions()))
        index = numbers(ensemble["index"]).reshape(shape)
        for name, unit in data["units"].items():
            stored = numbers(ensemble[name]).reshape(shape) * unit
            for m, way in enumerate(runs):
                np.testing.assert_allclose(stored[m], getattr(way, name).T, rtol=0, atol=0.5001 * unit)
        np.testing.assert_array_equal(numbers(ensemble["counts"]), np.concatenate([w.counts.ravel() for w in runs]))
        for m, way in enumerate(runs):
            back = pictures[index[m]].swapaxes(0, 1) * (2 * HALF_WIDTH / (SIDE - 1)) - HALF_WIDTH
            np.testing.assert_allclose(back * (1, -1), way.x, rtol=0, atol=HALF_WIDTH / (SIDE - 1) + 1e-9)


def test_what_is_equal_is_stored_once(packed: Any) -> None:
    sweep, ways, data = packed
    shape = (len(ways[5]), len(sweep.bandwidths), len(sweep.fractions()))
    index = numbers(data["ensembles"]["5"]["index"]).reshape(shape)
    plain, early_0, early_1, end_0, end_1 = index
    assert np.array_equal(early_0, plain)
    assert np.array_equal(end_0, plain)
    cut = sweep.steered(0.3).index(False)
    assert np.array_equal(early_1[:, : cut + 1], end_1[:, : cut + 1])
    assert not (early_1[:, cut + 1 :] == end_1[:, cut + 1 :]).any()
    assert not (plain[:, 2:] == end_1[:, 2:]).any()
    assert index.max() + 1 == len(numbers(data["ensembles"]["5"]["pictures"])) / 10


def test_the_file_says_how_it_was_made(packed: Any) -> None:
    sweep, _, data = packed
    settings = data["settings"]
    assert (settings["seed"], settings["num_inference_steps"], settings["schedule"]) == (0, 50, "cosine")
    assert settings["bandwidths"] == list(sweep.bandwidths)
    assert settings["mixture"]["weights"] == [0.4, 0.35, 0.25]
    assert explorable_file(sweep) == explorable_file(sweep)


@pytest.mark.parametrize("codes", [[], [4095], [0, 1, 2, 3], list(range(4096))])
def test_letters_keep_the_numbers(codes: list[int]) -> None:
    assert numbers(letters(np.asarray(codes))).tolist() == codes


@pytest.mark.parametrize("codes", [[-1], [4096]])
def test_letters_refuse_what_has_no_place(codes: list[int]) -> None:
    with pytest.raises(ValueError, match=r"^codes must lie in \[0, 4095\]"):
        letters(np.asarray(codes))


def test_a_particle_outside_the_square_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^x must lie within \+-3.0, got 3.01"):
        place(np.array([0.0, -3.01]))
    with pytest.raises(ValueError, match=r"^x must lie"):
        place(np.array([0.0, np.nan]))


@pytest.mark.parametrize("alpha_bar", [0.0, 1.0])
def test_contours_enclose_their_mass(alpha_bar: float) -> None:
    """By the even-odd rule, with particles of the noised mixture: a third way to count the mass."""
    from matplotlib.path import Path as Outline

    mixture, rng = three_modes(), np.random.default_rng(20261126)
    noise = rng.standard_normal((20_000, 2))
    x = np.sqrt(alpha_bar) * mixture.sample(20_000, rng) + np.sqrt(1 - alpha_bar) * noise
    points = place(np.clip(x, -HALF_WIDTH, HALF_WIDTH))
    for mass, path in zip(MASSES, contour_paths(mixture, alpha_bar), strict=True):
        inside = np.zeros(len(points), dtype=bool)
        for outline in path.split("M")[1:]:
            start, steps = outline.rstrip("z").split("l")
            corner = np.array([int(v) for v in start.split()])
            moves = np.array([int(v) for v in re.findall(r"-?\d+", steps)]).reshape(-1, 2)
            corners = np.concatenate([corner[None], corner + np.cumsum(moves, axis=0)])
            inside ^= Outline(corners).contains_points(points)
        assert abs(inside.mean() - mass) < 0.015


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"strengths": ()}, ValueError, "strengths must hold at least one value"),
        ({"bandwidths": (0.0,)}, ValueError, "bandwidth must lie between"),
        ({"n_particles": (5.0,)}, TypeError, "n_particles must be an int"),
        ({"cutoffs": (1.5,)}, ValueError, "cutoff must lie between"),
        ({"every": 3}, ValueError, "every must divide num_inference_steps = 50, got 3"),
        ({"every": 2.0}, TypeError, "every must be an int"),
        ({"every": 0}, ValueError, "every must divide"),
    ],
)
def test_bad_settings_are_named(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=rf"^{message}"):
        Sweep(**options)


# --- The second file ---


def test_each_mistake_is_what_its_name_says() -> None:
    """In one step from hand-made points, against formulas that do not know how the mistake is run."""
    schedule, timesteps = kds_ref.cosine_schedule(), SWEEP.timesteps()
    x0 = np.random.default_rng(0).normal(0.0, 0.2, (1, 12, 2))
    h, t, after = np.array([0.3]), timesteps[10], timesteps[11]
    shift = kds_ref.mean_shift(x0[0], x0[0], bandwidth=0.3)
    moved = {
        name: make(schedule, timesteps).steering(h, strength=0.3, cutoff=0.3)(x0, t)[0][0]
        for name, make in MISTAKES.items()
    }
    d = ((x0[0][:, None] - x0[0]) ** 2).sum(-1)
    weights = np.exp(-d / (2 * 0.3**4))
    twice = weights @ x0[0] / weights.sum(1, keepdims=True)
    np.testing.assert_allclose(moved["h squared twice"], 0.7 * x0[0] + 0.3 * twice)
    np.testing.assert_allclose(moved["the score as a step"], x0[0] + 0.3 * shift / 0.09)

    # The old noise kept: DDIM from a noisy point with eps' of the moved point, or with the old eps of the steered one.
    here, there = schedule.alpha_bar(t), schedule.alpha_bar(after)
    eps = np.random.default_rng(1).standard_normal((12, 2))
    z = np.sqrt(here) * x0[0] + np.sqrt(1 - here) * eps
    eps_new = (z - np.sqrt(here) * moved["the old noise kept"]) / np.sqrt(1 - here)
    by_ddim = np.sqrt(there) * moved["the old noise kept"] + np.sqrt(1 - there) * eps_new
    np.testing.assert_allclose(by_ddim, np.sqrt(there) * (x0[0] + 0.3 * shift) + np.sqrt(1 - there) * eps)


def test_the_second_file_holds_what_kds_sees_and_the_wrong_ways() -> None:
    sweep = Sweep(n_particles=(5,), bandwidths=(0.05, 0.3), strengths=(0.3,))
    script = more_file(sweep)
    assert script.startswith("window.kdsExplorableMore = {")
    data = json.loads(script.split(" = ", 1)[1].rstrip(";\n"))
    assert data["mistakes"] == list(MISTAKES)
    right, wrong = explore(sweep)[5], explore_mistakes(sweep)[5]
    assert len(wrong) == 2 * len(MISTAKES)
    for ways, name in ((right, "right"), (wrong, "wrong")):
        seen = data["seen"]["5"][name]
        high, low = numbers(seen["index"]).reshape(-1, 2).T
        shape = (len(ways), 2, len(sweep.fractions()))
        pictures = numbers(seen["pictures"]).reshape(-1, 5, 4)[(4096 * high + low).reshape(shape)]
        for m, way in enumerate(ways):
            for part, points in ((slice(0, 2), way.clean), (slice(2, 4), way.shifted)):
                inside = np.clip(points, -HALF_WIDTH, HALF_WIDTH).swapaxes(0, 1)
                np.testing.assert_array_equal(pictures[m][..., part], place(inside))


# --- What the page says ---


def test_strength_0_is_ddim_bit_for_bit(fifty: dict[tuple[float, float | None], Ways]) -> None:
    for cutoff in SWEEP.cutoffs:
        way = follow(three_modes(), SWEEP, n_particles=50, strength=0.0, cutoff=cutoff)
        np.testing.assert_array_equal(way.x, fifty[0.0, None].x)


def test_a_wide_kernel_draws_everything_into_one_point(
    fifty: dict[tuple[float, float | None], Ways], text: str
) -> None:
    plain, wide = fifty[0.0, None], fifty[1.0, 0.0]
    far, near = plain.effective_particles[-1, WIDE], plain.effective_particles[-1, NEAR]
    assert f"of DDIM's 50 results {far:.1f} share the weight of each, against {near:.1f} at \\(h = 0.3\\)" in text
    point = wide.x[-1, WIDE]
    assert np.abs(point - point.mean(0)).max() < 1e-3
    mixture = three_modes()
    assert mixture.density(point).max() < 0.1 * mixture.density(mixture.means).min()
    assert "less than a tenth of what it is at the middle of any mode" in text
    assert (wide.counts[NEAR] > 0).all()
    assert wide.variance[-1, NEAR] < 1e-4
    assert "the same strength ends in three points, one in each mode" in text


def test_the_cutoff_lets_the_spread_come_back(fifty: dict[tuple[float, float | None], Ways], text: str) -> None:
    plain, early, late = fifty[0.0, None], fifty[1.0, 0.3], fifty[1.0, 0.0]
    variance = early.variance[-1, WIDE]
    assert (
        f"A variance of {variance:.3f} within a mode comes back, where DDIM has {plain.variance[-1, WIDE]:.3f}" in text
    )
    assert late.variance[-1, WIDE] < 1e-4
    assert f"{shares(early, WIDE)} percent end in the three modes instead of {shares(plain, WIDE)}" in text
    paper, to_the_end = fifty[0.3, 0.3], fifty[0.3, 0.0]
    assert f"the cut-off ends at {paper.variance[-1, NEAR]:.3f}" in text
    assert f"without it, at {to_the_end.variance[-1, NEAR]:.3f}" in text
    assert np.abs(paper.counts[NEAR] - plain.counts[NEAR]).max() == 1
    assert "the same shares within one particle" in text


def test_the_page_names_the_settings_of_its_data(text: str) -> None:
    n_settings = np.prod([len(v) for v in (SWEEP.n_particles, SWEEP.bandwidths, SWEEP.strengths, SWEEP.cutoffs)])
    assert f"all {n_settings} settings" in text
    *inner, outer = [round(100 * mass) for mass in MASSES]
    assert f"{', '.join(map(str, inner))} and {outer} percent" in text
    assert f"(seed {SWEEP.seed}), {SWEEP.num_inference_steps} DDIM steps, the {SWEEP.schedule} schedule" in text
    offered = {"particles": SWEEP.n_particles, "bandwidth": SWEEP.bandwidths, "strength": SWEEP.strengths}
    buttons = [json.loads(found) for found in re.findall(r"data-kds='([^']+)'", text)]
    assert len(buttons) == 3
    for button in buttons:
        assert button.pop("cutoff") in SWEEP.cutoffs
        assert all(value in offered[name] for name, value in button.items())


@pytest.mark.parametrize("name", ["packing", "sweep"])
def test_the_examples_run(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0
    assert result.failed == 0
