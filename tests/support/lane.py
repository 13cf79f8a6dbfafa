"""The two ways through a server, which must answer alike: with the lane and without it."""

import pytest

LANE_FLAGS = {"lane": (), "no-lane": ("--no-lane",)}
BOTH_WAYS = [pytest.param(flags, id=name) for name, flags in LANE_FLAGS.items()]
"""For parametrized tests and fixtures: the flags of the server."""
