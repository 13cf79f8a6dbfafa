"""The plan of the house: which room may import which, and what the server's process never loads."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("training", "convert", "server")
MAY_IMPORT = {"training": {"training"}, "server": {"server"}, "convert": {"convert", "training", "server"}}

# From left to right, as the files of `server` may know each other: each its predecessors only.
SERVER_ORDER = (
    ("errors", "host", "log", "access_log", "watch", "heads", "exchange", "cork", "feeder", "trust"),
    ("signature", "headers", "pending", "isolation", "decoding"),
    ("values",),
    ("explain", "cells", "sizing"),
    ("csv_rows",),
    ("manifest", "session", "codec", "coalescer", "cost"),
    ("repository", "settings", "metrics"),
    ("catalog", "replies", "plan"),
    ("openapi", "desk", "guard"),
    ("routes", "pages", "lane"),
    ("app",),
    ("process",),
    ("__main__",),
)
DOCTOR_ORDER = (
    ("report", "budget", "errors", "process_tree"),
    ("hardware", "checkup", "child", "openloop", "text", "advice"),
    ("rise", "verdict"),
    ("examination",),
    ("cli",),
)
NEVER_LOADED = ("sklearn", "pandas", "skl2onnx", "onnx", "joblib", "skops", "scipy", "training", "convert")


def modules(room: str) -> Iterator[Path]:
    return (path for path in sorted((ROOT / room).rglob("*.py")) if path.name != "__init__.py")


def imports(path: Path) -> set[str]:
    """Gives every module that a file imports, by its full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_no_room_but_those_its_arrows_name(room: str) -> None:
    for path in modules(room):
        rooms = {name.split(".")[0] for name in imports(path)} & set(ROOMS)
        assert rooms <= MAY_IMPORT[room], path


@pytest.mark.parametrize("room", ROOMS)
def test_inside_a_room_no_import_leads_back(room: str) -> None:
    files = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in modules(room)}
    known = {name: imports(path) & files.keys() for name, path in files.items()}
    assert set(TopologicalSorter(known).static_order()) == files.keys()


@pytest.mark.parametrize(("package", "order"), [("server", SERVER_ORDER), ("server.doctor", DOCTOR_ORDER)])
def test_inside_a_package_of_the_server_imports_go_one_way(package: str, order: Sequence[Sequence[str]]) -> None:
    place = {name: step for step, names in enumerate(order) for name in names}
    files = [path for path in ROOT.joinpath(*package.split(".")).glob("*.py") if path.name != "__init__.py"]
    assert set(place) == {path.stem for path in files}
    for path in files:
        known = {name.removeprefix(f"{package}.").split(".")[0] for name in imports(path) if name.startswith(package)}
        assert all(place[name] < place[path.stem] for name in known & set(place)), path


def test_the_coalescer_and_its_parts_know_errors_alone() -> None:
    parts = {"coalescer", "isolation", "pending"}
    for part in parts:
        known = {name.split(".")[1] for name in imports(ROOT / "server" / f"{part}.py") if name.startswith("server.")}
        assert known <= parts | {"errors"}, part


@pytest.mark.parametrize("room", ROOMS)
def test_the_inits_stay_empty(room: str) -> None:
    for path in (ROOT / room).rglob("__init__.py"):
        assert path.read_text() == ""


def test_what_serves_knows_nothing_of_the_doctor() -> None:
    """Its command may ask for it by name; no server has it in memory."""
    for path in (ROOT / "server").glob("*.py"):
        assert path.name == "__main__.py" or not any(name.startswith("server.doctor") for name in imports(path)), path
    script = "import sys, server.__main__; print(*(name for name in sys.modules if name.startswith('server.doctor')))"
    shown = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout == "\n"


def test_the_servers_process_loads_nothing_of_training() -> None:
    script = "import sys, server.__main__; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    shown = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(shown.stdout.split()) & set(NEVER_LOADED) == set()


@pytest.mark.parametrize("room", ROOMS)
def test_no_file_of_ours_reads_a_pickle(room: str) -> None:
    for path in modules(room):
        assert not imports(path) & {"pickle", "joblib", "dill", "cloudpickle"}, path
