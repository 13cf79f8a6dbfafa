"""A version is loaded only if it is complete, is as published, and answers its golden rows on this host."""

import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from server.contract.manifest import GoldenRow, Manifest
from server.contract.signature import Feature, Label
from server.errors import NoSoundVersionError, RefusedError
from server.models.catalog import load_catalog, load_model
from server.models.repository import MANIFEST_FILE, MANIFEST_SUM_FILE, MODEL_FILE, list_versions
from tests.support.typed_model import FEATURES, typed_manifest, typed_model
from tests.support.versions import write_version
from tests.support.workshop import Workshop


def seal(workshop: Workshop, manifest: bytes) -> None:
    """Write a manifest and its checksum, as a forger or a faulty publisher could."""
    (workshop.version_dir / MANIFEST_FILE).write_bytes(manifest)
    (workshop.version_dir / MANIFEST_SUM_FILE).write_text(f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST_FILE}\n")


def reseal(workshop: Workshop, **changes: Any) -> None:
    """Change facts of the manifest, consistent or not, and update its checksum."""
    facts = msgspec.to_builtins(workshop.manifest()) | msgspec.to_builtins(changes)
    seal(workshop, msgspec.json.encode(facts))


def refusal(workshop: Workshop) -> str:
    with pytest.raises(RefusedError) as refused:
        load_model(workshop.version_dir, "iris", 1, threads=1)
    return str(refused.value)


def test_a_sound_version_is_loaded(iris_workshop: Workshop) -> None:
    model = load_catalog(iris_workshop.models_dir, threads=1).models["iris"]
    assert model.manifest == iris_workshop.manifest()
    assert model.manifest.parity.passed


@pytest.mark.parametrize("file", [MODEL_FILE, MANIFEST_FILE, MANIFEST_SUM_FILE])
def test_a_changed_bit_in_a_version_is_refused(workshop: Workshop, file: str) -> None:
    path = workshop.version_dir / file
    sound = path.read_bytes()
    # Only the digest counts. The rest of the checksum file is a file name for sha256sum.
    length = 64 if file == MANIFEST_SUM_FILE else len(sound)
    for position in range(0, length, max(1, length // 40)):
        spoilt = bytearray(sound)
        spoilt[position] ^= 1 << (position % 8)
        path.write_bytes(spoilt)
        assert "not what was published" in refusal(workshop)


@pytest.mark.parametrize("file", [MODEL_FILE, MANIFEST_FILE, MANIFEST_SUM_FILE])
def test_a_missing_file_is_named(workshop: Workshop, file: str) -> None:
    (workshop.version_dir / file).unlink()
    assert refusal(workshop) == f"{file} cannot be read: No such file or directory"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda _: b"",
        lambda _: b"[" * 100_000,
        lambda text: text.replace(b"iris", b"\xff"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused(workshop: Workshop, spoil: Callable[[bytes], bytes]) -> None:
    seal(workshop, spoil(workshop.manifest().to_json()))
    assert refusal(workshop).startswith("manifest.json cannot be read: ")


@pytest.mark.parametrize("number", [1, 3])
def test_a_manifest_of_another_format_is_refused(workshop: Workshop, number: int) -> None:
    seal(workshop, workshop.manifest().to_json().replace(b'"format": 2', b'"format": %d' % number))
    assert refusal(workshop) == f"manifest.json cannot be read: expected format 2, got {number}"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 2}, "manifest.json is of iris/2, its folder is iris/1"),
        ({"name": "lily"}, "manifest.json is of lily/1, its folder is iris/1"),
        ({"files": {}}, "manifest.json lists no model.onnx"),
        ({"files": {MODEL_FILE: "", "../../x": ""}}, "manifest.json names a file outside its folder: '../../x'"),
    ],
)
def test_a_manifest_that_contradicts_its_folder_is_refused(
    workshop: Workshop, changes: dict[str, object], reason: str
) -> None:
    reseal(workshop, **changes)
    assert refusal(workshop) == reason


def test_a_model_that_onnxruntime_cannot_load_is_refused(workshop: Workshop) -> None:
    (workshop.version_dir / MODEL_FILE).write_bytes(b"not a model")
    reseal(workshop, files={MODEL_FILE: hashlib.sha256(b"not a model").hexdigest()})
    assert refusal(workshop).startswith("onnxruntime cannot load the model: ")


def test_a_model_that_differs_from_its_signature_is_refused(workshop: Workshop) -> None:
    signature = workshop.manifest().signature
    wider = attrs.evolve(signature.inputs[0], datatype="FP64")
    reseal(workshop, signature=attrs.evolve(signature, inputs=(wider,)))
    assert refusal(workshop) == (
        "the model's inputs are not its signature's: expected (('numbers', 'FP64', (-1, 4)),), "
        "got (('numbers', 'FP32', (-1, 4)),)"
    )
    renamed = attrs.evolve(signature.outputs[0], name="class")
    reseal(workshop, signature=attrs.evolve(signature, outputs=(renamed, signature.outputs[1])))
    assert refusal(workshop).startswith("the model's outputs are not its signature's: expected (('class', 'BYTES', ")


