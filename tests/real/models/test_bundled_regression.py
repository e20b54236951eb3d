"""The regression network that the package carries: small, in half precision, and better than bicubic interpolation."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from safetensors import safe_open  # noqa: E402

from real.degradations.simple import Degradation  # noqa: E402
from real.images.photos import sample_photo  # noqa: E402
from real.metrics.distortion import distortion  # noqa: E402
from real.models.regression import BUNDLED_REGRESSION, load_regression, regress  # noqa: E402
from real.restorers.compare import bicubic  # noqa: E402


def test_it_is_small_and_in_half_precision() -> None:
    file = BUNDLED_REGRESSION / "model.safetensors"
    assert file.stat().st_size < 2_000_000
    with safe_open(file, "pt") as weights:
        assert {weights.get_slice(k).get_dtype() for k in weights.keys()} == {"F16"}  # noqa: SIM118


def test_its_record_says_how_it_was_trained() -> None:
    record = json.loads((BUNDLED_REGRESSION / "training.json").read_text())
    assert record["command"].startswith("python -m real.train regression ")
    assert record["curve"][-1]["step"] == record["run"]["steps"]
    card = (BUNDLED_REGRESSION / "README.md").read_text(encoding="utf-8")
    assert f"{record['run']['steps']:,} steps" in card


@pytest.mark.parametrize("skip", [0.0, 1.0])
def test_it_is_better_than_bicubic_interpolation(skip: float) -> None:
    truth = np.ascontiguousarray(sample_photo()[:256, :256])
    low = Degradation(skip=skip)(truth, np.random.default_rng(0))
    images = (regress(load_regression(), low), bicubic(low))
    found, baseline = (distortion(image, truth)["psnr_rgb"] for image in images)
    assert found > baseline + 0.2


def test_its_card_says_what_the_evaluation_says() -> None:
    quality = json.loads((BUNDLED_REGRESSION.parent / "sr" / "evaluation.json").read_text())["quality"]
    card = (BUNDLED_REGRESSION / "README.md").read_text(encoding="utf-8")
    gain = quality["gains"]["mmse over bicubic"]
    assert f"{gain['mean']:+.2f} +- {gain['standard_error']:.2f} dB against bicubic interpolation" in card
