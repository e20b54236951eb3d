"""The comparison scores what its rows say: the chosen particle is the chosen one, not the first."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from real.degrade import Degradation  # noqa: E402
from real.metrics import distortion  # noqa: E402
from real.models import SuperResolutionModel  # noqa: E402
from real.restore import compare  # noqa: E402
from real.sampling import Particles, Settings, decode  # noqa: E402


def test_each_row_is_what_it_says(tiny: SuperResolutionModel, photo: np.ndarray) -> None:
    latents = torch.randn(3, 3, 16, 20, generator=torch.Generator().manual_seed(0))
    images = [decode(tiny, z, height=64, width=80) for z in latents]
    psnr = [distortion(image, photo)["psnr_rgb"] for image in images]
    assert len(set(psnr)) == 3
    low = Degradation()(photo, np.random.default_rng(0))
    for chosen in (1, 2):
        plain = Particles(latents, chosen=chosen, evaluations=1)
        result = compare(photo, low, tiny, Settings(particles=3, steps=1), plain=plain)
        scores = {name: s["psnr_rgb"] for name, s in result.scores.items()}
        assert scores["ddim_one"] == psnr[0]
        assert scores["ddim_choice"] == psnr[chosen]
        assert scores["ddim_worst"] == min(psnr)
        assert scores["ddim_mean"] == pytest.approx(np.mean(psnr))
        assert np.array_equal(result.images["ddim_choice"], images[chosen])
        assert np.abs(result.images["ddim_average"] - np.mean(images, axis=0)).max() <= 0.5
