"""Many requests sent at once over a connection, of any kind, are answered in order, and others are served."""

import gzip
import re
from concurrent.futures import ThreadPoolExecutor

from tests.chaos.good_client import (
    FEATURES,
    FLOWER,
    FLOWERS,
    HEALTH,
    answer,
    good_client_of,
)
from tests.support.server_process import ServerProcess
from tests.support.wire import BODY, Wire, post, wire_to

ROWS = b"[%s]" % b",".join(FLOWERS)
ASKED = (
    *(post(flower) for flower in FLOWERS),
    *(post(BODY.replace(name.encode(), b"no feature")) for name in FEATURES),
    post(b"{"),
    post(target=b"/nope"),
    post(ROWS, target=b"/iris/predict/rows"),
    post(FLOWER, target=b"/iris/predict?probabilities=true"),
    HEALTH,
    post(gzip.compress(ROWS, mtime=0), b"content-encoding: gzip", target=b"/iris/predict/rows"),
    post(gzip.compress(ROWS, mtime=0), b"content-type: application/gzip", target=b"/iris/predict/rows"),
)
PROBABILITY = re.compile(rb"(?<=:)[0-9]\.[0-9]+(e-[0-9]+)?")
STATUSES = [200] * 3 + [422] * 4 + [400, 404, 200, 200, 200, 415, 415]


def ask(wire: Wire, *requests: bytes) -> list[tuple[int, bytes]]:
    """Sends all requests at once; gives the status and body of each answer, probabilities to four places.

    In float32 what is behind these moves with the batch, by less than a millionth.
    """
    wire.send(*requests)
    return [(status, PROBABILITY.sub(_round, body)) for status, _, body in (wire.response() for _ in requests)]


def _round(number: re.Match[bytes]) -> bytes:
    return b"%.4f" % float(number[0])


def test_a_storm_of_pipelines_is_answered_in_order(server: ServerProcess) -> None:
    alone = []
    for request in ASKED:
        with wire_to(server) as wire:
            alone += ask(wire, request)
    assert [status for status, _ in alone] == STATUSES
    assert len(set(alone)) == len(ASKED)

    def storm(seed: int) -> None:
        order = [(seed + number * (number + seed)) % len(ASKED) for number in range(100)]
        flower, label = list(FLOWERS.items())[seed % len(FLOWERS)]
        with wire_to(server) as wire:
            assert ask(wire, *(ASKED[number] for number in order)) == [alone[number] for number in order]
            wire.send(post(b"", b"expect: 100-continue", b"content-length: %d" % len(flower)))
            assert wire.response(has_body=False)[0] == 100
            assert ask(wire, flower) == [(200, label)]

    with good_client_of(server) as client, ThreadPoolExecutor(20) as threads:
        for _ in client.rounds(3):
            list(threads.map(storm, range(20)))


def test_a_head_that_is_cut_behind_many_requests_is_not_taken_for_an_endless_one(server: ServerProcess) -> None:
    many = 200
    with good_client_of(server) as client:
        for _ in client.rounds(20):
            with wire_to(server) as wire:
                answers = ask(wire, *[post()] * (many - 1), post() + post()[:30])
                assert answers + ask(wire, post()[30:]) == [(200, answer("virginica"))] * (many + 1)
