# SPDX-License-Identifier: Apache-2.0
"""A certificate authority of the tests' own, made with the openssl command."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.fixtures.targets.configuration import TlsFiles

if TYPE_CHECKING:
    from pathlib import Path


def make_certificate(folder: Path, *, names: str = "IP:127.0.0.1") -> TlsFiles:
    """Make an authority and a server certificate that it signed, valid for one day."""
    if shutil.which("openssl") is None:
        if os.environ.get("CI"):
            pytest.fail("openssl is not on PATH")
        pytest.skip("openssl is not on PATH")
    files = TlsFiles(folder / "server.pem", folder / "server.key", folder / "ca.pem")
    authority_key = folder / "ca.key"
    request, extensions = folder / "server.csr", folder / "extensions"
    extensions.write_text(f"subjectAltName={names}\n")
    curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    _openssl(
        f"req -x509 {curve} -keyout {authority_key} -out {files.authority} -days 1 -subj /CN=ca"
    )
    _openssl(f"req -new {curve} -keyout {files.key} -out {request} -subj /CN=server")
    _openssl(
        f"x509 -req -in {request} -CA {files.authority} -CAkey {authority_key} -CAcreateserial"
        f" -days 1 -extfile {extensions} -out {files.certificate}"
    )
    return files


def _openssl(arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], check=True, capture_output=True)
