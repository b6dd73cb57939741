"""The CloudFormation edge: signals the outcome of a host's start to the waiting stack."""

from typing import Any

from visionfleet.aws.errors import wrapped_errors


def signal_resource(client: Any, stack: str, resource: str, instance: str, ready: bool) -> None:
    """Signal for an instance; raises TryLater, and GiveUp, also if the stack is not waiting.

    Permission: cloudformation:SignalResource on the stack.
    """
    with wrapped_errors(f"signal {resource} of {stack}"):
        client.signal_resource(
            StackName=stack,
            LogicalResourceId=resource,
            UniqueId=instance,
            Status="SUCCESS" if ready else "FAILURE",
        )
