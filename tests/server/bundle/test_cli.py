"""A host that has the server alone can load models from a bundle."""

import re
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest

from server.bundle.checksums import SBOM_FILE
from server.bundle.cli import main
from server.models.repository import list_versions
from tests.convert.bundle.journey import Journey, tree
from tests.support.server_process import ROOT, SERVING

LOAD_AND_LIST_MODULES = """
import sys
before = set(sys.modules)
from server.__main__ import main
try:
    main(["load", *sys.argv[1:]])
except SystemExit as ended:
    print(ended.code, *{name.partition(".")[0] for name in sys.modules.keys() - before})
"""


def base_distributions() -> set[str]:
    """Return the names in the server's lock, which is all that the image installs."""
    lock = (ROOT / "server" / "requirements.lock").read_text()
    return set(re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE))


def test_a_bundle_is_loaded_by_the_servers_own_dependencies_alone(journey: Journey) -> None:
    command = [sys.executable, "-c", LOAD_AND_LIST_MODULES, *journey.flags_of_loading()]
    ended = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    code, *modules = ended.stdout.split()
    assert (code, ended.stderr) == ("0", "iris/1 is published\n")
    assert list_versions(journey.models_dir) == {"iris": [1], "lily": [1]}
    ours = {"server", "training", "convert"} & set(modules)
    assert ours == {"server"}
    distribution_of = packages_distributions()
    loaded = {name.lower().replace("_", "-") for module in modules for name in distribution_of.get(module, ())}
    assert loaded >= {"onnxruntime", "pynacl"}
    assert loaded <= base_distributions()


def test_keys_and_repository_may_come_from_the_servers_variables(journey: Journey) -> None:
    environment = {
        "COROLLA_TRUSTED_KEYS": str(journey.root / "key.pub"),
        "COROLLA_MODELS_DIR": str(journey.models_dir),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "server", "load", str(journey.bundle)]
    said = [
        subprocess.run(command, cwd=journey.root, env=environment, check=True, capture_output=True, text=True)
        for _ in range(2)
    ]
    assert [one.stderr for one in said] == ["iris/1 is published\n", "iris/1 was there already\n"]
    assert list_versions(journey.models_dir)["iris"] == [1]


def test_a_bundle_of_an_image_is_refused_and_what_loads_it_is_named(
    journey: Journey, capsys: pytest.CaptureFixture[str]
) -> None:
    journey.forge(journey.sign_members({SBOM_FILE: b"{}", "image.tar": b"an image"}))
    before = tree(journey.models_dir)
    assert main(journey.flags_of_loading()) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        f"refused: expected models in {journey.bundle}, got an image: `python -m convert.bundle load`"
    )
    assert tree(journey.models_dir) == before


def test_a_missing_bundle_is_refused_by_name(journey: Journey, capsys: pytest.CaptureFixture[str]) -> None:
    journey.bundle.unlink()
    assert main(journey.flags_of_loading()) == 1
    assert capsys.readouterr().err == f"refused: [Errno 2] No such file or directory: '{journey.bundle}'\n"


def test_missing_keys_are_refused_by_name(journey: Journey, capsys: pytest.CaptureFixture[str]) -> None:
    (journey.root / "key.pub").unlink()
    assert main(journey.flags_of_loading()) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "refused: --trusted-keys: expected a readable file or folder of Ed25519 public keys in PEM ("
    )
    assert said.endswith(f", got '{journey.root / 'key.pub'}'\n")


def test_a_forged_bundle_is_refused(journey: Journey, capsys: pytest.CaptureFixture[str]) -> None:
    journey.forge(journey.bundle.read_bytes()[:-1])
    assert main(journey.flags_of_loading()) == 1
    assert capsys.readouterr().err.startswith("refused: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: FILE, --trusted-keys"),
        (["x.tar"], "the following arguments are required: --trusted-keys"),
        (["x.tar", "--trusted-keys", "keys", "--tag", "x"], "unrecognized arguments: --tag x"),
        (["x.tar", "--trusted-keys", "keys", "--models-dir", ""], "argument --models-dir: expected a folder, got ''"),
    ],
)
def test_wrong_arguments_end_with_2(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COROLLA_TRUSTED_KEYS", "")
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_server_loads_nothing_of_bundles() -> None:
    script = f"import sys, {SERVING}; print(*(name for name in sys.modules if name.startswith('server.bundle')))"
    shown = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout == "\n"
