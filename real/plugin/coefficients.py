"""The predicted clean latent as diffusers' schedulers compute it: x0 = a * sample + b * model_output.

One function per family of schedulers gives a and b from the scheduler's own state, for the model evaluation that the
next call of `step` will use; for DDIM and noise prediction they are KDS Eq. 6 (v1). `families` says which class
belongs to which; `rewrite` uses the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import torch

__all__ = ["Coefficients"]

Arguments: TypeAlias = Mapping[str, Any]  # of one call of `step`, by name
Scheduler: TypeAlias = Any  # diffusers' own annotations are not followed


class Coefficients(NamedTuple):
    """What one call of `step` makes of the model output.

    Attributes:
        a: Factor of the sample: a number, or a tensor that broadcasts to it.
        b: Factor of the model output, likewise.
        noise: sigma / sqrt(alpha^2 + sigma^2), with alpha and sigma the factors of clean latent and noise in the
            sample: from 0 (clean) to 1 (noise only). For variance-preserving schedulers sqrt(1 - alpha_bar). Where
            tokens differ, of the noisiest; None where it is not known (a probed class).
        time: t/T in [0, 1] with T the end of the scale of the scheduler's timesteps (the number of training steps);
            None where that scale has no end.
    """

    a: float | torch.Tensor
    b: float | torch.Tensor
    noise: float | None
    time: float | None


def _noise(alpha: float, sigma: float) -> float:
    return sigma / math.hypot(alpha, sigma)


def _time(scheduler: Scheduler, arguments: Arguments) -> float:
    return _number(arguments["timestep"]) / float(scheduler.config.num_train_timesteps)


def _number(value: Any) -> float:
    """A Python number from a number or a tensor of equal numbers (some pipelines give one timestep a row)."""
    return float(value.flatten()[0]) if isinstance(value, torch.Tensor) else float(value)


def _prediction_type(scheduler: Scheduler) -> str:
    return str(scheduler.config.get("prediction_type", "epsilon"))  # PNDM, RePaint and others always predict noise


def from_prediction(kind: str, alpha: float, sigma: float, flow_sigma: float | None = None) -> tuple[float, float]:
    """(a, b) of a sample alpha * x0 + sigma * noise, by what the model predicts."""
    if kind == "epsilon":
        if alpha == 0.0:
            return math.inf, -math.inf  # refused by `rewrite`, if it comes to steering there
        return 1.0 / alpha, -sigma / alpha
    if kind == "v_prediction":
        return alpha, -sigma
    if kind in ("sample", "original_sample"):
        return 0.0, 1.0
    if kind == "flow_prediction":
        return 1.0, -(sigma if flow_sigma is None else flow_sigma)
    raise ValueError(
        f"prediction_type is {kind!r}; known: epsilon, v_prediction, sample, original_sample, flow_prediction"
    )


def vp_timestep(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """Variance preserving, alpha_bar by the timestep that the model saw."""
    alpha_bar = float(scheduler.alphas_cumprod[int(_number(arguments["timestep"]))])
    alpha, sigma = math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar)
    a, b = from_prediction(_prediction_type(scheduler), alpha, sigma)
    return Coefficients(a, b, _noise(alpha, sigma), _time(scheduler, arguments))


def vp_sigma(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """Variance preserving (or flow, with use_flow_sigmas), by sigmas[step_index]."""
    level = float(scheduler.sigmas[scheduler.step_index])
    alpha, sigma = map(float, scheduler._sigma_to_alpha_sigma_t(torch.tensor(level, dtype=torch.float64)))
    a, b = from_prediction(_prediction_type(scheduler), alpha, sigma, flow_sigma=level)
    return Coefficients(a, b, _noise(alpha, sigma), _time(scheduler, arguments))


def _variance_exploding(scheduler: Scheduler, arguments: Arguments, sigma: float) -> Coefficients:
    kind, scale = _prediction_type(scheduler), 1.0 / math.hypot(sigma, 1.0)
    # v belongs to the variance-preserving sample, which is this one times `scale`.
    a, b = (scale * scale, -sigma * scale) if kind == "v_prediction" else from_prediction(kind, 1.0, sigma)
    # Timesteps of v-prediction models with continuous time are log(sigma) / 4: no scale with an end.
    continuous = scheduler.config.get("timestep_type") == "continuous" and kind == "v_prediction"
    return Coefficients(a, b, _noise(1.0, sigma), None if continuous else _time(scheduler, arguments))


def ve_sigma(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """Variance exploding, by sigmas[step_index]; in Heun's method this holds for both stages."""
    return _variance_exploding(scheduler, arguments, float(scheduler.sigmas[scheduler.step_index]))


