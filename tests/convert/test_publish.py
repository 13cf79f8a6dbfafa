"""A version appears whole or not at all, under a number that is its own, and is never touched again."""

import hashlib
import itertools
import signal
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

import convert.cli
from convert.errors import ConvertError
from convert.parity import Certificate
from convert.publish import TOOLS, Publication, check_name, publish
from server.manifest import GoldenRow, Manifest
from server.repository import MODEL_FILE, list_versions, read_package
from tests.conftest import Workshop
from tests.forked import CONTEXT, end, fork_with_little_disk

PUBLISHERS = 4


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    return tmp_path / "models"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_published_version_is_whole_and_tells_where_it_comes_from(
    publication: Publication, models_dir: Path, iris_workshop: Workshop
) -> None:
    assert publish(models_dir, publication) == models_dir / "iris" / "1"
    assert list_versions(models_dir) == {"iris": [1]}
    package = read_package(models_dir, "iris", 1)
    assert package.model == publication.compiled.model
    manifest = package.manifest
    assert (manifest.format, manifest.name, manifest.version, manifest.model_name) == (1, "iris", 1, "log_reg_1")
    assert manifest.created_at.endswith("+00:00")
    assert manifest.files == {MODEL_FILE: hashlib.sha256(package.model).hexdigest()}
    assert manifest.signature == publication.compiled.signature
    assert manifest.parity == publication.certificate.parity
    assert manifest.run == iris_workshop.manifest().run
    assert manifest.golden == publication.golden
    assert manifest.tools.keys() == set(TOOLS)


def test_the_manifests_sum_is_in_the_words_of_sha256sum(publication: Publication, models_dir: Path) -> None:
    files = contents(publish(models_dir, publication))
    assert sorted(files) == ["manifest.json", "manifest.json.sha256", "model.onnx"]
    digest = hashlib.sha256(files["manifest.json"]).hexdigest()
    assert files["manifest.json.sha256"].decode() == f"{digest}  manifest.json\n"


def test_the_next_version_has_the_next_number_and_leaves_the_others_as_they_are(
    publication: Publication, models_dir: Path
) -> None:
    for number in ("1", "9", "10"):
        (models_dir / "iris" / number).mkdir(parents=True)
        (models_dir / "iris" / number / "note").write_text("not to be touched")
    (models_dir / "iris" / "012").mkdir()
    before = contents(models_dir)
    assert publish(models_dir, publication).name == "11"
    assert before.items() <= contents(models_dir).items()


def test_a_place_that_is_taken_by_something_else_is_not_overwritten(publication: Publication, models_dir: Path) -> None:
    (models_dir / "iris").mkdir(parents=True)
    (models_dir / "iris" / "1").write_text("a file, not a version")
    with pytest.raises(NotADirectoryError):
        publish(models_dir, publication)
    assert (models_dir / "iris" / "1").read_text() == "a file, not a version"
    assert list_versions(models_dir) == {}


def test_a_model_that_is_not_proven_is_not_published(publication: Publication, models_dir: Path) -> None:
    failed = Certificate(attrs.evolve(publication.certificate.parity, label_mismatches=1), worst=())
    with pytest.raises(ConvertError, match=r"^a model whose parity is not proven is not published$"):
        publish(models_dir, attrs.evolve(publication, certificate=failed))
    assert not models_dir.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "expected a model name that matches [a-z][a-z0-9_-]{0,62}, got ''"),
        ("Iris", "expected a model name that matches [a-z][a-z0-9_-]{0,62}, got 'Iris'"),
        ("../iris", "expected a model name that matches [a-z][a-z0-9_-]{0,62}, got '../iris'"),
        ("iris\n", "expected a model name that matches [a-z][a-z0-9_-]{0,62}, got 'iris\\n'"),
        ("a" * 64, f"expected a model name that matches [a-z][a-z0-9_-]{{0,62}}, got '{'a' * 64}'"),
        ("docs", "the name 'docs' is one that the server uses itself; reserved are docs, healthz, metrics, "),
    ],
)
def test_a_name_that_cannot_be_a_route_is_refused(
    publication: Publication, models_dir: Path, name: str, message: str
) -> None:
    with pytest.raises(ConvertError) as refusal:
        publish(models_dir, attrs.evolve(publication, name=name))
    assert str(refusal.value).startswith(message)
    assert not models_dir.exists()


def test_a_name_that_can_be_a_route_is_given_back() -> None:
    assert check_name("iris-2_b") == "iris-2_b"


def publish_twice(models_dir: Path, publication: Publication) -> list[int]:
    return [int(publish(models_dir, publication).name) for _ in range(2)]


def test_publishers_at_once_get_numbers_of_their_own_and_every_version_is_whole(
    publication: Publication, models_dir: Path
) -> None:
    with CONTEXT.Pool(PUBLISHERS) as publishers:
        numbers = publishers.starmap(publish_twice, [(models_dir, publication)] * PUBLISHERS, chunksize=1)
    assert sorted(itertools.chain(*numbers)) == list(range(1, 2 * PUBLISHERS + 1))
    assert list_versions(models_dir) == {"iris": list(range(2 * PUBLISHERS, 0, -1))}
    for number in range(1, 2 * PUBLISHERS + 1):
        assert read_package(models_dir, "iris", number).manifest.golden == publication.golden


def convert_iris(workshop: Workshop) -> Sequence[str]:
    return ["1", "--data-dir", str(workshop.data_dir), "--models-dir", str(workshop.models_dir)]


@pytest.mark.parametrize("file", [MODEL_FILE, "manifest.json"])
@pytest.mark.parametrize(
    ("deadly", "exit_code"), [(False, 1), (True, -signal.SIGXFSZ)], ids=["disk is full", "publisher is killed"]
)
def test_a_publication_cut_off_amid_a_file_leaves_no_version_and_the_next_clears_up(
    workshop: Workshop, file: str, exit_code: int, *, deadly: bool
) -> None:
    before = contents(workshop.models_dir)
    file_bytes = len(before[f"iris/1/{file}"]) - 100
    publisher = fork_with_little_disk(convert.cli.main, *convert_iris(workshop), file_bytes=file_bytes, deadly=deadly)
    assert end(publisher) == exit_code
    after = contents(workshop.models_dir)
    assert len(after[f"iris/.staging/{file}"]) == file_bytes
    assert {path: content for path, content in after.items() if ".staging" not in path} == before
    assert list_versions(workshop.models_dir) == {"iris": [1]}
    assert convert.cli.main(convert_iris(workshop)) == 0
    assert list_versions(workshop.models_dir) == {"iris": [2, 1]}
    assert read_package(workshop.models_dir, "iris", 2).manifest.version == 2
    assert not (workshop.models_dir / "iris" / ".staging").exists()


def test_a_manifest_is_read_back_as_it_was_written(publication: Publication, models_dir: Path) -> None:
    odd = GoldenRow(row={'say "cm" (花)': 0.1}, output="a,b\n", probabilities=(0.1, 0.9))
    folder = publish(models_dir, attrs.evolve(publication, golden=(odd,)))
    assert Manifest.from_json((folder / "manifest.json").read_bytes()).golden == (odd,)
