"""The README tells of every recipe, route and setting, and its commands are the ones that CI runs."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import attrs
import httpx
import pytest

from server.settings import Settings
from tests.conftest import SLOW, TESTS
from tests.support.locks import pythons_of_ci
from tests.support.server_process import ROOT, serving
from tests.support.workshop import Workshop

README = (ROOT / "README.md").read_text()
PAGES = sorted(path for folder in (".", "docs", "data", "models") for path in (ROOT / folder).glob("*.md"))


def recipes() -> dict[str, str]:
    dumped = subprocess.run(
        [Path(sys.executable).with_name("just"), "--dump", "--dump-format", "json"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return {name: recipe["doc"] for name, recipe in json.loads(dumped.stdout)["recipes"].items()}


def shell_lines() -> list[str]:
    """Gives the one-line commands of the README's first two blocks."""
    return [line for line in README.splitlines() if line.startswith("python3 -m venv")]


def test_every_recipe_is_in_the_readme_and_says_what_it_does() -> None:
    for name, doc in recipes().items():
        assert doc, f"just {name} has no comment"
        assert name == "default" or f"just {name}" in README, name


def test_just_alone_lists_the_recipes() -> None:
    without_just = {**os.environ, "PATH": "/usr/bin:/bin"}
    listed = subprocess.run(
        [Path(sys.executable).with_name("just")], cwd=ROOT, env=without_just, capture_output=True, text=True, check=True
    )
    assert all(name in listed.stdout for name in recipes())


@pytest.mark.parametrize("field", attrs.fields(Settings), ids=lambda field: field.name)
def test_every_setting_is_in_the_readme_with_its_default(field: "attrs.Attribute[object]") -> None:
    flag = "--" + field.name.replace("_", "-")
    row = f"| `COROLLA_{field.name.upper()}` | `{flag}` | `{field.default}` | {field.metadata['about']} |"
    assert row in README


def test_every_route_is_in_the_readme(iris_workshop: Workshop) -> None:
    with serving(iris_workshop.models_dir) as server:
        paths = httpx.get(f"{server.url}/openapi.json").json()["paths"]
    for path, item in paths.items():
        for method in item:
            assert f"`{method.upper()} {path.replace('/iris/', '/{model}/')}`" in README


def test_the_two_commands_need_python_alone_and_ci_runs_the_second() -> None:
    first, second = shell_lines()
    for line, lock, recipe in ((first, "requirements.lock", "quickstart"), (second, "tests/requirements.lock", "test")):
        install = f".venv/bin/pip install -q --no-compile -r {lock}"
        assert line == f"python3 -m venv .venv && {install} && .venv/bin/just {recipe}"
    assert second in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_readme_tells_which_pythons_are_tested() -> None:
    oldest, newest = pythons_of_ci()
    assert f"run on Python {oldest} and {newest}," in README
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={oldest}"


def test_what_the_quick_tests_leave_out_is_there() -> None:
    assert [place for place in SLOW if not (TESTS / place).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_readme_links_to_every_other_page() -> None:
    linked = {(ROOT / target).resolve() for target in re.findall(r"\]\(([^)]+\.md)\)", README)}
    assert linked == set(PAGES) - {ROOT / "README.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_recipes_that_a_page_names_exist(page: Path) -> None:
    code = re.findall(r"```sh\n(.*?)```|`([^`\n]+)`", page.read_text(), re.DOTALL)
    lines = [line for block, span in code for line in (block or span).splitlines()]
    named = {name for line in lines for name in re.findall(r"(?:^|&& |/)just ([a-z][a-z-]*)", line)}
    assert named <= recipes().keys()
