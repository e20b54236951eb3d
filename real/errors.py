"""The error that a user can put right; every room may raise it, the command line makes one line of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = ["UserError", "blaming", "out_of_memory"]

MEMORY = ("allocate memory", "not enough memory", "out of memory", "bad allocation", "bad_alloc", "a memory object")


class UserError(ValueError):
    """Something that the user can put right: the message says what is accepted, what came, and the remedy.

    In a message an argument stands in backticks, `argument` or `argument=VALUE`. The command line, and nothing below
    it, writes options instead: `--argument` and `--argument VALUE`.

    Args:
        message: Text without the name of the argument in front.
        argument: Name of the argument whose value cannot be used; None where it is not one argument.

    Example:
        >>> print(UserError("must be an existing file, got 'x.png'", argument="mask"))
        mask must be an existing file, got 'x.png'
    """

    def __init__(self, message: str, *, argument: str | None = None) -> None:
        self.message, self.argument = message, argument
        super().__init__(message if argument is None else self.naming(argument))

    def naming(self, what: str) -> str:
        """The message with a name in front: "steps must be ..., got ...", or "metrics: ..."."""
        between = " " if self.message.startswith("must ") else ": "
        return f"{what}{between}{self.message}"


@contextlib.contextmanager
def blaming(argument: str) -> Iterator[None]:
    """Context manager: errors inside name this argument, as the code that raises them cannot know its name here."""
    try:
        yield
    except UserError as error:
        raise UserError(error.message, argument=argument) from error


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; torch's, of every device, are known by name and text."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in MEMORY)
