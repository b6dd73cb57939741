"""Evaluates IAM policies: what they allow, and which parts of them no call needs.

Only what our own policies use: statements that allow, wildcards, and a few conditions. Anything
else raises, so that no statement passes because it was not understood.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import product
from typing import Any


@dataclass(frozen=True)
class Call:
    """One permission that AWS checks; `context` holds the condition keys of the call."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.action} on {self.resource} {dict(self.context) or ''}".strip()


def allowed(policy: Mapping[str, Any], call: Call) -> bool:
    """Tell whether any statement allows a call."""
    return any(_allows(statement, call) for statement in policy["Statement"])


def unused(policy: Mapping[str, Any], calls: Iterable[Call]) -> list[str]:
    """List the pairs of action and resource that none of the calls needs."""
    calls = list(calls)
    return [
        f"{statement['Sid']}: {action} on {resource}"
        for statement in policy["Statement"]
        for action, resource in product(listed(statement["Action"]), listed(statement["Resource"]))
        if not any(_allows({**statement, "Action": action, "Resource": resource}, c) for c in calls)
    ]


def listed(value: Any) -> list[str]:
    """A policy may write one text where it means a list of one."""
    return [value] if isinstance(value, str) else list(value)


def _allows(statement: Mapping[str, Any], call: Call) -> bool:
    known = {"Sid", "Effect", "Action", "Resource", "Condition"}
    if statement["Effect"] != "Allow" or not statement.keys() <= known:
        raise ValueError(f"a statement that is not understood: {statement}")
    return (
        _matches(statement["Action"], call.action)
        and _matches(statement["Resource"], call.resource)
        and all(
            _holds(operator, key, listed(expected), call.context.get(key))
            for operator, keys in statement.get("Condition", {}).items()
            for key, expected in keys.items()
        )
    )


def _matches(patterns: Any, value: str) -> bool:
    # Square brackets are letters to IAM.
    return any(fnmatchcase(value, each.replace("[", "[[]")) for each in listed(patterns))


def _holds(operator: str, key: str, expected: list[str], value: str | None) -> bool:
    """A key that AWS does not know of a call never fulfils a condition."""
    if operator not in {"StringEquals", "StringLike", "ArnEquals", "Bool"}:
        raise ValueError(f"a condition that is not understood: {operator} of {key}")
    if value is None:
        return False
    return _matches(expected, value) if operator == "StringLike" else value in expected
