"""Access tokens: signed with EdDSA (RFC 8037), verified against our own key set only, remembered once verified."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from common.caller import Role
from common.clock import Clock
from common.errors import Unauthenticated
from common.ids import JobId, OrgId, new_id
from common.organizations.signing_keys import ALGORITHM, SigningKeys

ACCESS_S = 15 * 60
JOB_TOKEN_S = 60 * 60
ISSUER = "fairway"
AUDIENCE = "fairway-api"
TOKEN_MAX_CHARS = 4_096
_TYPE = "at+jwt"  # RFC 9068
_REMEMBERED_MOST = 10_000


@dataclass(frozen=True)
class Claims:
    """What a verified token says; *expires_at* in seconds since the epoch. A job's token has no session."""

    org_id: OrgId
    user_id: str
    role: Role
    only_job: JobId | None
    session_id: str
    expires_at: int


class Tokens:
    """Makes and reads tokens."""

    def __init__(self, keys: SigningKeys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._remembered: OrderedDict[str, tuple[str, Claims]] = OrderedDict()
        self._lock = threading.Lock()

    def issue(self, *, org_id: OrgId, user_id: str, role: Role, session_id: str) -> tuple[str, int]:
        """Return an access token of that person in that session, and how many seconds it lasts."""
        said = {"sub": user_id, "org": org_id, "role": role, "sid": session_id}
        return self._sign(said, ACCESS_S), ACCESS_S

    def issue_job_token(self, org_id: OrgId, job_id: JobId) -> str:
        """Return a token that reads this one job for an hour, and nothing else."""
        return self._sign({"sub": f"job:{job_id}", "org": org_id, "role": "job", "job": job_id}, JOB_TOKEN_S)

    def verify(self, token: str) -> Claims:
        """Return what *token* says. Raises `Unauthenticated` if it is not ours, is over, or is malformed.

        Whether the person may still come in is `Standing`'s to say.
        """
        now_s = int(self._clock.now().timestamp())
        known = self._remembered.get(token)
        if known is None or self._keys.find(known[0]) is None:
            known = self._read(token)
            with self._lock:
                self._remembered[token] = known
                while len(self._remembered) > _REMEMBERED_MOST:
                    self._remembered.popitem(last=False)
        if known[1].expires_at <= now_s:
            with self._lock:
                self._remembered.pop(token, None)
            raise Unauthenticated("This token has expired. Sign in again.")
        return known[1]

    def _sign(self, claims: dict[str, Any], lasts_s: int) -> str:
        now_s = int(self._clock.now().timestamp())
        key = self._keys.signing()
        header = {"alg": ALGORITHM, "typ": _TYPE, "kid": key.kid}
        issued = {"iss": ISSUER, "aud": AUDIENCE, "iat": now_s, "exp": now_s + lasts_s, "jti": new_id()}
        return jwt.encode(header, {**claims, **issued}, key.pair, algorithms=[ALGORITHM])

    def _read(self, token: str) -> tuple[str, Claims]:
        if len(token) > TOKEN_MAX_CHARS:
            raise Unauthenticated("This is no token of ours.")
        known = {one.kid: one.pair for one in self._keys.all()}
        try:
            decoded = jwt.decode(token, KeySet(list(known.values())), algorithms=[ALGORITHM])
            if decoded.header.get("kid") not in known or decoded.header.get("typ") != _TYPE:
                raise Unauthenticated("This is no access token of ours.")
            _rules(int(self._clock.now().timestamp())).validate(decoded.claims)
            return decoded.header["kid"], _claims(decoded.claims)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise Unauthenticated("This token does not hold. Sign in again.") from error


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
    job, session_id = claims.get("job"), claims.get("sid")
    if (claims["role"] == "job") != isinstance(job, str):
        raise ValueError("a job's token names its job, and no other does")
    if (claims["role"] == "job") == isinstance(session_id, str):
        raise ValueError("a person's token names its session, and a job's does not")
    return Claims(
        org_id=OrgId(claims["org"]),
        user_id=claims["sub"],
        role=claims["role"],
        only_job=JobId(job) if isinstance(job, str) else None,
        session_id=session_id if isinstance(session_id, str) else "",
        expires_at=int(claims["exp"]),
    )


_ROLES = ("operator", "admin", "member", "job")
