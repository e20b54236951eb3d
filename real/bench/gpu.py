"""What there is to measure on a GPU: each part is a generator of rows, so that a run cut short keeps what it has.

`real.cli.gpu_check` runs the parts in the order of `PARTS`, the most important first. Networks have random weights
where only their cost counts, so nothing is downloaded.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler

from kds_ref import steer
from real.bench.cost import full_size, measure_cost, random_model
from real.bench.gpu_setup import FULL, TINY, Sizes, Timer
from real.bench.memory import PeakMemory
from real.degradations.simple import Degradation
from real.images.photos import sample_photo
from real.models.codec import decode, padded_condition
from real.models.devices import DTYPES
from real.models.latent import LatentModel
from real.opening import open_model
from real.plugin import steer_scheduler
from real.plugin.batching import split_batches
from real.sampling import sample
from real.settings import Settings

__all__ = ["FULL", "PARTS", "TINY", "Sizes"]

Rows = Iterator[dict[str, Any]]
TESTS_SECONDS = 150


def tests(device: torch.device, sizes: Sizes) -> Rows:
    """The tests marked `gpu`, where a checkout with tests is at hand."""
    if device.type != "cuda":
        raise RuntimeError("they need a CUDA GPU")
    folder = Path(__file__).parents[2] / "tests"
    if not folder.is_dir() or find_spec("pytest") is None:
        raise FileNotFoundError("tests and pytest are needed: run it in a checkout, with the extra `test`")
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", str(folder / "gpu")]
    done = subprocess.run(
        command, cwd=folder.parent, capture_output=True, text=True, timeout=TESTS_SECONDS, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    yield {"exit": done.returncode, "summary": lines[-1] if lines else done.stderr.strip()[-200:]}


def agreement(device: torch.device, sizes: Sizes) -> Rows:
    """Largest difference to the CPU's float32, as a part of the largest value: steering, then a run of the model."""
    x = torch.randn(sizes.shapes[0], generator=torch.Generator().manual_seed(0))
    for kernel in ("gaussian", "laplacian", "epanechnikov"):
        for dtype in DTYPES:
            given = x.to(DTYPES[dtype])
            expected, _ = steer(given.float(), bandwidth=2.0, kernel=kernel)
            steered, _ = steer(given.to(device), bandwidth=2.0, kernel=kernel)
            yield {"what": f"steer, {kernel}", "dtype": dtype, "difference": _difference(steered, expected)}

    settings = Settings(particles=sizes.particles, steps=min(sizes.steps, 10))
    reference = _latents("cpu", "float32", sizes, settings)
    for dtype in DTYPES:
        latents = _latents(str(device), dtype, sizes, settings)
        yield {
            "what": f"bundled model, {settings.steps} steps",
            "dtype": dtype,
            "difference": _difference(latents, reference),
        }


def steering(device: torch.device, sizes: Sizes) -> Rows:
    """Seconds and memory of one call of `steer`, beside reading and writing the latents once."""
    timer = Timer(device)
    for shape in sizes.shapes:
        for dtype in ("float16", "float32"):
            x = (0.3 * torch.randn(shape, generator=torch.Generator().manual_seed(0))).to(device, DTYPES[dtype])
            # A copy is bound by memory alone: the unit in which a fused kernel would take about one.
            copy = timer.each(x.clone)
            seconds = timer.each(partial(steer, x))

            before = torch.cuda.memory_allocated(device) if device.type == "cuda" else None
            with PeakMemory(device) as memory:
                steer(x)
            peak = None if before is None or memory.gigabytes is None else 1e9 * memory.gigabytes - before

            yield {
                "shape": list(shape),
                "dtype": dtype,
                "seconds": seconds,
                "copy_seconds": copy,
                "copies": seconds / copy,
                "peak_bytes": peak,
                "peak_per_latents": None if peak is None else peak / (x.numel() * x.element_size()),
            }


