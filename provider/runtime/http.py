"""Why a request failed, as aiohttp and TLS report it."""

import ssl

import aiohttp


def root(error: Exception) -> Exception:
    """Return the cause inside the connection errors of aiohttp."""
    while isinstance(error, aiohttp.ClientConnectionError) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return error


def answer_fault(error: Exception) -> str | None:
    """Return what is wrong with TLS, HTTP or the end of an answer; None for any other error."""
    match error:
        case ssl.SSLCertVerificationError(verify_message=reason):
            return f"certificate not trusted: {reason[:1].lower()}{reason[1:].rstrip('.')}"
        case ssl.SSLError(reason=reason):
            return f"TLS failed: {(reason or str(error)).replace('_', ' ').lower()}"
        case aiohttp.ClientResponseError(message=message):
            return f"not HTTP: {' '.join(message.split())[:100].rstrip(' ^')}"
        case aiohttp.ServerDisconnectedError():
            return "connection closed without an answer"
        case aiohttp.ClientPayloadError():
            return "answer cut short"
        case _:
            return None
