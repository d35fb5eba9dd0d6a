"""The client: each method is one operation of the contract, or one way of waiting for a job."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx

from fairway.analytics import Analytics
from fairway.errors import Problem
from fairway.files import Files
from fairway.jobs import Jobs
from fairway.organizations import Organizations
from fairway.people import People
from fairway.rooms import Rooms
from fairway.sources import Sources
from fairway.tickets import Tickets
from fairway.transport import Transport

DEFAULT_URL = "http://127.0.0.1:8080"


class Fairway(Organizations, People, Jobs, Tickets, Sources, Rooms, Files, Analytics):
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
        self._transport.close()

    def _current_token(self, renewed: bool) -> str | None:  # noqa: FBT001 (a question with one answer)
        if renewed and self._renew is not None:
            self._token = self._renew()
        return self._token
