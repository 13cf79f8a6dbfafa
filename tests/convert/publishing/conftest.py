"""The Iris model as it came of its search for a precision."""

import pytest

from convert.compile.export import Compiled
from convert.parity.proof import Proof
from convert.publishing.precision import Climb, Rung
from server.models.session import Session


@pytest.fixture
def climbed(compiled: Compiled, session: Session, proof: Proof) -> Climb:
    return Climb(compiled, session, proof, (Rung("float32", None),))
