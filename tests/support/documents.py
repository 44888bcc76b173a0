"""Documents for a Traefik, with a marker as ours have it."""

from collections.abc import Mapping
from hashlib import blake2b

import orjson

from tests.support.traefik import Backend, DocumentServer

HOST = "shop.test"


RULE = f"Host(`{HOST}`)"


Json = dict[str, object]


def load_balancer(*urls: str, **options: object) -> Json:
    return {"loadBalancer": {"servers": [{"url": url} for url in urls], **options}}


def weighted(weights: Mapping[str, int], **options: object) -> Json:
    children = [{"name": name, "weight": weight} for name, weight in weights.items()]
    return {"weighted": {"services": children, **options}}


def document(services: Mapping[str, object], *, routers: Mapping[str, object] | None = None) -> Json:
    """Build a document with a router `shop` to the service `shop`; `routers` stand beside it."""
    return {"http": {"routers": {"shop": {"rule": RULE, "service": "shop"}, **(routers or {})}, "services": services}}


def marked(content: Json) -> tuple[Json, str]:
    """Add the marker, an unused middleware named by the hash of the rest, as our documents have it."""
    digest = blake2b(orjson.dumps(content), digest_size=6).hexdigest()
    marker = {f"bluegreen-{digest}": {"headers": {"customResponseHeaders": {"X-Bluegreen-Document": digest}}}}
    http = content.get("http")
    assert isinstance(http, dict)
    return {
        **content,
        "http": {**http, "middlewares": {**http.get("middlewares", {}), **marker}},
    }, f"bluegreen-{digest}"


def shop(*backends: Backend, **more: object) -> Json:
    """Build a document in which these colours share the traffic evenly; `more` stand in the router."""
    colours = {f"shop-{backend.name}": load_balancer(backend.url) for backend in backends}
    router = {"rule": RULE, "service": "shop", **more}
    return document({"shop": weighted(dict.fromkeys(colours, 1)), **colours}, routers={"shop": router})


def published(documents: DocumentServer, content: Json) -> str:
    """Publish a document with its marker, and return the marker."""
    body, marker = marked(content)
    documents.publish(body)
    return marker
