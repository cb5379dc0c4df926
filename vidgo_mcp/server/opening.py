"""Answers the first lines of a session over stdio from a snapshot, while the SDK is still being imported.

A client waits for its list of tools at every start, and nearly all of that wait was the import. What the snapshot holds
is what the SDK's server answers, byte for byte: a test compares them, and makes it anew. This module loads next to
nothing.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, Final

from vidgo_mcp import __version__

FILE: Final = os.path.join(os.path.dirname(__file__), "snapshot.jsonl")
PAGE: Final = os.path.join(os.path.dirname(__file__), "view", "picture.html")
PAGE_MARK: Final = '"picture.html"'
"""What stands in the snapshot for the text of the view."""
LONGEST_LINE: Final = 65_536
MOST_WRITTEN: Final = 32_768
"""Bytes before the last answer: a client may write all that it has before it reads, and a full pipe blocks both."""
MOST_BRACKETS: Final = 100
"""In one line: two readers of JSON need not agree on what is nested deeper."""

VIEW: Final = "io.modelcontextprotocol/ui"
VIEW_TYPE: Final = "text/html;profile=mcp-app"
VERSION: Final = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"

# Shapes: an object by its names (`?`: may be missing, `*`: any other), a list of one shape, or one of several types.
META: Final = {"progressToken?": (str, int)}
CLIENT: Final = {
    "name": (str,),
    "version": (str,),
    "title?": (str,),
    "description?": (str,),
    "websiteUrl?": (str,),
    "icons?": [{"src": (str,), "mimeType?": (str,), "sizes?": [(str,)]}],
}
CAPABLE: Final = {
    "elicitation?": {"form?": (dict,), "url?": (dict,)},
    "experimental?": {"*?": (dict,)},
    "extensions?": {f"{VIEW}?": {"mimeTypes?": [(str,)]}, "*?": (dict,)},
    "roots?": {"listChanged?": (bool,)},
    "sampling?": {"context?": (dict,), "tools?": (dict,)},
    "tasks?": {
        "cancel?": (dict,),
        "list?": (dict,),
        "requests?": {"elicitation?": {"create?": (dict,)}, "sampling?": {"createMessage?": (dict,)}},
    },
}
MESSAGE: Final = {"jsonrpc": (str,), "id?": (str, int), "method": (str,), "params?": (dict,)}
INITIALIZE: Final = {"protocolVersion": (str,), "capabilities": CAPABLE, "clientInfo": CLIENT, "_meta?": META}
ENVELOPE: Final = {
    **META,
    VERSION: (str,),
    CAPABILITIES: CAPABLE,
    "io.modelcontextprotocol/clientInfo?": CLIENT,
}


class Snapshot:
    """What the SDK's server answers, by method, to each kind of client.

    The first line of its file says how it was made, and which of the other lines answers what. A kind is a protocol
    version, and whether the client shows views.
    """

    def __init__(self, lines: Sequence[str], wait_seconds: str | None = None) -> None:
        made = json.loads(lines[0])
        self.handshakes: Sequence[str] = made["handshakes"]
        self.modern: str = made["modern"]
        self._by: Mapping[str, str] = made["by"]
        self._answers: Mapping[str, Mapping[str, int]] = made["answers"]
        self._wait = (made["wait_seconds"], wait_seconds or made["default_wait"])
        self._lines = lines

    @classmethod
    def read(cls, wait_seconds: str | None = None) -> Snapshot:
        """Return the snapshot that this package has, for a setting of ``VIDGO_WAIT_SECONDS``."""
        with open(FILE, encoding="utf-8") as file:
            return cls(file.read().split("\n"), wait_seconds)

    def is_of(self, folders: Sequence[str]) -> bool:
        """Return whether it was made by this version with the SDK that is installed in the first folder with one."""
        for folder in folders:
            if os.path.isdir(os.path.join(folder, "mcp")):
                installed = [name for name in os.listdir(folder) if name.startswith("mcp-") and name.endswith("-info")]
                return installed == [f"mcp-{self._by['mcp']}.dist-info"] and __version__ == self._by["vidgo-mcp"]
        return False

    def result(self, kind: str, method: str) -> str | None:
        """Return what a method answers to a kind of client, None where that is not known."""
        number = self._answers[kind].get(method)
        if number is None:
            return None
        text = self._lines[number].replace(*self._wait)
        if PAGE_MARK in text:
            with open(PAGE, encoding="utf-8") as file:
                text = text.replace(PAGE_MARK, json.dumps(file.read(), ensure_ascii=False))
        return text


class Opening(threading.Thread):
    """Answers line by line what surely gets this very answer from the server, until the first line that may not.

    That line and all later ones are the server's. It needs to know how the session began, too: lines that say so are
    passed on to it once more, the request among them under an id of which the client never hears.

    Args:
        snapshot: the answers.
        stdin: where the client writes; what is not read here is left in it.
        stdout: where the answers go; closed at the end.
        may_have_tasks: whether a list of resources may have more than the snapshot knows.
    """

    def __init__(
        self, snapshot: Snapshot, stdin: IO[bytes], stdout: IO[bytes], may_have_tasks: Callable[[], bool]
    ) -> None:
        super().__init__(name="opening")
        self.replayed_id: Final = os.urandom(16).hex()
        self._snapshot = snapshot
        self._stdin = stdin
        self._stdout = stdout
        self._may_have_tasks = may_have_tasks
        self._kind: str | None = None
        self._replayed: list[bytes] = []
        self._unanswered = b""

    def run(self) -> None:
        try:
            with self._stdout:
                written = 0
                while True:
                    self._unanswered = self._stdin.readline()
                    answer = self.answer(self._unanswered) if written <= MOST_WRITTEN else None
                    if answer is None:
                        return
                    written += self._stdout.write(answer)
                    self._stdout.flush()
        except OSError:
            # Nobody reads stdout any more. The server gets the same line, finds it out, and knows how to end.
            return

    def handed_over(self) -> list[bytes]:
        """Wait for the first line that is the server's, and return all that it has to read before the rest of stdin."""
        self.join()
        return [*self._replayed, self._unanswered]

    def answer(self, line: bytes) -> bytes | None:
        """Return what answers a line, nothing to a notification, None where that is for the server."""
        message = _read(line)
        if message is None:
            return None
        method, params = message["method"], message.get("params", {})
        if "id" not in message:
            if method != "notifications/initialized" or params or self._kind is None:
                return None
            self._replayed.append(line)
            return b""
        kind = self._kind_of(method, params)
        if kind is None or (method == "resources/list" and self._may_have_tasks()):
            return None
        result = self._snapshot.result(kind, f"{method} {params['uri']}" if "uri" in params else method)
        if result is None:
            return None
        if not self._replayed:
            self._kind = kind if method == "initialize" else None
            self._replayed = [json.dumps({**message, "id": self.replayed_id}).encode() + b"\n"]
        number = json.dumps(message["id"], ensure_ascii=False)
        return f'{{"jsonrpc":"2.0","id":{number},"result":{result}}}\n'.encode()

    def _kind_of(self, method: str, params: Mapping[str, Any]) -> str | None:
        """Return what kind of client asks, None where the server may refuse this request."""
        if method == "initialize":
            if self._replayed or not _has_shape(params, INITIALIZE):
                return None
            handshakes, version = self._snapshot.handshakes, params["protocolVersion"]
            return _kind(version if version in handshakes else handshakes[-1], params["capabilities"])
        uri = {"uri": (str,)} if method == "resources/read" else {}
        if self._kind is not None:
            return self._kind if _has_shape(params, {**uri, "_meta?": META}) else None
        if not _has_shape(params, {**uri, "_meta": ENVELOPE}) or params["_meta"][VERSION] != self._snapshot.modern:
            return None
        return _kind(self._snapshot.modern, params["_meta"][CAPABILITIES])


