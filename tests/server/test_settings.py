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
        keep_alive_s=120,
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
        "COROLLA_KEEP_ALIVE_S": "75",
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
        keep_alive_s=75,
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
        (
            [],
            {"COROLLA_PORT": "http://x:80"},
            "COROLLA_PORT: expected a whole number from 0 to 65535, got 'http://x:80'",
        ),
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


def service_variables(service: str, port: int, protocol: str = "tcp", address: str = "10.0.0.1") -> dict[str, str]:
    """Gives what the kubelet sets for a service of one named port (pkg/kubelet/envvars)."""
    name, url = service.upper().replace("-", "_"), f"{protocol}://{address}:{port}"
    one = f"{name}_PORT_{port}_{protocol.upper()}"
    return {
        f"{name}_SERVICE_HOST": address.strip("[]"),
        f"{name}_SERVICE_PORT": str(port),
        f"{name}_SERVICE_PORT_HTTP_API": str(port),
        f"{name}_PORT": url,
        one: url,
        f"{one}_PROTO": protocol,
        f"{one}_PORT": str(port),
        f"{one}_ADDR": address.strip("[]"),
    }


@pytest.mark.parametrize(
    "service",
    [
        "corolla",
        "corolla-api",
        "corolla-max-batch-rows",
        "corolla-port",
        "corolla-host",
        "corolla-service",
        "corolla-port-80-tcp",
    ],
)
@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
@pytest.mark.parametrize("address", ["10.0.0.1", "[fd00::1]"])
def test_variables_of_a_kubernetes_service_change_nothing_and_are_logged_once(
    service: str, protocol: str, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    variables = service_variables(service, 80, protocol, address)
    with caplog.at_level("INFO"):
        assert read_settings([], {**variables, "COROLLA_WORKERS": "3"}) == Settings(workers=3)
    assert [record.__dict__["context"] for record in caplog.records] == [{"variables": sorted(variables)}]


def test_a_port_of_ones_own_stands_beside_a_service_of_the_same_name(caplog: pytest.LogCaptureFixture) -> None:
    """Kubernetes lets what the pod's own specification sets win."""
    with caplog.at_level("INFO"):
        assert read_settings([], {**service_variables("corolla", 80), "COROLLA_PORT": "8080"}) == Settings(port=8080)
    (record,) = caplog.records
    assert "COROLLA_PORT" not in record.__dict__["context"]["variables"]


@pytest.mark.parametrize("name", ["COROLLA_API_PORT", "COROLLA_SERVICE", "COROLLA_PORT_80", "COROLLA_PORT_X_TCP"])
def test_a_variable_that_no_service_sets_is_refused_beside_those_that_one_does(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^unknown: {name}; expected "):
        read_settings([], {**service_variables("corolla", 80), name: "9000"})


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
