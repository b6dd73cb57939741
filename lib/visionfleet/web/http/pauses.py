"""How long to wait for clients that send little at a time. No I/O here."""

# A look at what has come costs as much for one byte as for some KB, and much more for thousands of
# segments. So after the first few, each waits twice as long as the one before: about as long as the
# client has taken so far.
FREE_LOOKS = 4
FIRST_SECONDS = 0.001
# What is much to come at a time.
MUCH_BYTES = 1024
_DOUBLINGS = 20


def pause_seconds(looks: int) -> float:
    """How long to wait after so many looks that found little."""
    if looks <= FREE_LOOKS:
        return 0.0
    return FIRST_SECONDS * 2.0 ** min(looks - FREE_LOOKS - 1, _DOUBLINGS)