def _kind(version: str, capabilities: Mapping[str, Any]) -> str:
    view = capabilities.get("extensions", {}).get(VIEW, {})
    return f"{version} with views" if VIEW_TYPE in view.get("mimeTypes", ()) else version


def _read(line: bytes) -> dict[str, Any] | None:
    """Return a message that every reader of JSON takes for the same one, None for any other line."""
    if len(line) > LONGEST_LINE or line.count(b"{") + line.count(b"[") > MOST_BRACKETS or b"\\ud" in line.lower():
        return None
    try:
        message: Any = json.loads(line.decode())
    except ValueError:
        return None
    return message if _has_shape(message, MESSAGE) and message["jsonrpc"] == "2.0" else None


def _has_shape(value: Any, shape: Any) -> bool:
    """Return whether a value is exactly so. What else the SDK would take is left to it."""
    if isinstance(shape, tuple):
        return type(value) in shape
    if isinstance(shape, list):
        return type(value) is list and all(_has_shape(item, shape[0]) for item in value)
    if type(value) is not dict or any(name not in value for name in shape if not name.endswith("?")):
        return False
    inner = {name.removesuffix("?"): one for name, one in shape.items()}
    return all(_has_shape(item, inner.get(name, inner.get("*", ()))) for name, item in value.items())
