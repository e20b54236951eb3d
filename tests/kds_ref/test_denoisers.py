"""KDS around a denoiser: the properties of `steer`, the cut-off as a noise level, and one x0 for every way to steer."""

import functools
import math
from types import SimpleNamespace
from typing import Any

import array_api_compat
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kds_ref import (
    KernelDensitySteering,
    NoiseSchedule,
    SteeredDenoiser,
    add_noise,
    ddim,
    linear_schedule,
    predict_eps,
    steer,
    time_grid,
    velocity,
    vp_denoiser,
)

SCHEDULE = linear_schedule()
SEEDS = st.integers(0, 2**32 - 1)
COUNTS = st.integers(1, 6)
LEVELS = st.floats(0.01, 50.0)
BANDWIDTHS = st.floats(0.05, 20.0)
STRENGTHS = st.floats(0.0, 1.0)


def shrink(x: Any, sigma: Any) -> Any:
    """The exact denoiser of standard normal data: the posterior mean x / (1 + sigma^2)."""
    return x / (1.0 + sigma * sigma)


def latents(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def level_of(t: int) -> float:
    """Sigma of a timestep."""
    alpha_bar = SCHEDULE.alpha_bar(t)
    return math.sqrt((1.0 - alpha_bar) / alpha_bar)


@given(SEEDS, COUNTS, LEVELS, BANDWIDTHS, STRENGTHS)
def test_it_is_steer_of_the_prediction(
    xp: Any, oracle: Any, seed: int, n: int, sigma: float, h: float, strength: float
) -> None:
    x = latents(seed, n, 2, 2, 3)
    steered = SteeredDenoiser(shrink, cutoff_sigma=0.0, bandwidth=h, strength=strength)
    out = steered(xp.array(x), sigma)
    xp.check_like(out, xp.array(x))
    np.testing.assert_allclose(xp.numpy(out), oracle.steer(shrink(x, sigma), h, strength), rtol=1e-9, atol=1e-12)


@given(SEEDS, COUNTS, LEVELS, BANDWIDTHS, STRENGTHS)
def test_permuting_particles_permutes_the_result(
    xp: Any, seed: int, n: int, sigma: float, h: float, strength: float
) -> None:
    x, order = latents(seed, n, 2, 2, 2), np.random.default_rng(seed + 1).permutation(n)
    steered = SteeredDenoiser(shrink, cutoff_sigma=0.0, bandwidth=h, strength=strength)
    permuted = xp.numpy(steered(xp.array(x[order]), sigma))
    np.testing.assert_allclose(permuted, xp.numpy(steered(xp.array(x), sigma))[order], rtol=1e-11, atol=1e-12)


@given(SEEDS, st.integers(1, 3), COUNTS, LEVELS, BANDWIDTHS)
def test_rows_are_ensembles_of_particles_and_never_mix(
    xp: Any, seed: int, images: int, n: int, sigma: float, h: float
) -> None:
    x = latents(seed, images, n, 2, 2, 2)
    by_axis = SteeredDenoiser(shrink, cutoff_sigma=0.0, bandwidth=h)
    by_row = SteeredDenoiser(shrink, cutoff_sigma=0.0, bandwidth=h, num_particles=n)
    rows = xp.numpy(by_row(xp.array(x.reshape(images * n, 2, 2, 2)), sigma))
    for image, ensemble in enumerate(x):  # one at a time: nothing of the others can enter
        alone = xp.numpy(by_axis(xp.array(ensemble), sigma))
        np.testing.assert_allclose(rows[image * n : (image + 1) * n], alone, rtol=1e-12, atol=1e-13)


@given(SEEDS, COUNTS, LEVELS, STRENGTHS)
def test_the_spread_does_not_grow(xp: Any, seed: int, n: int, sigma: float, strength: float) -> None:
    x = latents(seed, n, 2, 2, 2)
    steered = xp.numpy(SteeredDenoiser(shrink, cutoff_sigma=0.0, strength=strength)(xp.array(x), sigma))
    assert np.all(np.ptp(steered, axis=0) <= np.ptp(shrink(x, sigma), axis=0) + 1e-12)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"strength": 0.0}, id="strength 0"),
        pytest.param({"cutoff_sigma": 2.1}, id="below the cut-off"),
        pytest.param({"bandwidth": 1e-6, "strength": 1.0}, id="tiny bandwidth"),
        pytest.param({"num_particles": 1, "strength": 1.0}, id="one particle"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_zero_shift_is_the_plain_denoiser_bit_for_bit(xp: Any, options: dict[str, Any], dtype: str) -> None:
    x = xp.array(latents(0, 4, 2, 3, 3), dtype)
    out = SteeredDenoiser(shrink, **({"cutoff_sigma": 0.0} | options))(x, 2.0)
    xp.check_like(out, x)
    np.testing.assert_array_equal(xp.numpy(out), xp.numpy(shrink(x, 2.0)))
    assert np.abs(xp.numpy(SteeredDenoiser(shrink, cutoff_sigma=0.0)(x, 2.0)) - xp.numpy(out)).max() > 1e-4


@pytest.mark.parametrize(("sigma", "steers"), [(0.3, True), (0.3 * (1 - 1e-7), True), (0.2999, False), (0.0, False)])
def test_the_cutoff_is_inclusive_and_forgives_the_rounding_of_a_grid(sigma: float, steers: bool) -> None:
    steered = SteeredDenoiser(shrink, cutoff_sigma=0.3)
    _, info = steered.predict(latents(0, 4, 1, 2, 2), sigma)
    assert (info is not None) is steers


def test_cutoff_0_steers_at_level_0_too() -> None:
    assert SteeredDenoiser(shrink, cutoff_sigma=0.0).predict(latents(0, 4, 1, 2, 2), 0.0)[1] is not None


def test_diagnostics_are_those_of_steer(xp: Any) -> None:
    x = xp.array(latents(0, 2, 5, 1, 2, 2))
    steered = SteeredDenoiser(shrink, cutoff_sigma=0.0, bandwidth="median", patch_size=2, kernel="laplacian")
    out, info = steered.predict(x, 1.0)
    expected, expected_info = steer(shrink(x, 1.0), bandwidth="median", patch_size=2, kernel="laplacian")
    assert info is not None
    np.testing.assert_array_equal(xp.numpy(out), xp.numpy(expected))
    for ours, theirs in zip(info, expected_info, strict=True):
        np.testing.assert_array_equal(xp.numpy(ours), xp.numpy(theirs))


@pytest.mark.parametrize("shape", [(), (1,), (4,), (4, 1, 1, 1)])
def test_sigma_may_be_an_array_of_one_level(xp: Any, shape: tuple[int, ...]) -> None:
    x = xp.array(latents(0, 4, 2, 2, 2))
    sigma = xp.array(np.full(shape, 2.0))
    steered = SteeredDenoiser(lambda x, sigma: x * 0.2, cutoff_sigma=1.0)
    np.testing.assert_array_equal(xp.numpy(steered(x, sigma)), xp.numpy(steered(x, 2.0)))


def test_levels_that_differ_by_rounding_are_one() -> None:
    x = latents(0, 2, 1, 2, 2)
    steered = SteeredDenoiser(lambda x, sigma: x, cutoff_sigma=1.0)
    np.testing.assert_array_equal(steered(x, np.asarray([100.0, 100.00005])), steered(x, 100.0))
    with pytest.raises(ValueError, match=r"sigma must hold one noise level, got 100 to 100\.001"):
        steered(x, np.asarray([100.0, 100.001]))


def test_a_full_step_is_a_step() -> None:
    x = latents(1, 3, 2, 2, 2)
    steered = SteeredDenoiser(lambda x, sigma: x, cutoff_sigma=0.1, strength=1.0)(x, 1.0)
    np.testing.assert_array_equal(steered, steer(x, strength=1.0)[0])


def test_levels_that_a_compiler_hides_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = SimpleNamespace(min=lambda sigma: object(), max=lambda sigma: object())  # as a tracer of JAX, no number
    monkeypatch.setattr("kds_ref.denoisers.common_namespace", lambda **arrays: hidden)
    with pytest.raises(TypeError) as caught:
        SteeredDenoiser(shrink, cutoff_sigma=1.0)(latents(0, 2, 1, 2, 2), np.asarray([2.0]))
    assert str(caught.value) == (
        "sigma must be a Python number where a compiler hides the values of arrays, got an array; it decides "
        "whether to steer"
    )


def test_an_output_of_another_library_is_named() -> None:
    torch = pytest.importorskip("torch")
    steered = SteeredDenoiser(lambda x, sigma: torch.from_numpy(x), cutoff_sigma=1.0)
    with pytest.raises(TypeError, match="arrays must be of one library, got x: numpy, output of denoiser: torch;"):
        steered(latents(0, 2, 1, 2, 2), 2.0)


def test_a_level_without_signal_is_never_asked() -> None:
    seen: list[int] = []

    def model(x_t: Any, t: int) -> Any:
        seen.append(t)
        return x_t

    vp_denoiser(model, schedule=NoiseSchedule(np.asarray([0.9, 0.5, 0.0])))(latents(0, 2, 1, 2, 2), 1e6)
    assert seen == [1]


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_it_is_equal_to_its_twin_with_arrays_too(library: str) -> None:
    xp = pytest.importorskip(library)

    def made(*widths: float, denoiser: Any = shrink, **options: Any) -> SteeredDenoiser:
        return SteeredDenoiser(denoiser, **{"cutoff_sigma": 0.1, "bandwidth": xp.asarray(widths), **options})

    one = made(0.3, 0.4)
    assert one == made(0.3, 0.4)
    assert hash(one) == hash(made(0.3, 0.4))
    others = [made(0.3, 0.5), made(0.3), made(0.3, 0.4, cutoff_sigma=0.2), made(0.3, 0.4, num_particles=2)]
    for other in (*others, made(0.3, 0.4, denoiser=level_of), made(0.3, 0.4, strength=0.2), 1.0):
        assert one != other
    assert len({made(cutoff_sigma=0.1, bandwidth=h) for h in (0.3, 0.3, "median")}) == 2
    assert len({hash(made(0.3, cutoff_sigma=level)) for level in (0.1, 0.2, 0.3)}) == 3


def test_the_denoiser_gets_x_and_sigma_as_they_came(xp: Any) -> None:
    x, sigma, seen = xp.array(latents(0, 4, 1, 2, 2)), xp.array([1.0]), []

    def spy(x: Any, sigma: Any) -> Any:
        seen.append((x, sigma))
        return x

    SteeredDenoiser(spy, cutoff_sigma=0.0, num_particles=2)(x, sigma)
    assert len(seen) == 1
    assert seen[0][0] is x
    assert seen[0][1] is sigma


around = functools.partial(SteeredDenoiser, shrink, cutoff_sigma=0.0)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: SteeredDenoiser(None, cutoff_sigma=0.0), TypeError, "denoiser must be a callable"),
        (lambda: around(cutoff_sigma=-1.0), ValueError, "cutoff_sigma must be finite and at least 0"),
        (lambda: around(cutoff_sigma="0"), TypeError, "cutoff_sigma must be one Python number"),
        (lambda: around(num_particles=0), ValueError, "num_particles must be at least 1"),
        (lambda: around(strength=2.0), ValueError, r"strength must be finite and in \[0, 1\]"),
        (lambda: around(bandwidth="wide"), ValueError, "bandwidth must be a number or one of"),
        (lambda: around(patch_size=0), ValueError, "patch_size must be at least 1"),
        (lambda: around(stride=2), ValueError, "stride must be in"),
        (lambda: around(kernel="round"), ValueError, "kernel must be one of"),
        (lambda: around(sample_ndim=0), ValueError, "sample_ndim must be at least 1"),
        (lambda: around(scale_with_dimension=1), TypeError, "scale_with_dimension must be True or False"),
        (
            lambda: around(num_particles=3)(np.zeros((4, 1, 2, 2)), 1.0),
            ValueError,
            r"x must have a multiple of 3 rows, num_particles for every ensemble, got shape \(4, 1, 2, 2\)",
        ),
        (
            lambda: SteeredDenoiser(lambda x, sigma: x[0], cutoff_sigma=0.0)(np.zeros((4, 1, 2, 2)), 1.0),
            ValueError,
            r"output of denoiser must have the shape of x, \(4, 1, 2, 2\), got \(1, 2, 2\)",
        ),
        (
            lambda: SteeredDenoiser(lambda x, sigma: None, cutoff_sigma=0.0)(np.zeros((4, 1, 2, 2)), 1.0),
            TypeError,
            "output of denoiser must be an array",
        ),
        (
            lambda: around()(np.zeros((2, 1, 1, 1)), np.asarray([1.0, 2.0])),
            ValueError,
            r"sigma must hold one noise level, got 1 to 2 in shape \(2,\); call the denoiser once per level",
        ),
        (
            lambda: around()(np.zeros((2, 1, 1, 1)), np.zeros(0)),
            ValueError,
            r"sigma must hold one noise level, got inf to -inf in shape \(0,\)",
        ),
        (
            lambda: around()(np.zeros((2, 1, 1, 1)), -1.0),
            ValueError,
            "sigma must be finite and at least 0, got -1",
        ),
        (
            lambda: around()(np.zeros((2, 1, 1, 1)), np.asarray([np.nan])),
            ValueError,
            "sigma must hold one noise level, got nan to nan",
        ),
        (
            lambda: around()(np.zeros((2, 1, 1, 1)), np.asarray([np.inf])),
            ValueError,
            "sigma must be finite and at least 0, got inf",
        ),
        (
            lambda: around()(np.zeros((2, 1, 1, 1)), np.asarray([-1.0])),
            ValueError,
            "sigma must be finite and at least 0, got -1",
        ),
        (lambda: vp_denoiser(None, schedule=SCHEDULE), TypeError, "model must be a callable"),
        (lambda: vp_denoiser(shrink, schedule=0.5), TypeError, "schedule must be a NoiseSchedule, got float"),
        (
            lambda: vp_denoiser(shrink, schedule=SCHEDULE, prediction_type="flow"),
            ValueError,
            "prediction_type must be one of epsilon, v_prediction, sample, got 'flow'",
        ),
    ],
)
def test_wrong_arguments_are_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# KDS is a function on predicted clean samples: whoever predicts x0, at whatever scale of the noisy latent, steers the
# same x0. Here are a sampler of the core and a scheduler of diffusers, each next to a plain Euler loop around the
# steered denoiser.

