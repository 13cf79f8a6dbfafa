"""Errors of training, in words for the user at the terminal."""

from server.errors import CorollaError


class TrainingError(CorollaError):
    """Training is refused or failed. The text says what was expected, what came, and where."""
