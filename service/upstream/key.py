"""The secret key every upstream call carries."""

import os
from pathlib import Path
from typing import Final

import structlog
from pydantic import SecretStr

from service.settings import clean_api_key

MIN_KEY_LENGTH: Final = 8
"""A shorter text is no key, and would be found in innocent words."""

log = structlog.get_logger()


class UpstreamKey:
    """The secret key: from a setting, or from a file that is read again when it changes."""

    def __init__(self, key: SecretStr | None, file: Path | None) -> None:
        self._key = key.get_secret_value() if key else ""
        self._file = file
        self._stamp = (-1, -1)
        self._secret = ("", b"")

    def __repr__(self) -> str:
        return "UpstreamKey(**********)"

    def authorization(self) -> str:
        """The value of the Authorization header. A file that cannot be read, or holds no key, keeps the last one."""
        if self._file is not None:
            try:
                stat = os.stat(self._file)
                stamp = (stat.st_mtime_ns, stat.st_ino)
                if stamp != self._stamp:
                    self._stamp = stamp
                    self._key = clean_api_key(self._file.read_text("utf-8"))
            except OSError:
                pass  # a mounted secret is briefly absent while it is being replaced
            except ValueError:
                log.error("the upstream key file holds no key; the last one is used", file=str(self._file))
        return f"Bearer {self._key}"

    def taken_out_of(self, body: bytes) -> bytes:
        """An upstream's answer without our key, should it quote it: answers are stored, shown and sent on."""
        if self._secret[0] is not self._key:  # it was read again
            self._secret = self._key, self._key.encode()
        return body.replace(self._secret[1], b"**********") if len(self._key) >= MIN_KEY_LENGTH else body