PREDICTIONS = ["epsilon", "v_prediction", "sample"]

def model_output(prediction_type: str, x_t: Any, t: int) -> Any:
    """Some smooth model, whose clean samples keep apart, in each of the forms that a model's output has."""
    alpha_bar, x0 = SCHEDULE.alpha_bar(t), 1.2 * np.tanh(1.3 * x_t + t / 1000.0)
    if prediction_type == "sample":
        return x0
    eps = predict_eps(x_t, x0, alpha_bar)
    return eps if prediction_type == "epsilon" else velocity(x0, eps, alpha_bar)


def euler(denoiser: Any, x: Any, sigmas: list[float]) -> Any:
    """Euler steps of dx/dsigma = (x - D(x, sigma)) / sigma, the loop of every library."""
    for here, there in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
        x = x + (x - denoiser(x, here)) / here * (there - here)
    return x


@pytest.mark.parametrize("prediction_type", PREDICTIONS)
def test_a_sampler_of_the_core_and_a_steered_denoiser_give_one_x0(prediction_type: str) -> None:
    x_T, grid = latents(1, 5, 2, 4, 4), time_grid(10)
    model = functools.partial(model_output, prediction_type)
    options = {"schedule": SCHEDULE, "timesteps": grid, "prediction_type": prediction_type}
    steered = ddim(model, x_T, steering=KernelDensitySteering(bandwidth=0.4, cutoff=0.3), **options).x0
    denoiser = SteeredDenoiser(
        vp_denoiser(model, schedule=SCHEDULE, prediction_type=prediction_type),
        cutoff_sigma=level_of(300),
        bandwidth=0.4,
    )
    x = x_T / math.sqrt(SCHEDULE.alpha_bar(grid[0]))
    np.testing.assert_allclose(euler(denoiser, x, [level_of(t) for t in grid]), steered, rtol=1e-8, atol=1e-9)
    assert np.abs(ddim(model, x_T, **options).x0 - steered).max() > 0.05


