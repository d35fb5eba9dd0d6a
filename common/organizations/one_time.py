"""One-time tokens: an invitation or a reset, shown once, kept as a hash, good for setting one password."""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from common.clock import rfc3339

_TOKEN = re.compile(r"fwo_([0-9a-f-]{36})\.([A-Za-z0-9_-]{43})\Z")


@dataclass(frozen=True)
class OneTime:
    """A token and until when it is good; *kept* is what is stored of it."""

    token: str
    until: datetime

    @classmethod
    def make(cls, user_id: str, *, until: datetime) -> "OneTime":
        """Make a token for that person: 256 random bits, so a plain hash of it can't be guessed from."""
        return cls(f"fwo_{user_id}.{secrets.token_urlsafe(32)}", until)

    @property
    def kept(self) -> dict[str, Any]:
        """Return what is stored."""
        return {"hash": _hash(self.token), "until": self.until}

    def shown(self) -> dict[str, str]:
        """Return what the API shows, once."""
        return {"token": self.token, "expires_at": rfc3339(self.until)}

    @staticmethod
    def owner(token: str) -> str | None:
        """Return whose token that says to be, or `None` if it is none."""
        found = _TOKEN.match(token)
        return found[1] if found else None

    @staticmethod
    def matches(kept: Any, token: str, now: datetime) -> bool:
        """Tell whether *token* is the one that was kept, and still good."""
        if not kept or kept["until"] <= now:
            return False
        return hmac.compare_digest(kept["hash"], _hash(token))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