def overhead(device: torch.device, sizes: Sizes) -> Rows:
    """N steered particles against N independent ones, through a UNet of Stable Diffusion 2's size, in turn."""
    n = sizes.particles
    with torch.device(device):
        unet, _ = full_size("diffbir", channels=sizes.channels)
    unet = torch.nn.Module.to(unet, torch.float16).eval().requires_grad_(False)
    text = torch.zeros(n, 77, unet.config.cross_attention_dim, dtype=torch.float16, device=device)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(n, 4, sizes.side, sizes.side, generator=generator).to(device, torch.float16)
    timer = Timer(device)

    for max_batch in (None, max(1, n // 2)):
        if max_batch is not None:
            split_batches(unet, max_batch)
        _run(unet, text, noise, steps=2, steered=True)

        # In turn, so that a device that grows slower with time slows both alike.
        seconds: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(sizes.repeats):
            for steered in (False, True):
                work = partial(_run, unet, text, noise, steps=sizes.steps, steered=steered)
                seconds[steered].append(timer.once(work))

        plain, kds = median(seconds[False]), median(seconds[True])
        yield {
            "particles": n,
            "latents": [4, sizes.side, sizes.side],
            "steps": sizes.steps,
            "max_batch": max_batch,
            "plain_seconds": seconds[False],
            "kds_seconds": seconds[True],
            "more_percent": 100.0 * (kds / plain - 1.0),
        }


def backbones(device: torch.device, sizes: Sizes) -> Rows:
    """DiffBIR and SeeSR, plain and steered: the columns of the paper's Table 4."""
    for family in ("diffbir", "seesr"):
        side = max(64, 8 * sizes.side)
        model = random_model(family, device=str(device), channels=sizes.channels, side=side)
        settings = Settings(steps=sizes.steps, guidance=model.recipe.guidance)
        for n in sizes.backbone_particles:
            for row in measure_cost(model, settings, [n]):
                yield {"model": family, **row}


def bundled(device: torch.device, sizes: Sizes) -> Rows:
    """Seconds of one photo through the bundled model, with the default settings but for the steps."""
    for dtype in ("float32", "float16"):
        model, timer = _bundled(str(device), dtype), Timer(device)
        settings = Settings(steps=sizes.steps, particles=sizes.particles)
        _restore(model, sizes, replace(settings, steps=2))
        times = [timer.once(partial(_restore, model, sizes, settings)) for _ in range(sizes.repeats)]
        yield {
            "photo": [4 * sizes.photo, 4 * sizes.photo],
            "dtype": dtype,
            "particles": settings.particles,
            "steps": settings.steps,
            "seconds": median(times),
        }


def compiled(device: torch.device, sizes: Sizes) -> Rows:
    """One call of `torch.compile(steer)`, and how long the first one takes."""
    if device.type != "cuda":
        raise RuntimeError("it is measured on a CUDA GPU only")

    timer, function = Timer(device), torch.compile(steer)
    for shape in sizes.shapes:
        x = (0.3 * torch.randn(shape, generator=torch.Generator().manual_seed(0))).to(device, torch.float16)
        # The first call of a shape compiles.
        first = timer.once(partial(function, x))
        expected = steer(x)[0].cpu()
        yield {
            "shape": list(shape),
            "first_seconds": first,
            "seconds": timer.each(partial(function, x)),
            "eager_seconds": timer.each(partial(steer, x)),
            "difference": _difference(function(x)[0], expected),
        }


PARTS: dict[str, Callable[[torch.device, Sizes], Rows]] = {
    "overhead": overhead,
    "steering": steering,
    "agreement": agreement,
    "backbones": backbones,
    "tests": tests,
    "bundled": bundled,
    "compiled": compiled,
}


@torch.no_grad()
def _run(unet: Any, text: torch.Tensor, noise: torch.Tensor, *, steps: int, steered: bool) -> torch.Tensor:
    """A pipeline's loop, as short as it can be."""
    scheduler: Any = DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False)
    if steered:
        scheduler = steer_scheduler(scheduler, num_particles=len(noise))
    scheduler.set_timesteps(steps, device=noise.device)
    latents = noise
    for t in scheduler.timesteps:
        output = unet(latents, t, encoder_hidden_states=text, return_dict=False)[0]
        latents = scheduler.step(output, t, latents).prev_sample
    return scheduler.kds.select(latents).latents if steered else latents


def _bundled(device: str, dtype: str) -> LatentModel:
    model = open_model(device=device, dtype=dtype)
    assert isinstance(model, LatentModel)
    return model


def _latents(device: str, dtype: str, sizes: Sizes, settings: Settings) -> torch.Tensor:
    model = _bundled(device, dtype)
    return sample(model, padded_condition(_photo(sizes.photo), model), settings).latents


def _restore(model: LatentModel, sizes: Sizes, settings: Settings) -> np.ndarray:
    drawn = sample(model, padded_condition(_photo(sizes.photo), model), settings)
    return decode(model, drawn.best, height=4 * sizes.photo, width=4 * sizes.photo)


def _photo(side: int) -> np.ndarray:
    """The sample photo, degraded, as far as the model needs it."""
    low = Degradation()(sample_photo(), np.random.default_rng(0))
    return np.ascontiguousarray(low[:side, :side])


def _difference(given: torch.Tensor, expected: torch.Tensor) -> float:
    difference = (given.cpu().float() - expected.float()).abs().max()
    return float(difference / expected.float().abs().max())
