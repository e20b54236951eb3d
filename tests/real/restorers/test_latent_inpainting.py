"""Inpainting by networks in the latent diffusion paper's shape: what they are told, and the same numbers by hand."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
from diffusers import DDIMScheduler  # noqa: E402

from real.__main__ import main  # noqa: E402
from real.api import inpaint, open_model, super_resolve  # noqa: E402
from real.errors import UserError  # noqa: E402
from real.images.filling import fill_smoothly  # noqa: E402
from real.images.masks import center_box  # noqa: E402
from real.images.seeds import photo_seed  # noqa: E402
from real.models.codec import TILE, encode  # noqa: E402
from real.sampling import initial_noise  # noqa: E402
from real.settings import Settings  # noqa: E402

SETTINGS = Settings(particles=3, steps=4)


@pytest.fixture(scope="module")
def filler(hole_filler_folder: Path) -> Any:
    return open_model(hole_filler_folder, task="inpaint", device="cpu", dtype="float32")


@pytest.fixture
def small(photo: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(photo[:61, :70])  # neither side is a multiple of 8 pixels


@pytest.fixture
def hole(small: np.ndarray) -> np.ndarray:
    return center_box(*small.shape[:2], 0.3)


def test_channels_tell_the_family(filler: Any, hole_filler_folder: Path, tiny_folder: Path) -> None:
    assert (filler.family, filler.bandwidth) == ("ldm-inpaint", 1.5)
    with pytest.raises(UserError, match=r"model must be LDM-SR .* for 'sr', got .*, LDM inpainting .* for 'inpaint'"):
        open_model(hole_filler_folder)
    with pytest.raises(UserError, match=r"model must be .* for 'inpaint', got .* for 'sr'"):
        open_model(str(tiny_folder), task="inpaint", device="cpu", dtype="float32")


def black(x: Any, mask: np.ndarray) -> tuple[Any, Any]:
    """By hand: every latent pixel that a pixel of the hole touches is black, and hidden."""
    blanked, cells = x.clone(), torch.full((1, 1, 16, 18), -1.0)
    for i, j in np.argwhere(mask) // 4:
        blanked[:, :, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4] = -1.0
        cells[0, 0, i, j] = 1.0
    return blanked, cells


def smooth(x: Any, mask: np.ndarray) -> tuple[Any, Any]:
    """The filling has tests of its own; by hand the sixteenths of every latent pixel that are hidden."""
    cells = torch.full((1, 1, 16, 18), -1.0)
    for i, j in np.argwhere(mask):
        cells[0, 0, i // 4, j // 4] += 2 / 16
    return fill_smoothly(x, mask), cells


@pytest.mark.parametrize("told", [black, smooth])
def test_it_is_told_the_photo_without_the_hole_and_the_hole(
    told: Any, hole_filler_folder: Path, small: np.ndarray, hole: np.ndarray, tmp_path: Path, monkeypatch: Any
) -> None:
    """All by hand: padding, filling, encoding, the mask on the latents' grid, diffusers' DDIM, the choice of Eq. 9."""
    folder = shutil.copytree(hole_filler_folder, tmp_path / "model")
    if told is smooth:
        (folder / "kds.json").write_text('{"hole": "smooth"}')
    filler = open_model(folder, task="inpaint", device="cpu", dtype="float32")
    assert filler.hole == told.__name__  # a model that says nothing, such as a converted public one: black
    padded = np.pad(small, ((0, 3), (0, 2), (0, 0)), mode="edge")
    mask = np.pad(hole, ((0, 3), (0, 2)))
    blanked, cells = told(torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 127.5 - 1, mask)
    with torch.no_grad():
        condition = torch.cat([filler.vqvae.encode(blanked).latents, cells], dim=1)
        scheduler = DDIMScheduler.from_pretrained(filler.name, subfolder="scheduler")
        scheduler.set_timesteps(4)
        x = initial_noise(3, 16, 18, seed=photo_seed(0, np.where(hole[..., None], np.uint8(128), small)))
        for t in scheduler.timesteps:
            eps = filler.unet(torch.cat([x, condition.expand(3, -1, -1, -1)], dim=1), t).sample
            x = scheduler.step(eps, t, x).prev_sample
    plain = inpaint(small, hole, model=filler, settings=replace(SETTINGS, strength=0.0))
    assert torch.allclose(plain.particles.latents, x, atol=1e-4)
    assert plain.chosen == int((x - x.mean(0)).square().sum((1, 2, 3)).argmin())
    seen: list[Any] = []
    network = type(filler.unet).forward
    monkeypatch.setattr(type(filler.unet), "forward", lambda s, x, *a, **k: (seen.append(x), network(s, x, *a, **k))[1])
    inpaint(small, hole, model=filler, settings=replace(SETTINGS, guidance=2.0))
    assert torch.allclose(seen[0][:, 3:], condition.expand(3, -1, -1, -1), atol=1e-5)
    assert not bool(seen[1][:, 3:6].any())
    assert bool((seen[1][:, 6] == 1.0).all())


def test_known_pixels_stay_and_hidden_ones_have_no_say(filler: Any, small: np.ndarray, hole: np.ndarray) -> None:
    result = inpaint(small, hole, model=filler, settings=SETTINGS)
    assert result.image.shape == small.shape
    for image in (result.image, result.plain):
        assert np.array_equal(image[~hole], small[~hole])
        assert not np.array_equal(image[hole], small[hole])
    other = np.where(hole[..., None], 255 - small, small)
    assert np.array_equal(inpaint(other, hole, model=filler, settings=SETTINGS).image, result.image)
    loose = inpaint(small, hole, model=filler, settings=SETTINGS, paste=False)
    assert np.array_equal(loose.image[hole], result.image[hole])
    assert not np.array_equal(loose.image[~hole], small[~hole])
    early = inpaint(small, hole, model=filler, settings=replace(SETTINGS, early_choice=True))
    assert early.particles.evaluations < result.particles.evaluations


def test_what_does_not_fit_is_refused(filler: Any, tiny: Any, small: np.ndarray, hole: np.ndarray) -> None:
    for name in ("prompt", "negative_prompt"):
        with pytest.raises(ValueError, match=f"{name} must be left out except with x4-upscaler, sd-inpaint"):
            inpaint(small, hole, model=filler, **{name: "dog"})
    with pytest.raises(ValueError, match=r"model must be for the task 'sr', got .* for 'inpaint'"):
        super_resolve(small, model=filler)
    with pytest.raises(ValueError, match=r"model must be for the task 'inpaint', got .* for 'sr'"):
        inpaint(small, hole, model=tiny)
    with pytest.raises(ValueError, match="mask must"):
        inpaint(small, hole[:5], model=filler)


def test_a_hole_of_another_name_is_refused(hole_filler_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(hole_filler_folder, tmp_path / "model")
    (folder / "kds.json").write_text('{"hole": "grey"}')
    with pytest.raises(UserError, match=r"model must have one of black, smooth as the hole in kds\.json, got 'grey'"):
        open_model(folder, task="inpaint", device="cpu", dtype="float32")


def test_large_photos_are_encoded_in_tiles(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By position: a stand-in encoder that averages blocks shows every tile at its place."""

    class Blocks:
        def __init__(self, x: Any) -> None:
            sides.append(max(x.shape[-2:]))
            self.latents = torch.nn.functional.avg_pool2d(x, 4)

    sides: list[int] = []
    monkeypatch.setattr(type(tiny.vqvae), "encode", lambda _, x: Blocks(x))
    x = torch.rand(1, 3, 4 * 70, 4 * 280, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(encode(tiny, x), torch.nn.functional.avg_pool2d(x, 4), atol=1e-6)
    assert len(sides) > 2
    assert max(sides) <= 4 * TILE


def test_the_command_paints_a_box_and_a_mask(
    tmp_path: Path, photo: np.ndarray, hole_filler_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    hole = center_box(64, 80, 0.3)
    Image.fromarray((255 * hole).astype(np.uint8)).save(tmp_path / "mask.png")
    quick = ["--model", str(hole_filler_folder), "--particles", "3", "--steps", "4", "--device", "cpu"]
    for name, option in (("box", ["--center-box", "0.3"]), ("mask", ["--mask", str(tmp_path / "mask.png")])):
        output = ["--output", str(tmp_path / name)]
        assert main(["inpaint", str(tmp_path / "photo.png"), *option, *quick, *output]) == 0
        with Image.open(tmp_path / name / "restored.png") as image:
            painted = np.asarray(image)
        assert np.array_equal(painted, inpaint(photo, hole, model=hole_filler_folder, settings=SETTINGS).image)
    result = json.loads((tmp_path / "box" / "result.json").read_text())
    assert (result["family"], result["settings"]["bandwidth"], "prompt" in result) == ("ldm-inpaint", 1.5, False)
    assert result["scores"]["kds_choice"]["hole_psnr_rgb"] < result["scores"]["kds_choice"]["psnr_rgb"]
    assert "PSNR hole" in capsys.readouterr().out
