"""Peers that mean harm: small real servers on sockets, each in a thread, which answer as a test tells them to."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

Answer: TypeAlias = Callable[[str], Iterable[bytes]]
"""What is sent to a request for this path, piece by piece."""


def ok(body: bytes, kind: str = "application/json", *, more: str = "") -> bytes:
    """Return a whole answer."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


def endless(head: bytes, piece: bytes) -> Iterator[bytes]:
    """Send a piece again and again after a head."""
    yield head
    while True:
        yield piece


@contextlib.contextmanager
def answering(answer: Answer, path: Path | None = None) -> Iterator[str]:
    """Serve on loopback, or at a unix socket; yields the URL. One request a connection is answered, then it closes."""
    server = socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_STREAM)
    server.bind(str(path) if path else ("127.0.0.1", 0))
    server.listen(128)
    stopped = threading.Event()

    def serve(peer: socket.socket) -> None:
        with peer, contextlib.suppress(OSError, IndexError, UnicodeDecodeError):
            peer.settimeout(60)
            head = b""
            while b"\r\n\r\n" not in head:
                if not (got := peer.recv(65536)):
                    return
                head += got
            for piece in answer(head.split(b" ")[1].decode()):
                if stopped.is_set():
                    return
                peer.sendall(piece)

    def accept() -> None:
        while True:
            try:
                peer, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(peer,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"unix://{path}" if path else f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        stopped.set()
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(10)


def container(name: str, *, labels: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Return a container as an engine lists it, in blue of `shop` where its labels do not say otherwise."""
    return {
        "Id": name.encode().hex().ljust(64, "0"),
        "Names": [f"/{name}"],
        "ImageID": "sha256:03c294b9",
        "Ports": [{"PrivatePort": 8080, "Type": "tcp"}],
        "Labels": {"bluegreen.service": "shop", "bluegreen.colour": "blue"} | dict(labels or {}),
        "State": "running",
        "Status": "Up 3 seconds",
        "HostConfig": {"NetworkMode": "default"},
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "127.0.0.1"}}},
    } | more


def engine(containers: object, events: Answer | None = None) -> Answer:
    """Answer as a Docker Engine does that lists these containers; `events` plays the stream, else it is silent."""
    listed = containers if isinstance(containers, bytes) else json.dumps(containers).encode()

    def answer(path: str) -> Iterable[bytes]:
        place = path.partition("?")[0]
        if place.endswith("/version"):
            yield ok(b'{"ApiVersion": "1.41", "Version": "20.10.0"}')
        elif place.endswith("/_ping"):
            yield ok(b"OK", "text/plain")
        elif place.endswith("/events"):
            yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            if events is not None:
                yield from events(path)
            threading.Event().wait(120)
        elif place.endswith("/containers/json"):
            yield ok(listed)
        elif "/containers/" in place:
            yield ok(b"{}")
        else:
            yield ok(b'{"message": "no such container"}').replace(b"200 OK", b"404 Not Found")

    return answer


def chunk(data: bytes) -> bytes:
    """Return data as a chunk of HTTP/1.1."""
    return b"%x\r\n%b\r\n" % (len(data), data)
