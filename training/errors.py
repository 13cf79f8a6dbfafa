"""What training refuses, in words for the person at the terminal; this file imports nothing of the project."""


class TrainingError(Exception):
    """Something that was asked for cannot be done; the text says what was expected, what came and where."""
