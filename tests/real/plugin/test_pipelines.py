"""diffusers' own pipelines, end to end and unedited, with tiny random networks: steered, chosen before decoding."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
pytest.importorskip("transformers")  # diffusers hides most pipelines without it
from diffusers import DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler  # noqa: E402

from real.plugin import choosing_callback, particle_generators, repeat_for_particles, steer_scheduler  # noqa: E402
from real.plugin import unsteer_scheduler as unsteer  # noqa: E402
from real.plugin.batching import split_batches, unsplit_batches  # noqa: E402

N, STEPS = 3, 3
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
LATENT = DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1)


def built(cls: Any, **components: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = cls(**components)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def run(pipe: Any, inputs: dict[str, Any], output_type: str = "latent", seed: Any = 0, **options: Any) -> Any:
    generator = particle_generators(N, seed=seed)
    with torch.no_grad():
        return pipe(
            **inputs,
            num_inference_steps=STEPS,
            generator=generator,
            output_type=output_type,
            return_dict=False,
            **options,
        )[0]


def check(pipe: Any, inputs: dict[str, Any], *, unpack: Callable[..., Any] | None = None) -> None:
    """Strength 0 changes nothing; steering does; the callback decodes the chosen particle alone."""
    plain_scheduler = pipe.scheduler
    plain = run(pipe, inputs)
    options: dict[str, Any] = {"num_particles": N, "bandwidth": "median", "cutoff": 0.0}
    pipe.scheduler = steer_scheduler(plain_scheduler, **{**options, "strength": 0.0})
    assert torch.equal(run(pipe, inputs), plain)
    pipe.scheduler = steer_scheduler(plain_scheduler, **options)
    latents = run(pipe, inputs)
    assert len(latents) == N
    assert not torch.allclose(latents, plain, rtol=1e-3, atol=1e-3)
    trace = pipe.scheduler.kds.trace
    assert len(trace) >= STEPS - 1  # image to image leaves steps out
    assert all(1.0 < record.effective_particles <= N for record in trace)
    index = int(pipe.scheduler.kds.select(latents).particle[0])
    pictures = run(pipe, inputs, "pt")
    assert len(pictures) == N
    one = run(pipe, inputs, "pt", callback_on_step_end=choosing_callback())
    assert one.shape == (1, *pictures.shape[1:])
    torch.testing.assert_close(one[0], pictures[index], rtol=1e-4, atol=1e-4)
    pipe.scheduler = plain_scheduler
    assert torch.equal(run(pipe, inputs), plain)


@pytest.fixture
def sd(make_vae: Any, text_encoder: Any, tokenizer: Any) -> dict[str, Any]:
    """What all Stable Diffusion pipelines have in common."""
    none = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    return {"vae": make_vae(), "text_encoder": text_encoder, "tokenizer": tokenizer, "scheduler": LATENT, **none}


GUIDED = {"prompt": "a cat", "negative_prompt": "dog", "guidance_scale": 3.0, "num_images_per_prompt": N}


@pytest.mark.parametrize("channels", [9, 4])
def test_stable_diffusion_inpainting(sd: Any, make_unet: Any, picture: Any, mask: Any, channels: int) -> None:
    pipe = built(diffusers.StableDiffusionInpaintPipeline, unet=make_unet(channels), **sd)
    check(pipe, {**GUIDED, "image": picture, "mask_image": mask, "height": 16, "width": 16})


def test_controlnet(sd: Any, make_unet: Any, picture: Any) -> None:
    unet = make_unet()
    controlnet = control(unet)
    pipe = built(diffusers.StableDiffusionControlNetPipeline, unet=unet, controlnet=controlnet, **sd)
    inputs = {**GUIDED, "image": picture}
    check(pipe, inputs)
    whole = run(pipe, inputs)
    for network in (unet, controlnet):
        split_batches(network, 2)
    assert torch.allclose(run(pipe, inputs), whole, rtol=1e-4, atol=1e-4)
    for network in (unet, controlnet):
        unsplit_batches(network)


def test_controlnet_inpainting(sd: Any, make_unet: Any, picture: Any, mask: Any) -> None:
    unet = make_unet()
    pipe = built(diffusers.StableDiffusionControlNetInpaintPipeline, unet=unet, controlnet=control(unet), **sd)
    size = {"height": 16, "width": 16}
    check(pipe, {**GUIDED, "image": picture, "mask_image": mask, "control_image": picture, **size})


def test_controlnet_image_to_image(sd: Any, make_unet: Any, picture: Any) -> None:
    unet = make_unet()
    pipe = built(diffusers.StableDiffusionControlNetImg2ImgPipeline, unet=unet, controlnet=control(unet), **sd)
    check(pipe, {**GUIDED, "image": picture, "control_image": picture, "strength": 0.7})


def control(unet: Any) -> Any:
    torch.manual_seed(4)
    return diffusers.ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 8)).eval()


def test_the_x4_upscaler_hands_on_the_chosen_latents(sd: Any, make_unet: Any, picture: Any) -> None:
    """It takes no callback: the last step gives only the chosen row, so that only this one is decoded."""
    unet = make_unet(7, num_class_embeds=1000)
    components = {k: v for k, v in sd.items() if k not in ("requires_safety_checker",)}
    components |= {"low_res_scheduler": DDPMScheduler(), "scheduler": DDIMScheduler(clip_sample=False)}
    pipe = built(diffusers.StableDiffusionUpscalePipeline, unet=unet, **components)
    inputs = {"prompt": ["a cat"] * N, "guidance_scale": 3.0, "image": repeat_for_particles(picture, N)}
    plain_scheduler = pipe.scheduler
    plain = run(pipe, inputs)
    options: dict[str, Any] = {"num_particles": N, "bandwidth": "median", "cutoff": 0.0}
    pipe.scheduler = steer_scheduler(plain_scheduler, **{**options, "strength": 0.0})
    assert torch.equal(run(pipe, inputs), plain)
    pipe.scheduler = steer_scheduler(plain_scheduler, **options)
    latents, pictures = run(pipe, inputs), run(pipe, inputs, "pt")
    assert not torch.allclose(latents, plain, rtol=1e-3, atol=1e-3)
    pipe.scheduler = steer_scheduler(plain_scheduler, **options, hand_on="chosen")
    one = run(pipe, inputs, "pt")
    choice = pipe.scheduler.kds.select()
    assert torch.equal(pipe.scheduler.kds.latents, latents)
    assert one.shape == (1, *pictures.shape[1:])
    torch.testing.assert_close(one[0], pictures[int(choice.particle[0])], rtol=1e-4, atol=1e-4)


def random(*shape: int, seed: int = 0) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_sdxl_inpainting(make_vae: Any, make_unet: Any, picture: Any, mask: Any) -> None:
    unet = make_unet(
        addition_embed_type="text_time", addition_time_embed_dim=4, projection_class_embeddings_input_dim=40
    )
    none = dict.fromkeys(("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"))
    scheduler = EulerDiscreteScheduler(beta_schedule="scaled_linear")
    pipe = built(
        diffusers.StableDiffusionXLInpaintPipeline,
        vae=make_vae(),
        unet=unet,
        scheduler=scheduler,
        add_watermarker=False,
        **none,
    )
    texts = {"prompt_embeds": random(1, 5, 16), "negative_prompt_embeds": random(1, 5, 16, seed=1)}
    texts |= {"pooled_prompt_embeds": random(1, 16), "negative_pooled_prompt_embeds": random(1, 16, seed=1)}
    size = {"height": 16, "width": 16, "num_images_per_prompt": N, "guidance_scale": 3.0, "strength": 1.0}
    check(pipe, {**texts, "image": picture, "mask_image": mask, **size})


def test_sd3_inpainting(make_vae: Any, picture: Any, mask: Any) -> None:
    torch.manual_seed(5)
    transformer = diffusers.SD3Transformer2DModel(
        sample_size=8,
        patch_size=1,
        in_channels=16,
        out_channels=16,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=16,
        caption_projection_dim=16,
        pooled_projection_dim=16,
        pos_embed_max_size=8,
    ).eval()
    vae = make_vae(16, shift_factor=0.1, scaling_factor=1.5)
    kinds = ("text_encoder", "text_encoder_2", "text_encoder_3", "tokenizer", "tokenizer_2", "tokenizer_3")
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    pipe = built(
        diffusers.StableDiffusion3InpaintPipeline,
        vae=vae,
        transformer=transformer,
        scheduler=scheduler,
        **dict.fromkeys(kinds),
    )
    # this pipeline takes embeddings as they are, one row a particle
    texts = {"prompt_embeds": random(1, 5, 16), "negative_prompt_embeds": random(1, 5, 16, seed=1)}
    texts |= {"pooled_prompt_embeds": random(1, 16), "negative_pooled_prompt_embeds": random(1, 16, seed=1)}
    rows = {name: repeat_for_particles(value, N) for name, value in texts.items()}
    rows |= {"image": repeat_for_particles(picture, N), "mask_image": repeat_for_particles(mask, N)}
    check(pipe, {**rows, "height": 16, "width": 16, "guidance_scale": 3.0, "strength": 1.0})


@pytest.mark.parametrize("fill", [False, True])
def test_flux_inpainting_with_packed_tokens(make_vae: Any, picture: Any, mask: Any, fill: bool) -> None:
    torch.manual_seed(6)
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        in_channels=16 + fill * (16 + 16),
        out_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=fill,
    ).eval()
    vae = make_vae(4, shift_factor=0.1, scaling_factor=1.5)
    cls = diffusers.FluxFillPipeline if fill else diffusers.FluxInpaintPipeline
    none = dict.fromkeys(("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"))
    pipe = built(cls, vae=vae, transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(), **none)
    texts = {"prompt_embeds": random(1, 5, 16), "pooled_prompt_embeds": random(1, 16)}
    size = {"height": 16, "width": 16, "num_images_per_prompt": N, "strength": 1.0}
    inputs = {**texts, "image": picture, "mask_image": mask, **size}
    check(pipe, inputs)
    whole = run(pipe, inputs)
    split_batches(transformer, 1)
    assert torch.allclose(run(pipe, inputs), whole, rtol=1e-4, atol=1e-4)


def test_two_images_keep_their_masks_when_every_input_is_repeated(sd: Any, make_unet: Any, picture: Any) -> None:
    """The pipeline tiles image conditions but groups prompts: with num_images_per_prompt rows would mix images."""
    pipe = built(diffusers.StableDiffusionInpaintPipeline, unet=make_unet(9), **sd)
    pictures = torch.cat([picture, 1 - picture])
    masks = torch.zeros(2, 1, 16, 16)
    masks[0, :, :, 8:] = masks[1, :, 8:, :] = 1.0
    prompts = ["a cat", "dogs"]
    plain = pipe.scheduler
    options: dict[str, Any] = {"num_particles": N, "bandwidth": "median", "cutoff": 0.0}
    alone = []
    for b in range(2):
        pipe.scheduler = steer_scheduler(plain, **options)
        inputs = {"prompt": prompts[b], "image": pictures[b : b + 1], "mask_image": masks[b : b + 1]}
        rows = {name: repeat_for_particles(value, N) for name, value in inputs.items()}
        alone.append(run(pipe, {**rows, "guidance_scale": 3.0}, seed=b))
    expected = torch.cat(alone)
    together = {"prompt": prompts, "image": pictures, "mask_image": masks}
    repeated = {name: repeat_for_particles(value, N) for name, value in together.items()}
    pipe.scheduler = steer_scheduler(plain, **options)
    got = run(pipe, {**repeated, "guidance_scale": 3.0}, seed=[0, 1])
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)
    one = run(pipe, {**repeated, "guidance_scale": 3.0}, "pt", seed=[0, 1], callback_on_step_end=choosing_callback())
    assert len(one) == 2
    mixed = run(pipe, {**together, "guidance_scale": 3.0, "num_images_per_prompt": N}, seed=[0, 1])
    assert not torch.allclose(mixed, expected, rtol=1e-2, atol=1e-2)  # the trap is still there


def test_a_pipeline_can_be_saved_and_made_into_another(sd: Any, make_unet: Any, tmp_path: Any) -> None:
    unet = make_unet()
    pipe = built(diffusers.StableDiffusionPipeline, unet=unet, **sd)
    pipe.scheduler = steer_scheduler(pipe.scheduler, num_particles=N, bandwidth="median", cutoff=0.0)
    inputs = {"prompt": "a cat", "num_images_per_prompt": N, "height": 16, "width": 16}
    steered = run(pipe, inputs)
    other = diffusers.StableDiffusionImg2ImgPipeline.from_pipe(pipe)
    assert type(other.scheduler) is type(pipe.scheduler)
    assert other.scheduler.kds.num_particles == N
    pipe.save_pretrained(tmp_path)
    loaded = diffusers.StableDiffusionPipeline.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    loaded.set_progress_bar_config(disable=True)
    assert type(loaded.scheduler) is DDIMScheduler  # what is saved is the plain scheduler
    assert not torch.allclose(run(loaded, inputs), steered, rtol=1e-3, atol=1e-3)
    given = diffusers.StableDiffusionPipeline.from_pretrained(
        tmp_path,
        scheduler=steer_scheduler(loaded.scheduler, num_particles=N, bandwidth="median", cutoff=0.0),
        low_cpu_mem_usage=False,
    )
    given.set_progress_bar_config(disable=True)
    assert torch.allclose(run(given, inputs), steered, rtol=1e-4, atol=1e-4)
    pipe.scheduler = unsteer(pipe.scheduler)
    assert torch.allclose(run(pipe, inputs), run(loaded, inputs), rtol=1e-4, atol=1e-4)


def test_the_callback_passes_on_another_and_says_what_is_wrong(sd: Any, make_unet: Any) -> None:
    pipe = built(diffusers.StableDiffusionPipeline, unet=make_unet(), **sd)
    inputs = {"prompt": "a cat", "num_images_per_prompt": N, "height": 16, "width": 16}
    with pytest.raises(TypeError, match="not steered"):
        run(pipe, inputs, callback_on_step_end=choosing_callback())
    pipe.scheduler = steer_scheduler(pipe.scheduler, num_particles=N)
    calls = []

    def other(pipeline: Any, step: int, t: Any, tensors: Any) -> dict[str, Any]:
        calls.append(step)
        return {"latents": torch.zeros_like(tensors["latents"])} if step == STEPS - 1 else {}

    assert torch.equal(run(pipe, inputs, callback_on_step_end=choosing_callback(other)), torch.zeros(1, 4, 8, 8))
    assert calls == list(range(STEPS))
    with pytest.raises(ValueError, match="must hold 'latents'"):
        run(
            pipe, inputs, callback_on_step_end=choosing_callback(), callback_on_step_end_tensor_inputs=["prompt_embeds"]
        )
