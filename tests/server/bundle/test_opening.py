"""A bundle is accepted only if every bit is as it was signed; otherwise the host stays as it was."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from convert.bundle.cli import main
from server.bundle.archive import END, Member
from server.bundle.checksums import CHECKSUMS_FILE, CHECKSUMS_SIGNATURE_FILE, SBOM_FILE
from server.bundle.opening import MAX_CHECKSUMS_BYTES, open_bundle
from server.errors import BundleError
from tests.convert.bundle.journey import Journey, pack


@pytest.fixture
def sound(journey: Journey) -> bytes:
    """A bundle of the first bytes of each member of a whole one, short enough to be opened thousands of times."""
    members = {name: member[:100] for name, member in journey.members().items() if not name.startswith("SHA256SUMS")}
    journey.forge(journey.sign_members(members))
    with open_bundle(journey.bundle, journey.key.trusted) as bundle:
        assert [name for name, content in bundle.members() if b"".join(content)] == list(members)
    return journey.bundle.read_bytes()


def test_any_bit_counts(journey: Journey, sound: bytes) -> None:
    """Flip bits all over a bundle: in checksums, signature, headers, contents, padding and the end."""
    trusted = journey.key.trusted
    spoilt = bytearray(sound)
    for position in range(0, len(sound), 3):  # which comes to each bit of a byte
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


def test_every_cut_is_refused(journey: Journey, sound: bytes) -> None:
    trusted = journey.key.trusted
    for length in range(0, len(sound), 7):
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
        signed = {CHECKSUMS_FILE: text.encode(), CHECKSUMS_SIGNATURE_FILE: journey.key.sign(text.encode())}
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
    endless = Member(CHECKSUMS_FILE, MAX_CHECKSUMS_BYTES + 1).to_header()
    assert f"expected a SHA256SUMS of at most {MAX_CHECKSUMS_BYTES} bytes" in refuses(endless)
    checksums = pack({CHECKSUMS_FILE: b""})[: -len(END)]
    assert "expected a SHA256SUMS.sig of at most 64 bytes" in refuses(
        checksums + pack({CHECKSUMS_SIGNATURE_FILE: bytes(65)})
    )
