"""What a browser is given: a host's page, and the view from another origin under a content policy as hosts set it."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Literal

from tests.outsiders.conftest import SERVER

Policy = Literal["standard", "strict"]

POLICIES: Final[Mapping[str, str]] = {
    # What the specification has a host set when a view asks for nothing.
    "standard": "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; media-src 'self' data:; connect-src 'none'",
    # As Claude's: nothing from anywhere, no worker, form or font, and pictures only inside the page.
    "strict": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
    "font-src 'none'; connect-src 'none'; worker-src 'none'; frame-src 'none'; form-action 'none'; base-uri 'none'",
}
HOST_PAGE: Final = """<!doctype html><html lang="en"><title>A host</title><link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark } body { margin: 0; background: Canvas }
  iframe { display: block; border: 0; width: 100%; height: 150px }
  [data-mode=fullscreen] iframe { height: 100vh !important }
</style>
<iframe title="View" sandbox="allow-scripts allow-same-origin"></iframe><script src="/host.js"></script>"""


class Pages(ThreadingHTTPServer):
    """What a browser is given, on two ports: to it, two origins. Passes the lines of one server over stdio on."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, script: bytes) -> None:
        super().__init__(("127.0.0.1", 0), PageHandler)
        self.script = script
        self.views: list[bytes] = []
        self.environment: Mapping[str, str] = {}
        self.process: subprocess.Popen[str] | None = None
        self.relayed = threading.Event()

    def url(self, name: str = "127.0.0.1") -> str:
        return f"http://{name}:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a page that is closed leaves connections behind."""

    def stop_process(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.relayed.wait(10)
            self.process = None


class PageHandler(BaseHTTPRequestHandler):
    server: Pages
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        match self.path.strip("/").split("/"):
            case [""]:
                self.answer(HOST_PAGE.encode(), "text/html; charset=utf-8")
            case ["host.js"]:
                self.answer(self.server.script, "text/javascript; charset=utf-8")
            case ["stdio"]:
                self.relay()
            case [policy, number] if policy in POLICIES:
                self.answer(self.server.views[int(number)], "text/html; charset=utf-8", csp=POLICIES[policy])
            case _:
                self.send_error(404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/stdio":
            assert self.server.process is not None
            assert self.server.process.stdin is not None
            self.server.process.stdin.write(body.decode() + "\n")
            self.server.process.stdin.flush()
            self.answer(b"", "text/plain")
            return
        self.server.views.append(body)
        host = self.headers["Host"]
        self.answer(f"http://{host}{self.path}/{len(self.server.views) - 1}".encode(), "text/plain")

    def answer(self, body: bytes, kind: str, *, csp: str | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Access-Control-Allow-Origin", "*")
        if csp is not None:
            self.send_header("Content-Security-Policy", csp)
        self.end_headers()
        self.wfile.write(body)

    def relay(self) -> None:
        """Start a server, and pass its lines on as events until it ends."""
        self.server.stop_process()
        self.server.relayed.clear()
        with subprocess.Popen(
            [SERVER],
            env=dict(self.server.environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        ) as self.server.process:
            assert self.server.process.stdout is not None
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.flush()
            with suppress(OSError):  # the page is closed
                for line in self.server.process.stdout:
                    self.wfile.write(f"data: {line}\n".encode())
                    self.wfile.flush()
        self.server.relayed.set()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name of the library
        """Say nothing."""


@contextmanager
def serving_pages(script: bytes) -> Iterator[Pages]:
    with Pages(script) as pages:
        thread = threading.Thread(target=pages.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield pages
        finally:
            pages.stop_process()
            pages.shutdown()
            thread.join(10)
