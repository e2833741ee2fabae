# SPDX-License-Identifier: Apache-2.0
"""
What can be wrong with a run record, one class for each situation.

    ReportError
        RecordMissingError          no record at this path
        RecordExistsError           a run never writes over another run's record
        RecordNotWritableError      disk full, no permission, folder missing
        RecordOutOfOrderError       the writer was called in an order the format does not have
        RecordUnreadableError       the record is there and cannot be read
        RecordEmptyError            zero bytes: the run died before its header
        RecordTruncatedError        no footer: the run is still going, or was killed
        RecordEditedError           the bytes are not those the footer was written for
        RecordInvalidError          a line breaks the schema or the order of lines
            DuplicateHeaderError    two runs in one file
        RecordInconsistentError     results, counts or verdict do not follow from the checks
        ReportNotWritableError      a report cannot be written
        RunsFolderMissingError      there is no folder to list runs from
"""

from pathlib import Path
from typing import ClassVar


class ReportError(Exception):
    """Base of everything that this package raises on purpose."""

    exit_code: ClassVar[int] = 4


class RecordMissingError(ReportError):
    """There is no record where one was asked for."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"There is no run record at {path}. Give the folder of a run or its record.jsonl; "
            "`kryonix-cache runs list` names the runs that are there."
        )


class RecordExistsError(ReportError):
    """A record would be written over another one."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} exists already, and a run record is never overwritten. "
            "Choose another output folder or move the old run away."
        )


class RecordNotWritableError(ReportError):
    """The operating system refused a write to the record."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(
            f"The run record {path} cannot be written ({cause.strerror or cause}), so this run has "
            "no verdict. Make room or choose another output folder, and run again."
        )


class RecordOutOfOrderError(ReportError):
    """A line was handed to the writer where the format has no place for it."""

    exit_code = 3

    def __init__(self, path: Path, kind: str, why: str) -> None:
        super().__init__(
            f"A {kind} line cannot be written to {path}: {why}. "
            "This is a defect of the suite; please report it."
        )


class RecordUnreadableError(ReportError):
    """The operating system refused to read the record."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(f"The run record {path} cannot be read ({cause.strerror or cause}).")


class RecordEmptyError(ReportError):
    """The record has no bytes at all."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"The run record {path} is empty: the run stopped before it wrote its header. "
            "It has no verdict; run again."
        )


class RecordTruncatedError(ReportError):
    """The record does not end with its footer."""

    def __init__(self, path: Path, *, lines: int) -> None:
        super().__init__(
            f"The run record {path} ends after line {lines} without a footer: the run is still "
            "going, or it was killed. It has no verdict; run again."
        )
        self.lines = lines


class RecordEditedError(ReportError):
    """The record's bytes differ from those that its footer vouches for."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"The run record {path} was changed after the run ({why}). "
            "Its verdict cannot be trusted; use the original file or run again."
        )


class RecordInvalidError(ReportError):
    """A line of the record breaks the format."""

    def __init__(self, path: Path, *, line: int, rule: str) -> None:
        super().__init__(
            f"Line {line} of the run record {path} breaks the record format: {rule}. "
            "Use a record that this suite wrote, unchanged."
        )
        self.line = line
        self.rule = rule


class DuplicateHeaderError(RecordInvalidError):
    """The record holds a second header: two runs went into one file."""

    def __init__(self, path: Path, *, line: int) -> None:
        super().__init__(path, line=line, rule="a second header, so two runs went into one file")


class RecordInconsistentError(ReportError):
    """What the record concludes does not follow from what it holds."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The run record contradicts itself: {why}. Its verdict cannot be trusted; run again."
        )


class ReportNotWritableError(ReportError):
    """The operating system refused to write a report."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(
            f"The report {path} cannot be written ({cause.strerror or cause}). "
            "Make room or choose another output folder; `kryonix-cache report` writes it again "
            "from the run record."
        )


class RunsFolderMissingError(ReportError):
    """The folder whose runs were to be listed does not exist."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"There is no folder {folder} to list runs from. Give the folder that `--out` named."
        )
