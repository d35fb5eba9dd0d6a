"""People and machines: their sessions, passwords, roles and keys."""

from collections.abc import Iterator, Sequence

from fairway.calls import Calls
from fairway.models import ApiKey, OneTime, Session, Tokens, User


class People(Calls):
    """The operations on people, sessions and API keys."""

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
