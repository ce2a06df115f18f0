"""Everything `breakwater check` promises to find: how bad it is, what it means, what to do about it.

docs/check.md shows this table, and a test finds each row of it in a configuration that is really wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Level(StrEnum):
    """How bad a finding is: a note is for information, a warning deserves a look, a problem must be mended."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Promise:
    """One thing that is found: `means` says what it is and what follows, `remedy` what to do, naming the setting."""

    level: Level
    means: str
    remedy: str


def _problem(means: str, remedy: str) -> Promise:
    return Promise(Level.PROBLEM, means, remedy)


def _warning(means: str, remedy: str) -> Promise:
    return Promise(Level.WARNING, means, remedy)


def _note(means: str, remedy: str) -> Promise:
    return Promise(Level.NOTE, means, remedy)


_SETTINGS: Final = {
    "setting-unreadable": _problem(
        "a variable has a value that cannot be used; neither gateway nor worker starts",
        "set the variable named here to what the README's table of settings says",
    ),
    "setting-unknown": _warning(
        "a `BREAKWATER_*` variable that no setting reads, likely misspelt",
        "correct its name by the README's table of settings, or take it out",
    ),
    "scale-not-one": _warning(
        "polling or retries are scaled, which is for tests, demos and drills",
        "take out `BREAKWATER_POLL_SCALE` and `BREAKWATER_RETRY_SCALE`",
    ),
    "drain-short": _warning(
        "workers are ended before a callback attempt can be (15 s): receivers get it twice with every rollout",
        "set `BREAKWATER_DRAIN_S` to more than 15, or take it out",
    ),
    "grace-none": _warning(
        "a gateway stops listening the moment it is told to: requests fail with every rollout behind a load balancer",
        "set `BREAKWATER_SHUTDOWN_GRACE_S` to longer than the load balancer takes to notice, or take it out",
    ),
    "ending-long": _warning(
        "grace and drain together are over 30 s, when Kubernetes and others kill by default",
        "let whoever stops the processes wait longer than `BREAKWATER_SHUTDOWN_GRACE_S` and `BREAKWATER_DRAIN_S`"
        " together (Kubernetes: `terminationGracePeriodSeconds`)",
    ),
    "worker-port-taken": _note(
        "somebody listens on the worker's metrics port on this machine: right if it is a worker",
        "if no worker runs here, set `BREAKWATER_WORKER_METRICS_PORT` to a free port",
    ),
}

_REDIS: Final = {
    "redis-unreachable": _problem(
        "Redis does not answer; every submission is answered 503",
        "see that Redis runs and is reachable from here; set `BREAKWATER_REDIS_URL` to it",
    ),
    "redis-password": _problem("Redis refuses user or password", "put the right ones into `BREAKWATER_REDIS_URL`"),
    "redis-forbidden": _problem(
        "the user is not allowed what Breakwater needs; processes count this Redis as away, or fail on the way",
        "give the user of `BREAKWATER_REDIS_URL` the rights that docs/redis.md lists",
    ),
    "redis-tls": _problem(
        "one side speaks TLS and the other does not",
        "in `BREAKWATER_REDIS_URL` write `rediss://` for a Redis with TLS, `redis://` for one without",
    ),
    "redis-certificate": _problem(
        "the certificate of Redis is not one this machine trusts, or is another host's",
        "add the authority to the system's certificates, and name the host in `BREAKWATER_REDIS_URL` as the"
        " certificate does",
    ),
    "sentinels-unreachable": _problem(
        "no sentinel answers, so nobody knows where the primary is",
        "see that the sentinels run; correct `BREAKWATER_REDIS_SENTINELS`",
    ),
    "sentinels-some-away": _warning(
        "some sentinels do not answer; with too few of them there is no failover",
        "start them, or correct `BREAKWATER_REDIS_SENTINELS`",
    ),
    "sentinel-master-unknown": _problem(
        "the sentinels know no primary of this name",
        "set `BREAKWATER_REDIS_MASTER` to the name in their `sentinel monitor` line",
    ),
    "redis-replica": _problem(
        "this is a replica, which takes no writes",
        "set `BREAKWATER_REDIS_URL` to the primary, or `BREAKWATER_REDIS_SENTINELS` so that failovers are followed",
    ),
    "redis-cluster": _problem(
        "this is a Redis Cluster, which cannot be used",
        "set `BREAKWATER_REDIS_URL` to a single primary, alone or behind Sentinel",
    ),
    "redis-too-old": _problem(
        "this Redis is older than 7, or not known to be newer",
        "set `BREAKWATER_REDIS_URL` to Redis 7 or newer, or to Valkey",
    ),
    "redis-restricted": _note(
        "`CONFIG GET` is not allowed here, so `appendfsync` cannot be told",
        "ask whoever runs the Redis of `BREAKWATER_REDIS_URL` how often it writes to disk (docs/redis.md)",
    ),
    "aof-off": _problem(
        "`appendonly` is `no`: a restart forgets everything since the last snapshot, paid videos included",
        "set `appendonly yes` in the Redis of `BREAKWATER_REDIS_URL`",
    ),
    "fsync-everysec": _warning(
        "`appendfsync` is `everysec`: a machine that dies takes the last second or two of answered submissions with it",
        "set `appendfsync always` in the Redis of `BREAKWATER_REDIS_URL`, or accept that (docs/redis.md)",
    ),
    "fsync-no": _problem(
        "`appendfsync` is `no`: a machine that dies takes what the system has not written yet, often half a minute",
        "set `appendfsync always` in the Redis of `BREAKWATER_REDIS_URL`",
    ),
    "evicts": _problem(
        "`maxmemory-policy` is not `noeviction`: a full Redis throws away what is owed to somebody",
        "set `maxmemory-policy noeviction` in the Redis of `BREAKWATER_REDIS_URL`",
    ),
    "maxmemory-unset": _warning(
        "`maxmemory` is not set: nothing stops submissions before the machine is out of memory and kills Redis",
        "set `maxmemory` in the Redis of `BREAKWATER_REDIS_URL`; docs/sizing.md says to what",
    ),
    "memory-short": _warning(
        "more than 70 % of `maxmemory` is used; at 85 % submissions stop",
        "give the Redis of `BREAKWATER_REDIS_URL` more memory and raise `maxmemory`",
    ),
    "memory-stopped": _problem(
        "more than 85 % of `maxmemory` is used: submissions are answered 503",
        "give the Redis of `BREAKWATER_REDIS_URL` more memory and raise `maxmemory`",
    ),
    "clock-differs": _warning(
        "this machine's clock is more than a second off that of Redis, by which everything goes: logs disagree, and if"
        " that of Redis is the wrong one, receivers refuse callbacks",
        "see that both this machine and that of `BREAKWATER_REDIS_URL` keep time by NTP",
    ),
    "work-overdue": _warning(
        "something has been due for more than a minute: no worker runs, or too few of them",
        "start workers with the same `BREAKWATER_REDIS_URL`",
    ),
    "tenants-none": _note(
        "there is no tenant yet, so nobody can call",
        "`breakwater tenant create`, or `BREAKWATER_TENANTS_FILE`",
    ),
}

