"""Every setting: name, default, unit, meaning. Nothing else in the service reads the environment.

`load_settings` is called once, at the entry point; the frozen object is handed on. A bad value raises `BadSetting`,
whose text is one line that names the variable and never repeats a secret.
"""

import os
import re
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from service.domain.callback_address import CallbackPolicy
from service.domain.capacity import MAX_LIMIT, TIERS, BadCapacity, Capacity, read_per_minute
from service.domain.errors import BreakwaterError

PREFIX = "BREAKWATER_"


class BadSetting(BreakwaterError):
    """The configuration cannot be used; the text is one line that names the variable."""


_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|(?=.{1,253}(?:[:/]|$))[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?)"
"""An address in brackets, or a name of labels that DNS can carry (RFC 1035); underscores as container networks use."""

_BASE_URL = re.compile(rf"https?://{_HOST}(?::(\d{{1,5}}))?/*")
_REDIS_URL = re.compile(rf"rediss?://(?:[^/@\s]*@)?{_HOST}(?::(\d{{1,5}}))?(?:/\d{{0,4}})?")
_ADDRESS = re.compile(rf"{_HOST}(?::(\d{{1,5}}))?")
_KEYS = {
    "encryption_key": (re.compile(r"[A-Za-z0-9_-]{43}="), "32 bytes in urlsafe base64 (44 characters)"),
    "signing_key": (re.compile(r"[\x21-\x7e]{16,512}"), "16 to 512 characters of printable ASCII without blanks"),
}
_API_KEY = re.compile(r"[\x21-\x7e]{1,512}")


def _port_fits(match: re.Match[str] | None) -> bool:
    """Whether a URL matched, and its port, where it names one, is a port."""
    return match is not None and (match[1] is None or 1 <= int(match[1]) <= 65535)


def _http_url(value: str) -> str:
    """Accept scheme, host and port; drop a trailing slash."""
    if not _port_fits(_BASE_URL.fullmatch(value)):
        raise ValueError("must be a URL https://HOST[:PORT] or http://..., without path, query, fragment, credentials")
    return value.rstrip("/")


def _redis_url(value: SecretStr) -> SecretStr:
    """Accept what redis-py accepts, checked here because its own complaint may repeat the password."""
    if not _port_fits(_REDIS_URL.fullmatch(value.get_secret_value())):
        raise ValueError("must be redis://[USER:PASSWORD@]HOST[:PORT][/DB] or rediss://...")
    return value


def clean_api_key(text: str) -> str:
    """A key that HTTP can carry; the newline of a careless `echo` is dropped. Raises `ValueError`."""
    key = text.strip()
    if not _API_KEY.fullmatch(key):
        raise ValueError("must be printable ASCII without blanks")
    return key


def _api_key(value: SecretStr) -> SecretStr:
    """Accept a key that HTTP can carry."""
    return SecretStr(clean_api_key(value.get_secret_value()))


