"""What does not stop the work, but should be known."""

from __future__ import annotations

__all__ = ["Note"]


class Note(UserWarning):
    """A warning for the user, on one line, as the message of an error."""
