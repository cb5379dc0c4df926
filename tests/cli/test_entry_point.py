"""The command itself: its help, the servers that it starts, how it ends, and how little it loads."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click
import httpx
import pytest

from vidgo_mcp import __version__
from vidgo_mcp.cli.main import COMMANDS, cli
from vidgo_mcp.cli.sandbox import announcement
from vidgo_mcp.models.requests import EditArguments, EstimateArguments, GetTaskArguments
from vidgo_mcp.sandbox import FAULTS, SANDBOX_KEY

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}
LISTING = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
on_posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and terminals")


def test_help_names_every_command_in_an_order_for_newcomers(vidgo: Any) -> None:
    shown = vidgo.run("--help")
    assert shown.returncode == 0
    places = [shown.stdout.index(f"\n  {name} ") for name in COMMANDS]
    assert places == sorted(places)
    assert next(iter(COMMANDS)) == "demo"
    assert "mcpServers" in shown.stdout


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its name, those of a group after it."""
    for name in COMMANDS:
        yield name, command(name)
        if isinstance(group := command(name), click.Group):
            yield from ((f"{name} {below}", found) for below, found in group.commands.items())


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_explains_itself_and_all_its_options(
    invoke: Callable[..., Any], name: str, command: click.Command
) -> None:
    shown = invoke(*name.split(), "-h")
    assert shown.exit_code == 0
    assert command.help
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            assert option.opts[0] in shown.stdout


@pytest.mark.parametrize(
    ("name", "model"), [("generate", EditArguments), ("task", GetTaskArguments), ("price", EstimateArguments)]
)
def test_a_command_takes_every_argument_of_its_tool_in_the_same_words(name: str, model: Any) -> None:
    offered = {option.name: option for option in command(name).params}
    schema = model.model_json_schema()["properties"]
    for field, described in schema.items():
        assert field in offered
        words = described.get("description") or described["anyOf"][0]["description"]
        option = offered[field]
        if isinstance(option, click.Option):
            assert (option.help or "").startswith(words)


def test_exit_codes_are_in_the_help(invoke: Callable[..., Any]) -> None:
    for name in ("generate", "task"):
        shown = invoke(name, "--help").stdout
        assert all(f"\n    {code} " in shown for code in (0, 1, 2, 3, 4, 5, 130))


def test_the_version_is_printed(vidgo: Any) -> None:
    shown = vidgo.run("--version")
    assert (shown.returncode, shown.stdout) == (0, f"vidgo-mcp, version {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["genrate", "a fox"], "Did you mean generate?"),
        (["paint"], "No such command 'paint'."),
        (["generate"], "Missing argument 'PROMPT'"),
        (["generate", "a fox", "--sise", "1:1"], "--size"),
        (["serve"], "--http"),
        (["sandbox", "--faults", "submit:lose_anser"], "lose_answer"),
        (["sandbox", "--seconds", "5", "1"], "two rising numbers"),
    ],
)
def test_a_typing_error_is_a_usage_error_that_points_to_what_was_meant(
    invoke: Callable[..., Any], arguments: list[str], says: str
) -> None:
    refused = invoke(*arguments)
    assert refused.exit_code == 2
    assert says in refused.stderr
    assert refused.stdout == ""


def test_the_stdio_server_starts_without_a_key_and_ends_with_its_stdin(vidgo: Any) -> None:
    with vidgo.start() as running:
        for message in (HELLO, {"jsonrpc": "2.0", "method": "notifications/initialized"}, LISTING):
            running.popen.stdin.write(json.dumps(message) + "\n")
        running.popen.stdin.flush()
        answers = [json.loads(running.popen.stdout.readline()) for _ in range(2)]
        running.popen.stdin.close()
        assert running.ended() == (0, "")
    assert {answer["id"] for answer in answers} == {1, 2}


def test_the_stdio_server_loads_nothing_that_it_does_not_need(vidgo: Any) -> None:
    import_log = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "vidgo_mcp.cli"],
        input="",
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        cwd=vidgo.folder,
        env=vidgo.environment,
        check=True,
    ).stderr
    loaded = {line.rsplit("|", 1)[-1].strip() for line in import_log.splitlines()}
    assert "vidgo_mcp.server.stdio" in loaded
    spare = {"httpx", "rich", "vidgo_mcp.sandbox"}
    spare |= {f"vidgo_mcp.cli.{name}" for name in (*COMMANDS.values(), "output", "session")}
    assert loaded & spare == set()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("VIDGO_BASE_URL", "http://example.com"), ("VIDGO_WAIT_SECONDS", "900"), ("VIDGO_API_KEY_FILE", "/nowhere/key")],
)
def test_a_faulty_setting_stops_the_server_with_a_sentence(
    invoke: Callable[..., Any], variable: str, value: str
) -> None:
    refused = invoke(**{variable: value})
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"Error: {variable} ")


@on_posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_whoever_starts_the_server_on_a_terminal_is_told_what_to_type_instead(
    vidgo: Any, number: int, code: int
) -> None:
    import pty  # noqa: PLC0415  # there is none on Windows

    keyboard, terminal = pty.openpty()
    try:
        with vidgo.start("--sandbox", stdin=terminal) as running:
            assert "vidgo-mcp demo" in running.until("waits on stdin for an MCP client")
            # Its answer shows that it listens to signals by now.
            os.write(keyboard, (json.dumps(HELLO) + "\n").encode())
            assert json.loads(running.popen.stdout.readline())["id"] == 1
            ended, said = running.stop(number)
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert ended == code
    assert said.count("\n") == 1


