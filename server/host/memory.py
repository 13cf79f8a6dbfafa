"""Memory that is left -> how much one process takes on at once, so that it is not killed for want of memory.

Clients decide about two things that a server holds: rows that wait and request bodies that are being read. Each may
take a fixed share of the memory that is left once all models are loaded. The few kilobytes of a connection itself are
not counted.
"""

from fractions import Fraction

from server.contract.types import MAX_TEXT_CHARS

MAX_QUEUE_ROWS = 65_536
"""The longest queue of a model, however much memory there is."""
QUEUE_SHARE = Fraction(1, 8)
"""The share of the memory left that waiting rows may take, over all models."""
LEAST_QUEUE_ROWS = 256
"""The shortest queue of a model, however little memory there is; of few numbers, its rows take under a megabyte."""
BODIES_SHARE = Fraction(1, 4)
"""The share of the memory left that request bodies being read may take together."""
PENDING_BYTES = 600
"""Memory of a waiting request, beside its row's values."""
NUMBER_BYTES = 32
"""Memory of a number in a row: a float of 24 bytes, and its pointer in a tuple."""
TEXT_BYTES = 84 + 4 * MAX_TEXT_CHARS
"""The most memory of a category: one character beyond the BMP makes each character of a str take 4 bytes."""


def left_bytes(memory_bytes: int, resident_bytes: int, workers: int) -> int:
    """Return the memory that one of several workers may still grow by, once it has loaded its models.

    Args:
        memory_bytes: The memory limit of all workers together.
        resident_bytes: The memory that this worker has now.
        workers: How many workers there are.
    """
    return max(0, memory_bytes // workers - resident_bytes)


def choose_queue_rows(free_bytes: int, numbers: int, categories: int) -> int:
    """Return how many rows may wait for a model.

    Args:
        free_bytes: The model's part of the memory left.
        numbers: How many numeric features a row has.
        categories: How many categorical features a row has.
    """
    row_bytes = PENDING_BYTES + NUMBER_BYTES * numbers + TEXT_BYTES * categories
    return max(LEAST_QUEUE_ROWS, min(MAX_QUEUE_ROWS, int(free_bytes * QUEUE_SHARE) // row_bytes))


def choose_body_bytes(free_bytes: int, max_body_bytes: int) -> tuple[int, str]:
    """Choose how many bytes of request bodies may be read at the same time; one body always may.

    Args:
        free_bytes: The memory left.
        max_body_bytes: The longest body.

    Returns:
        The bytes, and the reason.
    """
    share_bytes = int(free_bytes * BODIES_SHARE)
    if share_bytes < max_body_bytes:
        return max_body_bytes, f"one body of --max-body-bytes, which is more than {BODIES_SHARE} of the memory left"
    return share_bytes, f"{BODIES_SHARE} of the memory left"
