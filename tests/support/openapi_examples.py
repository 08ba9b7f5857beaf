"""Examples in an OpenAPI document: there is one for every body of JSON, and it is one of those the schema allows."""

from __future__ import annotations

import json
from typing import Any

from jsonschema_rs import Draft202012Validator


def bodies_without_good_example(document: dict[str, Any]) -> list[str]:
    """The operations whose body of JSON has no example, or one that its schema refuses."""
    bad = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None:
                continue
            schema = _without_python(content["schema"] | {"components": document["components"]})
            if "example" not in content or not Draft202012Validator(schema).is_valid(content["example"]):
                bad.append(f"{method.upper()} {path}")
    return bad


def _without_python(schema: Any) -> Any:
    r"""The schema with `$` for the `\Z` of Python's patterns, which JSON Schema's do not have."""
    return json.loads(json.dumps(schema).replace(r"\\Z", "$"))


def example_of(document: dict[str, Any], method: str, path: str) -> Any:
    """The example of an operation's body."""
    return document["paths"][path][method]["requestBody"]["content"]["application/json"]["example"]
