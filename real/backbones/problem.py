"""Super-resolution with DiffBIR or SeeSR: one photo, what is known of it, and a loaded model.

Photo -> size that the model knows -> condition -> N start latents -> loop [networks -> guidance -> steered scheduler]
-> choice -> autoencoder -> colours -> size that was asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler

from real.backbones.cleaner import BICUBIC, clean
from real.backbones.colour import adain_colour, wavelet_colour
from real.backbones.grids import DiffBIRDDIMScheduler
from real.backbones.hints import Hints, check_hints
from real.backbones.loop import sample
from real.backbones.model import BackboneModel
from real.backbones.pictures import (
    FACTOR,
    as_tensor,
    decode,
    encode,
    enlarge,
    enlarge_in_steps,
    pad_to,
    resize,
    work_size,
)
from real.backbones.predictor import Predictor
from real.backbones.starts import start_latents
from real.errors import UserError
from real.images.seeds import photo_seed
from real.models.pipeline import check_text
from real.plugin.early import choose_early, unchoose_early
from real.restorers.base import Progress
from real.restorers.ensemble import EnsembleProblem
from real.restorers.steered import particles_of, sampler_state, steered_scheduler
from real.sampling import Particles, initial_noise
from real.settings import Settings

__all__ = ["BackboneProblem", "scheduler_for"]

MULTIPLE = 64  # pixels that DiffBIR's authors pad to where nothing is tiled


class BackboneProblem(EnsembleProblem):
    """A low-resolution photo and a model; a `Problem`.

    Args:
        low: RGB uint8 (h, w, 3).
        model: From `real.backbones.model.load_backbone`.
        hints: What is known of the photo; DiffBIR with a cleaner needs none.
        prompt: What is wanted; None: the recipe's. SeeSR's tags come in front of it.
        negative_prompt: What to move away from; None: the recipe's. Needs a guidance above 1.

    Raises:
        UserError: A hint is missing, belongs to the other model, or does not fit the photo.
    """

    model: BackboneModel

    def __init__(
        self,
        low: np.ndarray,
        model: BackboneModel,
        *,
        hints: Hints | None = None,
        prompt: str | None = None,
        negative_prompt: str | None = None,
    ) -> None:
        hints, recipe = hints or Hints(), model.recipe
        check_hints(recipe.family, recipe.cleaner, hints)
        self.model, self.shown = model, low
        self.height, self.width = 4 * low.shape[0], 4 * low.shape[1]
        tiling = model.vae_tiling
        if recipe.family == "diffbir":
            size = work_size(self.height, self.width, least=recipe.process_size)
            self.seen = self._cleaned(low, size, hints).to(model.device)
            padded = pad_to(self.seen, _multiple(*size, tile=recipe.tile))
            self.latent = self.condition = encode(model.vae, padded, tiling=tiling)
        else:
            self.seen = self.condition = enlarge_in_steps(low, least=recipe.process_size).to(model.device)
            self.latent = encode(model.vae, self.seen, tiling=tiling)
        self.tokens = None if hints.image_tokens is None else hints.image_tokens.to(model.device)
        self.prompt = _with_tags(recipe.prompt if prompt is None else prompt, hints.tags)
        self.asked_against = negative_prompt
        self.negative_prompt = recipe.negative_prompt if negative_prompt is None else negative_prompt
        self.text, self.against = model.encode_text(self.prompt), model.encode_text(self.negative_prompt)

    def _cleaned(self, low: np.ndarray, size: tuple[int, int], hints: Hints) -> torch.Tensor:
        """What DiffBIR's first stage makes of the photo, (1, 3, H, W) in [0, 1]."""
        if hints.cleaned is not None:
            if hints.cleaned.shape != (self.height, self.width, 3):
                has = f"{hints.cleaned.shape[1]} x {hints.cleaned.shape[0]}"
                raise UserError(f"--cleaned: it has {has} pixels; give {self.width} x {self.height}, the result's size")
            return resize(as_tensor(hints.cleaned), size).clamp(0.0, 1.0)
        enlarged = enlarge(low, size)
        if self.model.recipe.cleaner == BICUBIC:
            return enlarged
        device = self.model.device
        return resize(clean(self.model.cleaner, as_tensor(low).to(device), enlarged.to(device)), size).clamp(0.0, 1.0)

    def particles(
        self, settings: Settings, *, steered: bool = True, first: bool = False, progress: Progress | None = None
    ) -> Particles:
        """See `EnsembleProblem.particles`.

        Raises:
            ValueError: A guidance below 1, a negative prompt without guidance, or steps that the time grid has not.
        """
        check_text(settings, self.asked_against)
        model, recipe = self.model, self.model.recipe
        count = 1 if first else settings.particles
        scheduler = scheduler_for(model, settings, count, steered=steered)
        rows, columns = self.latent.shape[-2:]
        seed = photo_seed(settings.seed, self.shown)
        noise = initial_noise(count, rows, columns, seed=seed, channels=self.latent.shape[1])
        start = start_latents(recipe.start, noise.to(model.device), scheduler, self.latent)
        predict = self._predictor(settings.guidance)

        def report(t: int, x_next: torch.Tensor) -> None:
            if progress is not None:
                progress(sampler_state(scheduler, t))

        early = [model.controlnet, model.unet] if steered and settings.early_choice else []
        for network in early:
            choose_early(network, scheduler)
        try:
            sample(predict, start, scheduler, progress=report)
        finally:
            for network in early:
                unchoose_early(network)
        return particles_of(scheduler.kds)

    def images(self, latents: torch.Tensor) -> list[np.ndarray]:
        """See `EnsembleProblem.images`; one after the other, each with the colours of the input."""
        return [self._picture(latent[None]) for latent in latents]

    def describe(self) -> dict[str, str]:
        """The texts that the networks were given."""
        return {"prompt": self.prompt, "negative_prompt": self.negative_prompt}

    def _predictor(self, guidance: float) -> Predictor:
        model, recipe = self.model, self.model.recipe
        tile = recipe.tile
        return Predictor(
            unet=model.unet,
            controlnet=model.controlnet,
            text=self.text,
            negative=self.against,
            condition=self.condition,
            image_tokens=self.tokens,
            guidance=guidance,
            control_scale=recipe.control_scale,
            tile=tile,
            stride=1 if tile is None else tile - min(recipe.overlap, tile // 2),
        )

    @torch.no_grad()
    def _picture(self, latent: torch.Tensor) -> np.ndarray:
        height, width = self.seen.shape[-2:]
        image = decode(self.model.vae, latent, tiling=self.model.vae_tiling)[..., :height, :width]
        colours = self.model.recipe.colours
        if colours == "wavelet":
            image = wavelet_colour(image, self.seen)
        else:  # SeeSR's authors round to pixels before
            image = image.clamp(0.0, 1.0)
            image = adain_colour(image, self.seen) if colours == "adain" else image
        image = resize(image, (self.height, self.width)).clamp(0.0, 1.0)
        pixels: np.ndarray = (image[0] * 255.0).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return pixels


def scheduler_for(model: BackboneModel, settings: Settings, count: int, *, steered: bool = True) -> Any:
    """The steered scheduler of a run: the model's noise schedule, the recipe's time grid and last level, timesteps set.

    Raises:
        ValueError: The official time grid has no such number of steps.
    """
    official = model.family == "diffbir" and model.recipe.time_grid == "official" and settings.sampler == "ddim"
    scheduler = steered_scheduler(
        {**model.scheduler, "set_alpha_to_one": model.recipe.last_alpha == "one"},
        settings,
        count,
        bandwidth=model.bandwidth,
        steered=steered,
        ddim=DiffBIRDDIMScheduler if official else DDIMScheduler,
    )
    scheduler.set_timesteps(settings.steps, device=model.device)
    return scheduler


def _multiple(height: int, width: int, *, tile: int | None) -> int:
    """Pixels whose multiples DiffBIR's authors pad to: fewer where the networks go over tiles."""
    return MULTIPLE if tile is None or -(-min(height, width) // FACTOR) < tile else FACTOR


def _with_tags(prompt: str, tags: str | None) -> str:
    """Joined as SeeSR's authors join them."""
    return ", ,".join(part for part in (tags, prompt) if part)
