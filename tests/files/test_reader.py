"""Only pictures below the allowed folders are read, whatever a name, a link or another process tries."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.files.conftest import PICTURES, saved
from vidgo_mcp.files import reader
from vidgo_mcp.files.reader import LARGEST_FILE, Folders, read_below
from vidgo_mcp.files.unusable import UnusableError

posix = pytest.mark.skipif(os.name != "posix", reason="descriptors of folders, pipes and modes are POSIX's")
linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc and names that are not UTF-8 are Linux's")

GREEN, RED = (saved(Image.new("RGB", (3, 2), colour), format="PNG") for colour in ("green", "red"))
CHANGED = "it was moved or replaced while it was read: try again"
MISSING = "there is no such file"
NOT_REGULAR = "it is not a regular file"
MB = 1024 * 1024


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

    def error(self, text: str | Path, folders: Folders | None = None, *, largest: int = LARGEST_FILE) -> UnusableError:
        before = open_descriptors()
        with pytest.raises(UnusableError) as caught:
            (folders or self.folders).read(str(text), largest=largest)
        assert open_descriptors() == before
        assert str(caught.value).isprintable()
        return caught.value

    def refusal(self, text: str | Path, folders: Folders | None = None) -> str:
        return str(self.error(text, folders))

    def nowhere(self) -> str:
        return f"{MISSING} in the folders that may be read ({self.allowed})"

    def is_outside(self, text: str | Path) -> bool:
        error = self.error(text)
        said = (f"it is outside the folders that may be read ({self.allowed})", None, "add_input_dir")
        return (error.reason, error.advice, error.remedy) == said


def open_descriptors() -> int:
    """Return how many files this process has open, where the system tells."""
    with suppress(OSError):
        return len([*Path("/dev/fd").iterdir()])
    return 0


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture(params=["step by step", "by its path"])
def any_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open files as POSIX lets us, and as Windows does."""
    if request.param == "step by step" and os.name != "posix":
        pytest.skip("it has no descriptors of folders")
    if request.param == "by its path":
        monkeypatch.setattr(reader, "WINDOWS", True)
        monkeypatch.setattr(reader, "_FILE", os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))


