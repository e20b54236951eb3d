"""Restore a photo with Kernel Density Steering: `python -m real --help`."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import sys
from collections.abc import Iterator, Sequence

import kds_ref
from real.cli.parsers import add_bench, add_evaluate, add_gpu_check, add_inpaint, add_sr
from real.cli.run import leave, run_command
from real.errors import UserError
from real.parallel.environment import launched_rank, launched_size, refuse

__all__ = ["main"]

DESCRIPTION = """\
Kernel Density Steering (KDS) on real photos: N samples of a latent diffusion model run side by side, at every step each
moves a little towards where they agree, and the one nearest their mean is the result.
"""
EPILOG = """\
examples:
  python -m real sr --degrade --output out              a photo that is installed with the package, with its truth
  python -m real sr photo.jpg --output out              restore a small photo, four times as large
  python -m real sr photo.jpg --degrade --output out    degrade a photo first, restore it, compare with the truth
  python -m real sr photo.jpg --output out --sampler dpmpp-2s --steps 20 --particles 5
  torchrun --standalone --nproc-per-node 2 -m real sr photo.jpg --output out
                                                        the same on two GPUs, or with --device cpu in two processes
  python -m real sr photo.jpg --model diffbir --cleaner BSRNet.pth --pickled-weights --output out
                                                        the paper's own backbones, this one or seesr
  python -m real inpaint photo.jpg --center-box 0.3 --model FOLDER --output out
  python -m real evaluate --photos BSD100 --crop 192 --output out
  python -m real bench --list                           the paper's tables and figures as commands
"""
COMMANDS = {"sr": "sr", "inpaint": "inpaint", "evaluate": "evaluation", "bench": "evaluation", "gpu-check": "gpu_check"}
DOORS = {
    "app": "a page in the browser to play with a photo (the same as python -m real.app)",
    "train": "train a model of your own (the same as python -m real.train)",
    "backbones": "measure what DiffBIR and SeeSR cost (the same as python -m real.backbones)",
}
SEVERAL_PROCESSES = ("sr",)  # commands that torchrun may start


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    with contextlib.ExitStack() as quiet:
        if launched_rank() > 0:  # rank 0 says the same
            for redirect in (contextlib.redirect_stdout, contextlib.redirect_stderr):
                quiet.enter_context(redirect(io.StringIO()))
        if arguments and arguments[0] in DOORS:
            return run_command(lambda: _through(arguments[0], arguments[1:]), prog="kds-restore")
        options = _parser().parse_args(arguments)
    return run_command(lambda: _run(options, arguments), prog="kds-restore", options=vars(options))


def _through(door: str, arguments: list[str]) -> int:
    """Another command line of this package."""
    _refuse_several(door)
    with _extras():
        module = importlib.import_module(f"real.{door}.__main__")
    status: int = module.main(arguments)
    return status


def _refuse_several(command: str) -> None:
    if launched_size() > 1 and command not in SEVERAL_PROCESSES:
        refuse(f"{command} runs in one process, and {launched_size()} were started; start it without torchrun")


@contextlib.contextmanager
def _extras() -> Iterator[None]:
    """Context manager: a package that cannot be imported is an error of the user."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(f'{error.name} is not installed; install the extra: pip install "kds-ref[real]"') from error


def _run(options: argparse.Namespace, arguments: list[str]) -> int:
    _refuse_several(options.command)
    with _extras():  # imported here, so that --help and wrong options answer at once, and each command loads its own
        module = importlib.import_module(f"real.cli.{COMMANDS[options.command]}")
    status: int = getattr(module, f"run_{options.command.replace('-', '_')}")(options, arguments)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kds-restore",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {kds_ref.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (add_sr, add_inpaint, add_evaluate, add_bench, add_gpu_check):
        add(commands)
    for name, what in DOORS.items():  # for --help; `main` hands their arguments on
        commands.add_parser(name, help=what, add_help=False)
    return parser


if __name__ == "__main__":
    leave(main())
