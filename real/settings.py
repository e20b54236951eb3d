"""What a restoration depends on, besides the photo and the model: the options of the method, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, NoReturn

import numpy as np

from kds_ref import KernelDensitySteering
from real.errors import UserError

__all__ = ["SAMPLERS", "SPACINGS", "Settings"]

SAMPLERS = ("ddim", "dpmpp-2s")
SPACINGS = ("leading", "trailing")


@dataclass(frozen=True)
class Settings:
    """Options of the method; the defaults are the paper's.

    Attributes:
        particles: N, the number of particles. Functions of `real.plugin` call it `num_particles`.
        bandwidth: h, in units of the latent; None: the model's own (0.3 where it names none); or the name of a rule
            that reads it off the particles at every step and place: "median", "scott", "silverman", "likelihood".
        strength: delta in [0, 1] of KDS Eq. 10 (v1).
        cutoff: t/T at which steering stops; 0 steers to the end.
        cutoff_nsr: Noise-to-signal ratio sqrt((1 - alpha_bar) / alpha_bar) at which steering stops, in place of
            `cutoff`; 1.126 is the paper's for LDM-SR. What a t/T means depends on the schedule, this does not; for
            latents of standard deviation s multiply it by s: docs/explanation/latent-scale.md.
        patch_size: Side of the patches in latent pixels.
        steps: Sampling steps (dpmpp-2s: model evaluations).
        sampler: "ddim" or "dpmpp-2s".
        spacing: Grid of DDIM's timesteps: "trailing" starts at the last timestep of training (Lin et al. 2023, "Common
            diffusion noise schedules and sample steps are flawed"), "leading" below it, as the public LDM-SR does;
            None: that of the model's scheduler. Models in LDM's shape only.
        guidance: Weight of classifier-free guidance; 1 switches it off.
        seed: Particle i's noise depends on the seed, the photo and i alone (`real.images.seeds`).
        kernel: Kernel of the weights: "gaussian", "laplacian", "epanechnikov", "flat" or "l2" (the plain mean).
        early_choice: Whether to choose when the steering window closes (on the predicted clean latents) and to continue
            with that particle alone; without it KDS Eq. 9 (v1) is applied to the final latents.
    """

    particles: int = 10
    bandwidth: float | str | None = None
    strength: float = 0.3
    cutoff: float = 0.3
    cutoff_nsr: float | None = None
    patch_size: int = 1
    steps: int = 50
    sampler: str = "ddim"
    spacing: str | None = None
    guidance: float = 1.0
    seed: int = 0
    kernel: str = "gaussian"
    early_choice: bool = False

    def __post_init__(self) -> None:
        """Check everything at once, so that no mistake shows only after a model was loaded.

        Raises:
            UserError: An option has a value that it does not take.
            TypeError: An option is of another type.
        """
        for name, least, most in (
            ("particles", 1, 1000),
            ("steps", 1, 1000),
            ("patch_size", 1, 10**6),
            ("seed", 0, 2**63 - 1),
        ):
            object.__setattr__(self, name, _whole(name, getattr(self, name), least, most))
        for name in ("strength", "cutoff", "guidance"):
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        if self.bandwidth is not None and not isinstance(self.bandwidth, str):
            object.__setattr__(self, "bandwidth", _number("bandwidth", self.bandwidth))
        if self.cutoff_nsr is not None:
            object.__setattr__(self, "cutoff_nsr", _number("cutoff_nsr", self.cutoff_nsr))

        if self.sampler not in SAMPLERS:
            _refuse("sampler", f"one of {', '.join(SAMPLERS)}", repr(self.sampler))
        if self.spacing not in (None, *SPACINGS):
            _refuse("spacing", f"one of {', '.join(SPACINGS)} or None", repr(self.spacing))
        if self.spacing is not None and self.sampler != "ddim":
            _refuse("spacing", f"None with {self.sampler}", f"{self.spacing!r}; it belongs to ddim")
        if not math.isfinite(self.guidance):
            _refuse("guidance", "a finite number (1: no guidance)", self.guidance)
        if self.cutoff_nsr is not None and not 0.0 < self.cutoff_nsr < math.inf:
            _refuse("cutoff_nsr", "a positive finite number", self.cutoff_nsr)
        if self.cutoff_nsr is not None and self.cutoff != type(self).cutoff:
            _refuse("cutoff", "left out with cutoff_nsr", self.cutoff)
        if not isinstance(self.early_choice, bool):
            raise TypeError(f"early_choice must be True or False, got {self.early_choice!r}")

        # What is left the core checks, by its own names, which are those of the settings.
        self.steering(num_train_timesteps=1000, bandwidth=0.3)

    def for_schedule(self, alphas_cumprod: np.ndarray) -> Settings:
        """The same settings with a `cutoff` where they have a `cutoff_nsr`: alphas_cumprod (T,) says where it lies.

        Raises:
            UserError: No timestep is so noisy.
        """
        if self.cutoff_nsr is None:
            return self
        alpha_bar = np.asarray(alphas_cumprod, dtype=np.float64)
        noise_to_signal = np.sqrt((1.0 - alpha_bar) / alpha_bar.clip(min=1e-300))
        # Levels of a schedule may come in float32; neighbouring timesteps differ by far more than that.
        steered = np.flatnonzero(noise_to_signal >= self.cutoff_nsr * (1.0 - 1e-6))
        if not len(steered):
            _refuse("cutoff_nsr", f"at most the model's largest, {noise_to_signal.max():.4g}", self.cutoff_nsr)
        return replace(self, cutoff=float(steered[0] / len(alpha_bar)), cutoff_nsr=None)

    def steering(self, *, num_train_timesteps: int, bandwidth: float) -> KernelDensitySteering:
        """The steering callable, with `bandwidth` where the settings have none; it checks its options by name."""
        return KernelDensitySteering(
            num_train_timesteps=num_train_timesteps,
            bandwidth=bandwidth if self.bandwidth is None else self.bandwidth,
            strength=self.strength,
            cutoff=self.cutoff,
            patch_size=self.patch_size,
            kernel=self.kernel,
        )


def _whole(name: str, value: Any, least: int, most: int) -> int:
    """A whole number, NumPy's among them, as an int, which JSON can hold."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number from {least} to {most}, got {value!r}")
    whole = int(value)
    if not least <= whole <= most:
        _refuse(name, f"a whole number from {least} to {most}", value)
    return whole


def _number(name: str, value: Any) -> float:
    """A number, NumPy's among them, as one of Python's, which JSON can hold."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return int(value) if isinstance(value, Integral) else float(value)


def _refuse(name: str, accepted: str, value: object) -> NoReturn:
    raise UserError(f"must be {accepted}, got {value}", argument=name)
