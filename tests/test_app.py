"""The composition root, as far as it does not take a whole process: addresses, sockets, supervision, reloads."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import aiohttp
import orjson
import pytest

from provider import app
from provider.api.access import Unprotected
from provider.api.tokens import Scope, make_token
from provider.app import loops
from provider.app.term import Term
from provider.controller import fallback_file
from provider.controller.lasting import Lasting
from provider.controller.outputs import Listeners
from provider.model import ConditionCode, Instant, Snapshot, Verb, condition
from provider.model.errors import (
    AddressError,
    DesiredStateError,
    LeadershipLost,
    ListenError,
    StoreError,
    StoreUncertain,
)
from provider.observability.metrics import Metrics
from provider.rollout import commands
from provider.rollout.commands.types import Command, Done, Refused
from provider.runtime import files
from provider.runtime.files import FileRefused
from provider.store import Change, Stored
from provider.store.etcd.address import EtcdAddress
from provider.store.sqlite import SqliteStore
from provider.traefik import certificate
from provider.traefik.certificate import FILE, make
from provider.traefik.process import free_ports
from tests.support.applying import Shared
from tests.support.certificates import Authority
from tests.support.listening import answers, listener
from tests.support.running import shop
from tests.support.waiting import eventually

# --- a daemon within this process ------------------------------------------------------------------------------------


class Running:
    """A daemon on loopback ports, its file and its admin socket; `stop` ends it."""

    def __init__(self, folder: Path, **options: str | Path) -> None:
        folder.mkdir(exist_ok=True)
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.socket = folder / "admin.sock"
        self.file = folder / "desired.yaml"
        self.settings = replace(
            app.Settings(
                desired_state=self.file,
                state_dir=folder / "state",
                listen=f"127.0.0.1:{port}",
                admin_listen=f"unix:{self.socket}",
                docker_enabled=False,
            ),
            **options,  # type: ignore[arg-type]  # each is of its field's type
        )
        self.daemon: app.Daemon
        self.stop = asyncio.Event()

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession(self.url) as session, session.get(path) as answer:
            return answer.status, await answer.text()

    def write(self, text: str) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.file)


@asynccontextmanager
async def serving(folder: Path, text: str, **options: str | Path) -> AsyncIterator[Running]:
    of = Running(folder, **options)
    of.write(text)
    of.daemon = app.Daemon(of.settings, partial(SqliteStore, of.settings.state_dir))
    await of.daemon.lead()
    task = asyncio.create_task(of.daemon.run(of.stop))
    try:
        await eventually(lambda: of.socket.exists() or task.done())
        yield of
    finally:
        of.stop.set()
        try:
            await task
        finally:
            await of.daemon.close()


EMPTY = "environment: production\nservices: {}\n"


async def test_the_file_is_followed_and_a_refused_one_changes_nothing(tmp_path: Path) -> None:
    """P11."""
    async with serving(tmp_path, EMPTY) as of:
        await eventually(lambda: of.daemon.controller.published)
        assert (await of.get("/readyz"))[0] == 200
        before = of.daemon.controller.published
        of.write("environment: [")
        await eventually(lambda: "desired-state-refused" in of.daemon.controller.conditions)
        assert of.daemon.controller.published is before
        of.write(EMPTY)
        await eventually(lambda: "desired-state-refused" not in of.daemon.controller.conditions)
        of.write(EMPTY + "udp: {services: {dns: {loadBalancer: {servers: [{address: '127.0.0.1:53'}]}}}}\n")
        await eventually(lambda: of.daemon.controller.published is not before)
        assert '"udp"' in (await of.get("/traefik"))[1]


async def test_a_start_on_a_broken_file_takes_the_one_that_was_accepted_last(tmp_path: Path) -> None:
    """P4, P11."""
    async with serving(tmp_path, shop(active="blue")) as of:
        await eventually(lambda: of.daemon.controller.state.services["shop"].state.active)
    async with serving(tmp_path, "services: nonsense\n") as of:
        assert "shop" in of.daemon.controller.state.services
        assert "desired-state-refused" in of.daemon.controller.conditions
        of.write(EMPTY)
        await eventually(lambda: not of.daemon.controller.state.services)


OUTDATED = (
    EMPTY
    + """\
