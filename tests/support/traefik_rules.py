"""Rules of routers that Traefik accepts, and some that it refuses."""

RULES = {
    "Host(`shop.test`)": "shop.test",
    "host(`shop.test`)": "shop.test",
    "HOST(`shop.test`)": "shop.test",
    'Host("shop.test")': "shop.test",
    "  Host ( `shop.test` ) ": "shop.test",
    "Path(`/x`) && ( host(`shop.test`) )": "shop.test",
    "!Host(`admin.test`) && Host(`shop.test`)": "shop.test",
    "!(Host(`admin.test`) || Host(`old.test`)) && Host(`shop.test`)": "shop.test",
    "!!Host(`shop.test`)": "shop.test",
    "(Host(`admin.test`) || Host(`shop.test`)) && !Host(`ADMIN.test`)": "shop.test",
    "Host(`shop.test`) && PathPrefix(`/Host(`)": "shop.test",
    "PathPrefix(`/a`) || Host(`shop.test`) && Method(`GET`)": "shop.test",
    'Header(`X-A`, `Host("no.test")`) && Host(`shop.test`)': "shop.test",
    'Host("shop\\u002etest")': "shop.test",
    "!Host(`admin.test`)": None,
    "HostRegexp(`^.+\\.shop\\.test$`)": None,
    "PathPrefix(`/Host`) && Header(`Host(`, `x`)": None,
    "ClientIP(`10.0.0.0/8`)": None,
}
"""Rules that Traefik accepts, and the host that a check asks for."""


REFUSED = (
    "Host(shop.test)",
    "Host('shop.test')",
    "Host(`shop.test`",
    "Host(`shop.test`) &&",
    "Host(`shop.test`) Path(`/`)",
    "Host(`shop.test`) & Path(`/`)",
    'Host("shop\\.test")',
    "Host",
    "",
)
"""Texts that Traefik refuses, too."""
