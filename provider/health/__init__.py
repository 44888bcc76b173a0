"""Health checks over the network (rule 5): `visit` makes one, `checker` says when and what they add up to."""

from provider.health.checker import HealthChecker
from provider.health.visit import Result

__all__ = ["HealthChecker", "Result"]
