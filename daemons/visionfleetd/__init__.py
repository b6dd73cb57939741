"""The three daemons: each module is a composition root and the loop of one process."""
