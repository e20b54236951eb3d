"""Early choice in any pipeline: once the steering window is closed the network runs on the chosen particle alone.

`real.early_choice` for pipelines: the same rule, as a hook around the network instead of one around a denoiser. The
scheduler still sees all rows; those of particles that were dropped hold no meaning any more.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.hooks import ModelHook

from real.errors import UserError
from real.plugin.call import Call
from real.plugin.layout import Layout
from real.plugin.network_hooks import EARLY, SHARED, batch_size, map_tensors, part_of, register, remove
from real.plugin.scheduler import is_steered
from real.plugin.schedulers import family_of
from real.plugin.state import SteeringState
from real.plugin.step import window

__all__ = ["choose_early", "unchoose_early"]


def choose_early(model: torch.nn.Module, scheduler: Any) -> None:
    """Make a pipeline's network see only the chosen particle of each image once the steering window is closed.

    KDS Eq. 9 (v1) is applied to the clean latents of the last steered step (`kds.x0`). `kds.select()`,
    `choosing_callback` and `hand_on="chosen"` then give that particle. Call it on every network that sees the batch at
    every step (`pipe.unet`; with a ControlNet on that too), after `split_batches` if both are wanted.

    Args:
        model: Model of diffusers such as `pipe.unet`; changed in place until `unchoose_early`. Its timestep is the
            second argument or the one named timestep.
        scheduler: Scheduler of the pipeline, from `steer_scheduler`.

    Raises:
        TypeError: If the scheduler is not steered, or its timesteps do not count training steps.
        ValueError: If `cutoff_in` is not "timestep", the scheduler's runs jump back in time, or several processes share
            the ensemble. From the pipeline: if no step was steered before the window closed, or the network's rows are
            no multiple of the ensembles' rows.
        RuntimeError: From the pipeline, if it steps another scheduler than this one.

    Notes:
        For networks whose rows do not see each other, like `split_batches`. With N particles and K of S steps steered
        a network sees N K + (S - K) rows instead of N S. A copy of the whole pipeline follows the copy's scheduler.

    Example:
        >>> from diffusers import DDIMScheduler
        >>> from real.plugin import steer_scheduler
        >>> layer = torch.nn.Linear(2, 2)
        >>> choose_early(layer, steer_scheduler(DDIMScheduler(clip_sample=False), num_particles=10))
        >>> unchoose_early(layer)
    """
    if not is_steered(scheduler):
        raise TypeError(f"scheduler must be one of steer_scheduler, got {type(scheduler).__name__} that is not steered")

    # The network runs before `step`: the hook must know from t/T alone whether the window is open.
    if scheduler.kds.cutoff_in != "timestep":
        raise ValueError(f"cutoff_in must be 'timestep' for an early choice, got {scheduler.kds.cutoff_in!r}")

    if scheduler.kds.ranks is not None:
        raise ValueError(
            f"process_group must be None for an early choice, got {scheduler.kds.ranks.size} processes; it needs the "
            "whole ensemble in one"
        )

    family = family_of(type(scheduler))
    if family.jumps:
        raise ValueError(
            f"scheduler must not jump back in time for an early choice, got {type(scheduler).__name__}; the steering "
            "window would open again"
        )

    config = scheduler.config
    if not (config.get("num_train_timesteps") and family.counts_training_steps) or _is_continuous(config):
        raise TypeError(
            "scheduler must have timesteps that count training steps, which say where the window ends, got "
            f"{type(scheduler).__name__}"
        )

    # A second call replaces the first.
    remove(model, EARLY)
    register(model, _EarlyHook(scheduler), EARLY)


def _is_continuous(config: Any) -> bool:
    """Whether the timesteps are log(sigma) / 4, as in `coefficients`."""
    return config.get("timestep_type") == "continuous" and config.get("prediction_type") == "v_prediction"


def unchoose_early(model: torch.nn.Module) -> None:
    """Take back `choose_early`; does nothing to a model without it.

    Args:
        model: Torch module.
    """
    remove(model, EARLY)


class _EarlyHook(ModelHook):
    def __init__(self, scheduler: Any) -> None:
        super().__init__()
        self.scheduler = scheduler
        self.seen: tuple[float, int, int] | None = None  # timestep, run and calls of `step` at the forward pass before
        self.places: tuple[tuple[int, int], torch.Tensor, torch.Tensor] | None = None  # of one run and batch

    def new_forward(self, module: torch.nn.Module, *args: Any, **options: Any) -> Any:
        forward = self.fn_ref.original_forward
        state: SteeringState = self.scheduler.kds
        timestep = options["timestep"] if "timestep" in options else args[1]
        call = Call(self.scheduler, {"timestep": timestep}, state.host)
        self._check_that_it_steps(state, call.t)
        if window(state, _next_time(call, state)) > 0.0:
            return forward(*args, **options)

        batch = batch_size((*args, *options.values())) or 0
        keep, place = self._places(state, batch)
        whole = {name: value for name, value in options.items() if name in SHARED}
        cut = {name: value for name, value in options.items() if name not in SHARED}
        rows = part_of(batch, keep)
        output = forward(*map_tensors(rows, args), **map_tensors(rows, cut), **whole)
        return map_tensors(part_of(len(keep), place), output)

    def _check_that_it_steps(self, state: SteeringState, t: float) -> None:
        """RuntimeError unless it is this scheduler that steps between the network's forward passes."""
        now = t, state.runs, state.calls
        stands_still = self.seen is not None and self.seen[0] != t and self.seen[1:] == now[1:]
        if state.ended or stands_still:
            raise RuntimeError(
                "early choice: the pipeline must step the scheduler that choose_early was given, which made no step in "
                "this run; call unchoose_early on the network, or choose_early with the scheduler that it has now"
            )
        self.seen = now

    def _places(self, state: SteeringState, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(rows of the network that go on, for each of its rows which of those stands in for it), made once per run."""
        key = state.runs, batch
        if self.places is None or self.places[0] != key:
            self.places = key, *_places(state, batch)
        return self.places[1:]


def _next_time(call: Call, state: SteeringState) -> float:
    """t/T of the step that comes next.

    That of the network's timestep where it is one of the scheduler's; else that of the scheduler's next, since Flux and
    others give the network t/1000.
    """
    if call.place is not None:
        return min(max(call.time, 0.0), 1.0)
    begin = getattr(call.scheduler, "begin_index", None) or 0
    index = state.index + 1 if state.index >= 0 else begin
    timesteps = call.table("timesteps")
    t = float(timesteps[min(index, len(timesteps) - 1)])
    return min(max(t / float(call.config.num_train_timesteps), 0.0), 1.0)


def _places(state: SteeringState, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    if state.x0 is None:
        raise UserError(
            "must come after a step that is steered, got none before the window closes (`cutoff` "
            f"{state.steering.cutoff:g}, strength {state.steering.strength:g}); lower the cutoff",
            argument="early_choice",
        )
    ours = len(state.x0)
    if batch % ours:
        raise ValueError(f"early choice: the network's rows must be a multiple of the ensembles' {ours}, got {batch}")
    choice = state.select(state.x0)
    state.early = choice.particle

    images = len(choice.rows)
    image = torch.arange(images, device=choice.rows.device)
    layout = Layout(state.num_particles, state.layout, "C")
    stands_in = layout.join(image[:, None].expand(images, state.num_particles))  # image of each row
    copies = range(batch // ours)  # two with classifier-free guidance
    keep = torch.cat([copy * ours + choice.rows for copy in copies])
    return keep, torch.cat([copy * images + stands_in for copy in copies])
