"""Tokens, and the files they stand in."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from provider.api.tokens import NEEDS, Scope, Token, digest, make_token, read_provider_tokens, read_tokens
from provider.model import Verb
from provider.runtime.files import FileRefused

HEX = "ab" * 32
OTHER = "cd" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "tokens"
    made.touch(mode=0o600)
    return made


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with capture_logs() as lines:
        yield lines


def refusal(path: Path, text: str) -> str:
    path.write_text(text)
    with pytest.raises(FileRefused) as refused:
        read_tokens(path)
    return str(refused.value)


# --- making ----------------------------------------------------------------------------------------------------------


def test_the_line_of_a_token_is_read_back_as_what_it_was_made_for(path: Path) -> None:
    text, made = make_token("ci", frozenset({Scope.DEPLOY, Scope.READ}))
    path.write_text(f"{made.line}\n")
    assert read_tokens(path) == (Token("ci", frozenset({Scope.DEPLOY, Scope.READ}), digest(text)),)


def test_a_token_carries_256_random_bits_and_its_line_none_of_them() -> None:
    text, made = make_token("ci", frozenset({Scope.READ}))
    assert text.startswith("bg_")
    assert len(text) == len("bg_") + 43  # 32 bytes in base64
    assert text not in made.line
    assert make_token("ci", frozenset({Scope.READ}))[0] != text


@pytest.mark.parametrize("name", ["", "a b", "#ci", "-ci", "a" * 65, "ci\n", "c\u00fc"])
def test_a_name_that_the_file_could_not_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name: write letters, digits"):
        make_token(name, frozenset({Scope.READ}))


def test_every_command_says_which_scopes_it_needs() -> None:
    assert NEEDS.keys() == {*Verb, "lease", "force"}
    assert all(Scope.OPERATE in needed for needed in NEEDS.values())
    assert NEEDS["force"] == {Scope.OPERATE}
    assert Scope.DEPLOY not in NEEDS[Verb.APPROVE]


# --- the tokens file -------------------------------------------------------------------------------------------------


def test_comments_and_blank_lines_are_skipped(path: Path) -> None:
    path.write_text(
        f"# who may do what\n\n ci  deploy,read\tsha256:{HEX} # the pipeline\nann operate sha256:{OTHER.upper()}"
    )
    assert [(token.name, set(token.scopes), token.digest.hex()) for token in read_tokens(path)] == [
        ("ci", {Scope.DEPLOY, Scope.READ}, HEX),
        ("ann", {Scope.OPERATE}, OTHER),
    ]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("ci deploy", "a line is NAME SCOPE[,SCOPE] sha256:HEX, so 3 words; this one has 2"),
        (f"ci deploy, read sha256:{HEX}", "a line is NAME SCOPE[,SCOPE] sha256:HEX, so 3 words; this one has 4"),
        (f"-ci deploy sha256:{HEX}", "'-ci' is no name: write letters, digits and . _ @ -, a letter or digit first"),
        (f"ci deploy,admin sha256:{HEX}", "ci: 'admin' is no scope: write read, deploy, approve, operate"),
        (f"ci deploy, sha256:{HEX}", "ci: '' is no scope: write read"),
        ("ci deploy sha256:abc", "ci: this is no hash; the last word is sha256: and 64 hexadecimal digits"),
        (f"ci deploy md5:{HEX}", "ci: this is no hash"),
    ],
)
def test_a_bad_line_is_refused_with_its_number_and_the_rule(path: Path, line: str, rule: str) -> None:
    assert refusal(path, f"# first\n{line}\n").startswith(f"{path}:2: {rule}")


def test_everything_that_is_wrong_is_reported_at_once(path: Path) -> None:
    told = refusal(path, f"ci\nann operate sha256:{HEX}\nann read sha256:{OTHER}\nbob read sha256:{HEX}\n").splitlines()
    assert told[0].startswith(f"{path}:1: a line is NAME")
    assert told[1].startswith(f"{path}:3: ann: there is a token of this name above")
    assert told[2:] == [f"{path}:4: bob: this is also the token of ann: make one each"]


def test_a_file_without_tokens_is_refused(path: Path) -> None:
    told = f"{path}: has no token, so nobody could do anything: make one with bluegreen token NAME"
    assert refusal(path, "# nobody\n\n") == refusal(path, "") == told


def test_a_token_written_in_place_of_its_hash_is_not_reported_to_anybody(path: Path) -> None:
    text, _ = make_token("ci", frozenset({Scope.READ}))
    for line, told in {
        f"ci read {text}": "ci: this is the token itself; the last word is sha256: and 64 hexadecimal digits",
        f"{text} read sha256:{HEX}": "bg_... is a token and no name",
        text: "so 3 words; this one has 1",
    }.items():
        assert told in refusal(path, line)
        assert text.removeprefix("bg_") not in refusal(path, line)


@pytest.mark.parametrize(
    ("mode", "warns"), [(0o600, False), (0o640, False), (0o660, True), (0o644, True), (0o602, True)]
)
def test_a_file_that_others_can_read_or_change_is_warned_of(
    path: Path, logged: list[EventDict], mode: int, warns: bool
) -> None:
    path.write_text(f"ci read sha256:{HEX}\n")
    path.chmod(mode)
    read_tokens(path)
    read_provider_tokens(path)
    assert [line["file"] for line in logged if line["log_level"] == "warning"] == [str(path)] * 2 * warns


# --- the provider's --------------------------------------------------------------------------------------------------


def test_a_provider_token_is_written_as_text_or_hash_or_as_the_line_that_was_printed(path: Path) -> None:
    text, made = make_token("traefik", frozenset({Scope.READ}))
    for line in (text, f"{text}\n", f"sha256:{made.digest.hex()}", made.line):
        path.write_text(line)
        assert [token.digest for token in read_provider_tokens(path)] == [made.digest]


def test_while_a_provider_token_is_replaced_both_are_accepted(path: Path) -> None:
    path.write_text(f"# old\nsha256:{HEX}\n# new\nsha256:{OTHER}\n")
    assert [token.digest.hex() for token in read_provider_tokens(path)] == [HEX, OTHER]


@pytest.mark.parametrize(
    "line", ["hunter2", "Bearer 0123456789abcdef", "0123456789abcd\u00e9\u00e9", f"a b c sha256:{HEX}"]
)
def test_what_is_no_provider_token_is_refused_without_showing_it(path: Path, line: str) -> None:
    path.write_text(f"\n{line}\n")
    with pytest.raises(FileRefused) as refused:
        read_provider_tokens(path)
    assert str(refused.value).startswith(
        f"{path}:2: a line is the token that Traefik sends (16 or more ASCII characters"
    )
    assert line not in str(refused.value)
    path.write_text("# nothing\n")
    with pytest.raises(FileRefused, match="has no token, so Traefik could not poll"):
        read_provider_tokens(path)
