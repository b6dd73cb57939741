"""Describes the values that a setting accepts, by the JSON schema. No I/O here."""

from collections.abc import Mapping
from typing import Any

from visionfleet.config.yaml_source import Key

_TYPES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "object": "a section with keys of its own",
    "null": "null",
}

Node = Mapping[str, Any]


def expectation(schema: Node, key: Key) -> str:
    """The values a key accepts: `an integer from 1 to 65535`."""
    return _describe(node_of(schema, key), schema)


def node_of(schema: Node, key: Key) -> Node:
    node = schema
    for part in key:
        node = _resolved(node["properties"][part], schema)
    return node


def _resolved(node: Node, schema: Node) -> Node:
    return schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node


def _describe(node: Node, schema: Node) -> str:
    node = _resolved(node, schema)
    if "expected" in node:
        return str(node["expected"])
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(_describe(each, schema) for each in node["anyOf"]))
    if "enum" in node:
        return f"one of {', '.join(node['enum'])}"
    if "const" in node:
        return str(node["const"])
    if node.get("type") == "array":
        count = f"{node['maxItems']} of " if "maxItems" in node else ""
        items = node.get("prefixItems") or [node.get("items", {})]
        return f"a list of {count}{_describe(items[0], schema)}"
    return _TYPES.get(str(node.get("type")), "a value") + _range(node)


def _range(node: Node) -> str:
    if "exclusiveMinimum" in node:
        return f" of more than {node['exclusiveMinimum']}, to {node['maximum']}"
    if "minimum" in node:
        return f" from {node['minimum']} to {node['maximum']}"
    if "pattern" in node:
        return f" that matches {node['pattern']}"
    return " that is not empty" if node.get("minLength") else ""
