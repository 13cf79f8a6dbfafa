"""A bundle is taken whole, as it was signed, or not at all: whatever is wrong, the host is left as it was."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from convert.bundle.archive import END, Member
from convert.bundle.cli import main
from convert.bundle.installing import install_versions
from convert.bundle.keys import SigningKey, read_signing_key
from convert.bundle.opening import MAX_SUMS_BYTES, open_bundle
from convert.bundle.packing import write_bundle
from convert.bundle.sums import SBOM_FILE, SUMS_FILE, SUMS_SIGNED_FILE
from convert.errors import BundleError
from server.catalog import load_catalog
from server.repository import MANIFEST_FILE, MANIFEST_SUM_FILE, SIGNED_FILE, list_versions
from tests.conftest import Workshop
from tests.convert.bundle.test_signing import add_version
from tests.fakes import DiskNotes
from tests.forked import end, fork, fork_with_little_disk
from tests.server_process import ROOT

IRIS_FILES = (
    "manifest.json",
    "manifest.json.sha256",
    "manifest.sig",
    "certificate.json",
    "model.onnx",
    "report.html",
)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Gives all that is in a folder: files with their content, folders with none."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@attrs.frozen
class Journey:
    """A bundle on its way: what it was made of, the keys, and a host that has another model already."""

    root: Path

    @property
    def bundle(self) -> Path:
        return self.root / "corolla-bundle.tar"

    @property
    def models_dir(self) -> Path:
        return self.root / "host" / "models"

    @property
    def key(self) -> SigningKey:
        return read_signing_key(self.root / "key")

    def write(self, workshop: Workshop) -> int:
        return main(["write", str(self.bundle), *self.flags_of_writing(workshop)])

    def flags_of_writing(self, workshop: Workshop) -> list[str]:
        return ["--key", str(self.root / "key"), "--models-dir", str(workshop.models_dir)]

    def flags_of_loading(self) -> list[str]:
        return [str(self.bundle), "--trusted-keys", str(self.root / "key.pub"), "--models-dir", str(self.models_dir)]

    def load(self) -> int:
        return main(["load", *self.flags_of_loading()])

    def forge(self, content: bytes) -> None:
        self.bundle.write_bytes(content)

    def members(self) -> dict[str, bytes]:
        """Gives what is in the bundle, by a reader that is not ours."""
        with tarfile.open(self.bundle) as archive:
            return {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]

    def sign_members(self, members: dict[str, bytes]) -> bytes:
        """Gives a bundle of other members, rightly signed: what a careless owner of the key could make."""
        sums = b"".join(f"{hashlib.sha256(m).hexdigest()}  {name}\n".encode() for name, m in members.items())
        return pack({SUMS_FILE: sums, SUMS_SIGNED_FILE: self.key.sign(sums), **members})


def pack(members: dict[str, bytes]) -> bytes:
    packed = [Member(name, len(m)).to_header() + m + Member(name, len(m)).padding for name, m in members.items()]
    return b"".join(packed) + END


@pytest.fixture
def journey(workshop: Workshop, tmp_path: Path) -> Journey:
    made = Journey(tmp_path)
    assert main(["keygen", str(tmp_path / "key")]) == 0
    shutil.copytree(workshop.version_dir, made.models_dir / "lily" / "1")
    assert made.write(workshop) == 0
    return made


@pytest.fixture
def refuses(journey: Journey, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[bytes], str]]:
    """Gives a bundle's bytes to the host, and what it says when it refuses them; the host must stay as it was."""
    before = tree(journey.models_dir)

    def refuse(content: bytes) -> str:
        journey.forge(content)
        capsys.readouterr()
        assert journey.load() == 1
        assert tree(journey.models_dir) == before
        return capsys.readouterr().err

    yield refuse
    assert tree(journey.models_dir) == before


def test_what_was_packed_is_published_and_served(journey: Journey, workshop: Workshop) -> None:
    assert journey.load() == 0
    assert list_versions(journey.models_dir) == {"iris": [1], "lily": [1]}
    assert tree(journey.models_dir / "iris") == tree(workshop.models_dir / "iris")
    assert list(load_catalog(journey.models_dir, 1, journey.key.trusted).models) == ["iris"]
    assert not (journey.models_dir / ".staging").exists()


def test_a_host_that_has_no_models_yet_gets_them(journey: Journey) -> None:
    shutil.rmtree(journey.models_dir.parent)
    assert journey.load() == 0
    assert list_versions(journey.models_dir) == {"iris": [1]}


