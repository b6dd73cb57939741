"""`visionfleet install`: makes a host of this machine; what `make install` ends with."""

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from visionfleet import __version__
from visionfleet.cli.parser import Parser, given_path
from visionfleet.errors import GiveUp
from visionfleet.host.installation import Installation, fault_of_place
from visionfleet.host.systemctl import POLKIT
from visionfleet.shipped import shipped

# As in README.
NEXT = """
sudoedit /etc/visionfleet/visionfleet.yaml   # region, bucket names
sudo visionfleet provision                   # creates buckets and queues; safe to repeat
sudo systemctl enable visionfleet.target visionfleet-web{scaler}
sudo systemctl start visionfleet.target      # returns when everything is ready
curl -F myfile=@/usr/share/visionfleet/photos/967_espresso.jpg http://127.0.0.1:8080/
""".strip()
SCALER = " visionfleet-scaler"
REMOVED = """
visionfleet is uninstalled. The user visionfleet stays, and so do buckets, queues, and:
{left}
""".strip()
NO_POLKIT = "\nthe scaler may start classifiers by polkit alone: sudo apt-get install polkitd"


def add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--root",
        type=given_path,
        default=Path("/"),
        metavar="FOLDER",
        help="root directory of an image being built; default: this machine",
    )
    parser.add_argument(
        "--prefix",
        type=given_path,
        default=Path(sys.prefix),
        metavar="FOLDER",
        help="path of these packages on that machine; default: where they are now",
    )
    parser.flag("--remove", "uninstall everything except configuration, keys and state")


def run(arguments: argparse.Namespace) -> int:
    os.umask(0o022)
    fault = fault_of_place(arguments.prefix, Path(sys.base_prefix))
    if fault and not arguments.remove:
        raise GiveUp(fault)
    installation = Installation(arguments.root, arguments.prefix, shipped)
    try:
        installation.remove() if arguments.remove else installation.install()
    except OSError as error:
        hint = "; run it as root" if isinstance(error, PermissionError) else ""
        raise GiveUp(f"{error.filename}: {error.strerror}{hint}") from error
    if installation.is_this_machine and not arguments.remove:
        if not POLKIT.exists():
            print(NO_POLKIT)
        print(f"\nvisionfleet {__version__} is installed. Next:\n\n{next_commands()}")
    if arguments.remove:
        print(REMOVED.format(left="\n".join(map(str, installation.left()))))
    return 0


def next_commands() -> str:
    """On hosts with the classifier extra, the scaler starts the classifiers."""
    return NEXT.format(scaler=SCALER if find_spec("openvino") else "")