http:
  routers: {docs: {rule: "Host(`${DOMAIN}`)", service: docs@file}}
  middlewares: {sec: {headers: {frameDenyy: true}}}
"""
)


@pytest.mark.parametrize("is_file_there", [True, False])
async def test_a_text_that_only_newer_rules_refuse_is_loaded_with_a_condition_for_each(
    tmp_path: Path, is_file_there: bool
) -> None:
    """Rule 13: an upgrade takes no running daemon down; new rules refuse new texts."""
    async with serving(tmp_path, EMPTY) as of:
        await eventually(lambda: of.daemon.controller.published)
        state_dir = of.settings.state_dir
    store = SqliteStore(state_dir)
    await store.open(wait_s=10)
    await store.save_desired(OUTDATED)
    await store.close()

    async with serving(tmp_path, OUTDATED if is_file_there else "services: nonsense\n") as of:
        conditions = of.daemon.controller.conditions
        await eventually(lambda: of.daemon.controller.published)
        served = (await of.get("/traefik"))[1]
        assert "frameDenyy" in served
        assert "${DOMAIN}" in served
        told = [one.message for one in conditions if one.code == "desired-state-outdated"]
        assert len(told) == 2
        assert "http.routers.docs.rule: has '${DOMAIN}'" in told[0]
        assert "http.middlewares.sec.headers.frameDenyy: unknown key (did you mean 'frameDeny'?)" in told[1]
        assert all("this was accepted before" in message for message in told)
        assert ("desired-state-refused" in conditions) is not is_file_there

        of.write(OUTDATED + "udp: {services: {}}\n")
        await eventually(
            lambda: any(
                "udp" in one.message or "frameDenyy" in one.message
                for one in conditions
                if one.code == "desired-state-refused"
            )
        )
        assert "desired-state-outdated" in conditions
        of.write(EMPTY)
        await eventually(
            lambda: not {"desired-state-refused", "desired-state-outdated"} & {one.code for one in conditions}
        )


async def test_a_text_that_newer_rules_refuse_is_refused_at_a_first_start(tmp_path: Path) -> None:
    """Rule 13."""
    with pytest.raises(DesiredStateError, match="frameDenyy"):
        async with serving(tmp_path, OUTDATED):
            pass


async def test_a_loop_that_fails_is_started_again_and_what_is_served_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4."""
    monkeypatch.setattr(loops, "RESTART_S", 0.01)
    async with serving(tmp_path, EMPTY) as of:
        before = await eventually(lambda: of.daemon.controller.published)
        failures = 0

        async def fails_twice() -> None:
            nonlocal failures
            failures += 1
            if failures <= 2:
                raise ValueError(f"made up {failures}")
            await asyncio.Event().wait()

        loop = asyncio.create_task(loops.supervise("decide", fails_twice, of.daemon.controller.loop_failed))
        await eventually(lambda: failures == 3)
        assert not loop.done()
        loop.cancel()
        message = next(one.message for one in of.daemon.controller.conditions if one.code == "internal-error")
        assert message.startswith("decide failed by a fault of this program and was started again")
        assert "made up 2" in message
        assert of.daemon.controller.published is before
        assert (await of.get("/traefik"))[0] == 200


async def test_a_stop_ends_everything_and_takes_the_socket_away(tmp_path: Path) -> None:
    async with serving(tmp_path, EMPTY) as of:
        await eventually(lambda: of.daemon.controller.published)
    assert not of.socket.exists()
    assert not await answers(of.url)
    left = {task.get_name() for task in asyncio.all_tasks()} & {"decide", "publish", "save", "health", "watch"}
    assert left == set()


async def test_an_address_in_use_ends_the_start_and_lets_the_state_go(tmp_path: Path) -> None:
    of = Running(tmp_path)
    of.write(EMPTY)
    of.daemon = app.Daemon(of.settings, partial(SqliteStore, of.settings.state_dir))
    await of.daemon.lead()
    async with listener(of.settings.listen):
        with pytest.raises(ListenError, match="Address already in use"):
            await of.daemon.run(of.stop)
    await of.daemon.close()
    again = SqliteStore(tmp_path / "state")
    await again.open(wait_s=0.0)
    await again.close()


