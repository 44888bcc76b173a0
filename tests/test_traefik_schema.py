"""The objects of a service against the tables of Traefik's keys, from which the rest of the file's types are made."""

from typing import Any

import pytest

from provider import config
from provider.model.traefik_schema import LOAD_BALANCER, ROUTER, STICKY, Many, Struct

SCHEMA: dict[str, Any] = config.schema()


def differences(schema: dict[str, Any], struct: Struct, path: str) -> list[str]:
    """Return where an object of the JSON Schema has other keys than a struct, or may be empty where that may not."""
    own = resolved(schema)
    found = [f"{path}: {key}" for key in own["properties"].keys() ^ struct.fields.keys()]
    for key, field in struct.fields.items():
        here = own["properties"].get(key, {})
        inner = field.kind.item if isinstance(field.kind, Many) else field.kind
        of_key = resolved(here.get("items", here))
        if isinstance(inner, Struct) and "properties" in of_key:
            found += differences(of_key, inner, f"{path}.{key}")
    return found


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return SCHEMA["$defs"][name] if name else schema


@pytest.mark.parametrize(
    ("name", "struct"), [("RouterObject", ROUTER), ("LoadBalancer", LOAD_BALANCER), ("Sticky", STICKY)]
)
def test_the_objects_of_a_service_have_the_keys_of_traefik(name: str, struct: Struct) -> None:
    assert differences({"$ref": f"#/$defs/{name}"}, struct, name) == []


def test_an_editor_learns_every_key_of_what_is_passed_through() -> None:
    headers = SCHEMA["$defs"]["TraefikHeaders"]
    assert headers["additionalProperties"] is False
    assert headers["properties"]["frameDeny"] == {"type": "boolean", "description": "True or false."}
    retry = SCHEMA["$defs"]["TraefikMiddleware"]["properties"]["retry"]
    assert retry["minProperties"] == 1
    assert "from Traefik 3.7 on" in SCHEMA["$defs"]["TraefikRetry"]["properties"]["status"]["description"]
