"""The classifier daemon."""

from visionfleet.errors import BadConfig
from visionfleet.host.extras import how_to_install
from visionfleetd import startup


def start() -> None:
    """Run the daemon; without its libraries exit with status 78, as a restart brings none."""
    try:
        from visionfleetd.classifier.main import main
    except ModuleNotFoundError as error:
        if (reason := how_to_install(error)) is None:
            raise
        startup.end_faulty(BadConfig((reason,)), "classifier")
    main()
