"""What a denoiser in the shape of the latent diffusion paper's inpainting model sees of a photo with a hole.

Three channels are the latents of the photo with something in its hole, the fourth is the hole on their grid. Two
readings of that have the same shape, so `kds.json` names the one that a model was trained with:

- "black", where it names none: the hole grown to whole latent pixels and painted black, as the public model of that
  paper has it (its `scripts/inpaint.py`, github.com/CompVis/latent-diffusion, commit c144c0e);
- "smooth", what `real.train` trains: the hole filled smoothly, and the hidden share of every latent pixel. So thin
  scratches take little away, and the denoiser begins where interpolation ends.

`real.train.tasks` trains with it, `real.restorers.inpainting` restores with it.
"""

from __future__ import annotations

import numpy as np
import torch

from real.degradations.simple import SCALE
from real.images.filling import blank, fill_smoothly
from real.images.masks import grow_to_cells, latent_mask
from real.images.pixels import signed_tensor
from real.models.codec import encode
from real.models.latent import LatentModel

__all__ = ["filled", "hidden", "hole_condition"]


def filled(x: torch.Tensor, mask: np.ndarray, hole: str) -> torch.Tensor:
    """What is encoded: RGB in [-1, 1], (B, 3, 4h, 4w), with something in its hole, bool (4h, 4w)."""
    return fill_smoothly(x, mask) if hole == "smooth" else blank(x, grow_to_cells(mask, SCALE))


def hidden(mask: np.ndarray, hole: str) -> torch.Tensor:
    """The fourth channel, float32 (h, w) in [-1, 1], of a mask, bool (4h, 4w)."""
    return latent_mask(mask if hole == "smooth" else grow_to_cells(mask, SCALE), factor=SCALE)


def hole_condition(model: LatentModel, photo: np.ndarray, mask: np.ndarray) -> torch.Tensor:
    """The condition of a model's denoiser.

    Args:
        model: Model of the family "ldm-inpaint"; `model.hole` says which of the two readings is its own.
        photo: RGB uint8 (4h, 4w, 3); what is inside the mask is ignored.
        mask: bool (4h, 4w), True inside the hole.

    Returns:
        float32 (1, 4, h, w) on the model's device.
    """
    x = signed_tensor(photo).to(model.device)
    known = encode(model, filled(x, mask, model.hole))
    return torch.cat([known, hidden(mask, model.hole)[None, None].to(model.device)], dim=1)
