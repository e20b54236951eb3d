"""DiffBIR's first stage: a network that removes noise, blur and JPEG before the diffusion model adds details.

Its authors use BSRNet (an RRDB network) with v2 and SwinIR with v1. spandrel, an optional package under the MIT
licence, knows both by their weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from real.backbones.weights import read_weights
from real.errors import UserError, blaming
from real.images.tiles import map_tiles

__all__ = ["BICUBIC", "clean", "load_cleaner"]

BICUBIC = "bicubic"  # in place of a file: no first stage
TILE, OVERLAP = 512, 32  # pixels; what is larger goes through in blended tiles
WITHOUT = "or give the cleaned photo as `cleaned`, or `cleaner=bicubic`, which only enlarges it"


def load_cleaner(path: Path, *, device: str = "cpu", pickled_weights: bool = False) -> Any:
    """The network of the first stage, in float32.

    Args:
        path: File of the weights, see `real.backbones.weights.read_weights`.
        device: Device on which the network runs.
        pickled_weights: Whether the file may be a pickle, see `read_weights`.

    Returns:
        spandrel's descriptor: RGB in [0, 1], (1, 3, h, w) -> (1, 3, scale * h, scale * w), with its `scale`.

    Raises:
        UserError: spandrel or its torchvision is missing, or the weights are of no network that it knows.

    Warns:
        UserWarning: If a pickle is read.
    """
    try:
        import spandrel
    except Exception as error:  # a torchvision that does not fit torch raises a RuntimeError
        name = getattr(error, "name", None) or "spandrel"
        what = "cannot be imported" if name == "spandrel" else f"needs {name}, which cannot be imported"
        raise UserError(f'spandrel {what}; pip install "kds-ref[cleaner]", {WITHOUT}', argument="cleaner") from error

    # Weights are read here, without running code; spandrel is given tensors.
    with blaming("cleaner"):
        state = read_weights(path, pickled_weights=pickled_weights)
    try:
        network = spandrel.ModelLoader(device).load_from_state_dict(spandrel.canonicalize_state_dict(state))
    except Exception as error:  # its kinds differ between architectures
        why = " ".join(str(error).split())[:120] or type(error).__name__
        text = f"must be a network that spandrel knows, got {str(path)!r} ({why}); give another, {WITHOUT}"
        raise UserError(text, argument="cleaner") from error

    channels = getattr(network, "input_channels", None), getattr(network, "output_channels", None)
    if channels != (3, 3) or not isinstance(network, spandrel.ImageModelDescriptor):
        text = f"must be a network from RGB to RGB, got {str(path)!r}; give another, {WITHOUT}"
        raise UserError(text, argument="cleaner")
    return network.eval()


@torch.no_grad()
def clean(network: Any, low: torch.Tensor, enlarged: torch.Tensor) -> torch.Tensor:
    """Run the first stage.

    Args:
        network: Network from `load_cleaner`.
        low: The photo, RGB in [0, 1], (1, 3, h, w).
        enlarged: The same at the size of the result: what a network of scale 1, such as DiffBIR v1's SwinIR, is given.

    Returns:
        RGB in [0, 1], (1, 3, scale * h, scale * w) or the size of `enlarged`.
    """
    scale = int(network.scale)
    given = enlarged if scale == 1 else low
    # a copy: tensors of spandrel's inference mode cannot be changed in place
    return map_tiles(lambda x: network(x).clone(), given, tile=TILE, overlap=OVERLAP, scale=scale)
