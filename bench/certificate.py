"""A default certificate for Traefik: without one it makes an RSA key at each reload, and that would be measured."""

import subprocess
from pathlib import Path

from bench.machine import program
from provider.model import JsonObject

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")


def default_store(folder: Path) -> JsonObject:
    """Make a certificate in a folder; return Traefik's configuration, as it is passed through. Raises Missing."""
    cert, key = folder / "default.crt", folder / "default.key"
    if not cert.exists():
        command = [program("openssl"), "req", "-x509", *NEW_KEY, "-subj", "/CN=bench", "-keyout", key, "-out", cert]
        subprocess.run(list(map(str, command)), check=True, capture_output=True, timeout=30)
    return {"tls": {"stores": {"default": {"defaultCertificate": {"certFile": str(cert), "keyFile": str(key)}}}}}
