"""What the documents tell people to type is typed here, and what their snippets start is started."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.streams.text import TextReceiveStream
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import TextContent

from vidgo_mcp.cli.main import COMMANDS
from vidgo_mcp.pricing import PUBLISHED
from vidgo_mcp.sandbox import SANDBOX_KEY, Sandbox, running
from vidgo_mcp.server.tools import tool_entries

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCUMENTS = [
    README,
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted(ROOT.joinpath("docs").glob("*.md")),
]
SCRIPT = shutil.which("vidgo-mcp", path=str(Path(sys.executable).parent)) or "vidgo-mcp"
# What uvx would start is the built wheel, where one was built and installed on its own.
UVX_VIDGO = os.environ.get("VIDGO_MCP_WHEEL_SCRIPT", SCRIPT)
PATIENCE = 40
TOOLS = set(tool_entries(40, PUBLISHED, reads_files=True))

INSTALL = (
    "{venv} && .venv/bin/python -m pip install -q -r {lock} && "
    ".venv/bin/python -m pip install -q --no-deps --no-build-isolation -e . && {run}"
)
DEMO = INSTALL.format(
    venv="python3 -m venv .venv", lock="requirements.lock -r requirements-build.lock", run=".venv/bin/vidgo-mcp demo"
)
SUITE = INSTALL.format(venv="python3 -m venv .venv", lock="requirements-dev.lock", run=".venv/bin/python -m pytest")


@dataclass(frozen=True)
class Block:
    """One fenced block of a document."""

    document: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.document}: {self.text.splitlines()[0][:50]}"


def blocks(*languages: str) -> list[Block]:
    fenced = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [
        Block(path.relative_to(ROOT).as_posix(), language, text)
        for path in DOCUMENTS
        for language, text in fenced.findall(path.read_text("utf-8"))
        if language in languages
    ]


def commands(*languages: str) -> list[str]:
    return [line for block in blocks(*languages) for line in block.text.replace("\\\n", " ").splitlines() if line]


SHELL = commands("sh")
OWN = [line for line in SHELL if re.match(r"vidgo-mcp (?!serve|sandbox)", line)]
SERVING = [line for line in SHELL if line.startswith("vidgo-mcp serve ")]
IMITATING = [line for line in SHELL if line.startswith("vidgo-mcp sandbox ")]
REQUESTS = [line for line in SHELL if line.startswith("curl ")]
ADDING = [line for line in SHELL if line.startswith("claude mcp add ")]
DEVELOPING = [
    line
    for block in blocks("sh")
    if block.document == "CONTRIBUTING.md"
    for line in block.text.splitlines()
    if line != SUITE
]
MEASURING = [line for line in SHELL if re.match(r"(\.venv/bin/)?python -m benchmarks\.", line)]
ELSEWHERE = {
    DEMO: ".ci/run runs it as it stands",
    SUITE: ".ci/run reads this very line from the README, and runs it",
    **{
        line.replace("python3 -m venv .venv &&", "uv venv --allow-existing &&").replace(
            ".venv/bin/python -m pip", "uv pip"
        ): "the same locks and the same steps; uv is not among what the tests need"
        for line in (DEMO, SUITE)
    },
    **dict.fromkeys(DEVELOPING, "for developers: .ci/run itself, or programs that it runs too"),
    **dict.fromkeys(MEASURING, "takes minutes; .ci/run runs the same programs with smaller numbers"),
}


def test_every_command_is_run_by_a_test_or_known_to_be_run_elsewhere() -> None:
    known = [*OWN, *SERVING, *IMITATING, *REQUESTS, *ADDING, *ELSEWHERE]
    assert sorted(set(SHELL)) == sorted(set(known))
    assert all((OWN, SERVING, IMITATING, REQUESTS, ADDING))
    handled = {"", "sh", "powershell", "json", "toml", "python", "text"}
    fences = re.compile(r"^```(\w*)$", re.MULTILINE)
    assert {language for path in DOCUMENTS for language in fences.findall(path.read_text("utf-8"))} == handled


def ci_run() -> str:
    path = ROOT / ".ci" / "run"
    if not path.exists():
        pytest.skip("only a checkout has .ci, a source distribution has not")
    return path.read_text("utf-8")


def test_the_newcomers_lines_are_shell_and_install_what_is_pinned() -> None:
    for line in (DEMO, SUITE):
        subprocess.run(["sh", "-n", "-c", line], check=True, timeout=PATIENCE)
    for lock in re.findall(r"-r (\S+)", f"{DEMO} {SUITE}"):
        assert "--hash=sha256:" in ROOT.joinpath(lock).read_text("utf-8")


def test_ci_runs_what_is_not_run_here() -> None:
    ci = ci_run()
    sought = re.search(r"grep -E '([^']+)' README\.md", ci)
    assert sought
    assert 'eval "$test_line"' in ci
    assert [line for line in README.read_text("utf-8").splitlines() if re.search(sought[1], line)] == [SUITE]
    assert "-r requirements.lock" in ci
    assert "vidgo-mcp demo" in ci
    for line in MEASURING:
        assert re.findall(r"-m (benchmarks\.\w+)", line)[0] in ci


def test_powershell_does_the_same() -> None:
    translated = [
        line.replace("; ", " && ")
        .replace(".venv\\Scripts\\", ".venv/bin/")
        .replace("python -m venv", "python3 -m venv", 1)
        for line in commands("powershell")
    ]
    assert translated == [DEMO, SUITE]


@pytest.fixture
def anyio_backend() -> str:
    """Return asyncio: what is tested here are programs."""
    return "asyncio"


@pytest.fixture(scope="module")
def vidgo() -> Iterator[dict[str, str]]:
    """Yield the environment of a user whose account, with the key of the snippets, is kept by a sandbox."""
    with running(Sandbox(accounts={"YOUR_KEY": 77}, seconds=(0, 0))) as url:
        yield {"VIDGO_API_KEY": "YOUR_KEY", "VIDGO_BASE_URL": url}


def clean(home: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.defpath, "PYTHONUTF8": "1", **more}


@pytest.mark.parametrize("line", OWN)
def test_a_command_works(line: str, vidgo: dict[str, str], tmp_path: Path) -> None:
    words = [SCRIPT, *shlex.split(line)[1:]]
    done = subprocess.run(
        words, cwd=tmp_path, env=clean(tmp_path, **vidgo), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@asynccontextmanager
async def started(line: str, ready: str, home: Path) -> AsyncGenerator[str]:
    """Start a command on a free port and yield the URL that it prints."""
    words = [SCRIPT, *shlex.split(re.sub(r"--port \d+", "--port 0", line))[1:]]
    environment = clean(home)
    async with await anyio.open_process(words, cwd=home, env=environment, stderr=subprocess.STDOUT) as process:
        try:
            assert process.stdout is not None
            said = ""
            with anyio.fail_after(PATIENCE):
                while not (found := re.search(rf"{ready}(http://[\w.:/]+)[\s;]", said)):
                    said += await TextReceiveStream(process.stdout).receive()
            yield found[1]
        finally:
            process.terminate()


@pytest.mark.anyio
@pytest.mark.parametrize("line", SERVING)
async def test_a_served_address_answers(line: str, tmp_path: Path) -> None:
    assert "--port 8000" in line
    async with started(line, "Serving MCP at ", tmp_path) as url, Client(url) as client:
        with anyio.fail_after(PATIENCE):
            assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS


@pytest.mark.anyio
@pytest.mark.parametrize("line", IMITATING)
async def test_the_sandbox_answers_what_the_documents_ask_it(line: str, tmp_path: Path) -> None:
    async with started(line, "", tmp_path) as url, httpx.AsyncClient(timeout=PATIENCE) as http:
        for request in REQUESTS:
            words = shlex.split(request)
            headers = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
            address = re.sub(r"http://127\.0\.0\.1:\d+", url, next(word for word in words if word.startswith("http")))
            body = words[words.index("-d") + 1]
            with pytest.raises(httpx.RemoteProtocolError):
                await http.post(address, headers=headers, content=body)
            answer = await http.post(address, headers=headers, content=body)
            assert answer.json()["data"]["task_id"]
            ledger = (await http.get(f"{url}/_sandbox/ledger")).json()["ledger"]
            assert [entry["kind"] for entry in ledger] == ["charge", "charge"], "the lost answer was charged too"


def servers() -> list[Any]:
    """Return what every snippet starts: command, arguments and environment as a client reads them."""
    found = []
    for block in blocks("json", "toml"):
        config = json.loads(block.text) if block.language == "json" else tomllib.loads(block.text)
        (group,) = {"mcpServers", "servers", "mcp_servers"} & set(config)
        for server in config[group].values():
            assert set(server) <= {"type", "command", "args", "env", "startup_timeout_sec"}
            secrets = {f"${{input:{given['id']}}}" for given in config.get("inputs", ())}
            env = {name: "YOUR_KEY" if value in secrets else value for name, value in server["env"].items()}
            assert all(given["password"] for given in config.get("inputs", ()))
            found.append(pytest.param(server["command"], server["args"], env, id=f"{block.language}-{group}"))
    for line in ADDING:
        options, _, start = line.partition(" -- ")
        words = shlex.split(options)
        env = dict(words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "--env")
        # `--env` takes several values: another option has to stand between it and the name.
        assert words[-3:] == ["--transport", "stdio", "vidgo"]
        command, *args = shlex.split(start)
        found.append(pytest.param(command, args, env, id="claude"))
    return found


@pytest.mark.anyio
@pytest.mark.parametrize(("command", "args", "env"), servers())
async def test_a_client_with_this_configuration_has_tools_and_the_key(
    command: str, args: list[str], env: dict[str, str], vidgo: dict[str, str], tmp_path: Path
) -> None:
    assert (command, args) == ("uvx", ["vidgo-mcp"])
    assert set(env) == {"VIDGO_API_KEY"}
    given = clean(tmp_path, VIDGO_BASE_URL=vidgo["VIDGO_BASE_URL"], **env)
    server = StdioServerParameters(command=UVX_VIDGO, args=args[1:], env=given, cwd="/")
    with anyio.fail_after(PATIENCE):
        async with Client(stdio_client(server), mode="legacy") as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
            balance = await client.call_tool("get_balance", {})
            assert balance.structured_content["credits"] <= 77
            assert not balance.is_error


def masked(text: str) -> list[str]:
    text = re.sub(r"task-unified-\d+-\w+", "TASK", text.strip())
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", text)
    text = re.sub(r"saved as \S+", "saved as PATH", text)
    return re.sub(r"https?://[^\s;]+", "URL", text).splitlines()


@pytest.mark.anyio
async def test_the_example_call_answers_as_the_readme_shows(vidgo: dict[str, str], tmp_path: Path) -> None:
    (block,) = [block for block in blocks("text") if block.document == "README.md"]
    call, _, answer = block.text.partition("\n\n")
    tool, arguments = call.split(" ", 1)
    server = StdioServerParameters(command=SCRIPT, env=clean(tmp_path, **vidgo))
    with anyio.fail_after(PATIENCE):
        async with Client(stdio_client(server)) as client:
            first = await client.call_tool(tool, json.loads(arguments))
            again = await client.call_tool(tool, json.loads(arguments))
    said = "Already paid for (2 credits); this call cost nothing."
    assert isinstance(first.content[0], TextContent)
    assert isinstance(again.content[0], TextContent)
    assert masked(first.content[0].text) == masked(answer)
    assert said in again.content[0].text
    assert f'"{said}"' in README.read_text("utf-8")


def test_the_client_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = [block for block in blocks("python") if block.document == "README.md"]
    with running(Sandbox(seconds=(0, 0))) as url:
        here = block.text.replace('os.environ["VIDGO_API_KEY"]', f"{SANDBOX_KEY!r}, base_url={url!r}")
        assert here != block.text
        # In a thread of its own: an event loop may be running in this one.
        thread = threading.Thread(target=exec, args=(compile(here, "README.md", "exec"), {"__name__": "__main__"}))
        thread.start()
        thread.join(PATIENCE)
    assert not thread.is_alive()
    assert re.fullmatch(r"finished http://127\.0\.0\.1:\d+/\S+\n", capsys.readouterr().out)


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_parses(block: Block) -> None:
    ast.parse(block.text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        path, _, anchor = target.partition("#")
        if target.startswith("https://"):
            continue
        found = document.parent / path if path else document
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text("utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, target


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "server.json"], ids=lambda path: path.name)
def test_only_tools_commands_and_files_that_exist_are_named(document: Path) -> None:
    text = document.read_text("utf-8")
    assert set(re.findall(r"\b(?:generate|edit|get|list|cancel|view|estimate|create)_[a-z]+\b", text)) <= TOOLS
    assert set(re.findall(r"\bvidgo-mcp ([a-z]+)\b", text)) - {"contributors"} <= set(COMMANDS)
    for name in re.findall(r"`((?:\w+/)*\w+\.py)`", text):
        assert any(ROOT.joinpath(folder, name).exists() for folder in ("vidgo_mcp", ".")), name
    variables = set(re.findall(r"\bVIDGO_[A-Z_]+\b", text))
    assert variables <= {"VIDGO_API_KEY_FILE", *settings_variables()}, variables


def settings_variables() -> set[str]:
    rows = re.findall(r"^\| `(VIDGO_\w+)` \|", README.read_text("utf-8"), re.MULTILINE)
    assert len(rows) > 5
    return set(rows)


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) < 200
