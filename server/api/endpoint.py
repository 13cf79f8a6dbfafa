"""The seam between transports and models: what a client may ask, and how a request is understood.

    head --Endpoint.accept--> Intake, body --Intake.read--> Call --submit--> answers --Call.encode--> body of the reply

The fast path and the ASGI application find an endpoint in one table, `RouteTable`. Each wire format is an endpoint of
its own. An intake and a call keep the endpoint that made them, and so the service that took the request: a table that
is replaced meanwhile changes nothing for them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import attrs

from server.api.service import Service
from server.contract.signature import Answer, Row
from server.wire.head_cache import HeadCache

Headers = Iterable[tuple[bytes, bytes]]
Encode = Callable[[Sequence[Answer]], bytes]


class Endpoint(Protocol):
    """One thing that clients may ask of one model; it is asked by POST.

    Attributes:
        service: What answers.
        path: Its path, as a client sends it.
        route: What metrics call it.
    """

    @property
    def service(self) -> Service: ...  # noqa: D102  the class says it
    @property
    def path(self) -> str: ...  # noqa: D102  as above
    @property
    def route(self) -> str: ...  # noqa: D102  as above

    def accept(self, query: bytes, headers: Headers) -> "Intake":
        """Read the head of a request, before its body has come.

        Args:
            query: The query string, undecoded.
            headers: Those that `server.wire.headers.select` leaves: names in lower case, and values.

        Raises:
            CorollaError: If the request cannot be answered whatever its body.
        """


class Call(NamedTuple):
    """A request, understood; a tuple, since one is made for every request.

    Attributes:
        intake: What has read it.
        rows: What it asks about.
        deadline_s: When its answer is no longer wanted, on the loop's clock.
        encode: Writes the answers as the body of a reply.
    """

    intake: "Intake"
    rows: Sequence[Row]
    deadline_s: float
    encode: Encode


@attrs.frozen(eq=False)
class Intake:
    """A head, understood: it can read the body of any request that has this head.

    Attributes:
        endpoint: What was asked.
        service: What answers: the endpoint's.
        route: What metrics call it: the endpoint's.
        timeout_s: How long the request may take from its arrival.
        decode: Reads a body: gives the rows, and what writes their answers. It raises a CorollaError.
        is_prepared: Whether the service has the replies to such a request ready, by label.
    """

    endpoint: Endpoint
    timeout_s: float
    decode: Callable[[bytes], tuple[Sequence[Row], Encode]]
    is_prepared: bool = False
    service: Service = attrs.field(init=False)
    route: str = attrs.field(init=False)

    @service.default
    def _service_of_endpoint(self) -> Service:
        return self.endpoint.service

    @route.default
    def _route_of_endpoint(self) -> str:
        return self.endpoint.route

    def read(self, body: bytes, arrived_s: float) -> Call:
        """Read a body.

        Args:
            body: The whole of it.
            arrived_s: When it had arrived, on the loop's clock.

        Raises:
            CorollaError: If it cannot be read.
        """
        rows, encode = self.decode(body)
        return Call(self, rows, arrived_s + self.timeout_s, encode)


@attrs.frozen(eq=False)
class KnownHead:
    """What a cached head means.

    Attributes:
        intake: The head, understood.
        body_bytes: The length of the body that it declares.
    """

    intake: Intake
    body_bytes: int


class RouteTable:
    """The endpoints of a process; connections and the ASGI application look each request up here.

    Attributes:
        endpoints: By path.
        heads: The heads that lead there.
        access_log: Whether each request is logged.
    """

    def __init__(self, endpoints: Mapping[bytes, Endpoint], *, access_log: bool) -> None:
        self.access_log = access_log
        self.endpoints = endpoints
        self.heads: HeadCache[KnownHead] = HeadCache()

    def replace(self, endpoints: Mapping[bytes, Endpoint]) -> None:
        """Swap the table; requests that were taken before are answered by what took them."""
        self.heads.meanings.clear()  # connections may still hold this cache, and with it the services of old
        self.endpoints, self.heads = endpoints, HeadCache()