@pytest.mark.usefixtures("any_system")
class TestOnAnySystem:
    @pytest.mark.parametrize("form", ["fox.png", "sub/.././/fox.png", "{0}/fox.png", "{0}/sub/../fox.png"])
    def test_a_name_inside_may_be_spelled_in_many_ways(self, disk: Disk, form: str) -> None:
        before = open_descriptors()
        assert disk.read(form.format(disk.allowed)) == GREEN
        assert open_descriptors() == before

    def test_names_are_looked_for_in_each_folder_in_order(self, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(disk.outside)
        assert disk.refusal("secret.png") == disk.nowhere()
        disk.put("out/sub/plain", b"")
        unusable = (disk.outside / "missing", disk.outside / "sub" / "plain")
        folders = Folders((*unusable, disk.allowed / "sub", disk.allowed, disk.outside))
        disk.put("out/fox.png", RED)
        assert [folders.read(name).content for name in ("fox.png", "secret.png")] == [GREEN, RED]
        assert folders.read("../out/secret.png").content == RED
        assert disk.refusal("fxo.png", folders).endswith(f'"{disk.inner}"?')

    @pytest.mark.parametrize(
        "form",
        [
            *("{out}/secret.png", "{out}", "../out/secret.png", "sub/../../out/secret.png", "..", "/"),
            *("{in}2/secret.png", "../in2/secret.png", "~/secret.png", "missing/../../out/secret.png"),
            *("file://{out}/secret.png", "file://{in}/%2e%2e/out/secret.png", "file://{in}%2F..%2Fout%2Fsecret.png"),
        ],
    )
    def test_a_picture_outside_is_refused(self, disk: Disk, tmp_path: Path, form: str) -> None:
        for folder in ("in2", "home"):
            (tmp_path / folder).mkdir(exist_ok=True)
            disk.put(f"{folder}/secret.png", RED)
        assert disk.is_outside(form.replace("{in}", str(disk.allowed)).replace("{out}", str(disk.outside)))

    @posix
    def test_a_link_counts_by_where_it_leads(self, disk: Disk) -> None:
        (disk.allowed / "inward.png").symlink_to("fox.png")
        (disk.allowed / "sub" / "up").symlink_to("..")
        assert disk.read("sub/up/sub/up/inward.png") == GREEN
        (disk.allowed / "link.png").symlink_to(disk.secret)
        (disk.allowed / "relative.png").symlink_to("../out/secret.png")
        (disk.allowed / "folder").symlink_to(disk.outside)
        (disk.allowed / "chain.png").symlink_to("link.png")
        for name in (
            "link.png",
            "relative.png",
            "folder/secret.png",
            "folder",
            "chain.png",
            "sub/../folder/secret.png",
        ):
            assert disk.is_outside(name), name
            assert disk.is_outside(disk.allowed / name), name

    @posix
    def test_nothing_reveals_what_exists_outside(self, disk: Disk) -> None:
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

    def test_a_hard_link_and_what_is_no_file_are_refused(self, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
        os.link(disk.secret, disk.allowed / "hard.png")
        assert disk.refusal("hard.png") == (
            "it is a hard link, so the same file may lie elsewhere: make a copy and name that"
        )
        for name in ("sub", "sub/", str(disk.allowed), "."):
            assert disk.refusal(name) == "it is a folder: name a picture in it", name
        if os.name == "posix":
            os.mkfifo(disk.allowed / "pipe.png")
            (disk.allowed / "a.png").symlink_to("b.png")
            (disk.allowed / "b.png").symlink_to("a.png")
            # The path of a socket may only have some hundred bytes.
            monkeypatch.chdir(disk.allowed)
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind("socket.png")
                for name in ("pipe.png", "socket.png", "a.png"):
                    assert disk.refusal(name) == NOT_REGULAR, name

    def test_a_missing_file_is_said_to_be_missing(self, disk: Disk) -> None:
        error = disk.error("zebra.gif")
        assert (error.reason, error.remedy) == (disk.nowhere(), "add_input_dir")
        assert disk.refusal(disk.allowed / "zebra" / "one.gif") == MISSING
        assert disk.refusal("fox.png/fox.png") == "it cannot be read (Not a directory)"
        folders = Folders((disk.allowed / "missing",))
        assert disk.refusal("fox.png", folders).startswith(f"{MISSING} in the folders")
        assert disk.refusal(disk.allowed / "missing" / "fox.png", folders) == MISSING

    @pytest.mark.parametrize("typed", ["Fox.PNG", "fox.jpg", "fxo.png"])
    def test_a_missing_file_names_the_one_that_was_nearly_meant(self, disk: Disk, typed: str) -> None:
        if (disk.allowed / typed).exists():
            pytest.skip("this file system does not tell them apart")
        for name in (typed, str(disk.allowed / typed)):
            error = disk.error(name)
            assert (error.reason, error.advice) == (MISSING, f'did you mean "{disk.inner}"?')
            assert error.remedy is None

    @posix
    def test_a_file_that_is_swapped_while_it_is_opened_is_refused(
        self, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def link() -> None:
            disk.inner.unlink()
            disk.inner.symlink_to(disk.secret)

        def pipe() -> None:
            disk.inner.unlink()
            os.mkfifo(disk.inner)

        def hard_link() -> None:
            disk.inner.unlink()
            os.link(disk.secret, disk.inner)

        linked = CHANGED if reader.WINDOWS else "it cannot be read (Too many levels of symbolic links)"
        for swap, reason in ((link, linked), (pipe, NOT_REGULAR), (hard_link, "hard link")):
            with swapped(monkeypatch, "fox.png", before=swap):
                assert reason in disk.refusal("fox.png")
            disk.inner.unlink()
            disk.inner.write_bytes(GREEN)
        with swapped(monkeypatch, "fox.png", before=disk.inner.unlink):
            assert disk.refusal("fox.png") == disk.nowhere()

    @posix
    def test_a_folder_that_is_swapped_while_a_file_is_opened_gives_nothing_away(
        self, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        disk.put("in/sub/fox.png", GREEN)
        disk.put("out/fox.png", RED)

        def swap() -> None:
            (disk.allowed / "sub").rename(disk.allowed / "away")
            (disk.allowed / "sub").symlink_to(disk.outside)

        def swap_back() -> None:
            (disk.allowed / "sub").unlink()
            (disk.allowed / "away").rename(disk.allowed / "sub")

        for after in (lambda: None, swap_back):
            with swapped(monkeypatch, "fox.png", before=swap, after=after):
                if reader.WINDOWS:
                    assert disk.refusal("sub/fox.png") == CHANGED
                else:
                    # The folder that is open is the one that was checked.
                    assert disk.read("sub/fox.png") == GREEN
            if (disk.allowed / "away").exists():
                swap_back()

    @posix
    def test_a_hard_link_that_is_removed_after_it_was_opened_is_refused(
        self, disk: Disk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With the link the number of names goes back to one, which alone proves nothing."""
        link = disk.allowed / "hard.png"

        def replace() -> None:
            link.unlink()
            link.write_bytes(GREEN)

        for swap in (link.unlink, replace):
            link.unlink(missing_ok=True)
            os.link(disk.secret, link)
            with swapped(monkeypatch, "hard.png", after=swap):
                assert disk.refusal("hard.png") == CHANGED

    def test_a_file_with_more_bytes_than_the_most_is_refused(self, disk: Disk) -> None:
        disk.put("in/large.png", GREEN + bytes(3 * MB - len(GREEN)))
        assert disk.folders.read("large.png", largest=3 * MB).content == GREEN
        disk.put("in/large.png", GREEN + bytes(3 * MB + 1 - len(GREEN)))
        error = disk.error("large.png", largest=3 * MB)
        assert error.reason == "it has more than 3 MB, the most that a picture may have"
        assert (error.advice, error.remedy) == ("make it smaller", "raise_max_upload")


@contextmanager
def swapped(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    *,
    before: Callable[[], None] = lambda: None,
    after: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Run a swap right before the reader opens a name, and one right after; the name must be opened once."""
    real, opened = os.open, []

    def opening(path: Any, *given: Any, **named: Any) -> int:
        if Path(path).name != name:
            return real(path, *given, **named)
        opened.append(path)
        before()
        try:
            return real(path, *given, **named)
        finally:
            after()

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", opening)
        yield
    assert len(opened) == 1


@posix
def test_a_folder_that_becomes_a_link_before_it_is_opened_is_refused(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap(folder: Path) -> None:
        folder.rename(folder.with_name("away"))
        folder.symlink_to(disk.outside)

    disk.put("in/sub/secret.png", GREEN)
    reason = "it cannot be read (Not a directory)"
    with swapped(monkeypatch, "sub", before=lambda: swap(disk.allowed / "sub")):
        assert disk.refusal("sub/secret.png") == reason
    disk.put("out/fox.png", RED)
    with swapped(monkeypatch, "in", before=lambda: swap(disk.allowed)):
        assert disk.refusal("fox.png") == reason


@linux
def test_names_of_a_folder_known_by_its_path_are_not_told_once_it_was_swapped(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir

    def swap(path: Path) -> Any:
        path.rename(disk.allowed / "away")
        path.symlink_to(disk.outside)
        return real(path)

    monkeypatch.setattr(reader, "WINDOWS", True)
    monkeypatch.setattr(os, "scandir", swap)
    assert disk.refusal("sub/secrte.png") == disk.nowhere()


@posix
@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_thread_that_swaps_all_the_time_never_gets_anything_from_outside(disk: Disk, what: str) -> None:
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


@posix
def test_the_folder_itself_may_be_a_link_and_is_looked_up_at_each_read(disk: Disk, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(disk.allowed)
    folders = Folders((link,))
    for name in ("fox.png", str(link / "fox.png"), str(disk.inner)):
        assert folders.read(name).content == GREEN
    link.unlink()
    link.symlink_to(disk.outside)
    assert folders.read("secret.png").content == RED
    assert "outside" in disk.refusal(disk.inner, folders)


def test_the_type_comes_from_the_bytes_and_not_from_the_name(disk: Disk) -> None:
    disk.folders = Folders((disk.allowed,), home=str(disk.allowed))
    disk.put("in/a photo.png", PICTURES["jpeg"])
    for name in ("a photo.png", "~/a photo.png", (disk.allowed / "a photo.png").as_uri()):
        assert disk.folders.read(name).mime_type == "image/jpeg"


def test_without_folders_no_file_is_read(disk: Disk) -> None:
    error = disk.error(disk.inner, Folders(()))
    assert (error.reason, error.advice, error.remedy) == ("no local file may be read", None, "add_input_dir")


@linux
def test_a_link_that_this_process_may_not_look_into_is_outside(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object, **_: object) -> str:
        raise PermissionError(13, "Permission denied")

    (disk.outside / "closed").symlink_to("sub")
    real = os.readlink
    monkeypatch.setattr(os, "readlink", lambda path, **given: (refuse if "closed" in str(path) else real)(path))
    assert disk.is_outside(disk.outside / "closed")


@posix
def test_a_chain_of_thousands_of_links_is_no_crash(disk: Disk) -> None:
    (disk.allowed / "0").symlink_to("fox.png")
    for number in range(1, 3000):
        (disk.allowed / str(number)).symlink_to(str(number - 1))
    with suppress(UnusableError):
        assert disk.read("2999") == GREEN
    assert disk.read("3") == GREEN


@linux
def test_devices_and_files_of_the_kernel_are_refused_where_they_may_be_read(disk: Disk) -> None:
    everywhere = Folders((Path("/"),))
    for name in ("/dev/zero", "/dev/full"):
        assert disk.refusal(name, everywhere) == NOT_REGULAR
    assert "not a JPEG, PNG, GIF or WebP" in disk.refusal("/proc/self/environ", everywhere)
    assert "outside" in disk.refusal("/proc/self/cwd/fox.png", Folders((Path("/proc"),)))
    # It says to be empty.
    with pytest.raises(UnusableError, match="has more than"):
        read_below(Path("/proc/self/maps"), [Path("/proc")], largest=100)


@posix
def test_a_huge_file_is_refused_without_reading_it(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    with disk.inner.open("r+b") as file:
        file.truncate(1 << 40)
    monkeypatch.setattr(os, "read", lambda *_: pytest.fail("it was read"))
    assert disk.error("fox.png").reason == "it has more than 20 MB, the most that a picture may have"
    assert LARGEST_FILE == 20 * MB


@posix
def test_a_file_that_grows_while_it_is_read_is_refused(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = os.read, []

    def growing(descriptor: int, most: int) -> bytes:
        asked.append(most)
        assert len(asked) < 10, "it reads for ever"
        with disk.inner.open("ab") as file:
            file.write(b"x" * most)
        return real(descriptor, most)

    monkeypatch.setattr(os, "read", growing)
    assert "more than 2 MB" in disk.error("fox.png", largest=2 * MB).reason
    assert sum(asked) <= 4 * MB


def test_what_is_no_picture_is_refused_without_showing_its_content(disk: Disk) -> None:
    disk.put("in/empty.png", b"")
    disk.put("in/text.png", b"the launch code is 0000")
    assert disk.refusal("empty.png") == "it is empty"
    assert "0000" not in disk.refusal("text.png")


@posix
def test_a_file_or_folder_without_permission_is_refused(place_of_nobody: Path) -> None:
    disk = Disk(place_of_nobody)
    disk.put("in/sub/fox.png", GREEN)
    disk.inner.chmod(0)
    (disk.allowed / "sub").chmod(0)
    both = Folders((disk.allowed, disk.outside))
    for name, folders in (("fox.png", disk.folders), ("sub/fox.png", disk.folders), ("sub/owl.png", both)):
        assert disk.refusal(name, folders) == "it cannot be read (Permission denied)"
    # A folder that is closed does not hide what the next one knows better.
    disk.put("out/sub/fxo.png", GREEN)
    assert disk.refusal("sub/fox.png", both) == f'{MISSING}: did you mean "{disk.outside / "sub" / "fxo.png"}"?'
    (disk.allowed / "sub").chmod(0o700)


@posix
def test_a_disk_that_fails_and_a_name_that_is_too_long_are_refused(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert disk.refusal("x" * 256) == "it cannot be read (File name too long)"

    def failing(*_: object) -> bytes:
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr(os, "read", failing)
    assert disk.refusal("fox.png") == "it cannot be read (File too large)"


CLOUD = (
    "it lies only in the cloud, not on this machine: "
    "download it in the file manager first, or copy it to a local folder"
)


@posix
@pytest.mark.parametrize("step", ["stat", "open", "read"])
@pytest.mark.parametrize(
    ("number", "words", "says"),
    [
        (errno.EDEADLK, "Resource deadlock avoided", CLOUD),
        (errno.EIO, "Input/output error", "its disk, network or cloud folder does not answer (Input/output error): "),
        (errno.ETIMEDOUT, "Timed out", "its disk, network or cloud folder does not answer (Timed out): "),
        (errno.ENOTCONN, "Not connected", "its disk, network or cloud folder does not answer (Not connected): "),
        (errno.ESTALE, "Stale file handle", "its disk, network or cloud folder does not answer (Stale file handle): "),
    ],
)
def test_a_file_that_is_not_really_there_is_told_in_plain_words(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, step: str, number: int, words: str, says: str
) -> None:
    real = getattr(os, step)

    def failing(what: Any, *given: Any, **named: Any) -> Any:
        if step == "read" or what == "fox.png":
            raise OSError(number, words)
        return real(what, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, step, failing)
        error = disk.error("fox.png")
    assert str(error).startswith(says)
    assert "local folder" in str(error)


@pytest.mark.parametrize("number", [362, 364, 378, 386, 388, 395, 404, 426])
def test_what_windows_says_of_a_file_in_the_cloud_is_told_in_plain_words(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    class WindowsError(OSError):
        winerror = number

    def failing(*_: object) -> bytes:
        raise WindowsError(errno.EINVAL, "The cloud file provider is not running")

    monkeypatch.setattr(os, "read", failing)
    assert disk.refusal("fox.png") == CLOUD
    monkeypatch.setattr(WindowsError, "winerror", None)
    monkeypatch.setattr(reader, "WINDOWS", True)
    assert disk.refusal("fox.png") == CLOUD


@pytest.mark.usefixtures("any_system")
def test_a_file_that_icloud_has_taken_off_the_disk_is_not_called_missing(disk: Disk) -> None:
    disk.put("in/sub/.owl.png.icloud", b"bplist")
    for name in ("sub/owl.png", disk.allowed / "sub" / "owl.png"):
        assert disk.refusal(name) == CLOUD


COMPOSED, APART = (unicodedata.normalize(form, "Fu\u0308chse") for form in ("NFC", "NFD"))


@linux
@pytest.mark.usefixtures("any_system")
class TestNamesThatDifferInComposition:
    """Other systems do not tell them apart, or not everywhere."""

    @pytest.mark.parametrize(("there", "typed"), [(COMPOSED, APART), (APART, COMPOSED)], ids=["NFC", "NFD"])
    @pytest.mark.parametrize("form", ["{0}.png", "{1}/{0}/{0}.png", "{1}/../{0}/../{0}.png"])
    def test_they_are_the_same_name(self, disk: Disk, there: str, typed: str, form: str) -> None:
        (disk.allowed / there / there).mkdir(parents=True)
        for name in (f"{there}.png", f"{there}/{there}/{there}.png"):
            disk.put(f"in/{name}", GREEN)
        name = form.format(typed, there if "1}/{0}/" in form else typed)
        for spelled in (name, disk.allowed / name, f"file://{disk.allowed}/{name}"):
            assert disk.read(spelled) == GREEN

    @pytest.mark.parametrize(("there", "typed"), [(COMPOSED, APART), (APART, COMPOSED)], ids=["NFC", "NFD"])
    def test_so_are_the_folders_that_may_be_read(self, disk: Disk, there: str, typed: str) -> None:
        for folder in (there, typed):
            (disk.allowed.parent / folder).mkdir()
        disk.put(f"{there}/fox.png", GREEN)
        disk.put(f"{typed}/owl.png", RED)
        folders = Folders((disk.allowed.parent / there,))
        assert folders.read(str(disk.allowed.parent / typed / "fox.png")).content == GREEN
        assert disk.refusal(disk.allowed.parent / typed / "owl.png", folders) == MISSING

    def test_the_very_name_is_preferred_wherever_it_is(self, disk: Disk) -> None:
        disk.put(f"in/{APART}.png", RED)
        disk.put(f"out/{COMPOSED}.png", GREEN)
        assert Folders((disk.allowed, disk.outside)).read(f"{COMPOSED}.png").content == GREEN
        disk.put(f"in/{COMPOSED}.png", GREEN)
        assert [disk.read(f"{name}.png") for name in (COMPOSED, APART)] == [GREEN, RED]

    def test_of_two_none_is_opened_and_the_hint_tells_them_apart(self, disk: Disk) -> None:
        first, typed, second = "e\u0323\u0302.png", "\u1ec7.png", "\u1eb9\u0302.png"
        for name in (first, second):
            disk.put(f"in/{name}", RED)
        advice = str(disk.error(typed).advice)
        assert (advice.isascii(), "file:///" in advice) == (True, True)
        (disk.allowed / first).unlink()
        assert disk.read(typed) == RED

    def test_a_link_counts_by_where_it_leads(self, disk: Disk) -> None:
        (disk.allowed / f"{APART}.png").symlink_to(disk.secret)
        (disk.allowed / APART).symlink_to(disk.outside)
        (disk.allowed / "u\u0308").symlink_to("\u00fc")
        disk.put(f"out/{APART}.png", RED)
        for name in (f"{COMPOSED}.png", f"{COMPOSED}/secret.png", f"../out/{COMPOSED}.png"):
            assert disk.is_outside(name), name
            assert disk.is_outside(disk.allowed / name), name
        # It leads to its own other spelling.
        assert "no such file" in disk.refusal("\u00fc")


def test_a_missing_folder_names_the_one_that_was_nearly_meant(disk: Disk) -> None:
    disk.put("in/sub/owl.png", GREEN)
    for name in ("SUB/owl.png", "subb/owl.png"):
        if not (disk.allowed / name).exists() and os.name == "posix":
            assert disk.refusal(name) == f'{MISSING}: did you mean "{disk.allowed / "sub"}"?'


@linux
@pytest.mark.parametrize(
    ("there", "typed"),
    [
        (b"f\xfcchse.png", "f\u00fcchse.png"),
        (unicodedata.normalize("NFD", "Füßee.png").encode(), unicodedata.normalize("NFC", "Füße.png")),
        ("c\u0430t.png".encode(), "cat.png"),
        (b"my  fox.png", "my fox.png"),
        (b"fox.png ", "fox.png"),
        ("family \U0001f468\u200d\U0001f469.png".encode(), "family \U0001f468\U0001f469.png"),
        ("Screenshot 10.00\u202fAM.png".encode(), "Screenshot 10.00 AM.png"),
        (b"my\n  fox?.png", "my fox.png"),
        ("owl\u202e.png".encode(), "owl.png"),
    ],
    ids=ascii,
)
def test_a_near_name_can_be_given_back_as_it_is_shown(disk: Disk, there: bytes, typed: str) -> None:
    disk.inner.unlink()
    disk.put(f"in/{os.fsdecode(there)}", RED)
    advice = disk.error(typed).advice
    assert advice is not None
    shown = advice.removeprefix('did you mean "').removesuffix('"?')
    assert shown.isascii(), "it may look like what was typed"
    assert disk.read(shown) == RED


def test_only_so_many_names_are_looked_through(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_LISTED", 0)
    assert disk.refusal("fxo.png") == disk.nowhere()
