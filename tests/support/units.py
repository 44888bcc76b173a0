"""As much of `systemctl` as a runbook needs: it starts what a unit and its drop-ins say, and waits for Type=notify.

A program of its own, which imports nothing of ours. Users, limits and what else locks a unit up are left out.
"""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

UNITS = (Path("/lib/systemd/system"), Path("/etc/systemd/system"))
RUN, LOG = Path("/run/units"), Path("/var/lib/log")
START_S, STOP_S = 60.0, 20.0


def main(arguments: list[str]) -> None:
    words = [word for word in arguments if not word.startswith("-")]
    verb, names = words[0], [name.removesuffix(".service") for name in words[1:]]
    RUN.mkdir(exist_ok=True)
    LOG.mkdir(exist_ok=True)
    for name in names:
        if verb in {"stop", "restart"} or (verb == "disable" and "--now" in arguments):
            stop(name)
        if verb in {"start", "restart"} or (verb == "enable" and "--now" in arguments):
            start(name)
        if verb == "is-active" and not is_running(name):
            sys.exit(3)


def settings(name: str) -> list[tuple[str, str]]:
    """Return what the unit says, then its drop-ins, in order; an empty value clears what was before."""
    files = [folder / f"{name}.service" for folder in UNITS if (folder / f"{name}.service").exists()][-1:]
    for folder in UNITS:
        files += sorted((folder / f"{name}.service.d").glob("*.conf"))
    if not files:
        sys.exit(f"Unit {name}.service not found.")
    found: list[tuple[str, str]] = []
    for file in files:
        for key, value in re.findall(r"(?m)^(\w+)=(.*)$", file.read_text()):
            if not value:
                found = [each for each in found if each[0] != key]
            found.append((key, value.replace("%p", name).replace("%H", socket.gethostname())))
    return found


def environment(said: list[tuple[str, str]]) -> dict[str, str]:
    """Return the variables: those of the unit, and over them those of its files."""
    variables = {"PATH": os.environ["PATH"], "HOME": "/root", "LANG": "C.UTF-8"}
    for key, value in said:
        if key == "Environment":
            for word in shlex.split(value):
                variable, _, text = word.partition("=")
                variables[variable] = text
    for key, value in said:
        if key == "EnvironmentFile" and value:
            file = Path(value.removeprefix("-"))
            if file.exists():
                lines = (line for line in file.read_text().splitlines() if line and line[0] not in "#;")
                variables.update((line.partition("=")[0], line.partition("=")[2].strip("'\"")) for line in lines)
            elif not value.startswith("-"):
                sys.exit(f"{name_of(said)}: {file} is not there")
    return variables


def name_of(said: list[tuple[str, str]]) -> str:
    return dict(said).get("Description", "unit")


def start(name: str) -> None:
    """Start a unit, and return when it says that it is ready."""
    if is_running(name):
        return
    said = settings(name)
    one = dict(said)
    variables = environment(said)
    for key, parent in (("StateDirectory", "/var/lib"), ("RuntimeDirectory", "/run")):
        if one.get(key):
            Path(parent, one[key]).mkdir(mode=0o700, exist_ok=True)
    words = shlex.split(one["ExecStart"])
    command = [
        piece
        for word in words
        for piece in (shlex.split(variables.get(word[1:], "")) if word.startswith("$") else [word])
    ]
    command[0] = Path(command[0]).name  # what an installation puts there, is on PATH here
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
        place = RUN / f"{name}.notify"
        place.unlink(missing_ok=True)
        ready.bind(str(place))
        ready.settimeout(0.05)
        with (LOG / name).open("ab") as log:
            process = subprocess.Popen(
                command,
                env=variables | {"NOTIFY_SOCKET": str(place)},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (RUN / name).write_text(str(process.pid))
        end = time.monotonic() + START_S
        while one.get("Type") == "notify":
            try:
                if b"READY=1" in ready.recv(4096):
                    return
            except TimeoutError:
                if process.poll() is not None or time.monotonic() > end:
                    sys.exit(f"Job for {name}.service failed: {(LOG / name).read_text()[-3000:]}")


def stop(name: str) -> None:
    """Stop a unit, and return when it has ended."""
    if not is_running(name):
        return
    pid = int((RUN / name).read_text())
    os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + STOP_S
    while is_running(name):
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def is_running(name: str) -> bool:
    """Tell whether its process is there; one that nobody has waited for is not."""
    try:
        pid = (RUN / name).read_text()
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


if __name__ == "__main__":
    main(sys.argv[1:])
