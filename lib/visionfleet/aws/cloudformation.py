"""The CloudFormation edge: tells a stack that waits for its hosts how the start of one went."""

from typing import Any

from visionfleet.aws.errors import wrapped_errors


def signal_resource(client: Any, stack: str, resource: str, instance: str, ready: bool) -> None:
    """Count an instance; raises TryLater, and GiveUp, of a stack that does not wait as well.

    Permission: cloudformation:SignalResource on the stack.
    """
    with wrapped_errors(f"signal {resource} of {stack}"):
        client.signal_resource(
            StackName=stack,
            LogicalResourceId=resource,
            UniqueId=instance,
            Status="SUCCESS" if ready else "FAILURE",
        )
