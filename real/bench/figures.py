"""The lines of the paper's figures, and of the two questions beyond it: what does what, and what is best at a cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise, product

from real.bench.lines import Lines, name_of, sampler_name
from real.bench.plan import Grid, Line, Pair
from real.settings import Settings

__all__ = [
    "BUDGETS",
    "attribution",
    "attribution_pairs",
    "fig4",
    "fig4_pairs",
    "fig6",
    "fig6_pairs",
    "fig7",
    "fig7_pairs",
    "front",
]

BUDGETS = (50, 100, 250, 500)  # model evaluations at which `front` asks what is best


def attribution(base: Settings, grid: Grid) -> list[Line]:
    """Steering, choosing and averaging, each alone and together, at each cut-off."""
    make, name = Lines(grid.degradation[0]), sampler_name(base.sampler)
    lines = [
        make.plain("plain", f"{name}, a random particle", base),
        make.plain("plain-choice", f"{name} + choice", base, "choice"),
        make.plain("plain-average", f"{name} + average", base, "average"),
    ]
    for c in grid.cutoff:
        settings, text = replace(base, cutoff=c), f"KDS to t/T = {c:g}"
        lines += [
            make.kds(f"kds-{c:g}", f"{text}, a random particle", settings, "random"),
            make.kds(f"kds-{c:g}-choice", f"{text} + choice", settings, "choice"),
            make.kds(f"kds-{c:g}-average", f"{text} + average", settings, "average"),
        ]
    return lines


def attribution_pairs(lines: Sequence[Line]) -> list[Pair]:
    """What each ingredient does alone, and what steering adds to each of the others."""
    pairs = [
        Pair("plain-choice", "plain", "choosing alone, without steering"),
        Pair("plain-average", "plain", "averaging alone, without steering"),
    ]

    for line in lines:
        if line.run.kind == "kds" and line.outcome == "random":
            to = f"steering to t/T = {line.run.settings.cutoff:g}"
            pairs += [
                Pair(line.key, "plain", f"{to} alone, without choosing"),
                Pair(f"{line.key}-choice", "plain", f"{to} and choosing: the method, against a random particle"),
                Pair(f"{line.key}-choice", "plain-choice", f"what {to} adds to choosing"),
                Pair(f"{line.key}-average", "plain-average", f"what {to} adds to averaging"),
                Pair(f"{line.key}-choice", "plain-average", f"{to} and choosing, against averaging without steering"),
            ]
    return pairs


def front(base: Settings, grid: Grid) -> list[Line]:
    """Samplers, steps and sizes of the ensemble up to the largest budget, with every way to end."""
    lines = []
    for sampler, steps, n in product(grid.sampler, grid.steps, grid.particles):
        if n * steps <= max(BUDGETS):
            lines += _front_lines(replace(base, sampler=sampler, steps=steps, particles=n), grid)
    return lines


def _front_lines(base: Settings, grid: Grid) -> list[Line]:
    make = Lines(grid.degradation[0])
    text = f"{sampler_name(base.sampler)}, S = {base.steps}, N = {base.particles}"
    name = f"{base.sampler}-{base.steps}-{base.particles}"
    if base.particles == 1:
        return [make.plain(f"plain-{name}", f"{text}, plain", base, "one", group="one particle")]
    ends = ("choice", "average", "early") if base.cutoff > 0 else ("choice", "average")
    lines = [make.plain(f"plain-{name}-{e}", f"{text}, plain, {e}", base, e, group=f"plain, {e}") for e in ends]
    for c, e in product(grid.cutoff, ends):
        if e != "early" or c == base.cutoff:  # steering beyond the choice would need the others
            group = f"KDS to {c:g}, {e}"
            settings = replace(base, cutoff=c)
            lines.append(make.kds(f"kds-{name}-{c:g}-{e}", f"{text}, {group}", settings, e, group=group))
    return lines


def fig4(base: Settings, grid: Grid) -> list[Line]:
    """KDS, its worst particle, and the worst plain one."""
    make, name = Lines(grid.degradation[0]), sampler_name(base.sampler)
    return [
        make.plain("plain-worst", f"{name}, the worst of {base.particles}", base, "worst"),
        make.plain("plain", f"{name}, a random particle", base),
        make.kds("kds", f"{name} + KDS, N = {base.particles}", base),
        make.kds("kds-worst", f"{name} + KDS, the worst of {base.particles}", base, "worst"),
    ]


def fig4_pairs(lines: Sequence[Line]) -> list[Pair]:
    """KDS against the worst plain particle, and worst against worst."""
    return [
        Pair("kds", "plain-worst", "KDS against the worst plain particle: the paper's comparison"),
        Pair("kds-worst", "plain-worst", "the worst steered particle against the worst plain one"),
        Pair("kds", "plain", "KDS against a random plain particle"),
    ]


def fig6(base: Settings, grid: Grid) -> list[Line]:
    """N and h; one particle is the plain sampler whatever h."""
    make, lines = Lines(grid.degradation[0]), []
    for n in grid.particles:
        settings = replace(base, particles=n)
        lines.append(make.plain(f"average-{n}", f"N = {n}, average", settings, "average", group="average", at=n))
        for h in grid.bandwidth:
            key, label, group = f"kds-{n}-{name_of(h)}", f"N = {n}, KDS, h = {name_of(h)}", f"KDS, h = {name_of(h)}"
            if n == 1:
                lines.append(make.plain(key, label, settings, "one", group=group, at=n))
            else:
                lines.append(make.kds(key, label, replace(settings, bandwidth=h), group=group, at=n))
    return lines


def fig6_pairs(lines: Sequence[Line]) -> list[Pair]:
    """What more particles do, what a larger bandwidth does, and KDS against the average of as many plain particles."""
    curves: dict[str, list[Line]] = {}
    for line in lines:
        curves.setdefault(line.group, []).append(line)
    steered = [curve for name, curve in curves.items() if name != "average"]
    more = [pair for curve in steered for pair in pairwise(curve)]
    wider = [(a[-1], b[-1]) for a, b in pairwise(steered) if b[-1].run.kind == "kds"]
    pairs = [Pair(b.key, a.key, f"{b.label}: against {a.label}") for a, b in [*more, *wider]]
    return pairs + [
        Pair(line.key, f"average-{line.at:g}", f"{line.label}: against the average of {line.at:g}")
        for line in lines
        if line.run.kind == "kds"
    ]


def fig7(base: Settings, grid: Grid) -> list[Line]:
    """Pictures: one particle, the average, KDS at each bandwidth."""
    make, name = Lines(grid.degradation[0]), sampler_name(base.sampler)
    lines = [
        make.bicubic(base),
        make.plain("plain", f"{name}, one particle", base, "one"),
        make.plain("average", f"{name}, average of {base.particles}", base, "average"),
    ]
    for h in grid.bandwidth:
        lines.append(make.kds(f"kds-{name_of(h)}", f"KDS, h = {name_of(h)}", replace(base, bandwidth=h)))
    return lines


def fig7_pairs(lines: Sequence[Line]) -> list[Pair]:
    """KDS at every bandwidth, against one particle and against the average."""
    steered = [line for line in lines if line.run.kind == "kds"]
    others = {"plain": "one plain particle", "average": "the average of the plain particles"}
    return [Pair(line.key, key, f"{line.label}: against {what}") for line in steered for key, what in others.items()]
