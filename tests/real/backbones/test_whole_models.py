"""DiffBIR and SeeSR behind `super_resolve`: the parts put together by hand give the same pictures."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")
from torch.nn.functional import pad  # noqa: E402

from kds_ref import add_noise, select_particle  # noqa: E402
from real import open_model, super_resolve  # noqa: E402
from real.backbones.denoiser import Denoiser  # noqa: E402
from real.backbones.grids import DiffBIRDDIMScheduler, ddim_options  # noqa: E402
from real.backbones.hints import Hints, read_image_tokens  # noqa: E402
from real.backbones.loop import sample  # noqa: E402
from real.backbones.restorer import BackboneRestorer  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.images.colour import adain_colour, wavelet_colour  # noqa: E402
from real.images.seeds import photo_seed  # noqa: E402
from real.opening import default_settings  # noqa: E402
from real.plugin import particle_generators, steer_scheduler  # noqa: E402
from real.settings import Settings  # noqa: E402

N, STEPS = 3, 4
SETTINGS = {"diffbir": Settings(particles=N, steps=STEPS, guidance=4.0, bandwidth=6.0, seed=2)}
SETTINGS["seesr"] = replace(SETTINGS["diffbir"], guidance=5.5)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def low() -> np.ndarray:
    """16 x 20: the result is 64 x 80, which DiffBIR pads to 64 x 128."""
    return np.random.default_rng(0).integers(0, 256, (16, 20, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def cleaned() -> np.ndarray:
    y, x = np.mgrid[:64, :80]
    return np.stack([3 * x, 4 * y, 255 - 2 * x - y], axis=-1).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def known(cleaned: np.ndarray, tokens_file: Path) -> dict[str, Hints]:
    return {
        "diffbir": Hints(cleaned=cleaned),
        "seesr": Hints(tags="a cat, a hat", image_tokens=read_image_tokens(tokens_file)),
    }


@pytest.fixture(scope="module")
def models(recipes: Any) -> dict[str, Any]:
    return {name: open_model(name, recipe=recipe, device="cpu") for name, recipe in recipes.items()}


def by_hand(
    name: str, base: Path, networks: Any, low: np.ndarray, hints: Hints, *, count: int, steered: bool
) -> tuple[Any, list[np.ndarray]]:
    """Latents and pictures, from diffusers' and transformers' parts and this project's pieces alone."""
    vae = diffusers.AutoencoderKL.from_pretrained(base, subfolder="vae", low_cpu_mem_usage=False).eval()
    encoder = transformers.CLIPTextModel.from_pretrained(base, subfolder="text_encoder").eval()
    tokenizer = transformers.CLIPTokenizer.from_pretrained(base, subfolder="tokenizer")
    if name == "diffbir":
        texts = ["", "low quality, blurry, low-resolution, noisy, unsharp, weird textures"]
        seen = torch.from_numpy(hints.cleaned.copy()).permute(2, 0, 1)[None] / 255
        given, guidance, scheduler = pad(seen, (0, 48)), 4.0, DiffBIRDDIMScheduler(**ddim_options())
    else:
        texts = ["a cat, a hat, ,clean, high-resolution, 8k", "dotted, noise, blur, lowres, smooth"]
        large = np.asarray(Image.fromarray(low).resize((80, 64), Image.Resampling.BICUBIC))
        seen = torch.from_numpy(large.copy()).permute(2, 0, 1)[None] / 255
        given, guidance, scheduler = seen, 5.5, diffusers.DDIMScheduler(**ddim_options())
    ids = tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
    with torch.no_grad():
        text, negative = encoder(ids).last_hidden_state.split(1)
        latent = vae.encode(2 * given - 1).latent_dist.mode() * 0.18215
        denoiser = Denoiser(
            unet=networks[0],
            controlnet=networks[1],
            prompt_embeds=text,
            negative_prompt_embeds=negative,
            condition=latent if name == "diffbir" else seen,
            image_tokens=hints.image_tokens,
            guidance=guidance,
        )
        if steered:
            scheduler = steer_scheduler(scheduler, num_particles=count, bandwidth=6.0)
        scheduler.set_timesteps(STEPS)
        generators = particle_generators(count, seed=photo_seed(2, low))
        noise = torch.stack([torch.randn(latent.shape[1:], generator=g) for g in generators])
        start = add_noise(latent.expand_as(noise), noise, float(scheduler.alphas_cumprod[999]))
        latents = sample(denoiser, start, scheduler)
        images = torch.cat([vae.decode(z[None] / 0.18215).sample / 2 + 0.5 for z in latents])[..., :80]
        if name == "diffbir":
            images = wavelet_colour(images, seen.expand_as(images))
        else:
            images = adain_colour(images.clamp(0, 1), seen.expand_as(images))
    return latents, [np.rint(image.clamp(0, 1).permute(1, 2, 0).numpy() * 255).astype(np.uint8) for image in images]


