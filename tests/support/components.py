"""Real components that tests need: found, or skipped with the reason; in CI a missing one is a failure."""

import os
import shutil
from typing import NoReturn

import pytest


def missing(component: str, reason: str) -> NoReturn:
    """Skip the test, or fail it where BLUEGREEN_REQUIRE (comma-separated) names the component."""
    required = {name.strip() for name in os.environ.get("BLUEGREEN_REQUIRE", "").split(",")}
    message = f"{component}: {reason}"
    if component in required:
        pytest.fail(f"required by BLUEGREEN_REQUIRE but missing: {message}", pytrace=False)
    pytest.skip(message)


def program(component: str, name: str) -> str:
    """Return the path of a program on PATH; skip or fail where it is missing."""
    return shutil.which(name) or missing(component, f"no program {name!r} on PATH")
