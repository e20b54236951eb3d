"""The front door: super-resolution and inpainting from Python, with every family of models, against diffusers."""

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
pytest.importorskip("transformers")
import real  # noqa: E402
from real.api import inpaint, inpainting_restorer, open_model, super_resolve  # noqa: E402
from real.degradations.simple import Degradation  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.images.colour import fix_colours  # noqa: E402
from real.images.masks import center_box, grow_to_cells  # noqa: E402
from real.images.seeds import photo_seed  # noqa: E402
from real.models import pipeline as pipelines  # noqa: E402
from real.models.base import LoadOptions  # noqa: E402
from real.opening import FAMILIES  # noqa: E402
from real.plugin import particle_generators, repeat_for_particles, steer_scheduler  # noqa: E402
from real.restorers.base import Restoration, restore  # noqa: E402
from real.restorers.latent import LatentSuperResolution  # noqa: E402
from real.restorers.steered import SOLVER, steered_scheduler  # noqa: E402
from real.settings import Settings  # noqa: E402

N, STEPS = 3, 4
BANDWIDTH = {"ddim": None, "dpmpp-2s": "median"}  # None: the 5.0 of the model's kds.json
SETTINGS = Settings(particles=N, steps=STEPS)
# diffusers' and transformers' own talk while the oracle below loads and runs
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def upscaler(upscaler_folder: Path) -> Any:
    return open_model(upscaler_folder, device="cpu")


@pytest.fixture(scope="module")
def inpainter(inpainter_folder: Path) -> Any:
    return open_model(inpainter_folder, task="inpaint", device="cpu")


@pytest.fixture
def low(photo: np.ndarray) -> np.ndarray:
    return Degradation()(photo, np.random.default_rng(0))  # 16 x 20


