"""The prior on patches: committed, fitted, packed; and the photos that are measured."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from toy.mixture import GaussianMixture
from toy.posterior.degradations import degradations
from toy.posterior.photos import cut_crops, cut_patches, from_patches, load_photos, to_patches
from toy.posterior.prior import FITTED, PATCH, PatchPrior, fit_prior, load_prior, pack_prior, read_prior

Image = pytest.importorskip("PIL.Image", reason="comes with the extra toy")


def test_the_committed_prior_is_small_and_says_how_it_was_made() -> None:
    assert len(files("toy.posterior").joinpath(FITTED).read_bytes()) < 1_000_000
    prior = load_prior()
    assert str(prior.source["command"]).startswith("python -m toy prior --photos photos ")
    assert prior.mixture.n_components == 30


def test_its_units_are_those_of_unit_variance() -> None:
    prior = load_prior()
    assert abs(prior.mixture.mean().mean()) < 0.02
    pixel = np.diag(prior.mixture.covariance()).mean() + prior.mixture.mean().var()
    assert pixel == pytest.approx(1.0, abs=0.02)
    assert 0.4 < prior.offset < 0.5
    assert 0.2 < prior.scale < 0.3
    assert prior.to_grey(prior.to_units(np.array([0.0, 1.0]))).tolist() == pytest.approx([0.0, 1.0])


def test_it_knows_photos_from_noise() -> None:
    pytest.importorskip("skimage", reason="comes with the extra toy")
    prior = load_prior()
    rng = np.random.default_rng(0)
    patches = prior.to_units(cut_patches(load_photos(None), 400, size=PATCH, rng=rng))
    shuffled = rng.permuted(patches, axis=1)
    assert prior.mixture.log_density(patches).mean() > prior.mixture.log_density(shuffled).mean() + 50


def test_a_prior_survives_packing() -> None:
    root = np.random.default_rng(1).standard_normal((2, 64, 64))
    covariances = root @ root.swapaxes(1, 2) / 64 + 0.01 * np.eye(64)
    prior = PatchPrior(GaussianMixture(np.array([0.3, 0.7]), np.ones((2, 64)), covariances), 0.4, 0.2, {"seed": 3})
    back = read_prior(pack_prior(prior))
    assert (back.offset, back.scale, back.source) == (0.4, 0.2, {"seed": 3})
    np.testing.assert_allclose(back.mixture.covariances, covariances, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(back.mixture.weights, prior.mixture.weights, rtol=1e-6)
    with pytest.raises(ValueError, match="content must be a prior"):
        read_prior(b"not one")


def test_a_fit_finds_two_kinds_of_patches() -> None:
    pytest.importorskip("sklearn", reason="comes with the extra toy")
    rng = np.random.default_rng(2)
    dark, light = 0.2 + 0.01 * rng.standard_normal((300, 64)), 0.8 + 0.02 * rng.standard_normal((100, 64))
    prior = fit_prior(np.concatenate([dark, light]), n_components=2, seed=0, source={"photos": 2})
    order = prior.mixture.means[:, 0].argsort()
    np.testing.assert_allclose(prior.mixture.weights[order], [0.75, 0.25])
    np.testing.assert_allclose(prior.to_grey(prior.mixture.means[order]).mean(1), [0.2, 0.8], atol=0.002)
    with pytest.raises(ValueError, match="patches must be at least 20 for 2 components, got 5"):
        fit_prior(dark[:5], n_components=2)
    with pytest.raises(ValueError, match=r"patches must have shape \(n, 64\)"):
        fit_prior(dark[:, :60], n_components=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    for name, size in (("b.png", (40, 50)), ("a.jpg", (60, 34)), ("sub/c.png", (20, 90))):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no photo")
    return tmp_path


def test_photos_of_a_folder(folder: Path) -> None:
    photos = load_photos(folder)
    assert [photo.shape for photo in photos] == [(60, 34), (40, 50), (20, 90)]
    assert all(0 <= photo.min() < photo.max() <= 1 for photo in photos)
    crops = cut_crops(photos, 5, size=32, rng=np.random.default_rng(4))  # the low one is left out
    assert crops.shape == (5, 32, 32)
    windows = np.lib.stride_tricks.sliding_window_view(photos[0], (32, 32)).reshape(-1, 32, 32)
    assert any(np.array_equal(window, crops[0]) for window in windows)
    with pytest.raises(ValueError, match="photos must have at least 64 pixels on a side"):
        cut_crops(photos, 5, size=64, rng=np.random.default_rng(5))


def test_grey_is_luma(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8, 3), (255, 0, 0), dtype=np.uint8)).save(tmp_path / "red.png")
    np.testing.assert_allclose(load_photos(tmp_path)[0], 0.299)


def test_folders_without_photos(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "missing", "photos must be a folder"), (tmp_path, "photos must hold")):
        with pytest.raises(ValueError, match=message):
            load_photos(path)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"photos must be readable pictures, got 'broken\.jpg'"):
        load_photos(tmp_path)


def test_patches_go_back_where_they_were() -> None:
    crops = np.random.default_rng(6).random((3, 32, 32))
    patches = to_patches(crops, 8)
    assert patches.shape == (3, 16, 64)
    assert np.array_equal(patches[1, 6].reshape(8, 8), crops[1, 8:16, 16:24])
    assert np.array_equal(from_patches(patches, 8), crops)
    with pytest.raises(ValueError, match="crops must have a multiple of 8 pixels on a side, got 30"):
        to_patches(crops[:, :30, :30], 8)


def test_what_the_degradations_measure() -> None:
    patch = np.random.default_rng(7).random((1, 64))
    image = patch.reshape(8, 8)
    average, hole, noise = degradations().values()
    np.testing.assert_allclose(
        patch @ average.operator.T, image.reshape(2, 4, 2, 4).mean((1, 3)).reshape(1, 4), rtol=1e-12
    )
    seen = np.ones((8, 8), dtype=bool)
    seen[2:6, 2:6] = False
    assert np.array_equal((patch @ hole.operator.T)[0], image[seen])
    y = noise.measure(np.zeros((5000, 64)), np.random.default_rng(8))
    assert y.std() == pytest.approx(0.5, rel=0.01)
    np.testing.assert_allclose(noise.noise_covariance, 0.25 * np.eye(64))
