"""A real gRPC server, of grpcio, with or without grpc.health.v1."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

Answer: TypeAlias = Callable[[Any, Any], Any]
"""Answers a request in a call of gRPC."""


class _Answering(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def Check(self, request: Any, context: Any) -> Any:  # noqa: N802  the name of the call
        return self._answer(request, context)


def serving_as(status: str) -> Any:
    """The answer with a status, by its name."""
    return health_pb2.HealthCheckResponse(status=status)


@contextmanager
def speaking_grpc(
    statuses: Mapping[str, str] | None = None, *, answer: Answer | None = None, certificate: Path | None = None
) -> Iterator[str]:
    """Serve the health of services by their names, or whatever `answer` says, or no health at all; yields the URL."""
    server = grpc.server(ThreadPoolExecutor(2))
    if statuses is not None:
        servicer = health.HealthServicer()
        for service, status in statuses.items():
            servicer.set(service, health_pb2.HealthCheckResponse.ServingStatus.Value(status))
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    elif answer is not None:
        health_pb2_grpc.add_HealthServicer_to_server(_Answering(answer), server)
    if certificate is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        both = certificate.read_bytes()
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(both, both)]))
    server.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
