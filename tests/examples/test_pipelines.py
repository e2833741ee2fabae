# SPDX-License-Identifier: Apache-2.0
"""The pipelines of the examples are well-formed, ask for little, and keep secrets to themselves."""

from __future__ import annotations

import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from kryonix_cache.conformance.registry import load_registry
from kryonix_cache.conformance.waivers import load_waivers
from tests.examples.command_line import EXAMPLES

GITHUB = EXAMPLES / "github" / "gate.yml"
GITLAB = EXAMPLES / "gitlab-ci.yml"
SCHEMAS = [(GITHUB, "vendor.github-workflows"), (GITLAB, "vendor.gitlab-ci")]


def breaks_schema(file: Path, schema: str) -> str:
    result = subprocess.run(
        [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", schema, file],
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout + result.stderr if result.returncode else ""


@pytest.mark.parametrize(("file", "schema"), SCHEMAS)
def test_a_pipeline_keeps_the_schema_of_its_system(file: Path, schema: str) -> None:
    assert breaks_schema(file, schema) == ""


@pytest.mark.parametrize(("file", "schema"), SCHEMAS)
def test_a_pipeline_with_a_misspelt_key_would_be_found(
    file: Path, schema: str, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.yml"
    text = file.read_text(encoding="utf-8").replace("runs-on:", "run-on:")
    wrong.write_text(text.replace("when: always", "when: allways"), encoding="utf-8")
    assert "errors" in breaks_schema(wrong, schema)


def test_the_workflow_gates_the_deployment_and_may_only_read() -> None:
    workflow = YAML(typ="safe").load(GITHUB)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["jobs"]["deploy"]["needs"] == "conformance"
    steps = workflow["jobs"]["conformance"]["steps"]
    assert not any(step.get("continue-on-error") for step in steps)
    keeping = next(step for step in steps if "upload-artifact" in step.get("uses", ""))
    assert (keeping["if"], keeping["with"]["path"]) == ("always()", "reports/runs/")


def test_the_gitlab_pipeline_gates_the_deployment_and_hands_on_its_reports() -> None:
    pipeline = YAML(typ="safe").load(GITLAB)
    assert pipeline["deploy"]["needs"] == ["conformance"]
    job = pipeline["conformance"]
    assert "allow_failure" not in job
    assert job["artifacts"]["when"] == "always"
    assert job["artifacts"]["reports"]["junit"] == "reports/runs/*/junit.xml"


def test_no_command_of_a_pipeline_holds_a_secret() -> None:
    """A secret comes from the environment: everybody can read the arguments of a process."""
    workflow = YAML(typ="safe").load(GITHUB)
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    pipeline = YAML(typ="safe").load(GITLAB)
    scripts = [step.get("run", "") for step in steps] + [
        line
        for job in (pipeline["conformance"], pipeline["deploy"])
        for line in [*job.get("before_script", []), *job["script"]]
    ]
    words = [word for script in scripts for word in shlex.split(script)]
    assert "kryonix-cache" in words
    assert [w for w in words if "secrets." in w or "PASSWORD" in w or "KRYONIX_TARGET" in w] == []


def test_the_waivers_of_the_examples_can_be_used() -> None:
    file = EXAMPLES / "waivers.toml"
    assert load_waivers(file, load_registry(), today=datetime.now(UTC).date())
