"""The timesteps of DiffBIR's DDIM, which differ from diffusers' own.

Both take every (1000 // n)-th timestep, from 1 on, and end on the noise level of timestep 0 rather than on none. Where
n does not divide 1000 diffusers stops after n of them; the official code goes on to the end of the range, which gives
more than n steps. Where that would be beyond the last training timestep (n = 3, 9, 27, 37, ...) the official code
fails.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DDIMScheduler

from real.errors import UserError

__all__ = ["DiffBIRDDIMScheduler", "ddim_options", "diffbir_timesteps"]


def diffbir_timesteps(steps: int, *, num_train_timesteps: int = 1000) -> list[int]:
    """Timesteps of DiffBIR's DDIM, falling.

    Args:
        steps: n, 1 to `num_train_timesteps`; as many steps or more come out.
        num_train_timesteps: T.

    Raises:
        UserError: The official grid has no such n.

    Example:
        >>> diffbir_timesteps(7)
        [995, 853, 711, 569, 427, 285, 143, 1]
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= num_train_timesteps:
        raise UserError(f"must be a whole number from 1 to {num_train_timesteps}, got {steps!r}", argument="steps")
    grid = [t + 1 for t in range(0, num_train_timesteps, num_train_timesteps // steps)]
    if grid[-1] >= num_train_timesteps:
        raise UserError(
            f"must keep the official grid within the last timestep, {num_train_timesteps - 1}, got {steps}, which "
            f"reaches {grid[-1]}; give another number, such as 10 or 50, or `time_grid=diffusers`",
            argument="steps",
        )
    return grid[::-1]


def ddim_options(version: str = "v2") -> dict[str, Any]:
    """Options of diffusers' `DDIMScheduler` that agree with a version of DiffBIR; other schedulers: its `config`.

    Args:
        version: "v1" or "v2" (the noise is predicted), or "v2.1" (the velocity, zero terminal SNR).

    Raises:
        ValueError: The version is unknown.
    """
    if version not in ("v1", "v2", "v2.1"):
        raise ValueError(f"version must be one of v1, v2, v2.1, got {version!r}")

    velocity = version == "v2.1"
    return {
        "num_train_timesteps": 1000,
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "prediction_type": "v_prediction" if velocity else "epsilon",
        "rescale_betas_zero_snr": velocity,
        "timestep_spacing": "leading",
        "steps_offset": 1,
        "set_alpha_to_one": False,  # the last step ends on the noise level of timestep 0
        "clip_sample": False,
    }


class DiffBIRDDIMScheduler(DDIMScheduler):
    """diffusers' DDIM on the timesteps of the official code: `set_timesteps` may give more steps than asked for.

    Make it with `DDIMScheduler`'s options, or by `from_config` of another scheduler.
    """

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """See `diffbir_timesteps`; the step down is still T // num_inference_steps.

        Raises:
            UserError: The official grid has no such number of steps.
        """
        super().set_timesteps(num_inference_steps, device=device)
        grid = diffbir_timesteps(num_inference_steps, num_train_timesteps=self.config.num_train_timesteps)
        self.timesteps = torch.tensor(grid, dtype=torch.int64, device="cpu" if device is None else device)
