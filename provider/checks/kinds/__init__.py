"""The kinds of health check, a module each (rule 33)."""

from collections.abc import Callable, Mapping

from provider.checks.kinds import grpc, http, tcp, udp
from provider.checks.result import Check
from provider.model import Probe, ProbeMode

KINDS: Mapping[ProbeMode, Callable[[Probe], Check]] = {
    ProbeMode.HTTP: http.prepare,
    ProbeMode.GRPC: grpc.prepare,
    ProbeMode.TCP: tcp.prepare,
    ProbeMode.UDP: udp.prepare,
}
"""Every mode that asks the server itself; each makes the check of one server, which is then used again and again."""


def prepare(probe: Probe) -> Check:
    """Return the check of one server. Raises ValueError for an invalid URL."""
    return KINDS[probe.check.mode or ProbeMode.TCP](probe)
