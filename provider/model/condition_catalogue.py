"""The catalogue of conditions: what an operator should know, how much it matters, and how to fix it.

A condition holds for a while and ends with its cause. Its texts are here and nowhere else; who raises one fills in
what was found.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from provider.model.vocabulary import Severity


class ConditionCode(StrEnum):
    """The name of a condition for programs."""

    CERTIFICATE_REFUSED = "certificate-refused"
    CONTAINERS = "containers"
    DEFAULT_CERTIFICATE_FAILING = "default-certificate-failing"
    DESIRED_STATE_OUTDATED = "desired-state-outdated"
    DESIRED_STATE_REFUSED = "desired-state-refused"
    DOCKER_AWAY = "docker-away"
    HOLD_LEFT = "hold-left"
    INTERNAL_ERROR = "internal-error"
    NOBODY_POLLS = "nobody-polls"
    NO_DESIRED_STATE = "no-desired-state"
    NOT_APPLIED = "not-applied"
    NOT_IN_FILE = "not-in-file"
    REPLICA_AWAY = "replica-away"
    PROVIDER_TOKEN_FILE_REFUSED = "provider-token-file-refused"  # noqa: S105  a file's name, no token
    STORE_AWAY = "store-away"
    STORE_FAILING = "store-failing"
    TOKENS_FILE_REFUSED = "tokens-file-refused"
    TRAEFIK_AWAY = "traefik-away"
    TRAEFIK_ERRORS = "traefik-errors"
    TRAEFIK_OLDER = "traefik-older"
    TRAEFIK_REFUSES_FILE = "traefik-refuses-file"
    TRAEFIK_UNPROVEN = "traefik-unproven"
    WRITE_FILE_FAILING = "write-file-failing"

    UNDECIDED = "undecided"
    NO_SERVERS = "no-servers"
    NONE_HEALTHY = "none-healthy"
    NETWORK_UNCLEAR = "network-unclear"
    SAME_ADDRESS = "same-address"
    LABELS_REFUSED = "labels-refused"
    ENGINE_GONE = "engine-gone"
    RELEASE_UNTOLD = "release-untold"
    REPLACED = "replaced"
    ROLLBACK_TARGET_LOST = "way-back-lost"
    OVERRIDE = "override"
    ANALYSIS_NO_DATA = "analysis-no-data"
    TOO_FEW_REQUESTS = "too-few-requests"


@dataclass(frozen=True, slots=True)
class Condition:
    """Something an operator should know; it holds until its cause is gone."""

    code: ConditionCode
    severity: Severity
    message: str
    since_utc: datetime | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One condition of the catalogue.

    `message` says what was found, in the syntax of `str.format`, where `{title}` is the title. `fix` is what always
    helps. `title` heads a notification, None where nobody is notified.
    """

    severity: Severity
    message: str
    fix: str = ""
    title: str | None = None


