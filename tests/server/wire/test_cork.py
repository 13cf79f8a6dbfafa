"""What is written in one turn of the loop goes out as one write, in order, and nothing is kept back beyond it."""

import asyncio

from server.wire.cork import Cork


class Transport(asyncio.Transport):
    """Notes what reaches it."""

    def __init__(self) -> None:
        super().__init__()
        self.did: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.did.append(bytes(data))

    def close(self) -> None:
        self.did.append(b"closed")

    def is_closing(self) -> bool:
        return b"closed" in self.did


def corked(*steps: str) -> list[bytes]:
    """Writes each step, or closes, or lets the loop turn; gives what reached the transport."""

    async def scenario() -> list[bytes]:
        transport = Transport()
        cork = Cork(transport, asyncio.get_running_loop())
        for step in steps:
            if step == "close":
                cork.close()
                assert cork.is_closing()
            elif step == "turn":
                await asyncio.sleep(0)
            else:
                cork.write(step.encode())
        return list(transport.did)

    return asyncio.run(scenario())


def test_a_head_and_a_body_are_one_write() -> None:
    assert corked("head", "body") == [b"headbody"]


def test_a_head_without_a_body_goes_out_at_the_next_turn() -> None:
    assert corked("head") == []
    assert corked("head", "turn") == [b"head"]
    assert corked("head", "turn", "body", "turn") == [b"head", b"body"]


def test_an_empty_body_lets_the_head_go() -> None:
    assert corked("head", "") == [b"head"]


def test_many_parts_keep_their_order() -> None:
    assert b"".join(corked("a", "b", "c", "d", "e", "turn", "f", "turn")) == b"abcdef"


def test_what_is_held_is_sent_before_the_connection_closes() -> None:
    assert corked("head", "close") == [b"head", b"closed"]
    assert corked("close") == [b"closed"]
