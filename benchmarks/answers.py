"""Where one HTTP answer ends in what has come so far. Pure, and as little as a load generator needs."""


def answer_length(pending: bytes) -> int:
    """How many bytes the first answer has, 0 while it is not complete."""
    end = pending.find(b"\r\n\r\n")
    if end < 0:
        return 0
    head = pending[:end].lower()
    if b"\r\ntransfer-encoding: chunked" in head:
        last = pending.find(b"0\r\n\r\n", end + 4)
        while last > end + 4 and pending[last - 2 : last] != b"\r\n":  # the zero of a chunk's text or length
            last = pending.find(b"0\r\n\r\n", last + 1)
        return last + 5 if last >= 0 else 0
    at = head.find(b"\r\ncontent-length:")
    stop = head.find(b"\r\n", at + 2)
    length = int(head[at + 17 : stop if stop >= 0 else len(head)]) if at >= 0 else 0
    return end + 4 + length if len(pending) >= end + 4 + length else 0


def is_good(answer: bytes) -> bool:
    """Whether it is a 2xx."""
    return answer.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2"))