@pytest.mark.parametrize("name", ["diffbir", "seesr"])
def test_it_is_the_parts_put_together(
    name: str, models: Any, known: Any, low: np.ndarray, recipes: Any, request: pytest.FixtureRequest
) -> None:
    networks = request.getfixturevalue(name)
    result = super_resolve(low, model=models[name], settings=SETTINGS[name], hints=known[name])
    for count, steered in ((N, True), (1, False)):
        base = Path(recipes[name].base)
        latents, images = by_hand(name, base, networks, low, known[name], count=count, steered=steered)
        if steered:
            torch.testing.assert_close(result.particles.latents, latents, atol=1e-4, rtol=1e-4)
            chosen = int(select_particle(latents))
            assert result.chosen == chosen
        else:
            chosen = 0
        got = result.image if steered else result.plain
        assert got.shape == (64, 80, 3)
        assert np.abs(got.astype(int) - images[chosen]).max() <= 1
    assert max(row["effective_particles"] for row in result.trace) > 1.05  # steering did something
    assert not np.array_equal(result.image, result.plain)
    assert result.particles.evaluations == N * STEPS


@pytest.mark.parametrize("name", ["diffbir", "seesr"])
def test_only_the_chosen_particle_is_decoded_and_cheaper_ways_change_nothing(
    name: str, models: Any, known: Any, low: np.ndarray, recipes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, settings, hints = models[name], SETTINGS[name], known[name]
    decoded, rows = [], []
    plain_decode = type(model.vae).decode
    monkeypatch.setattr(type(model.vae), "decode", lambda self, z: decoded.append(len(z)) or plain_decode(self, z))
    controlled: list[int] = []
    hooks = [
        network.conv_in.register_forward_pre_hook(lambda module, args, seen=seen: seen.append(len(args[0])))
        for network, seen in ((model.unet, rows), (model.controlnet, controlled))
    ]
    whole = super_resolve(low, model=model, settings=settings, hints=hints)
    assert decoded == [1, 1]  # the chosen particle, and the plain first one
    assert rows == controlled == [2 * N] * STEPS + [2] * STEPS
    rows.clear()
    controlled.clear()
    early = super_resolve(low, model=model, settings=replace(settings, early_choice=True), hints=hints)
    for hook in hooks:
        hook.remove()
    steered = len(whole.trace)
    assert 0 < steered < STEPS
    assert rows == controlled == [2 * N] * steered + [2] * (STEPS - steered) + [2] * STEPS
    assert early.particles.evaluations == N * steered + STEPS - steered
    assert early.chosen == whole.particles.chosen_at_cutoff
    expected = whole.particles.latents[early.chosen]
    torch.testing.assert_close(early.particles.best, expected, atol=1e-4, rtol=1e-4)
    parts = open_model(name, recipe=recipes[name], device="cpu", max_batch=2, vae_tiling=True)
    split = super_resolve(low, model=parts, settings=settings, hints=hints)
    torch.testing.assert_close(split.particles.latents, whole.particles.latents, atol=1e-4, rtol=1e-4)
    assert np.abs(split.image.astype(int) - whole.image).max() <= 1


@pytest.mark.parametrize("name", ["diffbir", "seesr"])
def test_settings_reach_the_run(name: str, models: Any, known: Any, low: np.ndarray) -> None:
    def latents(settings: Settings = SETTINGS[name], **changes: Any) -> Any:
        model = replace(models[name], recipe=replace(models[name].recipe, **changes))
        restorer = BackboneRestorer(low, model, hints=known[name])
        return restorer.sample(settings, steered=False).latents

    usual = latents()
    assert torch.equal(latents(), usual)
    for changes in (
        {"start": "noise"},
        {"last_alpha": "one"},
        {"control_scale": 0.5},
        {"prompt": "sharp"},
        {"negative_prompt": "sharp"},
        {"tile": 8, "overlap": 4},
    ):
        found = latents(**changes)  # DiffBIR pads for tiles otherwise
        assert found.shape != usual.shape or not torch.allclose(found, usual), changes
    assert latents(replace(SETTINGS[name], sampler="dpmpp-2s")).shape == usual.shape
    fewer = latents(replace(SETTINGS[name], particles=2))
    torch.testing.assert_close(fewer, usual[:2], atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match=r"guidance must be .*got 0\.5"):
        latents(replace(SETTINGS[name], guidance=0.5))


def test_the_time_grid_is_an_option(models: Any, known: Any, low: np.ndarray) -> None:
    """With seven steps DiffBIR's own DDIM takes eight."""
    settings = replace(SETTINGS["diffbir"], steps=7, particles=1)
    for grid, steps in (("official", 8), ("diffusers", 7)):
        model = replace(models["diffbir"], recipe=replace(models["diffbir"].recipe, time_grid=grid))
        seen: list[int] = []
        BackboneRestorer(low, model, hints=known["diffbir"]).draw(
            settings, steered=False, progress=lambda state, seen=seen: seen.append(state.t)
        )
        assert len(seen) == steps
        assert seen[-1] == 1
    with pytest.raises(ValueError, match=r"steps must .*got 3"):
        BackboneRestorer(low, models["diffbir"], hints=known["diffbir"]).draw(replace(settings, steps=3))


def test_progress_gets_what_the_cores_samplers_say(models: Any, known: Any, low: np.ndarray) -> None:
    states: list[Any] = []
    restorer = BackboneRestorer(low, models["diffbir"], hints=known["diffbir"])
    particles = restorer.sample(SETTINGS["diffbir"], progress=states.append)
    assert [state.num_model_evaluations for state in states] == [1, 2, 3, 4]
    assert [state.num_steps for state in states] == [4] * 4
    steered = [not torch.equal(state.x0_pred, state.x0_steered) for state in states]
    assert steered == [state.t >= 300 for state in states]
    assert torch.equal(states[-1].x_next, particles.latents)
    last = states[-1]  # DDIM ends on the noise level of timestep 0, and not on the clean latent itself
    distance = float((last.x0_pred - last.x_next).abs().mean())
    assert 0 < distance < 0.1 * float((last.x_t - last.x_next).abs().mean()) + 0.1


def test_other_sizes(models: Any, known: Any, tokens_file: Path) -> None:
    """Smaller than the size that the networks know, and of no multiple of anything."""
    rng = np.random.default_rng(1)
    for shape in ((16, 16), (19, 33)):
        small = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        size = (4 * shape[0], 4 * shape[1], 3)
        hints = {"diffbir": Hints(cleaned=rng.integers(0, 256, size, dtype=np.uint8)), "seesr": known["seesr"]}
        for name, model in models.items():
            larger = replace(model, recipe=replace(model.recipe, process_size=128))
            quick = Settings(particles=1, steps=1)
            for one in (model, larger):
                restorer = BackboneRestorer(small, one, hints=hints[name])
                assert min(restorer.colour_reference.shape[-2:]) >= one.recipe.process_size // 8 * 8 - 8
                assert restorer.draw(quick, steered=False).images[0].shape == size


@pytest.mark.parametrize("name", ["diffbir", "seesr"])
def test_half_precision_is_near_single_precision(name: str, models: Any, recipes: Any, known: Any, low: Any) -> None:
    rough = open_model(name, recipe=recipes[name], device="cpu", dtype="bfloat16")
    assert {rough.unet.dtype, rough.controlnet.dtype, rough.text_encoder.dtype} == {torch.bfloat16}
    assert rough.vae.dtype == torch.float32
    pictures = [
        super_resolve(low, model=model, settings=replace(SETTINGS[name], particles=1, steps=2), hints=known[name]).plain
        for model in (rough, models[name])
    ]
    assert 0 < np.abs(pictures[0].astype(float) - pictures[1]).mean() < 8


def test_defaults_are_the_authors(models: Any) -> None:
    assert default_settings(models["diffbir"]) == Settings(guidance=4.0)
    assert default_settings(models["seesr"]) == Settings(guidance=5.5)
    assert models["seesr"].bandwidth == 5.0  # of the base's kds.json


def test_what_is_missing_or_foreign_is_refused(models: Any, recipes: Any, known: Any, low: np.ndarray) -> None:
    for name, hints, options, error, named in (
        ("diffbir", None, {}, UserError, "cleaner must be given for DiffBIR"),
        ("diffbir", known["seesr"], {}, UserError, "^cleaner must be given"),
        ("diffbir", replace(known["diffbir"], tags="a"), {}, UserError, "tags must be left out with diffbir"),
        ("diffbir", Hints(cleaned=low), {}, UserError, "cleaned must have the result's 80 x 64 pixels, got 20 x 16"),
        ("seesr", None, {}, UserError, "tags must be given for SeeSR"),
        ("seesr", Hints(tags=""), {}, UserError, "image_tokens must be given"),
        ("seesr", replace(known["seesr"], cleaned=low), {}, UserError, "cleaned must be left out with seesr"),
        ("seesr", known["seesr"], {"noise_level": 3}, ValueError, "noise_level"),
        ("seesr", known["seesr"], {"negative_prompt": "a", "settings": Settings()}, ValueError, "negative_prompt"),
    ):
        with pytest.raises(error, match=named):
            super_resolve(low, model=models[name], hints=hints, **options)
    for options, error, named in (
        ({"revision": "main"}, UserError, "revision must be left out with diffbir, .* several parts, got 'main'"),
        ({"cpu_offload": True}, UserError, "cpu_offload must be left out except with pipelines, got"),
        ({"task": "inpaint"}, UserError, "got 'diffbir', which is for 'sr'"),
        ({"dtype": "int8"}, ValueError, "dtype"),
    ):
        with pytest.raises(error, match=named):
            open_model("diffbir", recipe=recipes["diffbir"], **options)
    for other in (None, "seesr"):
        with pytest.raises(ValueError, match=r"recipe must be of the model, .*, got one of 'diffbir'"):
            open_model(other, recipe=recipes["diffbir"])
    for change, named in (
        ({"start": "middle"}, "start must be one of noise, condition, got 'middle'"),
        ({"time_grid": "mine"}, "time_grid"),
        ({"last_alpha": "two"}, "last_alpha"),
        ({"colour_fix": "sepia"}, "colour_fix"),
        ({"guidance": 0.0}, "guidance"),
        ({"control_scale": float("nan")}, "control_scale"),
        ({"tile": 12}, "tile must be a multiple of 8, in latent pixels, got 12"),
        ({"process_size": 100}, "process_size"),
    ):
        with pytest.raises(ValueError, match=named):
            replace(recipes["diffbir"], **change)


def test_a_base_that_does_not_fit_is_refused(
    recipes: Any, seesr_base: Path, diffbir_base: Path, tmp_path: Path
) -> None:
    for name, base, named in (
        ("diffbir", seesr_base, r"base must have unet/config\.json, got .* without it"),
        ("seesr", diffbir_base, "base must have 24 numbers per text token, .* with 16"),
        ("seesr", tmp_path, r"base must have scheduler.* without it"),
    ):
        with pytest.raises(UserError, match=named):
            open_model(name, recipe=replace(recipes[name], base=str(base)))


def test_the_unet_may_be_a_checkpoint_in_its_original_names(
    recipes: Any, models: Any, diffbir_files: Any, official: Any
) -> None:
    recipe = replace(recipes["diffbir"], unet=str(diffbir_files[0]), weights=str(diffbir_files[1]))
    with pytest.raises(UserError, match=r"control must be safetensors, got .*, a pickle.* `pickled_weights=True`"):
        open_model("diffbir", recipe=recipe)
    with pytest.warns(UserWarning, match="can run code") as said:
        model = open_model("diffbir", recipe=recipe, pickled_weights=True)
    assert len(said) == 1
    theirs = models["diffbir"].unet.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in model.unet.state_dict().items())
