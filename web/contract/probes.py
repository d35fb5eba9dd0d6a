"""What balancers look at all the time: it counts against no limit, waits for no turn, and fills no log."""

_PATHS = frozenset({"/healthz", "/readyz"})


def is_probe(path: str) -> bool:
    """Tell whether *path* is one of these."""
    return path in _PATHS