def test_serving_to_other_machines_is_refused_with_the_reason(invoke: Callable[..., Any]) -> None:
    refused = invoke("serve", "--http", "--host", "0.0.0.0", VIDGO_SAVE_DIR="/pictures")
    assert refused.exit_code == 1
    assert "VIDGO_SAVE_DIR and VIDGO_INPUT_DIRS have no effect over HTTP." in refused.stderr
    assert "spend your credits" in refused.stderr


@pytest.mark.parametrize("arguments", [["serve", "--http"], ["sandbox"]])
def test_a_port_that_is_taken_is_one_clear_sentence(invoke: Callable[..., Any], arguments: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        refused = invoke(*arguments, "--port", str(port))
    assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert f"{port} cannot be used: Address already in use. Try another --port" in refused.stderr


def test_a_host_without_an_address_is_one_clear_sentence(invoke: Callable[..., Any]) -> None:
    refused = invoke("serve", "--http", "--host", "127.0.0.1.localhost", "--port", "1")
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "cannot be used" in refused.stderr


@on_posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_http_server_says_where_it_is_and_ends_in_good_order(vidgo: Any, number: int) -> None:
    with vidgo.start("serve", "--http", "--port", "0", "--sandbox") as running:
        url = running.until("Serving MCP at ").split()[3].removesuffix("/mcp;")
        assert httpx.get(f"{url}/healthz").text == "ok\n"
        code, said = running.stop(number)
    assert code == 0
    assert "Traceback" not in said


@on_posix
def test_the_sandbox_prints_how_to_use_it_and_serves_what_it_says(vidgo: Any) -> None:
    with vidgo.start("sandbox", "--port", "0", "--credits", "7", "--faults", "submit:refuse") as running:
        lines = [running.popen.stdout.readline().strip() for _ in range(6)]
        url = next(line.partition("VIDGO_BASE_URL=")[2] for line in lines if "VIDGO_BASE_URL" in line)
        assert f"export VIDGO_API_KEY={SANDBOX_KEY}" in lines
        doctor = vidgo.run("doctor", VIDGO_BASE_URL=url, VIDGO_API_KEY=SANDBOX_KEY)
        assert "7 credits left" in doctor.stdout
        assert httpx.get(f"{url}/_sandbox").json()["faults"] == ["submit:refuse"]
        code, said = running.stop()
    assert (code, said) == (0, "")


def test_variables_are_set_as_the_system_sets_them() -> None:
    assert f'$env:VIDGO_API_KEY = "{SANDBOX_KEY}"' in announcement("http://127.0.0.1:1", system="nt")
    assert f"export VIDGO_API_KEY={SANDBOX_KEY}" in announcement("http://127.0.0.1:1", system="posix")


def test_all_faults_are_listed_on_request(invoke: Callable[..., Any]) -> None:
    listed = invoke("sandbox", "--faults", "help")
    assert listed.exit_code == 0
    assert all(f"\n  {name}  (" in listed.stdout and does in listed.stdout for name, does in FAULTS.items())


def test_prices_are_told_without_key_and_network(invoke: Callable[..., Any]) -> None:
    everything = invoke("price")
    assert everything.exit_code == 0
    assert everything.stdout.startswith("2 credits a picture, made or edited: ")
    assert "high       12   24   48" in everything.stdout
    many = invoke("price", "--size", "16/9", "--resolution", "4k", "--quality", "HIGH", "--count", "10")
    assert many.stdout.startswith("48 credits a picture, made or edited, 480 credits for 10: ")
    assert "Credits a picture" not in many.stdout
    noted = json.loads(invoke("price", "--size", "1:1", "--resolution", "4K", "--json").stdout)
    assert (noted["credits"], noted["tier"], len(noted["notes"])) == (4, "2K", 1)


def test_letters_arrive_as_utf8_whatever_the_locale_says(vidgo: Any) -> None:
    odd = {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"}
    refused = vidgo.run("price", "--size", "größe-大", "--json", **odd)
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["field"] == "size"
    assert "größe-大" in refused.stdout or "\\udc" in refused.stdout


@on_posix
def test_a_reader_that_goes_away_causes_no_traceback(vidgo: Any) -> None:
    for arguments in (["price"], ["doctor", "--sandbox"]):
        with vidgo.start(*arguments) as running:
            running.popen.stdout.close()
            _, said = running.ended()
        assert "Traceback" not in said
        assert "BrokenPipe" not in said


def test_variables_for_other_programs_of_the_machine_do_not_keep_it_from_running(vidgo: Any) -> None:
    strange = {"OTEL_PROPAGATORS": "no-such-part", "OTEL_PYTHON_TRACER_PROVIDER": "x", "WEB_CONCURRENCY": "many"}
    ran = vidgo.run("generate", "a fox", "--sandbox", "--wait-seconds", "0", **strange)
    assert ran.returncode == 4, ran.stderr
    assert "Traceback" not in ran.stderr
