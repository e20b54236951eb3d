"""What a study consists of: ensembles that are drawn, lines that look at them, pairs that are compared.

A `Line` of a table is an outcome (one particle, the chosen one, the average, ...) of the first N particles of a
`StudyRun`. Several lines share a run, and lines without steering share one draw of the largest N, since particle i's
noise depends on the seed and i alone: see `draws`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from real.errors import UserError
from real.settings import Settings

__all__ = ["MODELS_BANDWIDTH", "Grid", "Line", "Pair", "PlannedDraw", "Study", "StudyRun", "draws", "fill_grid"]

MODELS_BANDWIDTH = "model"


@dataclass(frozen=True)
class Grid:
    """The values of each option that a study goes through; most studies go through one or two and fix the others.

    Attributes:
        particles: Sizes of the ensemble, N.
        steps: Model evaluations of a sample.
        sampler: "ddim" or "dpmpp-2s".
        bandwidth: In units of the latent, or names of rules; "model" is the model's own.
        cutoff: t/T at which steering stops.
        patch_size: Side of the patches in latent pixels.
        guidance: Weights of classifier-free guidance; 1: none.
        kernel: Names of kernels.
        degradation: How photos are made low-resolution: "simple", "real-esrgan", "stable-sr"; or which part of them is
            hidden: "center-box", "center-box-by-side".
    """

    particles: tuple[int, ...] = (10,)
    steps: tuple[int, ...] = (50,)
    sampler: tuple[str, ...] = ("ddim",)
    bandwidth: tuple[float | str, ...] = (MODELS_BANDWIDTH,)
    cutoff: tuple[float, ...] = (0.3,)
    patch_size: tuple[int, ...] = (1,)
    guidance: tuple[float, ...] = (1.0,)
    kernel: tuple[str, ...] = ("gaussian",)
    degradation: tuple[str, ...] = ("simple",)


@dataclass(frozen=True)
class StudyRun:
    """One ensemble of one photo.

    Attributes:
        kind: "plain" (the sampler alone), "kds" (steered) or "bicubic" (interpolation: one image, no model).
        settings: Of the sampler and the steering.
        degradation: How the photo is made low-resolution, or what of it is hidden; "pairs" where the low-resolution
            photo is given.
    """

    kind: str
    settings: Settings
    degradation: str

    @property
    def key(self) -> str:
        """Name in the rows: equal for equal runs of one study, different for different ones."""
        s = self.settings
        if self.kind == "bicubic":
            return f"bicubic {self.degradation}"
        sampler = f"{s.sampler} S={s.steps} w={s.guidance:g} {self.degradation} N={s.particles}"
        if self.kind == "plain":
            return f"plain {sampler}"
        h = s.bandwidth if isinstance(s.bandwidth, str) else f"{s.bandwidth:g}"
        return f"kds {sampler} {s.kernel} h={h} delta={s.strength:g} cutoff={s.cutoff:g} patch={s.patch_size}"

    @property
    def evaluations(self) -> int:
        """Model evaluations, each particle counted; guidance needs two a step."""
        if self.kind == "bicubic":
            return 0
        return self.settings.particles * self.settings.steps * (1 if self.settings.guidance == 1.0 else 2)


@dataclass(frozen=True)
class Line:
    """One line of a study's table.

    Attributes:
        key: Short name, for files and for `Pair`.
        label: What the table says.
        run: The ensemble that it looks at.
        outcome: What is done with its particles: a name in `real.bench.outcomes.OUTCOMES`.
        paper: Which of the paper's rows stands beside it: columns of `paper_tables.csv` and their values, added to
            those of the study; empty for none.
        group: Lines of one curve in a plot; empty where the plot has no curves.
        at: Where on the curve.
    """

    key: str
    label: str
    run: StudyRun
    outcome: str
    paper: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    at: float = 0.0


@dataclass(frozen=True)
class Pair:
    """Line a minus line b, photo by photo, and what the difference means."""

    a: str
    b: str
    what: str


@dataclass(frozen=True)
class Study:
    """One table or figure of the paper, or a question beyond it.

    Attributes:
        title: One line, for `bench --list` and the report.
        about: What to know when reading the report.
        lines: (settings, grid) -> lines, with the grid's first values in the settings.
        pairs: lines -> what is compared.
        grid: Default values.
        sweeps: Options that may have several values.
        plot: Name of a plot in `real.bench.plots.PLOTS`.
        paper: Columns and values that select the paper's rows; empty if the paper prints no numbers.
        timed: Measure time and memory, so every line draws its own ensemble.
        pictures: Keep the image of every line.
        task: "sr" or "inpaint": what the model does.
    """

    title: str
    about: str
    lines: Callable[[Settings, Grid], list[Line]]
    pairs: Callable[[Sequence[Line]], list[Pair]]
    grid: Grid = field(default_factory=Grid)
    sweeps: frozenset[str] = frozenset()
    plot: str = "dots"
    paper: Mapping[str, str] = field(default_factory=dict)
    timed: bool = False
    pictures: bool = False
    task: str = "sr"


@dataclass(frozen=True)
class PlannedDraw:
    """A run that is carried out, and the outcomes that are wanted of its first n particles, by n."""

    run: StudyRun
    wanted: Mapping[int, tuple[str, ...]]


def fill_grid(study: Study, given: Mapping[str, Sequence[Any] | None]) -> Grid:
    """The study's grid with the given values in place of its own.

    Raises:
        UserError: Several values for an option that this study does not go through, or one value twice.
    """
    changes: dict[str, tuple[Any, ...]] = {}
    for name in (f.name for f in fields(Grid)):
        values = given.get(name)
        if values is None:
            continue
        if len(values) > 1 and name not in study.sweeps:
            raise UserError(f"must have one value in this study, got {len(values)}", argument=name)
        if len(set(values)) < len(values):
            raise UserError(f"must have each value once, got {', '.join(map(str, values))}", argument=name)
        changes[name] = tuple(values)
    return replace(study.grid, **changes)


def draws(lines: Sequence[Line], *, timed: bool = False) -> dict[str, PlannedDraw]:
    """The ensembles that `lines` need, by the key of the line's own run.

    Plain runs that differ in N alone share the draw of the largest, unless the study is timed.
    """
    largest: dict[str, StudyRun] = {}
    for line in lines:
        shared = _without_size(line.run)
        if shared not in largest or line.run.settings.particles > largest[shared].settings.particles:
            largest[shared] = line.run
    runs = {
        line.run.key: line.run if timed or line.run.kind == "kds" else largest[_without_size(line.run)]
        for line in lines
    }
    wanted: dict[str, dict[int, tuple[str, ...]]] = {}
    for line in lines:
        outcomes = wanted.setdefault(runs[line.run.key].key, {})
        n = line.run.settings.particles
        outcomes[n] = tuple(dict.fromkeys([*outcomes.get(n, ()), line.outcome]))
    return {key: PlannedDraw(run, wanted[run.key]) for key, run in runs.items()}


def _without_size(run: StudyRun) -> str:
    if run.kind == "kds":
        return run.key
    return replace(run, settings=replace(run.settings, particles=1)).key


def describe_grid(grid: Grid) -> dict[str, list[Any]]:
    """The grid as JSON has it."""
    return {name: list(values) for name, values in asdict(grid).items()}
