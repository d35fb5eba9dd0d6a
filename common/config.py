"""Settings, all from the environment under one prefix; at start every bad one is named at once."""

import os
import re
from functools import cache
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from common.errors import Misconfigured
from common.outbound.allowed_host import AllowedHost
from common.storage.location import parse_location

PREFIX = "FAIRWAY_"
Network = IPv4Network | IPv6Network
CommaSeparated = NoDecode
_ORIGIN = re.compile(r"https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?\Z")
_DATABASE = re.compile(r"[a-z][a-z0-9_]{0,37}\Z")


class Settings(BaseSettings):
    """Every setting of every process, with its unit in its name.

    Any of them may be given as a file instead: `FAIRWAY_MONGO_URL_FILE=/run/secrets/mongo_url`.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    env: Literal["development", "production"] = "development"
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    http_host: str = "127.0.0.1"
    http_port: int = Field(8080, ge=1, le=65535)
    http_workers: int = Field(2, ge=1, le=256, description="API processes")
    http_threads: int = Field(16, ge=2, le=256, description="threads in each; concurrent submits share a commit")
    http_streams: int = Field(
        512, ge=0, le=8192, description="streams and long polls that each process bears besides; a thread each"
    )
    heartbeat_s: float = Field(
        10, ge=0.1, le=60, description="how often a stream gives a sign of life, and looks again"
    )
    stream_s: float = Field(3600, ge=0.1, le=86_400, description="how long a stream lasts; its client comes back")
    flower_port: int = Field(5555, ge=1, le=65535)
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(9464, ge=0, le=65535, description="0: this process serves no metrics")

    data_dir: Path = Path(".fairway")
    storage_url: SecretStr | None = Field(
        None, description="where files lie: file:///path, s3://KEY:SECRET@host/bucket; None: blobs in data_dir"
    )
    mongo_url: SecretStr = SecretStr("mongodb://127.0.0.1:27017/?replicaSet=fairway")
    redis_url: SecretStr = SecretStr("redis://127.0.0.1:6379/1")
    broker_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    control_database: str = Field("fairway", pattern=r"^[a-z][a-z0-9_]{0,37}$")
    data_databases: Annotated[tuple[str, ...], CommaSeparated] = ("fairway_data_1", "fairway_data_2")

    workers: int = Field(2, ge=1, le=256, description="slots of a worker pool")
    lease_s: float = Field(30, ge=0.5, le=3600)
    sweep_s: float = Field(5, ge=0.1, le=600)
    linger_s: float = Field(2, ge=0, le=4, description="how long a carrier waits on empty lanes")
    ride_ms: float = Field(
        20, ge=0, le=1000, description="how much short jobs may take that share a slot's turn; 0: none do"
    )
    grace_s: float = Field(20, ge=1, le=600, description="how long running handlers get after SIGTERM")

    secret_keys_file: Path | None = None
    operator_email: str = Field("operator@fairway.example", max_length=254)
    operator_password: SecretStr | None = None
    operator_networks: Annotated[tuple[Network, ...], CommaSeparated] = (
        IPv4Network("127.0.0.0/8"),
        IPv6Network("::1/128"),
    )
    trusted_proxies: Annotated[tuple[Network, ...], CommaSeparated] = ()
    cors_origins: Annotated[tuple[str, ...], CommaSeparated] = Field(
        (), description="origins whose pages may call the API from a browser, as https://app.example"
    )
    database_organizations_max: int = Field(
        300, ge=1, le=100_000, description="dedicated organizations in a database; 90 % are taken"
    )
    database_collections_max: int = Field(6_000, ge=10, le=1_000_000, description="collections in a database")
    database_files_max: int = Field(
        18_000, ge=10, le=10_000_000, description="collections and indexes in a database: the server's open files"
    )
    sign_up: Literal["open", "closed"] = "open"
    signing_key_days: float = Field(30, ge=0.01, le=3650, description="how long a key signs tokens")
    deleted_kept_days: float = Field(
        30, ge=0, le=3650, description="how long a deleted organization can be restored before it is purged"
    )
    deleted_tickets_kept_days: float = Field(
        30, ge=0, le=3650, description="how long a deleted ticket can be restored before it goes for good"
    )
    reports_kept_days: float = Field(7, gt=0, le=365, description="how long the file of a report is there")
    rate_limits: Literal["on", "off"] = Field("on", description="off for tests and benchmarks only")
    address_requests_per_minute: int = Field(
        300, ge=1, le=1_000_000, description="requests without credentials that one address may make a minute"
    )
    attempts_per_minute: int = Field(
        30, ge=1, le=1_000_000, description="sign-ups and sign-ins that one address may try a minute, each"
    )
    account_attempts_per_minute: int = Field(
        10, ge=1, le=1_000_000, description="sign-ins to one account that one address may try a minute"
    )
    archive_max_bytes: int = Field(64 * 1024**3, ge=1, le=1024**4, description="an archive that is restored")
    file_max_bytes: int = Field(64 * 1024**3, ge=1, le=1024**4, description="a file that is shared in a room")
    ingest_requests_per_minute: int = Field(
        60, ge=1, le=1_000_000, description="what a source's host is asked a minute, by all workers together"
    )
    import_max_bytes: int = Field(2 * 1024**3, ge=1, le=1024**4)
    ingest_allowed_hosts: Annotated[tuple[str, ...], CommaSeparated] = Field(
        (), description="hosts of the inside that tenants' sources may name, as replay.example:8099"
    )

    @field_validator(
        "data_databases",
        "operator_networks",
        "trusted_proxies",
        "cors_origins",
        "ingest_allowed_hosts",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("ingest_allowed_hosts")
    @classmethod
    def _readable_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            try:
                AllowedHost.parse(text)
            except Misconfigured as error:
                raise ValueError(error.detail) from None
        return value

    @field_validator("cors_origins")
    @classmethod
    def _plain_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_ORIGIN.match(origin) for origin in value):
            raise ValueError(
                "name each origin as a browser sends it, as https://app.example or http://localhost:3000"
            )
        return value

    @field_validator("rate_limits")
    @classmethod
    def _limited_in_production(cls, value: str, info: ValidationInfo) -> str:
        if value == "off" and info.data.get("env") == "production":
            raise ValueError("a production deployment has its rate limits on")
        return value

    @field_validator("storage_url")
    @classmethod
    def _some_place(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None:
            try:
                parse_location(value.get_secret_value(), production=info.data.get("env") == "production")
            except Misconfigured as error:
                raise ValueError(error.detail) from None
        return value

    @field_validator("data_databases")
    @classmethod
    def _some_database(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError("name at least one database")
        if len(set(value)) != len(value) or not all(_DATABASE.match(name) for name in value):
            raise ValueError("name each once, in lower case, digits and underscores, 38 at most")
        return value

    @field_validator("data_databases")
    @classmethod
    def _not_the_control_database(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("control_database") in value:
            raise ValueError("the control database can't hold tenants' data: both have collections of one name")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Add the `*_FILE` variables; what is given outright goes before what is given by file."""
        return (
            init_settings,
            env_settings,
            _FilesNamedInEnvironment(settings_cls),
            dotenv_settings,
            file_secret_settings,
        )


