"""The endpoints of the typed prediction API: one row as a JSON object, or many as a JSON array or CSV."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from server.api.endpoint import Encode, Endpoint, Headers, Intake
from server.api.service import Service
from server.contract.signature import Answer, Row
from server.errors import InvalidQueryError
from server.wire.headers import read_headers

_QUERIES = {b"": False, b"probabilities=false": False, b"probabilities=true": True}


class PredictRow:
    """One row in, one answer out: ``POST /{model}/predict``."""

    route = "predict"

    def __init__(self, service: Service) -> None:
        """Prepare what most requests ask for.

        Args:
            service: What answers.
        """
        self.service = service
        self.path = f"/{service.name}/predict"
        self._plain = Intake(
            self, service.timeout_s, _row_decoder(service, probabilities=False), bool(service.codec.known_answers)
        )
        self._detailed = Intake(self, service.timeout_s, _row_decoder(service, probabilities=True))

    def accept(self, query: bytes, headers: Headers) -> Intake:
        """Read the head; see `Endpoint`."""
        intake = self._detailed if _read_query(query) else self._plain
        return _with_timeout(intake, read_headers(headers).timeout_s)


class PredictRows:
    """Many rows in, as many answers out, in their order: ``POST /{model}/predict/rows``."""

    route = "predict_rows"

    def __init__(self, service: Service) -> None:
        """Note what answers.

        Args:
            service: What answers.
        """
        self.service = service
        self.path = f"/{service.name}/predict/rows"

    def accept(self, query: bytes, headers: Headers) -> Intake:
        """Read the head; see `Endpoint`."""
        probabilities, declared = _read_query(query), read_headers(headers, csv=True)
        codec, max_rows = self.service.codec, self.service.coalescer.limits.max_queue_rows
        read = codec.decode_csv if declared.is_csv else codec.decode_rows

        def encode(answers: Sequence[Answer]) -> bytes:
            return codec.encode_answers(answers, probabilities=probabilities)

        def decode(body: bytes) -> tuple[Sequence[Row], Encode]:
            return read(body, max_rows), encode

        return _with_timeout(Intake(self, self.service.timeout_s, decode), declared.timeout_s)


def make_endpoints(services: Iterable[Service]) -> Mapping[bytes, Endpoint]:
    """Make the prediction endpoints of some models, by path."""
    endpoints: list[Endpoint] = [kind(service) for service in services for kind in (PredictRow, PredictRows)]
    return MappingProxyType({endpoint.path.encode(): endpoint for endpoint in endpoints})


def _row_decoder(service: Service, *, probabilities: bool) -> Callable[[bytes], tuple[Sequence[Row], Encode]]:
    """Return what reads a body of one row; it looks up nothing that is the same for every request."""
    decode_row, encode_answer = service.codec.decode_row, service.codec.encode_answer

    def encode(answers: Sequence[Answer]) -> bytes:
        return encode_answer(answers[0], probabilities=probabilities)

    def decode(body: bytes) -> tuple[Sequence[Row], Encode]:
        return (decode_row(body),), encode

    return decode


def _read_query(query: bytes) -> bool:
    """Return whether probabilities are asked for."""
    try:
        return _QUERIES[query]
    except KeyError:
        raise InvalidQueryError("expected no query, or probabilities=true or probabilities=false") from None


def _with_timeout(intake: Intake, timeout_s: float | None) -> Intake:
    """Shorten what the server allows to what the client asks for."""
    if timeout_s is None or timeout_s >= intake.timeout_s:
        return intake
    return Intake(intake.endpoint, timeout_s, intake.decode, intake.is_prepared)