_KEYS: Final = {
    "encryption-key-missing": _problem(
        "there is no encryption key; neither gateway nor worker starts",
        "set `BREAKWATER_ENCRYPTION_KEY`; make one with: head -c 32 /dev/urandom | base64 | tr '+/' '-_'",
    ),
    "encryption-key-malformed": _problem(
        "the encryption key is not 32 bytes in urlsafe base64",
        "set `BREAKWATER_ENCRYPTION_KEY`; make one with: head -c 32 /dev/urandom | base64 | tr '+/' '-_'",
    ),
    "encryption-key-differs": _problem(
        "this Redis was written with another encryption key: processes end at their start",
        "set `BREAKWATER_ENCRYPTION_KEY` to the key it was written with, or to NEW,OLD to change it",
    ),
    "encryption-key-changing": _note(
        "several encryption keys are set: a change of keys is under way",
        "`breakwater secrets reencrypt` once every process has them; then leave only the first in"
        " `BREAKWATER_ENCRYPTION_KEY`",
    ),
    "signing-key-changing": _note(
        "several signing keys are set: a change of keys is under way",
        "a day later leave only the first in `BREAKWATER_SIGNING_KEY`",
    ),
    "admin-token-off": _note(
        "there is no admin token, so `/admin/v1` is off", "set `BREAKWATER_ADMIN_TOKEN` if you want the admin API"
    ),
    "admin-token-malformed": _problem(
        "the admin token is too short to be secret, or cannot travel in a header",
        "set `BREAKWATER_ADMIN_TOKEN` to at least 16 random characters",
    ),
}

