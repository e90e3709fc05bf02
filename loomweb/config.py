"""Every setting, read from the environment once. `docs/configuration.md` has a row for each."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

from tracing.recorder import HOLD_SECONDS
from tracing.sampling import Sampler

Engine = Literal["sqlite", "cosmos"]
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_CONSISTENCY = ("Strong", "BoundedStaleness", "Session", "ConsistentPrefix", "Eventual")
_ROOT = Path(__file__).resolve().parents[1]


class ConfigError(Exception):
    """A setting is missing or wrong. The message names it and says what to do."""


@dataclass(frozen=True, slots=True)
class CosmosConfig:
    """How to reach Azure Cosmos DB. Without a key, the machine's managed identity is used."""

    endpoint: str
    key: str | None
    database: str
    consistency: str | None
    regions: tuple[str, ...]
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class RecordingConfig:
    """Where and how traces are recorded; what a process of its own is told.

    Attributes:
        database_file: the embedded store of traces, where `cosmos` is None.
        hold_seconds: how long an unsampled trace waits for a failure in it.
    """

    database_file: str
    synchronous: Literal["FULL", "NORMAL"]
    cosmos: CosmosConfig | None
    otlp_endpoint: str | None
    flush_seconds: float
    hold_seconds: float


@dataclass(frozen=True, slots=True)
class RedisConfig:
    """How to reach the Redis server of the queue and the locks.

    Attributes:
        url: as it was given; it may hold a password, so it is never shown.
        address: the same without a user, a password and options.
        local: the server is on this machine.
        encrypted: nobody on the way can read along.
        password: whether one is sent.
    """

    url: str = field(repr=False)
    address: str
    local: bool
    encrypted: bool
    password: bool


@dataclass(frozen=True, slots=True)
class Config:
    """What the process was told."""

    data_dir: Path
    host: str
    port: int
    store: Engine
    cosmos: CosmosConfig | None
    redis: RedisConfig | None
    synchronous: Literal["FULL", "NORMAL"]
    tracing: bool
    archive: bool
    trace_process: bool
    trace_flush_seconds: float
    trace_sampling: Sampler
    trace_hold_seconds: float
    otlp_endpoint: str | None
    otlp_token: str | None
    actors: tuple[str, ...]
    run_workers: bool
    concurrency: int
    lease_seconds: float
    grace_seconds: float
    debug: bool
    require_login: bool
    allowed_hosts: tuple[str, ...]
    csrf_trusted_origins: tuple[str, ...]
    behind_tls: bool
    secret_key: str

    @property
    def database_file(self) -> Path:
        """The embedded store: all but traces, and the queue and locks where no Redis has them."""
        return self.data_dir / "loom.db"

    @property
    def django_database_file(self) -> Path:
        """Users, permissions, sessions and the audit log."""
        return self.data_dir / "django.db"


