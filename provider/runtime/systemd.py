"""Notifies systemd of the daemon's state, by the protocol of sd_notify(3)."""

import contextlib
import os
import socket

READY, STOPPING = "READY=1", "STOPPING=1"
LIMIT_S = 1.0


def notify(state: str) -> None:
    """Send a state to the socket that NOTIFY_SOCKET names; do nothing where none is named, or none answers."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # in Linux's abstract name space
        address = f"\0{address[1:]}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as letter, contextlib.suppress(OSError):
        letter.settimeout(LIMIT_S)
        letter.sendto(state.encode(), address)