# --- who may reach it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["0.0.0.0:8901", ":8901", "[::]:8901", "203.0.113.1:8901", "admin.example.com:8901"]
)
async def test_an_admin_listener_that_others_reach_needs_a_tokens_file(tmp_path: Path, address: str) -> None:
    """Also with mutual TLS: its certificates do not say who may do what."""
    for options in ({}, {"tls_cert": tmp_path / "a.pem", "tls_client_ca": tmp_path / "b.pem"}):
        settings = replace(Running(tmp_path, **options).settings, admin_listen=address)
        with pytest.raises(Unprotected) as refused:
            await app.serve(settings)
        assert str(refused.value) == (
            f"--admin-listen {address} lets everybody who reaches it switch services: name a --tokens-file (bluegreen "
            "token makes its lines), or listen on 127.0.0.1 or unix:PATH"
        )
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"listen": "0.0.0.0:8900", "admin_listen": "127.0.0.1:8901"}, "shows everybody the document"),
        ({}, "is reached by no other replica: listen on HOST:PORT, or name the URL with --advertise"),
        *(
            ({"advertise": "http://h:1", "replica": name}, "is no name of a replica: write letters")
            for name in ("", "a/b", "..", "two words", "line\n", "\xe4", "x" * 129)
        ),
    ],
)
def test_a_replica_is_refused_what_is_right_for_a_daemon_alone_only(
    tmp_path: Path, options: dict[str, str], refusal: str
) -> None:
    """Rules 59, 60 and 63."""
    settings = replace(Running(tmp_path).settings, **options)  # type: ignore[arg-type]
    settings.check()
    shared = replace(settings, store=EtcdAddress(("http://127.0.0.1:2379",), "/bluegreen"))
    with pytest.raises((Unprotected, AddressError), match=refusal):
        shared.check()


def test_a_state_directory_of_a_replica_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """Rule 57."""
    (tmp_path / "state").touch()
    settings = replace(
        Running(tmp_path).settings, store=EtcdAddress(("http://127.0.0.1:1",), "/x"), advertise="http://h"
    )
    with pytest.raises(StoreError, match="state: cannot be made: File exists"):
        app.Daemon(settings)


@pytest.mark.parametrize("flag", ["tls_key", "tls_client_ca"])
async def test_half_of_the_flags_of_tls_is_refused(tmp_path: Path, flag: str) -> None:
    with pytest.raises(Unprotected, match=f"--{flag.replace('_', '-')} alone leaves the listeners without TLS"):
        await app.serve(Running(tmp_path, **{flag: tmp_path / "file.pem"}).settings)


@pytest.mark.parametrize("flag", ["tokens_file", "provider_token_file", "tls_cert"])
async def test_a_start_on_a_file_that_cannot_be_used_is_refused(tmp_path: Path, flag: str) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(FileRefused, match=f"{missing}: cannot be read: No such file or directory"):
        async with serving(tmp_path, EMPTY, **{flag: missing}):
            pass


async def until_published(of: Running) -> None:
    await eventually(lambda: of.daemon.controller.published)


SECRET = EMPTY + "http: {middlewares: {in: {basicAuth: {users: ['ann:$apr1$x']}}}}\n"


async def test_a_document_with_secrets_is_shown_to_a_network_only_with_a_token_or_mutual_tls(tmp_path: Path) -> None:
    """Section 6.3."""
    authority = Authority(tmp_path)
    cert, key = authority.issue("daemon")
    token = tmp_path / "provider-token"
    token.write_text(make_token("traefik", frozenset({Scope.READ}))[0])
    open_to_all: dict[str, str | Path] = {"listen": f"0.0.0.0:{free_ports(1)[0]}"}
    tls = {"tls_cert": cert, "tls_key": key}
    for number, options in enumerate(({}, tls)):
        with pytest.raises(
            DesiredStateError, match=r"in.basicAuth.users .* shows the document to everybody"
        ) as refused:
            async with serving(tmp_path / f"refused-{number}", SECRET, **open_to_all, **options):
                pass
        assert "keep them in files of Traefik's, name a --provider-token-file, or listen on 127.0.0.1" in str(
            refused.value
        )
    for number, options in enumerate(({"provider_token_file": token}, {**tls, "tls_client_ca": authority.ca})):
        async with serving(tmp_path / f"shown-{number}", SECRET, **open_to_all, **options) as of:
            await until_published(of)


