"""Only pictures below the allowed folders are read, whatever a name, a link or another process tries."""

from __future__ import annotations

import os
import socket
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vidgo_mcp.files import reader
from vidgo_mcp.files.reader import LARGEST_FILE, Folders, opened_by_name, read_below, without_prefix
from vidgo_mcp.files.unusable import UnusableError

posix = pytest.mark.skipif(os.name != "posix", reason="descriptors of folders, pipes and modes are POSIX's")
linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc and names that are not UTF-8 are Linux's")


def picture(colour: str, kind: str = "PNG") -> bytes:
    """Return a small picture; another colour gives other bytes."""
    file = BytesIO()
    Image.new("RGB", (3, 2), colour).save(file, kind)
    return file.getvalue()


GREEN, RED = picture("green"), picture("red")
ALLOW_IT = "ask the user to copy it there, or to add its folder to VIDGO_INPUT_DIRS and restart this server"
TOO_LARGE = (
    "it has more than {} MB, the most that a picture may have: make it smaller, or ask the user to raise "
    "VIDGO_MAX_UPLOAD_MB"
)
CHANGED = "its symbolic links lead in a circle, or were changed while it was read"


class Disk:
    """A folder that may be read, with a green picture, and one beside it that may not, with a red one."""

    def __init__(self, place: Path) -> None:
        self.allowed = place / "in"
        self.outside = place / "out"
        for folder in (self.allowed, self.outside):
            (folder / "sub").mkdir(parents=True)
        self.inner = self.put("in/fox.png", GREEN)
        self.secret = self.put("out/secret.png", RED)
        self.folders = Folders((self.allowed,), home=str(place / "home"))

    def put(self, name: str, content: bytes) -> Path:
        path = self.allowed.parent / name
        path.write_bytes(content)
        return path

    def read(self, text: str | Path) -> bytes:
        return self.folders.read(str(text)).content

    def refusal(self, text: str | Path, folders: Folders | None = None) -> str:
        before = open_descriptors()
        with pytest.raises(UnusableError) as caught:
            (folders or self.folders).read(str(text))
        assert open_descriptors() == before
        message = str(caught.value)
        assert message.isprintable()
        return message

    def nowhere(self) -> str:
        return f"there is no such file in the folders that may be read ({self.allowed}): {ALLOW_IT}"

    def is_outside(self, text: str | Path) -> bool:
        return self.refusal(text) == (f"it is outside the folders that may be read ({self.allowed}): {ALLOW_IT}")


def open_descriptors() -> int:
    """Return how many files this process has open, where the system tells."""
    with suppress(OSError):
        return len([*Path("/dev/fd").iterdir()])
    return 0


@pytest.fixture
def disk(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path)


def test_a_picture_in_the_folder_is_read_with_its_type(disk: LocalFiles) -> None:
    before = open_descriptors()
    found = disk.folders.read(str(disk.inner))
    assert (found.content, found.mime_type, found.width, found.height) == (GREEN, "image/png", 3, 2)
    assert open_descriptors() == before


def test_the_type_comes_from_the_bytes_and_not_from_the_name(disk: LocalFiles) -> None:
    disk.put("in/photo.png", picture("blue", "JPEG"))
    disk.put("in/no extension", GREEN)
    assert disk.folders.read("photo.png").mime_type == "image/jpeg"
    assert disk.folders.read("no extension").mime_type == "image/png"


@pytest.mark.parametrize("form", ["fox.png", "./fox.png", "sub/../fox.png", "sub/.././/fox.png", "{0}/sub/../fox.png"])
def test_a_name_inside_may_be_spelled_in_many_ways(disk: LocalFiles, form: str) -> None:
    assert disk.read(form.format(disk.allowed)) == GREEN


def test_a_file_address_and_a_name_below_home_are_read(disk: LocalFiles) -> None:
    disk.folders = Folders((disk.allowed,), home=str(disk.allowed))
    disk.put("in/my fox.png", GREEN)
    assert disk.read((disk.allowed / "my fox.png").as_uri()) == GREEN
    assert disk.read("~/fox.png") == GREEN


