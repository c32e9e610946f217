from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liftlock.adapters import artifact as adapter
from liftlock.adapters.artifact import verify_artifact
from liftlock.errors import InputError
from liftlock.model import Artifact

Member = tuple[str, bytes, str]
FILE, FOLDER, SYMLINK, HARD_LINK = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def info(name: str, kind: bytes = FILE, target: str = "", mode: int = 0o755) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.mode = kind, target, mode
    return member


def archive(path: Path, *members: tarfile.TarInfo, compression: str = "") -> Artifact:
    with tarfile.open(path, f"w:{compression}") as tar:  # type: ignore[call-overload]
        for member in members:
            member.size = 4 if member.isreg() else 0
            tar.addfile(member, io.BytesIO(b"boat"))
    return declared(path)


def declared(path: Path) -> Artifact:
    content = path.read_bytes()
    return Artifact(str(path), hashlib.sha256(content).hexdigest(), len(content))


def refusal(artifact: Artifact) -> str:
    with pytest.raises(InputError) as caught:
        verify_artifact(artifact)
    assert all(problem.file == artifact.path for problem in caught.value.problems)
    return "\n".join(problem.message for problem in caught.value.problems)


@pytest.mark.parametrize(("suffix", "compression"), [("tar", ""), ("tar.gz", "gz"), ("tgz", "gz"), ("tar.xz", "xz")])
def test_an_honest_archive_passes(tmp_path: Path, suffix: str, compression: str) -> None:
    members = [
        info("./", FOLDER),
        info("./bin", FOLDER),
        info("./bin/boat"),
        info("bin/船"),
        info("lib/deep/current", SYMLINK, "../v1"),
        info("lib/v1/so"),
        info("all", SYMLINK, "."),
        info("so", SYMLINK, "lib/deep/current/so"),
        info("bin/same", HARD_LINK, "bin/boat"),
        info("x" * 300),
    ]
    verify_artifact(archive(tmp_path / f"boat.{suffix}", *members, compression=compression))


def test_a_file_that_is_no_archive_is_only_compared(tmp_path: Path) -> None:
    path = tmp_path / "boat.whl"
    path.write_bytes(b"wheel")
    verify_artifact(declared(path))


def test_a_changed_file_is_refused_with_both_values(tmp_path: Path) -> None:
    artifact = archive(tmp_path / "boat.tar", info("boat"))
    with Path(artifact.path).open("ab") as file:
        file.write(b"x")
    now = declared(Path(artifact.path))
    message = refusal(artifact)
    assert f"is {now.length} bytes long, but the release manifest says {artifact.length}" in message
    assert f"has the sha256 {now.sha256}, but the release manifest says {artifact.sha256}" in message


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert "there is no such artifact" in refusal(Artifact(str(tmp_path / "boat.tar"), "0" * 64, 1))
    assert "cannot be read: Is a directory" in refusal(Artifact(str(tmp_path), "0" * 64, 1))


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ([info("/etc/passwd")], "member '/etc/passwd': its name is absolute"),
        ([info("//etc/passwd")], "its name is absolute"),
        ([info("a/../../b")], "member 'a/../../b': its name climbs with `..`"),
        ([info("a\nb")], r"member 'a\nb': its name is empty or holds control characters"),
        ([info("a\x1b[2Jb")], r"member 'a\x1b[2Jb': its name is empty or holds control characters"),
        ([info("a\u202eb")], r"member 'a\u202eb': its name is empty or holds control characters"),
        ([info("a"), info("./a")], "member './a': stands in the archive twice"),
        ([info("a", mode=0o4755)], "member 'a': has the setuid, setgid or sticky bit (mode 4755)"),
        ([info("a", mode=0o2755)], "(mode 2755)"),
        ([info("a", FOLDER, mode=0o1777), info("a/b")], "(mode 1777)"),
        ([info("a", tarfile.CHRTYPE)], "member 'a': is a device, a FIFO or of an unknown kind"),
        ([info("a", tarfile.BLKTYPE)], "is a device, a FIFO"),
        ([info("a", tarfile.FIFOTYPE)], "is a device, a FIFO"),
        ([info("a", SYMLINK, "/etc")], "member 'a': is a symbolic link to '/etc', which leads out"),
        ([info("a/b", SYMLINK, "../..")], "member 'a/b': is a symbolic link to '../..', which leads out"),
        ([info("d/s", SYMLINK, ".."), info("t", SYMLINK, "d/s/../x")], "member 't': is a symbolic link to 'd/s/../x'"),
        ([info("a", SYMLINK, "b"), info("b", SYMLINK, "a")], "member 'a': is a symbolic link to 'b', which leads out"),
        ([info("a", SYMLINK, "b"), info("a/c")], "member 'a/c': lies behind the symbolic link 'a'"),
        ([info("a/c"), info("a", SYMLINK, "b")], "member 'a/c': lies behind the symbolic link 'a'"),
        ([info("a", HARD_LINK, "/etc/shadow")], "member 'a': its target is absolute"),
        ([info("a", HARD_LINK, "../x")], "its target climbs with `..`"),
        ([info("a", HARD_LINK, "b"), info("b")], "is a hard link to 'b', which is no earlier file of the archive"),
        ([info("d/e/s", SYMLINK, "../../x"), info("a", HARD_LINK, "d/e/s")], "is a hard link to 'd/e/s', which is no"),
        ([info(".", SYMLINK, "a")], "member '.': stands where the release's folder itself is"),
        ([info("a", FOLDER)], "there is nothing inside"),
        ([], "there is nothing inside"),
    ],
)
def test_a_dangerous_member_is_named(tmp_path: Path, members: list[tarfile.TarInfo], wanted: str) -> None:
    assert wanted in refusal(archive(tmp_path / "boat.tar", *members))


