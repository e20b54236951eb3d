"""JAX's arrays go through the same code: plain, compiled, mapped and differentiated. Skipped without JAX."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import kds_ref as k

jax = pytest.importorskip("jax")
jnp = jax.numpy
X = np.random.default_rng(0).normal(size=(5, 2, 4, 4)).astype(np.float32)


def steered(x: Any, **options: Any) -> Any:
    return k.steer(x, **({"bandwidth": 0.5} | options))[0]


@pytest.mark.parametrize("bandwidth", [0.5, "median", "scott", "silverman", "likelihood"])
@pytest.mark.parametrize("compiled", [False, True])
def test_steer_gives_the_numbers_of_numpy(bandwidth: float | str, compiled: bool) -> None:
    def function(x: Any) -> Any:
        return steered(x, bandwidth=bandwidth)

    out = (jax.jit(function) if compiled else function)(jnp.asarray(X))
    assert isinstance(out, jax.Array)
    assert out.dtype == jnp.float32
    np.testing.assert_allclose(np.asarray(out), steered(X, bandwidth=bandwidth), rtol=1e-5, atol=1e-5)
    assert np.abs(np.asarray(out) - X).max() > 0.01


def test_vmap_keeps_ensembles_apart() -> None:
    both = jax.vmap(steered)(jnp.stack([X, 2.0 * X]))
    np.testing.assert_allclose(np.asarray(both[1]), steered(2.0 * X), rtol=1e-5, atol=1e-5)


def test_gradients_pass() -> None:
    gradient = jax.grad(lambda x: (steered(x) ** 2).sum())(jnp.asarray(X))
    direction, step = np.random.default_rng(1).normal(size=X.shape), 1e-5
    ends = [(steered(X.astype(np.float64) + s * step * direction) ** 2).sum() for s in (1.0, -1.0)]
    assert float((np.asarray(gradient) * direction).sum()) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-3)


def test_a_sampler_and_the_choice() -> None:
    options: dict[str, Any] = {"schedule": k.linear_schedule(), "timesteps": k.time_grid(5)}
    options["steering"] = k.KernelDensitySteering(bandwidth=0.5)
    end = k.ddim(lambda x, t: 0.4 * x, jnp.asarray(X), **options).x0
    expected = k.ddim(lambda x, t: 0.4 * x, X, **options).x0
    np.testing.assert_allclose(np.asarray(end), expected, rtol=1e-4, atol=1e-4)
    assert int(k.select_particle(end)) == int(k.select_particle(expected))


@pytest.mark.parametrize("compiled", [False, True])
def test_a_steered_denoiser(compiled: bool) -> None:
    denoiser = k.SteeredDenoiser(lambda x, sigma: x / (1.0 + sigma * sigma), cutoff_sigma=0.1, bandwidth=0.5)
    function = jax.jit(denoiser, static_argnums=1) if compiled else denoiser
    np.testing.assert_allclose(np.asarray(function(jnp.asarray(X), 0.7)), denoiser(X, 0.7), rtol=1e-5, atol=1e-5)
    if not compiled:
        rows = denoiser(jnp.asarray(X), jnp.full((5, 1, 1, 1), 0.7))
        assert jnp.array_equal(rows, denoiser(jnp.asarray(X), jnp.float32(0.7)))


def test_a_level_that_a_compiler_hides_is_refused_in_one_sentence() -> None:
    denoiser = k.SteeredDenoiser(lambda x, sigma: x, cutoff_sigma=0.1)
    with pytest.raises(TypeError, match="sigma must be a Python number where a compiler hides"):
        jax.jit(denoiser)(jnp.asarray(X), 0.7)


def test_the_core_does_not_import_jax() -> None:
    code = "import sys, numpy, kds_ref; kds_ref.steer(numpy.zeros((2, 1, 2, 2))); print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "False"
