"""Photos and their latents in memory, and batches of crops of them for the denoiser.

Latents of all photos are computed once. Every step draws crops of them, with the condition of each crop: a
`Task` makes that, super-resolution from the photo, inpainting from latents of the photo with a hole.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from diffusers import VQModel
from tqdm import tqdm

from real.degradations.simple import SCALE
from real.images.pixels import signed_tensor
from real.train.saved import digest_of_arrays, fingerprint, keep, load_kept
from real.train.training_run import RunSettings, autocast

__all__ = ["Batches", "Crop", "EncodedPhoto", "Task", "draw_timesteps", "encode", "encode_photos"]

Batch: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class EncodedPhoto:
    """A photo, uint8 (4h, 4w, 3), and its latents, float16 (3, h, w)."""

    photo: np.ndarray
    latents: np.ndarray


@dataclass(frozen=True)
class Crop:
    """Clean latents, float32 (3, s, s), and the condition that goes with them, float32 (C, s, s)."""

    latents: np.ndarray
    condition: np.ndarray


class Task(Protocol):
    """What a denoiser is trained for: its condition, and what stands for it when it is dropped."""

    @property
    def stage(self) -> str:
        """Name of the training stage."""

    @property
    def channels(self) -> int:
        """C of the condition."""

    def settings(self) -> dict[str, Any]:
        """What the trained network depends on, for the record and for refusing to resume with other settings."""

    def prepare(self, pairs: list[EncodedPhoto], vqvae: VQModel, folder: Path, run_settings: RunSettings) -> None:
        """Compute what can be computed once; may be kept in `folder`."""

    def draw(self, index: int, size: int, rng: np.random.Generator) -> Crop:
        """A random crop of the photo with that index in `pairs`."""

    def nothing(self, size: int) -> np.ndarray:
        """The condition that says nothing, (C, size, size): for condition dropout and classifier-free guidance."""


@torch.no_grad()
def encode(x: torch.Tensor, vqvae: VQModel, run_settings: RunSettings) -> np.ndarray:
    """RGB in [-1, 1], (1, 3, 4h, 4w) -> latents before quantisation, float16 (3, h, w)."""
    with autocast(run_settings):
        latents = vqvae.encode(x.to(run_settings.device)).latents
    encoded: np.ndarray = latents[0].to(torch.float16).cpu().numpy()
    return encoded


def encode_photos(
    photos: Sequence[np.ndarray], vqvae: VQModel, folder: Path, run_settings: RunSettings
) -> list[EncodedPhoto]:
    """Latents of every photo, each turned or mirrored at random once; sides are cut to multiples of 4.

    They are kept in `folder/latents.pt`, so that a resumed run need not compute them again.
    """
    rng = np.random.default_rng([run_settings.seed, 1])
    kept, made_of = folder / "latents.pt", digest_of_arrays(photos, run_settings.seed, fingerprint(vqvae))
    known = load_kept(kept, made_of)
    pairs = []

    for index, photo in enumerate(tqdm(photos, desc="encoding photos", unit="photo")):
        turned = np.rot90(photo[:, ::-1] if rng.random() < 0.5 else photo, int(rng.integers(4)))
        height, width = (side - side % SCALE for side in turned.shape[:2])
        turned = np.ascontiguousarray(turned[:height, :width])

        # Turned and cut in any case: the random numbers that follow must be the same.
        if known is not None:
            pairs.append(EncodedPhoto(turned, known[index].numpy()))
            continue
        x = signed_tensor(turned)
        pairs.append(EncodedPhoto(turned, encode(x, vqvae, run_settings)))

    if known is None:
        keep(kept, made_of, [torch.from_numpy(pair.latents) for pair in pairs])
    return pairs


class Batches:
    """Batches by step number: what step k trains on depends on the seed and k alone, so a resumed run repeats it.

    One thread prepares the next batch while the model trains on the present one.

    Args:
        pairs: Photos with latents; every one must have `crop` latent pixels on both sides.
        task: Task, prepared with the same pairs.
        crop: Side of a crop in latent pixels.
        batch: Crops per step.
        dropout: Share of the crops whose condition is dropped.
        seed: Seed of everything that is drawn.
    """

    def __init__(
        self,
        pairs: Sequence[EncodedPhoto],
        task: Task,
        *,
        crop: int,
        batch: int,
        dropout: float = 0.1,
        seed: int = 0,
    ) -> None:
        self.task, self.crop, self.batch, self.dropout, self.seed = task, crop, batch, dropout, seed
        area = np.array([p.latents.shape[1] * p.latents.shape[2] for p in pairs], dtype=np.float64)
        self._cumulative = np.cumsum(area) / area.sum()
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._next: tuple[int, Future[Batch]] | None = None

    def __call__(self, step: int) -> Batch:
        """Clean latents (B, 3, s, s), condition (B, C, s, s), noise as the latents, all float32; time steps (B,)."""
        known = self._next is not None and self._next[0] == step
        batch = self._next[1].result() if self._next is not None and known else self._make(step)
        self._next = (step + 1, self._thread.submit(self._make, step + 1))
        return batch

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _make(self, step: int) -> Batch:
        size, batch, rng = self.crop, self.batch, np.random.default_rng([self.seed, 2, step])
        latents = np.empty((batch, 3, size, size), dtype=np.float32)
        condition = np.empty((batch, self.task.channels, size, size), dtype=np.float32)
        for i in range(batch):
            index = int(np.searchsorted(self._cumulative, rng.random(), side="right"))
            crop = self.task.draw(index, size, rng)
            latents[i] = crop.latents
            condition[i] = crop.condition if rng.random() >= self.dropout else self.task.nothing(size)
        eps = rng.standard_normal(latents.shape, dtype=np.float32)
        t = draw_timesteps(batch, rng)
        return torch.from_numpy(latents), torch.from_numpy(condition), torch.from_numpy(eps), torch.from_numpy(t)


def draw_timesteps(batch: int, rng: np.random.Generator) -> np.ndarray:
    """Timesteps, int64 (batch,), from 0 to 999: stratified, one in each of `batch` equally long parts."""
    return np.floor((np.arange(batch) + rng.random(batch)) * (1000 / batch)).astype(np.int64)
