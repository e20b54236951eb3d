"""The error that a user can put right; every room may raise it, the command line makes one line of it."""

from __future__ import annotations

__all__ = ["UserError", "out_of_memory"]

MEMORY = ("allocate memory", "not enough memory", "out of memory", "bad allocation", "bad_alloc", "a memory object")


class UserError(Exception):
    """Something that the user can put right; the message says what came, what is accepted and the remedy."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory does not suffice; torch's, of every device, are known by name and text."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in MEMORY)
