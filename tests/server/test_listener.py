"""An address is taken at once, and its port opens only when it is said to."""

import socket

import pytest

from server.errors import SettingsError
from server.listener import bind, is_open, log_address, open_port
from server.settings import Settings


def test_a_bound_port_refuses_clients_until_it_is_opened() -> None:
    with bind(Settings(port=0)) as listener:
        assert not is_open(listener)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(listener.getsockname())
        open_port(listener, Settings())
        assert is_open(listener)
        socket.create_connection(listener.getsockname()).close()


def test_a_port_that_another_server_opens_meanwhile_is_named() -> None:
    """Linux lets two sockets bind the same port as long as neither listens."""
    with bind(Settings(port=0)) as first:
        settings = Settings(port=first.getsockname()[1])
        with bind(settings) as second:
            open_port(first, settings)
            with pytest.raises(
                SettingsError, match=f"^cannot listen on --host 127.0.0.1 --port {settings.port}: "
            ) as told:
                open_port(second, settings)
            assert str(told.value).endswith("; choose another with --port, or 0 for a free one")


def test_an_address_that_cannot_be_had_is_named() -> None:
    with pytest.raises(SettingsError, match=r"^cannot listen on --host a\.\.b --port 8000: ") as told:
        bind(Settings(host="a..b"))
    assert "choose another" not in str(told.value)


def test_the_urls_host_is_in_brackets_for_ipv6(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"), bind(Settings(host="::1", port=0)) as listener:
        log_address(listener)
        port = listener.getsockname()[1]
    assert [record.__dict__["context"] for record in caplog.records] == [{"url": f"http://[::1]:{port}"}]
