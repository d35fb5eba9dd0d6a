"""What a source's API wants to be shown: sealed one by one for their place, and opened for a run only."""

from collections.abc import Mapping, Sequence

from common.keys import SecretKeys
from common.sources.collections import SOURCE_SECRETS
from common.tenancy.scope import OrgScope


def keep(scope: OrgScope, keys: SecretKeys, source_id: str, credentials: Mapping[str, str]) -> None:
    """Keep *credentials* in place of those that a source had; none, if there are none."""
    if not credentials:
        forget(scope, source_id)
        return
    sealed = [
        {"name": name, "sealed": keys.encrypt(text.encode(), **_place(scope, source_id, name))}
        for name, text in sorted(credentials.items())
    ]
    scope[SOURCE_SECRETS].replace_one({"_id": source_id}, {"_id": source_id, "fields": sealed}, upsert=True)


def forget(scope: OrgScope, source_id: str) -> None:
    """Remove what a source has."""
    scope[SOURCE_SECRETS].delete_one({"_id": source_id})


def reveal(scope: OrgScope, keys: SecretKeys, source_id: str) -> dict[str, str]:
    """Return a source's credentials by name; nothing, if it has none. Raises like `SecretKeys.decrypt`."""
    found = scope[SOURCE_SECRETS].find_one({"_id": source_id})
    return {
        one["name"]: keys.decrypt(bytes(one["sealed"]), **_place(scope, source_id, one["name"])).decode()
        for one in (found["fields"] if found is not None else ())
    }


def names_of(scope: OrgScope, source_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return which credentials sources have, by the source's id; one that has none is left out."""
    found = scope[SOURCE_SECRETS].find({"_id": {"$in": list(source_ids)}}, projection={"fields.name": 1})
    return {row["_id"]: tuple(one["name"] for one in row["fields"]) for row in found}


def _place(scope: OrgScope, source_id: str, name: str) -> dict[str, str]:
    return {"org_id": scope.org_id, "collection": SOURCE_SECRETS.name, "field": name, "id": source_id}
