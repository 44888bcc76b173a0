"""Sends one message to one target through Apprise.

The only module that knows Apprise, which is imported for whoever has a URL. What an URL keeps secret is in no name and
no cause."""

import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, assert_never
from urllib.parse import SplitResult, unquote, urlsplit

from provider.model import Severity
from provider.model.errors import BluegreenError
from provider.model.text import one_line
from provider.observability.outbox import Message
from provider.runtime.bounded import Bounds
from provider.runtime.files import FileRefused, read_text

if TYPE_CHECKING:
    from apprise import Apprise, AppriseResult, NotifyType


SEND_S = 15.0
CAUSE_MOST = 300
ANSWER_BYTES = 128 * 1024
"""Size limit of the answer of a notification service."""


class NotifyError(BluegreenError):
    """Notifications that cannot be sent as they are set up."""


def read_urls(path: Path) -> tuple[str, ...]:
    """Read Apprise URLs from a file, one a line; empty lines and those that begin with # say nothing.

    Raises:
        NotifyError: the file cannot be read or holds no URL, Apprise does not understand a line, or is not installed.
    """
    try:
        lines = read_text(path).splitlines()
    except FileRefused as refusal:
        raise NotifyError(f"--notify-file {refusal}") from refusal
    urls = {number: line.strip() for number, line in enumerate(lines, 1)}
    urls = {number: url for number, url in urls.items() if url and not url.startswith("#")}
    if not urls:
        raise NotifyError(f"--notify-file {path} holds no URL: write one a line, or leave the flag out")
    for number, url in urls.items():
        read_url(url, f"{path}:{number}")
    return tuple(urls.values())


class Sender:
    """One Apprise target. `name` says which, without what its URL keeps secret."""

    def __init__(self, apprise: "Apprise", url: str, name: str) -> None:
        self.name = name
        self._apprise = apprise
        # Not everything that is secret in a URL is where Apprise looks for it: a webhook's path is one.
        words = {word for text in (url, unquote(url)) for word in re.findall(r"[^/?&=:@#,;\s]{6,}", text)}
        self._secrets = sorted((word for word in words if word not in name), key=len, reverse=True)

    def send(self, message: Message) -> str | None:
        """Send a message, however long that takes; return why it failed. Call it in a thread."""
        from apprise import NotifyFormat  # noqa: PLC0415  only who has URLs needs Apprise

        with Bounds(ANSWER_BYTES, SEND_S).in_force():
            sent = self._apprise.notify(
                title=message.title,
                body=message.body,
                notify_type=_notify_type(message.severity),
                body_format=NotifyFormat.TEXT,
            )
        return None if sent else self._cause(sent)

    def _cause(self, sent: "AppriseResult") -> str:
        logged = [entry.message for result in sent.results for entry in result.logs()]
        cause = logged[-1] if logged else "Apprise could not send it, and does not say why"
        for secret in self._secrets:
            cause = cause.replace(secret, "****")
        return one_line(cause, CAUSE_MOST)


def read_url(url: str, place: str) -> Sender:
    """Read an Apprise URL; `place` says where an operator finds it."""
    try:
        from apprise import Apprise, AppriseAsset, NotifyBase, OverflowMode  # noqa: PLC0415
    except ImportError as failure:
        raise NotifyError(
            f"{place}: notifications need Apprise, which is not installed: {sys.executable} -m pip install apprise, or "
            "from a clone of the repository, with the versions that are tested: pip install -r requirements/notify.txt"
        ) from failure
    logging.getLogger("apprise").propagate = False  # its texts show parts of URLs; what matters is logged here
    # Neither its threads nor its limits: what it does in a thread of ours ends with the process.
    asset = AppriseAsset(async_mode=False, service_timeout=0)
    plugin = Apprise.instantiate(url, asset=asset)
    if not isinstance(plugin, NotifyBase):
        scheme = re.match(r"[a-z0-9.+-]{1,20}(?=://)", url, re.IGNORECASE)
        what = f"the {scheme[0]}:// URL" if scheme else "it: it does not begin with a scheme and ://"
        raise NotifyError(f"{place}: Apprise does not understand {what}; `apprise -vv --dry-run -b test URL` says why")
    if "overflow=" not in url:
        plugin.overflow_mode = OverflowMode.SPLIT  # else what exceeds a service's limit is refused
    apprise = Apprise(asset=asset)
    apprise.add(plugin)
    return Sender(apprise, url, _name(urlsplit(apprise.urls(privacy=True)[0])))


def _name(shown: SplitResult) -> str:
    """Name a target by where it is. A place without a dot or a port may be a topic, which is as good as a password."""
    place = shown.netloc
    return f"{shown.scheme}://{place}" if re.search("[.:]", place) else f"{shown.scheme}://{place[:3]}..."


def _notify_type(severity: Severity) -> "NotifyType":
    from apprise import NotifyType  # noqa: PLC0415

    match severity:
        case Severity.INFO:
            return NotifyType.INFO
        case Severity.WARNING:
            return NotifyType.WARNING
        case Severity.CRITICAL:
            return NotifyType.FAILURE
        case _:
            assert_never(severity)
