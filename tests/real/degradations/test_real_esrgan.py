"""The second-order degradation: kernels, ranges, determinism, and the table of its parameters."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare

pytest.importorskip("torch")
from real.degradations.kernels import gaussian_kernel, plateau_kernel, sinc_kernel
from real.degradations.real_esrgan import FILTERS, PRESETS, SecondOrderDegradation

NAMES = sorted(PRESETS)


def draws(name: str, count: int = 4000) -> list:
    rng = np.random.default_rng(0)
    return [PRESETS[name].draw(rng) for _ in range(count)]


# ---- kernels


@pytest.mark.parametrize("kernel", [gaussian_kernel, plateau_kernel])
def test_kernels_are_normalised_and_turn(kernel) -> None:
    upright = kernel(15, sigma=(3.0, 1.0), beta=1.3)
    turned = kernel(15, sigma=(3.0, 1.0), angle=math.pi / 2, beta=1.3)
    assert upright.shape == (15, 15)
    assert upright.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(turned, upright.T, atol=1e-15)
    assert upright[7, 10] > upright[10, 7]  # wide along x
    np.testing.assert_allclose(upright, upright[::-1, ::-1], atol=1e-15)


def test_a_gaussian_kernel_has_its_standard_deviations() -> None:
    kernel, axis = gaussian_kernel(41, sigma=(3.0, 1.5), angle=0.4), np.arange(41) - 20
    x, y = np.meshgrid(axis, axis)
    covariance = [[(kernel * a * b).sum() for a in (x, y)] for b in (x, y)]
    c, s = math.cos(0.4), math.sin(0.4)
    turn = np.array([[c, -s], [s, c]])
    np.testing.assert_allclose(covariance, turn @ np.diag([9.0, 2.25]) @ turn.T, rtol=1e-3)


def test_a_sinc_kernel_passes_low_frequencies_only() -> None:
    response = np.abs(np.fft.fft2(sinc_kernel(61, cutoff=math.pi / 2), s=(256, 256)))
    frequency = np.hypot(*np.meshgrid(*[2 * np.pi * np.fft.fftfreq(256)] * 2))
    assert response[frequency < 0.8 * math.pi / 2].min() > 0.8
    assert response[frequency > 1.2 * math.pi / 2].max() < 0.2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian_kernel(8, sigma=(1.0, 1.0)), "size must be an odd number of pixels, got 8"),
        (lambda: gaussian_kernel(7, sigma=(1.0, 0.0)), "sigma must be two positive numbers, got"),
        (lambda: sinc_kernel(7, cutoff=4.0), "cutoff must be .*, got 4.0"),
    ],
)
def test_wrong_kernels_are_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# ---- what is drawn

TABLE = {  # Real-ESRGAN x4plus; StableSR
    "resize": (((0.2, 0.7, 0.1), (0.3, 0.4, 0.3)), ((0.2, 0.7, 0.1), (0.3, 0.4, 0.3))),
    "scale": (((0.15, 1.5), (0.3, 1.2)), ((0.3, 1.5), (0.6, 1.2))),
    "gaussian": ((0.5, 0.5), (0.5, 0.5)),
    "sigma": (((1, 30), (1, 25)), ((1, 15), (1, 12))),
    "poisson": (((0.05, 3), (0.05, 2.5)), ((0.05, 2), (0.05, 1))),
    "grey": ((0.4, 0.4), (0.4, 0.4)),
    "jpeg": (((30, 95), (30, 95)), ((60, 95), (60, 100))),
    "blur": ((1.0, 0.8), (1.0, 0.5)),
    "blur_sigma": (((0.2, 3), (0.2, 1.5)), ((0.2, 1.5), (0.2, 1.0))),
    "largest_kernel": ((21, 21), (21, 11)),
    "sinc": ((0.1, 0.1), (0.1, 0.1)),
    "betag": (((0.5, 4), (0.5, 4)), ((0.5, 2), (0.5, 2))),
    "betap": (((1, 2), (1, 2)), ((1, 1.5), (1, 1.5))),
}


@pytest.mark.parametrize("index", [0, 1])
def test_the_presets_are_the_published_ones(index: int) -> None:
    preset = PRESETS[("real-esrgan", "stable-sr")[index]]
    assert preset.final_sinc == 0.8
    assert set(vars(preset.first)) == set(TABLE)
    for name, values in TABLE.items():
        assert (getattr(preset.first, name), getattr(preset.second, name)) == values[index], name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("part", ["first", "second"])
def test_draws_have_the_ranges_and_shares_of_the_table(name: str, part: str) -> None:
    stage = getattr(PRESETS[name], part)
    drawn = [getattr(d, part) for d in draws(name)]
    scales = np.array([d.scale for d in drawn])
    assert stage.scale[0] <= scales.min() < stage.scale[0] + 0.02
    assert stage.scale[1] - 0.02 < scales.max() <= stage.scale[1]
    counts = [(scales > 1).sum(), (scales < 1).sum(), (scales == 1).sum()]
    assert chisquare(counts, np.array(stage.resize) * len(drawn)).pvalue > 1e-3
    for kind, (low, high) in (("gaussian", stage.sigma), ("poisson", stage.poisson)):
        levels = [d.noise_level for d in drawn if d.noise == kind]
        assert abs(len(levels) / len(drawn) - 0.5) < 0.04
        assert low <= min(levels) < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < max(levels) <= high
    assert abs(np.mean([d.grey for d in drawn]) - stage.grey) < 0.04
    assert (min(d.jpeg for d in drawn), max(d.jpeg for d in drawn)) == stage.jpeg
    assert abs(np.mean([d.kernel is not None for d in drawn]) - stage.blur) < 0.04
    sizes = {len(d.kernel) for d in drawn if d.kernel is not None}
    assert sizes == set(range(7, stage.largest_kernel + 1, 2))
    rings = np.mean([d.kernel.min() < 0 for d in drawn if d.kernel is not None])
    assert abs(rings - stage.sinc) < 0.04
    assert {d.resample for d in drawn} == set(FILTERS)


@pytest.mark.parametrize("name", NAMES)
def test_the_end_is_drawn_too(name: str) -> None:
    drawn = draws(name)
    assert abs(np.mean([d.final_kernel is not None for d in drawn]) - 0.8) < 0.04
    assert abs(np.mean([d.sinc_first for d in drawn]) - 0.5) < 0.04
    assert {len(d.final_kernel) for d in drawn if d.final_kernel is not None} == set(range(7, 22, 2))


def test_the_ranges_of_one_stage_leave_the_other_alone() -> None:
    one = PRESETS["stable-sr"]
    other = replace(one, first=replace(one.first, sigma=(20.0, 30.0), scale=(0.5, 1.1), largest_kernel=9, blur=0.1))
    a, b = (degradation.draw(np.random.default_rng(3)) for degradation in (one, other))
    assert a.first.scale != b.first.scale
    assert (a.second.scale, a.second.jpeg, a.second.noise_seed) == (b.second.scale, b.second.jpeg, b.second.noise_seed)
    assert (a.sinc_first, a.final_resample) == (b.sinc_first, b.final_resample)


# ---- what is done


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_photo(name: str, photo: np.ndarray) -> None:
    before = photo.copy()
    one, same, other = (PRESETS[name](photo, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.dtype == np.uint8
    assert one.shape == (photo.shape[0] // 4, photo.shape[1] // 4, 3)
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert np.array_equal(photo, before)


@pytest.mark.parametrize("name", NAMES)
def test_every_draw_can_be_applied_and_keeps_the_content(name: str, photo: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    reduced = photo.reshape(photo.shape[0] // 4, 4, photo.shape[1] // 4, 4, 3).mean((1, 3))
    correlations = [np.corrcoef(reduced.ravel(), PRESETS[name](photo, rng).ravel())[0, 1] for _ in range(40)]
    assert min(correlations) > 0.3
    assert np.median(correlations) > 0.8


def test_without_noise_and_blur_only_the_reduction_is_left() -> None:
    y, x = np.meshgrid(np.linspace(20, 200, 64), np.linspace(0, 6, 80), indexing="ij")
    smooth = np.stack([y, 120 + 60 * np.sin(x), 220 - y], axis=-1).round().astype(np.uint8)
    one = PRESETS["stable-sr"]
    clean = {"blur": 0.0, "sigma": (0.0, 0.0), "poisson": (0.0, 0.0), "resize": (0.0, 0.0, 1.0)}
    gentle = SecondOrderDegradation(
        replace(one.first, jpeg=(95, 95), **clean), replace(one.second, jpeg=(100, 100), **clean), final_sinc=0.0
    )
    reduced = smooth.reshape(16, 4, 20, 4, 3).mean((1, 3))
    rng = np.random.default_rng(0)
    assert max(np.abs(gentle(smooth, rng) - reduced).mean() for _ in range(20)) < 4.0  # of 255


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize(("noise", "level"), [("gaussian", 20.0), ("poisson", 2.0)])
def test_noise_is_as_strong_and_as_grey_as_drawn(grey: bool, noise: str, level: float) -> None:
    from real.degradations.real_esrgan import _noisy

    draw = PRESETS["stable-sr"].draw(np.random.default_rng(0)).first
    draw = replace(draw, noise=noise, noise_level=level, grey=grey, noise_seed=5)
    image = np.full((64, 64, 3), 128 / 255)
    added = _noisy(image, draw) - image
    # Poisson: a flat image has one value, so two levels: noise of variance (image / 2), times the scale
    expected = level / 255 if noise == "gaussian" else level * math.sqrt(128 / 255 / 2)
    unclipped = np.abs(added) < 127 / 255 - 1e-9
    if noise == "gaussian":
        assert added.std() == pytest.approx(expected, rel=0.03)
    else:
        assert 0.1 < added.std() < expected  # most of it is clipped
        assert unclipped.mean() < 0.7
    assert np.allclose(added[..., 0], added[..., 1]) == grey


@pytest.mark.parametrize("shape", [(4, 4, 3), (8, 64, 3)])
def test_tiny_photos_work(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(256, size=shape, dtype=np.uint8)
    for name in NAMES:
        for _ in range(20):
            assert PRESETS[name](truth, rng).shape == (shape[0] // 4, shape[1] // 4, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": (0.5, 0.6)}, "scale must have low <= 1"),
        ({"sigma": (3.0, 1.0)}, r"sigma must have .*, got \(3.0, 1.0\)"),
        ({"jpeg": (0, 95)}, "jpeg must have 1 <= low"),
        ({"betag": (1.5, 2.0)}, "betag must have low <= 1"),
        ({"blur": 1.5}, "blur must be a probability .*, got 1.5"),
        ({"resize": (0.5, 0.4, 0.2)}, "resize must be three probabilities"),
        ({"largest_kernel": 8}, "largest_kernel must be an odd number .*, got 8"),
    ],
)
def test_ranges_that_cannot_be_drawn_from_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PRESETS["stable-sr"].first, **change)


def test_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"truth must be uint8 .*, got float64"):
        PRESETS["stable-sr"](np.zeros((8, 8, 3)), np.random.default_rng(0))
    with pytest.raises(ValueError, match="multiples of 4"):
        PRESETS["stable-sr"](np.zeros((8, 9, 3), np.uint8), np.random.default_rng(0))
