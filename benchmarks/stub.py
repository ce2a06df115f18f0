"""An upstream that costs next to nothing: answers every submission and every look at once, as raw bytes.

`python -m benchmarks.stub PORT [STATUS]` runs it; looks at tasks always say STATUS, `processing` if it is not given.
"""

import asyncio
import itertools
import sys
from typing import cast

import uvloop

_ids = itertools.count(1)


def _answer(data: bytes) -> bytes:
    """One HTTP answer with WaveSpeed's envelope around `data`."""
    body = b'{"code":200,"message":"success","data":%b}' % data
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


class Stub(asyncio.Protocol):
    """One connection: counts complete requests in what arrives and answers each."""

    seen = b"processing"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast(asyncio.Transport, transport)
        self.pending = b""

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self.pending += data
        while (end := self.pending.find(b"\r\n\r\n")) >= 0:
            head = self.pending[:end].lower()
            length = 0
            if (at := head.find(b"content-length:")) >= 0:
                length = int(head[at + 15 : head.find(b"\r\n", at) if b"\r\n" in head[at:] else len(head)])
            if len(self.pending) < end + 4 + length:
                return
            self.pending = self.pending[end + 4 + length :]
            submitted = head.startswith(b"post")
            # What was asked about is named again: an answer about another task is none.
            task = b"%032x" % next(_ids) if submitted else head.partition(b"/predictions/")[2].partition(b"/")[0]
            status = b"created" if submitted else self.seen
            outputs = b'["https://cdn.example/1.mp4"]' if status == b"completed" else b"[]"
            self.transport.write(
                _answer(
                    b'{"id":"%b","model":"openai/sora-2","outputs":%b,"status":"%b","error":"","executionTime":0,'
                    b'"has_nsfw_contents":[],"timings":{"inference":0},"created_at":"2026-01-01T00:00:00Z"}'
                    % (task, outputs, status)
                )
            )


async def main(port: int, status: str) -> None:
    """Serve until killed."""
    Stub.seen = status.encode()
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "processing"))
