"""Access tokens: signed with EdDSA (RFC 8037), verified against our own key set only, remembered once verified."""

import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey
from pymongo.errors import DuplicateKeyError

from common.caller import Role
from common.clock import Clock
from common.errors import Unauthenticated
from common.ids import PLATFORM, JobId, OrgId, new_id
from common.keys import SecretKeys
from common.tenancy.control import ControlPlane

ACCESS_S = 15 * 60
JOB_TOKEN_S = 60 * 60
ISSUER = "fairway"
AUDIENCE = "fairway-api"
TOKEN_MAX_CHARS = 4_096
_ALGORITHM = "Ed25519"  # RFC 9864's name of EdDSA on that curve
_TYPE = "at+jwt"  # RFC 9068
_REMEMBERED_MOST = 10_000
_CURRENT = "current"


@dataclass(frozen=True)
class Claims:
    """What a verified token says; *expires_at* in seconds since the epoch."""

    org_id: OrgId
    user_id: str
    role: Role
    only_job: JobId | None
    expires_at: int


class Tokens:
    """Makes and reads tokens; the signing key is made once, by the first process, and stored encrypted."""

    def __init__(self, control: ControlPlane, keys: SecretKeys, clock: Clock) -> None:
        self._collection = control.signing_keys
        self._keys = keys
        self._clock = clock
        self._lock = threading.Lock()
        self._key: OKPKey | None = None
        self._remembered: dict[str, Claims] = {}

    def issue(self, *, org_id: OrgId, user_id: str, role: Role) -> tuple[str, int]:
        """Return an access token of that person, and how many seconds it lasts."""
        return self._sign({"sub": user_id, "org": org_id, "role": role}, ACCESS_S), ACCESS_S

    def issue_job_token(self, org_id: OrgId, job_id: JobId) -> str:
        """Return a token that reads this one job for an hour, and nothing else."""
        return self._sign({"sub": f"job:{job_id}", "org": org_id, "role": "job", "job": job_id}, JOB_TOKEN_S)

    def verify(self, token: str) -> Claims:
        """Return what *token* says. Raises `Unauthenticated` if it is not ours, is over, or is malformed."""
        known = self._remembered.get(token)
        now_s = int(self._clock.now().timestamp())
        if known is None:
            known = self._read(token)
            if len(self._remembered) >= _REMEMBERED_MOST:
                self._remembered.clear()
            self._remembered[token] = known
        if known.expires_at <= now_s:
            self._remembered.pop(token, None)
            raise Unauthenticated("This token has expired. Sign in again.")
        return known

    def _sign(self, claims: dict[str, Any], lasts_s: int) -> str:
        now_s = int(self._clock.now().timestamp())
        key = self._signing_key()
        header = {"alg": _ALGORITHM, "typ": _TYPE, "kid": key.kid}
        issued = {"iss": ISSUER, "aud": AUDIENCE, "iat": now_s, "exp": now_s + lasts_s, "jti": new_id()}
        return jwt.encode(header, {**claims, **issued}, key, algorithms=[_ALGORITHM])

    def _read(self, token: str) -> Claims:
        if len(token) > TOKEN_MAX_CHARS:
            raise Unauthenticated("This is no token of ours.")
        key = self._signing_key()
        try:
            decoded = jwt.decode(token, KeySet([key]), algorithms=[_ALGORITHM])
            if decoded.header.get("kid") != key.kid or decoded.header.get("typ") != _TYPE:
                raise Unauthenticated("This is no access token of ours.")
            _rules(int(self._clock.now().timestamp())).validate(decoded.claims)
            return _claims(decoded.claims)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise Unauthenticated("This token does not hold. Sign in again.") from error

    def _signing_key(self) -> OKPKey:
        with self._lock:
            if self._key is None:
                self._key = self._load() or self._make()
            return self._key

    def _load(self) -> OKPKey | None:
        found = self._collection.find_one({"_id": _CURRENT})
        if found is None:
            return None
        plain = self._keys.decrypt(found["private"], **_PLACE)
        return OKPKey.import_key(plain, {"kid": found["kid"], "use": "sig", "alg": _ALGORITHM})

    def _make(self) -> OKPKey:
        kid = new_id()
        key = OKPKey.generate_key("Ed25519", {"kid": kid})
        sealed = self._keys.encrypt(key.as_pem(private=True), **_PLACE)
        document = {"_id": _CURRENT, "kid": kid, "private": sealed, "created_at": self._clock.now()}
        with suppress(DuplicateKeyError):  # another process was first: its key is the one
            self._collection.insert_one(document)
        return self._load() or key


_PLACE = {"org_id": PLATFORM, "collection": "signing_keys", "field": "private", "id": _CURRENT}


def _rules(now_s: int) -> jwt.JWTClaimsRegistry:
    return jwt.JWTClaimsRegistry(
        now=now_s,
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
        sub={"essential": True},
    )


def _claims(claims: dict[str, Any]) -> Claims:
    texts = [claims["sub"], claims["org"], claims["role"]]
    if not all(isinstance(text, str) and text for text in texts) or claims["role"] not in _ROLES:
        raise ValueError("a claim is not of its type")
    job = claims.get("job")
    if (claims["role"] == "job") != isinstance(job, str):
        raise ValueError("a job's token names its job, and no other does")
    return Claims(
        org_id=OrgId(claims["org"]),
        user_id=claims["sub"],
        role=claims["role"],
        only_job=JobId(job) if isinstance(job, str) else None,
        expires_at=int(claims["exp"]),
    )


_ROLES = ("operator", "admin", "member", "job")
