"""What the command lines share: errors that a user can cause are one line and exit status 2, never a traceback."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from real.errors import UserError
from real.parallel.environment import ReportedElsewhereError, launched_size

__all__ = ["leave", "run_command"]


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


def run_command(command: Callable[[], int], *, prog: str) -> int:
    """Run `command` and turn the errors that a user can cause into one line on stderr and exit status 2.

    Warnings become one line, too.

    Args:
        command: Does the work and returns an exit status.
        prog: Name of the program in front of the message.

    Returns:
        The exit status: that of `command`, 2 for a user's error, 130 when interrupted.
    """
    plain = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"{prog}: warning: {message}\n"
    try:
        with _interrupts_by_name():
            return command()
    except (UserError, ValueError, TypeError, OSError, FloatingPointError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"{prog}: error: {text}", file=sys.stderr)
        return 2
    except ReportedElsewhereError:
        return 2
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return 130
    finally:
        warnings.formatwarning = plain


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
