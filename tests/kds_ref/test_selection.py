"""select_particle: Eq. 9 by hand, against a loop, on batches and with ties."""

from typing import Any

import array_api_compat
import numpy as np
import pytest

from kds_ref import select_particle


def test_worked_by_hand(xp: Any) -> None:
    # the mean of 0, 1 and 5 is 2: the second is nearest
    index = select_particle(xp.array([[0.0], [1.0], [5.0]]))
    assert tuple(index.shape) == ()
    assert int(xp.numpy(index)) == 1


@pytest.mark.parametrize("shape", [(9, 5), (9, 3, 4, 4)])
def test_equals_a_loop(xp: Any, shape: tuple[int, ...]) -> None:
    for seed in range(10):
        z = np.random.default_rng(seed).normal(size=shape)
        mean = sum(z[i] for i in range(9)) / 9.0
        distances = [float(((z[i] - mean) ** 2).sum()) for i in range(9)]
        assert int(xp.numpy(select_particle(xp.array(z)))) == distances.index(min(distances))


def test_batch_is_a_loop(xp: Any) -> None:
    z = np.random.default_rng(0).normal(size=(2, 4, 7, 3, 2, 2))
    index = select_particle(xp.array(z))
    assert tuple(index.shape) == (2, 4)
    namespace = array_api_compat.array_namespace(index)
    assert namespace.isdtype(index.dtype, "integral")
    assert array_api_compat.device(index) == array_api_compat.device(xp.array(z))
    expected = [[int(select_particle(z[i, j])) for j in range(4)] for i in range(2)]
    assert xp.numpy(index).tolist() == expected
    assert len(set(np.ravel(expected))) > 2  # otherwise the test could not tell axes apart


def test_sample_ndim_says_what_one_particle_is() -> None:
    z = np.random.default_rng(1).normal(size=(4, 6, 5))
    assert select_particle(z, sample_ndim=1).shape == (4,)
    assert select_particle(z, sample_ndim=2).shape == ()
    assert int(select_particle(z, sample_ndim=2)) == int(select_particle(z.reshape(4, 30)))


def test_index_can_be_used_as_it_is(xp: Any) -> None:
    z = xp.array(np.random.default_rng(2).normal(size=(5, 2, 3, 3)))
    chosen = z[int(select_particle(z)), ...]
    assert tuple(chosen.shape) == (2, 3, 3)


def test_one_particle_is_chosen(xp: Any) -> None:
    assert int(xp.numpy(select_particle(xp.array(np.ones((1, 2, 3, 3)))))) == 0


def test_of_equal_particles_the_first_is_chosen(xp: Any) -> None:
    assert int(xp.numpy(select_particle(xp.array(np.ones((4, 3)))))) == 0


def test_a_large_common_offset_does_not_drown_the_differences(xp: Any) -> None:
    z = np.asarray([[0.0], [1.0], [4.0]]) + 1000.0
    assert int(xp.numpy(select_particle(xp.array(z, "float32")))) == 1
