"""The client of etcd's gateway against real nodes, and against peers that mean harm."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest

from provider.runtime.files import FileRefused
from provider.store.etcd import stream
from provider.store.etcd.address import Credentials, parse_address, read_context
from provider.store.etcd.client import JsonGateway, connect
from provider.store.etcd.gateway import Compare, Delete, EtcdRefused, EtcdUncertain, Get, Put, Target
from provider.traefik.process import free_ports
from tests.support.certificates import Authority
from tests.support.etcd import Cluster, User, after
from tests.support.hostile import answering, endless, ok


@pytest.fixture
async def gateway(etcd: Cluster) -> AsyncIterator[JsonGateway]:
    gateway = JsonGateway([node.url for node in etcd.nodes])
    yield gateway
    await gateway.close()


@pytest.fixture
def prefix() -> bytes:
    return f"/{secrets.token_hex(4)}/".encode()


async def test_a_transaction_compares_and_does_all_or_nothing(gateway: JsonGateway, prefix: bytes) -> None:
    key = prefix + b"a"
    is_new = Compare(key, Target.CREATE, 0)
    first = await gateway.transact([is_new], [Put(key, b"\0\xff"), Get(key)], [Get(key)])
    second = await gateway.transact([is_new], [Put(key, b"2")], [Get(key), Delete(prefix + b"b")])
    changed = await gateway.transact([Compare(key, Target.MOD, first.revision)], [Put(key, b"3")])

    assert first.succeeded
    assert changed.succeeded
    assert not second.succeeded
    ((found,), nothing) = second.found
    assert (found.key, found.value, found.create_revision, found.mod_revision) == (
        key,
        b"\0\xff",
        *[first.revision] * 2,
    )
    assert nothing == ()
    assert second.member == changed.member != ""


async def test_what_is_asked_of_a_closed_gateway_is_refused(gateway: JsonGateway, prefix: bytes) -> None:
    """Rule 54: a poll while a replica ends is answered with what there is."""
    await gateway.transact([], [Get(prefix)])
    await gateway.close()
    with pytest.raises(EtcdRefused, match="has closed its connections"):
        await gateway.transact([], [Get(prefix)])


async def test_ranges_are_read_in_pages_at_one_revision(gateway: JsonGateway, prefix: bytes) -> None:
    keys = [prefix + str(number).encode() for number in range(5)]
    first = await gateway.transact([], [Put(key, b"old") for key in keys])
    await gateway.transact([], [Put(keys[0], b"new"), Delete(keys[1], keys[3])])

    read = await gateway.transact([], [Get(prefix, after(prefix), limit=3, revision=first.revision)])
    newest = await gateway.transact([], [Get(prefix, after(prefix), limit=1, is_descending=True)])
    with pytest.raises(EtcdRefused, match="future revision"):
        await gateway.transact([], [Get(prefix, revision=first.revision + 10_000)])

    assert [(one.key, one.value) for one in read.found[0]] == [(key, b"old") for key in keys[:3]]
    assert [one.key for one in newest.found[0]] == keys[4:]


async def test_what_etcd_refuses_is_surely_not_done(gateway: JsonGateway, prefix: bytes) -> None:
    with pytest.raises(EtcdRefused, match="duplicate key"):
        await gateway.transact([], [Put(prefix, b""), Put(prefix, b"")])
    with pytest.raises(EtcdRefused, match="too large"):
        await gateway.transact([], [Put(prefix, bytes(1_700_000))])
    with pytest.raises(EtcdRefused, match="too many operations"):
        await gateway.transact([], [Put(prefix + str(number).encode(), b"") for number in range(129)])
    with pytest.raises(EtcdRefused, match="lease not found"):
        await gateway.transact([], [Put(prefix, b"", lease=1)])


async def test_a_lease_takes_its_keys_along(gateway: JsonGateway, prefix: bytes) -> None:
    lease = await gateway.grant(30)
    await gateway.transact([], [Put(prefix, b"", lease=lease)])
    assert await gateway.keep_alive(lease)

    await gateway.revoke(lease)
    await gateway.revoke(lease)

    assert not await gateway.keep_alive(lease)
    assert (await gateway.transact([], [Get(prefix)])).found == ((),)


async def test_a_watch_sees_every_change_of_its_ranges_in_order(gateway: JsonGateway, prefix: bytes) -> None:
    a, b, c = prefix + b"a", prefix + b"b", prefix + b"c"
    begin = (await gateway.transact([], [Put(a, b"1"), Put(b, b"unseen")])).revision
    seen: list[tuple[int, bytes, bytes | None]] = []
    async with gateway.watch([(a, b), (c, prefix + b"d")], begin) as watch:
        await gateway.transact([], [Put(a, b"2")])
        await gateway.transact([], [Delete(a)])
        await gateway.transact([], [Put(a, b"3"), Put(c, b"1")])
        async with asyncio.timeout(30):
            async for changes in watch:
                seen += [(changes.revision - begin, one.key, one.value) for one in changes.put]
                seen += [(changes.revision - begin, key, None) for key in changes.deleted]
                if len(seen) == 5:
                    break

    assert [change for change in seen if change[1] == a] == [(0, a, b"1"), (1, a, b"2"), (2, a, None), (3, a, b"3")]
    assert [change for change in seen if change[1] == c] == [(3, c, b"1")]


async def test_a_change_larger_than_etcd_sends_at_once_arrives_whole(gateway: JsonGateway, prefix: bytes) -> None:
    begin = (await gateway.transact([], [Put(prefix + b"0", bytes(1_000_000))])).revision
    for number in b"1", b"2":
        await gateway.transact([], [Put(prefix + number, bytes(1_000_000))])
    async with asyncio.timeout(30), gateway.watch([(prefix, after(prefix))], begin) as watch:
        sizes = [len((await anext(watch)).put[0].value) for _ in range(3)]
    assert sizes == [1_000_000] * 3


@pytest.mark.takes(6)
async def test_with_several_members_one_that_is_dead_or_frozen_is_left(tmp_path: Path) -> None:
    """A request that was surely not sent goes to another member; one that may have been sent does not."""
    with Cluster(tmp_path, 3) as cluster:
        gateway = JsonGateway([node.url for node in cluster.nodes])
        first, second, third = cluster.nodes
        key = b"/k"
        try:
            await gateway.transact([], [Put(key, b"1")])
            first.kill()
            while True:
                try:
                    await gateway.transact([], [Put(key, b"2")])
                    break
                except EtcdUncertain:
                    pass  # the members choose another leader
            second.freeze()
            with pytest.raises(EtcdUncertain, match="outcome is unknown"):
                await gateway.transact([], [Put(key, b"3")])
            second.kill()
            async with asyncio.timeout(60):  # once the third knows that it is alone, it refuses at once
                while not isinstance(failure := await _failure(gateway, key), EtcdRefused):
                    pass
            assert "no leader" in str(failure)
            cluster.start(second)
            await cluster.ready(second, third)
            values = (await gateway.transact([], [Get(key)])).found[0]
            assert values[0].value in {b"2", b"3", b"4"}
        finally:
            await gateway.close()


async def _failure(gateway: JsonGateway, key: bytes) -> Exception | None:
    try:
        await gateway.transact([], [Put(key, b"4")])
    except (EtcdRefused, EtcdUncertain) as failure:
        return failure
    return None


async def test_a_frozen_member_is_left_by_the_next_watch(etcd_cluster: Cluster) -> None:
    first, second, _ = etcd_cluster.nodes
    gateway = JsonGateway([first.url, second.url])
    try:
        first.freeze()
        with pytest.raises(EtcdUncertain):
            async with gateway.watch([(b"a", b"z")], 1):
                pass
        async with gateway.watch([(b"a", b"z")], 1):
            pass
    finally:
        first.thaw()
        await gateway.close()


async def test_a_watch_from_a_compacted_revision_is_refused(etcd_cluster: Cluster) -> None:
    gateway = JsonGateway([node.url for node in etcd_cluster.nodes])
    try:
        for _ in range(2):
            await gateway.transact([], [Put(b"k", b"")])
        etcd_cluster.compact()
        with pytest.raises(EtcdRefused, match="compacted"):
            async with gateway.watch([(b"a", b"z")], 1) as watch:
                await anext(watch)
    finally:
        await gateway.close()


@pytest.mark.takes(6)
async def test_tls_and_a_user_and_a_token_that_died_with_its_member(tmp_path: Path) -> None:
    """Rule 63. A 401 is surely not done: the client logs in anew and asks once more."""
    authority = Authority(tmp_path)
    with Cluster(tmp_path, tls=authority) as cluster:
        (node,) = cluster.nodes
        cluster.enable_users(User("bluegreen", "secret"))
        address = parse_address(f"etcd://{cluster.addresses}/bluegreen?ca={authority.ca}")
        context = read_context(address)
        assert address.endpoints == (node.url,)

        def gateway(password: str) -> JsonGateway:
            credentials = Credentials("bluegreen", password, "the file")
            return JsonGateway(address.endpoints, context=lambda: context, credentials=lambda: credentials)

        well, wrong, nobody = gateway("secret"), gateway("wrong"), JsonGateway(address.endpoints)
        without = JsonGateway(address.endpoints, context=lambda: context)
        plain = JsonGateway([node.url.replace("https", "http")])
        try:
            with pytest.raises(EtcdRefused, match="certificate not trusted"):
                await nobody.transact([], [Get(b"/bluegreen/k")])
            with pytest.raises(EtcdRefused, match="does not know user 'bluegreen' with the password in the file"):
                await wrong.transact([], [Get(b"/bluegreen/k")])
            with pytest.raises(EtcdRefused, match="name --store-credentials FILE"):
                await without.transact([], [Get(b"/bluegreen/k")])
            with pytest.raises(EtcdUncertain, match="connection closed without an answer"):
                await plain.transact([], [Get(b"/bluegreen/k")])
            assert (await well.transact([], [Put(b"/bluegreen/k", b"1")])).succeeded
            with pytest.raises(EtcdRefused, match="permission denied: grant"):
                await well.transact([], [Put(b"/another/k", b"1")])
            node.kill()
            cluster.start()
            await cluster.ready()
            assert (await well.transact([], [Put(b"/bluegreen/k", b"2")])).succeeded
            assert await well.keep_alive(await well.grant(5))
            async with well.watch([(b"/bluegreen/", b"/bluegreen0")], 1) as watch:
                assert (await anext(watch)).put[0].value == b"1"
        finally:
            for each in well, wrong, nobody, without, plain:
                await each.close()


async def test_certificates_and_password_are_read_again_when_they_change(etcd: Cluster, tmp_path: Path) -> None:
    user, authority = tmp_path / "user", Authority(tmp_path)
    user.write_text("bluegreen:secret\n")
    address = parse_address(f"etcd://{etcd.addresses}/bluegreen?ca={authority.ca}")
    gateway = connect(address, user)
    first = gateway._context()
    assert gateway._context() is first
    authority.ca.write_text(Authority(tmp_path, "other").ca.read_text())
    second = gateway._context()
    assert second is not first
    authority.ca.write_text("nonsense")
    user.write_text("nonsense")
    assert gateway._context() is second
    assert gateway._credentials() == Credentials("bluegreen", "secret", str(user))
    with pytest.raises(FileRefused):
        connect(address, user)


async def test_nobody_there_is_surely_not_done() -> None:
    gateway = JsonGateway([f"http://127.0.0.1:{port}" for port in free_ports(2)])
    with pytest.raises(EtcdRefused, match=r"http://127\.0\.0\.1:\d+: connection refused; http://127"):
        await gateway.transact([], [Put(b"k", b"")])
    await gateway.close()


ERROR = b'{"error":"%s","message":"%s","code":%d}'


def error(code: int, message: bytes, status: str = "503 Service Unavailable") -> list[bytes]:
    body = ERROR % (message, message, code)
    return [f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body]


TXN = b'{"header":{"revision":"1"},"succeeded":true,"responses":[{"response_put":{}}]}'


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b"SSH-2.0-OpenSSH_9.2\r\n"],
        [ok(b"")],
        [ok(b"{}")],
        [ok(b"[" * 10_000)],
        [ok(TXN[:-1])],
        [ok(TXN.replace(b'"1"', b'"1e400"'))],
        [ok(TXN.replace(b"response_put", b"response_range"))],
        [ok(TXN.replace(b'[{"response_put":{}}]', b"[]"))],
        [ok(TXN.replace(b'"responses"', b'"other"'))],
        [ok(TXN)[:-3]],
        [b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"],
        [b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 3\r\n\r\nhey"],
        error(14, b"etcdserver: request timed out"),
        error(14, b"etcdserver: leader changed"),
        error(14, b"no leader"),
        error(8, b"etcdserver: mvcc: database space exceeded", "429 Too Many Requests"),
        error(3, b"something of a proxy", "400 Bad Request"),
        error(2, b"raft proposal dropped", "500 Internal Server Error"),
    ],
    ids=lambda pieces: pieces[0][:60].decode(errors="replace") if pieces else "nothing",
)
async def test_an_answer_that_does_not_say_is_uncertain(pieces: list[bytes]) -> None:
    """Rule 51. The transaction that fills etcd's space is done, and answered with an error."""
    asked: list[str] = []

    def answer(path: str) -> Iterable[bytes]:
        asked.append(path)
        return pieces

    with answering(answer) as url:
        gateway = JsonGateway([url, url.replace("127.0.0.1", "localhost")])
        with pytest.raises(EtcdUncertain):
            await gateway.transact([], [Put(b"k", b"")])
        await gateway.close()
    assert asked == ["/v3/kv/txn"]


