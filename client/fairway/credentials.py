"""Where the command line keeps who is signed in: one file that nobody else may read."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Credentials:
    """An API, a token for it, and what gets the next token."""

    url: str
    token: str
    refresh_token: str = ""


def load() -> Credentials | None:
    """Return what was kept, or `None`."""
    try:
        return Credentials(**json.loads(_file().read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def keep(credentials: Credentials) -> Path:
    """Keep *credentials* instead of those before; return where."""
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        json.dump(asdict(credentials), out)
    return file


def forget() -> None:
    """Keep nothing any longer."""
    _file().unlink(missing_ok=True)


def _file() -> Path:
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "fairway" / "credentials.json"
