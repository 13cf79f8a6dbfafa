"""What conversion refuses, in words for the person at the terminal; this file imports nothing of the project."""


class ConvertError(Exception):
    """A run cannot be compiled or published; the text says what was expected, what came and where."""


class BundleError(Exception):
    """A key, a signature or a bundle cannot be used; the text says what was expected, what came and where."""
