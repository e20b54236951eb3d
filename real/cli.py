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

__all__ = ["ReportedElsewhereError", "UserError", "launched_rank", "launched_size", "leave", "refuse", "run_command"]


class UserError(Exception):
    """Something that the user can put right; the message says what came, what is accepted and the remedy."""


class ReportedElsewhereError(Exception):
    """This process has to end because of an error that another process of the same run has printed."""


def launched_size() -> int:
    """How many processes torchrun has started for this command; 1 without torchrun."""
    return _number("WORLD_SIZE", 1)


def launched_rank() -> int:
    """Which of them this is, from 0."""
    return _number("RANK", 0) if launched_size() > 1 else 0


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else default


def refuse(message: str) -> NoReturn:
    """End all processes because of something that all of them see alike; the first one says what."""
    raise UserError(message) if launched_rank() == 0 else ReportedElsewhereError(message)


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
