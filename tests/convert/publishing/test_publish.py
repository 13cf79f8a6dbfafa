"""A version appears whole or not at all, under a number of its own, and is never changed afterwards."""

import hashlib
import itertools
import json
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from convert.bundle.keys import SigningKey
from convert.bundle.signing import sign_version
from convert.compile.export import Compiled
from convert.errors import ConvertError
from convert.parity.proof import Certificate
from convert.publishing.precision import Attempt
from convert.publishing.publish import CERTIFICATE_FILE, TOOLS, Publication, check_name, newest_number, publish
from server.bundle.checksums import VersionKey
from server.contract.manifest import FORMAT
from server.errors import RefusedError
from server.models.repository import MODEL_FILE, REPORT_FILE, list_versions, read_package, read_report
from tests.support.fakes import DiskNotes
from tests.support.forked import CONTEXT, end, fork_with_little_disk
from tests.support.server_process import ROOT
from tests.support.workshop import Workshop

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
    package = read_package(models_dir / "iris" / "1", "iris", 1)
    assert package.model == publication.compiled.model
    manifest = package.manifest
    assert (manifest.format, manifest.name, manifest.version, manifest.model_name) == (FORMAT, "iris", 1, "log_reg_1")
    assert manifest.created_at.endswith("+00:00")
    certificate = (models_dir / "iris" / "1" / CERTIFICATE_FILE).read_bytes()
    assert manifest.files == {
        MODEL_FILE: hashlib.sha256(package.model).hexdigest(),
        CERTIFICATE_FILE: hashlib.sha256(certificate).hexdigest(),
    }
    assert manifest.signature == publication.compiled.signature
    assert manifest.parity == publication.certificate.parity
    assert manifest.run == iris_workshop.manifest().run
    assert manifest.golden == publication.golden
    assert manifest.tools.keys() == set(TOOLS)


def test_a_version_that_another_has_come_before_is_refused(publication: Publication, models_dir: Path) -> None:
    """It was held against what was served then."""
    assert newest_number(models_dir, "iris") == 0
    publish(models_dir, publication, after=0)
    with pytest.raises(ConvertError, match=r"^the newest version of iris is 1 now, was 0: convert again$"):
        publish(models_dir, publication, after=0)
    assert list_versions(models_dir) == {"iris": [1]}
    assert publish(models_dir, publication, after=newest_number(models_dir, "iris")).name == "2"


def test_the_certificate_is_there_to_be_read_with_all_its_figures(publication: Publication, models_dir: Path) -> None:
    attempts = (Attempt("float32", "3 of 300 rows differ"), Attempt("float64", None))
    folder = publish(models_dir, attrs.evolve(publication, attempts=attempts))
    content = (folder / CERTIFICATE_FILE).read_bytes()
    record = json.loads(content)
    assert record.items() >= json.loads(msgspec.json.encode(publication.certificate)).items()
    assert record["rungs"] == [
        {"precision": "float32", "fault": "3 of 300 rows differ"},
        {"precision": "float64", "fault": None},
    ]
    assert record["parity"]["rows"] == sum(compared["rows"] for compared in record["compared"]) == 300
    assert len(record["worst"]) == 5
    assert content.startswith(b'{\n  "model_sha256": "')


def test_a_certificate_that_was_changed_makes_the_version_unsound(publication: Publication, models_dir: Path) -> None:
    folder = publish(models_dir, publication)
    content = (folder / CERTIFICATE_FILE).read_bytes()
    (folder / CERTIFICATE_FILE).write_bytes(content.replace(b'"mismatches": 0', b'"mismatches": 1', 1))
    with pytest.raises(RefusedError, match=r"^certificate\.json is not what was published"):
        read_package(folder, "iris", 1)


def test_a_page_for_people_is_a_file_of_the_version_like_any_other(publication: Publication, models_dir: Path) -> None:
    folder = publish(models_dir, attrs.evolve(publication, report=b"<!doctype html>"))
    manifest = read_package(folder, "iris", 1).manifest
    assert manifest.files[REPORT_FILE] == hashlib.sha256(b"<!doctype html>").hexdigest()
    assert read_report(folder, manifest) == b"<!doctype html>"


def test_the_manifests_sum_is_in_the_words_of_sha256sum(publication: Publication, models_dir: Path) -> None:
    files = contents(publish(models_dir, publication))
    assert sorted(files) == ["certificate.json", "manifest.json", "manifest.json.sha256", "model.onnx"]
    digest = hashlib.sha256(files["manifest.json"]).hexdigest()
    assert files["manifest.json.sha256"].decode() == f"{digest}  manifest.json\n"


def test_the_readme_of_the_repository_names_every_file_of_a_signed_version(
    publication: Publication, models_dir: Path
) -> None:
    version = publish(models_dir, attrs.evolve(publication, report=b"<!doctype html>"))
    sign_version(models_dir, VersionKey("iris", 1), SigningKey(Ed25519PrivateKey.generate()))
    readme = (ROOT / "models" / "README.md").read_text()
    named = re.findall(r"^\| `([^`]+)` \|", readme, re.MULTILINE)
    assert sorted(named) == sorted(file.name for file in version.iterdir())


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
    certificate = publication.certificate
    failed = attrs.evolve(certificate, parity=attrs.evolve(certificate.parity, label_mismatches=1, mismatches=1))
    with pytest.raises(ConvertError, match=r"^a model whose parity is not proven is not published$"):
        publish(models_dir, attrs.evolve(publication, certificate=failed))
    assert not models_dir.exists()


