"""The doctor: one line for each thing that can be wrong, a remedy for each problem, and nothing left behind."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import sqlite3
import sys
import threading
import tracemalloc
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.proxies import BROKEN, proxy
from vidgo_mcp.cli import doctor
from vidgo_mcp.errors import JournalError
from vidgo_mcp.journal import balances
from vidgo_mcp.journal.sqlite import SqliteJournal
from vidgo_mcp.sandbox import SANDBOX_KEY
from vidgo_mcp.settings import load

Examined = Callable[..., tuple[int, str, dict[str, dict[str, str]]]]
unwritable = pytest.mark.skipif(sys.platform != "linux", reason="a folder in which nobody can make a file")


@pytest.fixture
def examined(invoke: Callable[..., Any]) -> Examined:
    """Runs the doctor; returns its exit code, what it says at last, and its checks by name, the last of each."""

    def examine(*arguments: str, **variables: str) -> tuple[int, str, dict[str, dict[str, str]]]:
        plain = invoke("doctor", *arguments, **variables)
        said = json.loads(invoke("doctor", "--json", *arguments, **variables).stdout)
        assert said["ok"] is (plain.exit_code == 0)
        assert SANDBOX_KEY not in plain.output
        checks = {check["name"]: check for check in said["checks"]}
        assert all(
            bool(check["remedy"]) is (check["state"] == "warning")
            for check in said["checks"]
            if check["state"] not in {"problem", "skipped"}
        )
        return plain.exit_code, plain.stdout.splitlines()[-1], checks

    return examine


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def test_a_setup_in_order_is_one_line_for_each_thing(world: Callable[..., Any]) -> None:
    here = world(balance=17)
    ran = here.run("doctor")
    assert (ran.exit_code, ran.stderr) == (0, "")
    lines = ran.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:-1]] == [
        ["ok", name] for name in ("variables", "key", "api", "journal", "prices", "saving", "input")
    ]
    assert "17 credits left" in ran.stdout
    assert here.url in ran.stdout
    assert lines[-1] == "Everything is in order."
    assert SANDBOX_KEY not in ran.stdout
    assert here.movements() == []
    assert {record.method for record in here.sandbox.requests} == {"GET"}


def test_a_missing_key_is_a_problem_with_a_remedy(world: Callable[..., Any]) -> None:
    ran = world().run("doctor", VIDGO_API_KEY="")
    assert ran.exit_code == 1
    assert "problem  key        VIDGO_API_KEY is set but empty. Your Vidgo key belongs there;" in ran.stdout
    assert ran.stdout.endswith("\n1 problem.\n")


@pytest.mark.parametrize(
    ("fault", "balance", "says"),
    [
        ("", 1, "1 credits left, and the cheapest picture costs 2"),
        ("balance:refuse=401", 5, "key"),
        ("balance:broken_json*9", 5, "the balance cannot be read"),
    ],
)
def test_a_key_that_cannot_pay_is_a_problem(
    world: Callable[..., Any], examined: Examined, fault: str, balance: int, says: str
) -> None:
    here = world(*filter(None, [fault]), balance=balance)
    code, _, checks = examined(VIDGO_BASE_URL=here.url, VIDGO_API_KEY=SANDBOX_KEY)
    assert (code, checks["key"]["state"], checks["api"]["state"]) == (1, "problem", "ok")
    assert says in checks["key"]["message"]
    assert checks["key"]["remedy"]


def test_an_api_that_cannot_be_reached_is_the_one_problem(examined: Examined) -> None:
    code, last, checks = examined(VIDGO_BASE_URL="http://127.0.0.1:1", VIDGO_API_KEY="some-key")
    assert (code, last, checks["key"]["state"], checks["api"]["state"]) == (1, "1 problem.", "skipped", "problem")
    assert "http://127.0.0.1:1 cannot be reached" in checks["api"]["message"]


def test_the_sandbox_inside_the_process_needs_nothing(examined: Examined) -> None:
    code, _, checks = examined("--sandbox")
    assert (code, checks["key"]["state"], checks["api"]["state"]) == (0, "skipped", "skipped")


def test_each_setting_that_cannot_be_used_is_named(examined: Examined) -> None:
    code, last, checks = examined(VIDGO_BASE_URL="http://example.com", VIDGO_WAIT_SECONDS="soon")
    assert (code, last, checks["key"]["state"]) == (1, "2 problems.", "skipped")
    assert "cannot be used" in checks["settings"]["message"]


def test_a_variable_without_effect_is_a_problem(examined: Examined) -> None:
    code, last, checks = examined("--sandbox", VIDGO_APIKEY="x", VIDGO_LOG_LEVEL="${env:LEVEL}")
    assert (code, last) == (1, "2 problems.")
    assert "VIDGO_LOG_LEVEL was passed on without being filled in" in checks["variables"]["message"]


def journal_check(examined: Examined, path: object) -> dict[str, str]:
    _, _, checks = examined(VIDGO_BASE_URL="http://127.0.0.1:1", VIDGO_API_KEY="key", VIDGO_JOURNAL=str(path))
    return checks["journal"]


def test_a_journal_is_proved_writable_and_never_made(examined: Examined, tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.db"
    check = journal_check(examined, path)
    assert (check["state"], check["message"]) == ("ok", f"{path} will be made by the first paid call")
    assert not path.parent.exists()
    anyio.run(SqliteJournal(path).check)
    check = journal_check(examined, path)
    assert (check["state"], check["message"]) == ("ok", f"{path} can be written")
    assert journal_check(examined, "memory")["message"].startswith("in memory")


@pytest.mark.parametrize("content", ["no database, but as long as one. " * 200, "PRAGMA user_version = 99"])
def test_a_journal_that_cannot_be_used_has_a_remedy_and_is_left_as_it_is(
    examined: Examined, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "journal.db"
    if content.startswith("PRAGMA"):
        anyio.run(SqliteJournal(path).check)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript(f"{content}; PRAGMA wal_checkpoint(TRUNCATE)")
    else:
        path.write_text(content)
    before = path.read_bytes()
    check = journal_check(examined, path)
    assert check["state"] == "problem"
    assert str(path) in check["message"]
    assert "VIDGO_JOURNAL" in check["remedy"]
    assert path.read_bytes() == before


@pytest.mark.parametrize("place", ["", "file/journal.db", pytest.param("/sys/new/journal.db", marks=unwritable)])
def test_a_place_that_takes_no_journal_is_a_problem(examined: Examined, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    check = journal_check(examined, tmp_path / place)
    assert check["state"] == "problem"
    assert "VIDGO_JOURNAL" in check["remedy"]


def test_no_journal_is_promised_on_a_network_folder(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nhost:/b {tmp_path} nfs4 rw 0 0\n")
    with pytest.raises(JournalError) as failure:
        doctor.future_journal_check(tmp_path / "share" / "journal.db", mounts)
    assert (failure.value.remedy, failure.value.facts.reason) == ("fix_journal", "network_folder")


def test_a_folder_for_pictures_is_proved_writable_and_never_made(examined: Examined, tmp_path: Path) -> None:
    save_dir = tmp_path / "save_dir"
    before = everything_in(tmp_path)
    _, _, checks = examined("--sandbox", VIDGO_SAVE_DIR=str(save_dir))
    assert checks["saving"]["message"] == f"{save_dir} will be made by the first picture"
    assert everything_in(tmp_path) == before
    save_dir.mkdir()
    code, _, checks = examined("--sandbox", VIDGO_SAVE_DIR=str(save_dir))
    assert (code, checks["saving"]["message"]) == (0, f"{save_dir} can be written")
    assert everything_in(save_dir) == []


@pytest.mark.parametrize("variables", [{}, {"VIDGO_SAVE_DIR": "off"}])
def test_saving_that_is_off_is_in_order(examined: Examined, variables: dict[str, str]) -> None:
    code, _, checks = examined("--sandbox", **variables)
    assert code == 0
    assert checks["saving"]["message"] == "off: nothing is saved, and a URL usually dies after about 24 hours"


@pytest.mark.parametrize("place", ["file", "file/below", pytest.param("/sys/new", marks=unwritable)])
def test_a_place_where_no_picture_can_be_saved_is_a_problem(examined: Examined, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    code, last, checks = examined("--sandbox", VIDGO_SAVE_DIR=str(tmp_path / place))
    assert (code, last, checks["saving"]["state"]) == (1, "1 problem.", "problem")
    assert checks["saving"]["message"].startswith(f"Pictures cannot be saved to {tmp_path / place}: ")
    assert "VIDGO_SAVE_DIR" in checks["saving"]["remedy"]


def test_a_home_that_is_not_known_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "save_folder", lambda _: None)
    check = doctor.saving_check(load({}))
    assert (check.state, "VIDGO_SAVE_DIR" in check.remedy) == ("warning", True)


def test_folders_that_may_be_read_are_named(examined: Examined, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "home" / "pictures"]
    for folder in folders:
        folder.mkdir()
    code, _, checks = examined("--sandbox", VIDGO_INPUT_DIRS=os.pathsep.join(map(str, folders)))
    assert (code, checks["input"]["state"]) == (0, "ok")
    assert all(str(folder) in checks["input"]["message"] for folder in folders)


@pytest.mark.parametrize(("saved_to", "said"), [("off", "reads no file"), ("/pictures", "reads only what is saved")])
def test_where_no_folder_is_named_only_what_is_saved_may_be_read(saved_to: str, said: str) -> None:
    (check,) = doctor.input_checks(load({"VIDGO_SAVE_DIR": saved_to}))
    assert said in check.message


def test_folders_that_cannot_be_read_or_are_very_wide_are_named(examined: Examined, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "home")
    folders = [tmp_path / "file", tmp_path / "nowhere", Path(tmp_path.anchor), tmp_path / "home", tmp_path / "link"]
    variables = {"VIDGO_INPUT_DIRS": os.pathsep.join(map(str, folders))}
    found = doctor.input_checks(load(variables))
    assert [check.state for check in found] == ["problem", "problem", "warning", "warning", "warning"]
    assert all(str(folder) in check.message for folder, check in zip(folders, found, strict=True))
    assert not (tmp_path / "nowhere").exists()
    assert examined("--sandbox", **variables)[:2] == (1, "2 problems, 3 warnings.")
    assert examined("--sandbox", VIDGO_INPUT_DIRS=str(tmp_path / "home"))[:2] == (0, "1 warning.")


def test_the_price_table_is_dated_and_the_operators_one_is_named(world: Callable[..., Any]) -> None:
    here = world()
    assert "(as Vidgo published it until summer 2026): low 2/4/8, medium" in here.run("doctor").stdout
    table = json.dumps({quality: {"1K": 7, "2K": 8, "4K": 9} for quality in ("low", "medium", "high")})
    said = here.run("doctor", VIDGO_PRICES=table).stdout
    assert "ok       prices     Credits at 1K/2K/4K (as VIDGO_PRICES says): low 7/8/9, medium 7/8/9, high 7/8/9" in said
    assert "low         7    8    9" in here.run("price", VIDGO_PRICES=table).stdout
    ran = here.run("price", VIDGO_PRICES='{"low": 2}')
    assert ran.exit_code == 2
    assert "VIDGO_PRICES cannot be used: it is not JSON with nine whole numbers" in ran.stderr


def test_the_doctor_compares_the_balance_and_says_which_price_vidgo_contradicts(world: Callable[..., Any]) -> None:
    here = world("task:price=5", seconds=0)
    for number in range(3):
        here.run("generate", f"a fox {number}")
        here.run("doctor")
    said = here.run("doctor").stdout
    assert "warning  prices     Vidgo charged 5 where the table says 2 (low, 1K), so 5 is its price now." in said
    assert "Vidgo charged 5" in here.run("journal", "--summary").stdout
    assert "Vidgo charged 5" in here.run("price").stdout


def test_what_the_balance_says_of_a_lost_answer_is_in_the_doctor_and_in_the_journal(
    world: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balances, "SETTLING", 0.0)
    here = world("submit:lose_answer*1", seconds=0)
    here.run("generate", "a fox")
    here.run("doctor")
    here.sandbox.add_fault("submit:lose_answer*1")
    lost = here.run("generate", "a hare")
    assert "`vidgo-mcp doctor` compares it, from a minute after the submit on." in lost.stderr
    paid = "The balance fell by 2, the price of this picture: it was very probably paid."
    said = here.run("doctor").stdout
    assert "warning  lost       An answer was lost on " in said
    assert paid in said
    for command in (["journal"], ["journal", "export"], ["task"], ["generate", "a hare"]):
        ran = here.run(*command)
        assert paid in ran.stdout + ran.stderr, command


REMOTE = {"VIDGO_BASE_URL": "https://api.vidgo.example", "VIDGO_API_KEY": "some-key"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTPS_PROXY", "http://user:s3cret@127.0.0.1:abc"),
        ("ALL_PROXY", "gopher://127.0.0.1:9"),
        ("SSL_CERT_FILE", "/gone.pem"),
        ("SSL_CERT_DIR", "/gone"),
        ("SSLKEYLOGFILE", "/gone/keys"),
    ],
)
def test_a_proxy_or_certificates_that_cannot_be_used_are_the_one_problem(
    variable: str, value: str, examined: Examined, invoke: Callable[..., Any]
) -> None:
    code, last, checks = examined(**REMOTE, **{variable: value})
    assert (code, last, checks["network"]["state"]) == (1, "1 problem.", "problem")
    assert checks["network"]["message"].startswith(f"{variable} cannot be used: ")
    assert (checks["api"]["state"], checks["key"]["state"]) == ("skipped", "skipped")
    made = invoke("generate", "a fox", **REMOTE, **{variable: value})
    assert (made.exit_code, made.stdout) == (1, "")
    assert f"{variable} cannot be used: " in made.stderr
    assert "othing was spent" in made.stderr
    for said in (made.stderr, str(checks)):
        assert "s3cret" not in said
        assert "Traceback" not in said
    assert invoke("generate", "a fox", "--sandbox", "--wait-seconds", "0", **{variable: value}).exit_code == 4


@pytest.mark.parametrize("what", ["drops", "garbles", "wants a password", "SOCKS drops", "SOCKS garbles"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_the_proxy_that_is_used_is_named_and_what_it_does_is_a_problem_in_plain_words(
    what: str, examined: Examined
) -> None:
    scheme, talk = BROKEN[what]
    with proxy(talk) as server:
        place = f"{scheme}://127.0.0.1:{server.port}"
        code, _, checks = examined(**REMOTE, https_proxy=place)
    assert (code, checks["network"]["state"], checks["api"]["state"]) == (1, "ok", "problem")
    assert "https_proxy is used" in checks["network"]["message"]
    assert f"127.0.0.1:{server.port}" in checks["network"]["message"]
    assert "Error" not in checks["api"]["message"]


def test_a_proxy_that_only_some_pictures_need_is_a_warning(examined: Examined) -> None:
    code, last, checks = examined(**REMOTE, HTTP_PROXY="http://127.0.0.1:abc", HTTPS_PROXY="http://127.0.0.1:1")
    assert (code, last) == (1, "1 problem, 1 warning.")
    assert (checks["network"]["state"], checks["api"]["state"]) == ("warning", "problem")


def test_an_api_on_this_machine_needs_no_proxy_and_no_certificates(world: Callable[..., Any]) -> None:
    ran = world().run("doctor", HTTPS_PROXY="http://127.0.0.1:abc", ALL_PROXY="x://", SSL_CERT_FILE="/gone.pem")
    assert (ran.exit_code, "network" in ran.stdout) == (0, False)


class _Bomb(BaseHTTPRequestHandler):
    content = gzip.compress(gzip.compress(bytes(100_000_000)))

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip, gzip")
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_an_api_that_answers_with_a_compressed_bomb_takes_hardly_any_memory(examined: Examined) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Bomb) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tracemalloc.start()
        try:
            examined(VIDGO_BASE_URL=f"http://127.0.0.1:{server.server_port}", VIDGO_API_KEY="some-key")
            assert tracemalloc.get_traced_memory()[1] < 30_000_000
        finally:
            tracemalloc.stop()
            server.shutdown()
