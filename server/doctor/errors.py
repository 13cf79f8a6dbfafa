"""What can go wrong on the doctor's way.

flags --argparse--> exit code 2
a server's process --NotServingError--> a report without load
"""


class NotServingError(Exception):
    """The server that was started does not serve, or serves no more; the text is the last that it said."""
