"""What Traefik's client takes for an answer our check takes, too, and nothing else: the same raw answers to both."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from provider.checks.http1 import BadAnswer, CutShort, NoAnswer
from provider.checks.kinds import prepare
from provider.checks.result import CheckFailed, Seen
from provider.model import HealthCheck, ProbeMode
from tests.support.answering import Handle, connecting
from tests.support.health_checks import probe
from tests.support.traefik import DocumentServer, StartTraefik
from tests.support.waiting import eventually

HEAD = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "plain": HEAD + b"Content-Length: 2\r\n\r\nok",
    "doubled equal length": HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "tripled equal length": HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "list length": HEAD + b"Content-Length: 2, 2\r\n\r\nok",
    "different lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "space before colon": HEAD + b"X-A : 1\r\nContent-Length: 2\r\n\r\nok",
    "space before colon of length": HEAD + b"Content-Length : 2\r\n\r\nok",
    "tab before colon": HEAD + b"X-A\t: 1\r\nContent-Length: 2\r\n\r\nok",
    "space in name": HEAD + b"X A: 1\r\nContent-Length: 2\r\n\r\nok",
    "obs-fold": HEAD + b"X-A: 1\r\n 2\r\nContent-Length: 2\r\n\r\nok",
    "obs-fold tab": HEAD + b"X-A: 1\r\n\t2\r\nContent-Length: 2\r\n\r\nok",
    "first line folded": HEAD + b" X-A: 1\r\nContent-Length: 2\r\n\r\nok",
    "LF only": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "LF mixed": b"HTTP/1.1 200 OK\r\nX-A: 1\nContent-Length: 2\r\n\r\nok",
    "bare CR in value": HEAD + b"X-A: 1\r2\r\nContent-Length: 2\r\n\r\nok",
    "no reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
    "empty reason": b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok",
    "lower status line": b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "two spaces": b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
    "spaces after code": b"HTTP/1.1 200  OK\r\nContent-Length: 2\r\n\r\nok",
    "tab status": b"HTTP/1.1\t200 OK\r\nContent-Length: 2\r\n\r\nok",
    "code 20": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "code 2000": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
    "code 099": b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
    "code 299": b"HTTP/1.1 299 OK\r\nContent-Length: 2\r\n\r\nok",
    "code 000": b"HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.0 until close": b"HTTP/1.0 200 OK\r\n\r\nok",
    "HTTP/1.1 until close": b"HTTP/1.1 200 OK\r\n\r\nok",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1": b"HTTP/1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/3.0": b"HTTP/3.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/11.1": b"HTTP/11.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "ICY": b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "leading empty line": b"\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok",
    "no space after colon": HEAD + b"X-A:1\r\nContent-Length:2\r\n\r\nok",
    "no colon": HEAD + b"X-A\r\nContent-Length: 2\r\n\r\nok",
    "empty name": HEAD + b": 1\r\nContent-Length: 2\r\n\r\nok",
    "empty value": HEAD + b"X-A:\r\nContent-Length: 2\r\n\r\nok",
    "bytes in value": HEAD + b"X-A: \xff\xfe\r\nContent-Length: 2\r\n\r\nok",
    "bytes in name": HEAD + b"X-\xff: a\r\nContent-Length: 2\r\n\r\nok",
    "NUL in value": HEAD + b"X-A: a\0b\r\nContent-Length: 2\r\n\r\nok",
    "control in value": HEAD + b"X-A: a\x01b\r\nContent-Length: 2\r\n\r\nok",
    "DEL in value": HEAD + b"X-A: a\x7fb\r\nContent-Length: 2\r\n\r\nok",
    "colon in name": HEAD + b"X(A): a\r\nContent-Length: 2\r\n\r\nok",
    "brackets": HEAD + b"X[A]: a\r\nContent-Length: 2\r\n\r\nok",
    "negative length": HEAD + b"Content-Length: -2\r\n\r\nok",
    "plus length": HEAD + b"Content-Length: +2\r\n\r\nok",
    "empty length": HEAD + b"Content-Length:\r\n\r\nok",
    "spaced length": HEAD + b"Content-Length:   2  \r\n\r\nok",
    "hex length": HEAD + b"Content-Length: 0x2\r\n\r\nok",
    "huge length": HEAD + b"Content-Length: 99999999999999999999\r\n\r\nok",
    "too long length": HEAD + b"Content-Length: 5\r\n\r\nok",
    "chunked": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "Chunked": HEAD + b"Transfer-Encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunked, chunked": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunked and length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "gzip, chunked": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "identity": HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nok",
    "unknown te": HEAD + b"Transfer-Encoding: foo\r\n\r\nok",
    "chunk extension": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\n\r\n",
    "chunk space": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n",
    "chunk LF": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n",
    "chunk 0x": HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n",
    "chunk cut": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
    "chunk no last crlf": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
    "chunk trailer": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-A: b\r\n\r\n",
    "1.0 chunked": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "204 with length": b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "205": b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n",
    "304": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "100 first": b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok",
    "103 first": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok",
    "199 first": b"HTTP/1.1 199 X\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok",
    "6 times 103": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 6 + HEAD + b"Content-Length: 2\r\n\r\nok",
    "101": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "extra after": HEAD + b"Content-Length: 2\r\n\r\nokmore",
    "60 kB header": HEAD + b"X-A: " + b"a" * 60000 + b"\r\nContent-Length: 2\r\n\r\nok",
    "100 kB header": HEAD + b"X-A: " + b"a" * 100000 + b"\r\nContent-Length: 2\r\n\r\nok",
    "1000 headers": HEAD + b"".join(b"X-%d: a\r\n" % n for n in range(1000)) + b"Content-Length: 2\r\n\r\nok",
    "20000 headers": HEAD + b"".join(b"X-%d: a\r\n" % n for n in range(20000)) + b"Content-Length: 2\r\n\r\nok",
    "empty": b"",
    "garbage": b"hello\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9\r\n",
    "head only half": HEAD + b"Content-Length: 2\r\n",
    "location bytes": b"HTTP/1.1 302 Found\r\nLocation: /\xff\r\nContent-Length: 0\r\n\r\n",
    "two locations": b"HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
    "name case": HEAD + b"cOnTeNt-LeNgTh: 2\r\n\r\nok",
    "trailing space status": b"HTTP/1.1 200 OK  \r\nContent-Length: 2\r\n\r\nok",
    "reason bytes": b"HTTP/1.1 200 \xff\xfe\r\nContent-Length: 2\r\n\r\nok",
    "reason control": b"HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nok",
    "double host": HEAD + b"Host: a\r\nHost: b\r\nContent-Length: 2\r\n\r\nok",
    "two types": HEAD + b"Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 2\r\n\r\nok",
    "two dates": HEAD
    + b"Date: a\r\nDate: b\r\nServer: a\r\nServer: b\r\nETag: a\r\nETag: b\r\nContent-Length: 2\r\n\r\nok",
    "upgrade": HEAD + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok",
    "bad encoding": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
    "trailer field": HEAD + b"Trailer: X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: 1\r\n\r\n",
    "bad trailer field": HEAD + b"Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
}


@pytest.mark.takes(15)
async def test_our_check_takes_the_answers_that_traefik_takes(
    documents: DocumentServer, start_traefik: StartTraefik
) -> None:
    """Rule 5: whoever is stricter calls servers unhealthy that serve, and whoever is laxer sends clients to a 500."""

    def says(answer: bytes) -> Handle:
        async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

        return act

    urls: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        for name, answer in ANSWERS.items():
            urls[name] = f"http://127.0.0.1:{await stack.enter_async_context(connecting(says(answer)))}"
        names = {name: f"s{number}" for number, name in enumerate(urls)}
        documents.publish(
            {
                "http": {
                    "routers": {each: {"rule": f"Host(`{each}.test`)", "service": each} for each in names.values()},
                    "services": {
                        names[name]: {"loadBalancer": {"servers": [{"url": url}]}} for name, url in urls.items()
                    },
                }
            }
        )
        traefik = await start_traefik(documents.url)
        await eventually(lambda: traefik.service(f"s{len(names) - 1}"))
        through = {name: await passes(traefik.url("web"), f"{each}.test") for name, each in names.items()}
        ours = {name: await passes(url) for name, url in urls.items()}
    assert {name: passed for name, passed in ours.items() if passed is not through[name]} == {}
    assert len(set(ours.values())) == 2


async def passes(url: str, host: str = "shop.test") -> bool:
    check = prepare(probe(url, HealthCheck(mode=ProbeMode.HTTP), host=host))
    try:
        async with asyncio.timeout(30):
            await check(Seen())
    except (BadAnswer, NoAnswer, CutShort, CheckFailed):
        return False
    return True