async def test_a_generated_certificate_counts_as_a_private_key(tmp_path: Path) -> None:
    """Section 6.3."""
    open_to_all = f"0.0.0.0:{free_ports(1)[0]}"
    with pytest.raises(DesiredStateError) as refused:
        async with serving(tmp_path, GENERATED, listen=open_to_all):
            pass
    assert "traefik.defaultCertificate (generated, with a private key): --listen 0.0.0.0:" in str(refused.value)
    assert "files of Traefik's (or write 'defaultCertificate: none'), name a --provider-token-file" in str(
        refused.value
    )
    token = tmp_path / "provider-token"
    token.write_text(make_token("traefik", frozenset({Scope.READ}))[0])
    async with serving(tmp_path / "shown", GENERATED, listen=open_to_all, provider_token_file=token) as of:
        await until_published(of)


async def test_tls_options_are_refused_beside_a_written_file(tmp_path: Path) -> None:
    """They would come from two providers, and Traefik would use neither."""
    text = EMPTY + "tls: {options: {strong: {minVersion: VersionTLS13}}}\n"
    with pytest.raises(DesiredStateError, match=r"tls\.options\.strong: beside --write-file .* refer to NAME@file"):
        async with serving(tmp_path, text, write_file=tmp_path / "shop.yaml"):
            pass
    async with serving(tmp_path, text) as of:
        await until_published(of)


async def test_a_stop_writes_what_was_published_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fallback_file, "SETTLE_S", 1000)
    file = tmp_path / "shop.yaml"
    text = EMPTY + "http: {middlewares: {safe: {headers: {frameDeny: true}}}}\n"
    async with serving(tmp_path, text, write_file=file) as of:
        await until_published(of)
        assert not file.exists()
    assert '"safe":{"headers":{"frameDeny":true}}' in file.read_text()


