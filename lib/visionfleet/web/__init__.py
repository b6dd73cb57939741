"""The HTTP side of the web daemon. Only `http` and `routes` use Tornado."""
