"""Whose certificates are good."""

import ssl
from functools import cache


@cache
def system_trust() -> ssl.SSLContext:
    """The system's certificates, or those `SSL_CERT_FILE` and `SSL_CERT_DIR` name, read once a process (20 ms).

    Every outgoing connection of this process shares it; nobody changes it.
    """
    return ssl.create_default_context()
