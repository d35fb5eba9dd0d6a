"""The client: each method is one operation of the contract, or one way of waiting for a job."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from fairway.errors import NotInTime, Problem
from fairway.events import Event, follow
from fairway.models import (
    ApiKey,
    Archive,
    Counted,
    Happening,
    Job,
    Kind,
    OneTime,
    Organization,
    RefusedRow,
    Session,
    SignedUp,
    Ticket,
    Tokens,
    User,
)
from fairway.transport import Transport, new_key

T = TypeVar("T")
DEFAULT_URL = "http://127.0.0.1:8080"
POLL_S = 20
PAGE = 200
DAY_S = 24 * 3600.0


class Fairway:
    """What one person or machine may do. Safe to use from several threads; close it, or use it in a `with`."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        token: str | None = None,
        renew: Callable[[], str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Ask the API at *url* with *token*; *renew* makes another one when it no longer holds."""
        self._token = token
        self._renew = renew
        self._transport = Transport(url, self._current_token, transport)

    @classmethod
    def signed_in(
        cls,
        url: str = DEFAULT_URL,
        *,
        organization: str | None,
        email: str,
        password: str,
        transport: httpx.BaseTransport | None = None,
    ) -> Self:
        """Sign in, and again whenever the token is over; an operator leaves *organization* out."""
        with Fairway(url, transport=transport) as nobody:
            tokens = [nobody.sign_in(email=email, password=password, organization=organization)]

        def renew() -> str:
            with Fairway(url, transport=transport) as nobody:
                try:
                    tokens.append(nobody.refresh(tokens[-1].refresh_token))
                except Problem:  # the session is over: begin another one
                    tokens.append(nobody.sign_in(email=email, password=password, organization=organization))
            del tokens[:-1]
            return tokens[-1].access_token

        return cls(url, token=tokens[-1].access_token, renew=renew, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.http.close()

    # Organizations and people.

    def sign_up(
        self, name: str, *, email: str, password: str, slug: str | None = None, key: str | None = None
    ) -> SignedUp:
        """Make an organization with its first admin: both exist once the job has succeeded."""
        body = {"name": name, "slug": slug, "admin": {"email": email, "password": password}}
        found = self._start("/v1/organizations", key, json={k: v for k, v in body.items() if v is not None})
        return SignedUp(job=Job.read(found), job_token=found.get("job_token"))

    def organization(self, org_id: str | None = None, *, slug: str | None = None) -> Organization:
        """Return an organization by its id or its slug: one's own in full, another in its public part."""
        if org_id is not None:
            return Organization.read(self._transport.ask("GET", f"/v1/organizations/{org_id}").json())
        return Organization.read(self._transport.ask("GET", "/v1/organizations", query={"slug": slug}).json())

    def change_organization(self, org_id: str, **changes: Any) -> Organization:
        """Change `name`, `slug` or `settings` (`time_zone`, `language`)."""
        found = self._transport.ask("PATCH", f"/v1/organizations/{org_id}", json=changes)
        return Organization.read(found.json())

    def delete_organization(self, org_id: str) -> SignedUp:
        """Delete an organization; the token of the answer reads the job that holds what it had under way."""
        found = self._transport.ask("DELETE", f"/v1/organizations/{org_id}").json()
        return SignedUp(job=Job.read(found), job_token=found.get("job_token"))

    def restore_organization(
        self, org_id: str, *, email: str | None = None, password: str | None = None, key: str | None = None
    ) -> SignedUp:
        """Restore a deleted organization, as an operator or with an admin's address and password."""
        asked = {name: value for name, value in (("email", email), ("password", password)) if value is not None}
        found = self._start(f"/v1/organizations/{org_id}/restore", key, json=asked)
        return SignedUp(job=Job.read(found), job_token=found.get("job_token"))

    def export(self, *, key: str | None = None) -> Job:
        """Write all that the organization has into an archive; the job's result names it."""
        return Job.read(self._start("/v1/archives", key))

    def archives(self) -> Iterator[Archive]:
        """Go through the organization's archives, the newest first."""
        return self._pages("/v1/archives", Archive.read)

    def archive(self, archive_id: str) -> Archive:
        """Return an archive."""
        return Archive.read(self._transport.ask("GET", f"/v1/archives/{archive_id}").json())

    def download_archive(self, archive_id: str, file: Path) -> None:
        """Write an archive to *file* as it comes in. Raises `Problem` or `Unreachable`."""
        self._transport.download(f"/v1/archives/{archive_id}/content", file)

    def delete_archive(self, archive_id: str) -> None:
        """Delete an archive."""
        self._transport.ask("DELETE", f"/v1/archives/{archive_id}")

    def restore_archive(self, file: Path, *, key: str | None = None) -> Job:
        """Restore the archive in *file* into this organization, which must have no data yet."""
        with file.open("rb") as content:
            headers = {"Content-Type": "application/zip", "Content-Length": str(file.stat().st_size)}
            return Job.read(self._start("/v1/archives/restorations", key, headers=headers, content=content))

    def sign_in(self, *, email: str, password: str, organization: str | None = None) -> Tokens:
        """Begin a session: an access token for fifteen minutes, and a refresh token for the next pair."""
        body = {"organization": organization, "email": email, "password": password}
        asked = {name: value for name, value in body.items() if value is not None}
        return Tokens.read(self._transport.ask("POST", "/v1/auth/token", json=asked).json())

    def refresh(self, refresh_token: str) -> Tokens:
        """Return the next pair; the same token is good once."""
        asked = {"refresh_token": refresh_token}
        return Tokens.read(self._transport.ask("POST", "/v1/auth/refresh", json=asked).json())

    def set_password(self, token: str, password: str) -> Tokens:
        """Join with the token of an invitation, or set a new password with that of a reset."""
        asked = {"token": token, "password": password}
        return Tokens.read(self._transport.ask("POST", "/v1/auth/password", json=asked).json())

    def sessions(self) -> Iterator[Session]:
        """Go through one's own sessions, the newest first."""
        return self._pages("/v1/sessions", Session.read)

    def end_session(self, session_id: str) -> None:
        """End one of one's own sessions."""
        self._transport.ask("DELETE", f"/v1/sessions/{session_id}")

    def sign_out(self, *, everywhere: bool = False) -> None:
        """End this session, or all of one's own."""
        self._transport.ask("POST", "/v1/auth/revoke-all" if everywhere else "/v1/auth/revoke")

    def users(self, *, role: str | None = None) -> Iterator[User]:
        """Go through the people of the organization."""
        return self._pages("/v1/users", User.read, role=role)

    def user(self, user_id: str) -> User:
        """Return a person."""
        return User.read(self._transport.ask("GET", f"/v1/users/{user_id}").json())

    def add_user(
        self,
        email: str,
        *,
        name: str = "",
        role: str | None = None,
        password: str | None = None,
        key: str | None = None,
    ) -> tuple[User, OneTime | None]:
        """Add a person; without a password they are invited by the token that is returned, this once."""
        body = {"email": email, "name": name, "role": role, "password": password}
        asked = {name: value for name, value in body.items() if value is not None}
        found = self._start("/v1/users", key, json=asked)
        invitation = found.get("invitation")
        return User.read(found), OneTime.read(invitation) if invitation is not None else None

    def change_user(self, user_id: str, **changes: str) -> User:
        """Change a person's `name`, `role` or `state` (active, disabled)."""
        return User.read(self._transport.ask("PATCH", f"/v1/users/{user_id}", json=changes).json())

    def remove_user(self, user_id: str) -> None:
        """Remove a person."""
        self._transport.ask("DELETE", f"/v1/users/{user_id}")

    def change_password(self, user_id: str, *, current: str, new: str) -> None:
        """Change one's own password; every other session of one's own is over."""
        asked = {"current_password": current, "new_password": new}
        self._transport.ask("POST", f"/v1/users/{user_id}/password", json=asked)

    def reset_password(self, user_id: str) -> OneTime:
        """Return a token with which somebody else sets a new password."""
        found = self._transport.ask("POST", f"/v1/users/{user_id}/password", json={}).json()
        return OneTime.read(found["reset"])

    def make_api_key(
        self,
        name: str,
        scopes: Sequence[str],
        *,
        role: str = "member",
        expires_at: str | None = None,
        key: str | None = None,
    ) -> tuple[ApiKey, str]:
        """Make an API key; return it and its token, which is shown this once."""
        body = {"name": name, "scopes": list(scopes), "role": role, "expires_at": expires_at}
        asked = {name: value for name, value in body.items() if value is not None}
        found = self._start("/v1/api-keys", key, json=asked)
        return ApiKey.read(found), found["token"]

    def api_keys(self) -> Iterator[ApiKey]:
        """Go through the organization's API keys."""
        return self._pages("/v1/api-keys", ApiKey.read)

    def api_key(self, key_id: str) -> ApiKey:
        """Return an API key."""
        return ApiKey.read(self._transport.ask("GET", f"/v1/api-keys/{key_id}").json())

    def revoke_api_key(self, key_id: str) -> None:
        """Revoke an API key."""
        self._transport.ask("DELETE", f"/v1/api-keys/{key_id}")

    def happenings(self, *, after: int = 0) -> Iterator[Happening]:
        """Go through what happened to the organization, its people and settings, from number *after* on."""
        return self._pages("/v1/events", Happening.read, after=after)

    # Jobs.

    def kinds(self) -> Iterator[Kind]:
        """Go through the kinds of job that may be submitted."""
        return self._pages("/v1/kinds", Kind.read)

    def submit(
        self,
        kind: str,
        payload: Mapping[str, Any],
        *,
        run_at: str | None = None,
        priority: int | None = None,
        tags: Sequence[str] = (),
        key: str | None = None,
    ) -> Job:
        """Submit a job; *run_at* is RFC 3339. With the same *key*, the same request starts nothing twice."""
        body = {"payload": dict(payload), "run_at": run_at, "priority": priority, "tags": list(tags)}
        asked = {name: value for name, value in body.items() if value not in (None, [])}
        return Job.read(self._start(f"/v1/kinds/{kind}/jobs", key, json=asked))

    def job(self, job_id: str, *, wait_s: int = 0) -> Job:
        """Return a job; with *wait_s* (30 at most), at its next change of state."""
        found = self._transport.ask("GET", f"/v1/jobs/{job_id}", query={"wait": wait_s or None})
        return Job.read(found.json())

    def jobs(
        self, *, kind: str | None = None, state: str | None = None, since: str | None = None
    ) -> Iterator[Job]:
        """Go through the organization's jobs, newest first."""
        return self._pages("/v1/jobs", Job.read, kind=kind, state=state, since=since)

    def wait(self, job_id: str, *, within_s: float = DAY_S) -> Job:
        """Return the job once it has ended. Raises `NotInTime`."""
        ends_at = time.monotonic() + within_s
        while not (job := self.job(job_id, wait_s=max(0, min(POLL_S, int(ends_at - time.monotonic()))))).is_final:
            if time.monotonic() >= ends_at:
                raise NotInTime(job_id, within_s)
        return job

    def follow(self, job_id: str, *, within_s: float = DAY_S) -> Iterator[Event]:
        """Yield the job's changes until it has ended, over as many connections as it takes. Raises `NotInTime`."""
        return follow(self._transport, job_id, within_s=within_s)

    def cancel(self, job_id: str) -> Job:
        """Cancel a job that waits, or ask a running one to stop at its next checkpoint."""
        return Job.read(self._transport.ask("POST", f"/v1/jobs/{job_id}/cancel").json())

    def retry(self, job_id: str, *, key: str | None = None) -> Job:
        """Start a fresh run of a failed or cancelled job."""
        return Job.read(self._start(f"/v1/jobs/{job_id}/retry", key))

    def count_many(self, verb: str, which: Mapping[str, Any]) -> Counted:
        """Count what `retry` or `cancel` (*verb*) by a filter would change."""
        body = {"filter": dict(which), "dry_run": True}
        path = {"retry": "/v1/jobs/retry", "cancel": "/v1/jobs/cancel"}[verb]
        return Counted.read(self._transport.ask("POST", path, json=body).json())

    def change_many(self, verb: str, which: Mapping[str, Any], *, key: str | None = None) -> Job:
        """Retry or cancel all jobs that a filter finds (`kind`, `state`, `since`, `until`), as a job."""
        path = {"retry": "/v1/jobs/retry", "cancel": "/v1/jobs/cancel"}[verb]
        return Job.read(self._start(path, key, json={"filter": dict(which)}))

    # Tickets.

    def import_tickets(
        self,
        file: Path,
        *,
        mapping: Mapping[str, str] | None = None,
        source: str | None = None,
        key: str | None = None,
    ) -> Job:
        """Import a file of tickets, sent as it is read. *mapping* is ticket field to column."""
        data = {"mapping": json.dumps(dict(mapping))} if mapping else {}
        data |= {"source": source} if source is not None else {}
        with file.open("rb") as content:
            files = {"file": (file.name, content)}
            return Job.read(self._start("/v1/tickets/imports", key, files=files, data=data))

    def refused_rows(self, job_id: str) -> Iterator[RefusedRow]:
        """Go through the rows that an import refused."""
        return self._pages(f"/v1/tickets/imports/{job_id}/refused-rows", RefusedRow.read)

    def tickets(
        self,
        *,
        status: str | None = None,
        source_id: str | None = None,
        made_from: str | None = None,
        made_to: str | None = None,
    ) -> Iterator[Ticket]:
        """Go through the organization's tickets, newest first; the instants bound `created_at`."""
        bounds = {"from": made_from, "to": made_to}
        return self._pages("/v1/tickets", Ticket.read, status=status, source_id=source_id, **bounds)

    def ticket(self, ticket_id: str) -> Ticket:
        """Return a ticket."""
        return Ticket.read(self._transport.ask("GET", f"/v1/tickets/{ticket_id}").json())

    def _start(
        self, path: str, key: str | None, *, headers: Mapping[str, str] | None = None, **body: Any
    ) -> dict[str, Any]:
        headers = {"Idempotency-Key": key if key is not None else new_key(), **(headers or {})}
        found: dict[str, Any] = self._transport.ask("POST", path, headers=headers, **body).json()
        return found

    def _pages(self, path: str, read: Callable[[Mapping[str, Any]], T], **query: Any) -> Iterator[T]:
        cursor: str | None = None
        while True:
            asked = {**query, "limit": PAGE, "cursor": cursor}
            page = self._transport.ask("GET", path, query=asked).json()
            yield from map(read, page["items"])
            if (cursor := page["next_cursor"]) is None:
                return

    def _current_token(self, renewed: bool) -> str | None:  # noqa: FBT001 (a question with one answer)
        if renewed and self._renew is not None:
            self._token = self._renew()
        return self._token
