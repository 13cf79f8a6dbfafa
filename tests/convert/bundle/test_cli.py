"""The commands of bundles end with an exit code and name what is wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from convert.bundle.cli import main
from server.models.repository import list_versions
from tests.convert.bundle.journey import Journey
from tests.support.server_process import ROOT
from tests.support.workshop import Workshop


def test_a_host_that_loads_needs_nothing_but_the_servers_dependencies(journey: Journey) -> None:
    script = (
        "import sys; from convert.bundle.cli import main; code = main(sys.argv[1:]);"
        "print(code, *sorted({name.split('.')[0] for name in sys.modules}))"
    )
    command = [sys.executable, "-c", script, "load", *journey.flags_of_loading()]
    code, *loaded = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert code == "0"
    foreign = {"sklearn", "pandas", "skl2onnx", "onnx", "joblib", "skops", "scipy", "cryptography", "cyclonedx"}
    assert set(loaded) & foreign == set()


@pytest.mark.parametrize("arguments", [[], ["open"], ["load", "x"], ["write", "x"], ["sign"], ["keygen"]])
def test_wrong_arguments_end_with_2(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COROLLA_TRUSTED_KEYS", "")
    assert main(arguments) == 2


def test_the_command_gives_its_code_to_the_shell(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "convert.bundle", "keygen", str(tmp_path / "key")]
    assert [subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode for _ in "ab"] == [0, 1]


def test_the_trusted_keys_may_come_from_the_servers_variable(journey: Journey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COROLLA_TRUSTED_KEYS", str(journey.root / "key.pub"))
    monkeypatch.setenv("COROLLA_MODELS_DIR", str(journey.models_dir))
    assert main(["load", str(journey.bundle)]) == 0
    assert list_versions(journey.models_dir)["iris"] == [1]


@pytest.mark.parametrize("missing", ["the bundle", "the trusted keys", "the signing key"])
def test_what_is_not_there_is_refused_and_named(
    journey: Journey, workshop: Workshop, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = {"the bundle": journey.bundle, "the trusted keys": journey.root / "key.pub"}.get(
        missing, journey.root / "key"
    )
    file.unlink()
    assert (journey.write(workshop) if missing == "the signing key" else journey.load()) == 1
    told = capsys.readouterr().err
    assert told.startswith("refused: ")
    assert str(file) in told
