# SPDX-License-Identifier: Apache-2.0
"""
The recorder: pytest's reports become checks, and the verdict becomes pytest's exit status.

A check is written when its test's teardown is over, so a killed run leaves every finished check
on the disk, and no footer: such a record is refused, never judged.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from kryonix_cache.conformance.errors import RegistryError
from kryonix_cache.conformance.evidence import Evidence
from kryonix_cache.conformance.outcomes import outcome_of
from kryonix_cache.conformance.session import RunSession
from kryonix_cache.reference_impl.errors import KryonixError
from kryonix_cache.reports.errors import ReportError
from kryonix_cache.reports.lines import Check, Outcome

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from kryonix_cache.conformance.stopping import Stopping
    from kryonix_cache.fixtures.journal import Mark

EVIDENCE = pytest.StashKey[Evidence]()
SESSION = pytest.StashKey[RunSession]()
_PROGRESS = pytest.StashKey["_Progress"]()
_JUDGED_EXIT_STATUSES = {
    pytest.ExitCode.OK,
    pytest.ExitCode.TESTS_FAILED,
    pytest.ExitCode.NO_TESTS_COLLECTED,
}


@dataclass
class _Progress:
    """How far one test came; the first phase that did not pass decides its outcome."""

    marks: tuple[Mark, ...]
    started: float
    outcome: Outcome = Outcome.PASS
    reason: str = ""
    phases: list[str] = field(default_factory=list)

    def take(self, phase: str, error: BaseException | None) -> None:
        self.phases.append(phase)
        if error is None or self.outcome in {Outcome.FAIL, Outcome.ERROR}:
            return
        outcome, reason = outcome_of(error)
        if phase == "teardown" and outcome is not Outcome.ERROR:
            outcome, reason = Outcome.ERROR, f"the teardown did not pass: {reason}"
        self.outcome, self.reason = outcome, reason


def requirements_of(item: pytest.Item) -> tuple[str, ...]:
    """Return the ids that `item` judges; raise RegistryError for a test that judges nothing."""
    ids = tuple(str(mark.args[0]) for mark in item.iter_markers("requirement"))
    if not ids:
        raise RegistryError(f"The test {item.nodeid} carries no requirement mark.")
    return ids


class Recorder:
    """The pytest plugin that writes the run record; registered for conformance runs only."""

    def __init__(self, session: RunSession, stopping: Stopping) -> None:
        self._session = session
        self._stopping = stopping

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Open the target and write the header; whatever is wrong ends the run with exit 4."""
        try:
            self._session.open()
        except (KryonixError, ReportError) as error:
            self._close()
            if error.exit_code == pytest.ExitCode.USAGE_ERROR:
                raise pytest.UsageError(self._session.redactor.text(str(error))) from None
            pytest.exit(self._session.redactor.text(str(error)), returncode=error.exit_code)
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            for line in self._session.header_lines():
                reporter.write_line(line)

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Keep the tests whose requirement is in scope."""
        known = self._session.plan.registry
        scope = self._session.plan.scope
        chosen = [
            item for item in items if any(known[each].id in scope for each in requirements_of(item))
        ]
        left = [item for item in items if item not in chosen]
        if left:
            config.hook.pytest_deselected(items=left)
            items[:] = chosen

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Note where the journal stands before the test's first command."""
        item.stash[EVIDENCE] = Evidence()
        item.stash[_PROGRESS] = _Progress(self._session.marks(), time.monotonic())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Take over how each phase came out."""
        report = yield
        progress = item.stash.get(_PROGRESS, None)
        if progress is not None:
            progress.take(call.when, call.excinfo.value if call.excinfo else None)
            if call.when == "teardown":
                for check in self._checks(item, progress):
                    self._session.record(check)
        return report

    def _checks(self, item: pytest.Item, progress: _Progress) -> Iterator[Check]:
        evidence = item.stash[EVIDENCE]
        outcome, reason = progress.outcome, progress.reason
        findings, total = evidence.shown()
        refused = dict.fromkeys(self._session.refusals_since(progress.marks))
        if refused and outcome is Outcome.PASS:
            outcome, reason = Outcome.FAIL, f"refused by the guard: {', '.join(refused)}"
        if outcome is Outcome.PASS and "call" not in progress.phases:
            outcome, reason = Outcome.ERROR, "the test never ran"
        snippet = evidence.shown_snippet() if outcome is Outcome.FAIL else ""
        for requirement in requirements_of(item):
            if snippet:
                name = self._session.write_counterexample(requirement, snippet)
                reason = f"{reason}; {name} shows it"
            yield Check(
                requirement=requirement,
                test=item.nodeid,
                outcome=outcome,
                reason=reason or evidence.note,
                seconds=round(time.monotonic() - progress.started, 6),
                operations=self._session.commands_since(progress.marks),
                observations=dict(evidence.observations),
                ran_on=evidence.ran_on,
                evidence=findings,
                evidence_total=total,
                reproduce=self._session.reproduce(requirement),
            )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Judge, write the reports, and let the verdict be pytest's exit status."""
        try:
            if self._session.is_open and exitstatus in _JUDGED_EXIT_STATUSES:
                session.exitstatus = self._session.finish()
        except (KryonixError, ReportError) as error:
            pytest.exit(self._session.redactor.text(str(error)), returncode=error.exit_code)
        except Exception as error:  # noqa: BLE001 (it would end the process with 1, non-conformant)
            sentence = f"The suite has a fault of its own, {type(error).__name__}: {error}"
            pytest.exit(self._session.redactor.text(sentence), pytest.ExitCode.INTERNAL_ERROR)
        except KeyboardInterrupt:
            pytest.exit("interrupted, so there is no verdict", pytest.ExitCode.INTERRUPTED)
        finally:
            self._close()

    def _close(self) -> None:
        with self._stopping.held_back():
            self._session.close()
