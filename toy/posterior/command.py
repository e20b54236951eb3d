"""`python -m toy posterior` and `python -m toy prior`: the study of known posteriors, and the fit of its prior."""

from __future__ import annotations

import argparse
import io
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kds_ref
from toy.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from toy.posterior.study import Task

JSON_NAME, JOURNAL_NAME = "posterior.json", "posterior_rows.jsonl"
STUDY = """\
Sample posteriors that are known exactly, with and without KDS, and score the answers by them: in the plane, with
models that are wrong in a known way, and on patches of photos under a mixture of Gaussians. The first figure takes
some seconds, the whole study about a quarter of an hour on two cores. A stopped run resumes where it was."""
STUDY_FILES = """\
files written to the output folder:
  posterior_plane.png     posteriors in the plane, and where answers lie
  posterior_errors.png    wrong models: what is left in a spurious mode
  posterior_photos.png    4x averaging of photos: error, density, steps, particles, choosing
  posterior_bound.png     squared error against the distance to the posterior, with the optimum
  posterior.json          settings, versions and all numbers
  posterior_rows.jsonl    what each task found, for going on after a stop"""
PRIOR = """\
Fit the mixture of Gaussians that `python -m toy posterior` uses, to grey 8 x 8 patches of photos. Needs scikit-learn.
Takes some minutes."""


def add_parsers(commands: Any) -> None:
    """Add the two commands to the subparsers of `python -m toy`."""
    raw = argparse.RawDescriptionHelpFormatter
    study = commands.add_parser(
        "posterior", help="posteriors that are known", description=STUDY, epilog=STUDY_FILES, formatter_class=raw,
        allow_abbrev=False,
    )  # fmt: skip
    study.add_argument("--output", default="toy_output", metavar="FOLDER", help="folder for the files (%(default)s)")
    study.add_argument("--photos", metavar="FOLDER", help="photos to measure (those that scikit-image carries)")
    study.add_argument("--pictures", type=int, default=64, metavar="P", help="crops of 32 x 32 pixels (%(default)s)")
    study.add_argument("--ensembles", type=int, default=1000, metavar="S", help="ensembles in the plane (%(default)s)")
    study.add_argument("--seed", type=int, default=0, metavar="SEED", help="seed (%(default)s)")
    study.add_argument("--quiet", action="store_true", help="print neither progress nor table")
    study.set_defaults(run=run_study)

    fit = commands.add_parser(
        "prior", help="fit the prior on photos", description=PRIOR, formatter_class=raw, allow_abbrev=False
    )
    fit.add_argument("--output", default="toy_output", metavar="FOLDER", help="for patch_prior.npz (%(default)s)")
    fit.add_argument("--photos", metavar="FOLDER", help="photos to fit to (those that scikit-image carries)")
    fit.add_argument("--patches", type=int, default=20_000, metavar="P", help="number of patches (%(default)s)")
    fit.add_argument("--components", type=int, default=30, metavar="K", help="number of Gaussians (%(default)s)")
    fit.add_argument("--seed", type=int, default=0, metavar="SEED", help="seed (%(default)s)")
    fit.add_argument("--quiet", action="store_true", help="print nothing")
    fit.set_defaults(run=run_fit)


