"""Tools shared by the tests: ports, waiting, real processes."""
