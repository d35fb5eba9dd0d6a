"""Slugs: the word by which an organization is known, one organization's at a time.

               sign-up                provisioned            another slug is taken
free ─────────────────────▶ reserved ─────────────▶ taken ─────────────────────────▶ given up ──24 h──▶ free
                               └── its job came to nothing: free at once
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pymongo.client_session import ClientSession
from pymongo.errors import DuplicateKeyError

from common.errors import Conflict
from common.ids import OrgId
from common.tenancy.control import ControlPlane

NAME_MAX_CHARS = 200
SLUG = re.compile(r"[a-z0-9](-?[a-z0-9]){1,38}\Z")
KEPT_FOR = timedelta(hours=24)
RESERVED_SLUGS = frozenset(
    {"admin", "api", "app", "docs", "fairway", "healthz", "metrics", "operations", "platform", "problems"}
    | {"readyz", "root", "static", "status", "support", "system", "v1", "www"}
)


def slug_of(name: str) -> str | None:
    """Derive a slug from a name, or return `None` if nothing of it can stand in one."""
    plain = unicodedata.normalize("NFKD", name[:NAME_MAX_CHARS]).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:39].strip("-")
    return slug if is_free_to_ask(slug) else None


def is_free_to_ask(slug: str) -> bool:
    """Tell whether *slug* has the shape of one and is not kept for the platform."""
    return SLUG.match(slug) is not None and slug not in RESERVED_SLUGS


def take(
    control: ControlPlane, session: ClientSession, slug: str, document: Mapping[str, Any], now: datetime
) -> None:
    """Write *document* as what stands under *slug*, in the transaction of *session*.

    Raises `Conflict` if it is taken, on its way, or was given up by another organization within a day.
    """
    found = control.slugs.find_one({"_id": slug}, session=session)
    if found is None:
        try:
            control.slugs.insert_one({"_id": slug, **document}, session=session)
        except DuplicateKeyError as error:
            raise taken(slug) from error
        return
    if not _may_be_had(control, session, found, OrgId(document["org_id"]), now):
        raise taken(slug)
    same = {"_id": slug, "org_id": found["org_id"], "state": found["state"], "at": found["at"]}
    if not control.slugs.replace_one(same, document, session=session).matched_count:
        raise taken(slug)


def give_up(control: ControlPlane, session: ClientSession, slug: str, org_id: OrgId, now: datetime) -> None:
    """Keep *slug* from others for a day, in the transaction of *session*; its organization may take it again."""
    given_up = {"org_id": org_id, "state": "given_up", "at": now, "free_at": now + KEPT_FOR}
    control.slugs.replace_one({"_id": slug, "org_id": org_id}, given_up, upsert=True, session=session)


def taken(slug: str) -> Conflict:
    """Return the refusal of a slug that somebody else has."""
    return Conflict(f"The slug {slug} is taken. Choose another.")


def _may_be_had(
    control: ControlPlane, session: ClientSession, found: Mapping[str, Any], by: OrgId, now: datetime
) -> bool:
    match found["state"]:
        case "reserved":
            job = control.jobs.find_one({"_id": found["job_id"]}, {"state": 1}, session=session)
            return job is None or job["state"] in {"failed", "cancelled"}
        case "given_up":
            return bool(found["org_id"] == by or found["free_at"] <= now)
        case _:
            return False
