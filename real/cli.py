"""What the command lines share: errors that a user can cause are one line and exit status 2, never a traceback."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

__all__ = ["UserError", "run_command"]


class UserError(Exception):
    """Something that the user can put right; the message says what came, what is accepted and the remedy."""


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
        return command()
    except (UserError, ValueError, TypeError, OSError, FloatingPointError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"{prog}: error: {text}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{prog}: interrupted", file=sys.stderr)
        return 130
    finally:
        warnings.formatwarning = plain
