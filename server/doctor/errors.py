"""Errors of the doctor, and where each ends.

flags --argparse--> exit code 2
the server under load --NotServingError--> a report without load
"""

from server.errors import CorollaError


class NotServingError(CorollaError):
    """The server that was started does not serve, or no longer serves; the text says why."""
