"""The targets that Apprise URLs name, and the file that has them."""

from pathlib import Path

import pytest

from provider.observability.sender import NotifyError, read_url, read_urls

# Apprise looks through its plugins at the first URL, and one of them imports what a later Python has no more.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops", "slack://T...2"),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "discord://4...8"),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/", "tgram://1...p"),
        ("ntfy://hunter2hunter2", "ntfys://hun..."),
        ("json://hooks:8080/hunter2hunter2", "json://hooks:8080"),
        ("mailtos://ops:hunter2@example.com", "mailtos://ops:****@example.com"),
    ],
)
def test_the_name_of_a_target_shows_no_secret(url: str, name: str) -> None:
    assert read_url(url, "--notify-url").name == name


def test_a_file_holds_one_url_a_line(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    path.write_text("# who is told\n\n  json://127.0.0.1:8081/  \njson://127.0.0.1:8082/\r\n", encoding="utf-8")
    assert read_urls(path) == ("json://127.0.0.1:8081/", "json://127.0.0.1:8082/")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"# ops\njson://127.0.0.1/\nslakc://hunter2\n", ":3: Apprise does not understand the slakc:// URL"),
        (b"# nobody yet\n", "holds no URL"),
        (b"json://\xff\xfe", "is no text in UTF-8"),
        (None, "No such file or directory"),
    ],
)
def test_what_is_wrong_with_a_file_is_reported_with_its_name_and_line(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "notify"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NotifyError) as refused:
        read_urls(path)
    assert f"{path}" in str(refused.value)
    assert message in str(refused.value)
    assert "hunter2" not in str(refused.value)
