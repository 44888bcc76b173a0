"""The keys of a health check, and the mode that each needs."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from provider import config
from provider.config.types import Payload
from provider.model import HealthCheck, ProbeMode
from provider.model.errors import DesiredStateError
from provider.model.payload import payload

FILE = """\
environment: production
defaults: {{healthCheck: {{{defaults}}}}}
services:
  shop:
    router: {{rule: Host(`shop.example.com`)}}
    healthCheck: {{{check}}}
"""


def check(written: str, defaults: str = "") -> HealthCheck:
    loaded = config.load(FILE.format(check=written, defaults=defaults), "desired.yaml")
    return loaded.services["shop"].endpoints[0].health_check


def complaint(written: str, defaults: str = "") -> str:
    with pytest.raises(DesiredStateError) as refused:
        check(written, defaults)
    return str(refused.value)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("mode: grpc", HealthCheck(ProbeMode.GRPC)),
        (
            "mode: grpc, service: shop.v1.Basket, scheme: https, headers: {A: b}, insecureSkipVerify: true",
            HealthCheck(
                ProbeMode.GRPC,
                service="shop.v1.Basket",
                scheme="https",
                headers=(("A", "b"),),
                insecure_skip_verify=True,
            ),
        ),
        ("scheme: h2c", HealthCheck(ProbeMode.HTTP, scheme="h2c")),
        (r"send: PING\r\n, expect: +PONG", HealthCheck(ProbeMode.TCP, send=r"PING\r\n", expect="+PONG")),
        ("mode: tcp, expect: '220 '", HealthCheck(ProbeMode.TCP, expect="220 ")),
        ('send: "PING\\r\\n"', HealthCheck(ProbeMode.TCP, send="PING\r\n")),
    ],
)
def test_the_keys_of_grpc_tcp_and_h2c_are_taken(written: str, expected: HealthCheck) -> None:
    """Rule 33."""
    assert check(written) == expected


@pytest.mark.parametrize(
    ("written", "defaults", "message"),
    [
        ("mode: http, send: x", "", "send: has no meaning with mode http: remove it, or write mode: tcp"),
        ("path: /, expect: x", "", "expect: has no meaning with mode http: remove it, or write mode: tcp"),
        ("expect: x", "path: /", "expect: has no meaning with mode http: remove it, or write mode: tcp"),
        ("mode: docker, send: x", "", "send: has no meaning with mode docker: remove it, or write mode: tcp"),
        ("mode: grpc, expect: x", "", "expect: has no meaning with mode grpc: remove it, or write mode: tcp"),
        ("mode: grpc, status: 200", "", "status: has no meaning with mode grpc: remove it, or write mode: http"),
        ("path: /", "mode: grpc", "path: has no meaning with mode grpc: remove it, or write mode: http"),
        ("scheme: h2c", "mode: tcp", "scheme: has no meaning with mode tcp: remove it, or write mode: http or grpc"),
        ("service: x", "", "service: has no meaning without mode: grpc"),
        ("service: x, path: /", "", "service: has no meaning with mode http: remove it, or write mode: grpc"),
        ("service: x", "mode: tcp", "service: has no meaning with mode tcp: remove it, or write mode: grpc"),
        ("mode: udp", "", "mode: must be 'http', 'grpc', 'tcp' or 'docker', not 'udp'"),
        ("mode: grpc, service: a b", "", "'a b' is no name of a gRPC service: write one such as shop.v1.Basket"),
        (r"expect: PO\ng\q", "", "expect: 'PO\\\\ng\\\\q' cannot be sent: write up to 1000 characters of ASCII"),
        ('expect: "\\xff"', "", "cannot be sent: write up to 1000 characters of ASCII, and other bytes as"),
        ("expect: ''", "", "cannot be sent"),
    ],
)
def test_a_key_without_a_meaning_is_refused_with_the_way_out(written: str, defaults: str, message: str) -> None:
    """Rule 33, P11."""
    assert message in complaint(written, defaults)


@given(st.text(alphabet=st.sampled_from("ab\\xrnt0\0\xff\n\x7f\x80"), min_size=1, max_size=12))
@example("\\")
def test_exactly_what_can_be_read_as_bytes_is_taken(text: str) -> None:
    """Rule 33."""
    try:
        TypeAdapter(Payload).validate_python(text)
    except ValidationError:
        with pytest.raises(ValueError, match="has "):
            payload(text)
    else:
        payload(text)
