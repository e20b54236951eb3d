"""One run of a sampler: its checked inputs, the evaluation of model and steering, the state for callbacks.

The evaluation serves the right-hand side of `ode` as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

from kds_ref._arrays import (
    Array,
    DType,
    Namespace,
    check_real_floating,
    check_same_device,
    check_same_shape,
    common_namespace,
    prepare,
    to_compute,
)
from kds_ref._checks import check_callable, check_integer, shown
from kds_ref._forward_process import eps_from_v, eps_from_x0, x0_from_eps, x0_from_v
from kds_ref.schedules import NoiseSchedule

Denoiser: TypeAlias = Callable[[Array, int], Array]
Steering: TypeAlias = Callable[[Array, int], tuple[Array, Any]]
VarianceNoise: TypeAlias = Callable[[Array, int], Array]


class SamplerState(NamedTuple):
    """One model evaluation, as a callback sees it. Arrays have the dtype of x_T.

    Attributes:
        step: Index of the evaluation, from 0.
        num_steps: Number of evaluations of the whole run.
        t: Training timestep at which the model was evaluated.
        alpha_bar: Cumulative alpha at t.
        x_t: What the model saw.
        x0_pred: The clean latent predicted from it.
        x0_steered: The same after steering; x0_pred where nothing was steered.
        x_next: Where the sampler goes from here; after the last evaluation the final clean latent.
        info: What the steering callable returned with it, or None.
        num_model_evaluations: Evaluations so far, this one included.
    """

    step: int
    num_steps: int
    t: int
    alpha_bar: float
    x_t: Array
    x0_pred: Array
    x0_steered: Array
    x_next: Array
    info: Any
    num_model_evaluations: int


class SamplerResult(NamedTuple):
    """End of a run.

    Attributes:
        x0: Clean latents, of the shape, dtype and device of x_T.
        num_model_evaluations: How often the denoiser was called (NFE).
    """

    x0: Array
    num_model_evaluations: int


Callback: TypeAlias = Callable[[SamplerState], object]


class Model(NamedTuple):
    """Checked model and steering, and the form that their arrays must have."""

    denoiser: Callable[[Array, Any], Array]
    steering: Callable[[Array, Any], tuple[Array, Any]] | None
    prediction_type: str
    xp: Namespace
    dtype: DType  # of x_T, which the model sees

    def evaluate(self, x: Array, t: float, alpha_bar: float) -> tuple[Array, Array, Array, Any]:
        """Call model and steering; return (x0_pred, eps, x0_steered, info) in the maths' dtype.

        eps is the model's; with steering it is the one that goes with x0_steered.
        """
        output = self.denoiser(self.to_user(x), t)
        output = self.like_state(f"output of denoiser at t = {t}", output, x)
        x0_pred, eps = _PREDICTIONS[self.prediction_type](x, output, math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar))
        if self.steering is None:
            return x0_pred, eps, x0_pred, None

        x0_steered, info = call_steering(self.steering, x0_pred, t, alpha_bar)
        x0_steered = self.like_state(f"x0_steered of steering at t = {t}", x0_steered, x)
        # (x_t - a x0_steered) / s, written as a change of eps: without a shift eps stays as it is, bit for bit.
        eps = eps - math.sqrt(alpha_bar / (1.0 - alpha_bar)) * (x0_steered - x0_pred)
        return x0_pred, eps, x0_steered, info

    def to_user(self, x: Array) -> Array:
        """To the dtype that came in."""
        return self.xp.astype(x, self.dtype, copy=False)

    def like_state(self, name: str, value: Array, x: Array) -> Array:
        """Check what a callable returned against the state; to the maths' dtype."""
        common_namespace(**{name: value, "x_T": x})
        check_same_shape(**{"x_T": x, name: value})
        check_same_device(name, value, "x_T", x)
        check_real_floating(name, value, self.xp)
        return self.xp.astype(to_compute(name, value, self.xp), x.dtype, copy=False)


def call_steering(
    steering: Callable[..., tuple[Array, Any]], x0_pred: Array, t: float, alpha_bar: float
) -> tuple[Array, Any]:
    """Call a steering callable; one whose `needs_alpha_bar` is true gets the noise level, too."""
    if getattr(steering, "needs_alpha_bar", False):
        return steering(x0_pred, t, alpha_bar=alpha_bar)
    return steering(x0_pred, t)


