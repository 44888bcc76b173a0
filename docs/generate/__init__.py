"""The pages of docs/reference/, generated from the code: `make docs` writes them, a test compares them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from docs.generate import cli, desired_state, http_api, metrics

REFERENCE = Path(__file__).parent.parent / "reference"
PAGES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "desired-state.md": desired_state.page,
        "cli.md": cli.page,
        "metrics.md": metrics.page,
        "http-api.md": http_api.page,
    }
)
