"""The lines of two questions beyond the paper: what does what, and what is best at a cost; all opponents are here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from real.bench.endings import FIXES
from real.bench.lines import Lines, sampler_name
from real.bench.opponents import DRAFT_STEPS
from real.bench.plan import Grid, Line, LinePair
from real.settings import Settings

__all__ = ["FAMILIES", "FrontFamily", "attribution", "attribution_pairs", "front", "front_pairs"]


def attribution(base: Settings, grid: Grid) -> list[Line]:
    """Steering, choosing and averaging, each alone and together, and every opponent, with N = 10 and 50 steps."""
    make, name = Lines(grid.degradation[0]), sampler_name(base.sampler)
    # Ten particles of a tenth of the steps cost what one particle costs, and few steps blur, which PSNR rewards.
    few = replace(base, steps=max(1, base.steps // 10))
    lines = [
        make.plain("plain", f"{name}, a random particle", base),
        make.plain("plain-choice", f"{name} + choice", base, "choice"),
        make.plain("plain-by-patch", f"{name} + choice at every latent pixel", base, "by-patch"),
        make.plain("plain-halfway", f"{name} + halfway from choice to mean, latents", base, "halfway-latents"),
        make.plain("plain-halfway-pixels", f"{name} + halfway from choice to average, pixels", base, "halfway-pixels"),
        make.plain("plain-average", f"{name} + average", base, "average"),
        *(make.plain(f"plain-choice-{fix}", f"{name} + choice, {fix} fix", base, f"choice-{fix}") for fix in FIXES),
        make.plain("few-steps", f"{name} with {few.steps} steps, a random particle", few),
        make.plain("few-steps-average", f"{name} with {few.steps} steps + average", few, "average"),
        make.of("renoise", "renoise", "the mean at the cut-off, noised again", base),
        make.of("drafts", "drafts", f"drafts of {DRAFT_STEPS} steps, the full run for one", base),
        # These draw a single particle, so that they cost a tenth of the others.
        make.of("hds", "hds", "HDS: high-density sampling, one particle", replace(base, particles=1)),
        make.of("dgs", "dgs", "DGS: density guidance, one particle", replace(base, particles=1)),
        make.of("fixed-noise", "fixed-noise", "one good noise for all photos", replace(base, particles=1)),
        *make.unsampled(base),
    ]

    for c in grid.cutoff:
        settings, key, to = replace(base, cutoff=c), f"kds-{c:g}", f"KDS to t/T = {c:g}"
        lines += [
            make.kds(key, f"{to}, a random particle", settings, "random"),
            make.kds(f"{key}-choice", f"{to} + choice", settings, "choice"),
            make.kds(f"{key}-average", f"{to} + average", settings, "average"),
            *(make.kds(f"{key}-choice-{fix}", f"{to} + choice, {fix} fix", settings, f"choice-{fix}") for fix in FIXES),
        ]

    lines += [
        make.kds("kds-early", "KDS, chosen at the cut-off", base, "early"),
        make.of("kds-renoise", "kds-renoise", "KDS, then the mean at the cut-off, noised again", base),
        make.of("funnel", "funnel", "KDS with ever fewer particles", base),
    ]
    return lines


def attribution_pairs(lines: Sequence[Line]) -> list[LinePair]:
    """What each ingredient does alone, what steering adds to each of the others, and KDS against every opponent."""
    pairs = [
        LinePair("plain-choice", "plain", "choosing alone, without steering"),
        LinePair("plain-average", "plain", "averaging alone, without steering"),
    ]

    steered = [line for line in lines if line.ensemble.kind == "kds" and line.ending == "random"]
    for line in steered:
        to = f"steering to t/T = {line.ensemble.settings.cutoff:g}"
        pairs += [
            LinePair(line.key, "plain", f"{to} alone, without choosing"),
            LinePair(f"{line.key}-choice", "plain", f"{to} and choosing: the method, against a random particle"),
            LinePair(f"{line.key}-choice", "plain-choice", f"what {to} adds to choosing"),
            LinePair(f"{line.key}-average", "plain-average", f"what {to} adds to averaging"),
            LinePair(f"{line.key}-choice", "plain-average", f"{to} and choosing, against averaging without steering"),
        ]

    choices = ["plain-choice", *(f"{line.key}-choice" for line in steered)]
    labels = {line.key: line.label for line in lines}
    pairs += [LinePair(f"{key}-{fix}", key, f"{labels[key]}: the {fix} fix") for key in choices for fix in FIXES]

    # Each opponent once: those that KDS is compared with above are left out.
    method = choices[1]
    known = {method, *(pair.b for pair in pairs if pair.a == method)}
    fixed = {f"{key}-{fix}" for key in choices for fix in FIXES}
    opponents = [line for line in lines if line not in steered and line.key not in known | fixed]
    return pairs + [LinePair(method, line.key, f"KDS as in the paper, against {line.label}") for line in opponents]


Allocation = tuple[int, int]  # particles and steps


def _one(budget: int, cutoff: float) -> Allocation:
    return 1, budget


def _ensemble(budget: int, cutoff: float) -> Allocation:
    """Few particles and few steps grow together, up to the paper's ten."""
    n = min(10, max(2, round(math.sqrt(budget / 2.5))))
    return n, budget // n


