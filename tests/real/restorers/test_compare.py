"""The comparison scores what its rows say: the chosen particle is the chosen one, not the first."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import real.restorers.latent  # noqa: E402
from real.degradations.simple import Degradation  # noqa: E402
from real.metrics.distortion import distortion  # noqa: E402
from real.models.codec import decode  # noqa: E402
from real.models.latent import LatentModel  # noqa: E402
from real.restorers.compare import bicubic, compare, plain_comparison  # noqa: E402
from real.restorers.latent import LatentSuperResolution  # noqa: E402
from real.sampling import Particles  # noqa: E402
from real.settings import Settings  # noqa: E402


def test_each_row_is_what_it_says(tiny: LatentModel, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    latents = torch.randn(3, 3, 16, 20, generator=torch.Generator().manual_seed(0))
    images = list(decode(tiny, latents, height=64, width=80))
    psnr = [distortion(image, photo)["psnr_rgb"] for image in images]
    assert len(set(psnr)) == 3
    low = Degradation()(photo, np.random.default_rng(0))
    for chosen in (1, 2):
        ensembles = {False: Particles(latents, chosen, 1), True: Particles(latents.flip(0), 2 - chosen, 1)}
        monkeypatch.setattr(real.restorers.latent, "sample", lambda *_, steered=True, e=ensembles, **__: e[steered])
        restorer, settings = LatentSuperResolution(low, tiny), Settings(particles=3, steps=1)
        baselines = {"bicubic": bicubic(low)}
        plain = plain_comparison(restorer, photo, settings, score=distortion, baselines=baselines)
        result = compare(restorer, photo, settings, plain=plain, score=distortion)
        scores = {name: s["psnr_rgb"] for name, s in result.scores.items()}
        assert scores["ddim_one"] == psnr[0]
        assert result.chosen == {"ddim": chosen, "kds": 2 - chosen}
        for name in ("ddim", "kds"):  # the same particles, in another order
            assert scores[f"{name}_choice"] == psnr[chosen]
            assert scores[f"{name}_worst"] == min(psnr)
            assert scores[f"{name}_mean"] == pytest.approx(np.mean(psnr))
            assert np.array_equal(result.images[f"{name}_choice"], images[chosen])
            assert np.abs(result.images[f"{name}_average"] - np.mean(images, axis=0)).max() <= 0.5
        assert "kds_one" in result.images
        assert "kds_choice" not in plain.scores
