"""Tiny random models: in LDM-SR's shape and as pipelines of diffusers, saved as folders; and small photos."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

WIDTH = 16  # of text embeddings


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
    from real import open_model

    return open_model(str(tiny_folder), device="cpu", dtype="float32")


@pytest.fixture(scope="session")
def compared() -> Callable[..., Any]:
    """(truth, low, model, settings) -> the comparison of plain sampler, KDS and bicubic interpolation."""
    from real.metrics.distortion import distortion
    from real.restorers.compare import bicubic, compare, plain_comparison
    from real.restorers.latent import LatentSuperResolution

    def run(truth: np.ndarray, low: np.ndarray, model: Any, settings: Any) -> Any:
        restorer, baselines = LatentSuperResolution(low, model), {"bicubic": bicubic(low)}
        plain = plain_comparison(restorer, truth, settings, score=distortion, baselines=baselines)
        return compare(restorer, truth, settings, plain=plain, score=distortion)

    return run


@pytest.fixture(scope="session")
def hole_filler_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In the shape of the latent diffusion paper's inpainting model: the tiny autoencoder, a denoiser of 7 channels."""
    from diffusers import UNet2DModel

    folder = tmp_path_factory.mktemp("filler")
    for part in ("vqvae", "scheduler"):
        shutil.copytree(tiny_folder / part, folder / part)
    config = UNet2DModel.load_config(tiny_folder / "unet")
    torch.manual_seed(4)
    UNet2DModel.from_config({**config, "in_channels": 7}).save_pretrained(folder / "unet")
    (folder / "kds.json").write_text(json.dumps({"bandwidth": 1.5, "task": "inpainting"}))
    return folder


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


@pytest.fixture
def photo_file(tmp_path: Path, photo: np.ndarray) -> Path:
    """`photo` as a PNG."""
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    return path


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """CLIP's tokenizer with letters for a vocabulary."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("tokenizer")
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(c + "</w>" for c in letters)]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=8)


@pytest.fixture(scope="session")
def text_encoder() -> Any:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.CLIPTextConfig(
        vocab_size=60,
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=8,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )
    return transformers.CLIPTextModel(config).eval()


@pytest.fixture(scope="session")
def make_vae() -> Any:
    from diffusers import AutoencoderKL

    def make(channels: int = 4, **options: Any) -> Any:
        torch.manual_seed(1)
        return AutoencoderKL(
            block_out_channels=(4, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            latent_channels=channels,
            norm_num_groups=2,
            sample_size=16,
            mid_block_add_attention=False,
            **options,
        ).eval()

    return make


@pytest.fixture(scope="session")
def make_unet() -> Any:
    from diffusers import UNet2DConditionModel

    def make(in_channels: int = 4, **options: Any) -> Any:
        torch.manual_seed(2)
        return UNet2DConditionModel(
            sample_size=8,
            in_channels=in_channels,
            out_channels=4,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=WIDTH,
            attention_head_dim=2,
            norm_num_groups=4,
            **options,
        ).eval()

    return make


@pytest.fixture(scope="session")
def sd_parts(text_encoder: Any, tokenizer: Any) -> dict[str, Any]:
    """What the pipelines of Stable Diffusion have in common."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    none = {"safety_checker": None, "feature_extractor": None}
    return {"text_encoder": text_encoder, "tokenizer": tokenizer, "scheduler": scheduler, **none}


@pytest.fixture(scope="session")
def inpainter_folder(tmp_path_factory: pytest.TempPathFactory, sd_parts: Any, make_vae: Any, make_unet: Any) -> Path:
    """Stable Diffusion inpainting, two pixels a latent."""
    from diffusers import StableDiffusionInpaintPipeline

    folder = tmp_path_factory.mktemp("inpainter")
    parts = {**sd_parts, "vae": make_vae(), "unet": make_unet(9), "requires_safety_checker": False}
    StableDiffusionInpaintPipeline(**parts).save_pretrained(folder)
    (folder / "kds.json").write_text(json.dumps({"bandwidth": 5.0}))
    return folder


@pytest.fixture(scope="session")
def upscaler_folder(tmp_path_factory: pytest.TempPathFactory, sd_parts: Any, make_unet: Any) -> Path:
    """The x4 upscaler: four pixels a latent."""
    from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionUpscalePipeline

    folder = tmp_path_factory.mktemp("upscaler")
    torch.manual_seed(1)
    vae = AutoencoderKL(
        block_out_channels=(4, 4, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=2,
        sample_size=16,
        mid_block_add_attention=False,
        scaling_factor=0.08333,
    ).eval()
    parts = {**sd_parts, "vae": vae, "unet": make_unet(7, num_class_embeds=1000), "low_res_scheduler": DDPMScheduler()}
    StableDiffusionUpscalePipeline(**parts).save_pretrained(folder)
    (folder / "kds.json").write_text(json.dumps({"bandwidth": 5.0}))
    return folder
