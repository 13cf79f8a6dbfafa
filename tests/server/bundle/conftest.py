"""The reader of bundles is tested on what the writer makes."""

from tests.convert.bundle.conftest import journey, refuses

__all__ = ["journey", "refuses"]
