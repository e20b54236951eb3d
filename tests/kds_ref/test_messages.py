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


def sampler(function: Callable[..., Any], **options: Any) -> Callable[[], Any]:
    arguments = {"schedule": SCHEDULE, "timesteps": (500, 0), **options}
    return lambda: function(arguments.pop("denoiser", lambda x, t: x), Z, **arguments)


Case = tuple[Callable[[], Any], str]
CASES: list[Case] = [
    (
        lambda: k.log_density(P, P, bandwidth="median"),
        "bandwidth must be positive, got 0 by the rule 'median', since all particles of an ensemble are equal; pass a "
        "number",
    ),
    (
        lambda: k.KernelDensitySteering(bandwidth="mean"),
        "bandwidth must be a number or one of median, scott, silverman, likelihood, got 'mean'",
    ),
    (
        lambda: k.KernelDensitySteering(bandwidth=-1.0),
        "bandwidth must be finite and positive, got -1.0; strength=0 switches steering off",
    ),
    (
        lambda: k.KernelDensitySteering(cutoff_nsr=0.0),
        "cutoff_nsr must be finite and positive, got 0.0; cutoff=0 steers to the end",
    ),
    (
        lambda: k.KernelDensitySteering(bandwidth=np.zeros((0,))),
        "bandwidth must have no empty axis, got shape (0,)",
    ),
    *(
        (
            lambda h=h, dtype=dtype: k.KernelDensitySteering(bandwidth=np.asarray([h, 2.0], dtype)),
            f"bandwidth must be positive and finite, got values from {min(h, 2.0):g} to {max(h, 2.0):g} in shape (2,); "
            "where particles are equal any positive number will do",
        )
        for h in (0.0, -0.5, np.inf)
        for dtype in ("float16", "float32", "float64")
    ),
    (
        lambda: k.KernelDensitySteering(bandwidth=np.asarray([1])),
        "bandwidth must have a real floating dtype, got int64; convert it first",
    ),
    (
        lambda: k.steer(Z, sample_ndim=1),
        "sample_ndim must be at least 2 with patch_size=1, got 1; patches need samples (C, length), (C, H, "
        "W) or (C, depth, H, W), and patch_size=None takes the whole sample as one patch",
    ),
    (
        lambda: k.steer(Z[0], patch_size=None),
        "sample_ndim must be 1 or 2 for x0_pred of shape (2, 3, 3), got None; it may be (ensembles, N, D) or (N, H, W)",
    ),
    (
        lambda: k.steer(P),
        "x0_pred must have axes (..., N, C, H, W), none empty, got shape (4, 3); patch_size=None takes "
        "samples of any shape",
    ),
    (
        lambda: k.steer(P, patch_size=None, sample_ndim=2),
        "x0_pred must have axes (..., N) and 2 axes of the sample, none empty, got shape (4, 3)",
    ),
    (
        lambda: k.select_particle(Z[0]),
        "sample_ndim must be 1 or 2 for z of shape (2, 3, 3), got None; it may be (ensembles, N, D) or (N, H, W)",
    ),
    (
        lambda: k.mean_shift(np.zeros((2, 4, 3)), np.zeros((5, 4, 3)), bandwidth=0.3),
        "particles must have the leading axes of query, (2, 4, 3), each equal or 1, got (5, 4, 3)",
    ),
    (
        lambda: k.mean_shift(np.zeros((2, 4, 5)), np.zeros((2, 6, 3)), bandwidth=0.3),
        "particles must have the dimensions of query, 5 in shape (2, 4, 5), got 3 in shape (2, 6, 3)",
    ),
    (
        lambda: k.patchify(P[0], patch_size=1),
        "z must have axes (..., C, H and W), none empty, got shape (3,)",
    ),
    (
        lambda: k.patchify(Z, patch_size=1, sample_ndim=5),
        "z must have axes (..., C and 4 axes of space), none empty, got shape (4, 2, 3, 3)",
    ),
    (
        lambda: k.unpatchify(P, patch_size=1, shape=(3, 2)),
        "patches must have shape (..., 2, 3) for samples of shape (3, 2) in patches of size 1 with stride "
        "1, got (4, 3)",
    ),
    (
        lambda: k.mean_shift(P, P, bandwidth=0.3, kernel=3),  # type: ignore[arg-type]
        "kernel must be a name (gaussian, laplacian, epanechnikov, flat, l2, biweight, matern32) or a "
        "Kernel, got int (3)",
    ),
    (
        lambda: k.mean_shift(P, P, bandwidth=0.3, kernel="box"),
        "kernel must be one of gaussian, laplacian, epanechnikov, flat, l2, biweight, matern32, got 'box'",
    ),
    (
        lambda: k.mean_shift(P, P, bandwidth=0.3, kernel=k.Kernel("own", np.negative, 3)),  # type: ignore[arg-type]
        "kernel.log_slope must be a callable or None, got int",
    ),
    (
        lambda: k.log_density(P, P, bandwidth=0.3, kernel=k.Kernel("own", np.negative, log_volume=3)),  # type: ignore[arg-type]
        "kernel.log_volume must be a callable or None, got int",
    ),
    (
        lambda: k.predict_x0(P, P, 0.0),
        "alpha_bar must be above 0 for x0 from eps, got 0 (pure noise); leave that timestep out",
    ),
    (
        lambda: k.predict_eps(P, P, 1.0),
        "alpha_bar must be below 1 for eps from x0, got 1 (no noise); leave that timestep out",
    ),
    (
        lambda: k.predict_score(P, P, np.ones((4, 1))),
        "alpha_bar must be below 1 for the score, got 1 (no noise); leave that timestep out",
    ),
    (
        lambda: k.add_noise(P, P, np.full(3, 0.5)),
        "alpha_bar must have every axis of x0, (4, 3), with 1 where the level is shared, got shape (3,); "
        "(batch, 1, 1, 1) is one level per sample",
    ),
    (
        lambda: k.NoiseSchedule(["a"]),  # type: ignore[arg-type]
        "alphas_cumprod must be a sequence of T numbers, got ['a']",
    ),
    (
        lambda: k.NoiseSchedule(np.asarray([0.5, 0.9])),
        "alphas_cumprod must be finite, strictly decreasing and in [0, 1) from t = 0 (clean) to T-1 "
        "(noise), got [0.5, 0.9]; pass the cumulative product of 1 - beta",
    ),
    (lambda: k.time_grid(5, spacing="karras"), "spacing must be one of leading, trailing, linspace, dpm, got 'karras'"),
    (
        lambda: k.time_grid(500, steps_offset=2),
        "steps_offset must leave the first timestep at most num_train_timesteps - 1 = 999, got 2 and "
        "timestep 1000; use a smaller offset or fewer steps",
    ),
    (
        sampler(k.ddim, prediction_type="eps"),
        "prediction_type must be one of epsilon, v_prediction, sample, got 'eps'",
    ),
    (
        sampler(k.ddim, schedule=ZERO_SIGNAL, timesteps=(2, 1)),
        "timesteps must have alpha_bar > 0 with prediction_type 'epsilon', which says nothing about x0 "
        "without signal, got alpha_bar = 0 at t = 2; leave it out or use a model with v_prediction",
    ),
    (
        sampler(k.dpm_solver_pp_2m, schedule=ZERO_SIGNAL, timesteps=(2, 1), prediction_type="sample"),
        "timesteps must start where alpha_bar > 0 for this solver, got 2",
    ),
    (
        sampler(k.ddim, denoiser=lambda x, t: x[:1]),
        "output of denoiser at t = 500 must have the shape of x_T, (4, 2, 3, 3), got (1, 2, 3, 3)",
    ),
    (
        sampler(k.ddim, eta=0.5),
        "noise must be noise(x_t, step) -> standard normal array with eta=0.5, got None; or eta=0",
    ),
    (
        lambda: k.merge_modes(P, bandwidth="scott"),  # type: ignore[arg-type]
        "bandwidth must be the number that the search used, got 'scott'; no end point shows it",
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
    text = "arrays must be of one library, got alpha_bar: torch, x0: numpy; convert them to one"
    assert str(caught.value) == text
    with pytest.raises(TypeError) as caught:
        sampler(k.ddim, denoiser=lambda x, t: torch.from_numpy(x))()
    assert str(caught.value).endswith("got output of denoiser at t = 500: torch, x_T: numpy; convert them to one")
    with pytest.raises(TypeError) as caught:
        k.classifier_free_guidance(P, wide, 2.0)
    assert str(caught.value).endswith("got eps_cond: numpy, eps_uncond: torch; convert them to one")
