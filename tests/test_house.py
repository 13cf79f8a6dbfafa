"""The plan of the house: which room may import which, and what the server's process never loads.

docs/architecture.md tells the same, and is held to it.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.support.server_process import SERVING

ROOT = Path(__file__).parents[1]
ROOMS = ("training", "convert", "server")
MAY_IMPORT = {"training": {"training", "server"}, "server": {"server"}, "convert": {"convert", "training", "server"}}
TRAINING_MAY_IMPORT = {"server.contract", "server.disk", "server.errors"}

# The floors of a room, from the lowest up: a package or file imports from its own package and from lower floors only.
FLOORS = {
    "server": (
        {"errors", "disk"},
        {"contract", "coalescing", "wire"},
        {"codec", "telemetry"},
        {"models"},
        {"bundle", "settings"},
        {"host"},
        {"api"},
        {"app", "doctor"},
        {"listener"},
        {"process"},
        {"__main__"},
    ),
    "convert": (
        {"errors"},
        {"converters", "bundle"},
        {"compile"},
        {"parity"},
        {"publishing"},
        {"report"},
        {"cli"},
        {"train_export"},
        {"__main__"},
    ),
}
ERRORS_ALONE = ("contract", "coalescing", "wire")
NEVER_LOADED = ("sklearn", "pandas", "skl2onnx", "onnx", "joblib", "skops", "scipy", "training", "convert")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()


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


def package_of(path: Path) -> str:
    """Names the package or file of a room that a file belongs to."""
    return path.relative_to(ROOT).parts[1].removesuffix(".py")


def packages_known_to(path: Path, room: str) -> set[str]:
    """Names the other packages and files of a room that a file of it imports."""
    known = {name.split(".")[1] for name in imports(path) if name.startswith(f"{room}.")}
    return known - {package_of(path)}


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


def test_training_knows_the_floor_of_the_server_alone() -> None:
    for path in modules("training"):
        known = {".".join(name.split(".")[:2]) for name in imports(path) if name.startswith("server.")}
        assert known <= TRAINING_MAY_IMPORT, path


@pytest.mark.parametrize("room", FLOORS)
def test_inside_a_room_packages_import_from_lower_floors_only(room: str) -> None:
    floor_of = {package: number for number, packages in enumerate(FLOORS[room]) for package in packages}
    assert floor_of.keys() == {package_of(path) for path in modules(room)}
    for path in modules(room):
        for package in packages_known_to(path, room):
            assert floor_of[package] < floor_of[package_of(path)], f"{path} imports {room}.{package}"


@pytest.mark.parametrize("package", ERRORS_ALONE)
def test_a_package_of_the_server_knows_errors_alone(package: str) -> None:
    for path in modules(f"server/{package}"):
        assert packages_known_to(path, "server") <= {"errors"}, path


@pytest.mark.parametrize("room", ROOMS)
def test_the_inits_stay_empty(room: str) -> None:
    for path in (ROOT / room).rglob("__init__.py"):
        assert path.read_text() == ""


def test_what_serves_knows_nothing_of_the_doctor() -> None:
    """Its command may ask for it by name; no server has it in memory."""
    for path in modules("server"):
        if package_of(path) not in {"doctor", "__main__"}:
            assert "doctor" not in packages_known_to(path, "server"), path
    script = f"import sys, {SERVING}; print(*(name for name in sys.modules if name.startswith('server.doctor')))"
    shown = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout == "\n"


def test_the_servers_process_loads_nothing_of_training() -> None:
    script = f"import sys, {SERVING}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    shown = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(shown.stdout.split()) & set(NEVER_LOADED) == set()


@pytest.mark.parametrize("room", ROOMS)
def test_no_file_of_ours_reads_a_pickle(room: str) -> None:
    for path in modules(room):
        assert not imports(path) & {"pickle", "joblib", "dill", "cloudpickle"}, path


def section(heading: str) -> str:
    """Return the part of the architecture page from a heading to the next of any level."""
    return re.split(r"^#+ ", ARCHITECTURE.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def quoted(text: str) -> set[str]:
    """Return what stands between backticks."""
    return set(re.findall(r"`([^`\n]+)`", text))


@pytest.mark.parametrize("room", FLOORS)
def test_the_architecture_page_draws_the_floors(room: str) -> None:
    drawn = [set(row.split()) for row in re.findall(r"^\| ([^|`]+) \|$", section(f"`{room}/`"), re.MULTILINE)]
    assert drawn[::-1] == list(FLOORS[room])


@pytest.mark.parametrize("room", FLOORS)
def test_the_architecture_page_says_what_each_part_of_a_room_does(room: str) -> None:
    told = set(re.findall(r"^\| `([^`]+)` \| \w", section(f"`{room}/`"), re.MULTILINE))
    assert told == {
        f"{room}/{part}{'/' if (ROOT / room / part).is_dir() else '.py'}" for part in set().union(*FLOORS[room])
    }


def test_the_architecture_page_names_every_file_of_training() -> None:
    assert quoted(section("`training/`")) >= {f"training/{path.name}" for path in modules("training")}


def test_the_architecture_page_names_the_arrows_between_rooms() -> None:
    named = quoted(section("Arrows between rooms"))
    assert {name for name in named if name.startswith("server.")} == TRAINING_MAY_IMPORT
    assert named == {*ROOMS, *TRAINING_MAY_IMPORT, *NEVER_LOADED}
    assert f"{'`, `'.join(ERRORS_ALONE[:-1])}` and `{ERRORS_ALONE[-1]}` import `errors` alone" in ARCHITECTURE


def test_files_that_the_architecture_page_names_exist() -> None:
    for name in quoted(ARCHITECTURE):
        if name.split("/")[0] in {*ROOMS, "tests", "docs"} and "/" in name:
            assert (ROOT / name).exists(), name


def test_classes_and_methods_that_the_architecture_page_names_exist() -> None:
    files = [ast.parse(path.read_text()) for room in ROOMS for path in modules(room)]
    classes = [node for file in files for node in ast.walk(file) if isinstance(node, ast.ClassDef)]
    known = {kind.name for kind in classes} | {
        f"{kind.name}.{part.name}" for kind in classes for part in kind.body if isinstance(part, ast.FunctionDef)
    }
    named = {name for name in quoted(ARCHITECTURE) if re.fullmatch(r"([A-Z][a-z]+)+(\.[a-z_]+)?", name)}
    assert named
    assert named - {"Iris.csv"} <= known