def make_regressor(facts: dict[str, Any], output: Label) -> None:
    facts["signature"].update(labels=[], outputs=[{"name": "variable", "datatype": "FP32", "shape": [-1, 1]}])
    for known in facts["golden"]:
        known.update(output=output, probabilities=[])


CONTRADICTIONS = {
    "a feature twice": lambda facts: facts["signature"]["features"][1].update(name="SepalLengthCm"),
    "a label twice": lambda facts: facts["signature"].update(labels=["a", "a", "b"]),
    "fewer labels than probabilities": lambda facts: facts["signature"].update(
        labels=["Iris-setosa", "Iris-virginica"]
    ),
    "more features than the input takes": lambda facts: facts["signature"]["inputs"][0].update(shape=[-1, 3]),
    "an input that no session can fill": lambda facts: facts["signature"]["inputs"][0].update(datatype="INT64"),
    "a difference beyond the tolerance and no mismatch": lambda facts: facts["parity"].update(
        max_difference=1.0, allowed_mismatches=1
    ),
    "a regressor whose golden rows have labels": lambda facts: make_regressor(facts, "high"),
    "a regressor whose golden rows are false": lambda facts: make_regressor(facts, output=False),
    "labels that are not the golden rows'": lambda facts: facts["signature"].update(labels=["a", "b", "c"]),
    "a golden row with too few probabilities": lambda facts: facts["golden"][0].update(probabilities=[1.0]),
    "a parity that failed": lambda facts: facts["parity"].update(label_mismatches=500),
    "too large a tolerance": lambda facts: facts["parity"].update(tolerance=2.0),
    "a file's name with a NUL": lambda facts: facts["files"].update({"\0": ""}),
    "no golden rows": lambda facts: facts.update(golden=[]),
}