def test_a_certificate_of_another_model_publishes_nothing(publication: Publication, models_dir: Path) -> None:
    other = attrs.evolve(publication.compiled, model=publication.compiled.model + b"\n")
    with pytest.raises(ConvertError, match=r"^the certificate is of another model$"):
        publish(models_dir, attrs.evolve(publication, compiled=other))
    assert not models_dir.exists()


def relabelled(publication: Publication) -> Publication:
    *sound, last = publication.golden
    return attrs.evolve(publication, golden=(*sound, attrs.evolve(last, output="Iris-setosa")))


def shifted(publication: Publication) -> Publication:
    first, *sound = publication.golden
    wrong = attrs.evolve(first, probabilities=tuple(p + 2e-5 for p in first.probabilities))
    return attrs.evolve(publication, golden=(wrong, *sound))


def misnamed(publication: Publication) -> Publication:
    return attrs.evolve(publication, golden=(attrs.evolve(publication.golden[0], row={"SepalLengthCm": 5.0}),))


def unloadable(publication: Publication) -> Publication:
    compiled = attrs.evolve(publication.compiled, model=b"no model")
    certificate = attrs.evolve(publication.certificate, model_sha256=hashlib.sha256(b"no model").hexdigest())
    return attrs.evolve(publication, compiled=compiled, certificate=certificate)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (relabelled, "golden row {last} is not answered on this host as the estimator answered it"),
        (shifted, "golden row 0 is not answered on this host as the estimator answered it"),
        (misnamed, "its golden rows cannot be replayed: "),
        (unloadable, "onnxruntime cannot load the model: "),
    ],
)
def test_a_version_that_the_server_would_refuse_never_leaves_its_staging(
    publication: Publication, models_dir: Path, spoil: Callable[[Publication], Publication], reason: str
) -> None:
    with pytest.raises(RefusedError) as refusal:
        publish(models_dir, spoil(publication))
    assert str(refusal.value).startswith(reason.format(last=len(publication.golden) - 1))
    assert [path.name for path in (models_dir / "iris").iterdir()] == [".staging"]
    assert list_versions(models_dir) == {}
    assert publish(models_dir, publication) == models_dir / "iris" / "1"
    assert [path.name for path in (models_dir / "iris").iterdir()] == ["1"]


def test_a_version_takes_its_place_when_all_of_it_is_on_the_disk(
    publication: Publication, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = DiskNotes(monkeypatch, models_dir)
    files = contents(publish(models_dir, publication))
    assert set(notes.steps[:4]) == {f"fsync iris/.staging/{file}" for file in files}
    assert notes.steps[4:] == ["fsync iris/.staging", "rename iris/.staging iris/1", "fsync iris", "fsync ."]
    assert {file: notes.synced_bytes[f"iris/.staging/{file}"] for file in files} == {
        file: len(content) for file, content in files.items()
    }


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
        package = read_package(models_dir / "iris" / str(number), "iris", number)
        assert package.manifest.golden == publication.golden


def publish_again(arguments: Sequence[str]) -> int:
    """Publish the first version of Iris once more, as the next."""
    models_dir = Path(arguments[0])
    package = read_package(models_dir / "iris" / "1", "iris", 1)
    manifest = package.manifest
    certificate = (models_dir / "iris" / "1" / CERTIFICATE_FILE).read_bytes()
    publication = Publication(
        name="iris",
        model_name=manifest.model_name,
        compiled=Compiled(package.model, manifest.signature),
        certificate=msgspec.json.decode(certificate, type=Certificate),
        attempts=(Attempt("float32", None),),
        golden=manifest.golden,
        run=manifest.run,
    )
    publish(models_dir, publication)
    return 0


@pytest.mark.parametrize("file", [MODEL_FILE, CERTIFICATE_FILE, "manifest.json"])
@pytest.mark.parametrize(
    ("deadly", "exit_code"), [(False, 1), (True, -signal.SIGXFSZ)], ids=["disk is full", "publisher is killed"]
)
def test_a_publication_cut_off_amid_a_file_leaves_no_version_and_the_next_clears_up(
    workshop: Workshop, file: str, exit_code: int, *, deadly: bool
) -> None:
    arguments = (str(workshop.models_dir),)
    before = contents(workshop.models_dir)
    file_bytes = len(before[f"iris/1/{file}"]) - 100
    publisher = fork_with_little_disk(publish_again, *arguments, file_bytes=file_bytes, deadly=deadly)
    assert end(publisher) == exit_code
    after = contents(workshop.models_dir)
    assert len(after[f"iris/.staging/{file}"]) == file_bytes
    assert {path: content for path, content in after.items() if ".staging" not in path} == before
    assert list_versions(workshop.models_dir) == {"iris": [1]}
    assert publish_again(arguments) == 0
    assert list_versions(workshop.models_dir) == {"iris": [2, 1]}
    assert read_package(workshop.models_dir / "iris" / "2", "iris", 2).manifest.version == 2
    assert not (workshop.models_dir / "iris" / ".staging").exists()
