"""The lines of the paper's tables.

Every builder gets the settings with the grid's first values, and the grid. The baseline is the mean of the scores over
the plain ensemble: what the paper's single sample is on average, with less noise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from real.bench.lines import NONE, Lines, name_of, sampler_name
from real.bench.metrics import REPORTED
from real.bench.plan import Grid, Line, LinePair
from real.metrics.score import NO_REFERENCE
from real.settings import Settings

__all__ = [
    "against_first",
    "against_plain",
    "table1",
    "table3",
    "table3_pairs",
    "table4",
    "table4_pairs",
    "table5",
    "table5_pairs",
    "table6",
    "table8",
    "table12",
    "table13",
]


def table1(base: Settings, grid: Grid) -> list[Line]:
    """One plain sample against KDS, and what costs no sample at all."""
    make, name = Lines(grid.degradation[0]), sampler_name(base.sampler)
    return [
        make.plain("plain", f"{name}, a random particle", base, paper={"method": "none"}),
        make.kds("kds", f"{name} + KDS, N = {base.particles}", base, paper={"method": "kds"}),
        make.plain("plain-choice", f"{name} + choice, N = {base.particles}", base, "choice"),
        *make.baselines(base),
    ]


def table3(base: Settings, grid: Grid) -> list[Line]:
    """Holes and samplers: one plain sample, KDS, choosing without steering; and the classical fillings."""
    lines = []
    for how in grid.degradation:
        make = Lines(how)
        for sampler in grid.sampler:
            plain, kds = _both({"sampler": {"ddim": "ddim", "dpmpp-2s": "dpm-solver"}[sampler]})
            name, settings = sampler_name(sampler), replace(base, sampler=sampler)
            where = f"{name}, {how}" if len(grid.degradation) > 1 else name
            key = f"{how}-{sampler}"

            lines += [
                make.plain(f"plain-{key}", f"{where}, a random particle", settings, paper=plain),
                make.kds(f"kds-{key}", f"{where} + KDS, N = {base.particles}", settings, paper=kds),
                make.plain(f"choice-{key}", f"{where} + choice, N = {base.particles}", settings, "choice"),
            ]
        lines += make.unsampled(base, suffix=f"-{how}")
    return lines


def table3_pairs(lines: Sequence[Line]) -> list[LinePair]:
    """KDS against a random particle, the paper's comparison, against choosing alone, and against the fillings."""
    pairs = []
    for line in lines:
        if line.ensemble.kind == "kds":
            rest = line.key.removeprefix("kds-")
            pairs += [
                LinePair(line.key, f"plain-{rest}", f"{line.label}: against a random particle, the paper's comparison"),
                LinePair(line.key, f"choice-{rest}", f"{line.label}: what steering adds to choosing"),
            ]
            pairs += [
                LinePair(line.key, other.key, f"{line.label}: against {other.label}")
                for other in lines
                if other.ensemble.depends is not None and other.ensemble.degradation == line.ensemble.degradation
            ]
    return pairs


def table4(base: Settings, grid: Grid) -> list[Line]:
    """Best of N by each metric that needs no truth, against KDS, at each N; the paper's metric is LIQE."""
    make, name = Lines(grid.degradation[0]), sampler_name(base.sampler)
    lines = [make.plain("plain", f"{name}, one particle", replace(base, particles=1), "one", paper={"method": "none"})]
    for n in grid.particles:
        settings = replace(base, particles=n)
        beside = {"n_particles": str(n)} if n in (5, 10) else {}
        best, kds = (({"method": m} | beside) if beside else NONE for m in ("best-of-n-liqe", "kds"))

        for judge in NO_REFERENCE:
            label = f"best of {n} by {REPORTED[judge.replace('-', '_')].label}"
            paper = best if judge == "liqe" else NONE
            lines.append(make.plain(f"best-{n}-{judge}", label, settings, f"best-{judge}", paper=paper))

        lines += [
            make.plain(f"choice-{n}", f"nearest to the mean of {n}", settings, "choice"),
            make.kds(f"kds-{n}", f"KDS, N = {n}", settings, paper=kds),
        ]
    return lines


def table4_pairs(lines: Sequence[Line]) -> list[LinePair]:
    """KDS against best of N, against choosing alone, and against one particle."""
    pairs = []
    for n in (line.ensemble.settings.particles for line in lines if line.ensemble.kind == "kds"):
        pairs += [
            *(
                LinePair(f"kds-{n}", line.key, f"KDS against the {line.label}")
                for line in lines
                if line.key.startswith(f"best-{n}-")
            ),
            LinePair(f"kds-{n}", f"choice-{n}", f"KDS against choosing without steering, N = {n}"),
            LinePair(f"kds-{n}", "plain", f"KDS with N = {n} against one particle"),
        ]
    return pairs


def table5(base: Settings, grid: Grid) -> list[Line]:
    """Sizes of the patch, and the second of them with more particles."""
    make = Lines(grid.degradation[0])
    lines = [make.plain("plain", f"{sampler_name(base.sampler)}, a random particle", base, paper={"method": "none"})]
    first, *more = grid.particles
    # The paper repeats its middle size with more particles, since longer patches are further apart.
    middle = grid.patch_size[min(1, len(grid.patch_size) - 1)]
    for p, n in [(p, first) for p in grid.patch_size] + [(middle, n) for n in more]:
        known = (p, n) in ((1, 10), (4, 10), (16, 10), (4, 40))
        beside = {"table": "14" if n == 40 else "5", "method": f"kds patch={p}"} if known else NONE
        settings = replace(base, particles=n, patch_size=p)
        lines.append(make.kds(f"patch-{p}-n-{n}", f"KDS, patch {p} x {p}, N = {n}", settings, paper=beside))
    return lines


