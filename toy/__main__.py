"""Command line of the toy: `python -m toy`, the same as `kds-toy`.

Runs the experiment, writes the slides and a JSON with settings, versions and numbers, and prints a table. The
files appear complete or not at all. Whatever a user can get wrong is one line on stderr and exit status 2.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import re
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import kds_ref
from toy.errors import UserError
from toy.posterior.command import add_parsers

if TYPE_CHECKING:
    from toy.settings import Settings

USER_ERROR = 2
INTERRUPTED = 130
JSON_NAME = "toy_fig2.json"
OPTIONS = {  # field of Settings -> option of the command line
    "seed": "--seed",
    "n_seeds": "--seeds",
    "n_particles": "--particles",
    "bandwidth": "--bandwidth",
    "strength": "--strength",
    "cutoff": "--cutoff",
    "num_inference_steps": "--steps",
    "schedule": "--schedule",
}
NAMES = OPTIONS | {name: f"--{name}" for name in ("output", "photos", "pictures", "ensembles")}
DESCRIPTION = """\
Reproduce Fig. 2 of the Kernel Density Steering paper: sample a mixture of three Gaussians in the plane with
DDIM and its exact score, plain and steered, from the same initial noise.

Steering runs twice: once until t/T falls below --cutoff (the paper's Eq. 10), once down to t = 0. Each gives
a slide: DDIM above, DDIM + KDS below, at t/T = 1, 0.5 and 0, with the exact density behind. The numbers
(variance within a mode, mean log-likelihood, share of each mode) are means over --seeds independent
ensembles, with standard errors and a paired test against DDIM."""
EPILOG = """\
files written to the output folder, complete or not at all:
  toy_fig2_kds_cutoff_*.png  the slides, 2000 x 1125 pixels
  toy_fig2.json              settings, mixture, versions and all numbers

commands besides the figure, each with its own --help:
  python -m toy posterior                            posteriors that are known exactly: what KDS, choosing and
                                                     averaging are worth, about a quarter of an hour
  python -m toy prior                                fit the prior on photos for it

examples:
  python -m toy                                      the figure with the default settings, about 5 seconds
  python -m toy --output slides --seed 7             other noise
  python -m toy --bandwidth 0.6 --strength 1         wider kernel, full shifts
  python -m toy --seeds 1000                         error bars 4.5 times smaller, about 30 seconds
  python -m toy --schedule scaled_linear --steps 25  the noise schedule of latent diffusion, fewer steps

exit status: 0 done, 2 something to put right (one line says what), 130 interrupted

The paper gives neither the mixture nor the settings of its figure. The defaults for bandwidth, strength,
cut-off and steps are those of its other experiments; each mode of the mixture has a standard deviation of
0.3, equal to the bandwidth."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:  # argparse would print the usage first
        raise UserError(f"{message} (see {self.prog} --help)")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = _Parser(
        prog="kds-toy",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )

    options: list[tuple[str, type, Any, str, str]] = [
        ("--output", str, "toy_output", "FOLDER", "folder for the files, made if missing"),
        ("--seed", int, 0, "SEED", "first seed; ensemble i draws its noise with SEED + i"),
        ("--seeds", int, 50, "S", "number of independent ensembles, 1 to 5000"),
        ("--particles", int, 50, "N", "particles in each ensemble, 1 to 2000"),
        ("--bandwidth", float, 0.3, "H", "kernel bandwidth h, in units of the plane"),
        ("--strength", float, 0.3, "D", "part of the mean shift to go, 0 to 1"),
        ("--cutoff", float, 0.3, "C", "steer while t/T >= C, 0 to 1"),
        ("--steps", int, 50, "K", "DDIM steps, 1 to 1000"),
        ("--schedule", str, "cosine", "NAME", "noise schedule: cosine, linear or scaled_linear"),
    ]
    for name, kind, default, metavar, text in options:
        parser.add_argument(name, type=kind, default=default, metavar=metavar, help=f"{text} (%(default)s)")

    parser.add_argument("--quiet", action="store_true", help="print neither progress nor table")
    parser.add_argument("--version", action="version", version=f"%(prog)s {kds_ref.__version__}")
    parser.set_defaults(run=_run)

    # Without a command the toy itself runs.
    add_parsers(parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=_Parser))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the arguments without the program's name; None for those of the process.

    Returns:
        Exit status: 0, 2 after a user's error, 130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a folder's name may hold what the terminal cannot write
            stream.reconfigure(errors="backslashreplace")
    try:
        arguments = build_parser().parse_args(argv)
        _report_errors(arguments)
    except UserError as error:
        print("kds-toy: error:", " ".join(str(error).split()), file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("kds-toy: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


def _report_errors(arguments: argparse.Namespace) -> None:
    """Run the command; what a user can put right becomes a `UserError`."""
    try:
        for name in ("output", "photos"):  # an unset shell variable is an empty text
            given = getattr(arguments, name, None)
            if given is not None and not given.strip():
                raise UserError(f"--{name} must be the name of a folder, got {given!r}")

        arguments.run(arguments)
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed; run: pip install 'kds-ref[toy]'") from error
    except MemoryError as error:
        raise UserError("not enough memory; use fewer --seeds or --particles") from error
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"cannot write to --output {arguments.output!r}: {reason}") from error
    except ValueError as error:
        raise _explain(error) from error


def _run(arguments: argparse.Namespace) -> None:
    start = time.perf_counter()
    folder = Path(arguments.output)
    # Imported late: --help is quick, and a missing extra is one line.
    from toy.files import prepare_folder, say, write_files
    from toy.report import format_table
    from toy.settings import Settings

    settings = Settings(**{field: getattr(arguments, name[2:]) for field, name in OPTIONS.items()})
    prepare_folder(folder)
    results, contents = _compute(settings, quiet=arguments.quiet)
    paths = write_files(folder, contents)
    if not arguments.quiet:
        wrote = [f"wrote {path}" for path in paths]
        say(format_table(results), *wrote, f"{time.perf_counter() - start:.1f} s")


def _compute(settings: Settings, *, quiet: bool) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Run the experiment with a progress bar; return the results and the content of every file."""
    from tqdm import tqdm

    from toy.experiment import cutoffs, run_experiment
    from toy.figure import draw
    from toy.mixture import three_modes

    mixture = three_modes()
    n_methods = len(cutoffs(settings))
    # The bar counts sampling steps and, since each takes a while, the figures: one for every run with KDS.
    total = n_methods * settings.num_inference_steps + n_methods - 1
    contents: dict[str, bytes] = {}

    with tqdm(total=total, desc="kds-toy", unit="step", file=sys.stderr, disable=quiet) as bar:
        results, runs = run_experiment(settings, mixture=mixture, on_step=bar.update)
        figures = {run.name: f"toy_fig2_{run.name}.png" for run in runs[1:]}
        results |= {"figures": figures, "versions": _versions()}
        for run in runs[1:]:
            png = io.BytesIO()
            draw(mixture, (runs[0], run), results).savefig(png, format="png")
            contents[figures[run.name]] = png.getvalue()
            bar.update()

    contents[JSON_NAME] = (json.dumps(results, indent=2, allow_nan=False) + "\n").encode()
    return results, contents


def _explain(error: ValueError) -> Exception:
    """Return a message that names the option instead of the argument; other errors stay what they are."""
    text = str(error)
    if text.startswith(tuple(f"{field} " for field in NAMES)):
        named = rf"^({'|'.join(NAMES)})\b|\b({'|'.join(OPTIONS)})\b"
        return UserError(re.sub(named, lambda match: NAMES[match[0]], text))
    return UserError(f"--output: {text}") if "null byte" in text else error


def _versions() -> dict[str, str]:
    own = {"python": platform.python_version(), "kds-ref": kds_ref.__version__}
    return own | {name: version(name) for name in ("numpy", "scipy", "matplotlib")}


if __name__ == "__main__":
    sys.exit(main())
