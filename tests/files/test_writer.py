"""A picture is saved whole or not at all, and never in the place of another file."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidgo_mcp.files import writer
from vidgo_mcp.files.writer import MOST_NUMBERS, save, sweep, write_to

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

step, folder = sys.argv[1:]
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
    os.link = stall
else:
    os.unlink = stall
writer.save(content, Path(folder), "fox-{}.png".format)
"""
"""A process that saves CONTENT, and waits in the middle of a step to be killed."""

RACING = """
import sys
from pathlib import Path
from vidgo_mcp.files.writer import save

print("ready", flush=True)
for line in sys.stdin:
    folder, content = line.split()
    print(save(content.encode() * 10_000, Path(folder), "fox-{}.png".format).name, flush=True)
"""

posix = pytest.mark.skipif(os.name != "posix", reason="Windows has no such thing")


def fox(number: int) -> str:
    return f"fox-{number}.png"


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
    monkeypatch.setattr(os, "open", opening)
    monkeypatch.setattr(os, "rename", careful)
    monkeypatch.setattr(os, "link", missing)


@pytest.fixture(params=["hard links", "no hard links", "windows"])
def any_system(request: pytest.FixtureRequest) -> None:
    if request.param == "no hard links":
        request.getfixturevalue("no_hard_links")
    elif request.param == "windows":
        request.getfixturevalue("as_on_windows")


