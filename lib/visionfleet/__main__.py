"""`python -m visionfleet`: the admin command."""

import sys

from visionfleet.cli import main

sys.exit(main())
