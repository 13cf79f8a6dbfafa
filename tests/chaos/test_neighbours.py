"""Whatever is asked beside a request, right, wrong, huge or fatal, each request gets its own answer."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import msgspec
import numpy as np
import pytest

from server.contract.signature import Label, Signature
from tests.chaos.clients import (
    PATIENT,
    Reply,
    Row,
    as_dicts,
    ask_all,
    draw_rows,
    encode,
    labels_of,
    labels_or_status,
    post_rows,
)
from tests.support.lane import BOTH_WAYS
from tests.support.marked_model import MARK, publish_marked_model
from tests.support.server_process import serving
from tests.support.workshop import Workshop
from training.artifacts import load_artifacts
from training.estimators import Estimator
from training.runlog import RunLog

ROWS = 100_000
MANY = (2, 100)
"""How many rows a request of several has, from and to."""
TOLERANCE = 1e-5


def share_out(rows: int, singles: int, random: np.random.Generator) -> list[int]:
    """Gives the sizes of requests that ask about so many rows, so many of them singly, in a random order."""
    sizes = [1] * singles
    left = rows - singles
    while left:
        sizes.append(min(left, int(random.integers(*MANY, endpoint=True))))
        left -= sizes[-1]
    random.shuffle(sizes)
    return sizes


@pytest.fixture(scope="module")
def signature(iris_workshop: Workshop) -> Signature:
    return iris_workshop.manifest().signature


@pytest.fixture(scope="module")
def estimator(iris_workshop: Workshop) -> Estimator:
    data_dir = iris_workshop.data_dir
    return load_artifacts(data_dir / "runs" / "1", RunLog(data_dir).find(1)).estimator


@attrs.frozen
class Known:
    """Rows, and what the estimator itself says of each."""

    rows: list[bytes]
    labels: list[Label]
    probabilities: list[dict[str, float]]


@pytest.fixture(scope="module")
def known(signature: Signature, estimator: Estimator) -> Known:
    """Unique rows; none for which two labels are as likely, so that the compiled model may well choose the other."""
    drawn = draw_rows(signature, ROWS + 1000, np.random.default_rng(1)).drop_duplicates()
    second, first = np.sort(estimator.predict_proba(drawn), axis=1)[:, -2:].T
    rows = drawn[first - second > TOLERANCE][:ROWS]
    assert len(rows) == ROWS
    labels = estimator.predict(rows).tolist()
    # Between neighbours that are all alike nothing could be seen to be swapped.
    assert sum(label != following for label, following in itertools.pairwise(labels)) > ROWS / 3
    return Known(
        rows=[encode(row) for row in as_dicts(rows.columns, rows.to_numpy())],
        labels=labels,
        probabilities=as_dicts(map(str, signature.labels), estimator.predict_proba(rows)),
    )


@attrs.frozen
class Question:
    """A request about some of the known rows; every fourth asks for the probabilities."""

    at: slice
    with_probabilities: bool

    def to_request(self, known: Known) -> bytes:
        return post_rows("iris", known.rows[self.at], "?probabilities=true" if self.with_probabilities else "")

    def is_answered_by(self, reply: Reply | None, known: Known) -> bool:
        if reply is None or reply[0] != 200:
            return False
        are_labels_right = labels_of(reply) == known.labels[self.at]
        if not self.with_probabilities:
            return are_labels_right
        told = msgspec.json.decode(reply[1])["probabilities"]
        return are_labels_right and are_close(told if isinstance(told, list) else [told], known.probabilities[self.at])


def are_close(found: Sequence[Mapping[str, float]], expected: Sequence[Mapping[str, float]]) -> bool:
    return len(found) == len(expected) and all(
        a.keys() == b.keys() and all(abs(a[label] - b[label]) <= TOLERANCE for label in b)
        for a, b in zip(found, expected, strict=True)
    )


def questions_about(rows: int, singles: int) -> list[Question]:
    sizes = share_out(rows, singles, np.random.default_rng(2))
    ends = list(itertools.accumulate(sizes))
    return [
        Question(slice(end - size, end), with_probabilities=number % 4 == 0)
        for number, (size, end) in enumerate(zip(sizes, ends, strict=True))
    ]


@pytest.mark.parametrize(
    ("flags", "singles"),
    [
        ((), 60_000),
        (("--no-lane",), 30_000),
        (("--coalescing", "worker"), 30_000),
        (("--coalescing", "worker", "--no-lane"), 20_000),
    ],
    ids=["lane", "no-lane", "lane-worker", "no-lane-worker"],
)
def test_none_of_100_000_rows_is_swapped_or_lost(
    iris_workshop: Workshop, known: Known, flags: tuple[str, ...], singles: int
) -> None:
    questions = questions_about(ROWS, singles)
    requests = [question.to_request(known) for question in questions]
    with serving(iris_workshop.models_dir, *PATIENT, *flags) as server:
        replies = ask_all(server, requests)
        assert [number for number, reply in enumerate(replies) if reply is None] == []
        pairs = enumerate(zip(questions, replies, strict=True))
        assert [number for number, (question, reply) in pairs if not question.is_answered_by(reply, known)] == []
        assert server.metric("corolla_rows_total") == ROWS
        assert server.metric("corolla_batches_total") < len(requests)  # else no request had a neighbour


def without(row: Row, name: str) -> bytes:
    return encode({other: value for other, value in row.items() if other != name})


def as_text(row: Row, name: str) -> bytes:
    return encode({**row, name: str(row[name])})


def beyond_fp32(row: Row, name: str) -> bytes:
    return encode({**row, name: 1e39})


def broken(row: Row, name: str) -> bytes:
    return encode(row).replace(f'"{name}":'.encode(), f'"{name}"'.encode())


SPOILT: Sequence[tuple[Callable[[Row, str], bytes], int]] = [
    (without, 422),
    (as_text, 422),
    (beyond_fp32, 422),
    (broken, 400),
]


@pytest.mark.parametrize("way", BOTH_WAYS)
def test_bad_rows_fail_alone_and_their_neighbours_are_answered_as_if_alone(
    iris_workshop: Workshop, signature: Signature, estimator: Estimator, way: tuple[str, ...]
) -> None:
    """Of 3,000 requests every tenth has one bad row: singly, or in the middle of others."""
    random = np.random.default_rng(3)
    sizes = share_out(7_500, 2_700, random)
    rows = draw_rows(signature, sum(sizes), random)
    labels = iter(estimator.predict(rows).tolist())
    dicts = iter(as_dicts(rows.columns, rows.to_numpy()))
    names = itertools.cycle(rows.columns)
    spoilt = itertools.cycle(SPOILT)
    requests: list[bytes] = []
    expected: list[int | list[Label]] = []
    for number, size in enumerate(sizes):
        own, right = list(itertools.islice(dicts, size)), list(itertools.islice(labels, size))
        encoded = [encode(row) for row in own]
        expected.append(right)
        if number % 10 == 0:
            spoil, expected[-1] = next(spoilt)
            encoded[size // 2] = spoil(own[size // 2], next(names))
        requests.append(post_rows("iris", encoded))
    with serving(iris_workshop.models_dir, *PATIENT, "--coalescing", "worker", *way) as server:
        alone = ask_all(server, requests, clients=1)
        batches = server.metric("corolla_batches_total")
        together = ask_all(server, requests)
        assert server.metric("corolla_batches_total") < 1.5 * batches  # else few had neighbours
    assert [labels_or_status(reply) for reply in alone] == expected
    assert together == alone


@pytest.fixture
def marked(iris_workshop: Workshop, tmp_path: Path) -> Path:
    publish_marked_model(tmp_path, iris_workshop.manifest())
    return tmp_path


def mark(row: Row, name: str) -> Row:
    return {**row, name: MARK + 1}


@pytest.mark.parametrize("way", BOTH_WAYS)
def test_a_row_that_the_model_fails_on_fails_alone(marked: Path, signature: Signature, way: tuple[str, ...]) -> None:
    """Of 240 requests in flight together every tenth has such a row; every sixth asks about several rows."""
    first, *others = (feature.name for feature in signature.features)
    rows = draw_rows(signature, 400, np.random.default_rng(4))
    dicts: Iterator[Row] = iter(as_dicts(rows.columns, rows.to_numpy()))
    requests: list[bytes] = []
    expected: list[int | list[Label]] = []
    for number in range(240):
        own = list(itertools.islice(dicts, 5 if number % 6 == 0 else 1))
        expected.append([signature.labels[int(np.argmax([row[name] for name in others]))] for row in own])
        if number % 20 == 0 or number % 20 == 9:
            own[len(own) // 2] = mark(own[len(own) // 2], first)
            expected[-1] = 500
        requests.append(post_rows("marked", [encode(row) for row in own]))
    with serving(marked, *PATIENT, "--coalescing", "worker", *way) as server:
        replies = ask_all(server, requests, clients=len(requests))
        assert [labels_or_status(reply) for reply in replies] == expected
        assert server.metric("corolla_batches_total") < len(requests) / 2


def test_a_run_that_fails_leaves_nothing_but_json_in_the_log(marked: Path, signature: Signature) -> None:
    row = {feature.name: MARK + 1 for feature in signature.features}
    with serving(marked) as server:
        (reply,) = ask_all(server, [post_rows("marked", [encode(row)])], clients=1)
        assert labels_or_status(reply) == 500
        told = server.log_file.read_text().splitlines()
    assert [line for line in told if not line.startswith("{")] == []
