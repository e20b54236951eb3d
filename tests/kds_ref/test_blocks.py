"""How large the blocks of the loops are, which bounds the memory, and which way is taken; the bound on distances."""

from typing import Any

import numpy as np
import pytest

from kds_ref import _distances, _fast_shift
from kds_ref._arrays import common_namespace
from kds_ref._blocks import most_elements
from kds_ref._distances import Problem, distance_blocks, pairwise_blocks, problem_of, scaled_distance
from kds_ref.kernels import GAUSSIAN

R = np.random.default_rng(0)
NUMPY = common_namespace(x=np.zeros(1))


# leading axes of the queries and of the particles, and how many ensembles both make
LEADS = [
    ((), (), 1),
    ((1,), (), 1),
    ((5,), (), 5),
    ((), (3,), 3),
    ((5,), (5,), 5),
    ((2, 1), (1, 3), 6),
    ((2, 3), (3,), 6),
]
every_lead = pytest.mark.parametrize(("lead_q", "lead_p", "ensembles"), LEADS)


def random_problem(lead_q: tuple[int, ...], lead_p: tuple[int, ...], m: int, n: int, d: int) -> Problem:
    return problem_of(NUMPY, np.float64, R.normal(size=(*lead_q, m, d)), R.normal(size=(*lead_p, n, d)), 0.7)


@every_lead
def test_a_block_of_differences_is_as_large_as_it_may_be(
    lead_q: Any, lead_p: Any, ensembles: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, lead = random_problem(lead_q, lead_p, 7, 4, 3), np.broadcast_shapes(lead_q, lead_p)
    one = ensembles * 12  # differences of one query in every ensemble
    for most, sizes in ((3 * one, [3, 3, 1]), (3 * one - 1, [2, 2, 2, 1]), (1, [1] * 7), (99 * one, [7])):
        monkeypatch.setattr(_distances, "_MIN_BLOCK", most)
        blocks = list(pairwise_blocks(problem))
        assert [u.shape for _, u in blocks] == [(*lead, size, 4) for size in sizes]
        assert [difference.shape for difference, _ in blocks] == [(*lead, size, 4, 3) for size in sizes]


@every_lead
def test_a_block_of_distances_is_as_large_as_it_may_be(
    lead_q: Any, lead_p: Any, ensembles: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem, lead = random_problem(lead_q, lead_p, 7, 4, 3), np.broadcast_shapes(lead_q, lead_p)
    one = ensembles * 4
    for most, sizes in ((3 * one, [3, 3, 1]), (3 * one - 1, [2, 2, 2, 1]), (1, [1] * 7), (99 * one, [7])):
        monkeypatch.setattr(_distances, "_DISTANCES", most)
        assert [u.shape for u in distance_blocks(problem)] == [(*lead, size, 4) for size in sizes]


def test_few_dimensions_go_without_the_tensor_of_differences(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, many = random_problem((2,), (2,), 40, 3, 16), random_problem((2,), (2,), 3, 3, 17)
    calls: list[int] = []
    monkeypatch.setattr(_distances, "pairwise_blocks", lambda problem: calls.append(1) or iter(()))
    assert list(distance_blocks(problem))
    assert not calls
    assert not list(distance_blocks(many))
    assert calls == [1]


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_a_block_of_locations_is_as_large_as_it_may_be(lead: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    x = R.normal(size=(*lead, 7, 4, 3))  # seven locations of 4 * 3 numbers
    shapes: list[tuple[int, ...]] = []
    visit = _fast_shift._visit_pairs

    def watched(x: Any, *others: Any) -> None:
        shapes.append(x.shape)
        visit(x, *others)

    monkeypatch.setattr(_fast_shift, "_visit_pairs", watched)
    for most, sizes in ((36, [3, 3, 1]), (35, [2, 2, 2, 1]), (1, [1] * 7), (10**6, [7])):
        shapes.clear()
        monkeypatch.setattr(_fast_shift, "_BLOCK", most)
        _fast_shift.shift_by_pairs(problem_of(NUMPY, np.float64, x, x, 0.7), GAUSSIAN)
        assert shapes == [(4, 3, size) for size in sizes] * int(np.prod(lead))


def test_pairs_are_taken_from_both_limits_on(monkeypatch: pytest.MonkeyPatch) -> None:
    x = R.normal(size=(2, 7, 5, 3))
    problem, points = problem_of(NUMPY, np.float64, x, x, 0.7), x[0, 0]
    for ensembles in (x, x[0]):
        for locations, numbers, suits in ((7, 105, True), (8, 105, False), (7, 106, False)):
            monkeypatch.setattr(_fast_shift, "_FEWEST_LOCATIONS", locations)
            monkeypatch.setattr(_fast_shift, "_FEWEST_NUMBERS", numbers)
            assert _fast_shift.suits_pairs(problem._replace(query=ensembles, particles=ensembles), GAUSSIAN) is suits
    monkeypatch.setattr(_fast_shift, "_FEWEST_LOCATIONS", 1)
    monkeypatch.setattr(_fast_shift, "_FEWEST_NUMBERS", 1)
    assert not _fast_shift.suits_pairs(problem._replace(query=points, particles=points), GAUSSIAN)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_distances_beyond_a_quarter_of_the_largest_number_count_as_that(xp: Any, dtype: str) -> None:
    largest = float(np.finfo(dtype).max)
    squared = xp.array([largest, 1.0, 0.0], dtype)
    namespace = common_namespace(squared=squared)
    for h in (0.5, 1.0, 1.5):
        u = scaled_distance(squared, h, namespace)
        assert u.dtype == squared.dtype
        np.testing.assert_allclose(xp.numpy(u), [largest / 4.0, 1.0 / h**2, 0.0], rtol=1e-6)
    for h in (2.0, 2.5, 1e3):
        np.testing.assert_allclose(
            xp.numpy(scaled_distance(squared, h, namespace)), [largest / h / h, 1.0 / h**2, 0.0], rtol=1e-6
        )
    each = scaled_distance(xp.array([largest] * 4, dtype), xp.array([0.5, 1.0, 1.5, 4.0], dtype), namespace)
    np.testing.assert_allclose(xp.numpy(each), [largest / 4.0, largest / 4.0, largest / 9.0, largest / 64.0], rtol=1e-6)


def test_a_block_on_an_accelerator_is_bounded_by_its_memory() -> None:
    """A quarter of a GiB, whatever the dtype."""
    torch = pytest.importorskip("torch")
    for dtype, size in ((torch.float16, 2), (torch.float32, 4), (torch.float64, 8)):
        there, here = (torch.ones(2, dtype=dtype, device=device) for device in ("meta", "cpu"))
        xp = common_namespace(x=here)
        assert most_elements(there, 7, xp) * size == 2**28
        assert most_elements(here, 7, xp) == 7