def _one_goes_on(budget: int, cutoff: float) -> Allocation:
    """As many steps as an ensemble, and the particles that are affordable if one goes on after the cut-off."""
    _, steps = _ensemble(budget, cutoff)
    early = math.ceil((1.0 - cutoff) * steps)
    return max(1, (budget - (steps - early)) // max(1, early)), steps


def _drafts(budget: int, cutoff: float) -> Allocation:
    """Half of the budget, and not more than the paper's 50 steps, for the winner."""
    steps = min(50, budget // 2)
    return (budget - steps) // DRAFT_STEPS, steps


@dataclass(frozen=True)
class FrontFamily:
    """One way to spend model evaluations.

    Attributes:
        name: Name in keys and beside the points.
        group: Families of one colour.
        kind: Kind of the ensemble.
        ending: What is done with it.
        allocate: (budget, cutoff) -> particles and steps; left out at budgets for fewer than two particles, but for
            those that have one.
        sampler: Sampler of the particles.
        cutoff: t/T at which steering stops; None: the study's.
    """

    name: str
    group: str
    kind: str
    ending: str
    allocate: Callable[[int, float], Allocation]
    sampler: str = "ddim"
    cutoff: float | None = None


FREE = "no sampling"  # the group of what takes no evaluation of the model
FAMILIES = (
    FrontFamily("DDIM", "one particle", "plain", "one", _one),
    FrontFamily("2S", "one particle", "plain", "one", _one, "dpmpp-2s"),
    FrontFamily("choice", "choosing", "plain", "choice", _ensemble),
    FrontFamily("choice by patch", "choosing", "plain", "by-patch", _ensemble),
    FrontFamily("1/4 to mean", "between", "plain", "quarter-latents", _ensemble),
    FrontFamily("1/2 to mean", "between", "plain", "halfway-latents", _ensemble),
    FrontFamily("1/2 to average", "between", "plain", "halfway-pixels", _ensemble),
    FrontFamily("average", "averaging", "plain", "average", _ensemble),
    FrontFamily("average 2S", "averaging", "plain", "average", _ensemble, "dpmpp-2s"),
    FrontFamily("mean of latents", "averaging", "plain", "mean-latents", _ensemble),
    FrontFamily("KDS", "KDS", "kds", "choice", _ensemble),
    FrontFamily("KDS 2S", "KDS", "kds", "choice", _ensemble, "dpmpp-2s"),
    FrontFamily("KDS to 0", "KDS", "kds", "choice", _ensemble, cutoff=0.0),
    FrontFamily("early", "cheaper KDS", "kds-early", "one", _one_goes_on),
    FrontFamily("funnel", "cheaper KDS", "funnel", "one", _one_goes_on),
    FrontFamily("renoise", "cheaper KDS", "renoise", "one", _one_goes_on),
    FrontFamily("KDS renoise", "cheaper KDS", "kds-renoise", "one", _one_goes_on),
    FrontFamily("HDS", "guided density", "hds", "one", _one),
    FrontFamily("DGS", "guided density", "dgs", "one", _one),
    FrontFamily("fixed noise", "picked noise", "fixed-noise", "one", _one),
    FrontFamily("drafts", "picked noise", "drafts", "one", _drafts),
)


def front(base: Settings, grid: Grid) -> list[Line]:
    """Every family at every budget, then what fits into any, since it takes no evaluation of the model.

    How a budget is spent is fixed beforehand, not picked by what came out.
    """
    make, lines = Lines(grid.degradation[0]), []
    for budget in grid.budget:
        for family in FAMILIES:
            particles, steps = family.allocate(budget, base.cutoff)
            if steps < 1 or (particles < 2 and family.allocate is not _one):
                continue
            cutoff = base.cutoff if family.cutoff is None else family.cutoff
            settings = replace(base, sampler=family.sampler, particles=particles, steps=steps, cutoff=cutoff)
            key = f"{family.name.replace(' ', '-')}-{budget}"
            label = f"{family.name} (N = {particles}, S = {steps})"
            lines.append(make.of(family.kind, key, label, settings, family.ending, group=family.group, at=budget))
    return lines + make.unsampled(base, group=FREE)


def front_pairs(lines: Sequence[Line]) -> list[LinePair]:
    """KDS against every family at the same budget, cheaper forms of KDS against it at ten times their budget.

    What takes no evaluation of the model is compared with KDS at every budget.
    """
    keys = {line.key for line in lines}
    budgets = sorted({round(line.at) for line in lines} - {0})

    pairs = []
    for line in lines:
        budget, name = round(line.at), line.label
        same, tenfold = f"KDS-{budget}", f"KDS-{10 * budget}"
        if same in keys and line.key != same:
            pairs.append(LinePair(same, line.key, f"at {budget} evaluations KDS against {name}"))
        if tenfold in keys and line.group in ("cheaper KDS", "averaging", "KDS"):
            pairs.append(LinePair(line.key, tenfold, f"{name} at {budget} against KDS at {10 * budget} evaluations"))

    return pairs + [
        LinePair(f"KDS-{budget}", line.key, f"at {budget} evaluations KDS against {line.label}")
        for line in lines
        for budget in budgets
        if line.group == FREE and f"KDS-{budget}" in keys
    ]
