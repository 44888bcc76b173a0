"""What is said against a desired-state file quotes no secret, and still says what is wrong."""

import pytest

from provider import config
from provider.config.redact import withheld
from provider.model.errors import DesiredStateError

SECRET = "hunter2-of-production"


def complaints(text: str) -> str:
    with pytest.raises(DesiredStateError) as refused:
        config.load(f"environment: production\nservices: {{}}\n{text}\n", "desired.yaml")
    return str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        f"http: {{middlewares: {{a: {{basicAuth: {{users: [{{me: {SECRET}}}]}}}}}}}}",
        f"http: {{middlewares: {{a: {{basicAuth: {{users: [*{SECRET}]}}}}}}}}",
        f"http: {{middlewares: {{a: {{headers: {{customRequestHeaders: {{A: !{SECRET} x}}}}}}}}}}",
        f"http: {{middlewares: {{a: {{headers: {{customRequestHeaders: {{A: [{SECRET}]}}}}}}}}}}",
        f"http: {{middlewares: {{a: {{plugin: {SECRET}}}}}}}",
        f"traefik: {{api: ['http://me:{SECRET}@traefik']}}",
        f"traefik: {{api: ['http://me:{SECRET}{'x' * 300}@traefik']}}",
        f"traefik: {{api: ['http://{SECRET}@traefik']}}",
        f"traefik: {{api: ['http://traefik?token={SECRET}']}}",
        f"defaults: {{healthCheck: {{headers: {{Authorization: [{SECRET}]}}}}}}",
        f"defaults: {{healthCheck: {{send: 'AUTH {SECRET}\\q'}}}}",
        f"defaults: {{healthCheck: {{send: [{SECRET}]}}}}",
        f"defaults: {{analysis: {{source: {{prometheus: {{headers: {{Authorization: [{SECRET}]}}}}}}}}}}",
        f"defaults: {{testRoute: {SECRET}}}",
        f"defaults: {{testRoute: {{header: {SECRET}}}}}",
        f"defaults: {{testRoute: {{header: {{name: X-Release, value: '{SECRET} {SECRET}'}}}}}}",
        f"defaults: {{testRoute: {{cookie: {{name: release, value: [{SECRET}]}}}}}}",
        f"defaults: {{testRoute: {{cookie: {{name: release, valu: {{a: {SECRET}}}}}}}}}",
        f'tls: {{stores: {{default: {{defaultCertificate: "-----BEGIN PRIVATE KEY-----\\n{SECRET}"}}}}}}',
    ],
)
def test_a_refused_file_is_reported_without_the_secret_in_it(text: str) -> None:
    message = complaints(text)
    assert "desired.yaml:3:" in message
    assert SECRET not in message
    assert SECRET[:8] not in message


def test_a_message_says_all_but_the_secret() -> None:
    path = ("http", "middlewares", "a", "basicAuth", "users")
    assert withheld(path, f"must be a list, not '{SECRET}'", SECRET) == "must be a list, not ***"
    cut = f"must be a list, not '{SECRET[:15]}...'"
    assert withheld(path, cut, SECRET) == "must be a list, not '***...'"


def test_what_is_no_secret_is_quoted() -> None:
    path = ("services", "shop", "healthCheck", "path")
    assert withheld(path, "'healthz' is no path", "healthz") == "'healthz' is no path"
    assert withheld(("traefik", "api", 0), "'http://user@a' is no URL", "http://user@a") == "'http://user@a' is no URL"
    cookie = ("services", "shop", "testRoute", "cookie", "name")
    assert withheld(cookie, "'a b' is no name of a cookie", "a b") == "'a b' is no name of a cookie"
    headers = ("http", "middlewares", "a", "headers", "stsSeconds")
    assert withheld(headers, "must be a whole number, not 'long'", "long") == "must be a whole number, not 'long'"