@pytest.fixture
def small(photo: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(photo[:31, :38])  # neither side is a multiple of the latents' cells


@pytest.fixture
def hole(small: np.ndarray) -> np.ndarray:
    return center_box(*small.shape[:2], 0.3)


def pixels(image: Any) -> np.ndarray:
    return np.rint(image * 255).astype(np.uint8)


def test_it_is_exported_lazily() -> None:
    assert (real.super_resolve, real.inpaint, real.open_model) == (super_resolve, inpaint, open_model)
    assert (real.Settings, real.Restoration) == (Settings, Restoration)


def test_ldm_sr_is_what_restore_does(tiny: Any, tiny_folder: Path, low: np.ndarray, tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=2)
    expected = restore(LatentSuperResolution(low, open_model(tiny_folder)), settings)
    Image.fromarray(low).save(tmp_path / "low.png")
    for picture in (low, Image.fromarray(low), tmp_path / "low.png"):
        result = super_resolve(picture, model=tiny_folder, settings=settings)
        assert np.array_equal(result.image, expected.image)
    assert np.array_equal(result.plain, expected.plain)
    assert result.chosen == expected.particles.chosen
    assert result.trace == expected.particles.trace
    seen: list[int] = []
    parts = open_model(tiny_folder, device="cpu", max_batch=2)
    parts.unet.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    split = super_resolve(low, model=parts, settings=settings)
    assert seen == [2, 1] * 2 + [1] * 2  # three particles, then the plain first one
    assert np.abs(split.image.astype(int) - expected.image).max() <= 1
    for wrong in (low.astype(float), low[..., :2]):
        with pytest.raises(ValueError, match=r"low must be .*got"):
            super_resolve(wrong, model=tiny)
    with pytest.raises(TypeError, match=r"low must be a file, .*got a int"):
        super_resolve(3, model=tiny)
    for option in ({"prompt": "a"}, {"noise_level": 3}):
        with pytest.raises(ValueError, match=next(iter(option))):
            super_resolve(low, model=tiny, **option)


def of_diffusers(
    kind: str,
    folder: Path,
    sampler: str,
    steered: dict[str, Any] | None,
    count: int,
    shown: np.ndarray,
    **inputs: Any,
) -> Any:
    """The pipeline of diffusers as its users run it: all pictures, latents of all rows, the scheduler's state."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pipe = getattr(diffusers, kind).from_pretrained(folder, low_cpu_mem_usage=False)
        pipe.set_progress_bar_config(disable=True)
        cls = {"ddim": diffusers.DDIMScheduler, "dpmpp-2s": diffusers.DPMSolverSinglestepScheduler}[sampler]
        options = {} if sampler == "ddim" else SOLVER
        pipe.scheduler = cls.from_config(pipe.scheduler.config, **options)
        if steered:
            pipe.scheduler = steer_scheduler(pipe.scheduler, num_particles=count, **steered)
        with torch.no_grad():
            noise = particle_generators(count, seed=photo_seed(0, shown))
            images = pipe(**inputs, num_inference_steps=STEPS, generator=noise, output_type="np").images
    return images, getattr(pipe.scheduler, "kds", None)


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp-2s"])
def test_the_x4_upscaler_is_diffusers_pipeline_steered(
    upscaler: Any, upscaler_folder: Path, low: np.ndarray, sampler: str
) -> None:
    guided = {"prompt": "a cat", "negative_prompt": "dog"}
    result = super_resolve(
        low,
        model=upscaler,
        settings=replace(SETTINGS, sampler=sampler, guidance=3.0, bandwidth=BANDWIDTH[sampler]),
        noise_level=50,
        **guided,
    )
    assert result.image.shape == result.plain.shape == (64, 80, 3)
    image = torch.from_numpy(low).permute(2, 0, 1)[None] / 255
    kind = "StableDiffusionUpscalePipeline"
    rows = {"guidance_scale": 3.0, "noise_level": 50}
    for count, steered in ((N, {"bandwidth": BANDWIDTH[sampler] or 5.0}), (1, None)):
        texts = {name: [text] * count for name, text in guided.items()}
        inputs = {**texts, **rows, "image": repeat_for_particles(image, count)}
        images, state = of_diffusers(kind, upscaler_folder, sampler, steered, count, low, **inputs)
        if state is None:
            assert np.array_equal(result.plain, pixels(images[0]))
            continue
        assert result.chosen == int(state.select().particle[0])
        assert np.abs(result.image.astype(int) - pixels(images[result.chosen])).max() <= 1
        torch.testing.assert_close(result.particles.latents, state.latents, rtol=1e-4, atol=1e-4)
    assert max(row["effective_particles"] for row in result.trace) > 1.05  # steering did something
    assert not np.array_equal(result.image, result.plain)


def test_every_family_of_super_resolution_takes_the_inputs_colours(upscaler: Any, tiny: Any, low: np.ndarray) -> None:
    for model in (upscaler, tiny):
        plain = super_resolve(low, model=model, settings=SETTINGS)
        fixed = super_resolve(low, model=model, settings=SETTINGS, colour_fix="adain")
        assert np.array_equal(fixed.image, fix_colours(plain.image, low, "adain"))
        assert np.array_equal(fixed.plain, fix_colours(plain.plain, low, "adain"))
        assert not np.array_equal(fixed.image, plain.image)
    takes = {family.name for family in FAMILIES.values() if "colour_fix" in family.options}
    assert takes == {family.name for family in FAMILIES.values() if family.task == "sr"}


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp-2s"])
def test_inpainting_is_diffusers_pipeline_steered(
    inpainter: Any, inpainter_folder: Path, photo: np.ndarray, sampler: str
) -> None:
    mask = np.zeros((64, 80), dtype=bool)
    mask[20:40, 30:52] = True  # whole cells of the latents
    settings = replace(SETTINGS, sampler=sampler, bandwidth=BANDWIDTH[sampler])
    result = inpaint(photo, mask, model=inpainter, settings=settings, paste=False)
    inputs = {
        "prompt": "",
        "guidance_scale": 1.0,
        "image": torch.from_numpy(photo).permute(2, 0, 1)[None] / 255,
        "mask_image": torch.from_numpy(mask)[None, None].float(),
        "height": 64,
        "width": 80,
    }
    kind = "StableDiffusionInpaintPipeline"
    shown = np.where(mask[..., None], np.uint8(128), photo)
    for count, steered in ((N, {"bandwidth": BANDWIDTH[sampler] or 5.0}), (1, None)):
        images, state = of_diffusers(
            kind, inpainter_folder, sampler, steered, count, shown, **inputs, num_images_per_prompt=count
        )
        if state is None:
            assert np.array_equal(result.plain, pixels(images[0]))
            continue
        assert result.chosen == int(state.select().particle[0])
        assert np.abs(result.image.astype(int) - pixels(images[result.chosen])).max() <= 1
        torch.testing.assert_close(result.particles.latents, state.latents, rtol=1e-4, atol=1e-4)
    assert max(row["effective_particles"] for row in result.trace) > 1.05  # steering did something


def test_known_pixels_stay_and_hidden_ones_have_no_say(inpainter: Any, small: np.ndarray, hole: np.ndarray) -> None:
    result = inpaint(small, hole, model=inpainter, settings=SETTINGS)
    assert result.image.shape == small.shape
    for image in (result.image, result.plain):
        assert np.array_equal(image[~hole], small[~hole])
        assert not np.array_equal(image[hole], small[hole])
    other = np.where(hole[..., None], 255 - small, small)
    assert np.array_equal(inpaint(other, hole, model=inpainter, settings=SETTINGS).image, result.image)
    loose = inpaint(small, hole, model=inpainter, settings=SETTINGS, paste=False)
    assert np.array_equal(loose.image[hole], result.image[hole])
    assert not np.array_equal(loose.image[~hole], small[~hole])
    grown = grow_to_cells(np.pad(hole, ((0, 1), (0, 0))), 2)[:31]
    assert grown.sum() > hole.sum()
    same = inpainting_restorer(small, grown, inpainter)  # the model sees whole cells
    same.shown = np.where(hole[..., None], np.uint8(128), small)  # of which the noise is
    assert torch.equal(same.sample(SETTINGS).latents, result.particles.latents)
    prompted = inpaint(small, hole, model=inpainter, settings=SETTINGS, prompt="a dog")
    assert not np.array_equal(prompted.image, result.image)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_early_choice_and_micro_batches_change_cost_alone(
    upscaler: Any, upscaler_folder: Path, inpainter: Any, inpainter_folder: Path, photo: np.ndarray, guidance: float
) -> None:
    settings = replace(SETTINGS, guidance=guidance)
    copies = 1 if guidance == 1.0 else 2
    mask = center_box(64, 80, 0.3)
    for model, folder, run in (
        (
            upscaler,
            upscaler_folder,
            lambda model, settings: super_resolve(photo[:17, :22], model=model, settings=settings),
        ),
        (inpainter, inpainter_folder, lambda model, settings: inpaint(photo, mask, model=model, settings=settings)),
    ):
        seen: list[int] = []
        hook = model.unet.conv_in.register_forward_pre_hook(lambda module, args, seen=seen: seen.append(len(args[0])))
        whole = run(model, settings)
        assert seen == [copies * N] * STEPS + [copies] * STEPS  # the ensemble, then the plain first particle
        assert whole.particles.evaluations == N * STEPS
        seen.clear()
        early = run(model, replace(settings, early_choice=True))
        hook.remove()
        steered = len(whole.trace)
        assert 0 < steered < STEPS
        assert seen == [copies * N] * steered + [copies] * (STEPS - steered) + [copies] * STEPS
        assert early.particles.evaluations == N * steered + STEPS - steered
        assert early.particles.early
        assert early.particles.latents.shape == (1, *whole.particles.latents.shape[1:])
        expected = whole.particles.latents[early.chosen]
        torch.testing.assert_close(early.particles.best, expected, rtol=1e-4, atol=1e-4)
        assert np.array_equal(early.plain, whole.plain)
        split = run(open_model(folder, task="sr" if model is upscaler else "inpaint", max_batch=2), settings)
        torch.testing.assert_close(split.particles.latents, whole.particles.latents, rtol=1e-4, atol=1e-4)
        assert np.abs(split.image.astype(int) - whole.image).max() <= 1


def test_half_precision_is_near_single_precision(inpainter_folder: Path, inpainter: Any, photo: np.ndarray) -> None:
    model = open_model(inpainter_folder, task="inpaint", dtype="bfloat16")
    assert {p.dtype for part in (model.unet, model.pipe.vae, model.pipe.text_encoder) for p in part.parameters()} == {
        torch.bfloat16
    }
    results = [
        inpaint(photo, center_box(64, 80, 0.3), model=m, settings=SETTINGS, paste=False) for m in (model, inpainter)
    ]
    assert 0 < np.abs(results[0].plain.astype(float) - results[1].plain).mean() < 4


def test_memory_options_reach_the_pipeline(inpainter_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_model(inpainter_folder, task="inpaint", vae_tiling=True)
    assert model.pipe.vae.use_tiling
    assert model.pipe.vae.use_slicing
    with pytest.raises(UserError, match=r"cpu_offload must be left out on the CPU.*`device`"):
        open_model(inpainter_folder, task="inpaint", device="cpu", cpu_offload=True)
    monkeypatch.setattr(pipelines.importlib.util, "find_spec", lambda name: None if name == "accelerate" else name)
    with pytest.raises(UserError, match="pip install accelerate"):
        pipelines.check_packages(LoadOptions(device="cuda", cpu_offload=True))
    monkeypatch.setattr(pipelines.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"kds-ref\[pipelines\]"):
        open_model(inpainter_folder, task="inpaint")


def test_pickles_need_their_option(inpainter_folder: Path, tmp_path: Path, photo: np.ndarray) -> None:
    folder = tmp_path / "model"
    shutil.copytree(inpainter_folder, folder)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    from safetensors.torch import load_file

    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(UserError, match="`pickled_weights=True`"):
        open_model(folder, task="inpaint")
    with pytest.warns(UserWarning, match="can run code"):
        model = open_model(folder, task="inpaint", pickled_weights=True)
    safe = open_model(inpainter_folder, task="inpaint")
    assert all(torch.equal(a, b) for a, b in zip(model.unet.parameters(), safe.unet.parameters(), strict=True))


def test_a_model_may_name_its_bandwidth(upscaler_folder: Path, upscaler: Any, tmp_path: Path) -> None:
    assert upscaler.bandwidth == 5.0
    folder = tmp_path / "model"
    shutil.copytree(upscaler_folder, folder)
    (folder / "kds.json").unlink()
    assert open_model(folder).bandwidth == 0.3  # the paper's
    (folder / "kds.json").write_text(json.dumps({"bandwidth": "wide"}))
    with pytest.raises(UserError, match=r"kds\.json"):
        open_model(folder)


def test_what_does_not_fit_is_refused(
    upscaler: Any, inpainter: Any, tiny: Any, low: np.ndarray, small: np.ndarray, hole: np.ndarray
) -> None:
    for options, named in (
        ({"settings": replace(SETTINGS, guidance=0.5)}, "guidance must be at least 1"),
        ({"settings": SETTINGS, "negative_prompt": "dog"}, "negative_prompt"),
        ({"settings": SETTINGS, "noise_level": 351}, "noise_level must be .* 0 to 350, got 351"),
        ({"settings": SETTINGS, "noise_level": -1}, "noise_level"),
    ):
        with pytest.raises(ValueError, match=named):
            super_resolve(low, model=upscaler, **options)
    for model in (upscaler, tiny):
        with pytest.raises(UserError, match=r"^colour_fix must be one of none, wavelet, adain"):
            super_resolve(low, model=model, colour_fix="lab")
    with pytest.raises(ValueError, match=r"model must be for the task 'sr', got .* for 'inpaint'"):
        super_resolve(low, model=inpainter)
    for wrong in (upscaler, tiny):
        with pytest.raises(ValueError, match=r"model must be for the task 'inpaint', got .* for 'sr'"):
            inpaint(small, hole, model=wrong)
    for mask, named in (
        (hole[:5], "mask must have"),
        (hole.astype(int), "mask must be bool"),
        (~hole & hole, "no pixel"),
    ):
        with pytest.raises(ValueError, match=named):
            inpaint(small, mask, model=inpainter)
    with pytest.raises(ValueError, match="task"):
        open_model(None, task="paint")
    with pytest.raises(ValueError, match="max_batch"):
        open_model(None, max_batch=0)
    for option in ("vae_tiling", "cpu_offload"):
        with pytest.raises(UserError, match=f"^{option}"):
            open_model(None, **{option: True})
    with pytest.raises(UserError, match=r"^device"):
        open_model(None, device="abacus")


@pytest.mark.parametrize(
    ("given", "clips"), [({}, False), ({"clip_sample": True}, True), ({"clip_sample": False}, False)]
)
def test_a_scheduler_clips_only_where_the_model_says_so(inpainter: Any, given: dict[str, bool], clips: bool) -> None:
    model = replace(inpainter, scheduler=diffusers.DPMSolverMultistepScheduler().config | given)
    assert steered_scheduler(model.scheduler, SETTINGS, N, bandwidth=1.0).config.clip_sample is clips


def test_a_blacked_out_picture_is_no_result(inpainter: Any, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(self: Any, image: Any, device: Any, dtype: Any) -> Any:
        return image, [True] * len(image)

    monkeypatch.setattr(type(inpainter.pipe), "run_safety_checker", check)
    with pytest.raises(UserError, match="safety checker"):
        inpaint(photo, center_box(64, 80, 0.3), model=inpainter, settings=SETTINGS)
