"""A bundle is complete, can be verified by hand, and is written whole or not at all."""

import os
import subprocess
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from convert.bundle.cli import main
from convert.bundle.packing import write_bundle
from server.bundle.checksums import CHECKSUMS_FILE, CHECKSUMS_SIGNATURE_FILE, SBOM_FILE
from server.errors import BundleError
from server.models.repository import MANIFEST_FILE, SIGNED_FILE
from tests.convert.bundle.journey import IRIS_FILES, Journey, tree
from tests.support.forked import end, fork_with_little_disk
from tests.support.versions import add_version
from tests.support.workshop import Workshop


def test_tar_sha256sum_and_openssl_verify_it_by_hand(journey: Journey, tmp_path: Path) -> None:
    folder = tmp_path / "by hand"
    folder.mkdir()
    commands = f"""
        tar --extract --file {journey.bundle}
        openssl pkeyutl -verify -pubin -inkey {tmp_path}/key.pub -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig
        sha256sum --check --strict SHA256SUMS
    """
    subprocess.run(["bash", "-euc", commands], cwd=folder, check=True, capture_output=True)
    names = [CHECKSUMS_FILE, CHECKSUMS_SIGNATURE_FILE, SBOM_FILE, *(f"models/iris/1/{file}" for file in IRIS_FILES)]
    assert list(journey.members()) == names


def test_its_bill_of_materials_tells_each_model_and_keeps_to_the_schema(journey: Journey, workshop: Workshop) -> None:
    bill = journey.members()[SBOM_FILE].decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    assert workshop.manifest().files["model.onnx"] in bill
    assert '"type": "machine-learning-model"' in bill


def test_only_the_newest_versions_are_packed_and_signed_on_the_way(journey: Journey, workshop: Workshop) -> None:
    folder = add_version(workshop, 2)
    assert journey.write(workshop) == 0
    assert (folder / SIGNED_FILE).exists()
    assert {name.split("/")[2] for name in journey.members() if name.startswith("models/")} == {"2"}


@pytest.mark.parametrize("old", [None, b"an older bundle"])
def test_a_bundle_that_cannot_be_written_whole_is_not_there_at_all(
    journey: Journey, workshop: Workshop, old: bytes | None
) -> None:
    journey.bundle.unlink()
    if old is not None:
        journey.bundle.write_bytes(old)
    before = tree(journey.root)
    flags = journey.flags_of_writing(workshop)
    assert end(fork_with_little_disk(main, "write", str(journey.bundle), *flags, file_bytes=5000)) == 1
    assert tree(journey.root) == before


def model_of(workshop: Workshop) -> dict[str, Path]:
    return {"models/iris/1/model.onnx": workshop.version_dir / "model.onnx"}


def test_what_changes_while_it_is_packed_is_refused(journey: Journey, workshop: Workshop) -> None:
    another_each_time = Path("/proc/sys/kernel/random/uuid")
    with pytest.raises(BundleError, match=r"uuid was changed while it was packed"):
        write_bundle(journey.bundle, {SBOM_FILE: another_each_time, **model_of(workshop)}, journey.key)


def test_what_is_too_large_for_the_format_is_refused(journey: Journey, workshop: Workshop) -> None:
    sparse = journey.root / "sparse"
    sparse.touch()
    os.truncate(sparse, 2**33)
    with pytest.raises(BundleError, match=r"expected a file of less than 8 GiB, got .*sbom\.cdx\.json"):
        write_bundle(journey.bundle, {SBOM_FILE: sparse, **model_of(workshop)}, journey.key)


def test_the_same_files_make_the_same_bundle(journey: Journey, workshop: Workshop) -> None:
    files = {SBOM_FILE: workshop.version_dir / MANIFEST_FILE, **model_of(workshop)}
    made = []
    for _ in range(2):
        write_bundle(journey.bundle, files, journey.key)
        made.append(journey.bundle.read_bytes())
    assert made[0] == made[1]
