"""Certificates for tests, made by openssl."""

import subprocess
from pathlib import Path


def self_signed(certificate: Path, key: Path) -> None:
    """Make a certificate of this machine's loopback address, and its key."""
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    argv += ["-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    argv += ["-keyout", str(key), "-out", str(certificate), "-days", "2"]
    subprocess.run(argv, check=True, capture_output=True)
