"""The error that a user can put right; every room may raise it, the command line makes one line of it."""

from __future__ import annotations

__all__ = ["UserError"]


class UserError(Exception):
    """Something that the user can put right; the message says what came, what is accepted and the remedy."""