def test_tar_sha256sum_and_openssl_verify_it_by_hand(journey: Journey, tmp_path: Path) -> None:
    folder = tmp_path / "by hand"
    folder.mkdir()
    commands = f"""
        tar --extract --file {journey.bundle}
        openssl pkeyutl -verify -pubin -inkey {tmp_path}/key.pub -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig
        sha256sum --check --strict SHA256SUMS
    """
    subprocess.run(["bash", "-euc", commands], cwd=folder, check=True, capture_output=True)
    names = [SUMS_FILE, SUMS_SIGNED_FILE, SBOM_FILE, *(f"models/iris/1/{file}" for file in IRIS_FILES)]
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


def test_a_version_that_is_there_already_is_passed_over(
    journey: Journey, workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert journey.load() == 0
    shutil.copytree(workshop.version_dir, workshop.models_dir / "tulip" / "1", dirs_exist_ok=True)
    before = tree(journey.models_dir)
    capsys.readouterr()
    assert journey.load() == 0
    assert capsys.readouterr().err == "iris/1 was there already\n"
    assert tree(journey.models_dir) == before


@pytest.mark.parametrize("change", ["changed", "missing", "added"])
def test_another_content_under_the_same_number_is_refused_before_anything_is_written(
    journey: Journey, change: str
) -> None:
    assert journey.load() == 0
    file = journey.models_dir / "iris" / "1" / ("note" if change == "added" else "model.onnx")
    if change == "missing":
        file.unlink()
    else:
        file.write_bytes(b"mine")
    before = tree(journey.models_dir)
    assert journey.load() == 1
    assert tree(journey.models_dir) == before


def test_any_bit_counts(journey: Journey) -> None:
    """Turns bits all over a bundle: in sums, signature, headers, contents, padding and the end."""
    sound = journey.bundle.read_bytes()
    journey.forge(sound)
    trusted = journey.key.trusted
    spoilt = bytearray(sound)
    for position in range(0, len(sound), 11):  # which comes to each bit of a byte
        spoilt[position] ^= 1 << position % 8
        journey.bundle.write_bytes(spoilt)
        with pytest.raises(BundleError), open_bundle(journey.bundle, trusted):
            pass
        spoilt[position] = sound[position]


def test_a_turned_bit_a_cut_or_a_tail_leaves_the_host_as_it_was(
    journey: Journey, refuses: Callable[[bytes], str]
) -> None:
    sound = journey.bundle.read_bytes()
    for position in range(0, len(sound), len(sound) // 25):
        spoilt = bytearray(sound)
        spoilt[position] ^= 0x10
        refuses(bytes(spoilt))
        refuses(sound[:position])
    for tail in (b"\0", b"x", bytes(512), END, sound):
        assert "expected two empty blocks at the end and nothing behind them" in refuses(sound + tail)


def test_every_cut_is_refused(journey: Journey) -> None:
    sound = journey.bundle.read_bytes()
    trusted = journey.key.trusted
    for length in range(0, len(sound), 97):
        journey.bundle.write_bytes(sound[:length])
        with pytest.raises(BundleError), open_bundle(journey.bundle, trusted):
            pass


def test_another_key_is_refused(journey: Journey, refuses: Callable[[bytes], str], tmp_path: Path) -> None:
    for file in (tmp_path / "key", tmp_path / "key.pub"):
        file.unlink()
    main(["keygen", str(tmp_path / "key")])
    said = refuses(journey.bundle.read_bytes())
    assert said == "refused: SHA256SUMS.sig is not the signature of SHA256SUMS by one of 1 trusted key\n"


ESCAPES = (
    "models/iris/1/../../../../../etc/passwd",
    "/etc/passwd",
    "models/iris/1//model.onnx",
    "models/iris/1/sub/model.onnx",
    "models/iris/01/model.onnx",
    "models/iris/x/model.onnx",
    "models/../1/model.onnx",
    "models/docs/1/model.onnx",
    "models/iris/1/..",
    "models/iris/1/.staging",
    "models/iris/1/",
    "model.onnx",
    "./sbom.cdx.json",
)


@pytest.mark.parametrize("name", ESCAPES)
def test_a_name_that_could_lead_elsewhere_is_refused_though_it_is_signed(
    journey: Journey, refuses: Callable[[bytes], str], name: str
) -> None:
    members = {SBOM_FILE: b"{}", "models/iris/1/model.onnx": b"", name: b"root::0:0"}
    said = refuses(journey.sign_members(members))
    assert said == f"refused: expected a name such as models/iris/1/model.onnx, got {name!r}\n"


def special(kind: bytes, **changes: str | int) -> bytes:
    info = tarfile.TarInfo("models/iris/1/model.onnx")
    info.type, info.linkname = kind, "/etc/passwd"
    for name, value in changes.items():
        setattr(info, name, value)
    return info.tobuf(tarfile.GNU_FORMAT)


SPECIAL = {
    "a symbolic link": special(tarfile.SYMTYPE),
    "a hard link": special(tarfile.LNKTYPE),
    "a folder": special(tarfile.DIRTYPE),
    "a device": special(tarfile.BLKTYPE, devmajor=8),
    "an owner": special(tarfile.REGTYPE, linkname="", uname="root"),
    "a size beyond octal": special(tarfile.REGTYPE, linkname="", size=2**40),
    "an extended header": special(tarfile.XHDTYPE),
    "no checksum": bytes([1]) + bytes(511),
}


@pytest.mark.parametrize("header", SPECIAL.values(), ids=SPECIAL)
def test_a_member_that_is_no_plain_file_is_refused(
    journey: Journey, refuses: Callable[[bytes], str], header: bytes
) -> None:
    sound = journey.bundle.read_bytes()
    place = sound.index(b"models/iris/1/model.onnx\0")
    assert "expected the header of a" in refuses(sound[:place] + header + sound[place + 512 :])


def test_members_are_those_of_the_sums_each_once_and_in_their_order(
    journey: Journey, refuses: Callable[[bytes], str]
) -> None:
    members = journey.members()
    *others, last = members
    swapped = [*others[:-1], last, others[-1]]
    assert f"expected the member {others[-1]}, got" in refuses(pack({n: members[n] for n in swapped}))
    assert f"expected the member {last}, got the end" in refuses(pack({n: members[n] for n in others}))
    twice = pack(members)[: -len(END)] + pack({last: members[last]})
    assert f"expected no more members than SHA256SUMS has, got {last!r}" in refuses(twice)
    assert "expected no more members than SHA256SUMS has, got 'more'" in refuses(pack({**members, "more": b""}))
    assert "is not what was signed" in refuses(pack({**members, last: members[last] + b"\n"}))
    assert "expected the member SHA256SUMS, got the end" in refuses(END)


def test_sums_that_are_none_are_refused_though_they_are_signed(
    journey: Journey, refuses: Callable[[bytes], str]
) -> None:
    line = f"{'0' * 64}  {SBOM_FILE}\n"
    for text in ("x\n", line + line, line.rstrip("\n"), line.replace("  ", " *"), line.replace("sbom", "sböm")):
        signed = {SUMS_FILE: text.encode(), SUMS_SIGNED_FILE: journey.key.sign(text.encode())}
        assert "expected lines of a SHA-256 and a name, each name once, in SHA256SUMS" in refuses(pack(signed))


@pytest.mark.parametrize(
    "names",
    [[], [SBOM_FILE], ["models/iris/1/a", SBOM_FILE], [SBOM_FILE, "image.tar", "models/iris/1/a"], ["image.tar"]],
)
def test_a_bundle_of_neither_kind_is_refused(
    journey: Journey, refuses: Callable[[bytes], str], names: list[str]
) -> None:
    said = refuses(journey.sign_members(dict.fromkeys(names, b"")))
    assert said.startswith("refused: expected sbom.cdx.json and then image.tar or versions, got ")


def test_no_more_than_a_megabyte_is_read_before_a_signature_is_verified(refuses: Callable[[bytes], str]) -> None:
    endless = Member(SUMS_FILE, MAX_SUMS_BYTES + 1).to_header()
    assert f"expected a SHA256SUMS of at most {MAX_SUMS_BYTES} bytes" in refuses(endless)
    sums = pack({SUMS_FILE: b""})[: -len(END)]
    assert "expected a SHA256SUMS.sig of at most 64 bytes" in refuses(sums + pack({SUMS_SIGNED_FILE: bytes(65)}))


def test_a_version_that_the_server_would_refuse_is_not_published(
    journey: Journey, refuses: Callable[[bytes], str]
) -> None:
    """The owner of the key has signed a bundle, but not the version in it."""
    members = {name: m for name, m in journey.members().items() if not name.startswith("SHA256SUMS")}
    unsigned = {name: m for name, m in members.items() if not name.endswith(".sig")}
    assert "manifest.sig cannot be read" in refuses(journey.sign_members(unsigned))
    members["models/iris/1/model.onnx"] += b"\n"
    assert "model.onnx is not what was published" in refuses(journey.sign_members(members))


def test_a_bundle_that_is_changed_behind_the_verification_publishes_nothing(
    journey: Journey, refuses: Callable[[bytes], str]
) -> None:
    sound = journey.bundle.read_bytes()
    for old, new in ((b"log_reg_1", b"log_reg_2"), (b'"iris"', b'"lily"'), (b"models/iris/1/model.onnx\n", b"x" * 25)):
        journey.bundle.write_bytes(sound)
        with open_bundle(journey.bundle, journey.key.trusted) as bundle:
            journey.bundle.write_bytes(sound.replace(old, new))
            with pytest.raises(BundleError):
                install_versions(bundle, journey.models_dir)
    journey.bundle.write_bytes(sound)
    another = journey.sign_members({SBOM_FILE: b"{}", "models/iris/1/model.onnx": b"of another bundle"})
    with open_bundle(journey.bundle, journey.key.trusted) as bundle:
        journey.bundle.write_bytes(another)
        with pytest.raises(BundleError, match="it was changed while it was read"):
            install_versions(bundle, journey.models_dir)
    refuses(sound[:-1])


def two_models(workshop: Workshop) -> int:
    """Publishes a second model, rose, and gives how long its manifest is, which no other file is."""
    folder = workshop.models_dir / "rose" / "1"
    shutil.copytree(workshop.version_dir, folder)
    (folder / SIGNED_FILE).unlink()
    manifest = (folder / MANIFEST_FILE).read_bytes().replace(b'"name": "iris"', b'"name": "rose"') + b" " * 1000
    (folder / MANIFEST_FILE).write_bytes(manifest)
    (folder / MANIFEST_SUM_FILE).write_text(f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST_FILE}\n")
    return len(manifest)


@pytest.mark.parametrize(("deadly", "code"), [(False, 1), (True, -signal.SIGXFSZ)], ids=["full disk", "killed"])
def test_a_load_cut_off_amid_a_file_publishes_nothing_and_the_next_clears_up(
    journey: Journey, workshop: Workshop, code: int, *, deadly: bool
) -> None:
    file_bytes = two_models(workshop) - 100
    assert journey.write(workshop) == 0
    before = tree(journey.models_dir)
    loading = fork_with_little_disk(main, "load", *journey.flags_of_loading(), file_bytes=file_bytes, deadly=deadly)
    assert end(loading) == code
    left = {path: content for path, content in tree(journey.models_dir).items() if not path.startswith(".staging")}
    assert left == before
    assert (journey.models_dir / ".staging").exists() == deadly
    assert journey.load() == 0
    assert list_versions(journey.models_dir) == {"iris": [1], "lily": [1], "rose": [1]}
    assert not (journey.models_dir / ".staging").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone may mount a disk")
def test_a_disk_that_is_full_is_left_as_it_was(journey: Journey, workshop: Workshop) -> None:
    two_models(workshop)
    assert journey.write(workshop) == 0
    shutil.rmtree(journey.models_dir)
    journey.models_dir.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20k", "tmpfs", journey.models_dir], check=True)
    try:
        assert journey.load() == 1
        assert tree(journey.models_dir) == {}
    finally:
        subprocess.run(["umount", journey.models_dir], check=True)


def load_until_second_rename(arguments: Sequence[str]) -> int:
    """Loads, and is killed at its second rename."""
    rename = Path.rename
    renamed: list[Path] = []

    def rename_once(source: Path, target: Path) -> Path:
        if renamed:
            os.kill(os.getpid(), signal.SIGKILL)
        renamed.append(target)
        return rename(source, target)

    Path.rename = rename_once  # type: ignore[method-assign, assignment]
    return main(arguments)


def test_a_load_killed_between_two_versions_leaves_whole_ones_and_the_next_goes_on(
    journey: Journey, workshop: Workshop, capsys: pytest.CaptureFixture[str]
) -> None:
    two_models(workshop)
    assert journey.write(workshop) == 0
    assert end(fork(load_until_second_rename, "load", *journey.flags_of_loading())) == -signal.SIGKILL
    assert list(load_catalog(journey.models_dir, 1, journey.key.trusted).models) == ["iris"]
    capsys.readouterr()
    assert journey.load() == 0
    assert capsys.readouterr().err == "iris/1 was there already\nrose/1 is published\n"
    assert sorted(path.name for path in journey.models_dir.iterdir()) == ["iris", "lily", "rose"]


def test_a_failure_behind_the_first_rename_takes_it_back(journey: Journey, workshop: Workshop) -> None:
    two_models(workshop)
    assert journey.write(workshop) == 0
    (journey.models_dir / "rose").write_text("a file where the second model's folder should be")
    before = tree(journey.models_dir)
    assert journey.load() == 1
    assert tree(journey.models_dir) == before


def test_versions_take_their_places_when_all_of_them_are_on_the_disk(
    journey: Journey, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_models(workshop)
    assert journey.write(workshop) == 0
    notes = DiskNotes(monkeypatch, journey.models_dir)
    assert journey.load() == 0
    both = [f".staging/{name}/1" for name in ("iris", "rose")]
    assert notes.steps == [
        *(f"fsync {folder}/{file}" for folder in both for file in IRIS_FILES),
        *(f"fsync {folder}" for folder in both),
        *("rename .staging/iris/1 iris/1", "fsync iris", "rename .staging/rose/1 rose/1", "fsync rose", "fsync ."),
    ]


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
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


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
