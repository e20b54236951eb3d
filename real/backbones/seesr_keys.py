"""SeeSR's names for weights: diffusers' own, with the image transformers in lists of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

__all__ = ["network_weights"]


def network_weights(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of SeeSR's UNet or control net by the names of `real.backbones.seesr`.

    Args:
        state: Tensors by official name: `...attentions.I...` are the text transformers, `...image_attentions.I...` the
            image ones.

    Returns:
        The same tensors; both transformers of a place are inside one module, `attentions.I.text` and `.image`.
    """
    return {_rename(name): value for name, value in state.items()}


def _rename(name: str) -> str:
    kind = "image" if ".image_attentions." in name else "text"
    return re.sub(r"\.(?:image_)?attentions\.(\d+)\.", rf".attentions.\1.{kind}.", name, count=1)
