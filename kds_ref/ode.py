"""Steering as an ordinary differential equation: KDS Eq. 3 (CR), for scipy.integrate.solve_ivp.

The samplers are discretisations of this equation, and converge to its solution. Nothing here integrates; scipy
is not imported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from kds_ref._arrays import Array, check_same_shape, prepare, to_numpy
from kds_ref._sampler_run import Model, check_model
from kds_ref.schedules import NoiseSchedule

__all__ = ["ProbabilityFlowODE"]


@dataclass(frozen=True, eq=False)
class ProbabilityFlowODE:
    """Right-hand side of the probability-flow ODE, plain or steered: KDS Eq. 3 (CR).

    dz/dt = f(t) z - g(t)^2 / 2 * ((1 - delta) s + delta * s_tilde), with f = -beta / 2 and g^2 = beta. s is the
    score at the predicted clean latent z0, s_tilde the score at z0 + m, so that the bracket is the score at
    the steered latent z0 + delta * m; see `predict_score`. An instance is the callable (t, y) -> dy/dt that
    solve_ivp takes. y is the state as a flat float64 vector.

    Time is the training timestep as a real number in [0, T-1]. Sampling goes from large to small t. beta(t)
    and alpha_bar(t) are those of `NoiseSchedule.continuous_beta` and `continuous_alpha_bar`. At integers that is
    the level of the timestep, so that samplers on any grid of timesteps approximate this equation. Their last
    step, from the last timestep to clean data, is no part of it: it is `predict_x0`.

    Args:
        denoiser: (x_t, t) -> model output of the same shape; t is a float. A model for integers only has to be
            told what to do between them.
        x_T: Where to start, (..., N, *sample), any real floating dtype. The arrays that denoiser and steering
            see have its shape, dtype and device.
        schedule: Noise schedule of the model.
        steering: (x0_pred, t) -> (x0_steered, info), e.g. `KernelDensitySteering`; None for the plain ODE.
        prediction_type: What the model predicts: "epsilon", "v_prediction" or "sample".

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If a value or shape does not fit, or the model or the steering returns NaN or infinity.

    Notes:
        Every call evaluates the model once for the whole ensemble, whose particles interact. x_T of float32
        limits the precision to that of float32, whatever rtol says. A solver needs a smooth right-hand side for
        its order; the cut-off of `KernelDensitySteering` is a jump: integrate up to it, then from it. With
        torch, solve under `torch.no_grad()`.

    Example:
        Data N(0, 0.5^2): the solution is a scaling by the ratio of the standard deviations of the noised data.

        >>> import numpy as np
        >>> from scipy.integrate import solve_ivp
        >>> from kds_ref import linear_schedule
        >>> schedule = linear_schedule()
        >>> def variance(t):
        ...     return 1.0 - 0.75 * schedule.continuous_alpha_bar(t)
        >>> def denoiser(x_t, t):
        ...     return np.sqrt(1.0 - schedule.continuous_alpha_bar(t)) * x_t / variance(t)
        >>> x_T = np.asarray([[-1.0], [2.0]])
        >>> ode = ProbabilityFlowODE(denoiser, x_T, schedule=schedule)
        >>> solution = solve_ivp(ode, (999.0, 0.0), ode.flatten(x_T), rtol=1e-8, atol=1e-8)
        >>> scale = np.sqrt(variance(0) / variance(999))
        >>> np.allclose(ode.unflatten(solution.y[:, -1]), scale * x_T, rtol=1e-5)
        True
    """

    denoiser: Callable[[Array, float], Array]
    x_T: Array
    _: KW_ONLY
    schedule: NoiseSchedule
    steering: Callable[[Array, float], tuple[Array, Any]] | None = None
    prediction_type: str = "epsilon"
    _model: Model = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check the arguments now, not inside the solver."""
        model, _ = check_model(self.denoiser, self.x_T, self.schedule, self.steering, self.prediction_type)
        object.__setattr__(self, "_model", model)

    def __call__(self, t: float, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """dy/dt at time t for the flat state y, (size of x_T,)."""
        beta, alpha_bar = self.schedule.continuous_beta(t), self.schedule.continuous_alpha_bar(t)
        x = self._state(y)
        _, eps, _, _ = self._model.evaluate(x, float(t), alpha_bar)
        score = -eps / math.sqrt(1.0 - alpha_bar)
        drift = -0.5 * beta * x - 0.5 * beta * score  # f z - g^2/2 score
        return np.reshape(to_numpy(drift, self._model.xp), (-1,))

    def flatten(self, x: Array) -> NDArray[np.float64]:
        """Flat float64 state of an array like x_T."""
        xp, _, (x_,) = prepare(x=x)
        check_same_shape(x_T=self.x_T, x=x_)
        return np.reshape(to_numpy(x_, xp), (-1,))

    def unflatten(self, y: NDArray[np.float64]) -> Array:
        """Array of the shape, dtype and device of x_T for a flat state."""
        return self._model.to_user(self._state(y))

    def predict_x0(self, t: float, y: NDArray[np.float64]) -> Array:
        """Steered prediction of the clean latents at time t, like x_T: the samplers' last step from a state."""
        alpha_bar = self.schedule.continuous_alpha_bar(t)
        _, _, x0_steered, _ = self._model.evaluate(self._state(y), float(t), alpha_bar)
        return self._model.to_user(x0_steered)

    def _state(self, y: NDArray[np.float64]) -> Array:
        """Flat state -> array like x_T, in the maths' dtype."""
        size = math.prod(self.x_T.shape)
        values = np.asarray(y)
        if values.dtype.kind != "f":
            raise TypeError(f"y must be a flat state of real floating numbers, got dtype {values.dtype}; see flatten")
        if values.shape != (size,):
            raise ValueError(
                f"y must be the flat state of x_T {tuple(self.x_T.shape)}, shape ({size},), got {values.shape}"
            )
        if not np.all(np.isfinite(values)):
            raise ValueError(f"y must hold finite numbers, got NaN or infinity in shape {values.shape}")

        xp, x_T = self._model.xp, self.x_T
        # A copy, since the solver may write to y later; narrowed here, since not every device has float64.
        precision = np.float64 if xp.finfo(x_T.dtype).bits > 32 else np.float32
        shaped = np.array(np.reshape(values, tuple(x_T.shape)), dtype=precision)
        return xp.asarray(shaped, device=array_api_compat.device(x_T))
