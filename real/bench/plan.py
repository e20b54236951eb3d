"""What a study consists of: ensembles that are drawn, lines that look at them, pairs that are compared.

A `Line` of a table is an ending (one particle, the chosen one, the average, ...) of the first N particles of an
`EnsemblePlan`. Lines of all studies share their ensembles; see `wanted_by`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from real.errors import UserError
from real.settings import Settings

__all__ = [
    "MODELS_BANDWIDTH",
    "OF_MODELS_BANDWIDTH",
    "Endings",
    "EnsemblePlan",
    "Grid",
    "Line",
    "LinePair",
    "Study",
    "Wanted",
    "describe_grid",
    "evaluations_per_call",
    "fill_grid",
    "wanted_by",
]

MODELS_BANDWIDTH = "model"
OF_MODELS_BANDWIDTH = {MODELS_BANDWIDTH: 1.0, "model/3": 1.0 / 3.0, "model*2": 2.0}  # the paper's 0.3, 0.1 and 0.6
UNSTEERED = frozenset({"plain", "hds", "dgs", "fixed-noise", "drafts", "renoise"})  # h and delta do not matter to them


@dataclass(frozen=True)
class Grid:
    """The values of each option that a study goes through; most studies go through one or two and fix the others.

    Attributes:
        particles: Sizes of the ensemble, N.
        steps: Model evaluations of a sample.
        sampler: "ddim" or "dpmpp-2s".
        bandwidth: Bandwidths in units of the latent, or names of rules; "model" is the model's own, "model/3" and
            "model*2" are a third of it and twice it.
        cutoff: t/T at which steering stops.
        patch_size: Side of the patches in latent pixels.
        guidance: Weights of classifier-free guidance; 1: none.
        kernel: Names of kernels.
        degradation: How photos are made low-resolution: "simple", "real-esrgan", "stable-sr"; or which part of them is
            hidden: "center-box", "center-box-by-side".
        seed: Seeds of noise and degradation; a photo's scores are averaged over them.
        budget: Model evaluations of all particles together, for `front`.
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
    seed: tuple[int, ...] = (0,)
    budget: tuple[int, ...] = ()


def evaluations_per_call(settings: Settings) -> int:
    """Model evaluations of a call of the denoiser: guidance needs two."""
    return 1 if settings.guidance == 1.0 else 2


@dataclass(frozen=True)
class EnsemblePlan:
    """One ensemble of any photo, as a plan.

    Attributes:
        kind: How it is drawn: a name in `real.bench.draws.DRAWS`.
        settings: Settings of the sampler and the steering.
        degradation: How the photo is made low-resolution, or what of it is hidden; "pairs" where the low-resolution
            photo is given.
        timed: Number of CPU threads with which time and memory are measured, so that it is shared with no other study;
            0: they are not.
        depends: Versions and digests that the picture of a way without sampling depends on (`real.bench.unsampled`);
            None for others.
    """

    kind: str
    settings: Settings
    degradation: str
    timed: int = 0
    depends: str | None = None

    @functools.cached_property
    def key(self) -> str:
        """Name in the rows, equal where one draw serves.

        Particle i without steering does not depend on N, so the name of a plain ensemble does not say N.
        """
        s = self.settings
        if self.depends is not None:
            return " ".join(word for word in (self.kind, self.depends, self.degradation, f"seed={s.seed}") if word)
        words = [self.kind, s.sampler, f"S={s.steps}", f"w={s.guidance:g}", self.degradation, f"seed={s.seed}"]
        if self.kind != "plain" or self.timed:
            words.append(f"N={s.particles}")
        if self.kind in UNSTEERED - {"plain"}:
            words.append(f"cutoff={s.cutoff:g}")
        elif self.kind != "plain":
            h = s.bandwidth if isinstance(s.bandwidth, str) else f"{s.bandwidth:g}"
            words += [s.kernel, f"h={h}", f"delta={s.strength:g}", f"cutoff={s.cutoff:g}", f"patch={s.patch_size}"]
        return " ".join([*words, f"timed threads={self.timed}"] if self.timed else words)


@dataclass(frozen=True)
class Line:
    """One line of a study's table.

    Attributes:
        key: Short name, for files and for `LinePair`.
        label: What the table says.
        ensemble: What it looks at; its N is how many particles.
        ending: What is done with them: a name in `real.bench.endings.ENDINGS`.
        paper: Rows of the paper that stand beside it: columns of `paper_tables.csv` and their values, added to
            those of the study; empty for none.
        group: Lines of one curve or colour in a plot; empty where the plot has none.
        at: Place on the curve.
    """

    key: str
    label: str
    ensemble: EnsemblePlan
    ending: str
    paper: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    at: float = 0.0

    @property
    def particles(self) -> int:
        """N."""
        return self.ensemble.settings.particles

    def with_seed(self, seed: int) -> Line:
        """The line with the noise and the degradation of a seed."""
        if seed == self.ensemble.settings.seed:
            return self
        settings = replace(self.ensemble.settings, seed=seed)
        return replace(self, ensemble=replace(self.ensemble, settings=settings))


@dataclass(frozen=True)
class LinePair:
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
        sweeps: Options that may have several values, besides the seed, which may in every study.
        plot: Name of a plot in `real.bench.plots.PLOTS`.
        paper: Columns and values that select the paper's rows; empty if the paper prints no numbers.
        timed: Whether time and memory are measured, so that every line draws its own ensemble.
        pictures: Whether the image of every line is kept.
        task: "sr" or "inpaint": what the model does.
        photos: How many photos `bench all` gives it.
    """

    title: str
    about: str
    lines: Callable[[Settings, Grid], list[Line]]
    pairs: Callable[[Sequence[Line]], list[LinePair]]
    grid: Grid = field(default_factory=Grid)
    sweeps: frozenset[str] = frozenset()
    plot: str = "dots"
    paper: Mapping[str, str] = field(default_factory=dict)
    timed: bool = False
    pictures: bool = False
    task: str = "sr"
    photos: int = 30


Endings = dict[int, tuple[str, ...]]  # what is wanted of the first n particles, by n
Wanted = dict[str, tuple[EnsemblePlan, Endings]]  # by the ensemble's key


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
        if len(values) > 1 and name not in (*study.sweeps, "seed"):  # over seeds a photo's scores are averaged
            raise UserError(f"must have one value in this study, got {len(values)}", argument=name)
        if len(set(values)) < len(values):
            raise UserError(f"must have each value once, got {', '.join(map(str, values))}", argument=name)
        changes[name] = tuple(values)
    return replace(study.grid, **changes)


def wanted_by(lines: Iterable[Line]) -> Wanted:
    """The ensembles that lines need, and what they want of them.

    Of plain ensembles that differ only in N, the largest is drawn: the smaller ones are its first particles.
    """
    wanted: Wanted = {}
    for line in lines:
        plan = line.ensemble
        largest, endings = wanted.get(plan.key, (plan, {}))
        if plan.settings.particles > largest.settings.particles:
            largest = plan
        names = dict.fromkeys([*endings.get(line.particles, ()), line.ending])
        wanted[plan.key] = largest, endings | {line.particles: tuple(names)}
    return wanted


def describe_grid(grid: Grid) -> dict[str, list[Any]]:
    """The grid as JSON holds it."""
    return {name: list(values) for name, values in asdict(grid).items()}
