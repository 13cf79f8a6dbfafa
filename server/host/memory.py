"""What the host leaves -> how much the server takes on at once, so that it is not killed for want of memory.

What clients can make it hold above all are rows that wait and bodies that are being read; each may have a part of what
is left of the memory once all models are loaded. What a connection itself takes, some kilobytes, is not counted. It
knows nothing of models or connections.
"""

from server.contract.types import MAX_TEXT_CHARS

MAX_QUEUE_ROWS = 65_536
"""More rows than this need not wait for any model, however much memory there is."""
QUEUE_SHARE = 1 / 8
"""The part of what is left that waiting rows may take."""
LEAST_QUEUE_ROWS = 256
"""However little memory there is, so many rows may wait; of few numbers they take less than a megabyte."""
BODIES_SHARE = 1 / 4
"""The part of what is left that the bodies being read may take together."""
PENDING_BYTES = 600
"""What a waiting request takes beside its row's values."""
NUMBER_BYTES = 32
"""What a number in a row takes: a float of 24 bytes, and its place in a tuple."""
TEXT_BYTES = 84 + 4 * MAX_TEXT_CHARS
"""What a category takes at most, as a client may choose to send it: one character beyond the BMP makes each take 4."""


def left_bytes(memory_bytes: int, resident_bytes: int, workers: int) -> int:
    """Gives what one of several workers has left to grow by, once it has loaded its models.

    Args:
        memory_bytes: What all of them may use.
        resident_bytes: What this one has taken.
        workers: How many there are.
    """
    return max(0, memory_bytes // workers - resident_bytes)


def choose_queue_rows(free_bytes: int, numbers: int, categories: int) -> int:
    """Gives the most rows that may wait for a model of that many features of each sort."""
    row_bytes = PENDING_BYTES + NUMBER_BYTES * numbers + TEXT_BYTES * categories
    return max(LEAST_QUEUE_ROWS, min(MAX_QUEUE_ROWS, int(free_bytes * QUEUE_SHARE) // row_bytes))


def choose_body_bytes(free_bytes: int, max_body_bytes: int) -> int:
    """Gives how many bytes of bodies may be read at the same time; of one body at least."""
    return max(max_body_bytes, int(free_bytes * BODIES_SHARE))