@pytest.mark.parametrize("prediction_type", PREDICTIONS)
def test_each_prediction_becomes_the_clean_sample(xp: Any, prediction_type: str) -> None:
    x0, eps, t = latents(2, 3, 1, 2, 2), latents(3, 3, 1, 2, 2), 400
    alpha_bar, seen = SCHEDULE.alpha_bar(t), []

    def model(x_t: Any, t: int) -> Any:
        seen.append((xp.numpy(x_t), t))
        return xp.array({"epsilon": eps, "v_prediction": velocity(x0, eps, alpha_bar), "sample": x0}[prediction_type])

    denoiser = vp_denoiser(model, schedule=SCHEDULE, prediction_type=prediction_type)
    out = denoiser(xp.array(x0 + level_of(t) * eps), level_of(t))
    np.testing.assert_allclose(xp.numpy(out), x0, atol=1e-12)
    assert seen[0][1] == t
    np.testing.assert_allclose(seen[0][0], add_noise(x0, eps, alpha_bar), atol=1e-12)


def test_a_level_between_timesteps_asks_the_nearest_and_zero_asks_none(xp: Any) -> None:
    seen: list[int] = []

    def model(x_t: Any, t: int) -> Any:
        seen.append(t)
        return array_api_compat.array_namespace(x_t).zeros_like(x_t)

    denoiser = vp_denoiser(model, schedule=SCHEDULE)
    x = xp.array(latents(0, 2, 1, 2, 2))
    for near in (level_of(500) ** 0.6 * level_of(501) ** 0.4, level_of(500) ** 0.4 * level_of(501) ** 0.6, 1e9, 1e-9):
        denoiser(x, near)
    assert seen == [500, 501, 999, 0]
    assert denoiser(x, 0.0) is x
    assert len(seen) == 4
