"""The inpainting model that the package carries: its shape, its size, and that it fills a hole in a photo."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from real import inpaint, open_model  # noqa: E402
from real.__main__ import main  # noqa: E402
from real.images.masks import center_box  # noqa: E402
from real.images.photos import sample_photo  # noqa: E402
from real.models.latent import BUNDLED_INPAINTING, LatentModel  # noqa: E402
from real.restorers.compare import Comparison, compare, plain_comparison  # noqa: E402
from real.restorers.inpainting import LatentInpainting, inpainting_score  # noqa: E402
from real.settings import Settings  # noqa: E402

DOCS = BUNDLED_INPAINTING.parents[2] / "docs"


@pytest.fixture(scope="module")
def model() -> LatentModel:
    return open_model(task="inpaint", device="cpu", dtype="float32")


def test_it_has_the_shape_of_ldms_inpainting_model(model: LatentModel) -> None:
    assert (model.name, model.family) == ("bundled", "ldm-inpaint")
    assert (model.unet.config.in_channels, model.unet.config.out_channels) == (7, 3)
    assert model.unet.config.add_attention  # a hole is filled by what is far away, too
    assert model.prediction_type == "epsilon"
    assert model.bandwidth == json.loads((BUNDLED_INPAINTING / "kds.json").read_text())["bandwidth"] != 0.3


def test_its_autoencoder_is_that_of_super_resolution_at_another_scale(model: LatentModel) -> None:
    """Smaller latents, so that the noise of the schedule hides what fills a large hole: see the card."""
    x = torch.from_numpy(sample_photo()[:64, :64]).permute(2, 0, 1)[None] / 127.5 - 1
    other = open_model(device="cpu", dtype="float32")
    with torch.no_grad():
        ours, theirs = (m.vqvae.encode(x).latents for m in (model, other))
        factor = float(ours.std() / theirs.std())
        assert factor == pytest.approx(2.5, rel=1e-3)
        assert torch.allclose(ours, factor * theirs, rtol=0.01, atol=0.01 * float(ours.std()))
        images = [m.vqvae.decode(z).sample for m, z in ((model, ours), (other, theirs))]
    assert float((images[0] - images[1]).abs().mean()) < 0.01  # of 2; some codes change with the rounding


def test_it_is_small_and_in_half_precision() -> None:
    files = sorted(BUNDLED_INPAINTING.rglob("*.safetensors"))
    assert len(files) == 2
    assert sum(f.stat().st_size for f in files) <= 10_000_000
    from safetensors import safe_open

    for file in files:
        with safe_open(file, "pt") as weights:
            assert {weights.get_slice(k).get_dtype() for k in weights.keys()} == {"F16"}  # noqa: SIM118


def test_its_record_says_how_it_was_trained() -> None:
    record = json.loads((BUNDLED_INPAINTING / "training.json").read_text())["unet"]
    while record is not None and "inpainting" in record["command"]:
        assert record["command"].startswith("python -m real.train inpainting ")
        assert record["curve"][-1]["step"] == record["run"]["steps"]
        assert (record["settings"]["attention"], record["settings"]["sides"]) == (True, [0.25, 0.75])
        record = record.get("started_from")
    assert record is not None
    assert record["command"].startswith("python -m real.train unet ")  # the network of super-resolution


@pytest.fixture(scope="module")
def filled(model: LatentModel) -> tuple[np.ndarray, np.ndarray, Comparison]:
    """A photo outside the training data, with half as many particles as the paper."""
    truth = np.ascontiguousarray(sample_photo()[64:192, 64:192])
    mask = center_box(128, 128, 0.3)
    restorer, score = LatentInpainting(truth, mask, model), inpainting_score(mask)
    settings = Settings(particles=5)
    plain = plain_comparison(restorer, truth, settings, baselines={}, score=score)
    return truth, mask, compare(restorer, truth, settings, plain=plain, score=score)


def test_it_fills_a_hole(filled: tuple[np.ndarray, np.ndarray, Comparison]) -> None:
    truth, mask, result = filled
    psnr = {name: scores["hole_psnr_rgb"] for name, scores in result.scores.items()}
    surroundings = np.broadcast_to(truth[~mask].mean(0), truth[mask].shape)
    mean_colour = 10 * np.log10(255**2 / np.square(surroundings - truth[mask].astype(float)).mean())
    assert psnr["kds_choice"] > mean_colour
    assert psnr["kds_mean"] > psnr["ddim_mean"]


def test_the_known_pixels_stay(filled: tuple[np.ndarray, np.ndarray, Comparison]) -> None:
    truth, mask, result = filled
    for image in result.images.values():
        assert np.array_equal(image[~mask], truth[~mask])


def test_a_filling_goes_on_from_what_is_around_it(filled: tuple[np.ndarray, np.ndarray, Comparison]) -> None:
    """The step over the edge of the hole is not much larger than steps between known pixels are."""
    truth, mask, result = filled
    edge = mask[1:] != mask[:-1]
    steps = np.abs(np.diff(result.images["ddim_one"].astype(float), axis=0)).mean(-1)
    grey = np.where(mask[..., None], 128.0, truth)
    assert steps[edge].mean() < 2.0 * np.abs(np.diff(truth.astype(float), axis=0)).mean(-1)[edge].mean() + 4.0
    assert steps[edge].mean() < 0.7 * np.abs(np.diff(grey, axis=0)).mean(-1)[edge].mean()


def test_particles_differ_in_the_hole_and_agree_around_it(
    model: LatentModel, filled: tuple[np.ndarray, np.ndarray, Comparison]
) -> None:
    truth, mask, _ = filled
    restorer = LatentInpainting(truth, mask, model)
    latents = restorer.sample(Settings(particles=4, steps=20), steered=False).latents
    spread = latents.std(dim=0).norm(dim=0).numpy()
    deep, far = spread[12:20, 12:20], np.concatenate([spread[:4], spread[-4:]])
    assert deep.mean() > 2.0 * far.mean()


def test_both_tasks_open_their_own_model() -> None:
    assert open_model(task="inpaint").family == "ldm-inpaint"
    assert open_model().family == "ldm-sr"
    photo = sample_photo()[:64, :64]
    result = inpaint(photo, center_box(64, 64, 0.3), settings=Settings(particles=2, steps=2))
    assert result.image.shape == photo.shape


def test_the_command_needs_no_model(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(sample_photo()[:64, :64]).save(tmp_path / "photo.png")
    arguments = ["--center-box", "0.3", "--steps", "2", "--particles", "2", "--output", tmp_path / "out"]
    assert main(["inpaint", str(tmp_path / "photo.png"), *map(str, arguments)]) == 0
    assert json.loads((tmp_path / "out" / "result.json").read_text())["model"] == "bundled"


def test_the_model_card_says_what_the_evaluation_says() -> None:
    report = json.loads((BUNDLED_INPAINTING / "evaluation.json").read_text())
    assert report == json.loads((DOCS / "replication" / "table3" / "report.json").read_text())
    assert (report["model"], report["study"]) == ("bundled", "table3")
    card = (BUNDLED_INPAINTING / "README.md").read_text()
    assert report["command"] in card
    tables = [line for line in (DOCS / "replication" / "table3" / "report.md").read_text().splitlines() if "[" in line]
    assert len(tables) > 8
    assert all(line in card for line in tables if line.startswith("| D"))
    gains = [pair["scores"]["psnr_rgb"]["mean"] for pair in report["pairs"] if pair["b"].startswith("plain")]
    assert f"gains {gains[0]:.2f} dB over a random plain particle with DDIM" in card
    assert f"and {gains[1]:.2f} dB with" in card
    sweep = json.loads((BUNDLED_INPAINTING / "bandwidth_sweep.json").read_text())["bandwidths"]
    *first, last = [f"{one['gain']['mean']:.2f}" for one in sweep]
    assert f"KDS gained {', '.join(first)} and {last} dB" in card
    *first, last = [f"{one['bandwidth']:g}" for one in sweep]
    assert f"of {', '.join(first)} and {last} (" in card.replace("\n", " ")


def test_it_meets_what_the_project_asks_of_it() -> None:
    """KDS above the mean plain sample in PSNR, with p below 0.01: for both samplers."""
    report = json.loads((BUNDLED_INPAINTING / "evaluation.json").read_text())
    assert report["grid"]["degradation"] == ["center-box"]
    assert (report["settings"]["steps"], report["settings"]["particles"]) == (50, 10)
    pairs = {(pair["a"], pair["b"]): pair["scores"]["psnr_rgb"] for pair in report["pairs"]}
    for sampler in ("ddim", "dpmpp-2s"):
        gain = pairs[f"kds-center-box-{sampler}", f"plain-center-box-{sampler}"]
        assert gain["mean"] > 0
        assert gain["p"] < 0.01
