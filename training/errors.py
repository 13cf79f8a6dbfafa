"""What training refuses, in words for the person at the terminal."""

from server.errors import CorollaError


class TrainingError(CorollaError):
    """Something that was asked for cannot be done; the text says what was expected, what came and where."""
