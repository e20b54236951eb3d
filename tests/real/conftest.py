"""A tiny random model in LDM-SR's shape, saved as a diffusers folder, and small photos."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights; the VQ codebook spreads over the latents, so that decoding sees them."""
    from diffusers import UNet2DModel, VQModel

    from real.train.export import INDEX
    from real.train.unet import ldm_sr_scheduler

    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("model")
    vqvae = VQModel(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 8),
        latent_channels=3,
        num_vq_embeddings=64,
        vq_embed_dim=3,
        norm_num_groups=4,
        mid_block_add_attention=False,
    )
    vqvae.quantize.embedding.weight.data.normal_()
    vqvae.save_pretrained(folder / "vqvae")
    UNet2DModel(
        in_channels=6,
        out_channels=3,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        add_attention=False,
    ).save_pretrained(folder / "unet")
    ldm_sr_scheduler().save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(INDEX))
    (folder / "kds.json").write_text(json.dumps({"bandwidth": 0.4}))
    return folder


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path):
    """The tiny model, loaded."""
    from real.models import load_model

    return load_model(str(tiny_folder))


@pytest.fixture(scope="session")
def run_all() -> Callable[[list[list[Any]]], list[tuple[int, str]]]:
    """Run commands side by side: (exit status, what was printed) of each; none outlives the time."""

    def run(commands: list[list[Any]], seconds: float = 300) -> list[tuple[int, str]]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        pipe: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started = [subprocess.Popen([str(word) for word in c], env=environment, **pipe) for c in commands]
        end = time.monotonic() + seconds
        try:
            texts = [process.communicate(timeout=max(1.0, end - time.monotonic()))[0] for process in started]
        finally:
            for process in started:
                process.kill()
                process.wait()
        return [(process.returncode, text) for process, text in zip(started, texts, strict=True)]

    return run


@pytest.fixture
def photo() -> np.ndarray:
    """Smooth colour ramps and a checker pattern, RGB uint8 (64, 80, 3)."""
    y, x = np.mgrid[:64, :80]
    checker = 60 * ((x // 8 + y // 8) % 2)
    return np.stack([3 * x + 0 * y, 2 * y + checker, 255 - 2 * x + 0 * y], axis=-1).clip(0, 255).astype(np.uint8)
