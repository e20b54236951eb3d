"""torch and JAX as more than array libraries: gradients, compilation, vectorised maps.

That half precision gives the float32 answer rounded is in `test_precision`.
"""

import shutil
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from kds_ref import (
    KernelDensitySteering,
    add_noise,
    ddim,
    linear_schedule,
    log_density,
    log_density_gradient,
    mean_shift,
    predict_x0,
    seek_modes,
    steer,
    steering_strength,
    time_grid,
)

torch = pytest.importorskip("torch")


def points(seed: int, *shape: int) -> Any:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def steered(z: Any) -> Any:
    return steer(z, bandwidth=0.9, strength=0.7)[0]


# ---- gradients


@pytest.mark.parametrize("patch_size", [1, 2, None])
def test_gradients_pass_through_steering(patch_size: int | None) -> None:
    def function(z: Any) -> Any:
        return steer(z, bandwidth=0.9, strength=0.7, patch_size=patch_size)[0]

    assert torch.autograd.gradcheck(function, (points(0, 3, 2, 2, 3).requires_grad_(),))


@pytest.mark.parametrize("function", [mean_shift, log_density, log_density_gradient])
def test_gradients_pass_to_queries_and_particles(function: Callable[..., Any]) -> None:
    query, particles = points(1, 4, 3).requires_grad_(), points(2, 5, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda q, p: function(q, p, bandwidth=0.9), (query, particles))


def test_the_gradient_of_the_density_is_its_gradient() -> None:
    query, particles = points(1, 4, 3).requires_grad_(), points(2, 5, 3)
    (slope,) = torch.autograd.grad(log_density(query, particles, bandwidth=0.9).sum(), query)
    torch.testing.assert_close(slope, log_density_gradient(query.detach(), particles, bandwidth=0.9))


