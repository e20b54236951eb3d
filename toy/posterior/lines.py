"""The lines of the study on photos: which methods answer which degradation."""

from __future__ import annotations

from typing import Any

from toy.posterior.methods import Method, Steering


def photo_lines() -> list[Method]:
    """Return every method that answers 4x averaging, plain sampling first."""
    found = [Method(name="plain")]
    found += [_kds(h, cutoff) for cutoff in (0.3, 0.0) for h in (0.1, 0.3, 1.0, 3.0)]
    found += [_kds(0.3, 0.0, patch_size=side) for side in (2, 4, 8)]
    found += [_kds(3.0, cutoff, patch_size=8) for cutoff in (0.3, 0.0)]
    found += [Method(name=f"plain, {n} steps", steps=n) for n in (5, 10, 25, 100, 250)]
    found += [Method(name=f"plain, {s}, {n} steps", sampler=s, steps=n) for s in ("2s", "2m") for n in (10, 50)]
    found += [_kds(1.0, 0.0, steps=n) for n in (5, 10)]
    found += [_kds(1.0, 0.0, sampler=s, steps=10) for s in ("2s", "2m")]
    found += [Method(name=f"plain, N={n}", particles=n) for n in (2, 5, 20)]
    found += [_kds(h, cutoff, particles=n) for n in (2, 5, 20) for h, cutoff in ((0.3, 0.3), (0.3, 0.0))]
    return found + rivals()


def short_lines() -> list[Method]:
    """Return the methods that answer the other degradations."""
    kds = [_kds(0.3, 0.3), _kds(0.3, 0.0), _kds(1.0, 0.0), _kds(3.0, 0.0, patch_size=8)]
    return [Method(name="plain"), *kds, *rivals()]


def rivals() -> list[Method]:
    """Return high-density sampling, density guidance and mean-then-renoise."""
    return [
        *(Method(name=f"HDS below {cutoff:g}", hds=cutoff) for cutoff in (0.1, 0.3)),
        *(Method(name=f"DGS q={q:g}", dgs=q) for q in (0.6, 0.9)),
        *(Method(name=f"renoised mean at {cutoff:g}", renoise=cutoff) for cutoff in (0.1, 0.3, 0.6)),
    ]


def _kds(bandwidth: float, cutoff: float, *, patch_size: int = 1, **options: Any) -> Method:
    steering = Steering(bandwidth=bandwidth, cutoff=cutoff, patch_size=patch_size)
    parts = [f"KDS h={bandwidth:g} to {cutoff:g}"]
    if patch_size > 1:
        parts.append(f"patch {patch_size}")
    if "sampler" in options:
        parts.append(options["sampler"])
    if "steps" in options:
        parts.append(f"{options['steps']} steps")
    if "particles" in options:
        parts.append(f"N={options['particles']}")
    return Method(name=", ".join(parts), steering=steering, **options)
