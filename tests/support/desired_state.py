"""Desired-state files, and the messages for invalid ones."""

from textwrap import dedent, indent

import pytest

from provider.config import load
from provider.model.errors import DesiredStateError

FILE = "production.yaml"
IN_STEPS = """\
environment: production
traefik: {metrics: ["http://traefik:8082", "https://[::1]/behind/metrics"], buckets: [100ms, 2s]}
services:
  shop:
    router: {rule: Host(`shop.example.com`)}
    canary:
      affinity: client
      steps:
        - {weight: 5, for: 5m}
        - {weight: 25, for: 10m, approval: manual}
        - {weight: 50}
    analysis:
      source:
        prometheus:
          url: https://prometheus.example.com/behind/
          headers: {Authorization: Bearer 0123456789}
          insecureSkipVerify: true
      every: 5s
      warmup: 0s
      minRequests: 50
      noData: pass
      errors: {status: "500-504,429", worseThanActive: 0.99, max: 5%}
      slow: {over: 2s, worseThanActive: 0.9, max: 0.1}
      queries:
        - {name: queue, query: 'max(queue_length{colour="{{colour}}"})', max: 100, failures: 3, every: 30s}
        - {name: up, query: 'min(up{job="{{service}}"})', min: 1}
    testRoute: {cookie: {name: release, value: 0af1b2c3d4e5f607}}
    deadlines: {step: 2h}
"""
"""A file whose service has every key of a release in steps."""


def one(body: str) -> str:
    """Return a file with one service that has these further keys; the service's keys stand at line 4, column 5."""
    return "environment: production\nservices:\n  shop:\n" + indent(dedent(body), "    ")


def refused(text: str) -> list[str]:
    with pytest.raises(DesiredStateError) as error:
        load(text, FILE)
    return str(error.value).splitlines()