def test_what_hides_behind_the_end_of_the_archive_is_found(tmp_path: Path) -> None:
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    archive(first, info("boat"))
    archive(second, info("/etc/passwd"))
    both = tmp_path / "both.tar"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    assert "member '/etc/passwd': its name is absolute" in refusal(declared(both))


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _not_a_tar(_: bytes) -> bytes:
    return b"not an archive at all" * 100


@pytest.mark.parametrize("damage", [_cut, _not_a_tar])
@pytest.mark.parametrize(("suffix", "compression"), [("tar.gz", "gz"), ("tar.xz", "xz")])
def test_a_damaged_archive_is_refused(
    tmp_path: Path, suffix: str, compression: str, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"boat.{suffix}"
    archive(path, *(info(f"{number}") for number in range(200)), compression=compression)
    path.write_bytes(damage(path.read_bytes()))
    message = refusal(declared(path))
    assert "cannot be read as a tar archive" in message or "there is nothing inside" in message


def test_a_negative_length_does_not_trap_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "boat.tar"
    member = info("boat")
    member.size = -1024
    path.write_bytes(member.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
    assert "member 'boat' has a negative length" in refusal(declared(path))


def test_only_so_many_problems_and_members_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = refusal(archive(tmp_path / "bad.tar", *(info(f"/{number}") for number in range(50))))
    assert message.count("is absolute") == 20
    assert message.endswith("the rest was not looked at")
    monkeypatch.setattr(adapter, "MOST_MEMBERS", 10)
    assert "more than 10 members" in refusal(archive(tmp_path / "many.tar", *(info(f"{n}") for n in range(11))))
    verify_artifact(archive(tmp_path / "few.tar", *(info(f"{n}") for n in range(10))))


_paths = st.lists(st.sampled_from(["a", "b", "c", "d", "a", "b", "..", "."]), min_size=1, max_size=3).map("/".join)
_members = st.tuples(_paths, st.sampled_from([FILE, FOLDER, SYMLINK, HARD_LINK]), _paths)


@settings(deadline=None, max_examples=300)
@given(st.lists(_members, min_size=1, max_size=5))
def test_whatever_passes_stays_inside_when_gnu_tar_unpacks_it(members: list[Member]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        artifact = archive(folder / "boat.tar", *(info(*member) for member in members))
        try:
            verify_artifact(artifact)
        except InputError:
            return
        inside = folder / "unpacked"
        inside.mkdir()
        subprocess.run(["tar", "-C", inside, "-xf", artifact.path], check=False, capture_output=True)
        assert {path.name for path in folder.iterdir()} == {"boat.tar", "unpacked"}
        for path in inside.rglob("*"):
            assert os.path.realpath(path).startswith(str(inside))
