"""The one way to Redis on hot paths: all commands of one event-loop tick travel together.

A round trip of its own costs several times what a command does, so `Commands` collects what is asked for in one
tick and sends it as one batch over one connection. What a caller may rely on:

- Its answer is its own: an error answered to one command, or an argument that cannot be sent, touches nobody else.
- A caller that is cancelled takes nobody with it. Its command, if still waiting, is not sent; once sent, it runs.
- A lost connection leaves the outcome unknown for every command of its batch: `StoreUnavailable`, and nothing is
  ever sent twice.
- An outcome comes within the deadline, wherever the command is stuck: waiting, connecting or unanswered.
- When too many wait: `StoreOverloaded`, at once, and nothing was sent.
- No order holds between two commands, unless one is asked for after the other's answer.

Not for commands that block, subscribe, read much, or change the connection they run on (SELECT, MULTI, CLIENT
REPLY): they would hold up or break whatever shares their connection. Those belong on a client made by `connect`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from hiredis import pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError
from redis.typing import EncodableT

from service.domain.errors import StoreOverloaded, StoreUnavailable

MAX_BATCH: Final = 128
"""Commands in one batch at most: enough to share the cost of a round trip, few enough to be answered soon."""

_CANNOT_SERVE: Final = (
    "BUSY ",
    "CLUSTERDOWN",
    "LOADING",
    "MASTERDOWN",
    "MISCONF",
    "NOREPLICAS",
    "OOM",
    "READONLY",
)
"""Answers that speak of the server's state and not of the command, which had no effect."""

_SHUTTING_DOWN: Final = "shutting down: nothing more is sent to Redis"


class _Call(NamedTuple):
    """One command on its way: its bytes, who waits for the answer, and until when (in event-loop time)."""

    packed: bytes
    answer: asyncio.Future[Any]
    deadline: float


