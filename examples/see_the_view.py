"""See the view that shows pictures in a chat: ``python examples/see_the_view.py`` opens a page that hosts it.

It starts a server with the sandbox, so there is no key and no cost, and a chat without a model: what you type is the
prompt of a picture. The page is what a chat program does for MCP Apps, in 120 lines. ``--no-browser`` only prints its
address; Ctrl-C ends it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMAND = shutil.which("vidgo-mcp", path=str(Path(sys.executable).parent)) or shutil.which("vidgo-mcp")
PAGE = Path(__file__).with_suffix(".html").read_text("utf-8")
# What hosts allow a view that asks for nothing: its own script and style, and pictures inside it. No network.
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"


class Pages(ThreadingHTTPServer):
    """Two of these are two origins: one for the chat, one for what a server sent, which must not reach the chat."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.page = b""
        self.policy = "default-src 'self' 'unsafe-inline'; img-src data:; connect-src *; frame-src *"
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    """Gives what its server has, and takes the view, which the chat has read from the MCP server."""

    server: Pages

    def do_GET(self) -> None:
        self.reply(self.server.page)

    def do_POST(self) -> None:
        self.server.page = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(self.server.url.encode())

    def reply(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", self.server.policy)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing for each request."""


def address_of(process: subprocess.Popen[str]) -> str:
    """Return where the server is, which it says once it accepts connections."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        if line.startswith("Serving MCP at "):
            return line.split()[3].rstrip(";")
        said.append(line)
    raise SystemExit("".join(said))


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if COMMAND is None:
        raise SystemExit("vidgo-mcp is not installed for this Python; the README says how.")
    command = [COMMAND, "serve", "--http", "--port", "0", "--sandbox"]
    environment = {**os.environ, "VIDGO_JOURNAL": "memory"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, encoding="utf-8") as process:
        try:
            server, chat, views = address_of(process), Pages(), Pages()
            views.policy = POLICY
            places = json.dumps({"server": server, "frames": views.url})
            chat.page = PAGE.replace('id="places">{}', f'id="places">{places}').encode()
            print(f"The view is at {chat.url}; Ctrl-C ends it.", flush=True)
            if "--no-browser" not in sys.argv:
                webbrowser.open(chat.url)
            process.communicate()
        except KeyboardInterrupt:
            pass
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