_UPSTREAM: Final = {
    "upstream-key-missing": _problem(
        "there is no key for WaveSpeed; neither gateway nor worker starts",
        "set `WAVESPEED_API_KEY`, or `BREAKWATER_UPSTREAM_KEY_FILE` to a file that holds it",
    ),
    "upstream-key-file-unreadable": _problem(
        "the key file is missing, may not be read, or holds no key",
        "mount the secret, and set `BREAKWATER_UPSTREAM_KEY_FILE` to its path",
    ),
    "upstream-key-file-open": _warning(
        "every user of this machine may read the key file",
        "take from others the right to read the file of `BREAKWATER_UPSTREAM_KEY_FILE` (`chmod o-r`; Kubernetes:"
        " `defaultMode: 0440`)",
    ),
    "upstream-unreachable": _problem(
        "WaveSpeed cannot be reached from here",
        "see that this machine may connect to it; correct `BREAKWATER_UPSTREAM_URL`",
    ),
    "upstream-plain-http": _warning(
        "the key travels to WaveSpeed unencrypted", "set `BREAKWATER_UPSTREAM_URL` to `https://`"
    ),
    "upstream-key-refused": _problem(
        "WaveSpeed refuses the key; so it would every submission",
        "put a valid key into `WAVESPEED_API_KEY`, or into the file of `BREAKWATER_UPSTREAM_KEY_FILE`",
    ),
    "upstream-unreadable": _warning(
        "something answers where WaveSpeed should be, but not as WaveSpeed does",
        "try again; if it stays so, correct `BREAKWATER_UPSTREAM_URL` (without `/api/v3`)",
    ),
    "balance-low": _warning(
        "the account's balance is below the threshold",
        "fill up the account, or lower `BREAKWATER_UPSTREAM_BALANCE_LOW_USD`",
    ),
    "balance-empty": _problem(
        "the account has no money: WaveSpeed refuses every submission", "fill up the account of `WAVESPEED_API_KEY`"
    ),
    "account-limits-unset": _warning(
        "what the account may do is not set: bursts are sent to WaveSpeed and refused there, instead of taking turns",
        "set `BREAKWATER_UPSTREAM_TIER`, or `BREAKWATER_UPSTREAM_PER_MINUTE` and `BREAKWATER_UPSTREAM_CONCURRENCY`",
    ),
    "webhooks-signing-key": _problem(
        "WaveSpeed is to call back and there is no key to sign our ids with",
        "set `BREAKWATER_SIGNING_KEY`, or `BREAKWATER_UPSTREAM_WEBHOOKS=off`",
    ),
    "webhooks-address": _problem(
        "WaveSpeed is to call back, at an address that it cannot reach: none, a local or a private one",
        "set `BREAKWATER_PUBLIC_URL` to an address reachable from outside, or `BREAKWATER_UPSTREAM_WEBHOOKS=off`",
    ),
    "webhooks-plain-http": _warning(
        "WaveSpeed is to call back unencrypted", "set `BREAKWATER_PUBLIC_URL` to `https://`"
    ),
}

_ADDRESSES: Final = {
    "public-url-malformed": _problem(
        "the public URL is more than scheme, host and port",
        "set `BREAKWATER_PUBLIC_URL` to `https://HOST[:PORT]`, without path or query",
    ),
    "public-url-unset": _warning(
        "there is no public URL, so `urls.get` in answers names this machine's own address",
        "set `BREAKWATER_PUBLIC_URL` to how callers reach the gateway",
    ),
    "public-url-local": _warning(
        "the public URL names an address that only this machine reaches",
        "set `BREAKWATER_PUBLIC_URL` to how callers reach the gateway",
    ),
    "callbacks-nowhere": _warning(
        "no callback may go anywhere: endpoints are refused and nothing can be delivered",
        "name the receivers' networks and hosts in `BREAKWATER_CALLBACK_ALLOW`",
    ),
    "callbacks-everywhere": _warning(
        "callbacks may go almost anywhere, the Internet and every internal service included",
        "name only the receivers' networks and hosts in `BREAKWATER_CALLBACK_ALLOW`",
    ),
    "callbacks-denied-range": _warning(
        "a range is opened to callbacks that is shut for good reason: loopback, link-local, cloud metadata, ...",
        "take it out of `BREAKWATER_CALLBACK_ALLOW` unless a receiver really is there",
    ),
}

_FILES: Final = {
    "models-file-broken": _problem(
        "the file of models cannot be used; neither gateway nor worker starts",
        "correct the file of `BREAKWATER_MODELS_FILE`; try it with `breakwater model check FILE`",
    ),
    "tenants-file-broken": _problem(
        "the file of tenants cannot be used; the gateway does not start",
        "correct the file of `BREAKWATER_TENANTS_FILE` (docs/tenants.md)",
    ),
    "tenants-file-empty": _warning(
        "the file of tenants names none",
        "add tenants to the file of `BREAKWATER_TENANTS_FILE`, or take the setting out",
    ),
    "tenant-without-key": _warning(
        "a tenant of the file has no key in it, nor in Redis, so it cannot call",
        "add its key's digest to the file of `BREAKWATER_TENANTS_FILE`, or `breakwater key create`",
    ),
    "tenant-without-limits": _warning(
        "a tenant of the file has no limit at all: one mistake of its own can spend the whole account",
        "give it limits in the file of `BREAKWATER_TENANTS_FILE`, a budget at least",
    ),
}

PROMISES: Final[Mapping[str, Promise]] = {**_SETTINGS, **_REDIS, **_KEYS, **_UPSTREAM, **_ADDRESSES, **_FILES}
"""Every finding that is promised, by the name it is reported under."""
