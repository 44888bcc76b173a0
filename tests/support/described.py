"""The description of the admin API as a validator of real answers, which notes all that it has seen."""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp
import jsonschema
import orjson

from provider.api import openapi
from provider.api.routes import ROUTES

KINDS = ("application/json", "application/problem+json")


class Described:
    """Checks answers against the description, in which every object is closed: a field that it has not is a fault.

    `fields` are those that had a value, as `Object.field`, and `codes` the problems that came.
    """

    def __init__(self) -> None:
        self.description = openapi.describe()
        self.schemas: Mapping[str, Any] = closed(self.description["components"]["schemas"])
        self.fields: set[str] = set()
        self.codes: set[str] = set()
        checked = {"allOf": list(self.schemas.values()), "components": {"schemas": self.schemas}}
        jsonschema.Draft202012Validator.check_schema(checked)

    async def ask(
        self, client: aiohttp.ClientSession, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, Any]:
        """Ask, and check what is answered."""
        sent = None if body is None else orjson.dumps(body)
        kind = {"Content-Type": "application/json"} if body is not None else {}
        async with client.request(method, path, data=sent, headers={**kind, **headers}) as answer:
            content = orjson.loads(await answer.read())
            self.check(method, path, answer.status, answer.content_type, content)
            return answer.status, content

    def check(self, method: str, path: str, status: int, kind: str, content: object) -> None:
        """Check an answer against what the description of its request says of this status."""
        responses = self._operation(method, path)["responses"]
        assert str(status) in responses, f"{method} {path} answers {status}: {content}"
        response = responses[str(status)]
        self.hold(response["content"][kind]["schema"], content)
        if isinstance(content, dict) and "code" in content:
            assert f"`{content['code']}`" in response["description"], f"{method} {path}: {content}"

    def hold(self, schema: Mapping[str, Any], content: Any) -> None:
        """Check a value against a schema, and note what it shows."""
        self._validator(schema).validate(content)
        self._note(schema, content)
        if isinstance(content, dict) and schema == reference("Problem"):
            self.codes.add(content["code"])

    def _validator(self, schema: Mapping[str, Any]) -> jsonschema.Draft202012Validator:
        return jsonschema.Draft202012Validator({**schema, "components": {"schemas": self.schemas}})

    def unseen(self, *objects: str) -> set[str]:
        """Return the fields that no answer has had a value in, but for those of these objects."""
        every = {f"{name}.{field}" for name, each in self.schemas.items() for field in each["properties"]}
        return {field for field in every - self.fields if field.partition(".")[0] not in objects}

    def _operation(self, method: str, path: str) -> Mapping[str, Any]:
        bare = path.partition("?")[0]
        (found,) = (one for one in ROUTES if one.method == method and re.fullmatch(_pattern(one.path), bare))
        operation: Mapping[str, Any] = self.description["paths"][found.path][method.lower()]
        return operation

    def _note(self, schema: Mapping[str, Any], value: Any) -> None:
        """Note the fields of every object within a value that is as its schema says."""
        for one in schema.get("anyOf", (schema,)):
            name = one.get("$ref", "").rpartition("/")[2]
            found = self.schemas.get(name, one)
            if isinstance(value, list) and "items" in found:
                for each in value:
                    self._note(found["items"], each)
            if isinstance(value, dict) and "properties" in found:
                there = {field for field, each in value.items() if each is not None}
                self.fields |= {f"{name}.{field}" for field in there}
                for field in there:
                    self._note(found["properties"][field], value[field])


def reference(name: str) -> dict[str, str]:
    """Return the schema that is this object's."""
    return {"$ref": f"#/components/schemas/{name}"}


def closed(schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return schemas in which no object has other fields than those that are described."""
    found = copy.deepcopy(dict(schemas))
    for each in _objects(found):
        each["additionalProperties"] = False
    return found


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            yield schema
        for each in schema.values():
            yield from _objects(each)
    elif isinstance(schema, list):
        for each in schema:
            yield from _objects(each)


def _pattern(path: str) -> str:
    return re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))
