"""Which scheduler of diffusers belongs to which family of coefficients, and which cannot be steered, with the reason.

`scheduler` asks here before it wraps one; a new scheduler is one line of `SUPPORTED`. A class that is not in the table
is probed with its own step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from real.plugin import coefficients as c
from real.plugin.call import (
    Call,
    given_position,
    no_start,
    position_before_the_end,
    start_at_zero,
    start_for_timestep,
    usual_position,
    usual_start,
)
from real.plugin.coefficients import Coefficients
from real.plugin.probe import probe, try_probe

__all__ = ["REFUSED", "SUPPORTED", "Family", "checked_family", "family_of"]

# Axes of one sample by their number. Only what a family's pipelines agree on: videos come with channels first (CFHW)
# or frames first (FCHW), audio with channels first (CL), and a wrong guess would steer without an error.
USUAL: Mapping[int, str] = MappingProxyType({1: "C", 3: "CHW"})
PACKED = MappingProxyType({2: "LC", 3: "CHW"})  # samples of one axis are tokens without a batch, if anything
FRAMES_FIRST = MappingProxyType({3: "CHW", 4: "FCHW"})
CHANNELS_FIRST = MappingProxyType({2: "CL", 3: "CHW", 4: "CFHW"})
CHANNELS_LAST = MappingProxyType({2: "LC", 3: "HWC", 4: "FHWC"})


@dataclass(frozen=True)
class Family:
    """What the plug-in knows of a class of schedulers.

    Attributes:
        name: Name of the family, for the documentation.
        formula: c_skip and c_out in words, for the documentation.
        coefficients: Call of `step` -> its `Coefficients`.
        bounded: Whether `step` clips or thresholds x0 where the configuration asks for it.
        churns: Whether `step` adds noise to the sample before it predicts x0 (s_churn).
        upcasts: Whether `step` computes in float32 whatever precision it gets, so that the rewritten output may stay in
            float32 (measured by tests/real/plugin/test_schedulers.py).
        start: Function that sets the step index as `step` would, where it is not set yet.
        position: Call of `step` -> its index in the run, and the number of calls.
        axes: Axes of one sample by their number; see `Layout`.
        scale: What `cutoff_in="timestep"` means here, for the documentation: "t/T", or "steps" where the timesteps
            have no end T.
        counts_training_steps: Whether the timesteps count training steps, from 0 to num_train_timesteps.
        jumps: Whether a run goes back to noisier timesteps in between, so that no step is known to be the last.
        grid: Name of the attribute with the number of predictions that follow each other in the channels of one
            model output, or None.
    """

    name: str
    formula: str
    coefficients: Callable[[Call], Coefficients]
    bounded: bool = False
    churns: bool = False
    upcasts: bool = False
    start: Callable[[Any, Any], None] = usual_start
    position: Callable[[Call], tuple[int, int]] = usual_position
    axes: Mapping[int, str] = field(default_factory=lambda: USUAL)
    scale: str = "t/T"
    counts_training_steps: bool = True
    jumps: bool = False
    grid: str | None = None


VP = "eps: 1/α, -σ/α; v: α, -σ; sample: 0, 1"
VE = "eps: 1, -s; v: 1/(s²+1), -s/√(s²+1); sample: 0, 1"
EDM = "c_skip, c_out (v: -c_out)"
CONTINUOUS = "variance preserving, in continuous time"


def _vp(**options: Any) -> Family:
    return Family("variance preserving, by timestep", VP, c.vp_timestep, **options)


def _ve(coefficients: Callable[[Call], Coefficients] = c.ve_sigma, **options: Any) -> Family:
    return Family("variance exploding, by sigma", VE, coefficients, **options)


def _edm(coefficients: Callable[[Call], Coefficients] = c.edm, **options: Any) -> Family:
    return Family("EDM preconditioning", EDM, coefficients, **options)


def _flow(coefficients: Callable[[Call], Coefficients] = c.flow, formula: str = "1, -σ", **options: Any) -> Family:
    return Family("flow matching", formula, coefficients, **{"axes": PACKED, **options})


_SOLVER = Family("variance preserving, by sigma", VP + "; flow: 1, -σ", c.vp_sigma, bounded=True)

SUPPORTED: dict[str, Family] = {
    "DDIMScheduler": _vp(bounded=True),
    "DDIMParallelScheduler": _vp(bounded=True),
    "CogVideoXDDIMScheduler": _vp(axes=FRAMES_FIRST),
    "CogVideoXDPMScheduler": _vp(axes=FRAMES_FIRST),
    "DDPMScheduler": _vp(bounded=True),
    "DDPMParallelScheduler": _vp(bounded=True),
    "PNDMScheduler": _vp(),
    "LCMScheduler": _vp(bounded=True),
    "TCDScheduler": _vp(),
    "UnCLIPScheduler": _vp(bounded=True),
    "RePaintScheduler": _vp(bounded=True, jumps=True),
    "DDPMWuerstchenScheduler": Family(
        CONTINUOUS,
        "eps: 1/α, -σ/α",
        c.wuerstchen,
        upcasts=True,
        position=position_before_the_end,
        counts_training_steps=False,
    ),
    "DPMSolverMultistepScheduler": replace(_SOLVER, upcasts=True),
    "DPMSolverSinglestepScheduler": _SOLVER,
    "DEISMultistepScheduler": _SOLVER,
    "UniPCMultistepScheduler": _SOLVER,
    "SASolverScheduler": _SOLVER,
    "EulerDiscreteScheduler": _ve(churns=True, upcasts=True),
    "EulerAncestralDiscreteScheduler": _ve(upcasts=True),
    "LMSDiscreteScheduler": _ve(),
    "HeunDiscreteScheduler": _ve(bounded=True),
    "KDPM2DiscreteScheduler": _ve(c.kdpm2),
    "KDPM2AncestralDiscreteScheduler": _ve(c.kdpm2_ancestral),
    "DPMSolverSDEScheduler": _ve(c.dpm_sde),
    "EDMEulerScheduler": _edm(churns=True, upcasts=True, scale="steps", counts_training_steps=False),
    "EDMDPMSolverMultistepScheduler": _edm(bounded=True, scale="steps", counts_training_steps=False),
    "CosineDPMSolverMultistepScheduler": _edm(c.cosine, axes=CHANNELS_FIRST, counts_training_steps=False),
    "FlowMatchEulerDiscreteScheduler": _flow(upcasts=True),
    "FlowMatchHeunDiscreteScheduler": _flow(churns=True, upcasts=True),
    "FlowMatchLCMScheduler": _flow(upcasts=True),
    "FlowMapEulerDiscreteScheduler": _flow(c.flow_map, upcasts=True),
    "LTXEulerAncestralRFScheduler": _flow(upcasts=True),
    "HeliosScheduler": _flow(
        c.helios, "1, -σ; UniPC as above", bounded=True, upcasts=True, start=start_at_zero, axes=CHANNELS_FIRST
    ),
    "HeliosDMDScheduler": _flow(
        c.helios_dmd, upcasts=True, start=no_start, position=given_position, axes=CHANNELS_FIRST
    ),
    "PiflowScheduler": _flow(start=start_for_timestep, upcasts=True, axes=CHANNELS_LAST, grid="n_grid"),
    "SCMScheduler": Family(
        "trigonometric", "cos t, -sin t", c.trig, position=position_before_the_end, counts_training_steps=False
    ),
    "IPNDMScheduler": Family("trigonometric", "α, -β", c.ipndm, axes=CHANNELS_FIRST, counts_training_steps=False),
    "CMStochasticIterativeScheduler": Family(
        "consistency", "c_skip, c_out", c.consistency, bounded=True, scale="steps", counts_training_steps=False
    ),
    "ConsistencyDecoderScheduler": Family("consistency", "c_skip, c_out", c.consistency_decoder),
}

_INVERSE = "it inverts an image into noise, and an inversion must not be steered"
_DISCRETE = "it samples discrete tokens; the mean shift needs continuous latents"
_NO_STEP = "it has no `step`: predictor and corrector work on the score, not on a clean prediction"
_NO_BATCH = "its samples are the tokens of one video, (tokens, channels), without an axis for a batch"
REFUSED: dict[str, str] = {
    "DDIMInverseScheduler": _INVERSE,
    "DPMSolverMultistepInverseScheduler": _INVERSE,
    "AmusedScheduler": _DISCRETE,
    "BlockRefinementScheduler": _DISCRETE,
    "DiscreteDDIMScheduler": _DISCRETE,
    "EntropyBoundScheduler": _DISCRETE,
    "VQDiffusionScheduler": _DISCRETE,
    "MiniMaxH3Scheduler": _NO_BATCH,
    "ScoreSdeVeScheduler": _NO_STEP,
    "ScoreSdeVpScheduler": _NO_STEP,
    "KarrasVeScheduler": "its `step` takes two sigmas and a sample of its own making, not a timestep",
    "RFD4ProteinaScheduler": "it moves atoms of proteins, which have no common frame to average in",
}


_PROBED = Family("probed", "read off the scheduler's own step", probe)


def family_of(kind: type) -> Family:
    """The family of a class of schedulers; one that is not in the table belongs to the probed ones.

    Raises:
        TypeError: The class is known and cannot be steered; the message says why.
    """
    for base in kind.__mro__:
        if base.__module__.split(".")[0] == "diffusers":
            if base.__name__ in REFUSED:
                raise TypeError(
                    f"scheduler must be one that can be steered, got {kind.__name__}: {REFUSED[base.__name__]}"
                )
            if base.__name__ in SUPPORTED:
                return SUPPORTED[base.__name__]
    return _PROBED


def checked_family(scheduler: Any) -> Family:
    """Like `family_of`, after a trial where the class is not in the table.

    Raises:
        TypeError: The scheduler cannot be steered; the message says why, or lists what can.
    """
    family = family_of(type(scheduler))
    if family is not _PROBED:
        return family
    try:
        try_probe(scheduler)
    except Exception as error:
        raise TypeError(
            f"scheduler must be a known one or one that can be probed, got {type(scheduler).__name__}, which could not "
            f"be probed ({error}); known: {', '.join(SUPPORTED)}; another needs `step(model_output, timestep, sample)` "
            "that returns pred_original_sample, linear in both"
        ) from error
    return family
