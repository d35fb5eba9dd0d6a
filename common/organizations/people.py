"""People: who may sign in, by organization; the operators belong to the reserved organization `platform`.

Every change of an organization's people is an event of it in the same transaction, whose counter makes them happen
one after the other: so the last admin stays and the hundredth is the last, whatever is asked at the same time.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from common.caller import Role
from common.clock import Clock
from common.errors import Conflict, NotFound, Stale
from common.events import EventType, append
from common.ids import OrgId, new_id
from common.jobs.idempotency import Once, do_once
from common.organizations.one_time import OneTime
from common.organizations.person import ADMINS, Person, find_by_id, person_document, person_key, read_person
from common.tenancy.changes import GONE, Change, Changes
from common.tenancy.control import ControlPlane

ADMINS_MOST = 100
PEOPLE_MOST = 10_000
INVITATION_LASTS = timedelta(days=7)
RESET_LASTS = timedelta(hours=1)
ABSENT = "There is no such person."
USED = "This token is used or over. Ask an admin for another one."


class People:
    """The people of all organizations, each asked for with its organization."""

    def __init__(self, control: ControlPlane, clock: Clock, changes: Changes) -> None:
        self._control = control
        self._users = control.users
        self._clock = clock
        self._changes = changes

    def get(self, org_id: OrgId, user_id: str) -> Person:
        """Return a person. Raises `NotFound`, also for another organization's."""
        found = find_by_id(self._control, org_id, user_id)
        if found is None:
            raise NotFound(ABSENT)
        return found

    def of_anyone(self, user_id: str) -> Person:
        """Return a person of any organization; for operators. Raises `NotFound`."""
        found = self._users.find_one({"_id": {"$eq": user_id}})
        if found is None:
            raise NotFound(ABSENT)
        return read_person(found)

    def page(self, org_id: OrgId, *, after: str, limit: int, role: str | None = None) -> list[Person]:
        """List up to *limit* people of an organization, in the order in which they came, from *after* on."""
        where: dict[str, Any] = {"org_id": {"$eq": org_id}, "_id": {"$gt": after}}
        if role is not None:
            where["role"] = {"$eq": role}
        return [read_person(one) for one in self._users.find(where).sort("_id", 1).limit(limit)]

    def of_domain(self, domain: str, *, after: str, limit: int) -> list[Person]:
        """List up to *limit* people of all organizations with that e-mail domain; for operators."""
        where = {"email_domain": {"$eq": domain}, "_id": {"$gt": after}}
        return [read_person(one) for one in self._users.find(where).sort("_id", 1).limit(limit)]

    def add(
        self,
        org_id: OrgId,
        *,
        email: str,
        name: str,
        role: Role,
        password_hash: str | None,
        by: str,
        once: Once | None = None,
    ) -> tuple[Person, OneTime | None]:
        """Add a person, or without a password invite one: then the token to join with is returned.

        Raises `Conflict` for an address that is known, and where there are as many admins or people as may be;
        for a used key whatever `do_once` raises.
        """
        user_id = new_id()
        invitation = None
        if password_hash is None:
            invitation = OneTime.make(user_id, until=self._clock.now() + INVITATION_LASTS)
        document = person_document(
            user_id=user_id,
            org_id=org_id,
            email=email,
            name=name,
            role=role,
            password_hash=password_hash,
            clock=self._clock,
            claim=invitation.kept if invitation is not None else None,
        )

        def work(change: Change) -> tuple[Person, OneTime | None]:
            event: EventType = "UserCreated" if invitation is None else "UserInvited"
            self._tell(change, org_id, "AdminCreated" if role in ADMINS else event, by, user_id, role=role)
            if self._users.count_documents({"org_id": org_id}, session=change.session) >= PEOPLE_MOST:
                raise Conflict(f"An organization has at most {PEOPLE_MOST} people.")
            if self._users.find_one({"org_id": org_id, "email": email}, session=change.session):
                raise Conflict("Somebody with this e-mail address is here already.")
            self._users.insert_one(document, session=change.session)
            self._bound_admins(change, org_id, role)
            return read_person(document), invitation

        control, now = self._control, self._clock.now
        return self._changes.transact(
            work, runs=lambda effect: do_once(control.idempotency, once, now, effect, control.transaction)
        )

    def change(self, was: Person, fields: Mapping[str, Any], *, by: str) -> Person:
        """Give a person other *fields* (name, role, state). Raises `Stale`, or `Conflict` for the last admin.

        Who is disabled has no session left when they are let in again.
        """
        ends = {"epoch": was.epoch + 1} if fields.get("state") == "disabled" else {}

        def work(change: Change) -> None:
            self._tell(change, was.org_id, "UserUpdated", by, was.user_id, fields=sorted(fields))
            self._set(change, was, {**fields, **ends})
            self._bound_admins(change, was.org_id, was.role)
            self._bound_admins(change, was.org_id, fields.get("role", was.role))

        self._changes.transact(work)
        return self.get(was.org_id, was.user_id)

    def remove(self, was: Person, *, by: str) -> None:
        """Remove a person; their sessions end within seconds. Raises `Stale`, or `Conflict` for the last admin."""

        def work(change: Change) -> None:
            self._tell(change, was.org_id, "UserRemoved", by, was.user_id)
            same = {"_id": was.user_id, "org_id": was.org_id, "revision": _as_was(was)}
            if not self._users.delete_one(same, session=change.session).deleted_count:
                raise _stale()
            self._control.sessions.delete_many(
                {"org_id": was.org_id, "user_id": was.user_id}, session=change.session
            )
            change.note(person_key(was.user_id), GONE)
            self._bound_admins(change, was.org_id, was.role)

        self._changes.transact(work)

    def issue_reset(self, was: Person, *, by: str) -> OneTime:
        """Return a token with which the person sets a new password within an hour; the old one holds till then."""
        now = self._clock.now()
        lasts = INVITATION_LASTS if was.state == "invited" else RESET_LASTS
        reset = OneTime.make(was.user_id, until=now + lasts)

        def work(change: Change) -> None:
            self._tell(change, was.org_id, "PasswordResetIssued", by, was.user_id)
            self._set(change, was, {"claim": reset.kept})

        self._changes.transact(work)
        return reset

    def claimed(self, token: str) -> Person:
        """Return whom a one-time token is for. Raises `NotFound` if it is used, over, or none of ours."""
        user_id = OneTime.owner(token)
        found = self._users.find_one({"_id": user_id}) if user_id is not None else None
        if found is None or not OneTime.matches(found.get("claim"), token, self._clock.now()):
            raise NotFound(USED)
        return read_person(found)

    def _set(self, change: Change, was: Person, fields: Mapping[str, Any], unset: tuple[str, ...] = ()) -> None:
        same = {"_id": was.user_id, "org_id": was.org_id, "revision": _as_was(was)}
        update: dict[str, Any] = {"$set": {**fields, "revision": was.revision + 1}}
        if unset:
            update["$unset"] = dict.fromkeys(unset, "")
        if not self._users.update_one(same, update, session=change.session).matched_count:
            raise _stale()
        change.note(person_key(was.user_id), was.revision + 1)

    def set_password(self, was: Person, password_hash: str, *, by: str) -> Person:
        """Give a person a password, let an invited one in, and end all sessions. Raises `Stale`."""
        fields = {"password_hash": password_hash, "epoch": was.epoch + 1}
        if was.state == "invited":
            fields["state"] = "active"
        event: EventType = "UserJoined" if was.state == "invited" else "PasswordChanged"

        def work(change: Change) -> None:
            self._tell(change, was.org_id, event, by, was.user_id)
            self._set(change, was, fields, unset=("claim",))

        self._changes.transact(work)
        return self.get(was.org_id, was.user_id)

    def rehash(self, was: Person, password_hash: str) -> None:
        """Keep the same password under newer settings of the hash, unless it was changed meanwhile."""
        same = {"_id": was.user_id, "org_id": was.org_id, "password_hash": was.password_hash}
        self._users.update_one(same, {"$set": {"password_hash": password_hash}})

    def _bound_admins(self, change: Change, org_id: OrgId, role: str) -> None:
        """Refuse, in the transaction, what leaves no active admin or more admins than may be."""
        if role not in ADMINS:
            return
        these = {"org_id": org_id, "role": role}
        active = {**these, "state": {"$in": ["active", None]}}
        if not self._users.count_documents(active, limit=1, session=change.session):
            raise Conflict(f"The last active {role} can't be removed, disabled or given another role.")
        if self._users.count_documents(these, limit=ADMINS_MOST + 1, session=change.session) > ADMINS_MOST:
            raise Conflict(f"There are at most {ADMINS_MOST} of role {role}.")

    def _tell(
        self, change: Change, org_id: OrgId, event: EventType, actor: str, user_id: str, **data: Any
    ) -> None:
        said = {"user_id": user_id, **data}
        append(self._control, change.session, self._clock, org_id, event, actor=actor, data=said)


def _as_was(was: Person) -> Mapping[str, Any]:
    return {"$in": [was.revision or None, was.revision]}


def _stale() -> Stale:
    return Stale("The person has changed since you read it. Read it again.")
