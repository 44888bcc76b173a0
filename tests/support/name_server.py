"""A name server for machines: it answers on the address it is given with what /etc/hosts says.

A program of its own, which imports nothing of ours.
"""

import socket
import struct
import sys
from pathlib import Path

ADDRESS_RECORD, NO_SUCH_NAME = 1, 3
ANSWER = b"\xc0\x0c" + struct.pack("!HHIH", ADDRESS_RECORD, 1, 1, 4)
"""The name that was asked for, in a class of its own, valid for a second, with the four bytes that follow."""


def main(address: str) -> None:
    names: dict[str, bytes] = {}
    for line in Path("/etc/hosts").read_text().splitlines():
        found, *known = line.split()
        names |= {name: socket.inet_aton(found) for name in known}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind((address, 53))
        while True:
            asked, peer = listening.recvfrom(4096)
            listening.sendto(answer(asked, names), peer)


def answer(asked: bytes, names: dict[str, bytes]) -> bytes:
    """Return the answer to one question; names have addresses of IPv4 alone."""
    end, labels = 12, []
    while length := asked[end]:
        labels.append(asked[end + 1 : end + 1 + length].decode())
        end += 1 + length
    kind = int.from_bytes(asked[end + 1 : end + 3])
    found = names.get(".".join(labels).lower())
    records = [ANSWER + found] if found is not None and kind == ADDRESS_RECORD else []
    flags = 0x8580 | (NO_SUCH_NAME if found is None else 0)
    header = asked[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0)
    return header + asked[12 : end + 5] + b"".join(records)


if __name__ == "__main__":
    main(sys.argv[1])
