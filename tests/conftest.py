"""Fixtures for real components live beside the tests that need them; pytest wants them named here."""

pytest_plugins = ["tests.integration.daemon", "tests.integration.engine", "tests.integration.traefik"]