def run_study(arguments: argparse.Namespace) -> None:
    """Run `python -m toy posterior`."""
    from toy.files import prepare_folder, say, write_files
    from toy.posterior.figures import draw_rest
    from toy.posterior.journal import Journal
    from toy.posterior.plane_figures import draw_plane
    from toy.posterior.prior import load_prior
    from toy.posterior.report import collect, format_table
    from toy.posterior.study import FIRST_PART, StudySettings, as_settings, list_tasks

    folder = Path(arguments.output)
    photos = Path(arguments.photos) if arguments.photos else None
    settings = StudySettings(
        arguments.seed, arguments.pictures, arguments.ensembles, photos.name if photos else "scikit-image"
    )
    if photos is not None and not photos.is_dir():
        raise UserError(f"--photos must be a folder, got {arguments.photos!r}")
    prepare_folder(folder)
    journal = Journal(folder / JOURNAL_NAME, as_settings(settings))
    tasks = list_tasks(settings, photos)

    # The plane first: its figure is there while the rest is still computed.
    first = [task for task in tasks if task.part == FIRST_PART]
    _work(first, journal, quiet=arguments.quiet, title="plane")
    _write_figures(folder, {"posterior_plane.png": draw_plane(_by_part(first, journal))})
    if not arguments.quiet:
        say(f"wrote {folder / 'posterior_plane.png'}")
    _work(tasks, journal, quiet=arguments.quiet, title="study")

    results = collect(as_settings(settings), _by_part(tasks, journal), scale=load_prior().scale)
    command = (
        f"python -m toy posterior{_photos_option(arguments.photos)} --pictures {settings.pictures} "
        f"--ensembles {settings.ensembles} --seed {settings.seed}"
    )
    results |= {"command": command, "versions": _versions()}
    _write_figures(folder, draw_rest(results))
    paths = write_files(folder, {JSON_NAME: (json.dumps(results, indent=1, allow_nan=False) + "\n").encode()})
    if not arguments.quiet:
        say(format_table(results), *(f"wrote {path}" for path in paths))


def run_fit(arguments: argparse.Namespace) -> None:
    """Run `python -m toy prior`."""
    import numpy as np

    from toy.files import prepare_folder, say, write_files
    from toy.posterior.photos import cut_patches, load_photos
    from toy.posterior.prior import FITTED, PATCH, fit_prior, pack_prior

    folder = Path(arguments.output)
    # `fit_prior` wants at least ten patches for each component.
    for name, low, high in (("components", 1, 200), ("patches", 10 * arguments.components, 10**6)):
        if not low <= getattr(arguments, name) <= high:
            raise UserError(f"--{name} must lie between {low} and {high}, got {getattr(arguments, name)}")
    prepare_folder(folder)
    photos = load_photos(Path(arguments.photos) if arguments.photos else None)
    patches = cut_patches(photos, arguments.patches, size=PATCH, rng=np.random.default_rng(arguments.seed))
    source: dict[str, str | int | float] = {
        "command": f"python -m toy prior{_photos_option(arguments.photos)} --patches {len(patches)} "
        f"--components {arguments.components} --seed {arguments.seed}",
        "photos": len(photos),
        "numpy": version("numpy"),
        "scikit-learn": version("scikit-learn"),
    }

    prior = fit_prior(patches, n_components=arguments.components, seed=arguments.seed, source=source)
    paths = write_files(folder, {FITTED: pack_prior(prior)})
    if not arguments.quiet:
        say(*(f"wrote {path}" for path in paths))


def _work(tasks: list[Task], journal: Any, *, quiet: bool, title: str) -> None:
    """Do what the journal does not know yet, with a bar that counts work and not tasks."""
    from tqdm import tqdm

    total = sum(task.work for task in tasks)
    bar = "{l_bar}{bar}| {n:.1f}/{total:.1f} [{elapsed}<{remaining}] {postfix}"
    with tqdm(total=total, desc=title, file=sys.stderr, disable=quiet, bar_format=bar) as progress:
        for task in tasks:
            progress.set_postfix_str(task.key)
            if task.key not in journal.results:
                journal.add(task.key, task.compute())
            progress.update(task.work)


def _by_part(tasks: list[Task], journal: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for task in tasks:
        found.setdefault(task.part, {})[task.name] = journal.results[task.key]
    return found


def _write_figures(folder: Path, figures: dict[str, Figure]) -> None:
    from toy.files import write_files

    contents = {}
    for name, figure in figures.items():
        png = io.BytesIO()
        figure.savefig(png, format="png")
        contents[name] = png.getvalue()
    write_files(folder, contents)


def _photos_option(folder: str | None) -> str:
    return f" --photos {Path(folder).name}" if folder else ""


def _versions() -> dict[str, str]:
    own = {"python": platform.python_version(), "kds-ref": kds_ref.__version__}
    return own | {name: version(name) for name in ("numpy", "scipy", "matplotlib")}