def _admin_token(value: SecretStr) -> SecretStr:
    """Accept a token that HTTP can carry and nobody guesses."""
    token = _api_key(value)
    if len(token.get_secret_value()) < 16:
        raise ValueError("must be at least 16 characters")
    return token


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """The configuration of one process, read from the environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    redis_url: Annotated[SecretStr, AfterValidator(_redis_url)] = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="The Redis primary, `redis://[user:password@]host:port/db` (`rediss://` for TLS).",
    )
    redis_sentinels: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Sentinels that know where the primary is, `HOST:PORT`, comma-separated; of `BREAKWATER_REDIS_URL`"
        " then only scheme, user, password and database count. Unset: the URL says where it is.",
    )
    redis_master: str = Field(
        "mymaster", pattern=r"^[A-Za-z0-9._-]{1,100}$", description="The sentinels' name of the primary."
    )
    upstream_url: HttpUrl = Field("https://api.wavespeed.ai", description="Where WaveSpeed is, without `/api/v3`.")
    wavespeed_api_key: Annotated[SecretStr, AfterValidator(_api_key)] | None = Field(
        None,
        validation_alias=AliasChoices("WAVESPEED_API_KEY", "wavespeed_api_key"),
        description="The company's WaveSpeed key, put on every upstream call.",
    )
    upstream_key_file: Path | None = Field(
        None, description="A file holding that key instead (a mounted secret); read again when it changes."
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address the gateway listens on.")
    port: Port = Field(8080, description="Port the gateway listens on.")
    public_url: HttpUrl | None = Field(
        None, description="How callers reach the gateway; written into `urls.get`. Unset: `http://HOST:PORT`."
    )
    encryption_key: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="32 bytes in urlsafe base64; encrypts webhook secrets at rest. Several, comma-separated, to"
        " rotate: the first encrypts, all decrypt. Required by `serve` and `worker`.",
    )
    signing_key: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="Signs our ids in the addresses WaveSpeed calls back, at least 16 characters. Several,"
        " comma-separated, to rotate: the first signs, all verify. Required with `BREAKWATER_UPSTREAM_WEBHOOKS=on`.",
    )
    upstream_webhooks: Literal["off", "on"] = Field(
        "off",
        description="Whether WaveSpeed calls back when a run ends; polling is then a sparse safety net. Needs a"
        " `BREAKWATER_PUBLIC_URL` that WaveSpeed reaches.",
    )
    upstream_reads_per_s: int = Field(
        100, ge=1, le=100_000, description="Most looks at WaveSpeed a second, over all workers."
    )
    output_expiring_s: float = Field(
        86_400.0,
        ge=0,
        le=604_800,
        description="How long before its outputs are gone a `prediction.output_expiring` event is sent, in seconds;"
        " 0: none.",
    )
    admin_token: Annotated[SecretStr, AfterValidator(_admin_token)] | None = Field(
        None, description="The operators' bearer token for `/admin/v1`, at least 16 characters. Unset: no admin face."
    )
    tenants_file: Path | None = Field(
        None, description="A TOML file of tenants that `serve` applies when it starts; see docs/tenants.md."
    )
    worker_metrics_port: Port = Field(9091, description="Port on which the worker serves `/metrics` and `/livez`.")
    models_file: Path | None = Field(
        None, description="A TOML file of models, added to the built-in catalogue (same ids replace)."
    )
    upstream_tier: Literal["", "bronze", "silver", "gold", "ultra"] = Field(
        "", description="The account's level at WaveSpeed, which says how much it may do at once. Unset: no limit."
    )
    upstream_per_minute: str = Field(
        "",
        description="Submissions a minute the account may make, `60` or `video=60,image=120`, instead of its level's.",
    )
    upstream_concurrency: int | None = Field(
        None, ge=1, le=MAX_LIMIT, description="Tasks the account may have at once, instead of its level's."
    )
    upstream_balance_low_usd: Decimal = Field(
        Decimal("10.00"),
        ge=0,
        le=1_000_000,
        max_digits=13,
        decimal_places=6,
        description="Below this balance of the account, in dollars, submissions are answered with a warning; 0: never.",
    )
    max_queued: int = Field(
        10_000,
        ge=0,
        le=1_000_000,
        description="Submissions of a tenant that may wait for the account, unless it has a `max_queued` of its own.",
    )
    max_queue_wait_s: float = Field(
        3_600.0, gt=0, le=604_800, description="How long a submission may wait for the account, in seconds."
    )
    unlisted_models: Literal["deny", "allow"] = Field(
        "deny", description="Whether models that no catalogue lists may be submitted to as well, with any input."
    )
    unlisted_price_usd: Decimal = Field(
        Decimal("1.00"),
        gt=0,
        le=1_000_000,
        max_digits=13,
        decimal_places=6,
        description="What a run of such a model counts as, in dollars.",
    )
    callback_allow: str = Field(
        "",
        description="Where callbacks may go: CIDRs and host patterns, comma-separated; `http:` before a pattern"
        " allows plain http. Unset: nowhere.",
    )
    max_body_bytes: int = Field(
        1_048_576, ge=1024, le=67_108_864, description="Largest JSON body accepted, in bytes; more is answered 413."
    )
    max_upload_bytes: int = Field(
        104_857_600, ge=1024, le=10_737_418_240, description="Largest upload passed on, in bytes; more is answered 413."
    )
    max_wait_s: float = Field(
        50.0,
        ge=0,
        le=600,
        description="How long a request is held at most that waits for its prediction's end, in seconds: synchronous"
        " mode, `Prefer: wait=20`. Keep it below the timeouts of what stands between callers and the gateway.",
    )
    tenant_streams: int = Field(
        1_000, ge=1, le=20_000, description="Event streams and held requests a tenant may have open in one process."
    )
    output_hosts: str = Field(
        "*.cloudfront.net, *.wavespeed.ai",
        description="Where the gateway may fetch outputs from, host patterns and CIDRs, comma-separated; the upstream's"
        " own origin always.",
    )
    poll_scale: float = Field(
        1.0, gt=0, le=100, description="Multiplies every poll delay and the deadline; for tests, demos and drills."
    )
    retry_scale: float = Field(
        1.0, gt=0, le=10, description="Multiplies every webhook retry delay and floor; for tests and drills."
    )
    poll_concurrency: int = Field(256, ge=1, le=4096, description="Looks at WaveSpeed in flight in one worker.")
    submit_concurrency: int = Field(
        64, ge=1, le=10_000, description="Submissions that have waited, in flight in one worker."
    )
    deliver_concurrency: int = Field(256, ge=1, le=4096, description="Webhook attempts in flight in one worker.")
    endpoint_concurrency: int = Field(
        8, ge=1, le=256, description="Webhook attempts in flight to one receiver, over all workers."
    )
    shutdown_grace_s: float = Field(
        5.0,
        ge=0,
        le=600,
        description="How long the gateway still answers after SIGTERM, its `/readyz` red, in seconds; a second signal"
        " ends it.",
    )
    drain_s: float = Field(
        25.0, gt=0, le=600, description="Longest wait for work in flight after SIGTERM and that grace, in seconds."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line written."
    )

    @field_validator("encryption_key", "signing_key", mode="before")
    @classmethod
    def _split_keys(cls, value: object, field: ValidationInfo) -> object:
        """Take several keys from one comma-separated variable and check each of them."""
        keys = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if not isinstance(keys, list | tuple):
            raise ValueError("must be text")
        form, told = _KEYS[str(field.field_name)]
        for key in keys:
            if not form.fullmatch(key.get_secret_value() if isinstance(key, SecretStr) else str(key)):
                raise ValueError(f"each key must be {told}")
        return tuple(keys)

    @field_validator("redis_sentinels", mode="before")
    @classmethod
    def _split_sentinels(cls, value: object) -> object:
        """Take several addresses from one comma-separated variable and check each of them."""
        addresses = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
        if not isinstance(addresses, list | tuple):
            raise ValueError("must be text")
        for address in addresses:
            match = _ADDRESS.fullmatch(str(address))
            if not _port_fits(match) or not match or match[1] is None:
                raise ValueError("each sentinel must be HOST:PORT")
        return tuple(addresses)

    @field_validator("upstream_per_minute")
    @classmethod
    def _check_per_minute(cls, value: str) -> str:
        """Refuse what is no number of submissions."""
        try:
            read_per_minute(value or "1")
        except BadCapacity as bad:
            raise ValueError(str(bad)) from None
        return value

    @field_validator("callback_allow", "output_hosts")
    @classmethod
    def _check_allow_list(cls, value: str) -> str:
        """Refuse an allow-list that does not parse, at start rather than when it is first needed."""
        CallbackPolicy.parse(value)
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
        """Read keyword arguments and the environment; no dotenv or secrets directory can surprise."""
        return init_settings, env_settings

    @property
    def sentinels(self) -> tuple[tuple[str, int], ...]:
        """The sentinels as host and port; none where Redis stands alone."""
        split = (address.rpartition(":") for address in self.redis_sentinels)
        return tuple((host.strip("[]"), int(port)) for host, _, port in split)

    @property
    def capacity(self) -> Capacity:
        """What the account may do: as its level says, and what is set besides."""
        level = TIERS.get(self.upstream_tier, Capacity())
        per_minute = read_per_minute(self.upstream_per_minute) if self.upstream_per_minute else level.per_minute
        return Capacity(self.upstream_concurrency or level.concurrency, per_minute)

    @property
    def base_url(self) -> str:
        """How callers reach the gateway, without a trailing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"


