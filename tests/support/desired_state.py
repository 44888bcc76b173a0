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

WITH_ENDPOINTS = """\
environment: production
defaults:
  router: {entryPoints: [websecure], middlewares: [zip]}
  healthCheck: {interval: 9s}
  loadBalancer: {passHostHeader: false}
  sticky: {cookie: {name: colour}}
services:
  broker:
    endpoints:
      web:   {port: 8080, scheme: https, loadBalancer: {strategy: p2c}, healthCheck: {path: /healthz}}
      admin: {port: 9000}
      mqtt:
        port: 1883
        protocol: tcp
        loadBalancer: {ProxyProtocol: true, terminationDelay: "50", serversTransport: slow}
        healthCheck: {interval: 3s}
      dns: {port: 53, protocol: udp, healthCheck: {mode: docker}}
    loadBalancer: {serversTransport: inner}
    healthCheck: {timeout: 2s}
    routers:
      broker:      {rule: Host(`broker.example.com`), endpoint: web, priority: 7}
      broker-mqtt:
        {rule: HostSNI(`*`), entryPoints: mqtt, endpoint: mqtt, middlewares: [few], tls: {passthrough: "true"}}
      broker-dns:  {entryPoints: [dns], endpoint: dns}
    preview: {rule: HostSNI(`next.example.com`), tls: {}, endpoint: mqtt}
    smokeTests: [{name: home, endpoint: web}]
    servers:
      blue:
        version: 1
        endpoints:
          web: ["https://10.0.0.1:8080"]
          admin: ["http://10.0.0.1:8080"]
          mqtt: ["10.0.0.1:1883", "[::1]:1883"]
          dns: ["10.0.0.1:53"]
http:
  middlewares: {zip: {compress: {}}}
  serversTransports: {inner: {}}
tcp:
  middlewares: {few: {inFlightConn: {amount: 5}}}
  serversTransports: {slow: {}}
"""
"""A file whose service has every key of endpoints, some of them as Traefik reads them, too."""


def one(body: str) -> str:
    """Return a file with one service that has these further keys; the service's keys stand at line 4, column 5."""
    return "environment: production\nservices:\n  shop:\n" + indent(dedent(body), "    ")


def refused(text: str) -> list[str]:
    with pytest.raises(DesiredStateError) as error:
        load(text, FILE)
    return str(error.value).splitlines()
