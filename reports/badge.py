# SPDX-License-Identifier: Apache-2.0
"""The JSON that shields.io's endpoint badge reads."""

import json
from collections.abc import Mapping

from kryonix_cache.reports.lines import Verdict
from kryonix_cache.reports.record import Record
from kryonix_cache.reports.summary import verdict_words

_COLOURS: Mapping[Verdict, str] = {
    Verdict.CONFORMANT: "brightgreen",
    Verdict.NON_CONFORMANT: "red",
    Verdict.ERROR: "red",
    Verdict.INCONCLUSIVE: "orange",
    Verdict.PARTIAL: "yellow",
    Verdict.NOTHING_RAN: "lightgrey",
}


def render_badge(record: Record) -> bytes:
    """Return the badge of a record; green for `conformant` and nothing else."""
    message = verdict_words(record)
    if record.header.selection:
        message += " (selection)"
    badge = {
        "schemaVersion": 1,
        "label": f"kryonix-cache {record.header.profile}",
        "message": message,
        "color": _COLOURS[record.verdict],
        "isError": record.footer.exit_code != 0,
    }
    return json.dumps(badge, indent=2).encode() + b"\n"
