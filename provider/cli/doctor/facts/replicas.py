"""Asks each replica who it is and which conditions it has, at the address that it gives to the others."""

import asyncio
from typing import TypeGuard

from provider.cli.client.admin_api import Admin, CommandRefused, InvalidCredentials, NoDaemon
from provider.cli.doctor.checks.replicas import Reached
from provider.model import api_types as api
from provider.model.errors import AddressError
from provider.model.text import NAME_MOST, one_line

REPLICAS = "/api/v1/replicas"
ASKED_MOST = 64
TIMEOUT_S = 5.0
CONDITIONS_MOST = 100


async def gather(admin: Admin, overview: api.Overview) -> tuple[Reached, ...]:
    """Ask every replica that lives who it is, with the token and certificates for the daemon."""
    asked = [(one["replica"], one["admin"]) for one in overview.get("replicas", ()) if not one["away"]]
    return tuple(
        await asyncio.gather(
            *(asyncio.to_thread(_reach, admin, name, address) for name, address in asked[:ASKED_MOST] if address)
        )
    )


def own(admin: Admin) -> Reached | None:
    """Ask the daemon itself, of whose name there may be another one; None where it is too old to say who it is."""
    try:
        answers, conditions = _ask(admin)
    except (NoDaemon, CommandRefused):
        return None
    return Reached(answers, "", answers, conditions=conditions) if answers is not None else None


def _reach(admin: Admin, name: str, address: str) -> Reached:
    try:
        answers, conditions = _ask(admin.at(address, timeout_s=TIMEOUT_S))
    except (NoDaemon, CommandRefused, AddressError, InvalidCredentials) as failure:
        return Reached(name, address, failure=one_line(str(failure), 300))
    return Reached(name, address, answers, conditions=conditions)


def _ask(admin: Admin) -> tuple[str | None, tuple[api.Condition, ...]]:
    """Return who answers, and the conditions of its own."""
    found = admin.get(REPLICAS)
    answers, conditions = found.get("answers"), found.get("conditions")
    return (
        one_line(answers, NAME_MOST) if isinstance(answers, str) else None,
        tuple(filter(_is_condition, conditions[:CONDITIONS_MOST])) if isinstance(conditions, list) else (),
    )


def _is_condition(found: object) -> TypeGuard[api.Condition]:
    return isinstance(found, dict) and all(isinstance(found.get(key), str) for key in ("code", "severity", "message"))
