"""Says in words what a setting may be, read off the schema itself. No I/O here."""

from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from visionfleet.config.fields import FILE_OR_S3
from visionfleet.config.yaml_source import Key

_TYPES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
}


def expectation(model: type[BaseModel], key: Key) -> str:
    """Describe the values a key takes: `an integer from 1 to 65535`."""
    schema = model.model_json_schema()
    node = schema
    for part in key:
        node = _resolve(node, schema)["properties"][part]
    return _describe(_resolve(node, schema), schema)


def keys_of(model: type[BaseModel], section: Key) -> list[str]:
    """Names of the keys in a section; those of the top level for an empty `section`."""
    for part in section:
        field = model.model_fields.get(part)
        if field is None or not _is_section(field):
            return []
        model = field.annotation  # type: ignore[assignment]
    return list(model.model_fields)


def path_keys(model: type[BaseModel], above: Key = ()) -> list[Key]:
    """Keys whose values are paths, or may be."""
    found: list[Key] = []
    for name, field in model.model_fields.items():
        if _is_section(field):
            found += path_keys(field.annotation, (*above, name))  # type: ignore[arg-type]
        elif _is_path(field):
            found.append((*above, name))
    return found


def _is_path(field: FieldInfo) -> bool:
    if field.json_schema_extra == {"format": FILE_OR_S3}:
        return True
    return field.annotation is Path or Path in get_args(field.annotation)


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _resolve(node: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        return dict(root["$defs"][node["$ref"].rsplit("/", 1)[-1]])
    return node


def _describe(node: dict[str, Any], root: dict[str, Any]) -> str:
    if "anyOf" in node:
        return " or ".join(_describe(_resolve(option, root), root) for option in node["anyOf"])
    if "enum" in node or "const" in node:
        values = node.get("enum", [node.get("const")])
        return ("one of " if len(values) > 1 else "") + ", ".join(map(str, values))
    kind = node.get("type")
    if kind == "null":
        return "nothing"
    if kind == "array":
        return _describe_list(node, root)
    if kind == "object":
        return "a section with keys of its own"
    return _TYPES.get(str(kind), "a value") + _range(node)


def _describe_list(node: dict[str, Any], root: dict[str, Any]) -> str:
    items = node.get("prefixItems") or [node.get("items", {})]
    count = f"{node['maxItems']} of " if "maxItems" in node else ""
    return f"a list of {count}{_describe(_resolve(items[0], root), root)}"


def _range(node: dict[str, Any]) -> str:
    if "minimum" in node and "maximum" in node:
        return f" from {node['minimum']} to {node['maximum']}"
    if "pattern" in node:
        return f" that matches {node['pattern']}"
    if node.get("minLength"):
        return " that is not empty"
    return ""
