"""What is wrong with a policy by what IAM knows: actions, their resources, keys of conditions.

policy_sentry has what AWS's service authorisation reference says, and is kept up with it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from policy_sentry.querying.actions import get_action_data

from testkit.aws.iam_policies import listed

_VARIABLE = re.compile(r"\\\$\\\{\w+\\\}")
_LAST = re.compile(r"(?<=/)\\\$\\\{\w+\\\}$")


def faults(policy: Mapping[str, Any]) -> list[str]:
    """List them: actions that there are not, resources and keys that an action does not know."""
    return [
        fault
        for statement in policy["Statement"]
        for action in listed(statement["Action"])
        for fault in _of_action(action, statement)
    ]


def _of_action(action: str, statement: Mapping[str, Any]) -> Iterator[str]:
    service, _, name = action.partition(":")
    rows = (get_action_data(service, name) or {}).get(service)
    if not rows:
        yield f"there is no action {action}"
        return
    forms = [(row["resource_arn_format"], row["condition_keys"]) for row in rows]
    of_call = {key for form, keys in forms if form == "*" for key in keys}
    for resource in listed(statement["Resource"]):
        kinds = [keys for form, keys in forms if resource == "*" or _is(form, resource)]
        if not kinds:
            yield f"{action} knows no resource like {resource}"
        known = of_call.union(*kinds)
        yield from _unknown_keys(action, resource, statement.get("Condition", {}), known)


def _unknown_keys(
    action: str, resource: str, condition: Mapping[str, Mapping[str, Any]], known: set[str]
) -> Iterator[str]:
    for key in (key for tested in condition.values() for key in tested):
        if not any(_is(each, key) for each in known):
            yield f"{action} on {resource} knows no {key}"


def _is(form: str, text: str) -> bool:
    """Tell whether a text is of the form that the reference writes with variables in it."""
    # What is behind the last slash, as the key of an object, may have slashes itself.
    pattern = _VARIABLE.sub("[^/]+", _LAST.sub(".+", re.escape(form)))
    return re.fullmatch(pattern, text) is not None
