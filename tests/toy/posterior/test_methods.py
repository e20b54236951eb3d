"""Methods, answers and scores: the fast layout is the plain one, and each score is its definition."""

import numpy as np
import pytest
from scipy.stats import norm

import kds_ref
from toy.mixture import GaussianMixture, three_modes
from toy.posterior.answers import answers, choose, shrink
from toy.posterior.conditioning import condition_many
from toy.posterior.methods import Method, Steering, run, steer_cases
from toy.posterior.scores import (
    answer_scores,
    ensemble_scores,
    gelbrich_distance,
    psnr,
    psnr_gain,
    ratio_of_means,
    sliced_distance,
    summarise,
)


class Normal:
    """The exact model of the standard normal distribution; it counts its calls."""

    def __init__(self) -> None:
        self.particles: list[int] = []

    def eps(self, x: np.ndarray, *, alpha_bar: float) -> np.ndarray:
        self.particles.append(x.shape[1])
        return np.asarray((1 - alpha_bar) ** 0.5 * x)


@pytest.mark.parametrize("patch_size", [1, 2, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_cases_side_by_side_are_steered_as_one_by_one(channels: int, patch_size: int) -> None:
    x0 = np.random.default_rng(0).standard_normal((5, 6, channels * 16))
    options = Steering(bandwidth=0.8, strength=0.7, patch_size=patch_size)
    steered, info = steer_cases(options, channels=channels)(x0, 999)
    assert info is not None
    for case in range(5):
        images = x0[case].reshape(6, channels, 4, 4)
        expected, _ = kds_ref.steer(images, bandwidth=0.8, strength=0.7, patch_size=patch_size)
        np.testing.assert_allclose(steered[case], expected.reshape(6, -1), rtol=1e-10)
    same, nothing = steer_cases(options, channels=channels)(x0, 100)  # below the cut-off
    assert same is x0
    assert nothing is None


def test_a_patch_must_fit() -> None:
    with pytest.raises(ValueError, match="patch_size must divide the side 4"):
        steer_cases(Steering(patch_size=3))(np.zeros((2, 3, 16)), 999)


def test_five_particles_are_the_first_of_ten_and_all_methods_share_the_noise() -> None:
    noise = np.random.default_rng(1).standard_normal((11, 4, 16))
    ten, five = (run(Method(name="", steps=6, particles=n), Normal(), noise) for n in (10, 5))
    assert np.array_equal(ten[:, :5], five)
    still = run(Method(name="", steps=6, steering=Steering(strength=0.0)), Normal(), noise)
    assert np.array_equal(ten, still)


@pytest.mark.parametrize("sampler", ["ddim", "2s", "2m"])
def test_evaluations_are_counted_as_they_are_made(sampler: str) -> None:
    noise = np.random.default_rng(2).standard_normal((11, 4, 16))
    for options in ({}, {"hds": 0.3}, {"dgs": 0.9}, {"renoise": 0.3}, {"steering": Steering()}):
        model = Normal()
        method = Method(name="", sampler=sampler, steps=10, **options)
        x = run(method, model, noise)
        assert sum(model.particles) == method.evaluations
        assert x.shape == (4, 1 if method.renoise else 10, 16)


def test_density_guidance_takes_neighbouring_cases_as_one_sample() -> None:
    noise = np.random.default_rng(3).standard_normal((4, 6, 4))
    together = run(Method(name="", steps=5, particles=3, dgs=0.8), Normal(), noise, group=3)
    joined = noise[:3].reshape(3, 2, 12)
    alone = run(Method(name="", steps=5, particles=3, dgs=0.8), Normal(), np.concatenate([joined, joined[:1]]))
    np.testing.assert_allclose(together.reshape(2, 3, 3, 4).swapaxes(1, 2).reshape(2, 3, 12), alone)


def test_a_picture_chooses_one_particle_for_all_of_its_patches() -> None:
    particles = np.random.default_rng(4).standard_normal((6, 5, 2))
    chosen = choose(particles, group=3)
    for picture in range(2):
        part = particles[3 * picture : 3 * picture + 3]  # (places, N, d)
        risk = ((part - part.mean(1, keepdims=True)) ** 2).sum((0, 2))
        assert np.array_equal(chosen[3 * picture : 3 * picture + 3, 0], part[:, risk.argmin()])
    with pytest.raises(ValueError, match="group must divide the number of cases 6, got 4"):
        choose(particles, group=4)


def test_answers_lie_where_their_names_say() -> None:
    particles = np.random.default_rng(5).standard_normal((4, 5, 3))
    found = answers(particles, group=2)
    assert list(found) == ["random", "chosen", "chosen_by_patch", "average", "halfway"]
    np.testing.assert_allclose(found["halfway"], (found["chosen"] + found["average"]) / 2)
    np.testing.assert_allclose(shrink(particles, found["chosen"], 1.0), found["chosen"])
    assert list(answers(particles[:, :1], group=2)) == ["random"]


@pytest.fixture(scope="module")
def case() -> dict[str, np.ndarray]:
    y = np.array([[0.5, 0.4], [-1.0, 0.6]])
    posterior = condition_many(three_modes(), np.eye(2), y, noise_covariance=0.3 * np.eye(2))
    exact = posterior.sample(40_000, np.random.default_rng(6))
    return {"posterior": posterior, "exact": exact, "truth": exact[:, 0]}


def test_the_expected_error_is_the_error_against_many_truths(case: dict) -> None:
    x = np.random.default_rng(7).standard_normal((2, 3, 2))
    scores = answer_scores(x, case["posterior"], case["truth"])
    for b in range(2):
        against_all = ((x[b][:, None] - case["exact"][b]) ** 2).mean()
        assert scores["expected_error"][b] == pytest.approx(against_all, rel=0.02)
        assert scores["error"][b] == pytest.approx(((x[b] - case["truth"][b]) ** 2).mean())
        assert scores["log_density"][b] == pytest.approx(case["posterior"].log_density(x)[b].mean())


def test_exact_samples_are_calibrated_and_at_no_distance() -> None:
    y = np.random.default_rng(8).standard_normal((3000, 2))
    posterior = condition_many(three_modes(), np.eye(2), y, noise_covariance=0.3 * np.eye(2))
    rng = np.random.default_rng(9)
    drawn = posterior.sample(10 + 32 + 1, rng)
    scores = ensemble_scores(drawn[:, :10], posterior, drawn[:, -1], drawn[:, 10:42])
    error = scores["energy_distance"].std() / np.sqrt(3000)
    assert abs(scores["energy_distance"].mean()) < 4 * error < 0.02
    assert scores["within"].mean() == pytest.approx(scores["to_posterior"].mean(), rel=0.03)
    assert scores["outside"].mean() == pytest.approx(2 / 11, abs=0.015)
    narrow = posterior.mean()[:, None] + 0.5 * (drawn[:, :10] - posterior.mean()[:, None])
    sure = ensemble_scores(narrow, posterior, drawn[:, -1], drawn[:, 10:42])
    assert sure["energy_distance"].mean() > 0.03
    assert sure["within"].mean() < 0.5 * sure["to_posterior"].mean()
    assert sure["outside"].mean() > 0.35


def test_distances_of_laws() -> None:
    rng = np.random.default_rng(10)
    a, b = np.diag([1.0, 4.0]), np.diag([9.0, 1.0])
    assert gelbrich_distance(np.array([1.0, 0.0]), a, b) == pytest.approx(np.sqrt(1 + 4 + 1))
    directions = np.stack([np.cos(t := np.linspace(0, np.pi, 40)), np.sin(t)], axis=1)
    x, y = (rng.standard_normal((n, 2)) @ np.sqrt(a) for n in (2000, 20_000))
    assert sliced_distance(x, y, directions) < 0.12
    moved = sliced_distance(x + np.array([3.0, 0.0]), y, directions)
    assert moved == pytest.approx(3.0, rel=0.03)  # a shift is seen whole
    assert sliced_distance(x, y @ np.diag([3.0, 0.5]), directions) <= 1.02 * gelbrich_distance(np.zeros(2), a, b)
    with pytest.raises(ValueError, match="reference must hold a multiple of 2000"):
        sliced_distance(x, y[:-1], directions)


def test_intervals_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(11)
    covered = {"mean": 0, "ratio": 0, "gain": 0}
    for _ in range(1000):
        b = rng.uniform(1, 3, 60)
        a = 0.5 * b + 0.2 * rng.standard_normal(60)
        for name, found, true in (
            ("mean", summarise(a), 1.0),
            ("ratio", ratio_of_means(a, b), 0.5),
            ("gain", psnr_gain(a, b), 10 * np.log10(2)),
        ):
            covered[name] += found["low"] < true < found["high"]
    assert all(920 < count < 975 for count in covered.values()), covered
    assert psnr(0.01, 1.0) == pytest.approx(20.0)
    assert psnr(0.01, 0.1) == pytest.approx(40.0)


def test_hds_is_nearer_to_the_mode_and_surer() -> None:
    noise = np.random.default_rng(12).standard_normal((10, 50, 16))
    plain, hds = (run(Method(name="", hds=cutoff), Normal(), noise) for cutoff in (None, 0.3))
    assert norm.logpdf(hds).mean() > norm.logpdf(plain).mean() + 0.1


def test_the_model_may_be_any_mixture() -> None:
    x = run(Method(name="", steps=5), GaussianMixture([1.0], [[2.0]], [[[0.01]]]), np.zeros((10, 3, 1)))
    assert np.abs(x - 2.0).max() < 0.5
