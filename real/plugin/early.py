"""Early choice in any pipeline: behind the steering window the network runs on the chosen particle alone.

`real.early_choice` for pipelines: the same rule, as a hook around the network instead of one around a denoiser. The
scheduler still sees all rows; those of particles that were dropped hold no meaning any more.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.hooks import HookRegistry, ModelHook

from real.plugin.batching import SHARED, map_tensors
from real.plugin.carrier import is_steered
from real.plugin.state import SteeringState

__all__ = ["choose_early", "unchoose_early"]

_NAME = "kds_choose_early"


def choose_early(model: torch.nn.Module, scheduler: Any) -> None:
    """Make a pipeline's network see only the chosen particle of each image once the steering window is closed.

    KDS Eq. 9 (v1) is applied to the clean latents of the last steered step (`kds.x0`). `kds.select()`,
    `choosing_callback` and `hand_on="chosen"` then give that particle. Call it on every network that sees the batch at
    every step (`pipe.unet`; with a ControlNet on that too), after `split_batches` if both are wanted.

    Args:
        model: A diffusers model such as `pipe.unet`; changed in place until `unchoose_early`. Its timestep is the
            second argument or the one named timestep.
        scheduler: The pipeline's, from `steer_scheduler`.

    Raises:
        TypeError: If the scheduler is not steered or its timesteps have no end T.
        ValueError: If `cutoff_in` is not "timestep", or several processes share the ensemble. From the pipeline: if no
            step was steered before the window closed, or the network's rows are no multiple of the ensembles' rows.

    Notes:
        For networks whose rows do not see each other, like `split_batches`. With N particles and K of S steps steered
        a network sees N K + (S - K) rows instead of N S.

    Example:
        >>> from diffusers import DDIMScheduler
        >>> from real.plugin import steer_scheduler
        >>> layer = torch.nn.Linear(2, 2)
        >>> choose_early(layer, steer_scheduler(DDIMScheduler(clip_sample=False), num_particles=10))
        >>> unchoose_early(layer)
    """
    if not is_steered(scheduler):
        raise TypeError(f"scheduler is a {type(scheduler).__name__} that is not steered; pass one of steer_scheduler")
    if scheduler.kds.cutoff_in != "timestep":
        raise ValueError(f"cutoff_in is {scheduler.kds.cutoff_in!r}; an early choice needs 'timestep'")
    if scheduler.kds.ranks is not None:
        raise ValueError(
            "process_group: an early choice needs the whole ensemble in one process; leave one of them out"
        )
    if not scheduler.config.get("num_train_timesteps"):
        raise TypeError(f"{type(scheduler).__name__} has no num_train_timesteps, so that the window's end is not known")
    unchoose_early(model)
    HookRegistry.check_if_exists_or_initialize(model).register_hook(_EarlyHook(scheduler), _NAME)


def unchoose_early(model: torch.nn.Module) -> None:
    """Take back `choose_early`; does nothing to a model without it.

    Args:
        model: A torch module.
    """
    registry = HookRegistry.check_if_exists_or_initialize(model)
    if registry.get_hook(_NAME) is not None:
        registry.remove_hook(_NAME, recurse=False)


class _EarlyHook(ModelHook):
    def __init__(self, scheduler: Any) -> None:
        super().__init__()
        self.scheduler = scheduler

    def new_forward(self, module: torch.nn.Module, *args: Any, **options: Any) -> Any:
        forward = self.fn_ref.original_forward
        state: SteeringState = self.scheduler.kds
        t = options["timestep"] if "timestep" in options else args[1]
        t = float(t.flatten()[0]) if isinstance(t, torch.Tensor) else float(t)
        if state.part(t / self.scheduler.config.num_train_timesteps) > 0.0:
            return forward(*args, **options)
        rows = next(len(v) for v in (*args, *options.values()) if isinstance(v, torch.Tensor) and v.ndim > 0)
        keep, place = _places(state, rows)
        whole = {name: value for name, value in options.items() if name in SHARED}
        cut = {name: value for name, value in options.items() if name not in SHARED}
        output = forward(*_take(args, rows, keep), **_take(cut, rows, keep), **whole)
        return _take(output, len(keep), place)


def _places(state: SteeringState, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(rows of the network that go on, for each of its rows which of those stands in for it)."""
    if state.x0 is None:
        raise ValueError(
            f"early choice: no step was steered before the window closed (cutoff {state.cutoff:g}, strength "
            f"{state.strength:g}); lower the cutoff"
        )
    ours = len(state.x0)
    if rows % ours:
        raise ValueError(f"early choice: the network got {rows} rows, which is no multiple of the ensembles' {ours}")
    choice = state.select(state.x0)
    state.early = choice.particle
    images = len(choice.rows)
    image = torch.arange(ours) // state.num_particles if state.layout == "grouped" else torch.arange(ours) % images
    copies = range(rows // ours)  # two with classifier-free guidance
    keep = torch.cat([copy * ours + choice.rows.cpu() for copy in copies])
    return keep, torch.cat([copy * images + image for copy in copies])


def _take(value: Any, rows: int, index: torch.Tensor) -> Any:
    return map_tensors(lambda x: x[index.to(x.device)] if x.ndim > 0 and len(x) == rows else x, value)
