"""The keys that access tokens are signed with (Ed25519, RFC 8037), and their rotation.

made ──AHEAD_S──▶ signs ──the next one signs──▶ verifies what it signed ──KEPT_S──▶ gone

A key is published before it signs, so that whoever keeps a copy of the set knows it when its first token comes; it
stays until its last token is over. A key that leaked is withdrawn: what it signed is refused on every process
within seconds, and whoever is signed in gets a new token with the refresh token.
"""

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from joserfc.jwk import OKPKey
from pymongo.errors import DuplicateKeyError

from common.clock import Clock
from common.errors import NotFound
from common.ids import PLATFORM, new_id
from common.keys import SecretKeys
from common.tenancy.changes import Changes
from common.tenancy.control import ControlPlane

ALGORITHM = "Ed25519"  # RFC 9864's name of EdDSA on that curve
AHEAD_S = 600
KEPT_S = 3_600 + 300
"""An hour is how long a job's token lasts."""
LOOK_S, LOOK_ALONE_S = 60.0, 2.0
_NOTED = "signing_keys"


@dataclass(frozen=True)
class SigningKey:
    """One key of the set; the private part never leaves this process."""

    kid: str
    number: int
    signs_from: datetime
    pair: OKPKey

    def public(self) -> dict[str, Any]:
        """Return the public part as a JSON Web Key (RFC 7517)."""
        shown = self.pair.as_dict(private=False)
        return {"kty": "OKP", "crv": "Ed25519", "x": shown["x"], "kid": self.kid, "use": "sig", "alg": ALGORITHM}


class SigningKeys:
    """The set as MongoDB has it, looked at again every minute and when somebody changes it."""

    def __init__(
        self, control: ControlPlane, keys: SecretKeys, clock: Clock, changes: Changes, *, lasts: timedelta
    ) -> None:
        self._stored = control.signing_keys
        self._keys = keys
        self._clock = clock
        self._changes = changes
        self._lasts = lasts
        self._lock = threading.Lock()
        self._known: Sequence[SigningKey] = ()
        self._looked_at = float("-inf")
        changes.when_changed(self._forget)

    def signing(self) -> SigningKey:
        """Return the key that signs now; the first process makes the first one."""
        known, now = self.all(), self._clock.now()
        begun = [one for one in known if one.signs_from <= now]
        return begun[-1] if begun else known[0]  # made this moment, by a clock before ours

    def find(self, kid: Any) -> SigningKey | None:
        """Return the key of that id, or `None`."""
        return next((one for one in self.all() if one.kid == kid), None)

    def all(self) -> Sequence[SigningKey]:
        """Return the set, the oldest first. Raises `PyMongoError` if it was never read."""
        every_s = LOOK_S if self._changes.is_fresh else LOOK_ALONE_S
        if self._clock.monotonic() - self._looked_at >= every_s:
            with self._lock:
                if self._clock.monotonic() - self._looked_at >= every_s:
                    self._look()
        return self._known

    def rotate(self, *, at_once: bool = False) -> SigningKey:
        """Make the next key, unless it is there already; it signs in ten minutes, or *at_once* if need be."""
        known = self._read()
        if known and known[-1].signs_from > self._clock.now() and not at_once:
            return known[-1]
        number = known[-1].number + 1 if known else 1
        ahead_s = 0 if at_once or not known else AHEAD_S
        self._make(number, self._clock.now() + timedelta(seconds=ahead_s))
        self._note()
        return self.all()[-1]

    def withdraw(self, kid: str) -> None:
        """Refuse what that key signed from now on; another signs at once. Raises `NotFound`."""
        if self.find(kid) is None:
            raise NotFound("There is no such signing key.")
        self.rotate(at_once=True)
        self._stored.delete_one({"kid": {"$eq": kid}})
        self._note()

    def _look(self) -> None:
        known = self._read()
        now = self._clock.now()
        if not any(one.signs_from <= now for one in known):
            self._make(known[-1].number + 1 if known else 1, now)
            known = self._read()
        elif known[-1].signs_from + self._lasts <= now:
            self._make(known[-1].number + 1, now + timedelta(seconds=AHEAD_S))
            known = self._read()
        self._known = known
        self._looked_at = self._clock.monotonic()

    def _read(self) -> list[SigningKey]:
        """Read the set, and let go of the keys whose last token is over."""
        found = sorted((self._opened(one) for one in self._stored.find()), key=lambda one: one.number)
        over = self._clock.now() - timedelta(seconds=KEPT_S)
        gone = [one for one, after in pairwise(found) if after.signs_from < over]
        if gone:
            self._stored.delete_many({"kid": {"$in": [one.kid for one in gone]}})
        return found[len(gone) :]

    def _opened(self, document: Any) -> SigningKey:
        place = {"org_id": PLATFORM, "collection": "signing_keys", "field": "private", "id": document["_id"]}
        plain = self._keys.decrypt(document["private"], **place)
        kid = document["kid"]
        return SigningKey(
            kid=kid,
            number=document.get("number", 0),  # the only key of a version before had none
            signs_from=document.get("signs_from", document["created_at"]),
            pair=OKPKey.import_key(plain, {"kid": kid, "use": "sig", "alg": ALGORITHM}),
        )

    def _make(self, number: int, signs_from: datetime) -> None:
        kid, identity = new_id(), f"key-{number:06d}"
        pair = OKPKey.generate_key("Ed25519", {"kid": kid})
        place = {"org_id": PLATFORM, "collection": "signing_keys", "field": "private", "id": identity}
        with suppress(DuplicateKeyError):  # another process was first: its key is the one
            self._stored.insert_one(
                {
                    "_id": identity,
                    "kid": kid,
                    "number": number,
                    "private": self._keys.encrypt(pair.as_pem(private=True), **place),
                    "signs_from": signs_from,
                    "created_at": self._clock.now(),
                }
            )

    def _note(self) -> None:
        number = int(self._clock.now().timestamp() * 1000)
        self._changes.transact(lambda change: change.note(_NOTED, number))
        self._forget(_NOTED)

    def _forget(self, key: str) -> None:
        if key == _NOTED:
            self._looked_at = float("-inf")
