"""Flags and COROLLA_ variables -> Settings; a flag wins over its variable, and a bad value is named and refused."""

import argparse
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from server.coalescing.cost import Mode
from server.errors import SettingsError
from server.models.trust import TrustedKeys, read_trusted_keys

logger = logging.getLogger("server")

PREFIX = "COROLLA_"
TRAINING_VARIABLES = frozenset({"COROLLA_DATA_DIR"})
"""Variables of this prefix that are for training, and so no mistake here."""
_SERVICE_NAME = re.compile(
    r"COROLLA(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://\S+")


def _whole_number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return parse


def _switch(text: str) -> bool:
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    except KeyError:
        raise ValueError("true or false") from None


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text

    return parse


def _some_text(text: str) -> str:
    if not text:
        raise ValueError("some text")
    return text


def _directory(text: str) -> Path:
    return Path(_some_text(text))


def _setting(default: Any, parse: Callable[[str], Any], about: str) -> Any:
    return attrs.field(default=default, metadata={"parse": parse, "about": about})


@attrs.frozen
class Settings:
    """How the server runs; each field is a ``COROLLA_`` variable and a flag of the same words."""

    host: str = _setting("127.0.0.1", _some_text, "address to listen on")
    port: int = _setting(8000, _whole_number(0, 65_535), "port to listen on; 0 takes a free one")
    models_dir: Path = _setting(Path("models"), _directory, "the model repository")  # noqa: RUF009  attrs.field is what it gives
    trusted_keys: TrustedKeys | None = _setting(  # noqa: RUF009  as models_dir
        None, read_trusted_keys, "serve versions only that one of these public keys has signed: a PEM file or folder"
    )
    workers: int = _setting(
        0, _whole_number(0, 256), "how many processes serve; 0 chooses by the cores and the memory there are"
    )
    max_batch_rows: int = _setting(
        0, _whole_number(0, 65_536), "the most rows that a session is given at once; 0 chooses by its measured cost"
    )
    max_queue_rows: int = _setting(
        0, _whole_number(0, 2**30), "the most rows that may wait, for each model; 0 chooses by the memory there is"
    )
    deadline_ms: int = _setting(1000, _whole_number(1, 3_600_000), "how long a request may take, in milliseconds")
    coalescing: Mode = _setting(  # noqa: RUF009  as models_dir
        "auto", _one_of("auto", "inline", "worker", "off"), "how requests run together: auto, inline, worker or off"
    )
    max_body_bytes: int = _setting(1_048_576, _whole_number(1, 2**30), "the longest request body that is read")
    keep_alive_s: int = _setting(
        120, _whole_number(1, 3600), "how long a connection is kept open between requests, in seconds"
    )
    no_lane: bool = _setting(default=False, parse=_switch, about="answer every request through ASGI")
    access_log: bool = _setting(default=False, parse=_switch, about="log a line for each request")


def read_settings(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Read the settings of a process.

    Args:
        arguments: Its flags, without the program's name.
        environment: Its environment variables.

    Raises:
        SettingsError: If a value cannot be used, or a ``COROLLA_`` variable is none of the settings'.
        SystemExit: For ``--help``, and for flags that do not exist.
    """
    fields = attrs.fields(Settings)
    own = _leave_out_services(environment)
    variables = {PREFIX + field.name.upper() for field in fields}
    unknown = own.keys() - variables - TRAINING_VARIABLES
    if unknown:
        raise SettingsError(f"unknown: {', '.join(sorted(unknown))}; expected {', '.join(sorted(variables))}")
    flags = vars(make_parser().parse_args(arguments))
    values: dict[str, Any] = {}
    for field in fields:
        variable = PREFIX + field.name.upper()
        if flags[field.name] is not None:
            values[field.name] = _parse(field, flag_of(field.name), flags[field.name])
        elif variable in own:
            values[field.name] = _parse(field, variable, own[variable])
    return Settings(**values)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the server's flags, whose help names each variable and default."""
    parser = argparse.ArgumentParser(
        prog="python -m server",
        description="Serve the newest sound version of every model in the repository over HTTP.",
        epilog="Each flag can be given as the variable named beside it; a flag wins over its variable.",
    )
    for field in attrs.fields(Settings):
        about = f"{field.metadata['about']} (default: {field.default}; variable: {PREFIX}{field.name.upper()})"
        if field.type is bool:
            parser.add_argument(flag_of(field.name), action="store_const", const="true", help=about)
        else:
            parser.add_argument(flag_of(field.name), metavar=field.name.rpartition("_")[2].upper(), help=about)
    return parser


def flag_of(name: str) -> str:
    """Return the flag of a setting: ``max_batch_rows`` -> ``--max-batch-rows``."""
    return "--" + name.replace("_", "-")


def _leave_out_services(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of this prefix that no Kubernetes service has set, and log the names of the others.

    Kubernetes describes every service of a namespace to every container in it. A service called ``corolla`` or
    ``corolla-api`` does so under this prefix: ``COROLLA_SERVICE_HOST``, ``COROLLA_API_PORT_80_TCP_ADDR``. Of all these
    names ``COROLLA_PORT`` alone is a setting's too; a service's value of it is a URL.
    """
    prefixed = {name: text for name, text in environment.items() if name.startswith(PREFIX)}
    of_services = {name for name, text in prefixed.items() if _is_of_a_service(name, text)}
    if of_services:
        logger.info(
            "variables of Kubernetes services are ignored", extra={"context": {"variables": sorted(of_services)}}
        )
    return {name: text for name, text in prefixed.items() if name not in of_services}


def _is_of_a_service(name: str, text: str) -> bool:
    if name.endswith("_PORT") and _SERVICE_URL.fullmatch(text):
        return True
    return _SERVICE_NAME.fullmatch(name) is not None


def _parse(field: "attrs.Attribute[Any]", source: str, text: str) -> Any:
    try:
        return field.metadata["parse"](text)
    except ValueError as error:
        raise SettingsError(f"{source}: expected {error}, got {text!r}") from None
