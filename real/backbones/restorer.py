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
from real.backbones.denoiser import Denoiser
from real.backbones.grids import DiffBIRDDIMScheduler
from real.backbones.hints import Hints, check_hints
from real.backbones.loop import sample
from real.backbones.model import BackboneModel
from real.backbones.pictures import FACTOR, decode, encode, enlarge, enlarge_in_steps, pad_to, resize, work_size
from real.backbones.recipes import RECIPES
from real.backbones.starts import start_latents
from real.errors import UserError
from real.images.colour import adain_colour, check_colour_fix, wavelet_colour
from real.images.pixels import unit_tensor
from real.images.seeds import photo_seed
from real.models.base import ModelFamily
from real.models.pipeline import check_text
from real.plugin.early import choose_early, unchoose_early
from real.restorers.base import Progress, Restorer
from real.restorers.steered import particles_of, sampler_state, steered_scheduler
from real.sampling import Particles, initial_noise
from real.settings import Settings

__all__ = ["DIFFBIR", "SEESR", "BackboneRestorer"]

MULTIPLE = 64  # pixels that DiffBIR's authors pad to where nothing is tiled


class BackboneRestorer(Restorer):
    """A low-resolution photo and DiffBIR or SeeSR.

    Args:
        low: RGB uint8 (h, w, 3).
        model: Model from `real.backbones.model.load_backbone`.
        hints: What is known of the photo; DiffBIR with a cleaner needs none.
        prompt: What is wanted; None: the recipe's. SeeSR's tags come before it.
        negative_prompt: What to move away from; None: the recipe's. Needs a guidance above 1.
        colour_fix: How the result takes the colours of the input (`real.images.colour`); None: the recipe's.

    Raises:
        UserError: A hint is missing, belongs to the other model, or does not fit the photo; there is no such fix.
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
        colour_fix: str | None = None,
    ) -> None:
        hints, recipe = hints or Hints(), model.recipe
        self.colour_fix = recipe.colour_fix if colour_fix is None else colour_fix
        check_colour_fix(self.colour_fix)
        check_hints(recipe.family, recipe.cleaner, hints)
        self.model, self.shown = model, low
        self.height, self.width = 4 * low.shape[0], 4 * low.shape[1]

        # What the result's colours follow is also the networks' condition, in latents (DiffBIR) or in pixels.
        tiling = model.vae_tiling
        if recipe.family == "diffbir":
            size = work_size(self.height, self.width, least=recipe.process_size)
            self.colour_reference = self._cleaned(low, size, hints).to(model.device)
            padded = pad_to(self.colour_reference, _multiple(*size, tile=recipe.tile))
            self.latent = self.condition = encode(model.vae, padded, tiling=tiling)
        else:
            self.colour_reference = enlarge_in_steps(low, least=recipe.process_size).to(model.device)
            self.condition = self.colour_reference
            self.latent = encode(model.vae, self.colour_reference, tiling=tiling)

        # The recipe has a negative prompt of its own; only one that was asked for needs guidance.
        self.image_tokens = None if hints.image_tokens is None else hints.image_tokens.to(model.device)
        self.prompt = _with_tags(recipe.prompt if prompt is None else prompt, hints.tags)
        self.given_negative_prompt = negative_prompt
        self.negative_prompt = recipe.negative_prompt if negative_prompt is None else negative_prompt
        self.prompt_embeds = model.encode_text(self.prompt)
        self.negative_prompt_embeds = model.encode_text(self.negative_prompt)

    def _cleaned(self, low: np.ndarray, size: tuple[int, int], hints: Hints) -> torch.Tensor:
        """What DiffBIR's first stage makes of the photo, (1, 3, H, W) in [0, 1]."""
        if hints.cleaned is not None:
            if hints.cleaned.shape != (self.height, self.width, 3):
                wanted, has = f"{self.width} x {self.height}", f"{hints.cleaned.shape[1]} x {hints.cleaned.shape[0]}"
                raise UserError(f"must have the result's {wanted} pixels, got {has}", argument="cleaned")
            return resize(unit_tensor(hints.cleaned), size).clamp(0.0, 1.0)
        enlarged = enlarge(low, size)
        if self.model.recipe.cleaner == BICUBIC:
            return enlarged
        device = self.model.device
        return resize(clean(self.model.cleaner, unit_tensor(low).to(device), enlarged.to(device)), size).clamp(0.0, 1.0)

    def sample(
        self, settings: Settings, *, steered: bool = True, first: bool = False, progress: Progress | None = None
    ) -> Particles:
        """See `Restorer.sample`.

        Raises:
            UserError: A guidance below 1, a negative prompt without guidance, or more steps than the time grid has.
        """
        check_text(settings, self.given_negative_prompt)
        model, recipe = self.model, self.model.recipe
        num_particles = 1 if first else settings.particles
        scheduler = _scheduler(model, settings, num_particles, steered=steered)

        rows, columns = self.latent.shape[-2:]
        seed = photo_seed(settings.seed, self.shown)
        noise = initial_noise(num_particles, rows, columns, seed=seed, channels=self.latent.shape[1])
        start = start_latents(recipe.start, noise.to(model.device), scheduler, self.latent)

        def report(t: int, x_next: torch.Tensor) -> None:
            if progress is not None:
                progress(sampler_state(scheduler, t))

        # Both networks see the whole batch, so both must know which particle goes on.
        early = [model.controlnet, model.unet] if steered and settings.early_choice else []
        for network in early:
            choose_early(network, scheduler)
        try:
            sample(self._denoiser(settings.guidance), start, scheduler, progress=report)
        finally:
            for network in early:  # the model is used again, for other runs
                unchoose_early(network)
        return particles_of(scheduler.kds)

    def decode(self, latents: torch.Tensor) -> list[np.ndarray]:
        """See `Restorer.decode`; one after the other, each with the colours of the input."""
        return [self._picture(latent[None]) for latent in latents]

    def describe(self, settings: Settings) -> dict[str, Any]:
        """See `Restorer.describe`: the texts that the networks are given, the timesteps, where the last step ends."""
        scheduler = _scheduler(self.model, settings, settings.particles)
        ends = float(scheduler.final_alpha_cumprod) if hasattr(scheduler, "final_alpha_cumprod") else 1.0
        return {
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "colour_fix": self.colour_fix,
            "timesteps": [int(t) for t in scheduler.timesteps],
            "last_alpha_bar": round(ends, 6),
        }

    def summary(self, settings: Settings) -> str:
        """See `Restorer.summary`."""
        recipe, run = self.model.recipe, self.describe(settings)
        steps = run["timesteps"]
        return (
            f"{recipe.family}: start {recipe.start}, {len(steps)} timesteps from {steps[0]} to {steps[-1]} "
            f"({recipe.time_grid} grid), last alpha_bar {run['last_alpha_bar']:g}, guidance {settings.guidance:g}, "
            f"colour fix {self.colour_fix}"
        )

    def _denoiser(self, guidance: float) -> Denoiser:
        model, recipe = self.model, self.model.recipe
        tile = recipe.tile
        return Denoiser(
            unet=model.unet,
            controlnet=model.controlnet,
            prompt_embeds=self.prompt_embeds,
            negative_prompt_embeds=self.negative_prompt_embeds,
            condition=self.condition,
            image_tokens=self.image_tokens,
            guidance=guidance,
            control_scale=recipe.control_scale,
            tile=tile,
            stride=1 if tile is None else tile - min(recipe.overlap, tile // 2),
        )

    @torch.no_grad()
    def _picture(self, latent: torch.Tensor) -> np.ndarray:
        height, width = self.colour_reference.shape[-2:]
        image = decode(self.model.vae, latent, tiling=self.model.vae_tiling)[..., :height, :width]

        if self.colour_fix == "wavelet":
            image = wavelet_colour(image, self.colour_reference)
        else:  # SeeSR's authors round to pixels before
            image = image.clamp(0.0, 1.0)
            image = adain_colour(image, self.colour_reference) if self.colour_fix == "adain" else image

        # Last, since the colours are compared at the size that the networks worked at.
        image = resize(image, (self.height, self.width)).clamp(0.0, 1.0)
        pixels: np.ndarray = (image[0] * 255.0).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        return pixels


def _scheduler(model: BackboneModel, settings: Settings, num_particles: int, *, steered: bool = True) -> Any:
    """The steered scheduler of a run: the model's noise schedule, the recipe's time grid and last level, timesteps set.

    Raises:
        UserError: The official time grid has no such number of steps.
    """
    official = model.family == "diffbir" and model.recipe.time_grid == "official" and settings.sampler == "ddim"
    scheduler = steered_scheduler(
        {**model.scheduler, "set_alpha_to_one": model.recipe.last_alpha == "one"},
        settings,
        num_particles,
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
    """Tags and prompt, joined as SeeSR's authors join them."""
    return ", ,".join(part for part in (tags, prompt) if part)


def _family(name: str) -> ModelFamily:
    return ModelFamily(
        name=name,
        task="sr",
        what=RECIPES[name].paper,
        restorer=BackboneRestorer,
        options={"prompt": None, "negative_prompt": None, "hints": None, "colour_fix": None},
    )


DIFFBIR = _family("diffbir")
SEESR = _family("seesr")