def test_a_relative_name_is_looked_for_in_each_folder_in_order(disk: LocalFiles) -> None:
    folders = Folders((disk.allowed / "sub", disk.allowed, disk.outside))
    assert folders.read("fox.png").content == GREEN
    assert folders.read("secret.png").content == RED
    disk.put("out/fox.png", RED)
    assert folders.read("fox.png").content == GREEN
    assert folders.read("../out/secret.png").content == RED


def test_a_relative_name_never_means_the_working_directory(disk: LocalFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(disk.outside)
    assert disk.refusal("secret.png") == disk.nowhere()


def test_one_folder_that_cannot_be_used_does_not_hide_the_next(disk: LocalFiles) -> None:
    disk.put("out/sub/plain", b"")
    folders = Folders((disk.outside / "missing", disk.outside / "sub" / "plain", disk.allowed))
    assert folders.read("fox.png").content == GREEN


@posix
def test_links_that_stay_inside_are_followed(disk: LocalFiles) -> None:
    (disk.allowed / "link.png").symlink_to("fox.png")
    (disk.allowed / "sub" / "up").symlink_to("..")
    assert disk.read("link.png") == GREEN
    assert disk.read("sub/up/sub/up/fox.png") == GREEN


@posix
def test_the_folder_itself_may_be_a_link_and_is_looked_up_again_at_each_read(disk: LocalFiles, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(disk.allowed)
    folders = Folders((link,))
    for name in ("fox.png", str(link / "fox.png"), str(disk.inner)):
        assert folders.read(name).content == GREEN
    link.unlink()
    link.symlink_to(disk.outside)
    assert folders.read("secret.png").content == RED
    assert "outside" in disk.refusal(disk.inner, folders)


@posix
def test_a_name_of_255_bytes_is_read_and_one_of_256_has_its_own_message(disk: LocalFiles) -> None:
    longest = "ü" * 125 + "x.png"
    disk.put(f"in/{longest}", GREEN)
    assert disk.read(longest) == GREEN
    assert "longer than the 255 bytes" in disk.refusal(f"x{longest}")
    assert "longer than the 255 bytes" in disk.refusal(f"{'x' * 256}/fox.png")
    assert disk.refusal("x" * 255) == disk.nowhere()


@linux
def test_a_name_that_is_not_utf_8_is_read_and_shown_escaped(disk: LocalFiles) -> None:
    disk.put("in/f\udcfcchse.png", GREEN)
    assert disk.read(f"file://{disk.allowed}/f%FCchse.png") == GREEN
    assert disk.refusal("füchse.png").endswith(f'did you mean "file://{disk.allowed}/f%FCchse.png"?')


def test_without_folders_no_file_is_read_and_the_setting_is_named(disk: LocalFiles) -> None:
    message = disk.refusal(disk.inner, Folders(()))
    assert message.startswith("no local file may be read: set VIDGO_INPUT_DIRS to the folders")


@pytest.mark.parametrize(
    "form",
    [
        "{out}/secret.png",
        "{out}",
        "{in}/../out/secret.png",
        "../out/secret.png",
        "sub/../../out/secret.png",
        "{in}2/secret.png",
        "../in2/secret.png",
        "file://{out}/secret.png",
        "file://{in}/%2e%2e/out/secret.png",
        "file://{in}%2F..%2Fout%2Fsecret.png",
        "file://localhost{in}/../out/secret.png",
        "..",
        "/",
        "~/secret.png",
        "missing/../../out/secret.png",
    ],
)
def test_a_picture_outside_is_refused(disk: LocalFiles, tmp_path: Path, form: str) -> None:
    for folder in ("in2", "home"):
        (tmp_path / folder).mkdir(exist_ok=True)
        disk.put(f"{folder}/secret.png", RED)
    assert disk.is_outside(form.replace("{in}", str(disk.allowed)).replace("{out}", str(disk.outside)))


@posix
def test_a_link_to_the_outside_is_refused(disk: LocalFiles) -> None:
    (disk.allowed / "link.png").symlink_to(disk.secret)
    (disk.allowed / "relative.png").symlink_to("../out/secret.png")
    (disk.allowed / "folder").symlink_to(disk.outside)
    (disk.allowed / "chain.png").symlink_to("link.png")
    for name in ("link.png", "relative.png", "folder/secret.png", "folder", "chain.png", "sub/../folder/secret.png"):
        assert disk.is_outside(name), name
        assert disk.is_outside(disk.allowed / name), name


@posix
def test_nothing_is_told_about_what_is_outside(disk: LocalFiles) -> None:
    (disk.allowed / "folder").symlink_to(disk.outside)
    (disk.allowed / "dangling.png").symlink_to(disk.outside / "missing.png")
    os.mkfifo(disk.outside / "pipe")
    (disk.outside / "circle").symlink_to("circle")
    (disk.outside / "link").symlink_to("sub/deep")
    names = ("secret.png", "SECRET.png", "missing.png", "sub", "pipe", "circle", "link", "x" * 256)
    for name in (*names, "secret.png/x", "missing/x"):
        assert disk.is_outside(disk.outside / name), name
        assert disk.is_outside(f"folder/{name}"), name
    assert disk.is_outside("dangling.png")
    # Through a link, ".." would lead elsewhere than through a folder, and so tell which of them is there.
    for name in names:
        assert disk.read(disk.outside / name / "../../in/fox.png") == GREEN, name


@linux
def test_a_link_that_this_process_may_not_look_into_is_outside(
    disk: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: object, **_: object) -> str:
        raise PermissionError(13, "Permission denied")

    (disk.outside / "closed").symlink_to("sub")
    real = os.readlink
    monkeypatch.setattr(os, "readlink", lambda path, **given: (refuse if "closed" in str(path) else real)(path))
    assert disk.is_outside(disk.outside / "closed")


def test_a_hard_link_is_refused(disk: LocalFiles) -> None:
    os.link(disk.secret, disk.allowed / "hard.png")
    assert disk.refusal("hard.png") == (
        "it is a hard link, so the same file may lie elsewhere: make a copy and name that"
    )


@contextmanager
def swapped_before(name: str, swap: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run a swap once, right before the reader opens that name."""
    real, left = os.open, [swap]

    def opening(path: Any, *given: Any, **named: Any) -> int:
        if str(path) == name and left:
            left.pop()()
        return real(path, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", opening)
        yield
    assert not left, "the reader opened no such name"


@posix
def test_a_file_that_becomes_a_link_before_it_is_opened_is_refused(
    disk: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap() -> None:
        disk.inner.unlink()
        disk.inner.symlink_to(disk.secret)

    with swapped_before("fox.png", swap, monkeypatch):
        message = disk.refusal("fox.png")
    assert message == CHANGED


@posix
def test_a_folder_that_becomes_a_link_before_it_is_opened_is_refused(
    disk: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap() -> None:
        (disk.allowed / "sub").rename(disk.allowed / "away")
        (disk.allowed / "sub").symlink_to(disk.outside)

    disk.put("in/sub/secret.png", GREEN)
    with swapped_before("sub", swap, monkeypatch):
        message = disk.refusal("sub/secret.png")
    assert message == CHANGED


@posix
def test_a_parent_that_is_swapped_after_it_was_opened_changes_nothing(
    disk: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap() -> None:
        disk.allowed.rename(disk.allowed.with_name("away"))
        disk.allowed.symlink_to(disk.outside)

    disk.put("out/sub/fox.png", RED)
    disk.put("in/sub/fox.png", GREEN)
    with swapped_before("fox.png", swap, monkeypatch):
        assert disk.read("sub/fox.png") == GREEN


@posix
def test_the_folder_that_becomes_a_link_before_it_is_opened_is_refused(
    disk: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap() -> None:
        disk.allowed.rename(disk.allowed.with_name("away"))
        disk.allowed.symlink_to(disk.outside)

    disk.put("out/fox.png", RED)
    with swapped_before(os.path.realpath(disk.allowed), swap, monkeypatch):
        assert disk.refusal("fox.png") == CHANGED


@posix
def test_a_file_that_becomes_a_pipe_or_a_hard_link_before_it_is_opened_is_refused(
    disk: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pipe() -> None:
        disk.inner.unlink()
        os.mkfifo(disk.inner)

    def hard_link() -> None:
        disk.inner.unlink()
        os.link(disk.secret, disk.inner)

    with swapped_before("fox.png", pipe, monkeypatch):
        assert disk.refusal("fox.png") == "it is a named pipe, not a file"
    disk.inner.unlink()
    disk.inner.write_bytes(GREEN)
    with swapped_before("fox.png", hard_link, monkeypatch):
        assert "hard link" in disk.refusal("fox.png")


@contextmanager
def swapped_after(name: str, swap: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run a swap once, right after the reader opened that name."""
    real = os.open

    def opening(path: Any, *given: Any, **named: Any) -> int:
        descriptor = real(path, *given, **named)
        if str(path) == name:
            swap()
        return descriptor

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", opening)
        yield


@posix
def test_a_hard_link_that_is_taken_away_after_it_was_opened_is_refused(
    disk: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the link the number of names goes back to one, which alone proves nothing."""
    link = disk.allowed / "hard.png"

    def replace() -> None:
        link.unlink()
        link.write_bytes(GREEN)

    for swap in (link.unlink, replace):
        link.unlink(missing_ok=True)
        os.link(disk.secret, link)
        with swapped_after("hard.png", swap, monkeypatch):
            assert disk.refusal("hard.png") == "it was moved or replaced while it was read: try again"

    def put_back(descriptor: int, most: int) -> bytes:
        os.link(disk.secret, link)
        return read(descriptor, most)

    link.unlink()
    os.link(disk.secret, link)
    read = reader._read
    monkeypatch.setattr(reader, "_read", put_back)
    with swapped_after("hard.png", link.unlink, monkeypatch):
        assert "it is a hard link" in disk.refusal("hard.png")


@posix
def test_a_file_that_vanishes_before_it_is_opened_is_missing(disk: LocalFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    with swapped_before("fox.png", disk.inner.unlink, monkeypatch):
        assert disk.refusal("fox.png") == disk.nowhere()


@posix
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_thread_that_swaps_all_the_time_never_gets_anything_from_outside(disk: LocalFiles, what: str) -> None:
    target = disk.allowed / "sub" / "secret.png"
    target.write_bytes(GREEN)
    good, bad = disk.allowed / "good", disk.allowed / "bad"
    name = target if what == "file" else target.parent
    bad.symlink_to(disk.secret if what == "file" else disk.outside)
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            name.rename(good)
            bad.rename(name)
            name.rename(bad)
            good.rename(name)

    found: list[bytes] = []
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(1000):
            with suppress(UnusableError):
                found.append(read_below(target, [disk.allowed], largest=1000))
    finally:
        ended.set()
        thread.join()
    assert set(found) <= {GREEN}
    assert read_below(target, [disk.allowed], largest=1000) == GREEN


def test_a_folder_is_refused(disk: LocalFiles) -> None:
    for name in ("sub", "sub/", str(disk.allowed), "."):
        assert disk.refusal(name) == "it is a folder: name a picture in it", name


@posix
def test_a_named_pipe_is_refused_without_waiting_for_its_writer(disk: LocalFiles) -> None:
    os.mkfifo(disk.allowed / "pipe.png")
    assert disk.refusal("pipe.png") == "it is a named pipe, not a file"


@posix
def test_a_socket_is_refused(disk: LocalFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    # The path of a socket may only have some hundred bytes.
    monkeypatch.chdir(disk.allowed)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.png")
        assert disk.refusal("socket.png") == "it is a socket, not a file"


@linux
@pytest.mark.parametrize("allowed", ["/", "/dev", "/proc"])
def test_devices_and_files_of_the_kernel_are_refused_also_where_they_may_be_read(
    disk: LocalFiles, allowed: str
) -> None:
    folders = Folders((Path(allowed),))
    if allowed != "/proc":
        assert disk.refusal("/dev/zero", folders) == "it is a device, not a file"
        assert disk.refusal("/dev/full", folders) == "it is a device, not a file"
    if allowed != "/dev":
        assert "not a JPEG, PNG, GIF or WebP" in disk.refusal("/proc/self/environ", folders)
        assert disk.refusal("/proc/self/fd/0", folders)
        assert "outside" in disk.refusal("/proc/self/cwd/fox.png", Folders((Path("/proc"),)))


@linux
def test_a_file_of_the_kernel_that_says_to_be_empty_is_measured_while_it_is_read() -> None:
    assert Path("/proc/self/maps").stat().st_size == 0
    with pytest.raises(UnusableError, match="has more than"):
        read_below(Path("/proc/self/maps"), [Path("/proc")], largest=100)


def test_a_file_with_more_bytes_than_the_most_is_refused_with_the_size_in_mb(disk: LocalFiles) -> None:
    disk.put("in/large.png", GREEN + b"\0" * (3 * 1024 * 1024 - len(GREEN)))
    assert Folders((disk.allowed,), largest=3 * 1024 * 1024).read("large.png").content == GREEN
    disk.put("in/large.png", GREEN + b"\0" * (3 * 1024 * 1024 + 1 - len(GREEN)))
    message = disk.refusal("large.png", Folders((disk.allowed,), largest=3 * 1024 * 1024))
    assert message == TOO_LARGE.format(3)


@posix
def test_a_huge_file_is_refused_without_reading_it(disk: LocalFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    with disk.inner.open("r+b") as file:
        file.truncate(1 << 40)
    monkeypatch.setattr(os, "read", lambda *_: pytest.fail("it was read"))
    assert disk.refusal("fox.png") == TOO_LARGE.format(20)
    assert LARGEST_FILE == 20 * 1024 * 1024


@posix
def test_a_file_that_grows_while_it_is_read_is_refused(disk: LocalFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.read
    asked: list[int] = []

    def growing(descriptor: int, most: int) -> bytes:
        asked.append(most)
        assert len(asked) < 10, "it reads for ever"
        with disk.inner.open("ab") as file:
            file.write(b"x" * most)
        return real(descriptor, most)

    monkeypatch.setattr(os, "read", growing)
    assert "more than 2 MB" in disk.refusal("fox.png", Folders((disk.allowed,), largest=2 * 1024 * 1024))
    assert sum(asked) <= 4 * 1024 * 1024


def test_an_empty_file_and_one_that_is_no_picture_are_refused_without_showing_their_content(disk: LocalFiles) -> None:
    disk.put("in/empty.png", b"")
    disk.put("in/text.png", b"the launch code is 0000")
    disk.put("in/cut.png", GREEN[:-20])
    assert disk.refusal("empty.png") == "it is empty"
    assert "0000" not in disk.refusal("text.png")
    assert "damaged" in disk.refusal("cut.png")


@posix
def test_links_in_a_circle_are_refused(disk: LocalFiles) -> None:
    (disk.allowed / "a.png").symlink_to("b.png")
    (disk.allowed / "b.png").symlink_to("a.png")
    (disk.allowed / "self").symlink_to("self")
    for name in ("a.png", "b.png", "self/fox.png"):
        assert disk.refusal(name) == CHANGED, name


@posix
def test_a_chain_of_thousands_of_links_is_refused_without_a_crash(disk: LocalFiles) -> None:
    (disk.allowed / "0").symlink_to("fox.png")
    for number in range(1, 3000):
        (disk.allowed / str(number)).symlink_to(str(number - 1))
    with suppress(UnusableError):
        assert disk.read("2999") == GREEN
    assert disk.read("3") == GREEN


@posix
def test_a_file_or_folder_without_permission_is_refused(place_of_nobody: Path) -> None:
    disk = LocalFiles(place_of_nobody)
    disk.put("in/sub/fox.png", GREEN)
    disk.inner.chmod(0)
    (disk.allowed / "sub").chmod(0)
    for name in ("fox.png", "sub/fox.png"):
        assert disk.refusal(name) == "this server has no permission to read it"
    disk.put("out/owl.png", GREEN)
    assert disk.refusal("sub/owl.png", Folders((disk.allowed, disk.outside))) == (
        "this server has no permission to read it"
    )
    (disk.outside / "sub" / "fxo.png").write_bytes(GREEN)
    # A folder that is closed does not hide what the next one knows better.
    near = f'there is no such file: did you mean "{disk.outside / "sub" / "fxo.png"}"?'
    assert disk.refusal("sub/fox.png", Folders((disk.allowed, disk.outside))) == near
    (disk.allowed / "sub").chmod(0o700)


@posix
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied"), "this server has no permission to read it"),
        (OSError(5, "Input/output error"), "it cannot be read (Input/output error)"),
    ],
)
def test_a_disk_that_fails_is_a_refusal(
    disk: LocalFiles, monkeypatch: pytest.MonkeyPatch, error: OSError, message: str
) -> None:
    def failing(*_: object) -> bytes:
        raise error

    monkeypatch.setattr(os, "read", failing)
    assert disk.refusal("fox.png") == message


def test_a_missing_file_is_said_to_be_missing(disk: LocalFiles) -> None:
    assert disk.refusal("zebra.gif") == disk.nowhere()
    assert disk.refusal(disk.allowed / "zebra" / "one.gif") == "there is no such file"
    assert disk.refusal("fox.png/fox.png") == "a part of its path is a file, not a folder"


def test_a_missing_folder_is_no_crash(disk: LocalFiles) -> None:
    folders = Folders((disk.allowed / "missing",))
    assert disk.refusal("fox.png", folders).startswith("there is no such file in the folders")
    assert disk.refusal(disk.allowed / "missing" / "fox.png", folders) == "there is no such file"
    assert "outside" in disk.refusal(disk.inner, folders)


@pytest.mark.parametrize(
    ("typed", "there"),
    [
        ("Fox.PNG", "fox.png"),
        ("fox.jpg", "fox.png"),
        ("fxo.png", "fox.png"),
        ("my%20photo.png", "my photo.png"),
        ("sub/owl%20.png", "sub/owl.png"),
        ("SUB/owl.png", "sub"),
        ("subb/owl.png", "sub"),
    ],
)
def test_a_missing_file_names_the_one_that_was_nearly_meant(disk: LocalFiles, typed: str, there: str) -> None:
    disk.put("in/my photo.png", GREEN)
    disk.put("in/sub/owl.png", GREEN)
    if (disk.allowed / typed).exists():
        pytest.skip("this file system does not tell them apart")
    for name in (typed, str(disk.allowed / typed)):
        assert disk.refusal(name) == f'there is no such file: did you mean "{disk.allowed / there}"?'


@linux
@pytest.mark.parametrize(("typed", "there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_the_other_unicode_form_of_a_name_is_near(disk: LocalFiles, typed: str, there: str) -> None:
    forms = {form: unicodedata.normalize(form, "Füße.png") for form in ("NFC", "NFD")}
    disk.put(f"in/{forms[there]}", GREEN)
    assert disk.refusal(forms[typed]).endswith(f'{forms[there]}"?')


def test_a_near_name_is_found_in_the_second_folder_as_well(disk: LocalFiles) -> None:
    assert disk.refusal("fxo.png", Folders((disk.outside, disk.allowed))).endswith(f'"{disk.inner}"?')


def test_only_so_many_names_are_looked_through(disk: LocalFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_LISTED", 0)
    assert disk.refusal("fxo.png") == disk.nowhere()


def test_a_near_name_is_shown_without_what_would_move_the_terminal(disk: LocalFiles) -> None:
    if os.name == "posix":
        disk.put("in/owl\u202e.png", GREEN)
        assert disk.refusal("owl.png").endswith('/in/owl%E2%80%AE.png"?')


@linux
@pytest.mark.parametrize(
    ("there", "typed"),
    [
        (b"f\xfcchse.png", "f\u00fcchse.png"),
        ("family \U0001f468\u200d\U0001f469.png".encode(), "family \U0001f468\U0001f469.png"),
        ("\u0645\u200c\u06cc.png".encode(), "\u0645\u06cc.png"),
        ("Screenshot 10.00\u202fAM.png".encode(), "Screenshot 10.00 AM.png"),
        (b"my  fox.png", "my fox.png"),
        (b"100% fox?.png", "100% fox.png"),
        (b"caf\xc3\xa9.png", "cafe.png"),
    ],
    ids=ascii,
)
def test_a_near_name_can_be_given_back_as_it_is_shown(disk: LocalFiles, there: bytes, typed: str) -> None:
    disk.inner.unlink()
    disk.put(f"in/{os.fsdecode(there)}", RED)
    _, _, near = disk.refusal(typed).partition('did you mean "')
    assert disk.read(near.removesuffix('"?')) == RED


@posix
def test_a_name_that_nobody_can_give_back_is_not_offered(disk: LocalFiles) -> None:
    disk.put("in/owl\n.png", GREEN)
    assert disk.refusal("owl.png") == disk.nowhere()


@linux
def test_opening_by_name_looks_where_the_opened_file_is(disk: LocalFiles) -> None:
    def final(descriptor: int) -> str:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())

    def swapped(descriptor: int) -> str:
        return str(disk.secret)

    descriptor = opened_by_name(disk.inner, disk.allowed, final)
    assert os.read(descriptor, 1000) == GREEN
    os.close(descriptor)
    before = open_descriptors()
    with pytest.raises(UnusableError, match="changed while it was read"):
        opened_by_name(disk.inner, disk.allowed, swapped)
    assert open_descriptors() == before


@linux
def test_a_read_by_name_refuses_what_a_read_step_by_step_refuses(
    disk: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "final_path", lambda descriptor: str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    monkeypatch.setattr(reader, "WINDOWS", True)
    os.link(disk.secret, disk.allowed / "hard.png")
    (disk.allowed / "link.png").symlink_to(disk.secret)

    def refusal(name: str) -> str:
        with pytest.raises(UnusableError) as caught:
            read_below(disk.allowed / name, [disk.allowed], largest=1000)
        return str(caught.value)

    assert read_below(disk.inner, [disk.allowed], largest=1000) == GREEN
    assert refusal("sub") == "it is a folder: name a picture in it"
    assert "hard link" in refusal("hard.png")
    assert "outside" in refusal("link.png")
    assert refusal("fxo.png").endswith(f'"{disk.inner}"?')
    assert refusal("missing/fox.png") == "there is no such file"


@pytest.mark.parametrize(
    ("final", "path"),
    [
        ("\\\\?\\C:\\in\\fox.png", "C:\\in\\fox.png"),
        ("\\\\?\\UNC\\server\\in\\fox.png", "\\\\server\\in\\fox.png"),
        ("C:\\in\\fox.png", "C:\\in\\fox.png"),
    ],
)
def test_the_final_path_of_windows_is_compared_as_it_is_written(final: str, path: str) -> None:
    assert without_prefix(final) == path


@pytest.mark.skipif(sys.platform != "win32", reason="handles are Windows'")
def test_a_picture_is_read_on_windows_where_its_handle_says_it_is(disk: LocalFiles) -> None:
    assert disk.read(disk.inner) == GREEN
