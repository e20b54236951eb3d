"""The regression network (`real.models.regression`): the squared error of the pixels, and nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from real.degradations.simple import Degradation
from real.images.pixels import signed_tensor
from real.models.regression import RegressionNetwork, save_regression
from real.train.crops import CropSampler
from real.train.record import write_record
from real.train.training_run import RunSettings, TrainingRun, autocast

__all__ = ["RegressionSettings", "train_regression"]


@dataclass(frozen=True)
class RegressionSettings:
    """Architecture of the network and size of its batches; the crop's side is in pixels of the truth."""

    width: int = 64
    blocks: int = 8
    crop: int = 96
    batch: int = 16


def train_regression(
    photos: list[np.ndarray],
    folder: Path,
    settings: RegressionSettings,
    degradation: Degradation,
    run_settings: RunSettings,
    data: dict[str, int],
    *,
    command: str,
) -> RegressionNetwork:
    """Train (or go on training) the network; the averaged one goes to `folder/regression`, beside `record.json`.

    Args:
        photos: RGB uint8 (H, W, 3) arrays.
        folder: Checkpoint, curve, record and the trained network.
        settings: Architecture and batches.
        degradation: What makes the low-resolution photo.
        run_settings: Length, speed, seed.
        data: Counts of the photos, for the record.
        command: The command line, for the record.

    Returns:
        The trained network.
    """
    # The global seed sets the first weights alone; everything else is drawn from the run's own generators.
    torch.manual_seed(run_settings.seed)
    model = RegressionNetwork(width=settings.width, blocks=settings.blocks).to(run_settings.device)
    plain = {**asdict(settings), **{k: list(v) if isinstance(v, tuple) else v for k, v in asdict(degradation).items()}}
    identity = {"stage": "regression", **plain, "steps": run_settings.steps, "data": data}
    run = TrainingRun(model, folder, run_settings, identity)
    sampler = CropSampler(photos, size=settings.crop, rng=run.rng)

    def tensor(pixels: np.ndarray) -> torch.Tensor:
        return signed_tensor(pixels).to(run_settings.device)

    def loss_of_batch() -> tuple[torch.Tensor, int]:
        truths = sampler.draw(settings.batch)
        low = tensor(np.stack([degradation(truth, run.rng) for truth in truths]))
        with autocast(run_settings):
            guess = model(low)
        return (guess.float() - tensor(truths)).square().mean(), len(truths)

    model.train()
    run.train(loss_of_batch)

    # The result is the moving average of the weights, not those of the last step.
    averaged = run.ema
    assert isinstance(averaged, RegressionNetwork)
    save_regression(averaged, folder / "regression")
    write_record(run, command=command, settings=plain, data=data)
    return averaged
