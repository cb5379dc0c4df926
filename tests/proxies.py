"""Proxies on loopback that misbehave, and one that works: what the tests of every floor ask for a way out."""

from __future__ import annotations

import contextlib
import gc
import socket
import struct
import threading
from collections.abc import Callable, Generator

LONGEST = 10.0
"""Seconds after which a connection is given up."""
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

Talk = Callable[[socket.socket], None]


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def says(*parts: bytes, hangs: bool = False) -> Talk:
    """Answer what was read with these bytes, one for each reading."""

    def talk(connection: socket.socket) -> None:
        for part in parts:
            connection.recv(65536)
            connection.sendall(part)
        if hangs:
            while connection.recv(65536):
                pass

    return talk


def resets(connection: socket.socket) -> None:
    connection.recv(65536)
    reset(connection)


BROKEN: dict[str, tuple[str, Talk]] = {
    "drops": ("http", says(b"")),
    "resets": ("http", resets),
    "garbles": ("http", says(b"\x15\x03\x01 no HTTP\r\n\r\n")),
    "stalls": ("http", says(hangs=True)),
    "wants a password": ("http", says(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")),
    "finds nobody": ("http", says(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")),
    "drops the tunnel": ("http", says(ESTABLISHED)),
    "has no TLS in the tunnel": ("http", says(ESTABLISHED, b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    "stalls in the tunnel": ("http", says(ESTABLISHED, hangs=True)),
    "SOCKS drops": ("socks5", says(b"")),
    "SOCKS resets": ("socks5h", resets),
    "SOCKS garbles": ("socks", says(b"HTTP/1.1 400 Bad Request\r\n\r\n")),
    "SOCKS stalls": ("socks5", says(hangs=True)),
    "SOCKS wants a password": ("socks5", says(b"\x05\xff")),
    "SOCKS finds nobody": ("socks5", says(b"\x05\x00", b"\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00")),
    "SOCKS has no TLS": ("socks5", says(b"\x05\x00", b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", b"HTTP/1.1 400\r\n")),
}
"""What a proxy does after it was asked for a way to another host: the scheme it speaks, and how it goes on."""


class Proxy:
    """A proxy on loopback; ``asked`` is the first bytes of each connection."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.asked: list[bytes] = []

    def run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(LONGEST)
            self.asked.append(connection.recv(65536, socket.MSG_PEEK))
            self._talk(connection)

    def close(self) -> None:
        # A blocked accept is not ended by close; a shutdown ends it.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextlib.contextmanager
def proxy(talk: Talk) -> Generator[Proxy]:
    """Serve a proxy until the end of the block."""
    server = Proxy(talk)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(LONGEST)
        # httpcore leaves a connection to a SOCKS proxy that failed to the garbage collector.
        gc.collect()


def socks_to(port: int, hosts: list[str]) -> Talk:
    """Speak SOCKS5 and lead every host, whose name is kept, to a port on loopback."""

    def talk(connection: socket.socket) -> None:
        connection.recv(262)
        connection.sendall(b"\x05\x00")
        wanted = connection.recv(262)
        hosts.append(wanted[5 : 5 + wanted[4]].decode())
        with socket.create_connection(("127.0.0.1", port)) as there:
            connection.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
            back = threading.Thread(target=_pump, args=(there, connection), daemon=True)
            back.start()
            _pump(connection, there)
            back.join(LONGEST)

    return talk


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
