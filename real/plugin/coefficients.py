"""The predicted clean latent as diffusers' schedulers compute it: x0 = c_skip * sample + c_out * model_output, bounded.

One function per family of schedulers reads the two factors off the scheduler's own state, for the model evaluation that
the next call of `step` will use; for DDIM and noise prediction they are KDS Eq. 6 (v1). `schedulers` says which class
belongs to which family; `step` uses the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from real.plugin.call import Call

__all__ = ["Coefficients", "bound_of"]

Bound = Callable[[torch.Tensor], torch.Tensor]


class Coefficients(NamedTuple):
    """What one call of `step` makes of the model output.

    Attributes:
        c_skip: Factor of the sample: a number, or a tensor that broadcasts to it.
        c_out: Factor of the model output, likewise.
        noise: sigma / sqrt(alpha^2 + sigma^2), with alpha and sigma the factors of clean latent and noise in the
            sample: from 0 (clean) to 1 (noise only). For variance-preserving schedulers sqrt(1 - alpha_bar). Where
            tokens differ, that of the noisiest, as a tensor; None where it is not known (a probed class).
        time: t/T in [0, 1] with T the end of the scale of the scheduler's timesteps (the number of training steps);
            None where that scale has no end.
    """

    c_skip: float | torch.Tensor
    c_out: float | torch.Tensor
    noise: float | torch.Tensor | None
    time: float | None


def bound_of(scheduler: Any) -> Bound | None:
    """What the configuration asks `step` to do to its x0: dynamic thresholding, clipping, or nothing."""
    config = scheduler.config
    if config.get("thresholding"):
        # UniPC and Helios threshold a predicted clean sample only, not a predicted noise
        threshold: Bound = scheduler._threshold_sample
        return threshold if config.get("predict_x0", True) else None
    if config.get("clip_sample") or config.get("clip_denoised"):
        limit = float(config.get("clip_sample_range", 1.0))
        return lambda x0: x0.clamp(-limit, limit)
    return None


def _noise(alpha: float, sigma: float) -> float:
    return sigma / math.hypot(alpha, sigma)


def _prediction_type(call: Call) -> str:
    return str(call.config.get("prediction_type", "epsilon"))  # PNDM, RePaint and others always predict noise


def from_prediction(kind: str, alpha: float, sigma: float, flow_sigma: float | None = None) -> tuple[float, float]:
    """(c_skip, c_out) of a sample alpha * x0 + sigma * noise, by what the model predicts."""
    if kind == "epsilon":
        if alpha == 0.0:
            return math.inf, -math.inf  # refused by `step`, if it comes to steering there
        return 1.0 / alpha, -sigma / alpha
    if kind == "v_prediction":
        return alpha, -sigma
    if kind in ("sample", "original_sample"):
        return 0.0, 1.0
    if kind == "flow_prediction":
        return 1.0, -(sigma if flow_sigma is None else flow_sigma)
    known = "epsilon, v_prediction, sample, original_sample, flow_prediction"
    raise ValueError(f"prediction_type must be one of {known}, got {kind!r}")


def vp_timestep(call: Call) -> Coefficients:
    """Variance preserving, alpha_bar by the timestep that the model saw."""
    alpha_bar = call.read("alphas_cumprod", int(call.t))
    alpha, sigma = math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar)
    return Coefficients(*from_prediction(_prediction_type(call), alpha, sigma), _noise(alpha, sigma), call.time)


def vp_sigma(call: Call) -> Coefficients:
    """Variance preserving (or flow, with use_flow_sigmas), by sigmas[step_index]."""
    level = call.read("sigmas")
    wide = torch.tensor(level, dtype=torch.float64, device="cpu")
    alpha, sigma = map(float, call.scheduler._sigma_to_alpha_sigma_t(wide))
    factors = from_prediction(_prediction_type(call), alpha, sigma, flow_sigma=level)
    return Coefficients(*factors, _noise(alpha, sigma), call.time)


def _variance_exploding(call: Call, sigma: float) -> Coefficients:
    kind, scale = _prediction_type(call), 1.0 / math.hypot(sigma, 1.0)
    # v belongs to the variance-preserving sample, which is this one times `scale`.
    factors = (scale * scale, -sigma * scale) if kind == "v_prediction" else from_prediction(kind, 1.0, sigma)
    # Timesteps of v-prediction models with continuous time are log(sigma) / 4: no scale with an end.
    continuous = call.config.get("timestep_type") == "continuous" and kind == "v_prediction"
    return Coefficients(*factors, _noise(1.0, sigma), None if continuous else call.time)


def ve_sigma(call: Call) -> Coefficients:
    """Variance exploding, by sigmas[step_index]; in Heun's method this holds for both stages."""
    return _variance_exploding(call, call.read("sigmas"))


def kdpm2(call: Call) -> Coefficients:
    """Variance exploding; the second stage sees the interpolated sigma."""
    return _variance_exploding(call, call.read("sigmas" if call.scheduler.state_in_first_order else "sigmas_interpol"))


