# SPDX-License-Identifier: Apache-2.0
"""An item of the source's list passes only if everything behind it was judged and holds."""

from pathlib import Path

import pytest

from kryonix_cache.reports.checklist import Answer, answer_checklist
from kryonix_cache.reports.lines import ChecklistItem
from tests.reports.records import Run, check, requirement, waiver

_STATES = {
    "x.pass": "pass",
    "x.passes": "pass",
    "x.fail": "fail",
    "x.error": "error",
    "x.unclear": "inconclusive",
    "x.waived": "fail",
    "x.skipped": "skipped",
    "x.lacking": "not-offered",
    "x.moot": "not-applicable",
}


@pytest.mark.parametrize(
    ("requirements", "answer"),
    [
        (["x.pass"], "passed"),
        (["x.pass", "x.passes"], "passed"),
        (["x.pass", "x.moot"], "passed"),
        (["x.moot"], "not judged"),
        ([], "not judged"),
        (["x.unknown"], "not judged"),
        (["x.outside"], "not judged"),
        (["x.skipped", "x.lacking"], "not judged"),
        (["x.pass", "x.unknown"], "partly judged"),
        (["x.pass", "x.outside"], "partly judged"),
        (["x.pass", "x.skipped"], "partly judged"),
        (["x.pass", "x.lacking"], "partly judged"),
        (["x.pass", "x.waived"], "waived"),
        (["x.unclear", "x.waived"], "inconclusive"),
        (["x.error", "x.unclear"], "error"),
        (["x.fail", "x.error"], "failed"),
        (["x.fail", "x.unknown"], "failed"),
    ],
)
def test_an_item_is_answered_by_all_of_its_requirements(
    tmp_path: Path, requirements: list[str], answer: str
) -> None:
    item = ChecklistItem(
        kind="test", number=1, statement="It works", requirements=tuple(requirements)
    )
    run = Run(
        requirements=[
            *(requirement(identifier) for identifier in _STATES),
            requirement("x.outside", in_scope=False),
        ],
        checks=[check(identifier, outcome) for identifier, outcome in _STATES.items()],
        waivers=(waiver("x.waived"),),
        checklist=(item,),
    )
    (answered,) = answer_checklist(run.record(tmp_path))

    assert answered.answer == answer
    assert [state.id for state in answered.states] == requirements


def test_a_requirement_without_outcome_says_why(tmp_path: Path) -> None:
    item = ChecklistItem(
        kind="validation", number=1, statement="s", requirements=("x.unknown", "x.outside")
    )
    run = Run(requirements=[requirement("x.outside", in_scope=False)], checklist=(item,))
    (answered,) = answer_checklist(run.record(tmp_path))

    assert answered.answer is Answer.NOT_JUDGED
    assert [state.why_absent for state in answered.states] == [
        "not in the registry yet",
        "not in scope of this run",
    ]