async def test_answers_without_end_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "ANSWER_BYTES", 1 << 20)
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    with answering(lambda _: endless(head, b" " * 65536)) as url:
        gateway = JsonGateway([url])
        with pytest.raises(EtcdUncertain):
            await gateway.transact([], [Put(b"k", b"")])
        with pytest.raises(EtcdUncertain, match="longer than 1 MiB"):
            async with gateway.watch([(b"a", b"b")], 1):
                pass
        await gateway.close()


FRAGMENT = b'{"result":{"header":{},"fragment":true,"events":[{"kv":{"key":"%s","mod_revision":"1"}}]}}\n' % (
    b"A" * 4096
)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [b"{\n"],
        [b'{"result":{}}\n'],
        [b'{"result":{"header":{},"created":true}}\n{"result":{"header":{},"events":[{}]}}\n'],
        [b'{"error":{"grpc_code":14,"message":"etcdserver: no leader"}}\n'],
        [b'{"result":{"header":{},"canceled":true,"cancel_reason":"x"}}\n'],
        [b'{"result":{"header":{},"created":true}}\n', *[FRAGMENT] * 300],
    ],
    ids=["nothing", "broken", "no header", "no key", "no leader", "cancelled", "fragments"],
)
async def test_a_watch_that_says_nonsense_ends(answer: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "ANSWER_BYTES", 1 << 20)
    with answering(lambda _: [b"HTTP/1.1 200 OK\r\n\r\n", *answer]) as url:
        gateway = JsonGateway([url])
        with pytest.raises(EtcdUncertain):  # noqa: PT012  where it ends depends on the answer
            async with asyncio.timeout(30), gateway.watch([(b"a", b"b")], 1) as watch:
                async for _ in watch:
                    pass
        await gateway.close()