def kdpm2_ancestral(call: Call) -> Coefficients:
    """Like `kdpm2`, with the interpolated sigma one entry earlier."""
    first = call.scheduler.state_in_first_order
    sigma = call.read("sigmas") if first else call.read("sigmas_interpol", call.index - 1)
    return _variance_exploding(call, sigma)


def dpm_sde(call: Call) -> Coefficients:
    """Variance exploding; the second stage sees the geometric mean of the sigmas at both ends of the step."""
    sigma = call.read("sigmas")
    if not call.scheduler.state_in_first_order:
        sigma = math.sqrt(call.read("sigmas", call.index - 1) * sigma)
    return _variance_exploding(call, sigma)


def _preconditioned(call: Call) -> tuple[float, float, float]:
    """(c_skip, c_out, noise) of Karras et al. 2022 (arXiv 2206.00364), Table 1; v-prediction flips the sign."""
    sigma, data = call.read("sigmas"), float(call.config.sigma_data)
    total = sigma * sigma + data * data
    sign = -1.0 if _prediction_type(call) == "v_prediction" else 1.0
    return data * data / total, sign * sigma * data / math.sqrt(total), _noise(1.0, sigma)


def edm(call: Call) -> Coefficients:
    """EDM preconditioning; timesteps are log(sigma) / 4."""
    return Coefficients(*_preconditioned(call), None)


def cosine(call: Call) -> Coefficients:
    """EDM preconditioning; timesteps are the angle of the noise, in quarter turns: T is 1."""
    return Coefficients(*_preconditioned(call), call.t)


def _flow(sigma: float, time: float | None) -> Coefficients:
    return Coefficients(1.0, -sigma, _noise(1.0 - sigma, sigma), time)


def flow(call: Call) -> Coefficients:
    """Flow matching by sigmas[step_index], or by token where the pipeline gives per_token_timesteps (B, L)."""
    tokens = call.arguments.get("per_token_timesteps")
    if tokens is None:
        return _flow(call.read("sigmas"), call.time)
    sigma = (tokens / call.config.num_train_timesteps)[..., None]
    noisiest = sigma.max()
    return Coefficients(1.0, -sigma, noisiest / torch.hypot(1.0 - noisiest, noisiest), call.time)


def flow_map(call: Call) -> Coefficients:
    """Flow matching where timesteps off the schedule are allowed: sigma = t/T there."""
    grid = call.table("timesteps")
    apart = (grid.float() - call.t).abs()
    nearest = int(apart.argmin())
    return _flow(call.time if float(apart[nearest]) > 1e-3 else call.read("sigmas", nearest), call.time)


def helios(call: Call) -> Coefficients:
    """Flow matching (Euler) or UniPC, as the configuration says."""
    return flow(call) if call.config.scheduler_type == "euler" else vp_sigma(call)


def helios_dmd(call: Call) -> Coefficients:
    """Flow matching, with the sigmas that the pipeline hands to `step`."""
    nearest = int((call.table("dmd_timesteps").double() - int(call.t)).abs().argmin())
    return _flow(call.read("dmd_sigmas", nearest), call.time)


def trig(call: Call) -> Coefficients:
    """TrigFlow: angles from pi/2 to 0."""
    angle = call.read("timesteps")
    return Coefficients(math.cos(angle), -math.sin(angle), math.sin(angle), min(angle / (math.pi / 2), 1.0))


def ipndm(call: Call) -> Coefficients:
    """IPNDM: alphas and betas are cosine and sine; T is 1. Where alpha is 0 the model output is not used: c_out = 0."""
    alpha, beta = call.read("alphas"), call.read("betas")
    return Coefficients(alpha, -beta if alpha > 1e-6 else 0.0, _noise(alpha, beta), call.t)


def consistency(call: Call) -> Coefficients:
    """Consistency models, with the boundary condition at sigma_min."""
    sigma = call.read("sigmas")
    smallest, data = float(call.config.sigma_min), float(call.config.sigma_data)
    skip = data * data / ((sigma - smallest) ** 2 + data * data)
    return Coefficients(skip, (sigma - smallest) * data / math.hypot(sigma, data), _noise(1.0, sigma), None)


def consistency_decoder(call: Call) -> Coefficients:
    """The consistency decoder's tables, by timestep."""
    t = int(call.t)
    alpha, sigma = call.read("sqrt_alphas_cumprod", t), call.read("sqrt_one_minus_alphas_cumprod", t)
    return Coefficients(call.read("c_skip", t), call.read("c_out", t), _noise(alpha, sigma), call.time)


def wuerstchen(call: Call) -> Coefficients:
    """Variance preserving in continuous time from 1 to 0, noise prediction."""
    t = torch.tensor(call.t, dtype=torch.float32, device="cpu")
    alpha_bar = float(call.scheduler._alpha_cumprod(t, t.device))
    alpha, sigma = math.sqrt(alpha_bar), math.sqrt(1.0 - alpha_bar)
    return Coefficients(*from_prediction("epsilon", alpha, sigma), _noise(alpha, sigma), float(t))
