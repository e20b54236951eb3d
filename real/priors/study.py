"""Posterior samples of photos with and without KDS: one row of numbers for each photo, measurement and way to sample.

All ways start from the same measurement with the same noise. `report` makes the page of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from kds_ref import SteeredDenoiser, select_particle
from real.metrics.distortion import distortion
from real.priors.ffdnet import LARGEST_SIGMA, FFDNet
from real.priors.measurements import MEASUREMENTS, Measurement
from real.priors.posterior import noise_levels, particle_noise, sample_posterior

__all__ = ["PLAIN", "PriorSettings", "photo_tensor", "rows_of", "runs", "sample", "to_pixels"]

PLAIN = "plain"  # sampling without KDS
ESTIMATE = "estimate"  # no sampling


@dataclass(frozen=True)
class PriorSettings:
    """What the numbers depend on.

    Attributes:
        particles: N.
        steps: Number of noise levels, and of network evaluations per particle.
        strength: Strength of the steering.
        crop: Side of the centre crop of every photo, in pixels.
        seed: Seed of measurement and particles, together with the photo's number.
    """

    particles: int = 6
    steps: int = 10
    strength: float = 0.3
    crop: int = 96
    seed: int = 0


Distance = Callable[[np.ndarray, np.ndarray], float]


def runs(bandwidths: tuple[float, ...]) -> list[tuple[str, float | None]]:
    """(name, bandwidth) of the ways to sample: without KDS, and with each bandwidth."""
    return [(PLAIN, None), *((f"kds-{h:g}", h) for h in bandwidths)]


def photo_tensor(photo: np.ndarray) -> torch.Tensor:
    """RGB uint8 (H, W, 3) -> float32 (3, H, W), black at 0 and white at 1."""
    return torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1)).astype(np.float32) / 255.0)


def to_pixels(x: torch.Tensor) -> np.ndarray:
    """The way back, rounded."""
    array: np.ndarray = (x.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return array


def measure(name: str, truth: torch.Tensor, *, number: int) -> Measurement:
    """The measurement of a photo; its `photo_seed` determines the noise or the missing pixels."""
    kind = list(MEASUREMENTS).index(name)
    return MEASUREMENTS[name](truth, np.random.default_rng([number, kind]))


def sample(
    network: FFDNet, measurement: Measurement, settings: PriorSettings, *, number: int, bandwidth: float | None
) -> torch.Tensor:
    """N samples of one photo, (N, 3, H, W); with a bandwidth they are steered at every step."""
    sigmas = noise_levels(settings.steps, largest=LARGEST_SIGMA)
    shape = tuple(measurement.estimate.shape)
    noise = particle_noise(settings.particles, shape, seed=[number, 99], draws=settings.steps)
    start = measurement.estimate + measurement.noise * sigmas[0] * noise[0]  # (N, 3, H, W)
    denoiser: FFDNet | SteeredDenoiser = network
    if bandwidth is not None:
        denoiser = SteeredDenoiser(network, cutoff_sigma=0.0, bandwidth=bandwidth, strength=settings.strength)
    return sample_posterior(denoiser, start, sigmas=sigmas, noise=noise[1:], agree=measurement.agree)


def rows_of(
    network: FFDNet,
    photo: np.ndarray,
    *,
    name: str,
    number: int,
    settings: PriorSettings,
    bandwidths: dict[str, tuple[float, ...]],
    distance: Distance,
    done: Collection[str],
) -> Iterator[dict[str, Any]]:
    """The rows of one photo that are not done yet, each when it is there.

    Args:
        network: The denoiser.
        photo: RGB uint8 (H, W, 3), cropped.
        name: Name of the photo, in the rows.
        number: The photo's `photo_seed`, which determines all noise.
        settings: Settings of the study.
        bandwidths: Bandwidths to try, by measurement.
        distance: Perceptual distance of two photos.
        done: Runs that have a row already, such as "noise/plain".
    """
    truth = photo_tensor(photo)
    for kind, widths in bandwidths.items():
        measurement = measure(kind, truth, number=number)
        if f"{kind}/{ESTIMATE}" not in done:
            estimate = measurement.estimate
            if kind == "noise":  # one evaluation of the network: the mean of the posterior
                with torch.no_grad():
                    estimate = network(estimate[None], LARGEST_SIGMA)[0]
            yield {"photo": name, "run": f"{kind}/{ESTIMATE}", "estimate": _scores(estimate, photo, distance)}

        for run, bandwidth in runs(widths):
            if f"{kind}/{run}" not in done:
                samples = sample(network, measurement, settings, number=number, bandwidth=bandwidth)
                yield {"photo": name, "run": f"{kind}/{run}", **ensemble_scores(samples, photo, distance)}


def ensemble_scores(samples: torch.Tensor, photo: np.ndarray, distance: Distance) -> dict[str, Any]:
    """Numbers of one ensemble: its particles, the chosen one, the average, and how far apart they are."""
    chosen = int(select_particle(samples))
    truth = photo_tensor(photo)
    psnr = [distortion(to_pixels(x), photo)["psnr_rgb"] for x in samples]
    return {
        "mean_particle_psnr": float(np.mean(psnr)),
        "particle": _scores(samples[0], photo, distance),
        "chosen": _scores(samples[chosen], photo, distance),
        "average": _scores(samples.mean(0), photo, distance),
        "which": chosen,
        # Of a calibrated posterior the two are equal: a sample and the truth are exchangeable.
        "squared_distance_of_two": float(2.0 * samples.var(0, unbiased=True).mean()) if len(samples) > 1 else None,
        "squared_distance_to_truth": float((samples - truth).square().mean()),
    }


def _scores(x: torch.Tensor, photo: np.ndarray, distance: Distance) -> dict[str, float]:
    pixels = to_pixels(x)
    return {"psnr": distortion(pixels, photo)["psnr_rgb"], "lpips_hed": distance(pixels, photo)}


def describe_settings(settings: PriorSettings) -> dict[str, Any]:
    """Settings of the study, for the record."""
    return {**asdict(settings), "largest_sigma": LARGEST_SIGMA, "measurements": list(MEASUREMENTS)}
