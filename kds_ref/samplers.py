"""Samplers with a slot for steering: DDIM, DPM-Solver++ 2S and 2M.

KDS Eq. 4 (v1) with Algorithms 1-3, and Algorithms 4 and 5 (CR). They know neither models nor kernels: a
denoiser callable gives the prediction, a steering callable moves the predicted clean latents. Without
steering each is the plain sampler. Guidance (Algorithm 3) belongs in the denoiser.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from kds_ref._arrays import Array
from kds_ref._checks import check_callable, check_number
from kds_ref._dpm_solver import exponential_step, second_order_step
from kds_ref._sampler_run import Callback, Denoiser, Run, SamplerResult, SamplerState, Steering, VarianceNoise, start
from kds_ref.schedules import NoiseSchedule

__all__ = ["SamplerResult", "SamplerState", "ddim", "dpm_solver_pp_2m", "dpm_solver_pp_2s"]


def ddim(
    denoiser: Denoiser,
    x_T: Array,
    *,
    schedule: NoiseSchedule,
    timesteps: Sequence[int],
    steering: Steering | None = None,
    eta: float = 0.0,
    noise: VarianceNoise | None = None,
    prediction_type: str = "epsilon",
    callback: Callback | None = None,
) -> SamplerResult:
    """Sample with DDIM: KDS Eq. 4 (v1), Algorithm 1; with steering Algorithms 2 and 3.

    x_s = sqrt(alpha_bar_s) x0 + sqrt(1 - alpha_bar_s - sigma^2) eps + sigma * noise, where x0 is the steered
    prediction and eps the noise that goes with it. The last step goes to alpha_bar = 1: x = x0.

    Args:
        denoiser: (x_t, t) -> model output of the same shape; t is a training timestep (int).
        x_T: Initial noise, (..., N, *sample), any real floating dtype. It is never written to.
        schedule: Noise schedule of the model.
        timesteps: Where the model is evaluated, strictly descending; see `time_grid`. A step leads to the
            next entry.
        steering: (x0_pred, t) -> (x0_steered, info), e.g. `KernelDensitySteering`; None for the plain
            sampler.
        eta: Stochasticity in [0, 1]: 0 is deterministic (the paper), 1 has the variance of DDPM.
        noise: (x_t, step) -> standard normal array like x_t, for eta > 0. Not called where the variance is 0.
        prediction_type: What the model predicts: "epsilon", "v_prediction" or "sample".
        callback: Called with a `SamplerState` after every step.

    Returns:
        `SamplerResult` with x0 in the shape, dtype and device of x_T, and the number of model evaluations, S.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a value or shape does not fit, or the model or the steering returns NaN or infinity.

    Notes:
        Half precision is carried in float32 from step to step; the model sees the dtype of x_T. Steering that
        moves nothing gives the plain result bit for bit. With torch, call it under `torch.no_grad()`.

    Example:
        A model that knows that the data is always 2 ends there.

        >>> import numpy as np
        >>> from kds_ref import linear_schedule, time_grid
        >>> two = lambda x_t, t: 2.0 * np.ones_like(x_t)
        >>> grid = time_grid(5)
        >>> ddim(two, np.zeros((1, 3)), schedule=linear_schedule(), timesteps=grid, prediction_type="sample")
        SamplerResult(x0=array([[2., 2., 2.]]), num_model_evaluations=5)
    """
    run, x = start(denoiser, x_T, schedule, timesteps, steering, prediction_type, callback)
    eta = check_number("eta", eta, low=0.0, high=1.0)
    check_callable("noise", noise, optional=True)
    if eta > 0.0 and noise is None:
        raise ValueError(f"noise must be noise(x_t, step) -> standard normal array with eta={eta}, got None; or eta=0")

    for step in range(len(run.timesteps)):
        x0_pred, eps, x0_steered, info = run.evaluate(x, step)
        here, there = run.alpha_bars[step], run.alpha_bars[step + 1]

        sigma = eta * math.sqrt((1.0 - there) / (1.0 - here) * (1.0 - here / there))
        # max: at eta = 1 rounding may leave a tiny negative number.
        x_next = math.sqrt(there) * x0_steered + math.sqrt(max(1.0 - there - sigma * sigma, 0.0)) * eps
        if noise is not None and sigma > 0.0:
            x_next = x_next + sigma * run.variance_noise(noise, x, step)

        run.report(x, step, x0_pred, x0_steered, x_next, info)
        x = x_next
    return run.result(x)


def dpm_solver_pp_2s(
    denoiser: Denoiser,
    x_T: Array,
    *,
    schedule: NoiseSchedule,
    timesteps: Sequence[int],
    steering: Steering | None = None,
    prediction_type: str = "epsilon",
    callback: Callback | None = None,
) -> SamplerResult:
    """Sample with the second-order singlestep DPM-Solver++ (2S): KDS Algorithms 4 and 5 (CR).

    Timesteps are consumed in pairs (t_prev, s): a first-order step from t_prev to s, a model evaluation
    there, then the second-order step from t_prev to the entry after s. Steering acts on both data predictions
    of a pair. The step that ends at alpha_bar = 1 is first order; so for an even number of timesteps the last
    two steps are.

    Args:
        denoiser: (x_t, t) -> model output of the same shape; t is a training timestep (int).
        x_T: Initial noise, (..., N, *sample), any real floating dtype. It is never written to.
        schedule: Noise schedule of the model.
        timesteps: Where the model is evaluated, strictly descending, every one counted; see `time_grid` with
            spacing="dpm".
        steering: (x0_pred, t) -> (x0_steered, info), e.g. `KernelDensitySteering`; None for the plain
            sampler.
        prediction_type: What the model predicts: "epsilon", "v_prediction" or "sample".
        callback: Called with a `SamplerState` after every model evaluation; at the first of a pair x_next is
            the intermediate point at s.

    Returns:
        `SamplerResult` with x0 in the shape, dtype and device of x_T, and the number of model evaluations,
        len(timesteps).

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a value or shape does not fit, or the model or the steering returns NaN or infinity.

    Notes:
        The steps are those of diffusers' DPMSolverSinglestepScheduler with solver_order=2, lower_order_final
        and final_sigmas_type="zero". Precision and gradients as in `ddim`.

    Example:
        >>> import numpy as np
        >>> from kds_ref import linear_schedule, time_grid
        >>> two = lambda x_t, t: 2.0 * np.ones_like(x_t)
        >>> grid = time_grid(4, spacing="dpm")
        >>> dpm_solver_pp_2s(
        ...     two, np.zeros((1, 3)), schedule=linear_schedule(), timesteps=grid, prediction_type="sample"
        ... )
        SamplerResult(x0=array([[2., 2., 2.]]), num_model_evaluations=4)
    """
    run, x = _start_solver(denoiser, x_T, schedule, timesteps, steering, prediction_type, callback)
    last = len(run.timesteps) - 1
    x_prev, x0_prev = x, x

    for step in range(last + 1):
        x0_pred, _, x0_steered, info = run.evaluate(x, step)
        if step % 2 == 1 and step != last:
            # The step of the pair: from t_prev, with its data prediction and the one at s between the ends.
            x_next = second_order_step(x_prev, x0_prev, x0_steered, run.alpha_bars[step - 1 : step + 2])
        else:
            x_next = exponential_step(x, x0_steered, run.alpha_bars[step], run.alpha_bars[step + 1])
            x_prev, x0_prev = x, x0_steered

        run.report(x, step, x0_pred, x0_steered, x_next, info)
        x = x_next
    return run.result(x)


def dpm_solver_pp_2m(
    denoiser: Denoiser,
    x_T: Array,
    *,
    schedule: NoiseSchedule,
    timesteps: Sequence[int],
    steering: Steering | None = None,
    prediction_type: str = "epsilon",
    callback: Callback | None = None,
) -> SamplerResult:
    """Sample with the second-order multistep DPM-Solver++ (2M): Lu et al. 2022 (arXiv 2211.01095), Algorithm 2.

    Every step is of second order with one model evaluation: the data prediction of the step before is used
    again. Steering acts on every data prediction, so that a step extrapolates from two steered ones. The first
    step, and the last, which ends at alpha_bar = 1, are first order. The paper's solver is the singlestep one,
    `dpm_solver_pp_2s`.

    Args:
        denoiser: (x_t, t) -> model output of the same shape; t is a training timestep (int).
        x_T: Initial noise, (..., N, *sample), any real floating dtype. It is never written to.
        schedule: Noise schedule of the model.
        timesteps: Where the model is evaluated, strictly descending; see `time_grid` with spacing="dpm".
        steering: (x0_pred, t) -> (x0_steered, info), e.g. `KernelDensitySteering`; None for the plain
            sampler.
        prediction_type: What the model predicts: "epsilon", "v_prediction" or "sample".
        callback: Called with a `SamplerState` after every step.

    Returns:
        `SamplerResult` with x0 in the shape, dtype and device of x_T, and the number of model evaluations,
        len(timesteps).

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a value or shape does not fit, or the model or the steering returns NaN or infinity.

    Notes:
        The steps are those of diffusers' DPMSolverMultistepScheduler with solver_order=2, solver_type
        "midpoint", lower_order_final and final_sigmas_type="zero". Precision and gradients as in `ddim`.

    Example:
        >>> import numpy as np
        >>> from kds_ref import linear_schedule, time_grid
        >>> two = lambda x_t, t: 2.0 * np.ones_like(x_t)
        >>> grid = time_grid(4, spacing="dpm")
        >>> dpm_solver_pp_2m(
        ...     two, np.zeros((1, 3)), schedule=linear_schedule(), timesteps=grid, prediction_type="sample"
        ... )
        SamplerResult(x0=array([[2., 2., 2.]]), num_model_evaluations=4)
    """
    run, x = _start_solver(denoiser, x_T, schedule, timesteps, steering, prediction_type, callback)
    last = len(run.timesteps) - 1
    x0_before = x

    for step in range(last + 1):
        x0_pred, _, x0_steered, info = run.evaluate(x, step)
        here, there = run.alpha_bars[step], run.alpha_bars[step + 1]
        if 0 < step < last:
            # The line through this prediction and the one before, followed into the step.
            x_next = second_order_step(x, x0_steered, x0_before, (here, run.alpha_bars[step - 1], there))
        else:
            x_next = exponential_step(x, x0_steered, here, there)

        run.report(x, step, x0_pred, x0_steered, x_next, info)
        x, x0_before = x_next, x0_steered
    return run.result(x)


def _start_solver(
    denoiser: Denoiser,
    x_T: Array,
    schedule: NoiseSchedule,
    timesteps: Sequence[int],
    steering: Steering | None,
    prediction_type: str,
    callback: Callback | None,
) -> tuple[Run, Array]:
    """Check the inputs of a solver in lambda, which must be finite at the start."""
    run, x = start(denoiser, x_T, schedule, timesteps, steering, prediction_type, callback)
    if run.alpha_bars[0] == 0.0:
        raise ValueError(f"timesteps must start where alpha_bar > 0 for this solver, got {run.timesteps[0]}")
    return run, x
