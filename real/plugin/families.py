"""Which scheduler of diffusers belongs to which family of coefficients, and which cannot be steered, with the reason.

`carrier` asks here before it wraps a scheduler. A class that is not in the table is probed with its own step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch

from real.plugin import coefficients as c
from real.plugin.coefficients import Arguments, Coefficients, Scheduler
from real.plugin.probe import probe, try_probe

__all__ = ["REFUSED", "SUPPORTED", "Family", "checked_family", "family_of"]


def _index(scheduler: Scheduler, arguments: Arguments) -> tuple[int, int]:
    index, count = getattr(scheduler, "step_index", None), len(scheduler.timesteps)
    return (_nearest(scheduler, arguments) if index is None else int(index)), count


def _nearest(scheduler: Scheduler, arguments: Arguments) -> int:
    t = arguments["timestep"]
    t = t.flatten()[0] if isinstance(t, torch.Tensor) else t
    return int((scheduler.timesteps - t).abs().argmin())


def _one_less(scheduler: Scheduler, arguments: Arguments) -> tuple[int, int]:
    index, count = _index(scheduler, arguments)  # the last timestep is where the last step ends
    return index, count - 1


def _counter(scheduler: Scheduler, arguments: Arguments) -> tuple[int, int]:
    return scheduler.counter, len(scheduler.timesteps)  # a timestep occurs twice


def _given(scheduler: Scheduler, arguments: Arguments) -> tuple[int, int]:
    return arguments["cur_sampling_step"], len(arguments["all_timesteps"])


def _init_step_index(scheduler: Scheduler, timestep: Any) -> None:
    if getattr(scheduler, "step_index", 0) is None:
        scheduler._init_step_index(timestep)


def _start_at_zero(scheduler: Scheduler, timestep: Any) -> None:
    if scheduler.step_index is None:
        scheduler._step_index = 0


def _minimax_start(scheduler: Scheduler, timestep: Any) -> None:
    if scheduler.step_index is None:
        begin = scheduler._begin_index
        scheduler._step_index = scheduler.index_for_timestep(timestep) if begin is None else begin


def _nothing(scheduler: Scheduler, timestep: Any) -> None:
    """The step index plays no part."""


def _piflow_start(scheduler: Scheduler, timestep: Any) -> None:
    scheduler._step_index_for(timestep)


USUAL: Mapping[int, str] = MappingProxyType({1: "C", 2: "LC", 3: "CHW", 4: "CFHW"})


@dataclass(frozen=True)
class Family:
    """What the plug-in knows of a class of schedulers.

    Attributes:
        name: Of the family, for the documentation.
        formula: a and b in words, for the documentation.
        coefficients: (scheduler, arguments of step) -> `Coefficients` of this call.
        bounded: Whether `step` clips or thresholds x0 where the configuration asks for it.
        churns: Whether `step` adds noise to the sample before it predicts x0 (s_churn).
        start: Sets the step index as `step` would, where it is not set yet.
        position: (scheduler, arguments) -> index of this call in the run, and the number of calls.
        axes: Axes of one sample by their number; see `Ensemble`.
        scale: What `cutoff_in="timestep"` means here, for the documentation: "t/T", or "steps" where the timesteps
            have no end T.
        jumps: Whether a run goes back to noisier timesteps in between, so that its last call cannot be told.
        grid: Name of the attribute with the number of predictions that lie behind each other in the channels of one
            model output, or None.
    """

    name: str
    formula: str
    coefficients: Callable[[Scheduler, Arguments], Coefficients]
    bounded: bool = False
    churns: bool = False
    start: Callable[[Scheduler, Any], None] = _init_step_index
    position: Callable[[Scheduler, Arguments], tuple[int, int]] = _index
    axes: Mapping[int, str] = field(default_factory=lambda: USUAL)
    scale: str = "t/T"
    jumps: bool = False
    grid: str | None = None


VP = "eps: 1/α, -σ/α; v: α, -σ; sample: 0, 1"
VE = "eps: 1, -s; v: 1/(s²+1), -s/√(s²+1); sample: 0, 1"
EDM = "c_skip, c_out (v: -c_out)"
FRAMES_FIRST = MappingProxyType({3: "CHW", 4: "FCHW"})
CHANNELS_FIRST = MappingProxyType({2: "CL", 3: "CHW", 4: "CFHW"})
CHANNELS_LAST = MappingProxyType({2: "LC", 3: "HWC", 4: "FHWC"})


def _vp(*, bounded: bool = False, **options: Any) -> Family:
    return Family("variance preserving, by timestep", VP, c.vp_timestep, bounded, **options)


def _ve(coefficients: Any = c.ve_sigma, *, bounded: bool = False, churns: bool = False) -> Family:
    return Family("variance exploding, by sigma", VE, coefficients, bounded, churns)


def _flow(coefficients: Any = c.flow, *, formula: str = "1, -σ", churns: bool = False, **options: Any) -> Family:
    return Family("flow matching", formula, coefficients, churns=churns, **options)


_SOLVER = Family("variance preserving, by sigma", VP + "; flow: 1, -σ", c.vp_sigma, bounded=True)

SUPPORTED: dict[str, Family] = {
    "DDIMScheduler": _vp(bounded=True),
    "DDIMParallelScheduler": _vp(bounded=True),
    "CogVideoXDDIMScheduler": _vp(axes=FRAMES_FIRST),
    "CogVideoXDPMScheduler": _vp(axes=FRAMES_FIRST),
    "DDPMScheduler": _vp(bounded=True),
    "DDPMParallelScheduler": _vp(bounded=True),
    "PNDMScheduler": _vp(position=_counter),
    "LCMScheduler": _vp(bounded=True),
    "TCDScheduler": _vp(),
    "UnCLIPScheduler": _vp(bounded=True),
    "RePaintScheduler": _vp(bounded=True, jumps=True),
    "DDPMWuerstchenScheduler": Family(
        "variance preserving, in continuous time", "eps: 1/α, -σ/α", c.wuerstchen, position=_one_less
    ),
    "DPMSolverMultistepScheduler": _SOLVER,
    "DPMSolverSinglestepScheduler": _SOLVER,
    "DEISMultistepScheduler": _SOLVER,
    "UniPCMultistepScheduler": _SOLVER,
    "SASolverScheduler": _SOLVER,
    "EulerDiscreteScheduler": _ve(churns=True),
    "EulerAncestralDiscreteScheduler": _ve(),
    "LMSDiscreteScheduler": _ve(),
    "HeunDiscreteScheduler": _ve(bounded=True),
    "KDPM2DiscreteScheduler": _ve(c.kdpm2),
    "KDPM2AncestralDiscreteScheduler": _ve(c.kdpm2_ancestral),
    "DPMSolverSDEScheduler": _ve(c.dpm_sde),
    "EDMEulerScheduler": Family("EDM preconditioning", EDM, c.edm, churns=True, scale="steps"),
    "EDMDPMSolverMultistepScheduler": Family("EDM preconditioning", EDM, c.edm, bounded=True, scale="steps"),
    "CosineDPMSolverMultistepScheduler": Family("EDM preconditioning", EDM, c.cosine, axes=CHANNELS_FIRST),
    "FlowMatchEulerDiscreteScheduler": _flow(),
    "FlowMatchHeunDiscreteScheduler": _flow(churns=True),
    "FlowMatchLCMScheduler": _flow(),
    "FlowMapEulerDiscreteScheduler": _flow(c.flow_map),
    "LTXEulerAncestralRFScheduler": _flow(),
    "HeliosScheduler": _flow(c.helios, formula="1, -σ; UniPC as above", bounded=True, start=_start_at_zero),
    "HeliosDMDScheduler": _flow(c.helios_dmd, start=_nothing, position=_given),
    "MiniMaxH3Scheduler": _flow(c.minimax, formula="1, σ", start=_minimax_start),
    "PiflowScheduler": _flow(start=_piflow_start, axes=CHANNELS_LAST, grid="n_grid"),
    "SCMScheduler": Family("trigonometric", "cos t, -sin t", c.trig, position=_one_less),
    "IPNDMScheduler": Family("trigonometric", "α, -β", c.ipndm),
    "CMStochasticIterativeScheduler": Family(
        "consistency", "c_skip, c_out", c.consistency, bounded=True, scale="steps"
    ),
    "ConsistencyDecoderScheduler": Family("consistency", "c_skip, c_out", c.consistency_decoder),
}

_INVERSE = "it inverts an image into noise, and an inversion must not be steered"
_DISCRETE = "it samples discrete tokens; the mean shift needs continuous latents"
_NO_STEP = "it has no `step`: predictor and corrector work on the score, not on a clean prediction"
REFUSED: dict[str, str] = {
    "DDIMInverseScheduler": _INVERSE,
    "DPMSolverMultistepInverseScheduler": _INVERSE,
    "AmusedScheduler": _DISCRETE,
    "BlockRefinementScheduler": _DISCRETE,
    "DiscreteDDIMScheduler": _DISCRETE,
    "EntropyBoundScheduler": _DISCRETE,
    "VQDiffusionScheduler": _DISCRETE,
    "ScoreSdeVeScheduler": _NO_STEP,
    "ScoreSdeVpScheduler": _NO_STEP,
    "KarrasVeScheduler": "its `step` takes two sigmas and a sample of its own making, not a timestep",
    "RFD4ProteinaScheduler": "it moves atoms of proteins, which have no common frame to average in",
}


_PROBED = Family("probed", "read off the scheduler's own step", probe)


def family_of(scheduler: Scheduler) -> Family:
    """The family of a scheduler; a class that is not in the table belongs to the probed ones.

    Raises:
        TypeError: The scheduler is known and cannot be steered; the message says why.
    """
    for base in type(scheduler).__mro__:
        if base.__module__.split(".")[0] == "diffusers":
            if base.__name__ in REFUSED:
                raise TypeError(f"scheduler is a {type(scheduler).__name__}: {REFUSED[base.__name__]}")
            if base.__name__ in SUPPORTED:
                return SUPPORTED[base.__name__]
    return _PROBED


def checked_family(scheduler: Scheduler) -> Family:
    """As `family_of`, after a trial where the class is not in the table.

    Raises:
        TypeError: The scheduler cannot be steered; the message says why, or lists what can.
    """
    family = family_of(scheduler)
    if family is not _PROBED:
        return family
    try:
        try_probe(scheduler)
    except Exception as error:
        raise TypeError(
            f"scheduler is a {type(scheduler).__name__}, which is not known and could not be probed ({error}); known: "
            f"{', '.join(SUPPORTED)}; another needs `step(model_output, timestep, sample)` that returns "
            "pred_original_sample, linear in both"
        ) from error
    return family
