"""Settings come from flags and COROLLA_ variables, and a bad one is named."""

from pathlib import Path

import attrs
import pytest

from server.errors import SettingsError
from server.settings import Settings, make_parser, read_settings


def test_without_flags_and_variables_the_defaults_hold() -> None:
    assert read_settings([], {"PATH": "/bin"}) == Settings(
        host="127.0.0.1",
        port=8000,
        models_dir=Path("models"),
        workers=0,
        max_batch_rows=0,
        max_queue_rows=0,
        deadline_ms=1000,
        coalescing="auto",
        max_body_bytes=1_048_576,
        no_lane=False,
        access_log=False,
    )


def test_variables_are_read() -> None:
    environment = {
        "COROLLA_HOST": "::1",
        "COROLLA_PORT": "9000",
        "COROLLA_MODELS_DIR": "/models",
        "COROLLA_WORKERS": "3",
        "COROLLA_MAX_BATCH_ROWS": "8",
        "COROLLA_MAX_QUEUE_ROWS": "80",
        "COROLLA_DEADLINE_MS": "50",
        "COROLLA_COALESCING": "worker",
        "COROLLA_NO_LANE": "1",
        "COROLLA_MAX_BODY_BYTES": "1000",
        "COROLLA_ACCESS_LOG": "true",
    }
    assert read_settings([], environment) == Settings(
        host="::1",
        port=9000,
        models_dir=Path("/models"),
        workers=3,
        max_batch_rows=8,
        max_queue_rows=80,
        deadline_ms=50,
        coalescing="worker",
        max_body_bytes=1000,
        no_lane=True,
        access_log=True,
    )


def test_a_flag_wins_over_its_variable() -> None:
    assert read_settings(["--port", "1", "--access-log"], {"COROLLA_PORT": "2"}) == Settings(port=1, access_log=True)


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--port", "65536"], {}, "--port: expected a whole number from 0 to 65535, got '65536'"),
        (["--port", "²"], {}, "--port: expected a whole number from 0 to 65535, got '²'"),
        ([], {"COROLLA_PORT": ""}, "COROLLA_PORT: expected a whole number from 0 to 65535, got ''"),
        (["--deadline-ms", "0"], {}, "--deadline-ms: expected a whole number from 1 to 3600000, got '0'"),
        ([], {"COROLLA_COALESCING": "on"}, "COROLLA_COALESCING: expected one of auto, inline, worker, off, got 'on'"),
        ([], {"COROLLA_ACCESS_LOG": "yes"}, "COROLLA_ACCESS_LOG: expected true or false, got 'yes'"),
        (["--host", ""], {}, "--host: expected some text, got ''"),
        (["--models-dir", ""], {}, "--models-dir: expected some text, got ''"),
    ],
)
def test_a_bad_value_is_refused_and_named(arguments: list[str], environment: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings(arguments, environment)
    assert str(refused.value) == message


def test_a_misspelt_variable_is_refused_and_named() -> None:
    with pytest.raises(SettingsError, match=r"^unknown: COROLLA_PROT; expected .*COROLLA_PORT"):
        read_settings([], {"COROLLA_PROT": "80"})


def test_trainings_variable_is_no_mistake() -> None:
    assert read_settings([], {"COROLLA_DATA_DIR": "data"}) == Settings()


def test_a_flag_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SystemExit) as ended:
        read_settings(["--prot", "80"], {})
    assert ended.value.code == 2


@pytest.mark.parametrize("field", attrs.fields(Settings), ids=lambda field: field.name)
def test_help_names_each_flag_its_variable_and_its_default(field: "attrs.Attribute[object]") -> None:
    shown = " ".join(make_parser().format_help().split())
    assert f"--{field.name.replace('_', '-')}" in shown
    assert f"(default: {field.default}; variable: COROLLA_{field.name.upper()})" in shown
