"""Errors become replies that say what was wrong and nothing about the machine."""

import json
import logging

import pytest
from litestar.exceptions import ClientException, InternalServerException

from server.errors import InvalidRowError, OverloadedError, SessionError, UnanswerableError
from server.wire.replies import STATUSES, reply_to


def test_an_error_nobody_foresaw_is_500_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        for error in (RuntimeError("/etc/secret"), InternalServerException("/etc/secret")):
            reply = reply_to(error)
            assert reply.status == 500
            assert json.loads(reply.body) == {"error": "internal error; the server's log has the cause"}
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


def test_the_frameworks_own_refusals_keep_their_status_and_text() -> None:
    reply = reply_to(ClientException("Invalid host header"))
    assert (reply.status, json.loads(reply.body)) == (400, {"error": "Invalid host header"})


def test_a_failed_session_is_500_without_its_text_which_the_log_has(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        reply = reply_to(SessionError("ExecuteKernel at /build/executor.cc"))
    assert (reply.status, json.loads(reply.body)) == (
        500,
        {"error": "the model failed; the server's log has the cause"},
    )
    assert [record.context for record in caplog.records] == [{"reason": "ExecuteKernel at /build/executor.cc"}]  # type: ignore[attr-defined]  # given as extra


@pytest.mark.parametrize("kind", STATUSES)
def test_a_subclass_of_an_error_has_its_status_and_text(kind: type[Exception]) -> None:
    class Narrower(kind):  # type: ignore[misc, valid-type]  # made for each
        def __init__(self) -> None:
            Exception.__init__(self, "what was wrong")
            self.fields, self.retry_after_s = {"x": "unknown"}, 0.1

    reply = reply_to(Narrower())
    assert reply.status == STATUSES[kind]
    assert (b"what was wrong" in reply.body) == (kind is not SessionError)
    assert (b"fields" in reply.body) == (kind is InvalidRowError)
    assert (reply.headers == ((b"retry-after", b"1"),)) == (kind is OverloadedError)


def test_an_error_that_names_values_is_the_clients_though_a_session_raised_it() -> None:
    assert issubclass(UnanswerableError, SessionError)
    assert reply_to(UnanswerableError("overflow")).status == 422


def test_fields_are_given_only_where_fields_are_at_fault() -> None:
    assert list(json.loads(reply_to(InvalidRowError("no row", {})).body)) == ["error"]
    assert list(json.loads(reply_to(InvalidRowError("a row", {"x": "unknown"})).body)) == ["error", "fields"]