class Commands:
    """Sends the commands of each tick together; the module says what a caller may rely on.

    `redis` says where Redis is and how to connect. The connections are this object's own, one for each batch in
    flight and `batches` of them at most, so nothing else can hold them up. `queue` commands may wait to be sent
    (those of the current tick are among them), and `deadline_s` is the longest a call may take in all.
    """

    def __init__(self, redis: Redis, *, batches: int = 4, queue: int = 4096, deadline_s: float = 2.0) -> None:
        pool = redis.connection_pool
        self._connection_class: type[AbstractConnection] = pool.connection_class
        self._connection_options: dict[str, Any] = {
            **pool.connection_kwargs,
            # Whatever the client given was made for: raw answers, and the call's deadline as the only clock (a
            # timeout of every single read costs as much as the read). Retries need no switching off: redis-py's
            # client makes them, not its connections, apart from trying to connect.
            "decode_responses": False,
            "protocol": 2,
            "socket_timeout": None,
            "socket_connect_timeout": deadline_s,
        }
        self._batches = batches
        self._queue = queue
        self._deadline_s = deadline_s
        self._waiting: deque[_Call] = deque()
        self._in_flight: dict[asyncio.Task[None], list[_Call]] = {}
        self._idle: list[AbstractConnection] = []
        self._tick_open = False
        self._tick_deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self.batches_sent = 0
        """Batches sent so far: with the number of calls, how well they coalesce."""

    async def __call__(self, *command: EncodableT) -> Any:
        """Run one command, e.g. `await commands("HMGET", key, "a", "b")`, and return Redis's answer as it came.

        That is bytes (also for a status: `b"OK"`), int, None for nil, or a list of these, whatever the command:
        HGETALL and WITHSCORES give a flat list, SET gives `b"OK"` or None, EXISTS an int (see `answers`).
        Arguments are str (sent as UTF-8), bytes, memoryview, int or float; any other type raises `TypeError`. A
        command of two words is two arguments.

        Raises redis-py's `ResponseError` for an error answered to this command; `StoreUnavailable` if there was no
        answer in time, the connection was lost, or Redis is in no state to serve (loading, full, a replica);
        `StoreOverloaded` if too many commands wait.
        """
        if not command:  # Redis answers nothing to nothing: every later answer would go to the wrong caller
            raise ValueError("a command needs a name")
        packed: bytes = pack_command(command)  # type: ignore[arg-type]  # its stub asks for a tuple of one
        if self._closed:
            raise StoreUnavailable(_SHUTTING_DOWN)
        if len(self._waiting) >= self._queue:
            raise StoreOverloaded("too many commands wait for Redis")
        loop = asyncio.get_running_loop()
        if not self._tick_open:
            self._tick_open = True
            self._tick_deadline = loop.time() + self._deadline_s
            loop.call_soon(self._end_tick)
            if self._timer is None:
                self._timer = loop.call_at(self._tick_deadline, self._expire)
        answer: asyncio.Future[Any] = loop.create_future()
        self._waiting.append(_Call(packed, answer, self._tick_deadline))
        return await answer

    async def aclose(self) -> None:
        """Refuse new commands, let those on their way end within their deadline, and close the connections."""
        self._closed = True
        self._send_waiting()
        try:
            while self._in_flight:
                await asyncio.wait(self._in_flight)
        finally:
            for task in self._in_flight:  # there are some only if the closing itself was cancelled
                task.cancel()
            while self._waiting:
                _fail(self._waiting.popleft(), _SHUTTING_DOWN)
            if self._timer is not None:
                self._timer.cancel()
            while self._idle:
                await self._idle.pop().disconnect(nowait=True)

    def _end_tick(self) -> None:
        """Send what the tick collected."""
        self._tick_open = False
        self._send_waiting()

    def _send_waiting(self) -> None:
        """Start a task for each batch, oldest commands first, as far as batches may be in flight."""
        waiting = self._waiting
        while waiting and len(self._in_flight) < self._batches:
            batch: list[_Call] = []
            while waiting and len(batch) < MAX_BATCH:
                call = waiting.popleft()
                if not call.answer.done():  # else its caller was cancelled meanwhile
                    batch.append(call)
            if batch:
                task = asyncio.get_running_loop().create_task(self._send(batch))
                self._in_flight[task] = batch
                task.add_done_callback(self._ended)

    async def _send(self, batch: list[_Call]) -> None:
        """Send one batch, read its answers and hand them out.

        A connection that may still owe an answer is closed, never used again.
        """
        connection = self._idle.pop() if self._idle else self._connection_class(**self._connection_options)
        try:
            # Was it closed while idle? Its stream knows. redis-py's own check would cost a turn of the event loop
            # and more than the rest of a small batch. A closed one is opened again by the sending below.
            stream = connection._reader
            if stream is not None and (stream.at_eof() or stream.exception()):
                await connection.disconnect(nowait=True)
            self.batches_sent += 1
            await connection.send_packed_command(b"".join([call.packed for call in batch]), check_health=False)
            # The connection's own reading looks for timeouts and the like once an answer, for as much as the answer
            # itself costs. An error answered comes as a value.
            read: Callable[[], Awaitable[Any]] = connection._parser.read_response  # type: ignore[attr-defined] # each has it
            answers = [await read() for _ in batch]
            demoted = any(isinstance(answer, ReadOnlyError) for answer in answers)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        if demoted:  # after a failover the same name leads elsewhere, but only a new connection goes there
            await connection.disconnect(nowait=True)
        self._idle.append(connection)
        for (_, future, _), answer in zip(batch, answers, strict=True):
            if future.done():  # its caller was cancelled or its deadline passed
                continue
            if isinstance(answer, ResponseError):
                future.set_exception(_meaning(answer))
            else:
                future.set_result(answer)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Tell whoever got no answer from this batch, and send what waits for its place."""
        batch = self._in_flight.pop(task)
        cause = None if task.cancelled() else task.exception()
        for call in batch:
            _fail(call, "the connection to Redis failed", cause)
        self._send_waiting()

    def _expire(self) -> None:
        """Fail every call past its deadline and come back at the next one.

        One timer serves all calls. It is set for the oldest of them, and by the time it fires that one has usually
        long been answered, so it fires about once in `deadline_s` however many calls there are.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        too_late = f"no answer from Redis within {self._deadline_s:g} s"
        while self._waiting and self._waiting[0].deadline <= now:
            _fail(self._waiting.popleft(), too_late)
        next_deadlines = [self._waiting[0].deadline] if self._waiting else []
        for task, batch in self._in_flight.items():
            for call in batch:  # oldest first
                if call.deadline > now:
                    next_deadlines.append(call.deadline)
                    break
                _fail(call, too_late)
            else:  # nobody is left to wait for it
                task.cancel()
        self._timer = loop.call_at(min(next_deadlines), self._expire) if next_deadlines else None


def _fail(call: _Call, reason: str, cause: BaseException | None = None) -> None:
    """Tell the caller, if it still waits, that the outcome of its command is unknown."""
    if not call.answer.done():
        error = StoreUnavailable(reason)  # one for each caller: raising it adds the caller's traceback
        error.__cause__ = cause
        call.answer.set_exception(error)


def _meaning(refusal: ResponseError) -> Exception:
    """Turn an error answered to one command into what its caller gets."""
    refusal.with_traceback(None)  # it leads to every answer of the batch and would keep them alive
    text = str(refusal)
    if isinstance(refusal, OutOfMemoryError | ReadOnlyError) or text.startswith(_CANNOT_SERVE):
        error = StoreUnavailable("Redis cannot serve at the moment")
        error.__cause__ = refusal
        return error
    return refusal