def killed(step: str, folder: Path) -> None:
    """Let a process save CONTENT, and kill it in the middle of a step."""
    with subprocess.Popen(
        [sys.executable, "-c", STALLING, step, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"stalled\n"
        process.kill()
        process.wait(timeout=WAIT)


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


@pytest.mark.usefixtures("any_system")
class TestOnAnySystem:
    def test_each_picture_is_saved_once_under_its_first_free_name(self, folder: Path) -> None:
        contents = [CONTENT, OTHER, b"", CONTENT, CONTENT + b"x"]
        where = [save(content, folder, fox) for content in contents]
        assert where == [folder / fox(number) for number in (1, 2, 3, 1, 4)]
        assert [path.read_bytes() for path in where] == contents
        assert len(names(folder)) == 4

    @pytest.mark.parametrize(("late", "name"), [(OTHER, "fox-2.png"), (CONTENT, "fox-1.png")])
    def test_a_name_that_is_taken_in_the_last_moment_is_not_overwritten(
        self, late: bytes, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        give_name = writer._give_name

        def taken(part: Path, path: Path) -> None:
            if path.name == "fox-1.png":
                path.write_bytes(late)
            give_name(part, path)

        monkeypatch.setattr(writer, "_give_name", taken)
        assert save(CONTENT, folder, fox).name == name
        assert (folder / "fox-1.png").read_bytes() == late
        assert len(names(folder)) == int(name[4])

    def test_a_file_that_a_person_named_is_never_overwritten(self, folder: Path) -> None:
        path = folder / "fox.png"
        write_to(path, CONTENT)
        write_to(path, CONTENT)
        with pytest.raises(FileExistsError):
            write_to(path, OTHER)
        assert (path.read_bytes(), names(folder)) == (CONTENT, ["fox.png"])

    @posix
    @pytest.mark.parametrize("content", [CONTENT, b""], ids=["picture", "nothing"])
    @pytest.mark.parametrize("make", [make_directory, make_dangling_link, make_link_to_the_same_bytes, make_pipe])
    def test_what_is_no_regular_file_is_passed_over_and_left(
        self, make: Callable[[Path], None], content: bytes, folder: Path
    ) -> None:
        taken = folder / "fox-1.png"
        make(taken)
        before, around = taken.lstat(), set(folder.parent.iterdir())
        assert save(content, folder, fox) == folder / "fox-2.png"
        with pytest.raises(FileExistsError):
            write_to(taken, content)
        assert (taken.lstat().st_mode, taken.lstat().st_ino) == (before.st_mode, before.st_ino)
        assert set(folder.parent.iterdir()) == around
        assert names(folder) == ["fox-1.png", "fox-2.png"]


@settings(max_examples=50)
@given(st.lists(st.sampled_from([b"", b"a", b"b", b"ab", b"ba"]), max_size=12))
def test_of_any_pictures_each_is_kept_once(contents: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        where = [save(content, folder, fox) for content in contents]
        assert [path.read_bytes() for path in where] == contents
        assert len(set(where)) == len(set(contents)) == len(list(folder.iterdir()))


def test_a_missing_folder_is_made_and_the_path_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = save(CONTENT, Path("a/b/c"), fox)
    assert path == tmp_path / "a" / "b" / "c" / "fox-1.png"
    assert path.read_bytes() == CONTENT


@posix
@pytest.mark.usefixtures("no_hard_links")
def test_without_hard_links_one_process_gives_a_name_at_a_time(folder: Path) -> None:
    """Where there are none, two names that differ in case or in how their accents are composed are often one."""
    turn = folder / f".vidgo-{sha256('füchs-1.png'.encode()).hexdigest()[:16]}.part"
    turn.touch()
    for name in ("FÜCHS-1.png", "fu\u0308chs-1.png", "füchs-1.png"):
        with pytest.raises(FileExistsError):
            write_to(folder / name, CONTENT)
    assert names(folder) == [turn.name]
    # Whoever left it was killed. Until it is swept away the next name is taken.
    assert save(CONTENT, folder, "füchs-{}.png".format).name == "füchs-2.png"
    sweep(folder, older_than=60, now=turn.stat().st_mtime + 61)
    write_to(folder / "FÜCHS-1.png", CONTENT)
    assert len(names(folder)) == 2


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


def test_the_same_picture_is_not_written_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = [save(content, folder, fox) for content in (CONTENT, OTHER)]

    def refuse(*_: object) -> int:
        raise AssertionError("nothing may be written")

    monkeypatch.setattr(os, "write", refuse)
    assert [save(content, folder, fox) for content in (CONTENT, OTHER)] == where
    write_to(where[0], CONTENT)


def test_the_names_end_at_a_thousand(folder: Path) -> None:
    for number in range(1, MOST_NUMBERS):
        (folder / fox(number)).mkdir()
    assert save(CONTENT, folder, fox).name == "fox-1000.png"
    with pytest.raises(FileExistsError, match="1,000 names"):
        save(OTHER, folder, fox)
    assert len(names(folder)) == MOST_NUMBERS


@posix
@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_the_mode_is_what_the_umask_says(mask: int, mode: int, folder: Path) -> None:
    before = os.umask(mask)
    try:
        saved = save(CONTENT, folder, fox)
    finally:
        os.umask(before)
    assert stat.S_IMODE(saved.stat().st_mode) == mode


@posix
def test_bytes_are_on_the_disk_before_the_name_and_that_before_the_answer(
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
    # The process that gave the name may have ended before the folder was on the disk.
    save(CONTENT, folder, fox)
    assert steps[3:] == ["folder"]


def test_a_disk_that_is_full_in_the_middle_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = os.write, 0

    def fill(file: int, rest: memoryview) -> int:
        nonlocal written
        if written > 50_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written += write(file, rest[:20_000])
        return 20_000

    kept = folder / "fox.png"
    kept.write_bytes(OTHER)
    monkeypatch.setattr(os, "write", fill)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        save(CONTENT, folder, fox)
    assert (written, names(folder), kept.read_bytes()) == (60_000, ["fox.png"], OTHER)


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


def test_a_place_that_takes_no_file_is_an_error_that_leaves_nothing(folder: Path) -> None:
    place = folder / "file"
    place.write_bytes(b"mine")
    failing: list[Callable[[], object]] = [
        lambda: save(CONTENT, place, fox),
        lambda: save(CONTENT, place / "below", fox),
        lambda: save(CONTENT, folder, lambda number: f"{'a' * 300}-{number}.png"),
        lambda: write_to(place / "fox.png", CONTENT),
        lambda: write_to(folder / "missing" / "fox.png", CONTENT),
    ]
    for save_there in failing:
        with pytest.raises(OSError):
            save_there()
    for missing in (place, folder / "missing"):
        sweep(missing, older_than=0, now=OLD)
    assert (names(folder), place.read_bytes()) == (["file"], b"mine")


@posix
def test_a_folder_that_must_not_be_written_to_is_an_error(place_of_nobody: Path) -> None:
    place_of_nobody.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            save(CONTENT, place_of_nobody, fox)
        assert names(place_of_nobody) == []
    finally:
        place_of_nobody.chmod(0o700)


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
        assert [read_line(one) for one in started] == ["ready"] * 3
        yield started
    finally:
        for one in started:
            one.communicate(timeout=WAIT)


def read_line(process: subprocess.Popen[str]) -> str:
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
        found = {content: read_line(racer) for racer, content in zip(racers, contents, strict=True)}
        assert {content: (folder / name).read_bytes() for content, name in found.items()} == {
            content: content.encode() * 10_000 for content in contents
        }
        assert names(folder) == [fox(number + 1) for number in range(len(set(contents)))]
        assert {path.stat().st_nlink for path in folder.iterdir()} == {1}


@pytest.mark.parametrize("step", ["writing", "naming"])
def test_a_process_killed_before_the_name_leaves_only_a_hidden_file(step: str, folder: Path) -> None:
    killed(step, folder)
    [left] = folder.iterdir()
    assert (left.name.startswith(".vidgo-"), left.suffix) == (True, ".part")
    for age in (59, 61):
        assert left.exists()
        sweep(folder, older_than=60, now=left.stat().st_mtime + age)
    assert not left.exists()


@posix
def test_a_process_killed_after_the_name_has_its_picture_taken_over(folder: Path) -> None:
    killed("unlinking", folder)
    path = folder / "fox-1.png"
    assert (path.read_bytes(), path.stat().st_nlink, len(names(folder))) == (CONTENT, 2, 2)
    # Neither the temporary file of another process nor a second name that a person gave is touched.
    (folder / f".vidgo-{'a' * 16}.part").write_bytes(CONTENT)
    (folder / "mine.png").hardlink_to(path)
    assert save(CONTENT, folder, fox) == path
    assert names(folder) == [f".vidgo-{'a' * 16}.part", "fox-1.png", "mine.png"]


@posix
def test_only_old_temporary_files_of_ours_are_swept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, young, stuck, linked, made = (f".vidgo-{digit * 16}.part" for digit in "01234")
    alike = ["fox-1.png", ".vidgo-0123.part", f".vidgo-{'0' * 16}.png", f"{ours}.png", f"a{ours}", ours.upper()]
    target = folder.parent / "target"
    for path in (target, *(folder / name for name in (ours, young, stuck, *alike))):
        path.write_bytes(CONTENT)
        os.utime(path, (OLD, OLD))
    os.utime(folder / young, (OLD + 41, OLD + 41))
    (folder / made).mkdir()
    (folder / linked).symlink_to(target)
    for name in (made, linked):
        os.utime(folder / name, (OLD, OLD), follow_symlinks=False)
    unlink, before = os.unlink, set(names(folder))

    def refuse(path: Path) -> None:
        if path.name == stuck:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        unlink(path)

    monkeypatch.setattr(os, "unlink", refuse)
    sweep(folder, older_than=60, now=OLD + 100)
    assert set(names(folder)) == before - {ours}
    assert target.read_bytes() == CONTENT
