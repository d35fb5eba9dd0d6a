"""The tiers: how much each gives to an organization."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Tier = Literal["free", "standard", "enterprise"]


@dataclass(frozen=True)
class Allowance:
    """What an organization of a tier may use."""

    requests_a_minute: int
    requests_an_hour: int


TIERS: Mapping[Tier, Allowance] = {
    "free": Allowance(requests_a_minute=100, requests_an_hour=1_000),
    "standard": Allowance(requests_a_minute=600, requests_an_hour=20_000),
    "enterprise": Allowance(requests_a_minute=6_000, requests_an_hour=200_000),
}

OPERATORS: Tier = "enterprise"
"""Operators belong to no tenant; one that runs wild is held back like the largest of them."""
