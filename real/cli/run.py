"""What the command lines share: errors that a user can cause are one line and exit status 2, never a traceback."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from real.errors import UserError, out_of_memory
from real.parallel.environment import ReportedElsewhereError, launched_size

__all__ = ["leave", "run_command", "say"]

SAVE = (
    "give a smaller --max-batch, --dtype float16, --vae-tiling or --cpu-offload (pipelines), --tile (diffbir, seesr), "
    "fewer --particles, or a smaller photo"
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
    """Print for the user; a terminal that is gone, or a full disk behind it, is no reason to lose a finished run."""
    try:
        print(text, flush=True)
    except OSError:
        # What was not written is still in the buffer, and would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_command(command: Callable[[], int], *, prog: str, save_memory: str = SAVE) -> int:
    """Run `command` and turn the errors that a user can cause into one line on stderr and exit status 2.

    Warnings become one line, too. What the terminal's encoding lacks is written as escapes.

    Args:
        command: Does the work and returns an exit status.
        prog: Name of the program in front of the message.
        save_memory: What to do where memory does not suffice, for the message.

    Returns:
        The exit status: that of `command`, 2 for a user's error, 130 when interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    plain = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"{prog}: warning: {message}\n"
    try:
        with _interrupts_by_name():
            return command()
    except (UserError, ValueError, TypeError, OSError, FloatingPointError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"{prog}: error: {text}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        print(f"{prog}: error: memory does not suffice ({_first_line(error)}); {save_memory}", file=sys.stderr)
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


@contextlib.contextmanager
def _interrupts_by_name() -> Iterator[None]:
    """Context manager: an error after Ctrl-C is a KeyboardInterrupt.

    Libraries turn one that reaches them at a bad moment into errors of their own: weights that "cannot be loaded".
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
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