def table5_pairs(lines: Sequence[Line]) -> list[LinePair]:
    """Pairs of `against_first`, then more particles against fewer at the same size of the patch."""
    steered = {(line.ensemble.settings.patch_size, line.ensemble.settings.particles): line for line in lines[1:]}
    first = lines[1].particles
    more = [(line, steered[p, first]) for (p, n), line in steered.items() if n != first]
    return against_first(lines) + [
        LinePair(a.key, b.key, f"{a.label}: against {b.label}") for a, b in more if b is not lines[1]
    ]


def table6(base: Settings, grid: Grid) -> list[Line]:
    """Weights of classifier-free guidance, with and without KDS."""
    make, lines = Lines(grid.degradation[0]), []
    for w in grid.guidance:
        plain, kds = _both({"sampler": f"ddim50 cfg w={w:g}"} if w in (1, 2, 4, 6) else NONE)
        settings = replace(base, guidance=w)
        lines += [
            make.plain(f"plain-w-{w:g}", f"w = {w:g}", settings, paper=plain, group="one particle", at=w),
            make.kds(f"kds-w-{w:g}", f"w = {w:g}, KDS", settings, paper=kds, group="KDS", at=w),
        ]
    return lines


def table8(base: Settings, grid: Grid) -> list[Line]:
    """Degradations and samplers, with and without KDS."""
    lines = []
    for how in grid.degradation:
        for sampler in grid.sampler:
            # Of the paper's two sets DIV2K has StableSR's degradation; how its DF2K was degraded it does not say.
            label = {"ddim": "ddim50", "dpmpp-2s": "dpm-solver++ 2S"}[sampler]
            plain, kds = _both({"sampler": label, "dataset": "DIV2K"} if how == "stable-sr" else NONE)
            name, text = f"{how}-{sampler}", f"{how}, {sampler_name(sampler)}"
            settings = replace(base, sampler=sampler)
            make = Lines(how)
            lines.append(make.plain(f"plain-{name}", text, settings, paper=plain))
            lines.append(make.kds(f"kds-{name}", f"{text} + KDS", settings, paper=kds))
    return lines


def table12(base: Settings, grid: Grid) -> list[Line]:
    """Kernels."""
    make = Lines(grid.degradation[0])
    lines = [make.plain("plain", f"{sampler_name(base.sampler)}, a random particle", base, paper={"method": "none"})]
    for kernel in grid.kernel:
        beside = {"method": f"kds {kernel}"} if kernel in ("gaussian", "laplacian", "l2") else NONE
        settings = replace(base, kernel=kernel)
        lines.append(make.kds(f"kds-{kernel}", f"KDS, {kernel} kernel", settings, paper=beside))
    return lines


def table13(base: Settings, grid: Grid) -> list[Line]:
    """Bandwidths by rule and by hand; the model's own first."""
    make = Lines(grid.degradation[0])
    lines = [make.plain("plain", f"{sampler_name(base.sampler)}, a random particle", base)]
    published = {"median": "kds auto bandwidth", "0.3": "kds h=0.3"}
    for h in grid.bandwidth:
        name = name_of(h)
        label = f"KDS, h by the rule '{name}'" if isinstance(h, str) else f"KDS, h = {name}"
        beside = {"method": published[name]} if name in published else NONE
        lines.append(make.kds(f"kds-{name}", label, replace(base, bandwidth=h), paper=beside))
    return lines


def against_plain(lines: Sequence[Line]) -> list[LinePair]:
    """Every steered line against the plain line with the same sampler, guidance and degradation."""
    plain = {_circumstances(line): line for line in reversed(lines) if line.ensemble.kind == "plain"}
    steered = [(line, plain[_circumstances(line)]) for line in lines if line.ensemble.kind == "kds"]
    return [LinePair(line.key, other.key, f"{line.label}: against {other.label}") for line, other in steered]


def against_first(lines: Sequence[Line]) -> list[LinePair]:
    """Pairs of `against_plain`, then every later steered line against the first steered one: what the change does."""
    steered = [line for line in lines if line.ensemble.kind == "kds"]
    later = [LinePair(line.key, steered[0].key, f"{line.label}: against {steered[0].label}") for line in steered[1:]]
    return against_plain(lines) + later


def table1_pairs(lines: Sequence[Line]) -> list[LinePair]:
    """The paper's comparison, then what of it is choosing and what steering."""
    keys = {line.key: line.label for line in lines}
    return [
        LinePair("kds", "plain", f"{keys['kds']}: against a random particle, the paper's comparison"),
        LinePair("plain-choice", "plain", "choosing alone, without steering"),
        LinePair("kds", "plain-choice", "what steering adds to choosing"),
        *(
            LinePair("kds", key, f"{keys['kds']}: against {keys[key]}")
            for key in ("bicubic", "regression")
            if key in keys
        ),
    ]


def _both(beside: Mapping[str, str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Selectors of the paper's line without and with KDS; none where there is none."""
    if not beside:
        return NONE, NONE
    return {**beside, "method": "none"}, {**beside, "method": "kds"}


def _circumstances(line: Line) -> tuple[object, ...]:
    s = line.ensemble.settings
    return cast(tuple[object, ...], (s.sampler, s.steps, s.guidance, line.ensemble.degradation))
