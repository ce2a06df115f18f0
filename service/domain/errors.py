"""Everything that can go wrong, as one tree. The HTTP faces map it to statuses in one table.

::

    BreakwaterError
    ├── InvalidInput         a field of the request is wrong; names every one of them
    │   └── CannotFire       a subscription to what can never happen
    ├── CallbackDenied       a callback URL the policy does not allow
    ├── Unauthenticated      no key, or not a valid one
    ├── TenantSuspended      a valid key of a tenant that may not submit now
    ├── ModelDenied          a model the tenant may not use
    ├── QuotaExceeded        the tenant's limits refuse (in `limits`, which says by how much)
    ├── IdempotencyConflict  a copy of the submission is being answered just now
    ├── IdempotencyMismatch  the idempotency key belongs to another request
    ├── ModelRetired         the model is no longer offered; the text names what is
    ├── NotFound             unknown, or another tenant's: the two look alike on purpose
    ├── AlreadyExists        a name that must be new is taken
    ├── Conflict             what is asked does not fit the state things are in
    ├── TooMany              a bounded collection is full
    ├── TooManyOpen          a tenant has as many streams, downloads or uploads open as it may
    ├── Overloaded           this process has as much in flight as it may
    ├── OutputDenied         an output is where the gateway may not fetch from
    ├── OutputGone           an output is no longer kept where it was
    ├── NoSuchPart           a part of an output was asked for that it does not have
    ├── StoreUnavailable     Redis is away, full or too slow; what was asked may or may not have happened
    │   └── StoreOverloaded  refused before anything was sent to Redis
    └── UpstreamError        what a call to WaveSpeed came to
        ├── NeverSent        the request provably never left this host
        ├── UpstreamRefused  an answer that says the submission was not started
        │   ├── AccountFault     our key or account is the problem, not the tenant's request
        │   └── CapacityReached  the account's rate or concurrency is used up
        ├── OutcomeUnknown   the submission may have been started; never send it again
        └── ReadFailed       a read came back without a verdict; look again later
            └── ReadsPaused      it was not made: the upstream is in trouble
"""

from dataclasses import dataclass


class BreakwaterError(Exception):
    """Any error this product raises on purpose; its text is fit for a caller to read."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field. `field` is a dotted path, or "" for the body as a whole."""

    field: str
    message: str


class InvalidInput(BreakwaterError):
    """The request cannot be accepted as it is; nothing was written or charged."""

    def __init__(self, errors: list[FieldError]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{e.field}: {e.message}" if e.field else e.message for e in errors))


class CannotFire(InvalidInput):
    """A subscription that could never be told of anything; the errors name what it waits for in vain."""


class CallbackDenied(BreakwaterError):
    """The callback URL may not be called; the text says which rule or setting decided."""


class Unauthenticated(BreakwaterError):
    """No API key, or one that is malformed, unknown, expired or revoked."""


class TenantSuspended(BreakwaterError):
    """The key is valid, its tenant is suspended."""


class ModelDenied(BreakwaterError):
    """The tenant's list of models does not name this one."""


class ModelRetired(BreakwaterError):
    """The model is no longer offered; the text says what to use instead."""


class IdempotencyConflict(BreakwaterError):
    """Another copy of this submission is being answered just now; a moment later its answer can be had."""


class IdempotencyMismatch(BreakwaterError):
    """The idempotency key was used for a request that asked for something else."""


class NotFound(BreakwaterError):
    """The thing does not exist, or belongs to another tenant."""


class AlreadyExists(BreakwaterError):
    """The name is taken."""


class Conflict(BreakwaterError):
    """What is asked does not fit the state things are in; the text says what stands in the way."""


class TooMany(BreakwaterError):
    """A bounded collection has reached its bound; the text names it."""


class TooManyOpen(BreakwaterError):
    """The tenant has as many of something open in this process as it may; the text names it."""


class OutputDenied(BreakwaterError):
    """An output is at an address that the gateway may not fetch from; the text names the setting that decides."""


class OutputGone(BreakwaterError):
    """An output is no longer kept."""


class NoSuchPart(BreakwaterError):
    """A part of an output was asked for that it does not have; `content_range` says how long it is (RFC 9110, 14.4)."""

    def __init__(self, content_range: str) -> None:
        super().__init__("the output has no such part")
        self.content_range = content_range


class Overloaded(BreakwaterError):
    """This process has as much in flight as it may; nothing was written."""


class StoreUnavailable(BreakwaterError):
    """Redis did not answer in time or the connection was lost: the command may or may not have run."""


class StoreOverloaded(StoreUnavailable):
    """Too many commands wait for Redis, or it is nearly full; this one was not sent."""


class UpstreamError(BreakwaterError):
    """A call to WaveSpeed did not give what it was made for."""


class NeverSent(UpstreamError):
    """The connection was never made (refused, DNS, TLS, connect timeout), so nothing can have started."""


class UpstreamRefused(UpstreamError):
    """WaveSpeed answered and did not start the submission; `status` and `message` are its own."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(f"upstream answered {status}: {message}")


class AccountFault(UpstreamRefused):
    """401, 402 or 403: the platform's key or account, which no tenant can mend.

    Its text does not repeat the upstream's: that may quote the key, and is not for tenants.
    """

    paused = True
    """Whether submissions are paused because of it."""

    def __init__(self, status: int) -> None:
        super().__init__(status, "it refuses the platform's account, which its operators have to mend; try again later")


class AccountPaused(AccountFault):
    """The same, known from an earlier submission: nothing was sent."""

    def __init__(self) -> None:
        super().__init__(0)

    def __str__(self) -> str:
        return f"submissions are paused: WaveSpeed refused the last one; {self.message}"


class CapacityReached(UpstreamRefused):
    """429: the account's rate or concurrency is used up; `retry_after_s` is the upstream's wish, if it gave one."""

    def __init__(self, status: int, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(status, message)
        self.retry_after_s = retry_after_s


class OutcomeUnknown(UpstreamError):
    """The body left and no readable verdict came back: it may run and be paid for. Never post it again."""


class ReadFailed(UpstreamError):
    """A read gave no verdict; `retry_after_s` is the upstream's wish, if it gave one.

    `in_trouble` when it says that the upstream does not work at all: no connection, no answer in time, a 5xx; `absent`
    when it says that there is no such task, which may be true or a hiccup.
    """

    def __init__(
        self, reason: str, retry_after_s: float | None = None, *, in_trouble: bool = False, absent: bool = False
    ) -> None:
        self.absent = absent
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.in_trouble = in_trouble
        super().__init__(f"no verdict from upstream: {reason}")


class ReadsPaused(ReadFailed):
    """The read was not made: too many have failed just now. `wait_s` is how long it is not worth trying."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s
        super().__init__("reads are paused, the upstream is in trouble")