def load_config(environ: Mapping[str, str] = os.environ) -> Config:
    """Read the settings.

    Raises:
        ConfigError: one is missing or malformed, or the data folder cannot be written.
    """
    read = _Reader(environ)
    data_dir = Path(environ.get("LOOM_DATA_DIR") or _ROOT / "data").expanduser().resolve()
    host = environ.get("HOST") or "127.0.0.1"
    store = read.choice("LOOM_STORE", ("sqlite", "cosmos"), "sqlite")
    local = host in _LOOPBACK
    behind_tls = read.flag("LOOM_BEHIND_TLS", False)
    _make_writable(data_dir)
    return Config(
        data_dir=data_dir,
        host=host,
        port=read.integer("PORT", 8000, 0, 65_535),
        store="cosmos" if store == "cosmos" else "sqlite",
        cosmos=_cosmos(environ, read) if store == "cosmos" else None,
        redis=_redis(environ.get("LOOM_REDIS_URL") or ""),
        synchronous="NORMAL"
        if read.choice("LOOM_SQLITE_SYNCHRONOUS", ("FULL", "NORMAL"), "FULL") == "NORMAL"
        else "FULL",
        tracing=read.flag("LOOM_TRACING", True),
        archive=read.flag("LOOM_ARCHIVE", True),
        trace_process=read.flag("LOOM_TRACE_PROCESS", True),
        trace_flush_seconds=read.number("LOOM_TRACE_FLUSH_SECONDS", 0.5, 0.05, 60.0),
        trace_sampling=read.sampling("LOOM_TRACE_SAMPLE"),
        trace_hold_seconds=read.number("LOOM_TRACE_HOLD_SECONDS", HOLD_SECONDS, 1.0, 3_600.0),
        otlp_endpoint=read.address("LOOM_OTLP_ENDPOINT"),
        otlp_token=environ.get("LOOM_OTLP_TOKEN") or None,
        actors=read.names("LOOM_ACTORS", ()),
        run_workers=read.flag("LOOM_RUN_WORKERS", False),
        concurrency=read.integer("LOOM_CONCURRENCY", 64, 1, 10_000),
        lease_seconds=read.number("LOOM_LEASE_SECONDS", 30.0, 1.0, 3_600.0),
        grace_seconds=read.number("LOOM_GRACE_SECONDS", 10.0, 0.0, 3_600.0),
        debug=read.flag("LOOM_DEBUG", False),
        require_login=read.flag("LOOM_REQUIRE_LOGIN", not local),
        allowed_hosts=read.names("LOOM_ALLOWED_HOSTS", (*_LOOPBACK, "[::1]", host)),
        csrf_trusted_origins=read.names("LOOM_CSRF_TRUSTED_ORIGINS", ()),
        behind_tls=behind_tls,
        secret_key=environ.get("LOOM_SECRET_KEY") or _kept_secret(data_dir / "secret-key"),
    )


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def flag(self, name: str, default: bool) -> bool:
        value = self.choice(name, ("0", "1"), "1" if default else "0")
        return value == "1"

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        value = self._environ.get(name) or default
        if value not in choices:
            raise ConfigError(f"{name} is {value!r}; it takes one of {', '.join(choices)}")
        return value

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        value = self._environ.get(name) or str(default)
        if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
            raise ConfigError(f"{name} is {value!r}; it takes a whole number, {least} to {most}")
        return int(value)

    def number(self, name: str, default: float, least: float, most: float) -> float:
        value = self._environ.get(name) or str(default)
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not least <= number <= most:
            raise ConfigError(f"{name} is {value!r}; it takes a number, {least} to {most}")
        return number

    def sampling(self, name: str) -> Sampler:
        """Read "0.1" or "0.1,LoanApplication=1": a share, and shares of some workflows."""
        everything, rates = 1.0, {}
        for part in self.names(name, ()):
            whose, _, share = part.rpartition("=")
            try:
                rate = float(share)
            except ValueError:
                rate = float("nan")
            if not 0 <= rate <= 1:
                raise ConfigError(
                    f"{name} has {part!r}; it takes a share from 0 to 1, and workflow=share"
                )
            if whose:
                rates[whose.strip()] = rate
            else:
                everything = rate
        return Sampler(everything, rates)

    def address(self, name: str) -> str | None:
        value = self._environ.get(name)
        if not value:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{name} is not an address such as http://127.0.0.1:4318/v1/traces")
        return value

    def names(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self._environ.get(name)
        if not value:
            return tuple(dict.fromkeys(default))
        return tuple(part.strip() for part in value.split(",") if part.strip())


def _cosmos(environ: Mapping[str, str], read: _Reader) -> CosmosConfig:
    endpoint = environ.get("COSMOS_ENDPOINT", "")
    parts = urlsplit(endpoint)
    if parts.scheme not in ("https", "http") or not parts.hostname:
        raise ConfigError(
            "LOOM_STORE=cosmos needs COSMOS_ENDPOINT, such as https://name.documents.azure.com:443/"
        )
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigError("COSMOS_ENDPOINT must be https, except on this machine")
    return CosmosConfig(
        endpoint=endpoint,
        key=environ.get("COSMOS_KEY") or None,
        database=environ.get("COSMOS_DATABASE") or "loom",
        consistency=read.choice("COSMOS_CONSISTENCY", ("", *_CONSISTENCY), "") or None,
        regions=read.names("COSMOS_REGIONS", ()),
        timeout_seconds=read.number("COSMOS_TIMEOUT_SECONDS", 20.0, 1.0, 300.0),
    )


def _redis(url: str) -> RedisConfig | None:
    if not url:
        return None
    # The value is not quoted: it may hold a password.
    wrong = ConfigError(
        "LOOM_REDIS_URL is not the address of a Redis server, such as redis://127.0.0.1:6379/0,"
        " rediss://user:password@redis.example:6380/0 or unix:///run/redis.sock"
    )
    try:
        parts = urlsplit(url)
        port, host, options = parts.port or 6379, parts.hostname or "", parse_qs(parts.query)
    except ValueError:
        raise wrong from None
    password = bool(parts.password or options.get("password"))
    if parts.scheme == "unix" and parts.path and not host:
        return RedisConfig(url, f"unix://{parts.path}", True, False, password)
    database = parts.path.strip("/") or "0"
    numbered = database.isascii() and database.isdigit()
    if parts.scheme not in ("redis", "rediss") or not host or not numbered:
        raise wrong
    named = f"[{host}]" if ":" in host else host
    return RedisConfig(
        url,
        f"{parts.scheme}://{named}:{port}/{database}",
        host in _LOOPBACK,
        parts.scheme == "rediss",
        password,
    )


def _make_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".write-{secrets.token_hex(4)}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"the data folder {folder} cannot be written ({error.strerror}): set LOOM_DATA_DIR to "
            "one that can"
        ) from None


def _kept_secret(file: Path) -> str:
    """Return the secret of this data folder, made on first use and readable by its owner only."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text()
    with os.fdopen(descriptor, "w") as handle:
        secret = secrets.token_urlsafe(50)
        handle.write(secret)
    return secret
