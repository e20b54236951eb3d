"""DiffBIR or SeeSR as one denoiser, (x_t, t) -> prediction: networks, control, guidance and tiles put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from real.backbones.control import evaluate
from real.backbones.guidance import guided
from real.backbones.tiling import Window, blend_windows

__all__ = ["Denoiser"]


@dataclass(frozen=True, kw_only=True)
class Denoiser:
    """What is known of one photo, and the networks that use it.

    Tensors have one row, or as many as the latents.

    Attributes:
        unet: The denoising network, from `real.backbones.diffbir` or `seesr`.
        controlnet: Control net, which conditions it on the photo, from the same module.
        prompt_embeds: Text embeddings (1, L, W) of what is in the photo.
        condition: DiffBIR: scaled latent of the cleaned photo (1, 4, h, w). SeeSR: the photo enlarged to the size of
            the result, (1, 3, 8h, 8w) in [0, 1].
        negative_prompt_embeds: Text embeddings (1, L, W) of what to move away from; None: no guidance.
        image_tokens: (1, K, 512), SeeSR only.
        guidance: Weight w of at least 1; 1: no guidance.
        rescale: Whether it grows as noise falls (DiffBIR), see `real.backbones.guidance`.
        control_scale: Factor of the controls.
        tile: Latents of more than tile^2 pixels go through in tiles of this side; None: never.
        stride: Distance between tiles, 1 to `tile`.
    """

    unet: Any
    controlnet: Any
    prompt_embeds: torch.Tensor
    condition: torch.Tensor
    negative_prompt_embeds: torch.Tensor | None = None
    image_tokens: torch.Tensor | None = None
    guidance: float = 1.0
    rescale: bool = False
    control_scale: float = 1.0
    tile: int | None = None
    stride: int = 1

    def __call__(self, x_t: torch.Tensor, t: int) -> torch.Tensor:
        """Noise or velocity (B, 4, h, w) in the dtype of x_t; the networks compute in their own.

        Raises:
            ValueError: An option is out of range, or the size or the rows of a tensor do not fit the latents.
        """
        rows, columns = x_t.shape[-2:]
        scale = self.condition.shape[-1] // columns
        if scale < 1 or self.condition.shape[-2:] != (scale * rows, scale * columns):
            got = tuple(self.condition.shape)
            raise ValueError(f"condition must have a multiple of the latents' {rows} x {columns} pixels, got {got}")

        def denoise(x: torch.Tensor, place: Window) -> torch.Tensor:
            # A condition in pixels has several for each latent pixel, and is cropped along with the tile.
            window = [slice(scale * side.start, scale * side.stop) for side in place]
            return self._guided(x, t, self.condition[..., window[0], window[1]])

        if self.tile is None:
            return denoise(x_t, (slice(0, rows), slice(0, columns)))
        return blend_windows(denoise, x_t, tile=self.tile, stride=self.stride)

    def _guided(self, x_t: torch.Tensor, t: int, condition: torch.Tensor) -> torch.Tensor:
        def denoise(x: torch.Tensor, t: int, text: torch.Tensor) -> torch.Tensor:
            # The networks compute in their own precision, the sampler in that of the latents.
            dtype, tokens = self.unet.dtype, self.image_tokens
            return evaluate(
                self.unet,
                self.controlnet,
                x.to(dtype),
                t,
                text=text.to(dtype),
                condition=_for_rows("condition", condition, x).to(dtype),
                image_tokens=None if tokens is None else _for_rows("image_tokens", tokens, x).to(dtype),
                control_scale=self.control_scale,
            ).to(x.dtype)

        negative = self.negative_prompt_embeds
        return guided(
            denoise,
            x_t,
            t,
            prompt_embeds=_for_rows("prompt_embeds", self.prompt_embeds, x_t),
            negative_prompt_embeds=None if negative is None else _for_rows("negative_prompt_embeds", negative, x_t),
            guidance=self.guidance,
            rescale=self.rescale,
        )


def _for_rows(name: str, value: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Repeated until there is a row for each of x; with guidance the second half of x is the first once more."""
    if len(x) % len(value):
        raise ValueError(f"{name} must have one row, or as many as the {len(x)} latents, got {len(value)}")
    return value.repeat(len(x) // len(value), *(1,) * (value.ndim - 1))
