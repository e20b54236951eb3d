"""Many particles in the memory of a few: a model's forward pass in parts of the batch, without editing a pipeline.

The scheduler still sees the whole ensemble; only the network, where the memory goes, sees parts of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from diffusers.hooks import ModelHook

from real.plugin.network_hooks import SHARED, SPLIT, batch_size, map_tensors, part_of, register, remove

__all__ = ["split_batches", "unsplit_batches"]


def split_batches(model: torch.nn.Module, max_batch: int, *, shared: Collection[str] = SHARED) -> None:
    """Make a model run its forward pass on at most max_batch rows at a time.

    Every tensor among the arguments (also in lists, tuples and mappings) whose first axis is as long as the batch is
    cut, the parts run one after another, and their outputs are put together again. The batch is the first axis of
    the first tensor argument: with classifier-free guidance twice the number of particles and images.

    Args:
        model: Model of diffusers, such as `pipe.unet`, `pipe.transformer` or `pipe.controlnet`; changed in place, also
            for the pipelines that share it. A second call replaces the size of the first.
        max_batch: Most rows at a time, at least 1.
        shared: Names of arguments that belong to all rows and are never cut, whatever their length.

    Raises:
        TypeError: If model is not a torch module, or returns what cannot be put together.
        ValueError: If max_batch is less than 1.

    Notes:
        Not for models whose rows see each other or whose caches remember the batch: attention processors that mix rows
        (PAG, style-aligned, cross-frame), block caches. Rows may differ from an uncut pass by rounding, as other
        batch sizes take other kernels. `unsplit_batches` takes it back.

    Example:
        >>> layer = torch.nn.Linear(2, 2)
        >>> whole = layer(torch.ones(5, 2))
        >>> split_batches(layer, 2)
        >>> torch.allclose(layer(torch.ones(5, 2)), whole)
        True
        >>> unsplit_batches(layer)
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model must be a torch module such as pipe.unet, got {type(model).__name__}")
    if isinstance(max_batch, bool) or not isinstance(max_batch, int) or max_batch < 1:
        raise ValueError(f"max_batch must be a whole number of at least 1, got {max_batch!r}")
    remove(model, SPLIT)
    register(model, _SplitHook(max_batch, frozenset(shared)), SPLIT)


def unsplit_batches(model: torch.nn.Module) -> None:
    """Take back `split_batches`; does nothing to a model that is not split.

    Args:
        model: Torch module.
    """
    remove(model, SPLIT)


class _SplitHook(ModelHook):
    def __init__(self, max_batch: int, shared: frozenset[str]) -> None:
        super().__init__()
        self.max_batch, self.shared = max_batch, shared

    def new_forward(self, module: torch.nn.Module, *args: Any, **options: Any) -> Any:
        forward = self.fn_ref.original_forward
        batch = batch_size((*args, *options.values()))
        if batch is None or batch <= self.max_batch:
            return forward(*args, **options)

        # By name, not by length: with few particles an argument for all rows can be as long as the batch.
        cut = {name: value for name, value in options.items() if name not in self.shared}
        whole = {name: value for name, value in options.items() if name in self.shared}
        outputs = []
        for start in range(0, batch, self.max_batch):
            rows = part_of(batch, slice(start, start + self.max_batch))
            outputs.append(forward(*map_tensors(rows, args), **map_tensors(rows, cut), **whole))
        return _join(outputs)


def _join(parts: list[Any]) -> Any:
    first = parts[0]
    if first is None:
        return None
    if isinstance(first, torch.Tensor):
        return torch.cat(parts)
    if isinstance(first, list | tuple):
        return type(first)(_join(list(entries)) for entries in zip(*parts, strict=True))
    if isinstance(first, Mapping):  # diffusers' outputs are mappings
        return type(first)(**{name: _join([part[name] for part in parts]) for name in first})
    raise TypeError(f"model must return tensors, also in tuples, lists or mappings, got {type(first).__name__}")