@pytest.mark.parametrize("contradict", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_manifest_that_contradicts_itself_is_refused_and_raises_nothing_else(
    workshop: Workshop, contradict: Callable[[dict[str, Any]], None]
) -> None:
    facts = msgspec.to_builtins(workshop.manifest())
    contradict(facts)
    shutil.copytree(workshop.version_dir, workshop.models_dir / "lily" / "1")
    seal(workshop, msgspec.json.encode(facts))
    refusal(workshop)
    with pytest.raises(NoSoundVersionError, match="found 2, none of them sound"):
        load_catalog(workshop.models_dir, threads=1)


def other_label(known: GoldenRow) -> GoldenRow:
    return attrs.evolve(known, output="Iris-setosa" if known.output != "Iris-setosa" else "Iris-virginica")


def other_probability(known: GoldenRow) -> GoldenRow:
    first, *rest = known.probabilities
    return attrs.evolve(known, probabilities=(first + 1e-4, *rest))


@pytest.mark.parametrize("change", [other_label, other_probability])
def test_a_version_with_another_answer_to_a_golden_row_is_refused(
    workshop: Workshop, change: Callable[[GoldenRow], GoldenRow]
) -> None:
    golden = workshop.manifest().golden
    reseal(workshop, golden=(*golden[:-1], change(golden[-1])))
    assert refusal(workshop) == (
        f"golden row {len(golden) - 1} is not answered on this host as the estimator answered it"
    )


def test_a_version_whose_golden_row_does_not_fit_the_signature_is_refused(workshop: Workshop) -> None:
    reseal(workshop, golden=[GoldenRow({}, "Iris-setosa", (1.0, 0.0, 0.0))])
    assert refusal(workshop) == "its golden rows cannot be replayed: the row does not fit the model's signature"


def test_folders_without_the_name_of_a_model_or_version_are_ignored(workshop: Workshop) -> None:
    for folder in ("iris/.staging", "iris/latest", "iris/0", "iris/01", "iris/²", "Iris/1", "docs/1", "empty"):
        (workshop.models_dir / folder).mkdir(parents=True)
    (workshop.models_dir / "iris" / "3").write_text("a file")
    (workshop.models_dir / "README.md").write_text("a file")
    assert list_versions(workshop.models_dir) == {"iris": [1]}


def test_versions_are_ordered_by_number(tmp_path: Path) -> None:
    for number in (1, 2, 10, 9):
        (tmp_path / "iris" / str(number)).mkdir(parents=True)
    assert list_versions(tmp_path) == {"iris": [10, 9, 2, 1]}


def test_a_model_without_a_sound_version_does_not_stop_the_others(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    (workshop.models_dir / "lily" / "1").mkdir(parents=True)
    with caplog.at_level(logging.ERROR):
        catalog = load_catalog(workshop.models_dir, threads=1)
    assert list(catalog.models) == ["iris"]
    assert [(refused.name, refused.version) for refused in catalog.refusals] == [("lily", 1)]
    assert [record.message for record in caplog.records] == ["version refused"]


def test_an_unreadable_repository_is_an_error(workshop: Workshop) -> None:
    workshop.models_dir.chmod(0)
    if is_root := os.geteuid() == 0:  # root may read everything
        os.seteuid(65_534)
    try:
        with pytest.raises(
            NoSoundVersionError, match=r"nothing to serve: .*models cannot be read: .*Permission denied"
        ):
            load_catalog(workshop.models_dir, threads=1)
    finally:
        if is_root:
            os.seteuid(0)
        workshop.models_dir.chmod(0o755)


def test_nothing_to_serve_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoSoundVersionError, match="found none"):
        load_catalog(tmp_path / "nowhere", threads=1)


@pytest.mark.parametrize(
    "name", ["docs", "healthz", "metrics", "readyz", "v2", "Iris", "1iris", "", "a" * 64, "a/b", "é"]
)
def test_a_manifest_with_a_name_that_cannot_be_a_route_is_refused(workshop: Workshop, name: str) -> None:
    with pytest.raises(RefusedError, match="name"):
        Manifest.from_json(workshop.manifest().to_json().replace(b'"name": "iris"', f'"name": "{name}"'.encode()))


LABELS: tuple[tuple[Label, ...], ...] = ((), (False, True), (0, 1), ("no", "yes"))


def write_typed(models_dir: Path, manifest: Manifest) -> Path:
    """Write a version of a typed model with this manifest, and return its folder."""
    write_version(models_dir, manifest, typed_model(manifest.signature))
    return models_dir / manifest.name / "1"


@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_golden_rows_of_every_type_and_with_missing_values_are_replayed(
    iris_workshop: Workshop, tmp_path: Path, labels: tuple[Label, ...]
) -> None:
    manifest = typed_manifest(iris_workshop.manifest(), labels)
    assert labels == () or {known.output for known in manifest.golden} == set(labels)
    model = load_model(write_typed(tmp_path, manifest), "typed", 1, threads=1)
    assert model.manifest.golden == manifest.golden
    assert model.batch_invariant


def without(changed: str) -> tuple[Feature, ...]:
    return tuple(attrs.evolve(one, nullable=False) if one.name == changed else one for one in FEATURES)


@pytest.mark.parametrize("name", ["i", "b", "c"])
def test_a_golden_row_without_a_value_that_is_not_nullable_is_refused(
    iris_workshop: Workshop, tmp_path: Path, name: str
) -> None:
    whole = typed_manifest(iris_workshop.manifest(), ())
    strict = attrs.evolve(whole.signature, features=without(name))
    folder = write_typed(tmp_path, attrs.evolve(whole, signature=strict))
    with pytest.raises(RefusedError, match=r"^its golden rows cannot be replayed: the row does not fit"):
        load_model(folder, "typed", 1, threads=1)


@pytest.mark.parametrize(
    ("scale", "shift", "is_refused"),
    [(1.0, 0.9e-5, False), (1.0, 1.1e-5, True), (1000.0, 0.9e-2, False), (1000.0, 1.1e-2, True), (1e-3, 1e-7, True)],
)
def test_a_regressors_number_is_compared_within_the_tolerance_times_its_scale(
    iris_workshop: Workshop, tmp_path: Path, scale: float, shift: float, *, is_refused: bool
) -> None:
    manifest = typed_manifest(iris_workshop.manifest(), (), numbers="FP64")
    first, second = manifest.golden
    assert manifest.parity.tolerance == 1e-5
    shifted = attrs.evolve(second, output=float(second.output) + shift, scale=scale)
    folder = write_typed(tmp_path, attrs.evolve(manifest, golden=(first, shifted)))
    if is_refused:
        with pytest.raises(RefusedError, match=r"^golden row 1 is not answered on this host as the estimator"):
            load_model(folder, "typed", 1, threads=1)
    else:
        assert load_model(folder, "typed", 1, threads=1).batch_invariant


def test_accepted_mismatches_are_logged_at_start(
    iris_workshop: Workshop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = typed_manifest(iris_workshop.manifest(), ())
    accepted = attrs.evolve(whole.parity, mismatches=3, max_difference=0.5, allowed_mismatches=4)
    write_typed(tmp_path, whole)
    write_typed(tmp_path, attrs.evolve(whole, name="rough", parity=accepted))
    with caplog.at_level(logging.INFO):
        load_catalog(tmp_path, threads=1)
    told = {record.context["model"]: record.context for record in caplog.records}  # type: ignore[attr-defined]  # given as extra
    assert told["rough"]["accepted_mismatches"] == 3
    assert told["typed"] == {"model": "typed", "version": 1, "model_name": "typed_1"}
