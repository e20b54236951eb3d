"""AutoencoderTiny where a pipeline has one in place of AutoencoderKL: encoded, decoded in its scale, recognised."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from diffusers import AutoencoderKL, AutoencoderTiny  # noqa: E402

from real import open_model  # noqa: E402
from real.api import inpainting_restorer, super_resolution_restorer  # noqa: E402
from real.backbones.pictures import decode, encode  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.images.masks import center_box  # noqa: E402
from real.models.autoencoders import autoencoder_class, latents_of, scale_of  # noqa: E402
from real.restorers.base import restore  # noqa: E402
from real.settings import Settings  # noqa: E402

SETTINGS = Settings(particles=2, steps=2)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of diffusers, about the upscaler's scale


def tiny_autoencoder(levels: int, scale: float = 1.0) -> Any:
    """In TAESD's shape, with random weights, 2^(levels - 1) pixels a latent."""
    torch.manual_seed(7)
    one_each = (1,) * levels
    return AutoencoderTiny(
        encoder_block_out_channels=(4,) * levels,
        decoder_block_out_channels=(4,) * levels,
        num_encoder_blocks=one_each,
        num_decoder_blocks=one_each,
        latent_channels=4,
        scaling_factor=scale,
    ).eval()


def with_tiny(folder: Path, to: Path, levels: int) -> Path:
    """A copy of a pipeline's folder with an AutoencoderTiny in it."""
    shutil.copytree(folder, to)
    shutil.rmtree(to / "vae")
    tiny_autoencoder(levels).save_pretrained(to / "vae")
    index = json.loads((to / "model_index.json").read_text())
    index["vae"] = ["diffusers", "AutoencoderTiny"]
    (to / "model_index.json").write_text(json.dumps(index))
    return to


def pixels(x: Any) -> np.ndarray:
    return ((x[0].permute(1, 2, 0).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()


def test_inpainting(photo: np.ndarray, inpainter_folder: Path, tmp_path: Path) -> None:
    folder = with_tiny(inpainter_folder, tmp_path / "model", 2)
    model = open_model(folder, task="inpaint", device="cpu")
    assert model.family == "sd-inpaint"
    assert isinstance(model.pipe.vae, AutoencoderTiny)
    hole = center_box(64, 80, 0.3)
    restorer = inpainting_restorer(photo, hole, model, paste=False)
    result = restore(restorer, SETTINGS)
    with torch.no_grad():
        expected = pixels(model.pipe.vae.decode(result.particles.best[None]).sample)
    assert np.abs(result.image.astype(int) - expected).max() <= 1
    pasted = restore(inpainting_restorer(photo, hole, model), SETTINGS).image
    np.testing.assert_array_equal(pasted[~hole], photo[~hole])


def test_the_upscaler_decodes_in_the_autoencoders_own_scale(
    photo: np.ndarray, upscaler_folder: Path, tmp_path: Path
) -> None:
    model = open_model(with_tiny(upscaler_folder, tmp_path / "model", 3), device="cpu")
    assert model.family == "x4-upscaler"
    assert model.pipe.vae.config.scaling_factor == 0.08333  # what the pipeline writes over it
    assert scale_of(model.pipe.vae) == 1.0
    result = restore(super_resolution_restorer(photo[:16, :20], model), SETTINGS)
    assert result.image.shape == (64, 80, 3)
    with torch.no_grad():
        expected = pixels(model.pipe.vae.decode(result.particles.best[None]).sample)
    assert np.abs(result.image.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_backbones_encode_and_decode(scale: float) -> None:
    vae = tiny_autoencoder(4, scale)
    x = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        latents = scale * vae.encode(2 * x - 1).latents
        image = vae.decode(latents / scale).sample / 2 + 0.5
    assert torch.allclose(encode(vae, x), latents, atol=1e-6)
    assert torch.allclose(decode(vae, latents), image, atol=1e-6)


def test_a_distribution_has_its_mode(make_vae: Any) -> None:
    vae = make_vae()
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(latents_of(vae.encode(x)), vae.encode(x).latent_dist.mean)
    assert scale_of(vae) == vae.config.scaling_factor == 0.18215


def test_the_class_is_read_off_the_configuration() -> None:
    assert autoencoder_class({}, argument="base") is AutoencoderKL
    assert autoencoder_class({"_class_name": "AutoencoderTiny"}, argument="base") is AutoencoderTiny
    with pytest.raises(UserError, match="base must have an autoencoder of AutoencoderKL"):
        autoencoder_class({"_class_name": "VQModel"}, argument="base")