def kdpm2(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """Variance exploding; the second stage sees the interpolated sigma."""
    sigmas = scheduler.sigmas if scheduler.state_in_first_order else scheduler.sigmas_interpol
    return _variance_exploding(scheduler, arguments, float(sigmas[scheduler.step_index]))


def kdpm2_ancestral(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """As `kdpm2`, with the interpolated sigma one entry earlier."""
    index, first = scheduler.step_index, scheduler.state_in_first_order
    sigma = scheduler.sigmas[index] if first else scheduler.sigmas_interpol[index - 1]
    return _variance_exploding(scheduler, arguments, float(sigma))


def dpm_sde(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """Variance exploding; the second stage sees the geometric mean of the sigmas at both ends of the step."""
    index = scheduler.step_index
    sigma = float(scheduler.sigmas[index])
    if not scheduler.state_in_first_order:
        sigma = math.sqrt(float(scheduler.sigmas[index - 1]) * sigma)
    return _variance_exploding(scheduler, arguments, sigma)


def _preconditioned(scheduler: Scheduler) -> tuple[float, float, float]:
    """(c_skip, c_out, sigma) of Karras et al. 2022 (arXiv 2206.00364), Table 1; v-prediction flips the sign."""
    sigma, data = float(scheduler.sigmas[scheduler.step_index]), float(scheduler.config.sigma_data)
    total = sigma * sigma + data * data
    sign = -1.0 if _prediction_type(scheduler) == "v_prediction" else 1.0
    return data * data / total, sign * sigma * data / math.sqrt(total), sigma


def edm(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """EDM preconditioning; timesteps are log(sigma) / 4."""
    a, b, sigma = _preconditioned(scheduler)
    return Coefficients(a, b, _noise(1.0, sigma), None)


def cosine(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """EDM preconditioning; timesteps are the angle of the noise, in quarter turns: T is 1."""
    a, b, sigma = _preconditioned(scheduler)
    return Coefficients(a, b, _noise(1.0, sigma), _number(arguments["timestep"]))


def _flow(sigma: float | torch.Tensor, time: float | None) -> Coefficients:
    largest = float(sigma.max()) if isinstance(sigma, torch.Tensor) else sigma
    return Coefficients(1.0, -sigma, _noise(1.0 - largest, largest), time)


def flow(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """Flow matching by sigmas[step_index], or by token where the pipeline gives per_token_timesteps (B, L)."""
    tokens = arguments.get("per_token_timesteps")
    if tokens is not None:
        return _flow((tokens / scheduler.config.num_train_timesteps)[..., None], _time(scheduler, arguments))
    return _flow(float(scheduler.sigmas[scheduler.step_index]), _time(scheduler, arguments))


def flow_map(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """Flow matching where timesteps off the schedule are allowed: sigma = t/T there."""
    index = scheduler.index_for_timestep(arguments["timestep"])
    time = _time(scheduler, arguments)
    return _flow(time if index is None else _number(scheduler.sigmas[index]), time)


def helios(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """Flow matching (Euler) or UniPC, as the configuration says."""
    if scheduler.config.scheduler_type == "euler":
        return flow(scheduler, arguments)
    return vp_sigma(scheduler, arguments)


def helios_dmd(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """Flow matching, with the sigmas that the pipeline hands to `step`."""
    nearest = (arguments["dmd_timesteps"].double() - int(_number(arguments["timestep"]))).abs().argmin()
    return _flow(float(arguments["dmd_sigmas"][nearest]), _time(scheduler, arguments))


def minimax(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """Flow matching with timesteps 1 - sigma and the velocity towards the data."""
    sigma = 1.0 - _number(arguments["timestep"])
    return _flow(sigma, sigma)._replace(b=sigma)


def trig(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """TrigFlow: angles from pi/2 to 0."""
    angle = float(scheduler.timesteps[scheduler.step_index])
    return Coefficients(math.cos(angle), -math.sin(angle), math.sin(angle), min(angle / (math.pi / 2), 1.0))


def ipndm(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """IPNDM: alphas and betas are cosine and sine; T is 1. Where alpha is 0 the model output is not used: b = 0."""
    index = scheduler.step_index
    alpha, beta = float(scheduler.alphas[index]), float(scheduler.betas[index])
    return Coefficients(alpha, -beta if alpha > 1e-6 else 0.0, _noise(alpha, beta), _number(arguments["timestep"]))


def consistency(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """Consistency models, with the boundary condition at sigma_min."""
    sigma = float(scheduler.sigmas[scheduler.step_index])
    smallest, data = float(scheduler.config.sigma_min), float(scheduler.config.sigma_data)
    skip = data * data / ((sigma - smallest) ** 2 + data * data)
    return Coefficients(skip, (sigma - smallest) * data / math.hypot(sigma, data), _noise(1.0, sigma), None)


def consistency_decoder(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """The consistency decoder's tables, by timestep."""
    t = int(_number(arguments["timestep"]))
    alpha, sigma = float(scheduler.sqrt_alphas_cumprod[t]), float(scheduler.sqrt_one_minus_alphas_cumprod[t])
    time = _time(scheduler, arguments)
    return Coefficients(float(scheduler.c_skip[t]), float(scheduler.c_out[t]), _noise(alpha, sigma), time)


def wuerstchen(scheduler: Scheduler, arguments: Arguments) -> Coefficients:
    """Variance preserving in continuous time from 1 to 0, noise prediction."""
    t = torch.tensor(_number(arguments["timestep"]))
    alpha_bar = float(scheduler._alpha_cumprod(t, t.device))
    alpha, sigma = math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar)
    return Coefficients(*from_prediction("epsilon", alpha, sigma), _noise(alpha, sigma), float(t))
