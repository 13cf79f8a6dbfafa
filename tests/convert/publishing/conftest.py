"""The result of the Iris model's precision search."""

import pytest

from convert.compile.export import Compiled
from convert.parity.proof import Proof
from convert.publishing.precision import Attempt, SearchResult
from server.models.session import Session


@pytest.fixture
def result(compiled: Compiled, session: Session, proof: Proof) -> SearchResult:
    return SearchResult(compiled, session, proof, (Attempt("float32", None),))