CALLERS_KEY: Final = PREFIX + "KEY"
"""What documentation and `make run` call a caller's own key: no setting, and no misspelt one."""


def variable_of(field: str) -> str:
    """Name the environment variable that sets `field`."""
    return "WAVESPEED_API_KEY" if field == "wavespeed_api_key" else PREFIX + field.upper()


def load_settings(*, needs_upstream_key: bool = False, needs_encryption_key: bool = False) -> Settings:
    """Read the environment once. Raises `BadSetting` with one line that names the variable at fault."""
    try:
        settings = Settings()
    except ValidationError as invalid:
        field, why = next(iter(_told(invalid).items()))
        raise BadSetting(f"{variable_of(field)}: {why}") from None
    if needs_encryption_key and not settings.encryption_key:
        raise BadSetting(
            f"{PREFIX}ENCRYPTION_KEY: is required; make one with: head -c 32 /dev/urandom | base64 | tr '+/' '-_'"
        )
    if needs_upstream_key and settings.wavespeed_api_key is None and settings.upstream_key_file is None:
        raise BadSetting(f"WAVESPEED_API_KEY: is required (or {PREFIX}UPSTREAM_KEY_FILE)")
    if settings.upstream_webhooks == "on":
        for field in ("public_url", "signing_key"):
            if not getattr(settings, field):
                raise BadSetting(f"{variable_of(field)}: is required with {PREFIX}UPSTREAM_WEBHOOKS=on")
    if settings.upstream_key_file is not None:
        check_key_file(settings.upstream_key_file)
    return settings


