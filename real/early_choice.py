"""Early choice: after the steering window only one particle goes on.

Once the window is closed the particles no longer see each other and only one will be decoded. KDS Eq. 9 (v1) is
applied to the clean latents that the last steered evaluation predicts, and the network runs on that particle alone.
The samplers of the core stay as they are: the denoiser hands the one prediction to every row, and rows of particles
that were dropped hold no meaning any more.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from kds_ref import SamplerState, select_particle, steering_strength
from real.errors import UserError
from real.parallel.ranks import Ranks

__all__ = ["EarlyChoice", "in_window"]

Denoiser = Callable[[torch.Tensor, int], torch.Tensor]


def in_window(t: float, num_train_timesteps: int, *, cutoff: float) -> bool:
    """Whether the particles of an evaluation at timestep t see each other: KDS Eq. 10 (v1), t/T >= cutoff."""
    return steering_strength(t, num_train_timesteps, strength=1.0, cutoff=cutoff) > 0.0


class EarlyChoice:
    """The choice of one run, made at its first evaluation after the window.

    Args:
        num_train_timesteps: T of the schedule.
        cutoff: t/T down to which (inclusive) the window is open; at 0 it never closes and nothing is chosen early.
        ranks: Processes that share the ensemble. All of them choose, by the whole ensemble; after the window the one
            whose particle it is goes on, and the others have nothing to do.

    Attributes:
        chosen: Index in the whole ensemble of the particle that goes on; None while the window is open.
        rows: Rows that the network saw so far, on all processes.
    """

    def __init__(self, num_train_timesteps: int, *, cutoff: float, ranks: Ranks | None = None) -> None:
        self.chosen: int | None = None
        self.rows = 0
        self._total, self._cutoff, self._ranks = num_train_timesteps, cutoff, ranks
        self._x0: torch.Tensor | None = None

    def watch(self, state: SamplerState) -> None:
        """Take the steered clean latents of an evaluation; call it from the sampler's callback."""
        if in_window(state.t, self._total, cutoff=self._cutoff):
            self._x0 = state.x0_steered

    def choice(self) -> int | None:
        """Index of the particle nearest the mean of what was last watched, KDS Eq. 9 (v1); None before that.

        With ranks all processes make this call, and all get the index in the whole ensemble.
        """
        return None if self._x0 is None else self._nearest(self._x0)

    def _nearest(self, x0: torch.Tensor) -> int:
        whole = x0 if self._ranks is None else self._ranks.gather("early choice", x0, 0)
        return int(select_particle(whole))

    def denoiser(self, denoise: Denoiser) -> Denoiser:
        """A denoiser that runs `denoise` on the chosen particle alone after the window.

        Raises:
            UserError: From the denoiser, if no evaluation lies inside the window.
        """

        def denoise_the_chosen(x_t: torch.Tensor, t: int) -> torch.Tensor:
            if in_window(t, self._total, cutoff=self._cutoff):
                self.rows += len(x_t) * (1 if self._ranks is None else self._ranks.size)
                return denoise(x_t, t)
            if self._x0 is None:
                below = "must be at or below t/T of an evaluation for an early choice"
                raise UserError(f"{below}, got {self._cutoff:g}, perhaps by `cutoff_nsr`; lower it", argument="cutoff")
            if self.chosen is None:
                self.chosen = self._nearest(self._x0)

            # The network runs where the chosen particle is; its prediction stands in for all others.
            self.rows += 1
            own = self.chosen if self._ranks is None else self.chosen - self._ranks.rank * len(x_t)
            if not 0 <= own < len(x_t):
                return torch.zeros_like(x_t)
            return denoise(x_t[own : own + 1], t).expand_as(x_t)

        return denoise_the_chosen
