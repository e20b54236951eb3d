"""The community pipeline for diffusers: one file on its own, and the same numbers as the core and the plug-in."""

import ast
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, LDMSuperResolutionPipeline, PNDMScheduler
from PIL import Image

from kds_ref import select_particle, steer
from real import particle_generators, repeat_for_particles, steer_scheduler
from real.images.photos import sample_photo
from real.models.latent import BUNDLED

FILE = Path(__file__).resolve().parents[2] / "docs" / "community" / "pipeline_ldm_super_resolution_kds.py"
N = 3


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location(FILE.stem, FILE)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def pipeline() -> Any:
    pipeline = DiffusionPipeline.from_pretrained(BUNDLED, custom_pipeline=str(FILE), trust_remote_code=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def low() -> torch.Tensor:
    photo = torch.from_numpy(sample_photo()[32:128:4, 32:128:4].copy())
    first = photo.permute(2, 0, 1)[None] / 127.5 - 1
    return torch.cat([first, first.flip(-1)])  # two images


def test_it_needs_torch_and_diffusers_only() -> None:
    nodes = list(ast.walk(ast.parse(FILE.read_text(encoding="utf-8"))))
    roots = {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    roots |= {(node.module or "").split(".")[0] for node in nodes if isinstance(node, ast.ImportFrom)}
    assert roots == {"PIL", "torch", "diffusers"}


def test_its_step_and_its_choice_are_those_of_the_core(module: ModuleType) -> None:
    z = torch.randn(2, 5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    expected = steer(z, bandwidth=0.8, strength=0.4)[0]
    torch.testing.assert_close(module.kernel_density_steering(z, 0.8, 0.4), expected)
    assert (expected - z).abs().max() > 0.05
    assert module.nearest_to_mean(z).tolist() == select_particle(z).tolist()
    assert module.kernel_density_steering(z.half(), 0.8, 0.4).dtype == torch.float16


def test_it_makes_the_pictures_of_a_steered_scheduler(pipeline: Any, low: torch.Tensor) -> None:
    options = {"num_inference_steps": 5, "output_type": "pt"}
    generators = particle_generators(N, seed=[0, 1])
    ours = pipeline(low, num_particles=N, bandwidth=0.5, generator=generators, **options).images
    plain = LDMSuperResolutionPipeline.from_pretrained(BUNDLED)
    plain.set_progress_bar_config(disable=True)
    plain.scheduler = steer_scheduler(plain.scheduler, num_particles=N, bandwidth=0.5, hand_on="chosen")
    rows = repeat_for_particles(low, N)
    theirs = plain(rows, generator=particle_generators(N, seed=[0, 1]), **options).images
    assert ours.shape == (2, 3, 96, 96)
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0.0)


def test_strength_0_is_the_plain_pipeline_bit_for_bit(pipeline: Any, low: torch.Tensor) -> None:
    options = {"num_inference_steps": 3, "output_type": "pt"}
    ours = pipeline(low[:1], num_particles=1, strength=0.0, generator=torch.Generator().manual_seed(0), **options)
    plain = LDMSuperResolutionPipeline(vqvae=pipeline.vqvae, unet=pipeline.unet, scheduler=pipeline.scheduler)
    plain.set_progress_bar_config(disable=True)
    assert torch.equal(ours.images, plain(low[:1], generator=torch.Generator().manual_seed(0), **options).images)


def test_it_takes_and_returns_pil_images(pipeline: Any) -> None:
    photo = Image.fromarray(np.ascontiguousarray(sample_photo()[:32, :32]))
    (image,), *_ = pipeline(photo, num_particles=2, num_inference_steps=1, return_dict=False)
    assert image.size == (128, 128)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image": "photo.png"}, "`image` has to be of type"),
        ({"num_particles": 0}, "`num_particles` has to be at least 1 but is 0"),
        ({"bandwidth": 0.0}, "`bandwidth` has to be positive but is 0.0"),
        ({"strength": 1.5}, "`strength` has to be between 0 and 1 but is 1.5"),
        ({"cutoff": -1.0}, "`cutoff` has to be between 0 and 1 but is -1.0"),
    ],
)
def test_wrong_arguments_are_named(pipeline: Any, low: torch.Tensor, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pipeline(**({"image": low} | options))


def test_other_schedulers_are_refused_with_the_remedy(pipeline: Any, low: torch.Tensor, module: ModuleType) -> None:
    parts = {"vqvae": pipeline.vqvae, "unet": pipeline.unet}
    with pytest.raises(ValueError, match=r"make one with `DDIMScheduler\.from_config"):
        module.LDMSuperResolutionKDSPipeline(scheduler=PNDMScheduler(), **parts)(low)
    with pytest.raises(ValueError, match="clips the predicted sample"):
        module.LDMSuperResolutionKDSPipeline(scheduler=DDIMScheduler(), **parts)(low)
