"""Access tokens: what ours say, and the forgeries that say nothing."""

import base64
import hmac
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from common.errors import Misconfigured, Unauthenticated
from common.ids import JobId, OrgId, new_id
from common.keys import KEY_BYTES, SecretKeys
from common.organizations.signing_keys import SigningKeys
from common.organizations.tokens import ACCESS_S, AUDIENCE, ISSUER, JOB_TOKEN_S, TOKEN_MAX_CHARS, Tokens
from common.tenancy.changes import Changes
from common.tenancy.control import ControlPlane

KEYS = SecretKeys([bytes(KEY_BYTES)])
ORG, USER = OrgId(new_id()), new_id()


class MovableClock:
    """The time that a test says it is."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC).replace(microsecond=0)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


@pytest.fixture
def clock() -> MovableClock:
    """Return a clock that stands still."""
    return MovableClock()


@pytest.fixture
def tokens(control: ControlPlane, clock: MovableClock) -> Tokens:
    """Return a maker of tokens with a key of its own."""
    return made_of(control, clock)


def made_of(control: ControlPlane, clock: MovableClock, keys: SecretKeys = KEYS) -> Tokens:
    """Return the maker of tokens of one process."""
    return Tokens(SigningKeys(control, keys, clock, Changes(control), lasts=timedelta(days=30)), clock)


def issue(tokens: Tokens) -> str:
    """Return an access token of an admin."""
    return tokens.issue(org_id=ORG, user_id=USER, role="admin", session_id="s")[0]


def segment(value: Any) -> str:
    """Write a part of a token."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def sign(tokens: Tokens, *, header: dict[str, Any] | None = None, claims: dict[str, Any] | None = None) -> str:
    """Sign what we never would, with our own key; `None` takes a part away."""
    key = tokens._keys.signing().pair
    now_s = int(tokens._clock.now().timestamp())
    good = {
        "sub": USER,
        "org": ORG,
        "role": "admin",
        "sid": "s",
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": now_s + 60,
    }
    whole = {name: value for name, value in {**good, **(claims or {})}.items() if value is not None}
    head = {"alg": "Ed25519", "typ": "at+jwt", "kid": key.kid, **(header or {})}
    signed_part = f"{segment({k: v for k, v in head.items() if v is not None})}.{segment(whole)}"
    return f"{signed_part}.{segment(key.private_key.sign(signed_part.encode()))}"


def test_a_token_says_who_and_for_which_organization(tokens: Tokens, clock: MovableClock) -> None:
    token, lasts_s = tokens.issue(org_id=ORG, user_id=USER, role="member", session_id="s")

    said = tokens.verify(token)

    assert (said.org_id, said.user_id, said.role, said.only_job) == (ORG, USER, "member", None)
    assert said.expires_at == int(clock.at.timestamp()) + lasts_s
    assert lasts_s == ACCESS_S


def test_a_jobs_token_names_that_job_and_lasts_an_hour(tokens: Tokens, clock: MovableClock) -> None:
    job_id = JobId(new_id())

    said = tokens.verify(tokens.issue_job_token(ORG, job_id))

    assert (said.role, said.only_job, said.org_id) == ("job", job_id, ORG)
    assert said.expires_at == int(clock.at.timestamp()) + JOB_TOKEN_S


@pytest.mark.parametrize("is_remembered", [True, False])
def test_a_token_is_over_to_the_second(tokens: Tokens, clock: MovableClock, is_remembered: bool) -> None:  # noqa: FBT001
    token = issue(tokens)
    if is_remembered:
        tokens.verify(token)

    clock.at += timedelta(seconds=ACCESS_S - 1)
    assert is_remembered == (token in tokens._remembered)
    tokens.verify(token)
    clock.at += timedelta(seconds=1)

    for _ in range(2):
        with pytest.raises(Unauthenticated):
            tokens.verify(token)


def test_every_process_knows_the_one_key_and_the_stored_one_is_encrypted(
    control: ControlPlane, clock: MovableClock
) -> None:
    made: list[Tokens] = []
    together = threading.Barrier(6)

    def start() -> None:
        tokens = made_of(control, clock)
        together.wait()
        issue(tokens)
        made.append(tokens)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    token = issue(made[0])
    assert [one.verify(token).org_id for one in made] == [ORG] * 6
    stored = list(control.signing_keys.find())
    assert len(stored) == 1
    assert b"PRIVATE" not in stored[0]["private"]


def test_a_lost_encryption_key_is_said_and_makes_no_new_signing_key(
    control: ControlPlane, clock: MovableClock
) -> None:
    token = issue(made_of(control, clock))
    other = made_of(control, clock, SecretKeys([b"x" * KEY_BYTES]))

    with pytest.raises(Misconfigured, match="signing_keys"):
        other.verify(token)
    assert control.signing_keys.count_documents({}) == 1


