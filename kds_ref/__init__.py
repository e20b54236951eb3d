"""Kernel Density Steering: the method as functions of arrays (NumPy, torch, any array-API library).

Ensembles of diffusion particles are moved towards the modes of their own kernel density estimate while they
are sampled (Hu et al., 2025, arXiv 2507.05604). One module per concept: `kernels`, `bandwidths`, `density`,
`mean_shift`, `patches`, `steering`, `strength_schedule`, `selection`, `guidance`, `diffusion`, `schedules`, `samplers`,
`denoisers`, `ode`, `modes`, `rivals`.
"""

from kds_ref.bandwidths import likelihood_bandwidth, median_bandwidth, scott_bandwidth, silverman_bandwidth
from kds_ref.denoisers import SteeredDenoiser, vp_denoiser
from kds_ref.density import log_density, log_density_gradient
from kds_ref.diffusion import (
    add_noise,
    predict_eps,
    predict_eps_from_v,
    predict_score,
    predict_x0,
    predict_x0_from_v,
    velocity,
)
from kds_ref.guidance import classifier_free_guidance
from kds_ref.kernels import Kernel, shadow_kernel
from kds_ref.mean_shift import mean_shift
from kds_ref.modes import MergedModes, ModeSeekingResult, blurring_mean_shift, merge_modes, seek_modes
from kds_ref.ode import ProbabilityFlowODE
from kds_ref.patches import patchify, patchify_adjoint, unpatchify
from kds_ref.rivals import density_guidance, high_density_sampling, mean_then_renoise, median_norm
from kds_ref.samplers import SamplerResult, SamplerState, ddim, dpm_solver_pp_2m, dpm_solver_pp_2s
from kds_ref.schedules import (
    NoiseSchedule,
    cosine_schedule,
    linear_schedule,
    scaled_linear_schedule,
    time_grid,
)
from kds_ref.selection import select_particle
from kds_ref.steering import SteeringInfo, steer
from kds_ref.strength_schedule import KernelDensitySteering, steering_strength

__version__ = "0.1.0"

__all__ = [
    "Kernel",
    "KernelDensitySteering",
    "MergedModes",
    "ModeSeekingResult",
    "NoiseSchedule",
    "ProbabilityFlowODE",
    "SamplerResult",
    "SamplerState",
    "SteeredDenoiser",
    "SteeringInfo",
    "add_noise",
    "blurring_mean_shift",
    "classifier_free_guidance",
    "cosine_schedule",
    "ddim",
    "density_guidance",
    "dpm_solver_pp_2m",
    "dpm_solver_pp_2s",
    "high_density_sampling",
    "likelihood_bandwidth",
    "linear_schedule",
    "log_density",
    "log_density_gradient",
    "mean_shift",
    "mean_then_renoise",
    "median_bandwidth",
    "median_norm",
    "merge_modes",
    "patchify",
    "patchify_adjoint",
    "predict_eps",
    "predict_eps_from_v",
    "predict_score",
    "predict_x0",
    "predict_x0_from_v",
    "scaled_linear_schedule",
    "scott_bandwidth",
    "seek_modes",
    "select_particle",
    "shadow_kernel",
    "silverman_bandwidth",
    "steer",
    "steering_strength",
    "time_grid",
    "unpatchify",
    "velocity",
    "vp_denoiser",
]
