"""KDS in diffusers' modular pipelines: as a block of the denoising loop, and through a steered scheduler."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")
from diffusers import EulerDiscreteScheduler  # noqa: E402
from diffusers.modular_pipelines.stable_diffusion_xl.denoise import (  # noqa: E402
    StableDiffusionXLDenoiseLoopWrapper,
    StableDiffusionXLLoopAfterDenoiser,
    StableDiffusionXLLoopBeforeDenoiser,
    StableDiffusionXLLoopDenoiser,
)

from kds_ref import KernelDensitySteering  # noqa: E402
from real.plugin import SteeringState, steer_scheduler  # noqa: E402
from real.plugin.modular import SteeringLoopBlock  # noqa: E402

N, STEPS = 3, 3
STEERING: dict[str, Any] = {"bandwidth": "median", "cutoff": 0.0}
OPTIONS: dict[str, Any] = {"num_particles": N, **STEERING}


class Loop(StableDiffusionXLDenoiseLoopWrapper):
    """The loop of Stable Diffusion XL, with or without the block between denoiser and step."""

    block_classes = (
        StableDiffusionXLLoopBeforeDenoiser,
        StableDiffusionXLLoopDenoiser,
        StableDiffusionXLLoopAfterDenoiser,
    )
    block_names = ("before_denoiser", "denoiser", "after_denoiser")


def random(*shape: int, seed: int = 0) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def unet(make_unet: Any) -> Any:
    options = {"addition_time_embed_dim": 4, "projection_class_embeddings_input_dim": 40}
    return make_unet(addition_embed_type="text_time", **options)


def loop(unet: Any, scheduler: Any, block: Any = None) -> Any:
    blocks = Loop()
    if block is not None:
        blocks.sub_blocks.insert("steering", block, 2)
        assert list(blocks.sub_blocks) == ["before_denoiser", "denoiser", "steering", "after_denoiser"]
    pipe = blocks.init_pipeline()
    pipe.update_components(unet=unet, scheduler=scheduler)
    return pipe


def state_of(**options: Any) -> SteeringState:
    return SteeringState(num_particles=N, steering=KernelDensitySteering(**{**STEERING, **options}))


def run(pipe: Any) -> Any:
    pipe.scheduler.set_timesteps(STEPS)
    both = {"prompt_embeds": random(N, 5, 16), "negative_prompt_embeds": random(N, 5, 16, seed=1)}
    both |= {"pooled_prompt_embeds": random(N, 16), "negative_pooled_prompt_embeds": random(N, 16, seed=1)}
    both |= dict.fromkeys(("add_time_ids", "negative_add_time_ids"), torch.ones(N, 6))
    return pipe(
        latents=random(N, 4, 8, 8) * pipe.scheduler.init_noise_sigma,
        timesteps=pipe.scheduler.timesteps,
        num_inference_steps=STEPS,
        output="latents",
        denoiser_input_fields=both,
    )


def test_block_and_steered_scheduler_agree_and_differ_from_the_plain_loop(unet: Any) -> None:
    plain = run(loop(unet, EulerDiscreteScheduler()))
    with_block = loop(unet, EulerDiscreteScheduler(), SteeringLoopBlock(state_of()))
    with_scheduler = loop(unet, steer_scheduler(EulerDiscreteScheduler(), **OPTIONS))
    by_block, by_scheduler = run(with_block), run(with_scheduler)
    assert torch.equal(by_block, by_scheduler)
    assert not torch.allclose(by_block, plain, rtol=1e-3, atol=1e-3)
    state, kds = with_block.blocks.sub_blocks["steering"].state, with_scheduler.scheduler.kds
    assert state.trace == kds.trace
    assert len(state.trace) == STEPS
    assert torch.equal(state.select(by_block).particle, kds.select().particle)
    assert torch.equal(run(with_block), by_block)  # nothing stays of the run before
    assert with_block.blocks.sub_blocks["steering"].state.trace == state.trace
    off = SteeringLoopBlock(state_of(strength=0.0))
    assert torch.equal(run(loop(unet, EulerDiscreteScheduler(), off)), plain)


def test_steering_twice_is_refused(unet: Any) -> None:
    scheduler = steer_scheduler(EulerDiscreteScheduler(), **OPTIONS)
    with pytest.raises(ValueError, match="not both"):
        run(loop(unet, scheduler, SteeringLoopBlock(state_of())))
    with pytest.raises(TypeError, match="state must be a SteeringState, got dict"):
        SteeringLoopBlock(OPTIONS)
