"""What the command lines share: how a command ends, and an error that the user can put right in one line.

Such an error is a `UserError`, or what the core raises for a value that an option set. Anything else is a bug, and
keeps its traceback.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Collection, Iterator
from types import FrameType
from typing import NoReturn

from real.errors import UserError, out_of_memory
from real.parallel.environment import ReportedElsewhereError, launched_size

__all__ = ["leave", "option_of", "run_command", "say", "text_of_error"]

POSITIONAL = {"image": "IMAGE", "low": "IMAGE", "study": "NAME"}  # arguments that are no options
CORE_NAMES = {"num_inference_steps": "steps", "num_particles": "particles"}  # the core's names of options
SAVE = (
    "give a smaller `max_batch`, `dtype=float16`, `vae_tiling=True` or `cpu_offload=True` (pipelines), `tile` "
    "(diffbir, seesr), fewer `particles`, or a smaller photo"
)


def leave(status: int) -> NoReturn:
    """End this process with an exit status.

    After an error in one of several processes it ends at once: the others may be gone, and Gloo's threads can abort
    the interpreter while it takes the connections to them down, with a status and a text of their own.
    """
    if status and launched_size() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def say(text: str) -> None:
    """Print for the user; a terminal that is gone, or a full disk, is no reason to lose a finished run."""
    try:
        print(text, flush=True)
    except OSError:
        # What was not written is still in the buffer, and would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_command(
    command: Callable[[], int], *, prog: str, options: Collection[str] = (), save_memory: str = SAVE
) -> int:
    """Run `command` and turn an error that the user can put right into one line on stderr and exit status 2.

    Warnings become one line, too. What the terminal's encoding lacks is written as escapes.

    Args:
        command: Function that does the work and returns an exit status.
        prog: Name of the program in front of the message.
        options: Names of the arguments that the command line set, such as "patch_size".
        save_memory: What to do where memory runs out, for the message.

    Returns:
        The exit status: that of `command`, 2 for a user's error, 130 when interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    # Warnings name arguments, too, and a user needs no file and line.
    plain = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"{prog}: warning: {_in_options(str(message))}\n"

    try:
        with _interrupts_by_name():
            return command()
    except (ValueError, TypeError) as error:
        text = text_of_error(error, options)
        if text is None:
            raise
        print(f"{prog}: error: {text}", file=sys.stderr)
        return 2

    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        remedy = _in_options(save_memory)
        print(f"{prog}: error: memory does not suffice ({_first_line(error)}); {remedy}", file=sys.stderr)
        return 2
    except ReportedElsewhereError:
        return 2
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return 130
    finally:
        warnings.formatwarning = plain


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


def text_of_error(error: Exception, options: Collection[str] = ()) -> str | None:
    """What the terminal says of an error, with options in place of arguments; None for a bug.

    Args:
        error: The exception that ended the command.
        options: Names of the arguments that the command line set.
    """
    if isinstance(error, UserError):
        text = str(error) if error.argument is None else error.naming(option_of(error.argument))
        return " ".join(_in_options(text).split())
    # The core's messages begin with the name of the argument: "bandwidth must be ..., got ...".
    name, _, rest = str(error).partition(" ")
    name = CORE_NAMES.get(name, name)
    if _raised_in_the_core(error) and name in options:
        return " ".join(f"{option_of(name)} {rest}".split())
    return None


def option_of(argument: str) -> str:
    """How the command line calls an argument."""
    return POSITIONAL.get(argument, f"--{argument.replace('_', '-')}")


def _in_options(text: str) -> str:
    """A message with options in place of the arguments in backticks: `tile` -> --tile, `a_b=True` -> --a-b."""

    def option(match: re.Match[str]) -> str:
        name, value = match.groups()
        return option_of(name) if value in (None, "True") else f"{option_of(name)} {value}"

    return re.sub(r"`([a-z_]+)(?:=([\w.]+))?`", option, text)


def _raised_in_the_core(error: Exception) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] == "kds_ref"


@contextlib.contextmanager
def _interrupts_by_name() -> Iterator[None]:
    """Context manager: an error after Ctrl-C is a KeyboardInterrupt.

    Libraries turn one that reaches them at a bad moment into errors of their own: weights that "cannot be loaded".
    """
    # Python sets handlers in the main thread only, and a handler that somebody else has set stays.
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return

    # A flag, since the interrupt itself may be lost on its way through a library.
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    except Exception as error:
        if came:
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, before)
