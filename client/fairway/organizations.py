"""Organizations: made, changed, deleted, restored and kept as archives, and what happened to them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fairway.bodies import FileBody
from fairway.calls import Calls
from fairway.downloads import Content, download
from fairway.models import Archive, Happening, Job, Organization, SignedUp


class Organizations(Calls):
    """The operations on organizations."""

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
        """Write an archive to *file*, which is there only once all of it has come; cut off, it goes on there."""
        found = self.archive(archive_id)
        content = Content(f"/v1/archives/{archive_id}/content", found.size_bytes, found.sha256)
        download(self._transport, content, file)

    def delete_archive(self, archive_id: str) -> None:
        """Delete an archive."""
        self._transport.ask("DELETE", f"/v1/archives/{archive_id}")

    def restore_archive(self, file: Path, *, key: str | None = None) -> Job:
        """Restore the archive in *file* into this organization, which must have no data yet."""
        with file.open("rb") as content:
            body = FileBody(content)
            headers = body.headers("application/zip")
            return Job.read(
                self._start("/v1/archives/restorations", key, headers=headers, content=body, within_s=None)
            )

    def happenings(self, *, after: int = 0) -> Iterator[Happening]:
        """Go through what happened to the organization, its people and settings, from number *after* on."""
        return self._pages("/v1/events", Happening.read, after=after)
