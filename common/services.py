"""The composition root: the one place that makes clients, clocks and the parts that stand on them."""

import functools
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import redis
from pymongo.errors import PyMongoError
from redis.backoff import NoBackoff
from redis.retry import Retry

from common.analytics.platform_totals import TOTALS_INDEXES, PlatformTotals
from common.analytics.reports import Reports
from common.analytics.statistics import Statistics
from common.analytics.tenants import Tenants
from common.analytics.usage import Usage
from common.analytics.usage_warnings import UsageWarnings
from common.audit import AUDIT_INDEXES, Audit
from common.caller import Caller
from common.clock import Clock, SystemClock
from common.config import Settings
from common.coordination.circuit_breaker import CircuitBreaker
from common.coordination.limit_states import LimitStates
from common.coordination.lock import Lock
from common.coordination.memory import RedisMemory
from common.coordination.rate_limiter import RateLimiter
from common.errors import Misconfigured, Unavailable
from common.events import EVENTS_INDEXES
from common.figures import Figures, PoolCounts
from common.files.cleaner import Cleaner
from common.files.members import Members
from common.files.rooms import Rooms
from common.files.storage import Storage
from common.files.uploads import Uploads
from common.ids import OrgId
from common.jobs.backlog import Backlog
from common.jobs.children import CLOSINGS_INDEXES
from common.jobs.idempotency import IDEMPOTENCY_INDEXES
from common.jobs.kind import Job, discover, queues
from common.jobs.lanes import Lanes
from common.jobs.live import Live
from common.jobs.record import JobRecord
from common.jobs.steering import Steering
from common.jobs.store import JOBS_INDEXES, JobStore
from common.jobs.submit import Submitter
from common.jobs.sweep import Sweep
from common.keys import SecretKeys
from common.metering.kept import USAGE_INDEXES
from common.metering.meter import Meter
from common.metering.mover import Mover
from common.organizations.api_keys import ApiKeys
from common.organizations.archives import Archives
from common.organizations.life import Life
from common.organizations.people import People
from common.organizations.person import bring_up_to_date
from common.organizations.placing import Placing
from common.organizations.sessions import Sessions
from common.organizations.signing_keys import SigningKeys
from common.organizations.standing import Standing
from common.organizations.tokens import Tokens
from common.outbound.addresses import Addresses
from common.outbound.allowed_host import AllowedHost
from common.outbound.fetcher import Fetcher
from common.slow import SlowCommands, WatchedRedis
from common.sources.logs import IngestionLogs
from common.sources.running import Runs
from common.sources.schedule import Schedule
from common.sources.sources import Sources
from common.storage.blob_store import BlobStore
from common.storage.open_store import open_store
from common.tenancy.cache import Cache
from common.tenancy.capacity import Capacity, Limits
from common.tenancy.census import Census
from common.tenancy.changes import CHANGES_INDEXES, Changes
from common.tenancy.connection import check, connect
from common.tenancy.control import ControlPlane
from common.tenancy.indexes import Indexes
from common.tenancy.registry import Registry
from common.tenancy.remembered import Remembered
from common.tenancy.scope import OrgScope
from common.tenancy.tiers import Tiers
from common.tickets.by_hand import TicketsByHand

SHARED_TIMEOUT_S = 0.5
"""How long a limiter, lock or breaker may take to answer; a request waits for it."""


