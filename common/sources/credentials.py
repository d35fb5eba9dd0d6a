"""What a source's API wants to be shown: sealed one by one for their place and host, and opened for a run only."""

from collections.abc import Mapping, Sequence

from common.errors import Unavailable
from common.keys import SecretKeys
from common.outbound.url import read_url
from common.sources.collections import SOURCE_SECRETS
from common.sources.source import Source
from common.tenancy.scope import OrgScope


def keep(scope: OrgScope, keys: SecretKeys, source: Source, credentials: Mapping[str, str]) -> None:
    """Keep *credentials* in place of those that a source had; none, if there are none."""
    if not credentials:
        forget(scope, source.source_id)
        return
    sealed = [
        {"name": name, "sealed": keys.encrypt(text.encode(), **_place(scope, source, name))}
        for name, text in sorted(credentials.items())
    ]
    document = {"_id": source.source_id, "origin": origin_of(source), "fields": sealed}
    scope[SOURCE_SECRETS].replace_one({"_id": source.source_id}, document, upsert=True)


def forget(scope: OrgScope, source_id: str) -> None:
    """Remove what a source has."""
    scope[SOURCE_SECRETS].delete_one({"_id": source_id})


def reveal(scope: OrgScope, keys: SecretKeys, source: Source) -> dict[str, str]:
    """Return the credentials that were given for the host of *source* as it was read; nothing, if it has none.

    Raises `Unavailable` if another host was given others since, and like `SecretKeys.decrypt`.
    """
    found = scope[SOURCE_SECRETS].find_one({"_id": source.source_id})
    if found is None:
        return {}
    if found["origin"] != origin_of(source):
        raise Unavailable("The source has another address now. Read it again.")
    return {
        one["name"]: keys.decrypt(bytes(one["sealed"]), **_place(scope, source, one["name"])).decode()
        for one in found["fields"]
    }


def names_of(scope: OrgScope, source_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return which credentials sources have, by the source's id; one that has none is left out."""
    found = scope[SOURCE_SECRETS].find({"_id": {"$in": list(source_ids)}}, projection={"fields.name": 1})
    return {row["_id"]: tuple(one["name"] for one in row["fields"]) for row in found}


def origin_of(source: Source) -> str:
    """Return what an address must share with the source's own to be shown its credentials (RFC 6454)."""
    scheme, host, port = read_url(source.base_url).origin
    return f"{scheme}://{host}:{port}"


def _place(scope: OrgScope, source: Source, name: str) -> dict[str, str]:
    field = f"{name} for {origin_of(source)}"
    return {"org_id": scope.org_id, "collection": SOURCE_SECRETS.name, "field": field, "id": source.source_id}
