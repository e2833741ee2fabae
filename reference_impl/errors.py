# SPDX-License-Identifier: Apache-2.0
"""The errors of the reference implementation: one class for each situation."""

from __future__ import annotations

from typing import ClassVar


class KryonixError(Exception):
    """Base of every error that a command of this project shows to its user.

    The message is one sentence: what happened, where, and what to do about it.
    """

    exit_code: ClassVar[int] = 4