def test_the_forger_of_these_tests_makes_tokens_that_hold(tokens: Tokens) -> None:
    assert tokens.verify(sign(tokens)).org_id == ORG


@pytest.mark.parametrize(
    "claims",
    [
        *({"iss": "other"}, {"iss": None}, {"iss": [ISSUER]}, {"aud": "other"}, {"aud": None}, {"aud": []}),
        *({"exp": None}, {"exp": 0}, {"exp": -1}, {"exp": "9999999999"}, {"exp": True}, {"exp": [9999999999]}),
        *({"nbf": 9_999_999_999}, {"sub": None}, {"sub": ""}, {"sub": 1}, {"sub": {"$ne": None}}),
        *({"org": None}, {"org": ""}, {"org": ["a"]}, {"org": {"$ne": None}}, {"role": None}, {"role": "root"}),
        *({"role": ["admin"]}, {"role": "job"}, {"role": "job", "job": 1}, {"job": new_id()}, {"role": {}}),
    ],
)
def test_claims_that_are_not_ours_do_not_hold(tokens: Tokens, claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthenticated):
        tokens.verify(sign(tokens, claims=claims))


@pytest.mark.parametrize(
    "header",
    [
        *(
            {"kid": None},
            {"kid": ""},
            {"kid": "../../dev/null"},
            {"kid": {"$ne": None}},
            {"kid": ["a"]},
            {"kid": 1},
        ),
        *({"kid": "x\x00"}, {"kid": "' OR 1=1"}, {"typ": None}, {"typ": "JWT"}, {"typ": 1}, {"alg": None}),
        *(
            {"alg": "EdDSA"},
            {"alg": "none"},
            {"alg": ["Ed25519"]},
            {"alg": {"a": 1}},
            {"crit": ["x"]},
            {"crit": 1},
        ),
        *({"jku": "http://evil"}, {"b64": False, "crit": ["b64"]}, {"zip": "DEF", "crit": ["zip"]}),
    ],
)
def test_a_header_that_is_not_ours_does_not_hold(tokens: Tokens, header: dict[str, Any]) -> None:
    token = sign(tokens, header=header)
    if set(header) == {"jku"}:  # well formed and signed by us: what it points to is never looked at
        assert tokens.verify(token).org_id == ORG
        return

    with pytest.raises(Unauthenticated):
        tokens.verify(token)


def test_a_key_in_the_token_is_not_believed(tokens: Tokens) -> None:
    forged = OKPKey.generate_key("Ed25519", {"kid": tokens._keys.signing().pair.kid})
    claims = _claims_of(issue(tokens))
    header = {"alg": "Ed25519", "typ": "at+jwt", "kid": forged.kid, "jwk": forged.as_dict(private=False)}

    with pytest.raises(Unauthenticated):
        tokens.verify(jws.serialize_compact(header, json.dumps(claims), forged, algorithms=["Ed25519"]))


def test_the_public_key_is_no_password(tokens: Tokens) -> None:
    key = tokens._keys.signing().pair
    head = segment({"alg": "HS256", "typ": "at+jwt", "kid": key.kid})
    signed_part = f"{head}.{issue(tokens).split('.')[1]}"

    for password in (key.as_pem(private=False), key.as_bytes(private=False), b""):
        code = hmac.digest(password, signed_part.encode(), "sha256")
        with pytest.raises(Unauthenticated):
            tokens.verify(f"{signed_part}.{segment(code)}")


