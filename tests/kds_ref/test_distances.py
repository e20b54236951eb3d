"""Distances summed dimension by dimension are those of the differences."""

from typing import Any

import numpy as np
import pytest

from kds_ref import _distances, log_density
from kds_ref._arrays import common_namespace
from kds_ref._distances import check_problem, distance_blocks, pairwise_blocks, problem_of


@pytest.mark.parametrize("lead", [((), ()), ((2, 1), (3,)), ((3,), (1,))])
@pytest.mark.parametrize("dimensions", [1, 2, 5, 16, 17])
@pytest.mark.parametrize("per_ensemble", [False, True])
def test_both_ways_give_the_same_distances(
    lead: tuple[Any, Any], dimensions: int, per_ensemble: bool, xp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    query = xp.array(rng.normal(size=(*lead[0], 7, dimensions)))
    particles = xp.array(rng.normal(size=(*lead[1], 4, dimensions)))
    h: Any = xp.array(rng.uniform(0.5, 2.0, size=np.broadcast_shapes(*lead))) if per_ensemble else 0.7
    problem = check_problem(query, particles, h)
    monkeypatch.setattr(_distances, "_DISTANCES", 40)  # several blocks
    ours = np.concatenate([xp.numpy(u) for u in distance_blocks(problem)], axis=-2)
    plain = np.concatenate([xp.numpy(u) for _, u in pairwise_blocks(problem)], axis=-2)
    np.testing.assert_allclose(ours, plain, rtol=1e-13)


def test_the_density_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(1)
    for d in (1, 3, 16, 18):
        particles, query = rng.normal(size=(300, d)), rng.normal(size=(700, d))
        estimate = stats.gaussian_kde(particles.T)
        scale = np.linalg.cholesky(estimate.covariance)
        white = [np.linalg.solve(scale, x.T).T for x in (query, particles)]
        ours = log_density(*white, bandwidth=1.0) - np.log(np.diag(scale)).sum()
        np.testing.assert_allclose(ours, estimate.logpdf(query.T), rtol=1e-10)


def test_what_cannot_be_looked_at_is_taken_as_extreme() -> None:
    """A look would make an accelerator wait; the careful way is right for all values."""
    torch = pytest.importorskip("torch")
    here, there = torch.ones(3, 2), torch.ones(3, 2, device="meta")
    assert not check_problem(here, here, 0.3).extreme
    assert check_problem(there, there, 0.3).extreme
    xp = common_namespace(x=here)
    assert not problem_of(xp, here.dtype, here, here, here[:, 0]).extreme
    assert problem_of(xp, here.dtype, here, here, there[:, 0]).extreme
