"""Links are fetched from the public Internet only, whatever names, redirects and servers say."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from tests.loops import on_both_loops, until
from tests.net.parts import served
from tidegate.errors import InvalidRequest, Unreadable
from tidegate.workspaces.addresses import is_public, may_reach
from tidegate.workspaces.links import Bounds, Fetched, Resolve, fetch_page, resolve_host

PUBLIC = "93.184.215.14"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Site:
    """Answers each path with what stands for it and records the requests; a path without is a 404."""

    def __init__(self, **answers: bytes) -> None:
        self.answers = {f"/{name}": answer for name, answer in answers.items()}
        self.requests: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(request)
        path = request.split()[1].decode()
        writer.write(self.answers.get(path, b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone"))
        await writer.drain()


def page(body: bytes, *fields: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"content-length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


def redirect(target: str, status: int = 302) -> bytes:
    return f"HTTP/1.1 {status} Found\r\nlocation: {target}\r\ncontent-length: 0\r\n\r\n".encode()


class Names:
    """A resolver whose answers for each host come in order, the last one over and over."""

    def __init__(self, **hosts: Sequence[str]) -> None:
        self._hosts = {name.replace("_", "."): list(found) for name, found in hosts.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        found = self._hosts[host]
        return [found.pop(0) if len(found) > 1 else found[0]]


async def refused(url: str, resolve: Resolve = resolve_host) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as raised:
        await fetch_page(url, resolve=resolve)
    assert (raised.value.status, raised.value.param) == (400, "link")
    return raised.value


async def unreadable(url: str, bounds: Bounds | None = None, resolve: Resolve = resolve_host) -> Unreadable:
    with pytest.raises(Unreadable) as raised:
        await fetch_page(url, allow_private=True, bounds=bounds, resolve=resolve)
    assert (raised.value.status, raised.value.param) == (422, "link")
    return raised.value


@on_both_loops
async def test_a_page_is_fetched_with_the_headers_of_the_caller() -> None:
    site = Site(**{"a b/d%C3%BCne.html?q=1": b""})
    site.answers["/a%20b/d%C3%BCne.html?q=1"] = page(
        b"<p>hello</p>", "Content-Type: text/html; charset=utf-8"
    )
    async with served(site) as address:
        url = f"{address}/a%20b/düne.html?q=1#part"
        fetched = await fetch_page(url, {"Cookie": "k=v", "Accept": "text/plain"}, allow_private=True)
    assert fetched == Fetched(b"<p>hello</p>", "text/html; charset=utf-8", url)
    assert fetched.file_name == "düne.html"
    [request] = site.requests
    assert request.startswith(
        f"GET /a%20b/d%C3%BCne.html?q=1 HTTP/1.1\r\nhost: {address.host_header}\r\n".encode()
    )
    assert b"\r\naccept: text/plain\r\ncookie: k=v\r\naccept-encoding: gzip\r\n" in request


NOT_PUBLIC = """
127.0.0.1 localhost [::1] 0.0.0.0 [::] 10.0.0.1 172.16.0.1 192.168.1.1 100.64.0.1 169.254.169.254
100.100.100.200 168.63.129.16 224.0.0.1 240.0.0.1 255.255.255.255 192.0.0.192 198.18.0.1
[::ffff:127.0.0.1] [::ffff:8.8.8.8] [64:ff9b::7f00:1]
[64:ff9b:1::1] [2002:7f00:1::] [2001:0:7f00:1::] [fd00:ec2::254] [fe80::1]
[ff02::1] [fec0::1] [2001:db8::1] [::7f00:1]
"""


@pytest.mark.parametrize("host", NOT_PUBLIC.split())
def test_an_address_that_is_not_public_is_refused(host: str) -> None:
    error = asyncio.run(refused(f"http://{host}:1234/latest"))
    assert error.code == "private_address"
    assert "links into private networks are not followed" in error.message


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
def test_an_address_in_disguise_is_refused(host: str) -> None:
    async def as_the_system_does(host: str, port: int) -> Sequence[str]:
        return [socket.inet_ntoa(socket.inet_aton(host))]

    assert asyncio.run(refused(f"http://{host}/", as_the_system_does)).code == "private_address"


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700::1111", "2a00:1450:4001::8a"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)
    assert may_reach("a.example", address, allowed=False)


def test_an_operator_lets_hosts_addresses_and_networks_through() -> None:
    allowed = ("wiki.corp", "10.1.0.0/16", "192.168.1.7")
    assert may_reach("Wiki.Corp.", "10.0.0.1", allowed)
    assert may_reach("other", "10.1.2.3", allowed)
    assert may_reach("other", "192.168.1.7", allowed)
    assert not may_reach("other", "192.168.1.8", allowed)
    assert not may_reach("other", "::ffff:10.1.2.3", allowed)
    assert may_reach("other", "127.0.0.1", allowed=True)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://a.example/x", "is not a link of http or https"),
        ("file:///etc/passwd", "is not a link of http or https"),
        ("gopher://a.example", "is not a link of http or https"),
        ("a.example/page", "is not a link of http or https"),
        ("http:///page", "is not an address"),
        ("http://a.example:0/", "is not an address"),
        ("http://a.example:99999/", "is not an address"),
        ("http://[::1/", "is not an address"),
        ("http://a.example\\@127.0.0.1/", "is not an address"),
        ("http://a.example/\r\nhost: b", "is not an address"),
        ("http://user:secret@a.example/", "has a user name in it"),
        ("http://a.example/" + "x" * 9000, "longer than 8192 characters"),
    ],
)
def test_what_is_no_link_is_refused(url: str, words: str) -> None:
    message = asyncio.run(refused(url)).message
    assert words in message
    assert "secret" not in message


@pytest.mark.parametrize(
    "name", ["Host", "content-length", "Transfer-Encoding", "Proxy-Authorization", "a b", "x\r\ny"]
)
def test_a_header_of_the_connection_is_not_the_callers(name: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        asyncio.run(fetch_page("http://a.example", {name: "v"}))
    assert raised.value.param == "scraperHeaders"
    with pytest.raises(InvalidRequest):
        asyncio.run(fetch_page("http://a.example", {"x": "a\r\nb: c"}))


@on_both_loops
async def test_a_name_is_looked_up_once_and_what_it_meant_is_connected_to() -> None:
    """The second answer of a name that changes is never asked for: there is nothing to rebind."""
    site = Site(page=page(b"hello"))
    async with served(site) as address:
        names = Names(changing_example=["127.0.0.1", "192.0.2.1"])
        url = f"http://changing.example:{address.port}/page"
        assert (await fetch_page(url, allow_private=True, resolve=names)).data == b"hello"
        assert names.asked == ["changing.example"]
        assert f"host: changing.example:{address.port}\r\n".encode() in site.requests[0]

        names = Names(changing_example=[PUBLIC, "127.0.0.1"])
        await names("changing.example", 80)
        assert (await refused(url, names)).code == "private_address"
        assert len(site.requests) == 1


@on_both_loops
async def test_one_private_address_of_several_is_enough_to_refuse() -> None:
    async def both(host: str, port: int) -> Sequence[str]:
        return [PUBLIC, "10.0.0.1"]

    assert (await refused("http://a.example/", both)).code == "private_address"


@on_both_loops
async def test_a_redirect_is_judged_like_the_link() -> None:
    site = Site()
    async with served(site) as address:
        names = Names(open_example=["127.0.0.1"], inner_example=["10.0.0.1"])
        for target in (
            "http://inner.example/",
            "http://169.254.169.254/latest",
            "//10.0.0.1/",
            "file:///etc/passwd",
        ):
            site.answers["/page"] = redirect(target)

            async def resolve(host: str, port: int) -> Sequence[str]:
                return [host] if host[0].isdigit() else await names(host, port)

            with pytest.raises(InvalidRequest) as raised:
                await fetch_page(
                    f"http://open.example:{address.port}/page",
                    allow_private=["open.example"],
                    resolve=resolve,
                )
            assert raised.value.param == "link"
        assert len(site.requests) == 4


@on_both_loops
async def test_redirects_lead_on_without_the_callers_headers_elsewhere() -> None:
    first, second = Site(), Site(end=page(b"there"))
    async with served(first) as address, served(second) as other:
        first.answers["/a"] = redirect("/b", 301)
        first.answers["/b"] = redirect(f"{other}/end", 307)
        fetched = await fetch_page(f"{address}/a", {"Authorization": "Bearer k"}, allow_private=True)
        assert fetched == Fetched(b"there", "", f"{other}/end")
        assert [b"authorization: Bearer k" in each for each in (*first.requests, *second.requests)] == [
            True,
            True,
            False,
        ]


@on_both_loops
async def test_a_circle_of_redirects_ends() -> None:
    site = Site(a=redirect("/a"))
    async with served(site) as address:
        error = await unreadable(f"{address}/a", Bounds(redirects=3))
        assert error.message == "the link redirects more than 3 times: use the address it should end at"
        assert len(site.requests) == 4


@on_both_loops
async def test_what_is_no_page_is_told() -> None:
    site = Site(
        nothing=page(b""), strange=page(b"x", "content-encoding: br"), noise=b"SSH-2.0-OpenSSH\r\n\r\n"
    )
    async with served(site) as address:
        for path, words in (
            ("missing?key=secret", "/missing answered with status 404: check the link"),
            ("nothing", "/nothing answered with nothing"),
            ("strange", "/strange answers in an encoding that was not asked for"),
            ("noise", "/noise could not be read: "),
        ):
            error = await unreadable(f"{address}/{path}")
            assert f"{address}{words}" in error.message
            assert "secret" not in error.message
    assert "cannot be reached: it does not accept connections" in (await unreadable(f"{address}/a")).message

    async def nowhere(host: str, port: int) -> Sequence[str]:
        raise OSError("no such host")

    error = await unreadable("http://missing.example/", resolve=nowhere)
    assert error.message == "no host missing.example is known: check the link"


@on_both_loops
async def test_a_page_is_bounded_packed_or_not() -> None:
    body = b"tide" * 50_000
    site = Site(
        told=page(body),
        untold=b"HTTP/1.1 200 OK\r\n\r\n" + body,
        packed=page(gzip.compress(body), "Content-Encoding: gzip"),
        bomb=page(gzip.compress(bytes(60 << 20)), "Content-Encoding: gzip"),
    )
    async with served(site) as address:
        for path in ("told", "untold", "packed"):
            assert (await fetch_page(f"{address}/{path}", allow_private=True)).data == body
            error = await unreadable(f"{address}/{path}", Bounds(size=100_000))
            assert error.code == "too_large"
        assert (await unreadable(f"{address}/bomb")).code in {"too_large", "unavailable"}


@on_both_loops
async def test_a_server_that_takes_its_time_is_given_up() -> None:
    closed = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n1")
        await reader.read()
        closed.set()

    async with served(slow) as address:
        error = await unreadable(f"{address}/slow", Bounds(seconds=0.2))
        assert error.message == f"{address}/slow did not answer in full within 0.2 s: try it later"
        await closed.wait()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for pages.example and its key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl on this machine, which is needed to make a certificate")
    folder: Path = tmp_path_factory.mktemp("tls")
    made = f"{program} req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 -subj /CN=pages"
    subprocess.run(
        [*made.split(), "-addext", "subjectAltName=DNS:pages.example"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


@on_both_loops
async def _over_tls(certificate: Path) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(certificate / "cert", certificate / "key")
    trusting = ssl.create_default_context(cafile=str(certificate / "cert"))
    names = Names(pages_example=["127.0.0.1"], other_example=["127.0.0.1"])
    async with served(Site(page=page(b"hello")), tls=server) as address:

        async def fetch(host: str, tls: ssl.SSLContext | None) -> Fetched:
            url = f"https://{host}:{address.port}/page"
            return await fetch_page(url, allow_private=True, resolve=names, tls=tls)

        assert (await fetch("pages.example", trusting)).data == b"hello"
        for host, tls in (("other.example", trusting), ("pages.example", None)):
            with pytest.raises(Unreadable, match="cannot be reached: its certificate is not valid"):
                await fetch(host, tls)
        await until(lambda: len(asyncio.all_tasks()) == 1)  # the server has seen that its handshakes failed


def test_a_certificate_must_be_valid_for_the_name_of_the_link(certificate: Path) -> None:
    _over_tls(certificate)