async def test_a_changed_tokens_file_counts_at_the_next_request_and_a_broken_one_does_not(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    (old, old_line), (new, new_line) = (make_token(name, frozenset({Scope.READ})) for name in ("old", "new"))
    file.write_text(old_line.line)
    async with serving(tmp_path, EMPTY, tokens_file=file) as of:
        connector = aiohttp.UnixConnector(str(of.socket))
        async with aiohttp.ClientSession("http://admin", connector=connector) as session:

            async def status(token: str) -> int:
                headers = {"Authorization": f"Bearer {token}"}
                async with session.get("/api/v1/services", headers=headers) as answer:
                    return answer.status

            assert [await status(old), await status(new), await status("x")] == [200, 401, 401]
            rewrite(file, f"{new_line.line}\nnonsense\n")
            assert [await status(old), await status(new)] == [200, 401]
            (told,) = (one.message for one in of.daemon.controller.conditions if one.code == "tokens-file-refused")
            assert told == (
                f"the change of {file} was refused, what it said before stays in force: {file}:2: a line is NAME "
                "SCOPE[,SCOPE] sha256:HEX, so 3 words; this one has 1; correct it: it is read again when it changes"
            )
            rewrite(file, new_line.line)
            assert [await status(old), await status(new)] == [401, 200]
            assert "tokens-file-refused" not in of.daemon.controller.conditions


def rewrite(path: Path, text: str) -> None:
    fresh = path.with_suffix(".fresh")
    fresh.write_text(text)
    fresh.replace(path)


async def test_a_broken_certificate_is_reported_before_anybody_connects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CHECK_EVERY_S", 0.01)
    authority = Authority(tmp_path)
    cert, key = authority.issue("daemon")
    good = cert.read_text()
    async with serving(tmp_path, EMPTY, tls_cert=cert, tls_key=key) as of:
        rewrite(cert, "nonsense")
        await eventually(lambda: "certificate-refused" in of.daemon.controller.conditions)
        (told,) = (one.message for one in of.daemon.controller.conditions if one.code == "certificate-refused")
        assert told == (
            f"the change of {cert}, {key} was refused, what it said before stays in force: "
            f"{cert}: has no certificate in PEM form; correct it: it is read again when it changes"
        )
        rewrite(cert, good)
        await eventually(lambda: "certificate-refused" not in of.daemon.controller.conditions)


async def test_with_a_certificate_both_listeners_speak_tls_and_a_unix_socket_does_not(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("daemon")
    (admin_port,) = free_ports(1)
    trusted = ssl.create_default_context(cafile=str(authority.ca))
    tls: dict[str, str | Path] = {"tls_cert": cert, "tls_key": key}
    async with serving(tmp_path, EMPTY, **tls) as of:
        assert await answers("http://admin/nothing", of.socket)
    of = Running(tmp_path, **tls, admin_listen=f"127.0.0.1:{admin_port}")
    of.daemon = app.Daemon(of.settings, partial(SqliteStore, of.settings.state_dir))
    await of.daemon.lead()
    running = asyncio.create_task(of.daemon.run(of.stop))
    try:
        async with aiohttp.ClientSession() as session:
            for url in (of.url.replace("http", "https"), f"https://127.0.0.1:{admin_port}"):

                async def status(url: str = url) -> int:
                    try:
                        async with session.get(f"{url}/nothing", ssl=trusted) as answer:
                            return answer.status
                    except aiohttp.ClientConnectorError:
                        return 0

                assert await eventually(status) == 404
                assert not await answers(url.replace("https", "http"))
    finally:
        of.stop.set()
        await running
        await of.daemon.close()


# --- the generated default certificate --------------------------------------------------------------------------------

GENERATED = EMPTY + "traefik: {defaultCertificate: generated}\n"


async def shown(of: Running) -> str | None:
    """Return the default certificate in the document."""
    document = orjson.loads((await of.get("/traefik"))[1])
    store = document.get("tls", {}).get("stores", {}).get("default")
    return None if store is None else str(store["defaultCertificate"]["certFile"])


async def test_the_first_document_has_the_certificate_and_a_restart_brings_the_same(tmp_path: Path) -> None:
    """P6, P12."""
    first = set()
    for _ in range(2):
        async with serving(tmp_path, GENERATED) as of:
            await until_published(of)
            first.add(await shown(of))
            assert first == {certificate.read(tmp_path / "state" / FILE).cert_pem}


async def test_the_file_turns_the_certificate_on_and_off_and_the_same_one_on_again(tmp_path: Path) -> None:
    async with serving(tmp_path, EMPTY) as of:
        await until_published(of)
        assert await shown(of) is None
        assert not (tmp_path / "state" / FILE).exists()
        of.write(GENERATED)
        first = await eventually(lambda: shown(of))
        of.write(EMPTY)
        await eventually(lambda: is_shown(of, None))
        of.write(GENERATED)
        await eventually(lambda: is_shown(of, first))


async def is_shown(of: Running, wanted: str | None) -> bool:
    return await shown(of) == wanted


async def test_a_certificate_that_is_due_is_renewed_while_the_daemon_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "CHECK_EVERY_S", 0.01)
    due = make(datetime.now(UTC) - timedelta(days=80), timedelta(days=90))
    file = tmp_path / "state" / FILE
    async with serving(tmp_path, GENERATED) as of:
        await until_published(of)
        before = await shown(of)
        certificate.write(file, due)
        of.daemon._term._certificate._certificate = due  # type: ignore[union-attr]  # as if days had passed
        await eventually(lambda: certificate.read(file) != due)
        await eventually(lambda: is_shown(of, certificate.read(file).cert_pem))
        assert before not in {None, await shown(of)}


async def test_a_certificate_that_cannot_be_written_is_done_without_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P4."""
    monkeypatch.setattr(certificate, "CHECK_EVERY_S", 0.01)
    in_the_way = tmp_path / "state" / FILE
    in_the_way.mkdir(parents=True)
    async with serving(tmp_path, GENERATED) as of:
        await until_published(of)
        assert await shown(of) is None
        (told,) = (one.message for one in of.daemon.controller.conditions if one.code == "default-certificate-failing")
        assert told == (
            "the default certificate could not be made, none is served, so Traefik makes an RSA key at every "
            f"change, some 45 ms: {in_the_way}: cannot be written: Is a directory; make room, or the directory "
            "writable: it is tried again every few seconds; or write 'defaultCertificate: none'"
        )
        in_the_way.rmdir()
        assert await eventually(lambda: shown(of))
        await eventually(lambda: "default-certificate-failing" not in of.daemon.controller.conditions)


async def test_a_fault_of_the_certificate_ends_when_the_file_wants_none(tmp_path: Path) -> None:
    (tmp_path / "state" / FILE).mkdir(parents=True)
    async with serving(tmp_path, GENERATED) as of:
        await until_published(of)
        assert "default-certificate-failing" in of.daemon.controller.conditions
        of.write(EMPTY)
        await eventually(lambda: "default-certificate-failing" not in of.daemon.controller.conditions)


# --- terms -----------------------------------------------------------------------------------------------------------


class Hanging(SqliteStore):
    """A store that hangs once it is told to."""

    hangs = False
    hung = asyncio.Event()

    async def commit(self, change: Change) -> None:
        if self.hangs:
            self.hung.set()
            await asyncio.Event().wait()
        await super().commit(change)


async def test_a_term_that_is_lost_ends_and_what_is_served_stays(tmp_path: Path) -> None:
    """P4, P6, rule 60: as if another replica had led for a moment. A command that waits ends with what is known."""
    stores: list[Hanging] = []
    (port,) = free_ports(1)

    def make() -> Hanging:
        stores.append(Hanging(tmp_path / "state"))
        return stores[-1]

    of = Running(tmp_path)
    of.write(shop(blue=str(port), active="blue"))
    of.daemon = app.Daemon(of.settings, make)
    await of.daemon.lead()
    task = asyncio.create_task(of.daemon.run(of.stop))
    try:
        async with listener(f"127.0.0.1:{port}"), AsyncExitStack() as stack:
            await eventually(lambda: of.daemon.replica.published is not None)
            connector = aiohttp.UnixConnector(str(of.socket))
            admin = await stack.enter_async_context(aiohttp.ClientSession("http://localhost", connector=connector))
            first, before = of.daemon.controller, await of.get("/traefik")
            first.conditions.put(condition(ConditionCode.DOCKER_AWAY, datetime.now(UTC), cause="away"))
            stores[0].hangs = True
            begun = asyncio.create_task(first.command("shop", pause))
            await stores[0].hung.wait()
            behind = asyncio.create_task(first.command("shop", pause))
            await asyncio.sleep(0)
            stream = await stack.enter_async_context(admin.get("/api/v1/events"))
            stores[0].lost.set()
            for waiting, failure in ((begun, StoreUncertain), (behind, LeadershipLost)):
                with pytest.raises(failure):
                    await waiting
            await eventually(lambda: of.daemon.replica.controller not in {None, first})
            assert "docker-away" not in of.daemon.replica.conditions
            assert await of.get("/traefik") == before
            assert (await stream.content.read()).startswith(b": listening")  # it ends: the next leader has the events
            await eventually(lambda: of.daemon.controller.state.services["shop"].state.active)
            assert len(stores) == 2
    finally:
        of.stop.set()
        await task
        await of.daemon.close()


class Broken(SqliteStore):
    """A store with a fault of ours."""

    async def open(self, *, wait_s: float) -> Stored:
        raise ValueError(f"made up, before {wait_s}")


async def test_a_loop_that_fails_while_this_process_does_not_lead_is_a_condition_of_it(tmp_path: Path) -> None:
    of = Running(tmp_path)
    of.write(EMPTY)
    of.daemon = app.Daemon(of.settings, lambda: Broken(tmp_path / "state"))
    task = asyncio.create_task(of.daemon.run(of.stop))
    try:
        await eventually(lambda: "internal-error" in of.daemon.replica.conditions)
        assert 'bluegreen_condition{code="internal-error"} 1.0' in (await of.get("/metrics"))[1]
    finally:
        of.stop.set()
        await task
        await of.daemon.close()


def pause(snapshot: Snapshot, now: Instant) -> Done | Refused:
    return commands.command(snapshot, Command(verb=Verb.PAUSE, service="shop", actor="ann"), now)


async def test_a_replica_that_cannot_load_what_the_store_has_leaves_the_lead_to_others(tmp_path: Path) -> None:
    """Rules 62, 64: as after an apply by a newer version; `begin` raises for a daemon alone, which ends."""
    store = Shared(tmp_path)
    await store.open(wait_s=10)
    await store.save_desired("environment: production\nservices: {}\nlater: {}\n")
    await store.close()
    store = Shared(tmp_path)
    stored = await store.open(wait_s=10)
    settings = app.Settings(desired_state=None, state_dir=tmp_path, docker_enabled=False)
    term = Term(settings, store, stored, Metrics(), Listeners(), Lasting(), shared=store)
    begun: list[str] = []
    assert not await term.run(lambda: begun.append("begun"))
    assert begun == []
    await term.close()