FORGERIES: list[Callable[[str, str, str], str]] = [
    lambda h, p, _s: f"{h}.{p}.",
    lambda h, p, _s: f"{h}.{p}",
    lambda _h, p, s: f"{segment({'alg': 'none'})}.{p}.{s}",
    lambda _h, p, _s: f"{segment({'alg': 'nOnE', 'typ': 'at+jwt'})}.{p}.",
    lambda h, _p, s: f"{h}.{segment({'org': 'other', 'sub': 'x', 'role': 'operator'})}.{s}",
    lambda h, p, s: f"{h}.{p}.{s[:-4]}AAAA",
    lambda h, p, s: f"{h}.{p}.{s}.{s}.{s}",
    lambda h, p, s: f"{h}.{p}.{s}=",
    lambda h, p, s: f" {h}.{p}.{s}",
    lambda h, p, s: f"{h}.{p}.{s}\n",
    lambda h, p, s: f"{h}.{p}.{s}\x00",
    lambda _h, p, s: f"{segment([])}.{p}.{s}",
    lambda _h, p, s: f"{segment(None)}.{p}.{s}",
    lambda _h, p, s: f"{segment('x')}.{p}.{s}",
    lambda _h, p, s: f"{segment(b'[' * 2000)}.{p}.{s}",
    lambda _h, p, s: f"{segment(bytes(range(256)))}.{p}.{s}",
    lambda h, _p, s: f"{h}.{segment([])}.{s}",
    lambda _h, _p, _s: "",
    lambda _h, _p, _s: ".",
    lambda _h, _p, _s: "..",
    lambda _h, _p, _s: "....",
    lambda _h, _p, _s: "\ud800.\ud800.\ud800",
    lambda _h, _p, _s: "\u00e9" * 50,
    lambda _h, _p, _s: "a" * (TOKEN_MAX_CHARS + 1),
    lambda h, p, s: f"{h}.{p}.{s}" + "A" * TOKEN_MAX_CHARS,
]


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_token_that_was_tampered_with_does_not_hold(
    tokens: Tokens, forge: Callable[[str, str, str], str]
) -> None:
    head, payload, signature = issue(tokens).split(".")

    with pytest.raises(Unauthenticated) as caught:
        tokens.verify(forge(head, payload, signature))
    assert payload not in caught.value.detail


ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the group in which Ed25519 signs (RFC 8032, 5.1)."""
FIELD = 2**255 - 19
SMALL_ORDER_POINTS = (
    bytes(32),
    (1).to_bytes(32, "little"),
    (FIELD - 1).to_bytes(32, "little"),
    FIELD.to_bytes(32, "little"),
    (FIELD + 1).to_bytes(32, "little"),
    b"\xff" * 32,
)


def signatures(good: bytes) -> Iterator[bytes]:
    """Go through signatures that are near a good one, or weak in a known way; none of them is one."""
    first, second = good[:32], good[32:]
    for bit in range(512):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << (bit % 8)
        yield bytes(flipped)
    scalar = int.from_bytes(second, "little")
    for times in range(1, 16):  # the same scalar, not reduced
        if scalar + times * ORDER < 2**256:
            yield first + (scalar + times * ORDER).to_bytes(32, "little")
    yield first + ((ORDER - scalar) % ORDER).to_bytes(32, "little")
    yield second + first
    for point in SMALL_ORDER_POINTS:
        for half in (bytes(32), second, ORDER.to_bytes(32, "little"), b"\xff" * 32):
            yield point + half
    for length in (0, 1, 31, 32, 33, 63):
        yield good[:length]
    for more in (b"\0", b"\xff", good):
        yield good + more
        yield more + good
    yield good[::-1]
    yield bytes(64)


def test_no_signature_but_the_one_holds(tokens: Tokens) -> None:
    head, payload, signature = issue(tokens).split(".")
    good = base64.urlsafe_b64decode(signature + "==")
    tried = 0

    for forged in signatures(good):
        with pytest.raises(Unauthenticated):
            tokens.verify(f"{head}.{payload}.{segment(forged)}")
        tried += 1

    assert tokens.verify(f"{head}.{payload}.{signature}").org_id == ORG
    print(f"{tried} signatures refused")
    assert tried > 550


def test_a_claim_that_stands_twice_is_never_ours(tokens: Tokens) -> None:
    """Only we sign, and we never write a claim twice; whoever adds one breaks the signature."""
    head, payload, signature = issue(tokens).split(".")
    said = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()

    for claim in (f'"org": "{new_id()}"', f'"sub": "{new_id()}"', '"role": "operator"', '"sid": "other"'):
        for twice in (said[:-1] + f", {claim}}}", "{" + f"{claim}, " + said[1:]):
            with pytest.raises(Unauthenticated):
                tokens.verify(f"{head}.{segment(twice.encode())}.{signature}")


def test_signed_payloads_that_are_no_claims_do_not_hold(tokens: Tokens) -> None:
    key = tokens._keys.signing().pair
    head = segment({"alg": "Ed25519", "typ": "at+jwt", "kid": key.kid})
    for payload in (b"[]", b"1", b"null", b'"x"', b"", b"\xff", b"{", b"[" * 2000, b'{"exp":1e999}', b"\x80{}"):
        signed_part = f"{head}.{segment(payload)}"
        with pytest.raises(Unauthenticated):
            tokens.verify(f"{signed_part}.{segment(key.private_key.sign(signed_part.encode()))}")


def test_what_is_remembered_is_bounded(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.organizations.tokens._REMEMBERED_MOST", 3)

    for _ in range(10):
        tokens.verify(issue(tokens))

    assert len(tokens._remembered) <= 3


def test_what_does_not_hold_is_not_remembered(tokens: Tokens) -> None:
    for forge in FORGERIES:
        with pytest.raises(Unauthenticated):
            tokens.verify(forge(*issue(tokens).split(".")))

    assert not tokens._remembered


def _claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found