_FILE_REFUSED = Entry(
    Severity.WARNING,
    "the change of {files} was refused, what it said before stays in force: {problem}",
    fix="correct it: it is read again when it changes",
)
OF_DAEMON: Mapping[ConditionCode, Entry] = MappingProxyType(
    {
        ConditionCode.DESIRED_STATE_REFUSED: Entry(
            Severity.WARNING,
            "{title}: {problems}",
            fix="check an edit with bluegreen validate FILE",
            title="the desired state was refused, what ran before keeps running",
        ),
        ConditionCode.DESIRED_STATE_OUTDATED: Entry(
            Severity.WARNING,
            "{problem} (this was accepted before, so it stays in force; edits are refused until it is corrected)",
        ),
        ConditionCode.NO_DESIRED_STATE: Entry(
            Severity.WARNING,
            "the store has no desired state yet, so nothing can be served",
            fix="bluegreen apply FILE puts the first one there",
        ),
        ConditionCode.STORE_FAILING: Entry(
            Severity.CRITICAL,
            "{title}: {cause}",
            title="the store fails: decisions are frozen, what is served goes on",
        ),
        ConditionCode.STORE_AWAY: Entry(
            Severity.CRITICAL,
            "{title}: {cause}",
            title="the store is away: the last document is served, unhealthy servers stay in it, nothing is decided",
        ),
        ConditionCode.DOCKER_AWAY: Entry(
            Severity.WARNING,
            "{title} ({cause})",
            title="Docker does not answer: the last known servers are served, no release is switched to",
        ),
        ConditionCode.CONTAINERS: Entry(Severity.WARNING, "{containers}"),
        ConditionCode.NOT_IN_FILE: Entry(
            Severity.WARNING,
            "containers name services that the file does not: {services}",
            fix="add each to the file, or correct its label bluegreen.service",
        ),
        ConditionCode.NOBODY_POLLS: Entry(
            Severity.WARNING,
            "no Traefik has polled for {quiet_s:g} s",
            fix="check that Traefik runs, and that its endpoint is this daemon's",
            title="no Traefik polls: what is decided is not applied",
        ),
        ConditionCode.REPLICA_AWAY: Entry(
            Severity.WARNING,
            "{title}: {replicas}",
            fix="start it again; if it is gone for good, and its Traefik too, bluegreen forget-replica NAME",
            title="a replica is away, and the Traefiks that poll it may keep an older document",
        ),
        ConditionCode.HOLD_LEFT: Entry(
            Severity.WARNING,
            "{pollers} went away while a poll was held and is answered at once for {not_held}, so that a switch "
            "reaches it with its next poll only",
            fix="unless it was stopped meanwhile, make its pollTimeout longer than --poll-hold",
        ),
        ConditionCode.TRAEFIK_AWAY: Entry(
            Severity.WARNING,
            "the API of Traefik does not answer, so nothing there is confirmed: {traefiks}",
            fix="start it, or remove its address from traefik.api",
        ),
        ConditionCode.TRAEFIK_OLDER: Entry(
            Severity.WARNING,
            "Traefik refuses the whole document for keys that it does not know yet: {traefiks}",
            fix="upgrade it, or remove the keys",
        ),
        ConditionCode.TRAEFIK_UNPROVEN: Entry(
            Severity.WARNING,
            "traefik.api names what proves nothing, neither for a switch nor against it: {traefiks}",
            fix="name the address of each Traefik that polls this daemon",
        ),
        ConditionCode.NOT_APPLIED: Entry(
            Severity.CRITICAL,
            "Traefik has not applied the last document, {marker}, {why}: {traefiks}",
        ),
        ConditionCode.TRAEFIK_REFUSES_FILE: Entry(
            Severity.CRITICAL,
            "Traefik fetched the present file and does not apply it{older}; its log says why. Decisions and servers "
            "reach clients all the same, with the rest of the file as it was before. Not in force is what was changed "
            "since: {changed}",
            fix="correct it (bluegreen validate FILE --traefik says what is wrong): it is tried again when it changes",
        ),
        ConditionCode.TRAEFIK_ERRORS: Entry(Severity.CRITICAL, "Traefik reports: {errors}"),
        ConditionCode.TOKENS_FILE_REFUSED: _FILE_REFUSED,
        ConditionCode.PROVIDER_TOKEN_FILE_REFUSED: _FILE_REFUSED,
        ConditionCode.CERTIFICATE_REFUSED: _FILE_REFUSED,
        ConditionCode.DEFAULT_CERTIFICATE_FAILING: Entry(
            Severity.WARNING,
            "the default certificate could not be made, {served}: {cause}",
            fix="make room, or the directory writable: it is tried again every few seconds; or write "
            "'defaultCertificate: none'",
        ),
        ConditionCode.WRITE_FILE_FAILING: Entry(
            Severity.WARNING,
            "{path} is not up to date, and a Traefik that starts while the daemon is down reads it: {cause}",
            fix="make its directory exist, writable for the daemon and with room; it is tried again automatically",
        ),
        ConditionCode.INTERNAL_ERROR: Entry(
            Severity.CRITICAL,
            "{what} failed by a fault of this program{then}: {error}",
            fix="keep the log, and report it",
        ),
    }
)
"""What may hold for the whole daemon; Prometheus has a series for each."""
OF_PROCESS = frozenset(
    {
        ConditionCode.CERTIFICATE_REFUSED,
        ConditionCode.PROVIDER_TOKEN_FILE_REFUSED,
        ConditionCode.STORE_AWAY,
        ConditionCode.TOKENS_FILE_REFUSED,
        ConditionCode.WRITE_FILE_FAILING,
    }
)
"""Those of the daemon that hold whether it leads or not."""
OF_SERVICE: Mapping[ConditionCode, Entry] = MappingProxyType(
    {
        ConditionCode.UNDECIDED: Entry(Severity.WARNING, "undecided: {why}"),
        ConditionCode.NO_SERVERS: Entry(
            Severity.CRITICAL,
            "{colour} is active and has no servers: requests are answered with 503",
            fix="start one",
            title="no servers, requests are answered with 503",
        ),
        ConditionCode.NONE_HEALTHY: Entry(
            Severity.CRITICAL,
            "{colour} is active and none of its {servers} servers is healthy; all are served: {cause}",
            title="none of its servers is healthy",
        ),
        ConditionCode.NETWORK_UNCLEAR: Entry(Severity.WARNING, "{servers}"),
        ConditionCode.SAME_ADDRESS: Entry(
            Severity.WARNING,
            "{servers}",
            fix="give each colour a port or a network of its own; until then nothing is switched",
        ),
        ConditionCode.LABELS_REFUSED: Entry(
            Severity.WARNING,
            "the labels of {colour} cannot be taken, so {so}: {why}",
            fix="correct them where the container is started",
        ),
        ConditionCode.RELEASE_UNTOLD: Entry(
            Severity.WARNING,
            "{servers}",
            fix="pull the image from a registry, or add the label bluegreen.version; until then nothing is switched",
        ),
        ConditionCode.ENGINE_GONE: Entry(
            Severity.WARNING,
            "{colour} is active, and the engine of all of its servers is in the file no more: {servers}; they stay, as "
            "nothing else takes their traffic",
            fix="start {colour} on an engine of the file, or give the traffic to {other}: bluegreen switch {service} "
            "{other}, which --force does whatever the gates say",
        ),
        ConditionCode.REPLACED: Entry(Severity.WARNING, "{colour} was replaced in place: it runs {release}{instead}"),
        ConditionCode.ROLLBACK_TARGET_LOST: Entry(
            Severity.WARNING, "the rollback target, release {release} in {colour}, is lost: {why}"
        ),
        ConditionCode.ANALYSIS_NO_DATA: Entry(
            Severity.WARNING,
            "the analysis lacks evidence: {causes}",
            fix="what is missing passes nothing and fails nothing",
        ),
        ConditionCode.TOO_FEW_REQUESTS: Entry(
            Severity.WARNING,
            "the time of step {number} is over, and {colour} has answered fewer than {most} requests in it "
            "(minRequests): the step goes on until it has; what clients gave up waiting for (499) does not count",
            fix="see that it answers; to go on without them: bluegreen promote {service} --force --reason WHY",
            title="a step goes on, as its candidate has too few requests",
        ),
        ConditionCode.OVERRIDE: Entry(
            Severity.INFO,
            "traffic is kept at {colour}{by}: {reason}",
            fix="this ends with a new release in {other}, another `active` in the file, or bluegreen retry {service}",
        ),
    }
)
"""What may hold for one service."""
CATALOGUE: Mapping[ConditionCode, Entry] = MappingProxyType({**OF_DAEMON, **OF_SERVICE})


def condition(
    code: ConditionCode,
    since_utc: datetime | None,
    *,
    severity: Severity | None = None,
    fix: str = "",
    **found: object,
) -> Condition:
    """Return a condition in the words of the catalogue, with what was `found` filled in.

    `severity` is another one than usual, `fix` what helps besides: a command that works now.
    """
    entry = CATALOGUE[code]
    parts = (template.format(title=entry.title, **found) for template in (entry.message, entry.fix))
    message = "; ".join(part for part in (*parts, fix) if part)
    return Condition(code, severity or entry.severity, message, since_utc)
