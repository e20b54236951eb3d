"""What `batching` and `early` have in common: hooks around a pipeline's networks, and rows of nested arguments.

The hooks are those of diffusers, so that they go with its own; two faults of the registry are put right here. A copy of
a hooked network has a copy of its hooks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers.hooks import HookRegistry, ModelHook

__all__ = ["EARLY", "SHARED", "SPLIT", "batch_size", "map_tensors", "part_of", "register", "remove"]

SPLIT = "kds_split_batches"
EARLY = "kds_choose_early"
SHARED = ("img_ids", "txt_ids", "image_rotary_emb")  # arguments of diffusers' networks that belong to all rows


class _Forward:
    """A hooked forward pass, as an object: the closure of `HookRegistry` runs the original network in a copy of it."""

    def __init__(self, hook: ModelHook) -> None:
        self.hook = hook

    def __call__(self, module: torch.nn.Module, *args: Any, **options: Any) -> Any:
        reference = self.hook.fn_ref
        args, options = reference.pre_forward(module, *args, **options)
        return reference.post_forward(module, reference.forward(*args, **options))


def register(model: torch.nn.Module, hook: ModelHook, name: str) -> None:
    """Put a hook on a model, as the outermost."""
    HookRegistry.check_if_exists_or_initialize(model).register_hook(hook, name)
    model.forward = functools.update_wrapper(functools.partial(_Forward(hook), model), hook.fn_ref.original_forward)


def remove(model: torch.nn.Module, name: str) -> None:
    """Take a hook off. Ours that came after it are taken off first and put back: diffusers would skip the next one."""
    registry = HookRegistry.check_if_exists_or_initialize(model)
    names = list(registry.hooks)
    if name not in names:
        return
    later = [(one, registry.get_hook(one)) for one in names[names.index(name) + 1 :] if one in (SPLIT, EARLY)]
    for one in (*(one for one, _ in reversed(later)), name):
        registry.remove_hook(one, recurse=False)
    for one, hook in later:
        register(model, hook, one)


def batch_size(values: tuple[Any, ...]) -> int | None:
    """Rows of the first tensor that has any."""
    return next((len(v) for v in values if isinstance(v, torch.Tensor) and v.ndim > 0), None)


def part_of(batch: int, rows: slice | torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    """Takes rows of every tensor that has as many as the batch."""

    def part(x: torch.Tensor) -> torch.Tensor:
        if x.ndim == 0 or len(x) != batch:
            return x
        return x[rows] if isinstance(rows, slice) else x[rows.to(x.device)]

    return part


def map_tensors(function: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    """Apply a function to every tensor in nested lists, tuples and mappings."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, list | tuple):
        return type(value)(map_tensors(function, one) for one in value)
    if isinstance(value, Mapping):
        return type(value)(**{name: map_tensors(function, one) for name, one in value.items()})
    return value
