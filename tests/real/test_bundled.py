"""The model that the package carries: its shape, its size, and that it restores a photo it has never seen."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from real.degrade import Degradation  # noqa: E402
from real.evaluate import reconstruct, table  # noqa: E402
from real.images import sample_photo  # noqa: E402
from real.metrics import distortion  # noqa: E402
from real.models import BUNDLED, SuperResolutionModel, load_model  # noqa: E402
from real.restore import compare  # noqa: E402
from real.sampling import Settings  # noqa: E402


@pytest.fixture(scope="module")
def model() -> SuperResolutionModel:
    return load_model()


def test_it_has_the_shape_of_ldm_sr(model: SuperResolutionModel) -> None:
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
    for stage in ("autoencoder", "unet"):
        assert record[stage]["command"].startswith(f"python -m real.train {stage} ")
        assert record[stage]["curve"][-1]["step"] == record[stage]["run"]["steps"]


def test_its_latents_have_the_scale_that_they_were_trained_to(model: SuperResolutionModel) -> None:
    trained_to = json.loads((BUNDLED / "training.json").read_text())["autoencoder"]["settings"]["latent_std"]
    x = torch.from_numpy(sample_photo()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        latents = model.vqvae.encode(x).latents
    assert 0.4 < float(latents.std()) / trained_to < 2  # of one photo, where all photos have 1


def test_it_restores_a_photo(model: SuperResolutionModel) -> None:
    """On a photo outside the training data, few steps: recognisable, below the autoencoder, particles that interact."""
    truth = np.ascontiguousarray(sample_photo()[32:128, 32:128])
    ceiling = distortion(reconstruct(model, truth), truth)["psnr_rgb"]
    low = Degradation()(truth, np.random.default_rng(0))
    result = compare(truth, low, model, Settings(particles=5, steps=10))
    scores = {name: s["psnr_rgb"] for name, s in result.scores.items()}
    assert ceiling > scores["kds_choice"] > 14  # noise as latents decodes to some 10 dB; the card says what it lacks
    assert scores["ddim_average"] > scores["ddim_mean"]
    assert max(row["effective_particles"] for row in result.trace) > 1.2


def test_the_model_card_says_what_the_evaluation_says() -> None:
    report = json.loads((BUNDLED / "evaluation.json").read_text())
    assert report["command"].startswith("python -m real evaluate ")
    assert report["model"] == "bundled"
    card = (BUNDLED / "README.md").read_text()
    for variant in report["variants"]:
        assert table(variant) in card