class Services:
    """What a process works with. Make it after a fork: its clients must not be shared with another process."""

    def __init__(self, settings: Settings, *, clock: Clock | None = None, process: str = "fairway") -> None:
        discover()
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        pool = PoolCounts()
        # A slot has a connection or two, and counting each use of them would cost a tenth of what it does.
        listeners = [SlowCommands()] if process.endswith(":child") else [pool, SlowCommands()]
        self._mongo = connect(settings.mongo_url.get_secret_value(), process, listeners)
        self.broker = connect_redis(settings.broker_url.get_secret_value())
        self.shared = connect_redis(settings.redis_url.get_secret_value(), timeout_s=SHARED_TIMEOUT_S)
        indexes = {
            "jobs": JOBS_INDEXES,
            "closings": CLOSINGS_INDEXES,
            "idempotency": IDEMPOTENCY_INDEXES,
            "audit": AUDIT_INDEXES,
            "events": EVENTS_INDEXES,
            "changes": CHANGES_INDEXES,
            **USAGE_INDEXES,
            **TOTALS_INDEXES,
        }
        self.control = ControlPlane(self._mongo, settings.control_database, indexes)
        self.streams = connect_redis(settings.redis_url.get_secret_value())
        cache = Cache(self.shared)
        self.changes = Changes(self.control, cache, self.streams)
        self.remembered = Remembered(self.changes, cache)
        self.registry = Registry(self.control, self._mongo, settings.data_databases, self.remembered)
        self.memory = RedisMemory(self.shared, is_first=self._is_first_memory)
        self.locks = Lock(self.shared, next_epoch=self.control.next_lock_epoch, holder=process)
        self.outside_limiter = self.limiter("outside")
        self.breaker = CircuitBreaker(self.shared, memory=self.memory)
        self.limit_states = LimitStates(self.shared)
        self.audit = Audit(self.control, self.clock)
        self.meter = Meter(self.shared, self.clock)
        self.tiers = Tiers(self.control, self.clock)
        self.lanes = Lanes(self.broker, tier_of=self._tier_of)
        self.steering = Steering(self.control, self.registry, self.tiers, self.lanes, self.clock)
        self.backlog = Backlog(self.lanes, self._most_waiting, self.clock)
        clients = {"broker": self.broker, "shared": self.shared}
        self.figures = Figures(process.split(":", 1)[0], pool, clients)
        self.live = Live(self.shared)
        self.jobs = JobStore(
            self.control, self.clock, lease_s=settings.lease_s, woken=self.lanes.admit_all_soon, live=self.live
        )
        self.submitter = Submitter(
            self.control, self.jobs, self.lanes, self.backlog, self.clock, accepted=self._note_accepted
        )
        self.blobs: BlobStore = open_store(
            settings.storage_url.get_secret_value() if settings.storage_url else None,
            default=settings.data_dir / "blobs",
            production=settings.env == "production",
        )

    @classmethod
    def open(cls, settings: Settings, *, process: str = "fairway") -> "Services":
        """Make the services and check what they stand on. Raises `Misconfigured`, saying what to change."""
        services = cls(settings, process=process)
        services.check()
        return services

    @functools.cached_property
    def keys(self) -> SecretKeys:
        """Return the keys that secrets are encrypted with."""
        settings = self.settings
        return SecretKeys.load(
            settings.secret_keys_file, data_dir=settings.data_dir, production=settings.env == "production"
        )

    @functools.cached_property
    def tokens(self) -> Tokens:
        """Return the maker and reader of access tokens."""
        return Tokens(self.signing_keys, self.clock)

    @functools.cached_property
    def signing_keys(self) -> SigningKeys:
        """Return the keys that tokens are signed with."""
        lasts = timedelta(days=self.settings.signing_key_days)
        return SigningKeys(self.control, self.keys, self.clock, self.changes, lasts=lasts)

    @functools.cached_property
    def sessions(self) -> Sessions:
        """Return the sessions of who is signed in."""
        return Sessions(self.control, self.keys, self.clock, self.changes, self.tokens)

    @functools.cached_property
    def people(self) -> People:
        """Return who may sign in, by organization."""
        return People(self.control, self.clock, self.changes)

    @functools.cached_property
    def api_keys(self) -> ApiKeys:
        """Return the keys of machines."""
        return ApiKeys(self.control, self.clock, self.changes)

    @functools.cached_property
    def life(self) -> Life:
        """Return what changes organizations."""
        kept_for = timedelta(days=self.settings.deleted_kept_days)
        return Life(self.control, self.registry, self.changes, self.submitter, self.clock, kept_for=kept_for)

    @functools.cached_property
    def capacity(self) -> Capacity:
        """Return how full the data databases are."""
        settings = self.settings
        limits = Limits(
            organizations=settings.database_organizations_max,
            collections=settings.database_collections_max,
            files=settings.database_files_max,
        )
        return Capacity(self.control, self._mongo, settings.data_databases, limits=limits)

    @functools.cached_property
    def archives(self) -> Archives:
        """Return the archives that organizations made of themselves."""
        return Archives(self.control, self.blobs)

    @functools.cached_property
    def uploads(self) -> Uploads:
        """Return what takes in files."""
        return Uploads(self.scope, self.blobs, self.clock, self._most_stored)

    @functools.cached_property
    def storage(self) -> Storage:
        """Return how organizations stand against their quotas."""
        return Storage(self.control, self.scope, self._most_stored, self.clock)

    @functools.cached_property
    def cleaner(self) -> Cleaner:
        """Return what removes the bytes that crashes left."""
        return Cleaner(self.control, self.registry, self.blobs, self.clock)

    @functools.cached_property
    def rooms(self) -> Rooms:
        """Return the rooms in which people share files."""
        return Rooms(self.control, self.scope, self.submitter, self.clock)

    @functools.cached_property
    def room_members(self) -> Members:
        """Return who is in those rooms."""
        return Members(self.scope, self.clock)

    @functools.cached_property
    def tickets(self) -> TicketsByHand:
        """Return what makes and changes tickets by hand."""
        kept_for = timedelta(days=self.settings.deleted_tickets_kept_days)
        return TicketsByHand(self.control, self.scope, self.clock, kept_for=kept_for, written=self._note_row)

    @functools.cached_property
    def statistics(self) -> Statistics:
        """Return what tickets come to."""
        return Statistics(self.scope, self.clock)

    @functools.cached_property
    def reports(self) -> Reports:
        """Return the reports that organizations had written."""
        return Reports(self.scope, self.blobs, self.clock)

    @functools.cached_property
    def usage(self) -> Usage:
        """Return what organizations use of what their tiers give."""
        return Usage(
            self.control,
            self.lanes,
            self.clock,
            allowance_of=self.steering.allowance_of,
            storage_of=self.storage.look,
        )

    @functools.cached_property
    def usage_warnings(self) -> UsageWarnings:
        """Return what tells them when that is nearly used up."""
        return UsageWarnings(self.control, self.lanes, self.clock, allowance_of=self.steering.allowance_of)

    @functools.cached_property
    def tenants(self) -> Tenants:
        """Return what all of them use, for operators."""
        return Tenants(self.control, self.jobs, self.lanes, self.clock, self.tiers)

    @functools.cached_property
    def census(self) -> Census:
        """Return what asks all organizations for sums, for the platform."""
        return Census(self.control, self._mongo, self.settings.data_databases)

    @functools.cached_property
    def platform_totals(self) -> PlatformTotals:
        """Return what all organizations come to, for operators."""
        return PlatformTotals(self.control, self.census, self.clock)

    @functools.cached_property
    def mover(self) -> Mover:
        """Return what moves what all processes counted to where it is kept."""
        return Mover(self.control, self.shared, self.clock)

    @functools.cached_property
    def sources(self) -> Sources:
        """Return the outside APIs that tickets are ingested from."""
        return Sources(
            self.control,
            self.scope,
            self.submitter,
            self.runs,
            keys=self.keys,
            addresses=self.addresses,
            clock=self.clock,
        )

    @functools.cached_property
    def runs(self) -> Runs:
        """Return who runs those sources."""
        return Runs(self.control, self.scope, self.submitter, self.clock)

    @functools.cached_property
    def ingestion_logs(self) -> IngestionLogs:
        """Return what the runs of those sources told."""
        return IngestionLogs(self.control, self.scope, self.clock)

    @functools.cached_property
    def schedule(self) -> Schedule:
        """Return what starts the runs of sources that are due."""
        return Schedule(self.registry, self.runs, self.ingestion_logs, self.clock)

    @functools.cached_property
    def indexes(self) -> Indexes:
        """Return the walk over all collections and their indexes."""
        return Indexes(self.control, self._mongo, self.settings.data_databases)

    @functools.cached_property
    def placing(self) -> Placing:
        """Return what places new organizations."""
        return Placing(self.control, self.registry, self.capacity, self.clock)

    @functools.cached_property
    def standing(self) -> Standing:
        """Return the judge of who may still come in."""
        return Standing(self.control, self.registry, self.remembered, self.clock)

    @functools.cached_property
    def fetcher(self) -> Fetcher:
        """Return what calls the hosts that tenants name."""
        return Fetcher(self.addresses)

    @functools.cached_property
    def addresses(self) -> Addresses:
        """Return the judge of which addresses may be called."""
        return Addresses([AllowedHost.parse(host) for host in self.settings.ingest_allowed_hosts])

    def limiter(self, purpose: str) -> RateLimiter:
        """Return the rate limiter of one purpose; make it once, and keep it."""
        return RateLimiter(self.shared, purpose, memory=self.memory)

    def _note_accepted(self, org_id: OrgId, count: int) -> None:
        self.meter.add(org_id, "jobs", count)

    def _note_row(self, org_id: OrgId) -> None:
        self.meter.add(org_id, "rows")

    def _tier_of(self, org_id: OrgId) -> str:
        return self.steering.tier_of(org_id)

    def _most_waiting(self, org_id: OrgId) -> int:
        return self.steering.allowance_of(org_id).waiting

    def _most_stored(self, org_id: OrgId) -> int:
        return self.steering.allowance_of(org_id).storage_bytes

    def _is_first_memory(self) -> bool:
        return self.control.is_first_memory(self.clock.now())

    def submit(self, caller: Caller, job: Job, **options: Any) -> JobRecord:
        """Accept *job* for *caller*; the options and errors are those of `Submitter.submit`."""
        return self.submitter.submit(caller, job, **options)

    def sweep(self, *, still_leading: Callable[[], bool] = lambda: True) -> Sweep:
        """Make the sweep; its passes are made only while *still_leading* says yes."""
        return Sweep(
            self.control,
            self.jobs,
            self.lanes,
            self.broker,
            self.clock,
            steering=self.steering,
            meter=self.meter,
            still_leading=still_leading,
        )

    def scope(self, org_id: OrgId) -> OrgScope:
        """Return the only way to that organization's data."""
        return self.registry.scope(org_id)

    def prepare(self) -> None:
        """Make collections and indexes of the control plane and of every data database; safe to repeat."""
        self.control.ensure_indexes()
        self.registry.prepare_databases()
        bring_up_to_date(self.control)

    def check(self) -> None:
        """Refuse to start on a server that could lose what we accept. Raises `Misconfigured`.

        A Redis that is not there yet is no reason to refuse: everything in it can be rebuilt. Nor is a store of
        files that does not answer yet.
        """
        check(self._mongo)
        self.blobs.check()
        self.keys  # noqa: B018 (a missing key file is found at the start, not at the first secret)
        _refuse_eviction(self.broker, "The broker's Redis", "waiting jobs' places")
        _refuse_eviction(self.shared, "The Redis of limits and locks", "locks that are held")

    def probe(self) -> tuple[bool, Sequence[str]]:
        """Tell whether MongoDB has a primary, and name what else is missing (Redis, a queue's workers)."""
        degraded: list[str] = []
        try:
            idle = [queue for queue in queues() if self.lanes.look(queue).slots == 0]
            degraded += [f"workers:{queue}" for queue in idle]
            self.shared.ping()
        except (Unavailable, redis.RedisError):
            degraded.append("redis")
        try:
            self._mongo.admin.command("ping")
        except PyMongoError:
            return False, degraded
        return True, degraded

    def close(self) -> None:
        """Say what is left to say, and close the clients."""
        self.meter.close()
        self.live.close()
        self.changes.stop()
        self.figures.stop()
        if "fetcher" in vars(self):
            self.fetcher.close()
        self._mongo.close()
        self.broker.close()
        self.shared.close()
        self.streams.close()


def _refuse_eviction(client: "redis.Redis", what: str, lost: str) -> None:
    try:
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
    except redis.RedisError:
        return  # it is away, or CONFIG is not ours to ask there and the deployment sets the policy
    if policy != "noeviction":
        raise Misconfigured(
            f"{what} evicts ({policy}) and would drop {lost} silently. Set maxmemory-policy to noeviction."
        )


def connect_redis(url: str, *, timeout_s: float = 3.0) -> "redis.Redis":
    """Make a client that answers or fails within seconds; a connection that went stale is tried once more."""
    return WatchedRedis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(2.0, timeout_s),
        socket_keepalive=True,
        health_check_interval=10,
        max_connections=64,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )
