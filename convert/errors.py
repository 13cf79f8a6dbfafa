"""What conversion refuses, in words for the person at the terminal."""

from server.errors import CorollaError


class ConvertError(CorollaError):
    """A run cannot be compiled or published; the text says what was expected, what came and where."""
