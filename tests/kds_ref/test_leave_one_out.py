"""The leave-one-out likelihood of a bandwidth: every ensemble has a bracket and a Newton step of its own."""

from typing import Any

import numpy as np
import pytest

from kds_ref._arrays import common_namespace
from kds_ref._leave_one_out import LeaveOneOut, highest_maximum

NUMPY = common_namespace(x=np.zeros(1))
POINTS = np.random.default_rng(0).standard_normal((9, 2))


def likelihood(points: np.ndarray) -> Any:
    squared = np.square(points[..., :, None, :] - points[..., None, :, :]).sum(-1)
    return LeaveOneOut(squared, points.shape[-1], NUMPY)


def test_ensembles_do_not_know_of_each_others_spread() -> None:
    both = likelihood(np.stack([POINTS, 1000.0 * POINTS]))
    for i, scale in enumerate((1.0, 1000.0)):
        alone = likelihood(scale * POINTS)
        for name in ("low", "high", "nearest"):
            np.testing.assert_allclose(getattr(both, name)[i], getattr(alone, name), rtol=1e-12)


@pytest.mark.parametrize(("factor", "near"), [(1.0 + 1e-6, True), (1.0 - 1e-6, True), (1.05, False), (3.0, False)])
def test_a_newton_step_is_taken_near_the_maximum_alone(factor: float, near: bool) -> None:
    found = likelihood(POINTS)
    best = highest_maximum(found, NUMPY)
    step = found.newton_step(best * factor)
    np.testing.assert_allclose(step, -np.log(factor) if near else 0.0, rtol=1e-3, atol=1e-12)