class Run(NamedTuple):
    """Checked inputs of a sampler: what does not change from step to step."""

    model: Model
    callback: Callback | None
    timesteps: tuple[int, ...]
    alpha_bars: tuple[float, ...]  # one per timestep, then 1.0: the last transition ends at clean data

    def evaluate(self, x: Array, step: int) -> tuple[Array, Array, Array, Any]:
        """Call model and steering at a step of the grid: see `Model.evaluate`."""
        return self.model.evaluate(x, self.timesteps[step], self.alpha_bars[step])

    def report(self, x: Array, step: int, x0_pred: Array, x0_steered: Array, x_next: Array, info: Any) -> None:
        """Hand the state of one evaluation to the callback."""
        if self.callback is None:
            return

        state = SamplerState(
            step=step,
            num_steps=len(self.timesteps),
            t=self.timesteps[step],
            alpha_bar=self.alpha_bars[step],
            x_t=self.model.to_user(x),
            x0_pred=self.model.to_user(x0_pred),
            x0_steered=self.model.to_user(x0_steered),
            x_next=self.model.to_user(x_next),
            info=info,
            num_model_evaluations=step + 1,
        )

        self.callback(state)

    def variance_noise(self, noise: VarianceNoise, x: Array, step: int) -> Array:
        """Draw the noise of a stochastic step."""
        drawn = noise(self.model.to_user(x), step)
        return self.model.like_state(f"noise at step {step}", drawn, x)

    def result(self, x: Array) -> SamplerResult:
        """The end of the run."""
        return SamplerResult(self.model.to_user(x), len(self.timesteps))


def start(
    denoiser: Denoiser,
    x_T: Array,
    schedule: NoiseSchedule,
    timesteps: Sequence[int],
    steering: Steering | None,
    prediction_type: str,
    callback: Callback | None,
) -> tuple[Run, Array]:
    """Check the inputs of a sampler; return them and x_T in the maths' dtype."""
    model, x = check_model(denoiser, x_T, schedule, steering, prediction_type)
    check_callable("callback", callback, optional=True)
    grid = _check_timesteps(timesteps, schedule)
    alpha_bars = tuple(float(schedule.alphas_cumprod[t]) for t in grid)
    if alpha_bars[0] == 0.0 and prediction_type == "epsilon":
        raise ValueError(
            f"timesteps must have alpha_bar > 0 with prediction_type 'epsilon', which says nothing about x0 without "
            f"signal, got alpha_bar = 0 at t = {grid[0]}; leave it out or use a model with v_prediction"
        )
    return Run(model, callback, grid, (*alpha_bars, 1.0)), x


def check_model(
    denoiser: Callable[[Array, Any], Array],
    x_T: Array,
    schedule: NoiseSchedule,
    steering: Callable[[Array, Any], tuple[Array, Any]] | None,
    prediction_type: str,
) -> tuple[Model, Array]:
    """Check what samplers and ODE have in common; return it and x_T in the maths' dtype."""
    xp, dtype, (x,) = prepare(x_T=x_T)
    check_callable("denoiser", denoiser)
    check_callable("steering", steering, optional=True)
    if not isinstance(schedule, NoiseSchedule):
        raise TypeError(f"schedule must be a NoiseSchedule, e.g. linear_schedule(), got {type(schedule).__name__}")
    if not isinstance(prediction_type, str) or prediction_type not in _PREDICTIONS:
        raise ValueError(f"prediction_type must be one of {', '.join(_PREDICTIONS)}, got {shown(prediction_type)}")
    return Model(denoiser, steering, prediction_type, xp, dtype), x


def _check_timesteps(timesteps: object, schedule: NoiseSchedule) -> tuple[int, ...]:
    if not isinstance(timesteps, Iterable):
        raise TypeError(f"timesteps must be a sequence of integers, got {type(timesteps).__name__}; see time_grid")
    last = schedule.num_train_timesteps - 1
    grid = tuple(check_integer("timesteps", t, low=0, high=last) for t in timesteps)
    if not grid or any(a <= b for a, b in pairwise(grid)):
        raise ValueError(f"timesteps must be at least one and strictly descend, got {shown(grid)}; see time_grid")
    return grid


def _from_eps(x: Array, eps: Array, a: float, s: float) -> tuple[Array, Array]:
    return x0_from_eps(x, eps, a, s), eps


def _from_v(x: Array, v: Array, a: float, s: float) -> tuple[Array, Array]:
    return x0_from_v(x, v, a, s), eps_from_v(x, v, a, s)


def _from_sample(x: Array, x0: Array, a: float, s: float) -> tuple[Array, Array]:
    return x0, eps_from_x0(x, x0, a, s)


# (x_t, model output, sqrt(alpha_bar), sqrt(1 - alpha_bar)) -> (x0_pred, eps)
_PREDICTIONS: dict[str, Callable[[Array, Array, float, float], tuple[Array, Array]]] = {
    "epsilon": _from_eps,
    "v_prediction": _from_v,
    "sample": _from_sample,
}
