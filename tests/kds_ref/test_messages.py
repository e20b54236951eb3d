"""Whole error messages, where `test_bad_input` asks for their beginning: a remedy that is garbled helps nobody."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import kds_ref as k

P = np.zeros((4, 3))
Z = np.zeros((4, 2, 3, 3))
SCHEDULE = k.linear_schedule()
ZERO_SIGNAL = k.NoiseSchedule(np.asarray([0.9, 0.5, 0.0]))
SAMPLE_AXES = "patches need samples (C, length), (C, H, W) or (C, depth, H, W); pass patch_size=None to take the whole"


def sampler(function: Callable[..., Any], **options: Any) -> Callable[[], Any]:
    arguments = {"schedule": SCHEDULE, "timesteps": (500, 0), **options}
    return lambda: function(arguments.pop("denoiser", lambda x, t: x), Z, **arguments)


Case = tuple[Callable[[], Any], str]
CASES: list[Case] = [
    (
        lambda: k.steer(Z, sample_ndim=1),
        f"sample_ndim is 1 with patch_size=1; {SAMPLE_AXES} sample as one patch",
    ),
    (
        lambda: k.steer(Z[0], patch_size=None),
        "x0_pred has shape (2, 3, 3), which may be (ensembles, N, D) or (N, H, W); say which with sample_ndim=1 or "
        "sample_ndim=2",
    ),
    (
        lambda: k.steer(P),
        "x0_pred has shape (4, 3); it needs axes (..., N, C, H, W), none empty; patch_size=None takes samples of any "
        "shape",
    ),
    (
        lambda: k.steer(P, patch_size=None, sample_ndim=2),
        "x0_pred has shape (4, 3); it needs axes (..., N) and 2 axes of the sample, none empty",
    ),
    (
        lambda: k.select_particle(Z[0]),
        "z has shape (2, 3, 3), which may be (ensembles, N, D) or (N, H, W); say which with sample_ndim=1 or "
        "sample_ndim=2",
    ),
    (
        lambda: k.mean_shift(np.zeros((2, 4, 3)), np.zeros((5, 4, 3)), bandwidth=0.3),
        "leading axes of query (2, 4, 3) and particles (5, 4, 3) do not match; they must be equal or 1",
    ),
    (
        lambda: k.mean_shift(np.zeros((2, 4, 5)), np.zeros((2, 6, 3)), bandwidth=0.3),
        "query has 5 dimensions (shape (2, 4, 5)) but particles have 3 (shape (2, 6, 3)); the last axes must be equal",
    ),
    (
        lambda: k.patchify(P[0], patch_size=1),
        "z has shape (3,); it needs axes (..., C, H and W), none empty",
    ),
    (
        lambda: k.patchify(Z, patch_size=1, sample_ndim=5),
        "z has shape (4, 2, 3, 3); it needs axes (..., C and 4 axes of space), none empty",
    ),
    (
        lambda: k.unpatchify(P, patch_size=1, shape=(3, 2)),
        "patches has shape (4, 3); samples of shape (3, 2) in patches of size 1 with stride 1 need (..., 2, 3)",
    ),
    (
        lambda: k.mean_shift(P, P, bandwidth=0.3, kernel=3),  # type: ignore[arg-type]
        "kernel is a int; pass a name (gaussian, laplacian, epanechnikov, flat, l2, biweight, matern32) or a Kernel",
    ),
    (
        lambda: k.mean_shift(P, P, bandwidth=0.3, kernel="box"),
        "kernel is 'box'; known kernels: gaussian, laplacian, epanechnikov, flat, l2, biweight, matern32",
    ),
    (
        lambda: k.mean_shift(P, P, bandwidth=0.3, kernel=k.Kernel("own", np.negative, 3)),  # type: ignore[arg-type]
        "kernel.log_slope is a int; pass a callable or None",
    ),
    (
        lambda: k.log_density(P, P, bandwidth=0.3, kernel=k.Kernel("own", np.negative, log_volume=3)),  # type: ignore[arg-type]
        "kernel.log_volume is a int; pass a callable or None",
    ),
    (
        lambda: k.predict_x0(P, P, 0.0),
        "alpha_bar is 0 (pure noise), where x0 from eps is not defined; leave that timestep out",
    ),
    (
        lambda: k.predict_eps(P, P, 1.0),
        "alpha_bar is 1 (no noise), where eps from x0 is not defined; leave that timestep out",
    ),
    (
        lambda: k.predict_score(P, P, np.ones((4, 1))),
        "alpha_bar is 1 (no noise), where the score is not defined; leave that timestep out",
    ),
    (
        lambda: k.add_noise(P, P, np.full(3, 0.5)),
        "alpha_bar has shape (3,) but x0 has (4, 3); give every axis, with 1 where the level is shared: "
        "(batch, 1, 1, 1) for one level per sample",
    ),
    (
        lambda: k.NoiseSchedule(["a"]),  # type: ignore[arg-type]
        "alphas_cumprod cannot be read as float64 numbers; pass a sequence of T numbers",
    ),
    (
        lambda: k.NoiseSchedule(np.asarray([0.5, 0.9])),
        "alphas_cumprod must be finite, strictly decreasing and in [0, 1) from t = 0 (clean) to T-1 (noise); pass the "
        "cumulative product of 1 - beta",
    ),
    (lambda: k.time_grid(5, spacing="karras"), "spacing is 'karras'; known spacings: leading, trailing, linspace, dpm"),
    (
        lambda: k.time_grid(500, steps_offset=2),
        "steps_offset is 2: the first timestep would be 1000, above num_train_timesteps - 1 = 999; use a smaller "
        "offset or fewer steps",
    ),
    (
        sampler(k.ddim, prediction_type="eps"),
        "prediction_type is 'eps'; known: epsilon, v_prediction, sample",
    ),
    (
        sampler(k.ddim, schedule=ZERO_SIGNAL, timesteps=(2, 1)),
        "prediction_type 'epsilon' says nothing about x0 at t = 2, where alpha_bar is 0; leave that timestep out or "
        "use a model with v_prediction",
    ),
    (
        sampler(k.dpm_solver_pp_2m, schedule=ZERO_SIGNAL, timesteps=(2, 1), prediction_type="sample"),
        "timesteps start at 2, where alpha_bar is 0; this solver needs it positive",
    ),
    (
        sampler(k.ddim, denoiser=lambda x, t: x[:1]),
        "output of denoiser at t = 500 has shape (1, 2, 3, 3) but x_T has (4, 2, 3, 3); they must be equal",
    ),
    (
        sampler(k.ddim, eta=0.5),
        "noise is None but eta is 0.5; pass noise(x_t, step) -> standard normal array, or eta=0",
    ),
    (
        lambda: k.merge_modes(P, bandwidth="scott"),  # type: ignore[arg-type]
        "bandwidth is 'scott'; give the number that the search used, which no end point shows",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[1][:40])
def test_the_whole_message(case: Case) -> None:
    call, message = case
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert str(caught.value) == message


def test_arrays_of_two_libraries_are_named() -> None:
    torch = pytest.importorskip("torch")
    wide = torch.zeros((4, 3), dtype=torch.float64)
    with pytest.raises(TypeError) as caught:
        k.add_noise(P, P, torch.full((4, 1), 0.5))
    text = "arrays of different libraries cannot be mixed (alpha_bar: torch, x0: numpy); use one"
    assert str(caught.value) == text
    with pytest.raises(TypeError) as caught:
        sampler(k.ddim, denoiser=lambda x, t: torch.from_numpy(x))()
    assert str(caught.value).endswith("(output of denoiser at t = 500: torch, x_T: numpy); use one")
    with pytest.raises(TypeError) as caught:
        k.classifier_free_guidance(P, wide, 2.0)
    assert str(caught.value).endswith("(eps_cond: numpy, eps_uncond: torch); use one")
