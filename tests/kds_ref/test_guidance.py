"""classifier_free_guidance: Eq. 11."""

from typing import Any

import numpy as np
import pytest

from kds_ref import classifier_free_guidance


def test_worked_by_hand(xp: Any) -> None:
    cond, uncond = xp.array([1.0, -2.0]), xp.array([0.5, 2.0])
    guided = classifier_free_guidance(cond, uncond, 4.0)
    xp.check_like(guided, cond)
    assert xp.numpy(guided).tolist() == [2.5, -14.0]


@pytest.mark.parametrize("weight", [-1.0, 0.0, 1.0, 1.5, 7.5])
def test_equals_the_formula(weight: float) -> None:
    r = np.random.default_rng(0)
    cond, uncond = r.normal(size=(2, 3, 4, 4)), r.normal(size=(2, 3, 4, 4))
    expected = (1.0 - weight) * uncond + weight * cond
    np.testing.assert_allclose(classifier_free_guidance(cond, uncond, weight), expected, rtol=1e-13, atol=1e-14)


def test_weight_zero_is_unconditional_and_one_conditional(xp: Any) -> None:
    cond, uncond = xp.array([1.0, 3.0]), xp.array([0.5, -1.0])
    assert xp.numpy(classifier_free_guidance(cond, uncond, 0)).tolist() == [0.5, -1.0]
    assert xp.numpy(classifier_free_guidance(cond, uncond, 1)).tolist() == [1.0, 3.0]
