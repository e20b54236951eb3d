"""Weights as authors publish them: read without running code, put into a network with every key accounted for."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from real.errors import UserError
from real.models.latent import PICKLES

__all__ = ["check_keys", "load_exactly", "read_weights", "refuse_pickle"]

PICKLE_SUFFIXES = (".bin", ".ckpt", ".pt", ".pth")
NESTED = ("state_dict", "params_ema", "params")  # what authors name the one dictionary that matters
SHOWN = 3  # keys named in a message


def read_weights(path: str | PathLike[str], *, pickled_weights: bool = False) -> dict[str, torch.Tensor]:
    """The tensors of a file by name, on the CPU, in the file's own dtype.

    Args:
        path: A `.safetensors` file; or, where pickles are allowed, what `torch.save` wrote (`.ckpt`, `.pt`, `.pth`,
            `.bin`). A dictionary inside that is named "state_dict" (Stable Diffusion), "params_ema" or "params" is
            taken for the whole.
        pickled_weights: Whether pickles are accepted. torch's restricted unpickler is used, which refuses most code.

    Raises:
        UserError: There is no such file, it is a pickle and they are not allowed, or it cannot be read.

    Warns:
        UserWarning: If a pickle is read.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"must be an existing file, got {str(file)!r}", argument="weights")
    if file.suffix == ".safetensors":
        try:
            tensors: dict[str, torch.Tensor] = load_file(file)
        except (SafetensorError, OSError) as error:
            why = f"must be weights that can be read, got {str(file)!r} ({error})"
            raise UserError(why, argument="weights") from error
        return tensors

    if file.suffix not in PICKLE_SUFFIXES:
        kinds = ", ".join((".safetensors", *PICKLE_SUFFIXES))
        raise UserError(f"must be a file with one of the endings {kinds}, got {str(file)!r}", argument="weights")
    refuse_pickle(file, pickled_weights)
    warnings.warn(PICKLES, UserWarning, stacklevel=2)
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        why = " ".join(str(error).split())[:160]
        text = f"must be weights that can be read, got {str(file)!r} ({why})"
        raise UserError(text, argument="weights") from error

    # Checkpoints hold more than weights; these are in one dictionary of a usual name.
    if isinstance(content, dict):
        content = next((content[name] for name in NESTED if isinstance(content.get(name), dict)), content)
    if not isinstance(content, dict):
        raise UserError(
            f"must hold a dictionary of tensors, got a {type(content).__name__} in {str(file)!r}", argument="weights"
        )
    return {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}


def refuse_pickle(file: Path, pickled_weights: bool, *, argument: str = "weights") -> None:
    """UserError if a file is a pickle, by its name, and pickles are not allowed.

    Args:
        file: File of weights; nothing is read.
        pickled_weights: Whether pickles are allowed.
        argument: Name of the argument that named it, for the message.
    """
    if file.suffix in PICKLE_SUFFIXES and not pickled_weights:
        raise UserError(
            f"must be safetensors, got {str(file)!r}, a pickle, which can run code of its author; convert it, or allow "
            "it by `pickled_weights=True`",
            argument=argument,
        )


def check_keys(expected: Mapping[str, Any], given: Mapping[str, Any], *, name: str) -> None:
    """Refuse weights that are not exactly those of a network.

    Args:
        expected: The network's `state_dict()`, of the meta device too; anything with shapes by name.
        given: The weights, with the network's names.
        name: Name of the weights, for messages.

    Raises:
        UserError: A key is missing, left over, or of another shape.
    """
    missing = [key for key in expected if key not in given]
    left_over = [key for key in given if key not in expected]
    shapes = [
        f"{key} of shape {tuple(given[key].shape)} in place of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in given and tuple(given[key].shape) != tuple(value.shape)
    ]
    for what, found in (("without", missing), ("with the further", left_over), ("with", shapes)):
        if found:
            more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
            wrong = f"{what} {', '.join(found[:SHOWN])}{more}"
            why = f"must have exactly the tensors of the network, got {name} {wrong}; is it another model's?"
            raise UserError(why, argument="weights")


def load_exactly(
    network: torch.nn.Module, state: Mapping[str, torch.Tensor], *, name: str, dtype: torch.dtype = torch.float32
) -> None:
    """Put weights into a network, which may lie on the meta device: every key is used, none is left over.

    Args:
        network: Network, changed in place; its parameters become these tensors.
        state: The weights, with the network's names.
        name: Name of the weights, for messages.
        dtype: Precision of the network afterwards.

    Raises:
        UserError: See `check_keys`.
    """
    check_keys(network.state_dict(), state, name=name)
    network.load_state_dict({key: value.to(dtype) for key, value in state.items()}, assign=True)
    network.requires_grad_(False).eval()
