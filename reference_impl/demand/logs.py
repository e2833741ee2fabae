# SPDX-License-Identifier: Apache-2.0
"""
Access logs: past reads from CSV or JSON lines, plain or compressed with gzip.

A log names the tenant and what it read: `module` and `endpoint` of a cached answer, or the `key`,
which the contract takes apart, or `family` and `item`. `time` is ISO 8601 with an offset, or
seconds since 1970. `count` may say how many reads a line stands for. Further columns are ignored.

A log is read line by line, and of a line that is longer than any record can be nothing is held, so
that memory does not grow with the file, whatever is in it.
"""

from __future__ import annotations

import gzip
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from kryonix_cache.reference_impl.demand.errors import BrokenLineError, DemandInvalidError
from kryonix_cache.reference_impl.demand.lines import Access, reader_of
from kryonix_cache.reference_impl.optimiser.report import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kryonix_cache.reference_impl.contract import Contract

__all__ = ["Access", "AccessLog"]

_LONGEST_LINE = 1 << 16
_NAMED = 10
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class AccessLog:
    """The reads that a file tells of, as often as it is iterated over.

    Of the last pass `lines` are all lines but a header and empty ones, `broken` those of them that
    tell of no read, and `problems` names the first of these.
    """

    def __init__(self, contract: Contract, path: Path) -> None:
        self.path = path
        self._contract = contract
        self._start()

    def _start(self) -> None:
        self.lines = 0
        self.broken = 0
        self._named: list[Problem] = []
        self._cut: list[Problem] = []

    def __iter__(self) -> Iterator[Access]:
        """Yield the reads.

        Raises DemandInvalidError where the file cannot be read, or has not the columns of a log.
        """
        self._start()
        with _opened(self.path) as file:
            numbered = self._numbered(file)
            read = None
            for number, line in numbered:
                if read is None:
                    reader = reader_of(self._contract, line, str(self.path))
                    read = reader.read
                    if reader.has_header:
                        continue
                self.lines += 1
                try:
                    access = read(line)
                except BrokenLineError as error:
                    self._note_broken(number, str(error))
                    continue
                # Logs that were summed up have lines of no reads.
                if access.count:
                    yield access

    @property
    def problems(self) -> list[Problem]:
        """What the last pass found: broken lines by number, how many more, and a cut-off end."""
        more = self.broken - len(self._named)
        rest = [Problem(str(self.path), f"{more} more lines tell of no read")] if more else []
        return [*self._named, *rest, *self._cut]

    def _note_broken(self, number: int, why: str) -> None:
        self.broken += 1
        if len(self._named) < _NAMED:
            self._named.append(Problem(f"{self.path}, line {number}", why))

    def _numbered(self, file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
        """Yield each line that is not empty with its number; one that is too long is broken."""
        number = 0
        try:
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                    _skip_line(file)
                    self.lines += 1
                    self._note_broken(number, f"the line has over {_LONGEST_LINE} bytes")
                    continue
                if number == 1:
                    line = line.removeprefix(_BYTE_ORDER_MARK)
                if line.strip():
                    yield number, line
        except (EOFError, OSError, zlib.error):
            what = f"the file ends or breaks off after line {number}; what follows was not read"
            self._cut.append(Problem(str(self.path), what))


def _skip_line(file: IO[bytes]) -> None:
    while (part := file.readline(_LONGEST_LINE)) and not part.endswith(b"\n"):
        pass


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        plain = path.open("rb")
        compressed = plain.read(len(_GZIP)) == _GZIP
        plain.seek(0)
    except OSError as error:
        raise DemandInvalidError(
            f"The access log {path} cannot be read ({error.strerror}); give a file of CSV or JSON "
            "lines, plain or compressed with gzip."
        ) from None
    with plain:
        if compressed:
            with gzip.open(plain, "rb") as file:
                yield file  # type: ignore[misc] # it reads bytes
        else:
            yield plain
