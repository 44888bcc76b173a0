"""Variables of compose files, against Docker Compose itself."""

import contextlib
import json
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from provider.cli.importing.variables import VariableError, Variables, dotenv
from tests.support.components import program

VALUES = {"SET": "value", "EMPTY": "", "DOLLAR": "a$b${SET}"}
TEXTS = [
    *("plain", "$$SET", "$SET", "${SET}", "$SET.x", "${EMPTY}", "${DOLLAR}", "Host(`${SET}.example.com`)"),
    *("${SET:-other}", "${EMPTY:-other}", "${EMPTY-other}", "${NONE:-other}", "${NONE-other}", "${NONE:-}", "${NONE-}"),
    *("${SET:?needed}", "${EMPTY?needed}", "^x(.*)$$", "$${1}/y", "$$$$", "a$$$SET", "%", "{}", "${NONE:-a b, c}"),
]
NESTED = {
    "${NONE:-${SET}}": "value",
    "${NONE:-${OTHER:-last}}": "last",
    "${SET:+${EMPTY:-x}}": "x",
    "${NONE+x}y": "y",
    "${EMPTY+x}": "x",
    "${EMPTY:+x}": "",
}
"""What only version 2 of Compose has."""


def test_texts_become_what_compose_makes_of_them(tmp_path: Path) -> None:
    compose = program("docker-compose", "docker-compose")
    file = tmp_path / "compose.yaml"
    labels = {f"label.{number}": text for number, text in enumerate(TEXTS)}
    file.write_text(json.dumps({"version": "3", "services": {"a": {"image": "b", "labels": labels}}}))
    done = subprocess.run(
        [compose, "-f", str(file), "config"], env={**VALUES, "PATH": "/usr/bin:/bin"}, capture_output=True, check=True
    )
    theirs = yaml.safe_load(done.stdout)["services"]["a"]["labels"]
    ours = {label: Variables(VALUES).replaced(text)[0] for label, text in labels.items()}
    assert {label: text.replace("$", "$$") for label, text in ours.items()} == theirs


@pytest.mark.parametrize(("text", "wanted"), NESTED.items())
def test_defaults_may_have_variables_of_their_own(text: str, wanted: str) -> None:
    assert Variables(VALUES).replaced(text) == (wanted, ())


def test_variables_without_a_value_are_named() -> None:
    variables = Variables(VALUES)
    assert variables.replaced("${NONE}$OTHER${EMPTY:?needed}${SET}") == ("value", ("NONE", "OTHER", "EMPTY"))
    assert variables.used == {"SET": "its value"}


@pytest.mark.parametrize(
    "text", ["$", "${", "${}", "$1", "${SET", "${SET!x}", "${1}", "a $ b", "${A:-" * 40 + "}" * 40]
)
def test_a_dollar_that_compose_refuses_is_refused(text: str) -> None:
    with pytest.raises(VariableError):
        Variables(VALUES).replaced(text)


@given(st.text(alphabet="${}:-?+ABx1 "))
def test_any_text_is_replaced_or_refused(text: str) -> None:
    with contextlib.suppress(VariableError):
        assert isinstance(Variables({"A": "$A"}).replaced(text)[0], str)


@given(st.text())
def test_a_text_without_dollars_stays(text: str) -> None:
    assert Variables({}).replaced(text.replace("$", "")) == (text.replace("$", ""), ())


def test_a_dotenv_file_is_read_line_by_line() -> None:
    text = "# no\nA=1\n export B = two words \nC='# kept'  # not\nD=\"x=y\"\nE=\nF\nG=a#b # c\n=x\n"
    assert dotenv(text) == {"A": "1", "B": "two words", "C": "# kept", "D": "x=y", "E": "", "G": "a#b"}
