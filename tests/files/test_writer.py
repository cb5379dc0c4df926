"""A picture is saved whole or not at all, and never in the place of another file."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidgo_mcp.files import writer
from vidgo_mcp.files.writer import LONGEST_TURN, MOST_NUMBERS, save, sweep, write_to

WAIT = 60.0
"""Seconds for which a test waits for a process before it fails; in the good case it waits for none of them."""
OLD = 1_000_000_000.0
"""A time long ago, in seconds since the epoch."""
CONTENT = bytes(range(256)) * 400
OTHER = CONTENT[::-1]

STALLING = """
import os, sys
from pathlib import Path
from vidgo_mcp.files import writer

step, call, folder = sys.argv[1:]
content = bytes(range(256)) * 400
write = os.write

def stall(*_, **__):
    write(1, b"stalled\\n")
    sys.stdin.read()

def write_half(file, rest):
    write(file, bytes(rest[: len(rest) // 2]))
    stall()

if step == "writing":
    os.write = write_half
elif step == "naming":
    os.link = os.replace = stall
else:
    os.unlink = stall
if call == "save":
    writer.save(content, Path(folder), "fox-{}.png".format)
else:
    writer.write_to(Path(folder, "fox-1.png"), content, overwrite=True)
"""
"""A process that saves CONTENT, and waits in the middle of a step to be killed."""

RACING = """
import os, sys
from pathlib import Path
from vidgo_mcp.files.writer import save

print("ready", flush=True)
for line in sys.stdin:
    folder, content = line.split()
    print(save(content.encode() * 10_000, Path(folder), "fox-{}.png".format).name, flush=True)
"""

FULL = """
import resource, sys
from pathlib import Path
from vidgo_mcp.files.writer import save, write_to

usual = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, usual[1]))
for call in (
    lambda: save(bytes(5000), Path(sys.argv[1]), "fox-{}.png".format),
    lambda: write_to(Path(sys.argv[1], "dog.png"), bytes(5000), overwrite=True),
):
    try:
        call()
    except OSError as error:
        print(error.errno)
resource.setrlimit(resource.RLIMIT_FSIZE, usual)
"""

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such thing")


def fox(number: int) -> str:
    return f"fox-{number}.png"


def parts(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".vidgo-") and path.suffix == ".part"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    made.mkdir()
    return made


@pytest.fixture
def no_hard_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)


@pytest.fixture
def as_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let renaming refuse a name that is taken, and take away what is not used there."""
    rename, open_ = os.rename, os.open

    def opening(path: Any, *given: Any) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return open_(path, *given)

    def careful(source: Any, target: Any) -> None:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        rename(source, target)

    def missing(*_: object, **__: object) -> None:
        raise AssertionError("Windows does not do this")

    monkeypatch.setattr(writer, "WINDOWS", True)
    monkeypatch.setattr(writer, "_LOOK", os.O_RDONLY)
    monkeypatch.setattr(os, "open", opening)
    monkeypatch.setattr(os, "rename", careful)
    monkeypatch.setattr(os, "link", missing)


@pytest.fixture(params=["hard links", "no hard links", "windows"])
def any_system(request: pytest.FixtureRequest) -> None:
    if request.param == "no hard links":
        request.getfixturevalue("no_hard_links")
    elif request.param == "windows":
        request.getfixturevalue("as_on_windows")


def killed(step: str, call: str, folder: Path) -> None:
    """Let a process save CONTENT, and kill it in the middle of a step."""
    with subprocess.Popen(
        [sys.executable, "-c", STALLING, step, call, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"stalled\n"
        process.kill()
        process.wait(timeout=WAIT)


@pytest.mark.usefixtures("any_system")
class TestOnAnySystem:
    def test_a_picture_is_saved_under_its_first_name(self, folder: Path) -> None:
        path = save(CONTENT, folder, fox)
        assert path == folder / "fox-1.png"
        assert path.read_bytes() == CONTENT
        assert names(folder) == ["fox-1.png"]

    def test_another_picture_gets_the_next_name(self, folder: Path) -> None:
        assert [save(content, folder, fox).name for content in (CONTENT, OTHER, b"", CONTENT + b"x")] == [
            f"fox-{number}.png" for number in (1, 2, 3, 4)
        ]
        assert (folder / "fox-1.png").read_bytes() == CONTENT
        assert (folder / "fox-2.png").read_bytes() == OTHER
        assert len(names(folder)) == 4

    def test_a_name_that_is_taken_in_the_last_moment_is_not_overwritten(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        give_name = writer._give_name

        def late(part: Path, path: Path) -> None:
            if path.name == "fox-1.png":
                path.write_bytes(OTHER)
            give_name(part, path)

        monkeypatch.setattr(writer, "_give_name", late)
        assert save(CONTENT, folder, fox).name == "fox-2.png"
        assert (folder / "fox-1.png").read_bytes() == OTHER
        assert names(folder) == ["fox-1.png", "fox-2.png"]

    def test_a_name_that_another_process_gives_to_the_same_picture_in_the_last_moment_is_taken_over(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        give_name = writer._give_name

        def late(part: Path, path: Path) -> None:
            path.write_bytes(CONTENT)
            give_name(part, path)

        monkeypatch.setattr(writer, "_give_name", late)
        assert save(CONTENT, folder, fox).name == "fox-1.png"
        assert names(folder) == ["fox-1.png"]

    def test_a_file_that_a_person_named_is_written_but_not_overwritten(self, folder: Path) -> None:
        path = folder / "fox.png"
        write_to(path, CONTENT, overwrite=False)
        with pytest.raises(FileExistsError):
            write_to(path, OTHER, overwrite=False)
        assert path.read_bytes() == CONTENT
        write_to(path, OTHER, overwrite=True)
        assert path.read_bytes() == OTHER
        write_to(folder / "new.png", CONTENT, overwrite=True)
        assert names(folder) == ["fox.png", "new.png"]


@settings(max_examples=50, deadline=None)  # each picture waits for the disk
@given(st.lists(st.sampled_from([b"", b"a", b"b", b"ab", b"ba"]), max_size=12))
def test_of_any_pictures_each_is_kept_once(contents: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        where = [save(content, folder, fox) for content in contents]
        assert [path.read_bytes() for path in where] == contents
        assert len(set(where)) == len(set(contents)) == len(list(folder.iterdir()))


def test_a_missing_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    assert save(CONTENT, tmp_path / "a" / "b" / "c", fox).read_bytes() == CONTENT


def test_the_path_is_absolute(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert save(CONTENT, Path("pictures"), fox) == folder / "fox-1.png"


def make_directory(path: Path) -> None:
    path.mkdir()


def make_dangling_link(path: Path) -> None:
    path.symlink_to(path.parent.parent / "nowhere")


def make_link_to_the_same_bytes(path: Path) -> None:
    target = path.parent.parent / "target"
    target.write_bytes(CONTENT)
    path.symlink_to(target)


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


@posix
@pytest.mark.usefixtures("no_hard_links")
def test_without_hard_links_one_process_gives_a_name_at_a_time_whatever_its_case(folder: Path) -> None:
    """Where there are none, two names that differ in case or in how their accents are composed are often one."""
    taken = sha256(b"f\xc3\xbcchs-1.png").hexdigest()[:16]
    turn = folder / f".vidgo-{taken}.part"
    turn.touch()
    for name in ("F\u00dcCHS-1.png", "fu\u0308chs-1.png", "f\u00fcchs-1.png"):
        with pytest.raises(FileExistsError):
            write_to(folder / name, CONTENT, overwrite=False)
    assert names(folder) == [turn.name]
    write_to(folder / "owl.png", CONTENT, overwrite=False)
    # Whoever began that long ago was killed.
    os.utime(turn, (time.time() - LONGEST_TURN - 5,) * 2)
    write_to(folder / "F\u00dcCHS-1.png", CONTENT, overwrite=False)
    assert names(folder) == ["F\u00dcCHS-1.png", "owl.png"]


@pytest.mark.usefixtures("any_system")
@pytest.mark.parametrize("content", [CONTENT, b""], ids=["picture", "nothing"])
@pytest.mark.parametrize(
    "make", [make_directory, make_dangling_link, make_link_to_the_same_bytes, make_pipe], ids=lambda make: make.__name__
)
def test_a_name_that_is_not_a_regular_file_is_passed_over_and_left(
    make: Callable[[Path], None], content: bytes, folder: Path
) -> None:
    taken = folder / "fox-1.png"
    make(taken)
    before = taken.lstat()
    around = set(folder.parent.iterdir())
    assert save(content, folder, fox) == folder / "fox-2.png"
    with pytest.raises(FileExistsError):
        write_to(taken, content, overwrite=False)
    assert stat.S_IFMT(taken.lstat().st_mode) == stat.S_IFMT(before.st_mode)
    assert taken.lstat().st_ino == before.st_ino
    assert set(folder.parent.iterdir()) == around
    assert names(folder) == ["fox-1.png", "fox-2.png"]


@posix
@pytest.mark.parametrize("make", [make_directory, make_pipe], ids=lambda make: make.__name__)
def test_what_is_not_a_file_is_never_overwritten(make: Callable[[Path], None], folder: Path) -> None:
    taken = folder / "fox.png"
    make(taken)
    before = taken.lstat()
    with pytest.raises(FileExistsError, match="not a regular file"):
        write_to(taken, CONTENT, overwrite=True)
    assert taken.lstat().st_ino == before.st_ino
    assert names(folder) == ["fox.png"]


@posix
def test_overwriting_a_link_leaves_the_file_that_it_leads_to(folder: Path) -> None:
    target, link = folder / "target.png", folder / "link.png"
    target.write_bytes(OTHER)
    link.symlink_to(target)
    write_to(link, CONTENT, overwrite=True)
    assert target.read_bytes() == OTHER
    assert link.read_bytes() == CONTENT
    assert not link.is_symlink()


def test_the_same_picture_is_not_written_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = save(CONTENT, folder, fox)
    second = save(OTHER, folder, fox)
    before = (first.lstat(), second.lstat())

    def refuse(*_: object) -> int:
        raise AssertionError("nothing may be written")

    monkeypatch.setattr(os, "write", refuse)
    assert save(CONTENT, folder, fox) == first
    assert save(OTHER, folder, fox) == second
    write_to(first, CONTENT, overwrite=False)
    write_to(first, CONTENT, overwrite=True)
    assert [(s.st_ino, s.st_mtime_ns) for s in (first.lstat(), second.lstat())] == [
        (s.st_ino, s.st_mtime_ns) for s in before
    ]


def test_the_names_end_at_a_thousand(folder: Path) -> None:
    for number in range(1, MOST_NUMBERS):
        (folder / fox(number)).mkdir()
    assert save(CONTENT, folder, fox).name == "fox-1000.png"
    with pytest.raises(FileExistsError, match="1,000 names"):
        save(OTHER, folder, fox)
    assert len(names(folder)) == MOST_NUMBERS


@posix
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664), (0o000, 0o666)])
def test_the_mode_is_what_the_umask_says(mask: int, mode: int, folder: Path) -> None:
    before = os.umask(mask)
    try:
        saved = save(CONTENT, folder, fox)
        written = folder / "written.png"
        write_to(written, CONTENT, overwrite=True)
    finally:
        os.umask(before)
    assert stat.S_IMODE(saved.stat().st_mode) == mode
    assert stat.S_IMODE(written.stat().st_mode) == mode


@posix
def test_the_bytes_are_on_the_disk_before_the_name_and_the_name_before_the_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    link, fsync = os.link, os.fsync

    def linking(source: Path, target: Path) -> None:
        steps.append("name")
        link(source, target)

    def syncing(file: int) -> None:
        found = os.fstat(file)
        steps.append("folder" if stat.S_ISDIR(found.st_mode) else f"{found.st_size} bytes")
        fsync(file)

    monkeypatch.setattr(os, "link", linking)
    monkeypatch.setattr(os, "fsync", syncing)
    save(CONTENT, folder, fox)
    assert steps == [f"{len(CONTENT)} bytes", "name", "folder"]
    steps.clear()
    # The process that gave the name may have ended before the folder was on the disk.
    save(CONTENT, folder, fox)
    assert steps == ["folder"]
    steps.clear()
    write_to(folder / "fox.png", OTHER, overwrite=True)
    assert steps == [f"{len(OTHER)} bytes", "folder"]


@pytest.mark.parametrize("call", ["save", "write_to"])
def test_a_disk_that_is_full_in_the_middle_leaves_nothing(
    call: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = os.write, 0

    def fill(file: int, rest: memoryview) -> int:
        nonlocal written
        if written > 50_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written += write(file, rest[:20_000])
        return 20_000

    kept = folder / "fox.png"
    kept.write_bytes(OTHER)
    calls: dict[str, Callable[[], object]] = {
        "save": lambda: save(CONTENT, folder, fox),
        "write_to": lambda: write_to(kept, CONTENT, overwrite=True),
    }
    monkeypatch.setattr(os, "write", fill)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        calls[call]()
    assert written == 60_000
    assert names(folder) == ["fox.png"]
    assert kept.read_bytes() == OTHER


def test_a_disk_that_takes_a_little_at_a_time_gets_all_of_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda file, rest: write(file, rest[:1000]))
        path = save(CONTENT, folder, fox)
    assert path.read_bytes() == CONTENT


@posix
def test_a_real_limit_of_the_file_size_leaves_nothing(folder: Path) -> None:
    kept = folder / "dog.png"
    kept.write_bytes(OTHER)
    said = subprocess.run(
        [sys.executable, "-c", FULL, str(folder)], capture_output=True, text=True, timeout=WAIT, check=True
    )
    assert said.stdout.split() == [str(errno.EFBIG)] * 2
    assert names(folder) == ["dog.png"]
    assert kept.read_bytes() == OTHER


@pytest.mark.parametrize("step", ["write", "fsync", "close", "link"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "Input/output error")], ids=repr)
def test_whatever_goes_wrong_the_temporary_file_is_removed(
    step: str, error: BaseException, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = os.close

    def fail(*given: Any, **_: Any) -> None:
        if step == "close":
            close(given[0])
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(os, step, fail)
        with pytest.raises(type(error)):
            save(CONTENT, folder, fox)
    assert names(folder) == []


def test_a_folder_that_cannot_be_brought_to_the_disk_does_not_lose_the_picture(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def refuse(file: int) -> None:
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(file)

    monkeypatch.setattr(os, "fsync", refuse)
    assert save(CONTENT, folder, fox).read_bytes() == CONTENT


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    place = tmp_path / "pictures"
    place.write_bytes(b"mine")
    with pytest.raises(OSError):
        save(CONTENT, place, fox)
    with pytest.raises(OSError):
        save(CONTENT, place / "below", fox)
    with pytest.raises(OSError):
        write_to(place / "fox.png", CONTENT, overwrite=True)
    assert sweep(place, older_than=0, now=OLD) == 0
    assert place.read_bytes() == b"mine"


def test_a_named_file_in_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    for overwrite in (False, True):
        with pytest.raises(FileNotFoundError):
            write_to(tmp_path / "missing" / "fox.png", CONTENT, overwrite=overwrite)
    assert not (tmp_path / "missing").exists()


@posix
def test_a_folder_that_must_not_be_written_to_is_an_error(place_of_nobody: Path) -> None:
    folder = place_of_nobody
    folder.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            save(CONTENT, folder, fox)
        with pytest.raises(PermissionError):
            write_to(folder / "fox.png", CONTENT, overwrite=True)
        assert names(folder) == []
    finally:
        folder.chmod(0o700)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux has a folder in which nobody can make a file")
def test_a_file_system_that_takes_no_files_is_an_error() -> None:
    with pytest.raises(OSError):
        save(CONTENT, Path("/proc/self"), fox)


def test_a_name_that_the_file_system_refuses_is_an_error_that_leaves_nothing(folder: Path) -> None:
    with pytest.raises(OSError):
        save(CONTENT, folder, lambda number: f"{'a' * 300}-{number}.png")
    assert names(folder) == []


@posix
@pytest.mark.parametrize(
    "code", [errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES]
)
def test_every_answer_of_a_file_system_without_hard_links_is_known(
    code: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refuse)
    assert save(CONTENT, folder, fox).read_bytes() == CONTENT
    assert names(folder) == ["fox-1.png"]


@posix
@pytest.mark.usefixtures("no_hard_links")
def test_without_hard_links_our_processes_do_not_overwrite_each_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename
    nested: list[Path] = []

    def renaming(source: Path, target: Path) -> None:
        if not nested:
            nested.append(folder)
            # The last look has been taken: another process comes now.
            nested[0] = save(OTHER, folder, fox)
        rename(source, target)

    monkeypatch.setattr(os, "rename", renaming)
    assert save(CONTENT, folder, fox).read_bytes() == CONTENT
    assert nested[0].read_bytes() == OTHER
    assert names(folder) == ["fox-1.png", "fox-2.png"]


@posix
@pytest.mark.parametrize("any_system", ["hard links", "no hard links"], indirect=True)
@pytest.mark.usefixtures("any_system")
def test_threads_that_save_at_the_same_time_all_keep_their_pictures(folder: Path) -> None:
    count = 8
    barrier = threading.Barrier(count, timeout=WAIT)
    where: dict[int, Path] = {}

    def work(number: int) -> None:
        barrier.wait()
        where[number] = save(b"%d" % number * 1000, folder, fox)

    threads = [threading.Thread(target=work, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=WAIT)
    assert {number: path.read_bytes() for number, path in where.items()} == {
        number: b"%d" % number * 1000 for number in range(count)
    }
    assert len(names(folder)) == count


@pytest.fixture
def racers() -> Iterator[list[subprocess.Popen[str]]]:
    started = [
        subprocess.Popen([sys.executable, "-c", RACING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        assert [told(one) for one in started] == ["ready"] * 3
        yield started
    finally:
        for one in started:
            one.communicate(timeout=WAIT)


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def ask(process: subprocess.Popen[str], folder: Path, content: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{folder} {content}\n")
    process.stdin.flush()


@posix
def test_processes_that_save_at_the_same_time_keep_each_picture_once(
    racers: list[subprocess.Popen[str]], tmp_path: Path
) -> None:
    for round_ in range(40):
        folder = tmp_path / str(round_)
        contents = "abc" if round_ % 2 else "aab"
        for racer, content in zip(racers, contents, strict=True):
            ask(racer, folder, content)
        found = {content: told(racer) for racer, content in zip(racers, contents, strict=True)}
        assert {content: (folder / name).read_bytes() for content, name in found.items()} == {
            content: content.encode() * 10_000 for content in contents
        }
        assert names(folder) == [fox(number + 1) for number in range(len(set(contents)))]
        assert {path.stat().st_nlink for path in folder.iterdir()} == {1}


@pytest.mark.parametrize("step", ["writing", "naming"])
def test_a_process_killed_before_the_name_leaves_only_a_hidden_file(step: str, folder: Path) -> None:
    killed(step, "save", folder)
    (left,) = folder.iterdir()
    assert parts(folder) == [left]
    assert sweep(folder, older_than=60, now=left.stat().st_mtime + 59) == 0
    path = save(CONTENT, folder, fox)
    assert path == folder / "fox-1.png"
    assert path.read_bytes() == CONTENT
    assert left.exists()
    assert sweep(folder, older_than=60, now=left.stat().st_mtime + 61) == 1
    assert names(folder) == ["fox-1.png"]


@pytest.mark.parametrize("step", ["writing", "naming"])
def test_a_process_killed_while_it_overwrites_leaves_the_old_file_whole(step: str, folder: Path) -> None:
    path = folder / "fox-1.png"
    path.write_bytes(OTHER)
    killed(step, "write_to", folder)
    assert path.read_bytes() == OTHER
    assert len(parts(folder)) == len(names(folder)) - 1 == 1


@posix
@pytest.mark.parametrize("again", ["save", "write_to", "overwrite"])
def test_a_process_killed_after_the_name_has_its_picture_taken_over(again: str, folder: Path) -> None:
    killed("unlinking", "save", folder)
    path = folder / "fox-1.png"
    assert path.read_bytes() == CONTENT
    assert path.stat().st_nlink == len(names(folder)) == 2
    (folder / f".vidgo-{'a' * 16}.part").write_bytes(CONTENT)
    (folder / "mine.png").write_bytes(CONTENT)
    if again == "save":
        assert save(CONTENT, folder, fox) == path
    else:
        write_to(path, CONTENT, overwrite=again == "overwrite")
    assert path.stat().st_nlink == 1
    assert names(folder) == [f".vidgo-{'a' * 16}.part", "fox-1.png", "mine.png"]


@posix
def test_a_second_name_that_is_not_temporary_is_left(folder: Path) -> None:
    path = save(CONTENT, folder, fox)
    mine = folder / "mine.png"
    mine.hardlink_to(path)
    assert save(CONTENT, folder, fox) == path
    assert mine.read_bytes() == CONTENT


@posix
def test_only_old_temporary_files_of_ours_are_swept(folder: Path) -> None:
    ours = ".vidgo-0123456789abcdef.part"
    kept = [
        "fox-1.png",
        ".vidgo-0123.part",
        ".vidgo-0123456789abcdef.png",
        "vidgo-0123456789abcdef.part",
        f"{ours}.png",
        f"a{ours}",
        ".vidgo-0123456789ABCDEF.part",
    ]
    for name in (ours, *kept):
        (folder / name).write_bytes(CONTENT)
        os.utime(folder / name, (OLD, OLD))
    young = folder / f".vidgo-{'1' * 16}.part"
    young.write_bytes(CONTENT)
    os.utime(young, (OLD + 41, OLD + 41))
    (folder / f".vidgo-{'2' * 16}.part").mkdir()
    os.utime(folder / f".vidgo-{'2' * 16}.part", (OLD, OLD))
    target = folder.parent / "target"
    target.write_bytes(CONTENT)
    os.utime(target, (OLD, OLD))
    link = folder / f".vidgo-{'3' * 16}.part"
    link.symlink_to(target)
    os.utime(link, (OLD, OLD), follow_symlinks=False)
    before = set(names(folder))
    assert sweep(folder, older_than=60, now=OLD + 100) == 1
    assert set(names(folder)) == before - {ours}
    assert target.read_bytes() == CONTENT


def test_one_file_that_cannot_be_removed_does_not_keep_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for digit in "123":
        (folder / f".vidgo-{digit * 16}.part").write_bytes(b"")
        os.utime(folder / f".vidgo-{digit * 16}.part", (OLD, OLD))
    unlink = os.unlink

    def refuse(path: Path) -> None:
        if "2" in path.name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        unlink(path)

    monkeypatch.setattr(os, "unlink", refuse)
    assert sweep(folder, older_than=60, now=OLD + 100) == 2
    assert names(folder) == [f".vidgo-{'2' * 16}.part"]


def test_a_missing_folder_has_nothing_to_sweep(tmp_path: Path) -> None:
    assert sweep(tmp_path / "missing", older_than=0, now=OLD) == 0
    assert not (tmp_path / "missing").exists()


@pytest.mark.usefixtures("no_hard_links")
def test_a_turn_is_judged_by_the_clock_of_its_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of a network folder may live minutes in the past; a turn that was just taken there is no old one."""
    sync = os.fsync

    def in_the_past(file: int) -> None:
        sync(file)
        os.utime(file, (time.time() - 600,) * 2)

    monkeypatch.setattr(os, "fsync", in_the_past)
    turn = folder / f".vidgo-{sha256(b'fox.png').hexdigest()[:16]}.part"
    turn.touch()
    os.utime(turn, (time.time() - 610,) * 2)
    with pytest.raises(FileExistsError):
        write_to(folder / "fox.png", CONTENT, overwrite=False)
    assert names(folder) == [turn.name]
