"""The fast order of `_fast_shift` gives the mean shift of the plain formula, which stays its reference."""

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kds_ref import Kernel, _fast_shift, mean_shift, steer
from kds_ref._distances import Problem
from kds_ref.kernels import GAUSSIAN, KERNELS, get_kernel
from kds_ref.mean_shift import plain_shift

Z = np.random.default_rng(0).normal(size=(6, 3, 8, 9)) * 0.4
MODULE = sys.modules["kds_ref.mean_shift"]  # as an attribute of the package the name is the function's


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every problem that suits goes by pairs however small, in blocks of a few locations; what went is listed."""
    return force_fast_shift(monkeypatch)


def force_fast_shift(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []

    def counted(problem: Problem, kernel: Kernel) -> Any:
        calls.append(1)
        return _fast_shift.shift_by_pairs(problem, kernel)

    monkeypatch.setattr(_fast_shift, "_FEWEST_LOCATIONS", 1)
    monkeypatch.setattr(_fast_shift, "_FEWEST_NUMBERS", 1)
    monkeypatch.setattr(_fast_shift, "_BLOCK", 150)
    monkeypatch.setattr(MODULE, "shift_by_pairs", counted)
    return calls


def plainly(monkeypatch: pytest.MonkeyPatch, z: Any, **options: Any) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(MODULE, "suits_pairs", lambda problem, kernel: False)
        return steer(z, **options)


def assert_same(ours: Any, plain: Any, tolerance: float) -> None:
    for a, b in zip((ours[0], *ours[1]), (plain[0], *plain[1]), strict=True):
        assert type(a) is type(b)
        if type(a) is not float:
            assert a.dtype == b.dtype
            assert tuple(a.shape) == tuple(b.shape)
            a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


LIBRARIES = [("numpy", "float32"), ("numpy", "float64"), ("torch", "float32"), ("torch", "float64")]


@given(
    library=st.sampled_from(LIBRARIES),
    kernel=st.sampled_from(sorted(KERNELS)),
    patching=st.sampled_from([(1, None), (2, None), (2, 1), (3, 2), (None, None)]),
    form=st.sampled_from(["number", "per ensemble", "per location", "median", "scott"]),
    shape=st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    scaled=st.booleans(),
    size=st.sampled_from([1e-3, 1.0, 1e3]),
    seed=st.integers(0, 999),
)
def test_pairs_equal_the_plain_formula(
    library: tuple[str, str],
    kernel: str,
    patching: tuple[int | None, int | None],
    form: str,
    shape: tuple[int, ...],
    scaled: bool,
    size: float,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    name, dtype = library
    xp = pytest.importorskip(name)
    images, *sample = shape
    lead = (images,) * (images > 0)
    z = (rng.normal(size=(*lead, *sample)) * size).astype(dtype)
    patch_size, stride = patching
    locations = 1
    if patch_size is not None:
        counts = [1 + -(-max(n - patch_size, 0) // (stride or patch_size)) for n in sample[2:]]
        locations = counts[0] * counts[1]
    h: Any = {
        "number": 1.3 * size,
        "per ensemble": (rng.uniform(0.5, 3.0, size=lead) * size).astype(dtype),
        "per location": (rng.uniform(0.5, 3.0, size=(*lead, locations)) * size).astype(dtype),
    }.get(form, form)
    if name == "torch":
        z, h = xp.from_numpy(z), xp.asarray(h) if isinstance(h, np.ndarray) else h
    options = {"bandwidth": h, "strength": 0.7, "patch_size": patch_size, "stride": stride, "kernel": kernel}
    options |= {"scale_with_dimension": scaled, "sample_ndim": 3}
    with pytest.MonkeyPatch.context() as monkeypatch:
        calls = force_fast_shift(monkeypatch)
        ours = steer(z, **options)
        assert calls
        plain = plainly(monkeypatch, z, **options)
        assert len(calls) == 1
    # A compact kernel's weight near its edge is the root of a cancellation: 1 - u.
    assert_same(ours, plain, (2e-4 if dtype == "float32" else 1e-11) * max(size, 1.0))


def test_pairs_equal_the_oracle(taken: list[int], oracle: Any) -> None:
    np.testing.assert_allclose(steer(Z, bandwidth=0.5, strength=0.7)[0], oracle.steer(Z, 0.5, 0.7), rtol=1e-12)
    assert taken


def test_every_block_has_the_bandwidths_of_its_locations(taken: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    z = np.stack([Z, 2.0 * Z])
    for shape in ((2,), (1, 72), (2, 72)):
        h = np.random.default_rng(3).uniform(0.5, 2.0, size=shape)
        assert_same(steer(z, bandwidth=h), plainly(monkeypatch, z, bandwidth=h), 1e-11)
    assert len(taken) == 3


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_large_latents_go_by_pairs_and_small_ones_do_not(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    xp = pytest.importorskip(library)
    calls = force_fast_shift(monkeypatch)
    monkeypatch.undo()
    monkeypatch.setattr(MODULE, "shift_by_pairs", lambda p, k: calls.append(1) or plain_shift(p, k))
    steer(xp.zeros((10, 8, 64, 64)))
    assert len(calls) == 1
    steer(xp.zeros((10, 8, 5, 5)))
    steer(xp.zeros((1000, 2)), patch_size=None)
    assert len(calls) == 1


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", [name for name in KERNELS if name != "l2"])
def test_no_shift_is_no_change_in_a_single_bit(taken: list[int], library: str, dtype: str, kernel: str) -> None:
    xp = pytest.importorskip(library)
    z = Z.astype(dtype)
    z[0, 0] = -0.0
    z[3] = z[2]  # copies pull each other nowhere, and nothing else has weight
    z[4] = z[2]
    for x, h in ((z, 1e-6), (np.repeat(z[:1], 5, axis=0), 0.3), (z[:1], 0.3)):
        steered, info = steer(xp.asarray(x), bandwidth=h, strength=1.0, kernel=kernel)
        assert np.asarray(steered).tobytes() == x.tobytes()
        assert float(info.shift_norm.max()) == 0.0
    assert len(taken) == 3


@pytest.mark.parametrize("kernel", KERNELS)
def test_distances_that_overflow_are_far(taken: list[int], kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    z = np.zeros((3, 1, 2, 2), dtype=np.float32)
    z[1], z[2] = 3.0, 1e15
    for h in (1e-30, 1e-3, 1.0, 1e30):
        ours = steer(z, bandwidth=h, kernel=kernel)
        assert_same(ours, plainly(monkeypatch, z, bandwidth=h, kernel=kernel), 1e-6)
    assert len(taken) == 4


def test_half_precision_is_float32_rounded(taken: list[int]) -> None:
    torch = pytest.importorskip("torch")
    for dtype in (torch.float16, torch.bfloat16):
        z = torch.from_numpy(Z).to(dtype)
        ours, wide = steer(z), steer(z.float())
        assert torch.equal(ours[0], wide[0].to(dtype))
        assert torch.equal(ours[1].effective_particles, wide[1].effective_particles.to(dtype))
    assert len(taken) == 4


def test_inputs_are_not_written_to(taken: list[int]) -> None:
    z = Z.copy()
    z.setflags(write=False)
    particles = np.moveaxis(Z.reshape(6, 3, 72), -1, 0)
    before = particles.copy()
    steer(z)
    mean_shift(particles, particles, bandwidth=0.3)
    assert len(taken) == 2
    np.testing.assert_array_equal(particles, before)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch.func.jvp's own
def test_what_cannot_be_written_into_takes_the_plain_formula(taken: list[int]) -> None:
    torch = pytest.importorskip("torch")
    z = torch.from_numpy(Z)

    def steered(x: Any) -> Any:
        return steer(x, bandwidth=0.9)[0]

    tangent = torch.from_numpy(np.random.default_rng(1).normal(size=Z.shape))
    _, slope = torch.func.jvp(steered, (z,), (tangent,))
    with torch.autograd.forward_ad.dual_level():
        dual = steered(torch.autograd.forward_ad.make_dual(z, tangent))
        torch.testing.assert_close(torch.autograd.forward_ad.unpack_dual(dual).tangent, slope)
    by_step = (steered(z + 1e-6 * tangent) - steered(z - 1e-6 * tangent)) / 2e-6
    assert len(taken) == 2
    torch.testing.assert_close(slope, by_step, rtol=1e-6, atol=1e-8)
    (gradient,) = torch.autograd.grad(steered(z.requires_grad_()).sum(), z)
    z = z.detach()
    torch.testing.assert_close(gradient, torch.func.grad(lambda x: steered(x).sum())(z))
    torch.testing.assert_close(torch.func.vmap(steered)(torch.stack([z, 2.0 * z]))[0], plain_by_own_kernel(z))
    strict = pytest.importorskip("array_api_strict")
    steer(strict.asarray(Z), bandwidth=0.9)
    steer(np.ma.masked_array(Z).data.view(type("Sub", (np.ndarray,), {})), bandwidth=0.9)
    assert len(taken) == 2


def test_a_compiler_at_work_takes_the_plain_formula(taken: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    z = torch.from_numpy(Z)
    steer(z)
    assert len(taken) == 1
    monkeypatch.setattr(_fast_shift, "is_compiling", lambda xp: xp.__name__.endswith("torch"))
    steer(z)
    assert len(taken) == 1


def plain_by_own_kernel(z: Any) -> Any:
    """A kernel that is not one of the package takes the plain formula: it may rise with the distance."""
    return steer(z, bandwidth=0.9, kernel=Kernel("own", GAUSSIAN.log_profile))[0]


def test_a_kernel_that_rises_takes_the_plain_formula(taken: list[int]) -> None:
    steered, _ = steer(Z, bandwidth=1.0, kernel=Kernel("ring", lambda u: 500.0 * u))
    assert np.all(np.isfinite(steered))
    assert not taken


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_falls_from_one(kernel: str) -> None:
    # what lets pairs leave out the search for the largest weight
    log_weights = get_kernel(kernel).log_profile(np.linspace(0.0, 9.0, 200))
    assert log_weights[0] == 0.0
    assert np.all(log_weights[1:] <= log_weights[:-1])


def test_queries_that_are_other_points_take_the_plain_formula(taken: list[int]) -> None:
    particles = np.moveaxis(Z.reshape(6, 3, 72), -1, 0)
    other = mean_shift(particles.copy(), particles, bandwidth=0.5)
    assert not taken
    np.testing.assert_allclose(mean_shift(particles, particles, bandwidth=0.5), other, rtol=1e-10, atol=1e-13)
    assert len(taken) == 1
