"""The model that the package carries: its shape, its size, and that it restores a photo it has never seen."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from real.bench.summary import table  # noqa: E402
from real.bench.reconstruction import reconstruct  # noqa: E402
from real.degradations.simple import Degradation  # noqa: E402
from real.images.photos import sample_photo  # noqa: E402
from real.metrics.distortion import distortion  # noqa: E402
from real.models.latent import BUNDLED, LatentModel, load_model  # noqa: E402
from real.restorers.super_resolution import Comparison, compare  # noqa: E402
from real.settings import Settings  # noqa: E402
from real.train.record import latent_settings  # noqa: E402


@pytest.fixture(scope="module")
def model() -> LatentModel:
    return load_model()


def test_it_has_the_shape_of_ldm_sr(model: LatentModel) -> None:
    assert (model.unet.config.in_channels, model.unet.config.out_channels) == (6, 3)
    assert model.vqvae.config.latent_channels == 3
    assert model.prediction_type == "epsilon"
    assert model.schedule.num_train_timesteps == 1000
    alphas = model.schedule.alphas_cumprod
    betas = (1 - alphas[0], 1 - alphas[-1] / alphas[-2])
    assert betas == (pytest.approx(0.0015, rel=1e-3), pytest.approx(0.0155, rel=1e-3))


def test_it_is_small_and_in_half_precision() -> None:
    files = sorted(BUNDLED.rglob("*.safetensors"))
    assert len(files) == 2
    assert sum(f.stat().st_size for f in files) <= 10_000_000
    from safetensors import safe_open

    for file in files:
        with safe_open(file, "pt") as weights:
            assert {weights.get_slice(k).get_dtype() for k in weights.keys()} == {"F16"}  # noqa: SIM118


def test_its_record_says_how_it_was_trained() -> None:
    record = json.loads((BUNDLED / "training.json").read_text())
    for part, stage in {"autoencoder": "decoder", "unet": "unet"}.items():
        assert record[part]["command"].startswith(f"python -m real.train {stage} ")
        assert record[part]["curve"][-1]["step"] == record[part]["run"]["steps"]
        assert "started_from" in record[part]


def test_its_latents_have_the_scale_that_they_were_trained_to(model: LatentModel) -> None:
    trained_to = latent_settings(json.loads((BUNDLED / "training.json").read_text())["autoencoder"])["latent_std"]
    x = torch.from_numpy(sample_photo()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        latents = model.vqvae.encode(x).latents
    assert 0.4 < float(latents.std()) / trained_to < 2  # of one photo, where all photos have 1


@pytest.fixture(scope="module")
def restored(model: LatentModel) -> tuple[np.ndarray, Comparison]:
    """A photo outside the training data, with half as many particles as the paper."""
    truth = np.ascontiguousarray(sample_photo()[32:160, 64:192])
    low = Degradation()(truth, np.random.default_rng(0))
    return truth, compare(truth, low, model, Settings(particles=5))


def test_it_restores_a_photo(model: LatentModel, restored: tuple[np.ndarray, Comparison]) -> None:
    truth, result = restored
    psnr = {name: s["psnr_rgb"] for name, s in result.scores.items()}
    assert distortion(reconstruct(model, truth), truth)["psnr_rgb"] > psnr["kds_choice"]
    assert psnr["ddim_mean"] > psnr["bicubic"] - 3.0
    assert psnr["kds_choice"] > psnr["ddim_mean"]
    assert psnr["ddim_average"] > psnr["ddim_mean"]


def test_it_keeps_the_colours(restored: tuple[np.ndarray, Comparison]) -> None:
    truth, result = restored
    for name in ("ddim_one", "kds_choice"):
        cast = np.abs(result.images[name].mean((0, 1)) - truth.mean((0, 1)))
        assert cast.max() < 8.0  # of 255


def test_its_particles_differ_and_steering_moves_them(restored: tuple[np.ndarray, Comparison]) -> None:
    _, result = restored
    assert max(row["effective_particles"] for row in result.trace) > 1.2
    assert np.abs(result.images["kds_one"].astype(float) - result.images["ddim_one"]).mean() > 0.5


def test_a_sample_is_sharper_than_bicubic(restored: tuple[np.ndarray, Comparison]) -> None:
    """A sample, not the consensus, which is about as smooth as the ensemble's average."""

    def gradient(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image.astype(float), axis=0)).mean())

    truth, result = restored
    assert gradient(result.images["bicubic"]) < 0.95 * gradient(result.images["ddim_one"])
    assert gradient(result.images["ddim_one"]) < 1.2 * gradient(truth)  # detail, not noise


def test_a_patch_of_its_latents_means_the_same_wherever_it_stands(model: LatentModel) -> None:
    """Group normalisation sees the whole picture; the networks have to be trained not to care."""
    x = torch.from_numpy(sample_photo()[:192, :192]).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        z = model.vqvae.encode(x).latents
        part = model.vqvae.decode(z[..., 12:36, 12:36]).sample
        whole = model.vqvae.decode(z).sample[..., 48:144, 48:144]
    inner = (slice(None), slice(None), slice(16, 80), slice(16, 80))  # away from the borders, which differ
    assert float((part - whole)[inner].square().mean().sqrt()) < 0.05  # of 2; 0.10 before crops were joined


def test_the_model_card_says_what_the_evaluation_says() -> None:
    report = json.loads((BUNDLED / "evaluation.json").read_text())
    assert report["command"].startswith("python -m real evaluate ")
    assert report["model"] == "bundled"
    card = (BUNDLED / "README.md").read_text()
    for variant in report["variants"]:
        assert table(variant) in card
    whole = json.loads((BUNDLED / "reconstruction.json").read_text())
    assert whole["model"] == "bundled"
    assert (whole["photos"], whole["crop"]) == (100, None)
    assert f"{whole['scores']['psnr_rgb']['mean']:.2f} dB" in card


def test_the_page_on_early_choice_says_what_the_evaluation_says() -> None:
    pairs = json.loads((BUNDLED / "evaluation.json").read_text())["variants"][0]["pairs"]
    early = next(pair["psnr_rgb"] for pair in pairs if pair["a"] == "kds_early")
    page = BUNDLED.parents[2] / "docs" / "how-to" / "models.md"
    assert f"{early['mean']:.3f} dB on average (p = {early['p']:.2f})" in page.read_text(encoding="utf-8")


def test_it_meets_what_the_project_asks_of_it() -> None:
    """KDS at the paper's cut-off, 100 photos: level with bicubic interpolation, 1 dB above a random particle."""
    report = json.loads((BUNDLED / "evaluation.json").read_text())
    assert report["settings"] | {"steps": 50, "particles": 10, "sampler": "ddim"} == report["settings"]
    variant = report["variants"][0]
    assert (report["photos"], variant["cutoff"]) == (100, 0.3)
    pairs = {(pair["a"], pair["b"]): pair for pair in variant["pairs"]}
    gain, bicubic = pairs["kds_choice", "ddim_mean"]["psnr_rgb"], pairs["kds_choice", "bicubic"]
    assert gain["mean"] >= 1.0
    assert gain["p"] < 0.01
    assert bicubic["psnr_rgb"]["mean"] >= -0.5
    assert bicubic["ssim_rgb"]["mean"] >= -0.02
    psnr = {name: scores["psnr_rgb"]["mean"] for name, scores in variant["methods"].items()}
    assert psnr["ddim_mean"] >= psnr["bicubic"] - 2.0
    whole = json.loads((BUNDLED / "reconstruction.json").read_text())
    assert whole["scores"]["psnr_rgb"]["mean"] >= 27.0
