"""From the options of `python -m real bench` to a task: what is missing or does not fit is said here."""

from __future__ import annotations

import argparse
from dataclasses import replace

from real.bench.photos import DEGRADATIONS, HOLES, find_pairs, find_photos
from real.bench.plan import fill_grid
from real.bench.runner import Task
from real.bench.studies import STUDIES
from real.cli import UserError
from real.degrade import SCALE
from real.sampling import Settings

__all__ = ["task_of"]


def task_of(options: argparse.Namespace, command: str) -> Task:
    """What the options ask for.

    Args:
        options: Of `python -m real bench`, parsed.
        command: For the record.

    Raises:
        UserError: An option is missing or does not fit the study; there is no such study.
    """
    if options.study not in STUDIES:
        raise UserError(f"bench: got {options.study!r}; known studies: {', '.join(STUDIES)} (see bench --list)")
    study = STUDIES[options.study]
    if options.output is None:
        raise UserError("--output: not given; name a folder, which is made if it is not there")
    if options.crop is not None and options.crop % SCALE:
        raise UserError(f"--crop: got {options.crop}; give a multiple of {SCALE}")
    grid = fill_grid(study, vars(options))
    known = HOLES if study.task == "inpaint" else DEGRADATIONS
    if unknown := [name for name in grid.degradation if name not in known]:
        raise UserError(f"--degradation: got {unknown[0]!r}; known to this study: {', '.join(known)}")
    if options.photos is None and options.pairs is None:
        raise UserError("--photos: not given; name a folder of photos, or of pairs with --pairs")
    if options.pairs is not None:
        if options.degradation or "degradation" in study.sweeps or study.task == "inpaint":
            raise UserError("--pairs: these photos are degraded already; this study or option needs --photos")
        grid = replace(grid, degradation=("pairs",))
    return Task(
        options.study,
        study,
        grid,
        Settings(strength=options.strength, seed=options.seed),
        find_pairs(options.pairs) if options.photos is None else find_photos(options.photos),
        crop=options.crop,
        limit=options.limit,
        metrics=tuple(options.metrics),
        command=command,
    )
