# SPDX-License-Identifier: Apache-2.0
"""The errors of demand: one class for each situation."""

from __future__ import annotations

from kryonix_cache.reference_impl.errors import KryonixError


class DemandInvalidError(KryonixError):
    """A file of demand, or an access log, cannot be read as one."""
