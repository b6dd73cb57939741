"""The HTTP side of the web daemon: the only place that knows Tornado."""
