"""The environment that a text names."""

import pytest

from provider.config.environment import environment_of


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("# ours\nservices: {\nenvironment: production  # all of it\n", "production"),
        ("environment: 'eu-1'\n", "eu-1"),
        ('{"environment": "two words", "services": {}}', "two words"),
        ("services:\n  environment: no\n", None),
        ("environment: 7\n", "7"),
        ("environment: [a]\n", None),
        ("environment: {\n", None),
        ("[]", None),
        ("", None),
    ],
)
def test_the_environment_is_found_also_where_the_rest_is_wrong(text: str, environment: str | None) -> None:
    """P4: a replica starts on a file that is broken."""
    assert environment_of(text) == environment
