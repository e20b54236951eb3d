"""The whole study as a list of tasks, each of which a journal remembers; a killed run resumes where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from toy.posterior import bound, patches, plane
from toy.posterior.conditioning import condition_many
from toy.posterior.degradations import degradations
from toy.posterior.lines import photo_lines, short_lines
from toy.posterior.methods import Method
from toy.posterior.photos import load_photos
from toy.posterior.prior import load_prior

WEIGHTS = (0.05, 0.1, 0.2, 0.3, 0.4)  # of the spurious mode
FAR = 2.5  # its distance: nine standard deviations of the true mode
NEARER = (0.8, 1.5)
ENSEMBLE_SIZES = (5, 20, 50)
FIRST_PART = "plane, exact"  # its figure is drawn as soon as it is done


@dataclass(frozen=True)
class StudySettings:
    """What the results depend on.

    Args:
        seed: seed of everything random.
        pictures: crops of 32 x 32 pixels, 4 to 2000, 16 patches each.
        ensembles: number of ensembles in the plane, 10 to 10000.
        photos: name of the folder, or "scikit-image".

    Raises:
        ValueError: a value outside its range; the message starts with the name of the argument.
    """

    seed: int = 0
    pictures: int = 64
    ensembles: int = 1000
    photos: str = "scikit-image"

    def __post_init__(self) -> None:
        for name, (low, high) in {"seed": (0, 2**32 - 1), "pictures": (4, 2000), "ensembles": (10, 10_000)}.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must lie between {low} and {high}, got {getattr(self, name)}")


@dataclass(frozen=True)
class Task:
    """A piece of work: its part of the study, its name there, and how much it is in units of a plain line."""

    part: str
    name: str
    work: float
    compute: Callable[[], dict[str, Any]]

    @property
    def key(self) -> str:
        """Name in the journal."""
        return f"{self.part}: {self.name}"


def list_tasks(settings: StudySettings, folder: Path | None) -> list[Task]:
    """Return all tasks in their order, the quick ones first; photos are read when the first task needs them."""
    return [*_plane_tasks(settings), *_photo_tasks(settings, folder)]


def as_settings(settings: StudySettings) -> dict[str, Any]:
    """Return the settings, and what the code fixes, for the journal and the results."""
    fixed = {"schedule": "scaled linear, 0.0015 to 0.0155", "prior": load_prior().source}
    return asdict(settings) | fixed | {"ensembles_of_the_bound": bound.ENSEMBLES}


def _plane_tasks(settings: StudySettings) -> Iterator[Task]:
    lines = plane.lines()
    chosen = [lines[name] for name in lines if "h=3 to 0.3" not in name]

    def task(part: str, name: str, case: plane.Case, methods: list[Method]) -> Task:
        return Task(part, name, 0.01 * len(methods), partial(_plane_results, settings, case, methods))

    for name, case in plane.exact_cases().items():
        yield task(FIRST_PART, name, case, list(lines.values()))
    for weight in WEIGHTS:
        yield task("plane, spurious", f"weight {weight:g}", plane.spurious(weight, FAR), chosen)
    for distance in NEARER:
        yield task("plane, spurious", f"distance {distance:g}", plane.spurious(0.2, distance), chosen)
    for count in ENSEMBLE_SIZES:
        methods = list(plane.lines(count).values())
        yield task("plane, spurious", f"N {count}", plane.spurious(0.2, FAR), methods[:5])
    for name, case in plane.other_errors().items():
        yield task("plane, errors", name, case, chosen)


def _plane_results(settings: StudySettings, case: plane.Case, methods: list[Method]) -> dict[str, Any]:
    noise = plane.initial_noise(settings.ensembles, max(method.particles for method in methods), settings.seed)
    return {method.name: plane.measure_case(case, method, noise) for method in methods}


def _photo_tasks(settings: StudySettings, folder: Path | None) -> Iterator[Task]:
    prior = load_prior()

    # Kept, and only when asked for: a study that goes on may have done all tasks that need them.
    @cache
    def photos() -> list[Any]:
        return load_photos(folder)

    @cache
    def measured(name: str) -> patches.Measured:
        options = {"pictures": settings.pictures, "seed": settings.seed}
        return patches.measure_photos(prior, photos(), degradations()[name], **options)

    def line(name: str, method: Method | None) -> Callable[[], dict[str, Any]]:
        return lambda: patches.answer_line(measured(name), method)

    yield from _gaussian_tasks(settings, measured)
    for name in degradations():
        yield Task(name, "exact mean", 0.01, partial(_call, patches.exact_mean_line, measured, name))
        yield Task(name, "exact samples", 0.05, line(name, None))
        for method in photo_lines() if name == "average" else short_lines():
            yield Task(name, method.name, method.evaluations / 500, line(name, method))
    for method in bound.bound_lines()[:3]:
        compute = partial(_call, patches.choosing_line, measured, "average", method)
        yield Task("choosing", method.name, 1.0, compute)
    for one in (None, *bound.bound_lines()):
        work = bound.POSTERIORS * bound.ENSEMBLES / (settings.pictures * patches.PLACES) if one else 0.05
        name = one.name if one else "exact samples"
        yield Task("bound, mixture", name, work, partial(_bound, settings, measured, one))


def _call(
    function: Callable[..., dict[str, Any]], measured: Callable[[str], patches.Measured], name: str, *rest: Any
) -> dict[str, Any]:
    return function(measured(name), *rest)


def _bound(
    settings: StudySettings, measured: Callable[[str], patches.Measured], method: Method | None
) -> dict[str, Any]:
    posterior = measured("average").posterior
    every = posterior.n_cases // bound.POSTERIORS  # from all over the photos
    return bound.mixture_line(posterior.take(slice(0, every * bound.POSTERIORS, every)), method, seed=settings.seed)


def _gaussian_tasks(settings: StudySettings, measured: Callable[[str], patches.Measured]) -> Iterator[Task]:
    """The plane for one Gaussian: the same patches and noise, another prior."""
    one, average = bound.single_gaussian(load_prior().mixture), degradations()["average"]

    def place(method: Method | None) -> dict[str, Any]:
        shared = measured("average")
        y = average.measure(shared.truth, np.random.default_rng([settings.seed, 10]))
        posterior = condition_many(one, average.operator, y, noise_covariance=average.noise_covariance)
        exact = posterior.sample(10, np.random.default_rng([settings.seed, 11]))
        return bound.gaussian_line(posterior, method, shared.noise, exact)

    for method in (None, *bound.bound_lines()):
        yield Task("bound, Gaussian", method.name if method else "exact samples", 0.05, partial(place, method))