class _FilesNamedInEnvironment(PydanticBaseSettingsSource):
    """Read a setting from the file that `<SETTING>_FILE` names, as orchestrators mount secrets."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        del field
        path = os.environ.get(f"{PREFIX}{field_name.upper()}_FILE")
        return (Path(path).read_text(encoding="utf-8").strip() if path else None), field_name, False

    def __call__(self) -> dict[str, Any]:
        found = {
            name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}


def load() -> Settings:
    """Read the settings. Raises `Misconfigured`, which names every bad or unknown one."""
    try:
        settings = Settings()
    except ValidationError as error:
        lines = [f"{PREFIX}{'_'.join(str(p) for p in e['loc'][:1]).upper()}: {e['msg']}" for e in error.errors()]
        raise Misconfigured("These settings are wrong.\n  " + "\n  ".join(lines)) from error
    except OSError as error:
        raise Misconfigured(f"A setting's file can't be read: {error}.") from error
    unknown = sorted(set(unknown_names(os.environ)))
    if unknown:
        raise Misconfigured("Unknown settings: " + ", ".join(unknown) + ". Check their spelling.")
    return settings


def known_names() -> frozenset[str]:
    """Return the environment variables that this platform reads."""
    names = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    return frozenset(names | {f"{name}_FILE" for name in names} | _CLIENTS)


def unknown_names(environment: Any) -> list[str]:
    """List the variables under our prefix that nothing reads; a misspelt setting must not pass for a default."""
    return [name for name in environment if name.startswith(PREFIX) and name not in known_names()]


_CLIENTS = {f"{PREFIX}API_{name}" for name in ("URL", "TOKEN", "PASSWORD")}
"""What the command line of a client reads, on a machine where both run."""


@cache
def current() -> Settings:
    """Return this process's settings, read once."""
    return load()
