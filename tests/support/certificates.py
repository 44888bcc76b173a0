"""Certificates for tests: an authority, and what it signs."""

import subprocess
from pathlib import Path

from tests.support.components import program

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


class Authority:
    """A certificate authority in a folder; `ca` is its certificate."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder, self._key = folder, folder / f"{name}.key"
        self.ca = folder / f"{name}.crt"
        _openssl("req", "-x509", *NEW_KEY, "-subj", f"/CN={name}", "-keyout", self._key, "-out", self.ca)

    def issue(self, name: str, *, for_hosts: str = "IP:127.0.0.1,DNS:localhost", days: int = 2) -> tuple[Path, Path]:
        """Sign a certificate; return it and its key."""
        cert, key = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        _openssl(
            *("req", "-x509", *NEW_KEY[:-1], days, "-subj", f"/CN={name}", "-CA", self.ca, "-CAkey", self._key),
            *("-addext", f"subjectAltName={for_hosts}", "-addext", "basicConstraints=critical,CA:FALSE"),
            *("-keyout", key, "-out", cert),
        )
        return cert, key


def locked(key: Path) -> Path:
    """Return a copy of a key that a passphrase locks."""
    copy = key.with_suffix(".locked")
    _openssl("pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", copy)
    return copy


def _openssl(*arguments: object) -> None:
    command = [program("openssl", "openssl"), *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)
