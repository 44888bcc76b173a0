"""A server that speaks HTTP/2, from the first byte or chosen in the handshake of TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from h2.exceptions import ProtocolError

from tests.support.answering import connecting

Headers: TypeAlias = dict[str, str]
Answers: TypeAlias = Callable[[Headers, H2Connection, int], bytes | None]
"""Answers one request, and returns the body that is still to be sent; None where there is none."""


def answers(body: bytes = b"ok", **fields: str) -> Answers:
    """Answer every request with 200, or with the `status` among the fields, and this body."""

    def act(_: Headers, connection: H2Connection, stream: int) -> bytes | None:
        head = {":status": fields.get("status", "200")} | {
            name.replace("_", "-"): value for name, value in fields.items() if name != "status"
        }
        connection.send_headers(stream, list(head.items()), end_stream=not body)
        return body or None

    return act


@asynccontextmanager
async def speaking_h2(act: Answers, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve; yields the URL."""

    def send(connection: H2Connection, stream: int, body: bytes) -> bytes:
        """Send as much of a body as the other side takes now; return the rest."""
        while body and (room := min(connection.local_flow_control_window(stream), connection.max_outbound_frame_size)):
            piece, body = body[:room], body[room:]
            connection.send_data(stream, piece, end_stream=not body)
        return body

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        bodies: dict[int, bytes] = {}
        try:
            writer.write(connection.data_to_send())
            while data := await reader.read(65536):
                for event in connection.receive_data(data):
                    if isinstance(event, RequestReceived) and event.headers is not None and event.stream_id is not None:
                        fields = {str(name): str(value) for name, value in event.headers}
                        if (body := act(fields, connection, event.stream_id)) is not None:
                            bodies[event.stream_id] = body
                bodies = {stream: left for stream, body in bodies.items() if (left := send(connection, stream, body))}
                writer.write(connection.data_to_send())
        except ProtocolError:
            pass

    if tls is not None:
        tls.set_alpn_protocols(["h2"])
    async with connecting(handle, tls=tls) as port:
        yield f"{'https' if tls else 'h2c'}://127.0.0.1:{port}"
