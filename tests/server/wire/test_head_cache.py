"""Only what is surely a whole head is kept, and never more than a little of it."""

import pytest

from server.wire.head_cache import MAX_HEAD_BYTES, MAX_HEADS, Heads

HEAD = b"POST /iris/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"


def test_the_head_of_a_whole_request_is_kept_without_its_body() -> None:
    heads = Heads[str]()
    heads.learn(HEAD + b"{}", 2, "iris")
    assert heads.meanings == {HEAD: "iris"}


@pytest.mark.parametrize(
    ("request_", "body_bytes"),
    [
        (HEAD + b"{", 2),
        (HEAD + b"{}{", 2),
        (HEAD + b"{}" + HEAD + b"{}", 2),
        (b"\r\n\r\n" + HEAD + b"{}", 2),
        (b"", 2),
        (HEAD.removesuffix(b"\r\n"), 2),
        (HEAD + b"2\r\n{}\r\n0\r\n\r\n", 0),
        (HEAD.replace(b"a", b"a" * MAX_HEAD_BYTES) + b"{}", 2),
    ],
    ids=["short", "long", "two", "blank lines first", "nothing", "no end", "chunked", "too long to keep"],
)
def test_anything_else_is_not_kept(request_: bytes, body_bytes: int) -> None:
    heads = Heads[str]()
    heads.learn(request_, body_bytes, "iris")
    assert heads.meanings == {}


def test_ever_new_heads_take_no_more_room() -> None:
    heads = Heads[int]()
    for number in range(3 * MAX_HEADS):
        heads.learn(HEAD.replace(b"a", b"%d" % number) + b"{}", 2, number)
        assert len(heads.meanings) <= MAX_HEADS
    assert heads.meanings[HEAD.replace(b"a", b"%d" % number)] == number
