"""The lines of the paper's figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from real.bench.lines import Lines, name_of, sampler_name
from real.bench.plan import Grid, Line, LinePair
from real.settings import Settings

__all__ = ["fig4", "fig4_pairs", "fig6", "fig6_pairs", "fig7", "fig7_pairs"]


def fig4(base: Settings, grid: Grid) -> list[Line]:
    """KDS, its worst particle, and the worst plain one."""
    make, name = Lines(grid.degradation[0]), sampler_name(base.sampler)
    return [
        make.plain("plain-worst", f"{name}, the worst of {base.particles}", base, "worst"),
        make.plain("plain", f"{name}, a random particle", base),
        make.kds("kds", f"{name} + KDS, N = {base.particles}", base),
        make.kds("kds-worst", f"{name} + KDS, the worst of {base.particles}", base, "worst"),
    ]


def fig4_pairs(lines: Sequence[Line]) -> list[LinePair]:
    """KDS against the worst plain particle, and worst against worst."""
    return [
        LinePair("kds", "plain-worst", "KDS against the worst plain particle: the paper's comparison"),
        LinePair("kds-worst", "plain-worst", "the worst steered particle against the worst plain one"),
        LinePair("kds", "plain", "KDS against a random plain particle"),
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


def fig6_pairs(lines: Sequence[Line]) -> list[LinePair]:
    """What more particles do, what a larger bandwidth does, and KDS against the average of as many plain particles."""
    curves: dict[str, list[Line]] = {}
    for line in lines:
        curves.setdefault(line.group, []).append(line)
    steered = [curve for name, curve in curves.items() if name != "average"]
    more = [pair for curve in steered for pair in pairwise(curve)]
    wider = [(a[-1], b[-1]) for a, b in pairwise(steered) if b[-1].ensemble.kind == "kds"]
    pairs = [LinePair(b.key, a.key, f"{b.label}: against {a.label}") for a, b in [*more, *wider]]
    return pairs + [
        LinePair(line.key, f"average-{line.at:g}", f"{line.label}: against the average of {line.at:g}")
        for line in lines
        if line.ensemble.kind == "kds"
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


def fig7_pairs(lines: Sequence[Line]) -> list[LinePair]:
    """KDS at every bandwidth, against one particle and against the average."""
    steered = [line for line in lines if line.ensemble.kind == "kds"]
    others = {"plain": "one plain particle", "average": "the average of the plain particles"}
    return [
        LinePair(line.key, key, f"{line.label}: against {what}") for line in steered for key, what in others.items()
    ]