def unreadable_settings() -> dict[str, str]:
    """What is wrong with the environment: field → why its value cannot be used, without the value."""
    try:
        Settings()
    except ValidationError as invalid:
        return _told(invalid)
    return {}


def _told(invalid: ValidationError) -> dict[str, str]:
    """Field → what is wrong with it."""
    told: dict[str, str] = {}
    for error in invalid.errors(include_url=False, include_input=False):
        location = str(error["loc"][0]) if error["loc"] else ""
        field = "wavespeed_api_key" if location == "WAVESPEED_API_KEY" else location
        message = error["msg"].removeprefix("Value error, ")
        told.setdefault(field, f"{message[:1].lower()}{message[1:]}")
    return told


def check_key_file(file: Path) -> None:
    """Refuse a key file that is missing, unreadable, empty or not a key. Raises `BadSetting`."""
    try:
        _api_key(SecretStr(file.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise BadSetting(f"{PREFIX}UPSTREAM_KEY_FILE: {file}: {getattr(error, 'strerror', None) or error}") from None


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """List the `BREAKWATER_*` variables that no setting reads: likely misspelt, worth a warning."""
    known = {variable_of(field) for field in Settings.model_fields} | {CALLERS_KEY}
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def warn_of_unknown_variables() -> None:
    """Name on standard error what stands under our prefix in the environment and nothing reads: a slip of the pen."""
    for name in unknown_variables(os.environ):
        print(f"warning: {name} is not a setting of this version", file=sys.stderr)  # noqa: T201