def test_equal_particles_do_not_move_but_have_a_gradient() -> None:
    # two particles at one place, strength d: x_1 + d/2 (x_2 - x_1), whose slopes are 1 - d/2 and d/2
    z = torch.full((2, 1, 1, 1), 0.5, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(steered, z).reshape(2, 2)
    expected = torch.tensor([[0.65, 0.35], [0.35, 0.65]], dtype=torch.float64)
    torch.testing.assert_close(jacobian, expected)
    assert torch.equal(steered(z), z)


def test_the_norm_of_no_shift_has_a_gradient_too() -> None:
    z = torch.full((3, 1, 2, 2), 0.5, dtype=torch.float64)
    z[:, :, 0, 0] += torch.tensor([0.0, 0.1, 0.3], dtype=torch.float64)[:, None]
    z.requires_grad_()
    steer(z, bandwidth=0.9)[1].shift_norm.sum().backward()
    assert bool((z.grad[:, :, 0, 0] != 0.0).all())
    assert not bool(z.grad[:, :, 1].any())


# ---- transformations


def test_vmap_is_the_loop() -> None:
    z = points(3, 4, 5, 2, 3, 3)
    torch.testing.assert_close(torch.func.vmap(steered)(z), steered(z))
    query, particles = points(4, 4, 6, 2), points(5, 4, 7, 2)
    for function in (mean_shift, log_density, log_density_gradient):
        mapped = torch.func.vmap(lambda q, p, f=function: f(q, p, bandwidth=0.8))(query, particles)
        torch.testing.assert_close(mapped, function(query, particles, bandwidth=0.8))
    levels = torch.rand(4, 5, 1, dtype=torch.float64) * 0.9 + 0.05
    for function in (add_noise, predict_x0):
        mapped = torch.func.vmap(function)(z[..., 0, 0], z[..., 1, 1], levels)
        torch.testing.assert_close(mapped, function(z[..., 0, 0], z[..., 1, 1], levels))


def test_jacobians_by_vmap_equal_those_by_autograd() -> None:
    z = points(6, 3, 1, 2, 2)
    by_vmap = torch.func.jacrev(steered)(z)
    torch.testing.assert_close(by_vmap, torch.autograd.functional.jacobian(steered, z))


NEEDS_COMPILER = pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs g++ for the CPU")


@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=[pytest.mark.slow, NEEDS_COMPILER])])
def test_steering_is_one_graph_for_the_compiler(backend: str) -> None:
    z = points(7, 5, 2, 4, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Dynamo, about the caches of array-api-compat
        compiled = torch.compile(steered, fullgraph=True, backend=backend)
        torch.testing.assert_close(compiled(z), steered(z), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "options",
    [
        {"bandwidth": 0.4, "patch_size": 2, "scale_with_dimension": True},
        {"bandwidth": 0.4, "patch_size": 3, "scale_with_dimension": True},  # 4 pixels: patches of unlike sizes
        {"bandwidth": 0.9, "patch_size": 3, "stride": 1, "kernel": "laplacian"},
        {"bandwidth": "scott", "patch_size": None, "sample_ndim": 3},
    ],
)
def test_every_option_is_one_graph_for_the_compiler(options: dict[str, Any]) -> None:
    z = points(12, 5, 2, 4, 4)
    torch.compiler.reset()  # or it generalises from the last case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Dynamo, about the caches of array-api-compat
        compiled = torch.compile(lambda x: steer(x, **options), fullgraph=True, backend="eager")
        (moved, info), (expected, expected_info) = compiled(z), steer(z, **options)
    torch.testing.assert_close(moved, expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(info.shift_norm, expected_info.shift_norm, rtol=1e-12, atol=1e-13)


def test_a_compiled_function_takes_other_bandwidths() -> None:
    z, q = points(13, 5, 2, 4, 4), points(14, 6, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        by_pairs = torch.compile(lambda x, h: steer(x, bandwidth=h)[0], fullgraph=True, backend="eager")
        plainly = torch.compile(lambda x, h: mean_shift(x, x, bandwidth=h), fullgraph=True, backend="eager")
        for h in (0.4, 0.9, 3.0):
            torch.testing.assert_close(by_pairs(z, h), steer(z, bandwidth=h)[0], rtol=1e-12, atol=1e-13)
            torch.testing.assert_close(plainly(q, h), mean_shift(q, q, bandwidth=h), rtol=1e-12, atol=1e-13)


def test_a_run_is_one_graph_for_the_compiler() -> None:
    graphs: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    options = {"schedule": linear_schedule(), "timesteps": time_grid(20), "prediction_type": "sample"}
    plain = KernelDensitySteering(cutoff=0.0, bandwidth=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = torch.compile(steer, fullgraph=True, backend=backend)
        by_step = ddim(
            lambda x, t: torch.tanh(x),
            points(15, 5, 2, 4, 4),
            steering=lambda x0_pred, t: compiled(x0_pred, bandwidth=0.9),
            **options,
        )
    assert len(graphs) == 1  # no break, and none anew from step to step
    expected = ddim(lambda x, t: torch.tanh(x), points(15, 5, 2, 4, 4), steering=plain, **options)
    torch.testing.assert_close(by_step.x0, expected.x0, rtol=1e-10, atol=1e-12)


def test_a_schedule_over_an_array_of_timesteps_is_one_graph_and_maps() -> None:
    t = torch.tensor([999.0, 300.0, 299.0, 0.0])
    expected = torch.tensor([0.3, 0.3, 0.0, 0.0])
    compiled = torch.compile(lambda v: steering_strength(v, 1000), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(t), expected)
    torch.testing.assert_close(torch.func.vmap(lambda v: steering_strength(v, 1000))(t[:, None])[:, 0], expected)


def test_values_are_still_checked_outside() -> None:
    z = points(8, 3, 1, 2, 2)
    z[0] = float("nan")
    with pytest.raises(ValueError, match="x0_pred must"):
        steered(z)
    with pytest.raises(ValueError, match="alpha_bar must"):
        add_noise(z[1], z[1], torch.full((1, 1, 1), 1.5, dtype=torch.float64))


def test_shapes_are_checked_inside_too() -> None:
    with pytest.raises(ValueError, match="x0_pred must have axes"):
        torch.func.vmap(steered)(points(9, 4, 3, 2, 2))


# ---- JAX


def test_jax_arrays_work_and_compile() -> None:
    jax = pytest.importorskip("jax")
    z = points(10, 5, 2, 3, 3).float()
    particles = points(11, 9, 2).float()
    z_, particles_ = jax.numpy.asarray(z.numpy()), jax.numpy.asarray(particles.numpy())
    for function in (steered, jax.jit(steered), lambda x: jax.vmap(steered)(x[None])[0]):
        ours = function(z_)
        assert isinstance(ours, jax.Array)
        np.testing.assert_allclose(np.asarray(ours), steered(z).numpy(), rtol=1e-5, atol=1e-6)
    found = seek_modes(particles_, particles_, bandwidth=0.6, tolerance=1e-3)
    expected = seek_modes(particles, particles, bandwidth=0.6, tolerance=1e-3)
    np.testing.assert_allclose(np.asarray(found.points), expected.points.numpy(), atol=1e-3)
    with pytest.raises(ValueError, match="x0_pred must"):
        steered(z_.at[0].set(jax.numpy.nan))
