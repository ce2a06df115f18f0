"""Redis's answers as they come, in Python's shapes."""


def pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    """A hash, from the flat list of fields and values that HGETALL gives."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def info_fields(text: bytes) -> dict[str, str]:
    """One section of INFO: `name:value` lines; headings and empty lines are skipped."""
    lines = (line.partition(":") for line in text.decode().splitlines() if ":" in line)
    return {name: value for name, _, value in lines}
