"""The part of Go's templates that default rules use."""

import pytest

from provider.docker.traefik_labels.default_rule import DEFAULT_RULE, Subject, normalize, render
from provider.model.errors import RuleError

SUBJECT = Subject("shop-web", "shop_web-1", {"zone": "example.com", "com.docker.compose.service": "web"})


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        (DEFAULT_RULE, "Host(`shop-web`)"),
        ('Host(`{{ .Name }}.{{ index .Labels "zone" }}`)', "Host(`shop-web.example.com`)"),
        ("Host(`{{index .Labels `com.docker.compose.service`}}.test`)", "Host(`web.test`)"),
        ("{{ normalize .ContainerName }}", "shop-web-1"),
        ('{{ .ContainerName | trimSuffix "-1" | replace "_" "." | upper }}', "SHOP.WEB"),
        ('{{ trimPrefix "shop-" .Name }}', "web"),
        ('{{ index .Labels "none" | default .Name }}', "shop-web"),
        ("a {{- .Name -}} b", "ashop-webb"),
        ("", ""),
        ("PathPrefix(`/`)", "PathPrefix(`/`)"),
    ],
)
def test_a_template_is_rendered(template: str, rule: str) -> None:
    assert render(template, SUBJECT) == rule


@pytest.mark.parametrize(
    "template",
    [
        "{{ if .Name }}a{{ end }}",
        "{{ range .Labels }}{{ end }}",
        "{{ .Labels.zone }}",
        '{{ (index .Labels "zone") }}',
        '{{ printf "%s" .Name }}',
        "{{ .Name }",
        "{{ }}",
        "{{ | lower }}",
        "{{ .Name | }}",
        "{{ lower }}",
        "{{ index .Labels }}",
        "{{ .Name .Name }}",
        "x" * 5000,
    ],
)
def test_what_is_not_known_is_refused_and_not_half_understood(template: str) -> None:
    with pytest.raises(RuleError):
        render(template, SUBJECT)


@pytest.mark.parametrize(
    ("name", "normal"), [("/shop_web.1", "shop-web-1"), ("__", ""), ("éß٣Ⅷ²", "éß٣Ⅷ²"), ("a\u0301b", "a-b")]
)
def test_a_name_is_normalized_to_letters_digits_and_hyphens(name: str, normal: str) -> None:
    assert normalize(name) == normal
