"""Tests of one group run in one worker, one after the other (tests/conftest.py)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT


def test_the_tests_of_a_file_are_one_group(request: pytest.FixtureRequest) -> None:
    """pytest-xdist writes the group behind the name of a test; where pytest does not read it, each test is apart."""
    is_in_worker = hasattr(request.config, "workerinput")
    assert request.node.nodeid.endswith("@tests/test_groups.py") == is_in_worker


@pytest.mark.parametrize(("count", "code"), [(0, 1), (1, 0), (5, 0), (6, 1)])
def test_ci_runs_a_few_failed_tests_once_more_by_the_names_that_they_have_alone(
    tmp_path: Path, count: int, code: int
) -> None:
    """What failed beside other tests has its group in its name; many at once are no accident."""
    script = (ROOT / ".ci" / "run").read_text().split("<<'EOF'\n")[1].split("\nEOF\n")[0]
    kept = tmp_path / "lastfailed"
    kept.write_text(json.dumps({f"tests/a.py::test_b[{number} c@d]@tests/a.py": True for number in range(count)}))
    done = subprocess.run([sys.executable, "-c", script, str(kept)], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert list(json.loads(kept.read_text())) == [f"tests/a.py::test_b[{number} c@d]" for number in range(count)]
    assert done.stderr.count("once more alone") == count
