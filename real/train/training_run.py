"""The training loop that all stages share: EMA, learning-rate schedule, checkpoints, resuming, progress.

A run lives in one folder: `checkpoint.pt` (everything that is needed to resume, replaced atomically) and `curve.jsonl`
(loss and speed, one row per interval). If killed, start it again with the same command: it resumes from its last
checkpoint and draws the same numbers that the uninterrupted run would have drawn.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from real.errors import UserError
from real.images.files import remove_leftovers, write_atomically, write_text
from real.train.optimizer import Muon, split_parameters
from real.train.saved import load_saved

__all__ = ["RunSettings", "TrainingRun", "autocast"]


@dataclass(frozen=True)
class RunSettings:
    """How long and how fast a stage trains; all of it is written into the training record."""

    steps: int
    learning_rate: float = 0.02
    adamw_learning_rate: float = 1e-3
    warmup: int = 100
    ema_decay: float = 0.999
    gradient_clip: float = 1.0
    checkpoint_every: int = 500
    log_every: int = 50
    seed: int = 0
    device: str = "cpu"
    bf16: bool = True


def autocast(settings: RunSettings) -> torch.autocast:
    """bfloat16 autocast on the run's device, or a disabled one."""
    return torch.autocast(torch.device(settings.device).type, torch.bfloat16, enabled=settings.bf16)


class TrainingRun:
    """One resumable training run of `model`.

    Args:
        model: Module in training; its exponential moving average is kept in `self.ema`.
        folder: Folder of the checkpoint and the curve.
        settings: Length, speed and seed.
        identity: Whatever must be the same when a run is resumed (architecture, data); a checkpoint of another
            identity is refused rather than continued.
    """

    def __init__(self, model: torch.nn.Module, folder: Path, settings: RunSettings, identity: dict[str, Any]) -> None:
        self.model, self.settings, self.folder = model, settings, folder
        self.identity = {**identity, "seed": settings.seed}
        self.ema = copy.deepcopy(model).requires_grad_(False)

        # Both generators are in the checkpoint: a run that was killed draws what it would have drawn.
        self.rng = np.random.default_rng(settings.seed)
        self.generator = torch.Generator().manual_seed(settings.seed)
        hidden, rest = split_parameters(model)
        self.optimizers: list[torch.optim.Optimizer] = [
            Muon(hidden, lr=settings.learning_rate),
            torch.optim.AdamW(rest, lr=settings.adamw_learning_rate, betas=(0.9, 0.99), weight_decay=0.0),
        ]

        self.step = 0
        self.seconds = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        self._resume()

    def train(self, loss_of_batch: Callable[[], tuple[torch.Tensor, int]], *, until: int | None = None) -> None:
        """Train up to step `until` (by default the run's last).

        Args:
            loss_of_batch: Function that draws a batch with `self.rng` and `self.generator` and returns its loss and
                its size.
            until: Step to stop before; used by stages that change their task on the way.
        """
        settings, end = self.settings, min(until or self.settings.steps, self.settings.steps)
        losses: list[float] = []
        samples, start = 0, time.perf_counter()

        bar = tqdm(total=settings.steps, initial=self.step, desc=self.folder.name, unit="step")
        while self.step < end:
            self._set_learning_rates()
            loss, size = loss_of_batch()
            if not torch.isfinite(loss):
                raise UserError(f"loss is {loss.item()} at step {self.step}; lower `learning_rate`")

            for optimizer in self.optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.gradient_clip)
            for optimizer in self.optimizers:
                optimizer.step()

            self.step += 1
            self._update_ema()
            losses.append(loss.item())
            samples += size
            bar.update()

            # Speed is that of the interval, so that a pause between two runs does not count.
            if self.step % settings.log_every == 0 or self.step == end:
                elapsed = time.perf_counter() - start
                self.seconds += elapsed
                self._log(float(np.mean(losses)), samples / elapsed)
                bar.set_postfix(loss=f"{np.mean(losses):.4f}", samples_per_s=f"{samples / elapsed:.1f}")
                losses, samples, start = [], 0, time.perf_counter()
            if self.step % settings.checkpoint_every == 0 or self.step == end:
                self.save()
        bar.close()

    def schedule(self) -> float:
        """Factor of both learning rates: linear warm-up, then a cosine down to zero at the last step."""
        cosine = 0.5 + 0.5 * math.cos(math.pi * self.step / self.settings.steps)
        return min(1.0, (self.step + 1) / self.settings.warmup) * cosine

    def _set_learning_rates(self) -> None:
        rates = (self.settings.learning_rate, self.settings.adamw_learning_rate)
        for optimizer, rate in zip(self.optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * self.schedule()

    def save(self) -> None:
        """Write the checkpoint: to a temporary file first, then renamed."""
        state = {
            "identity": self.identity,
            "step": self.step,
            "seconds": self.seconds,
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "rng": self.rng.bit_generator.state,
            "generator": self.generator.get_state(),
        }
        write_atomically(self.folder / "checkpoint.pt", lambda path: torch.save(state, path))

    def _update_ema(self) -> None:
        # A short memory at first: the random weights of the start must not stay in the average.
        decay = min(self.settings.ema_decay, self.step / (self.step + 10))
        with torch.no_grad():
            for average, value in zip(self.ema.state_dict().values(), self.model.state_dict().values(), strict=True):
                if average.is_floating_point():
                    average.lerp_(value, 1 - decay)
                else:
                    average.copy_(value)

    def _log(self, loss: float, samples_per_s: float) -> None:
        row = {
            "step": self.step,
            "loss": round(loss, 6),
            "schedule": round(self.schedule(), 5),
            "samples_per_s": round(samples_per_s, 1),
            "seconds": round(self.seconds, 1),
        }
        with (self.folder / "curve.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            self._trim_curve()  # of a run that was killed before its first checkpoint
            return

        state = load_saved(path, device=self.settings.device)
        if state["identity"] != self.identity:
            changed = sorted(k for k in self.identity if state["identity"].get(k) != self.identity[k])
            raise UserError(
                f"must be of a run with the same settings, got {str(path)!r} of others ({', '.join(changed)}); "
                "give another `output` or the settings that it was started with",
                argument="output",
            )

        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        # Both sources of random numbers, so that a resumed run draws what the whole run would have drawn.
        self.rng.bit_generator.state = state["rng"]
        self.generator.set_state(state["generator"].cpu())
        self.step, self.seconds = state["step"], state["seconds"]
        self._trim_curve()

    def _trim_curve(self) -> None:
        """Drop the rows that were logged after the checkpoint: those steps are done again."""
        path = self.folder / "curve.jsonl"
        if path.exists():
            rows = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= self.step]
            write_text(path, "".join(row + "\n" for row in rows))


def _step_of(line: str) -> float:
    """Step of a row of the curve; never, of one that was cut off when the disk was full or the process killed."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf
