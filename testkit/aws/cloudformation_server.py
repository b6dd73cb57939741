"""The embedded AWS with CloudFormation, which takes over a second to import.

`python -m testkit.aws.cloudformation_server --port PORT`.
"""

import sys

from moto.cloudformation.models import CloudFormationBackend

from testkit.aws import embedded_server


def give_outputs_after_change_sets() -> None:
    """Have what `aws cloudformation deploy` makes tell its outputs, which moto forgets."""
    execute = CloudFormationBackend.execute_change_set

    def executed(
        backend: CloudFormationBackend, change_set_name: str, stack_name: str | None = None
    ) -> None:
        execute(backend, change_set_name, stack_name)
        for stack in backend.stacks.values():
            stack._parse_template()
            stack.output_map = stack._create_output_map()

    CloudFormationBackend.execute_change_set = executed  # type: ignore[method-assign, assignment]


if __name__ == "__main__":
    give_outputs_after_change_sets()
    sys.exit(embedded_server.main())
