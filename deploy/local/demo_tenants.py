"""The organizations of the demo, signed up through the API as anybody's are."""

import secrets
from dataclasses import dataclass

import httpx
from fairway import Fairway

from common.errors import Misconfigured
from deploy.local.stack import Stack

WITHIN_S = 60
ADMIN = "admin@demo.example"


@dataclass(frozen=True)
class Tenant:
    """An organization, and what its admin asks with."""

    name: str
    org_id: str
    slug: str
    admin: Fairway


def sign_up(url: str, name: str) -> Tenant:
    """Make an organization, and sign its admin in."""
    password = secrets.token_urlsafe(16)
    with Fairway(url) as nobody:
        made = nobody.sign_up(name, email=ADMIN, password=password)
    with Fairway(url, token=made.job_token) as reader:
        found = reader.wait(made.job.id, within_s=WITHIN_S).result
    admin = Fairway.signed_in(url, organization=found["slug"], email=ADMIN, password=password)
    return Tenant(name, found["org_id"], found["slug"], admin)


def add_person(url: str, tenant: Tenant, name: str) -> tuple[str, Fairway]:
    """Add a member to an organization; return their id, and what they ask with."""
    email, password = f"{name.lower()}@demo.example", secrets.token_urlsafe(16)
    user, _ = tenant.admin.add_user(email, name=name, password=password)
    return user.id, Fairway.signed_in(url, organization=tenant.slug, email=email, password=password)


def raise_tier(stack: Stack, tenant: Tenant, tier: str) -> None:
    """Let the platform's operator give an organization another tier."""
    with Fairway(stack.url) as nobody:
        password = stack.operator_password or ""
        token = nobody.sign_in(email=stack.settings.operator_email, password=password).access_token
    path, who = f"/v1/operations/organizations/{tenant.org_id}", {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=stack.url, headers=who) as operator:
        version = operator.get(path).headers.get("ETag", "")
        answer = operator.patch(path, headers={"If-Match": version}, json={"tier": tier})
    if not answer.is_success:
        raise Misconfigured(f"The operator could not change the tier: {answer.text}")
