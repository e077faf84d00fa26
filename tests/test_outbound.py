"""Connections to hosts that documents name: what is refused, and that what was checked is what is connected to."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
import urllib3.util.connection

from lab.emulators.key_vault.authority import CertificateAuthority
from shared.environment import load_environment
from shared.errors import MisconfiguredError
from shared.outbound import Outbound, is_public
from shared.reasons import Reason

PUBLIC = "93.184.215.14"
ALLOWED = Outbound(frozenset({"desk.example"}))


class Server:
    """An HTTPS server on loopback that keeps what it was asked. Its certificate is good for `localhost`."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.asked: list[tuple[str, str]] = []
        self.location: str | None = None
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server.asked.append((self.headers["Host"], self.path))
                self.send_response(302 if server.location else 200)
                if server.location:
                    self.send_header("Location", server.location)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    authority = CertificateAuthority(tmp_path_factory.mktemp("authority"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.certificate))
    started = Server(authority.server_context())
    yield started
    started.stop()


Resolve = Callable[..., list[str]]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Stands in for DNS: each look-up of a name gets the next answer, and the last one stays."""
    real = socket.getaddrinfo

    def install(*answers: Sequence[str] | OSError) -> list[str]:
        asked: list[str] = []

        def getaddrinfo(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
            try:
                return real(host, port, *arguments, **{**named, "flags": socket.AI_NUMERICHOST})
            except socket.gaierror:
                asked.append(host)
            answer = answers[min(len(asked), len(answers)) - 1]
            if isinstance(answer, OSError):
                raise answer
            return [
                (socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
                for one in answer
            ]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return install


def ask(url: str, outbound: Outbound | None = None, **options: Any) -> requests.Response:
    return (outbound or Outbound()).session(()).get(url, timeout=2, **options)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 - nothing is bound
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.8.8.8",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2001:10::1",
        "2002:7f00:1::1",
        "2002:808:808::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "3fff::1",
        "5f00::1",
        "nonsense",
        "1.2.3",
        "127.1",
    ],
)
def test_an_address_that_is_not_of_the_public_network_is_none(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", PUBLIC, "2606:4700::6810:84e5", "::ffff:8.8.8.8", "64:ff9b::808:808", "172.32.0.1"]
)
def test_an_address_of_the_public_network_is_one(address: str) -> None:
    assert is_public(address)


FORMS = (
    "127.0.0.1",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "2130706433",  # the same address as one number
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",  # in octal
    "127.1",
    "0",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[::]",
    "１２７.０.０.１",  # full-width digits, which IDNA folds
    "127。0。0。1",  # ideographic full stops
    "ⓛocalhost",
    "169.254.169.254",
    "[fe80::1%25lo]",
    "168.63.129.16",
)


@pytest.mark.parametrize("host", FORMS)
def test_no_spelling_of_an_address_leads_into_the_own_network(host: str, server: Server) -> None:
    # `requests` takes some of them for no address at all.
    with pytest.raises((MisconfiguredError, requests.exceptions.InvalidURL)) as caught:
        ask(f"https://{host}:{server.port}/")
    assert getattr(caught.value, "reason", Reason.HOST_REFUSED) is Reason.HOST_REFUSED
    assert server.asked == []


@pytest.mark.parametrize(
    "url", ["https://desk.example@127.0.0.1:{}/", "http://localhost:{}/", "https://u:p@localhost:{}"]
)
def test_neither_userinfo_nor_plain_http_is_a_way_around(url: str, server: Server) -> None:
    with pytest.raises(MisconfiguredError) as caught:
        ask(url.format(server.port), Outbound(frozenset({"localhost", "desk.example"})))
    assert caught.value.reason is Reason.HOST_REFUSED
    assert server.asked == []


@pytest.mark.parametrize(
    "answer", [["10.1.2.3"], [PUBLIC, "10.1.2.3"], ["fd00::5"], [], socket.gaierror(-2, "unknown")]
)
def test_the_words_are_the_same_whatever_stands_at_the_name(answer: Any, resolve: Resolve) -> None:
    resolve(answer)
    with pytest.raises(MisconfiguredError) as caught:
        ask("https://intranet.acorn.example/")
    assert str(caught.value) == (
        "The desk does not connect to intranet.acorn.example: nobody knows the name, or it has no public address. "
        "Check the host in the document. Whoever deploys the desk can allow a private host in the app setting "
        "DESKBRIDGE_ALLOWED_PRIVATE_HOSTS."
    )


def test_a_name_that_is_bound_anew_after_the_check_gains_nothing(
    server: Server, resolve: Resolve, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = resolve([PUBLIC], ["127.0.0.1"])
    connected: list[str] = []

    def connect(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        connected.append(address[0])
        raise ConnectionRefusedError

    monkeypatch.setattr(urllib3.util.connection, "create_connection", connect)
    with pytest.raises(requests.exceptions.ConnectionError):
        ask(f"https://rebinding.example:{server.port}/")
    assert (asked, connected, server.asked) == (["rebinding.example"], [PUBLIC], [])


def test_each_connection_looks_the_name_up_once_and_checks_what_it_found(server: Server, resolve: Resolve) -> None:
    asked = resolve(["127.0.0.1"], ["10.0.0.1"])
    session = Outbound(frozenset({f"localhost:{server.port}"})).session(())
    # The stub tells names only: localhost is one.
    for path in ("/one", "/two"):
        assert session.get(f"https://localhost:{server.port}{path}", timeout=2).text == "ok"
    assert asked == ["localhost"]
    assert server.asked == [(f"localhost:{server.port}", "/one"), (f"localhost:{server.port}", "/two")]


def test_the_next_address_is_tried_when_the_first_does_not_answer(server: Server, resolve: Resolve) -> None:
    resolve(["::1", "127.0.0.1"])  # the server has no IPv6
    assert ask(f"https://localhost:{server.port}/", Outbound(frozenset({"localhost"}))).text == "ok"


def test_the_certificate_must_be_for_the_name_and_not_for_the_address(server: Server, resolve: Resolve) -> None:
    resolve(["127.0.0.1"])
    with pytest.raises(requests.exceptions.SSLError, match=r"desk\.example"):
        ask(f"https://desk.example:{server.port}/", ALLOWED)
    assert server.asked == []


def test_a_private_host_is_allowed_with_its_port_alone(server: Server) -> None:
    assert ask(f"https://LOCALHOST.:{server.port}/", Outbound(frozenset({f"localhost:{server.port}"}))).ok
    with pytest.raises(MisconfiguredError):
        ask(f"https://localhost:{server.port}/", Outbound(frozenset({"localhost:1"})))


@pytest.mark.parametrize("location", ["https://127.0.0.1:{}/there", "http://169.254.169.254/", "/there"])
def test_a_redirect_is_an_answer_and_not_followed(location: str, server: Server) -> None:
    server.location = location.format(server.port)
    answer = ask(f"https://localhost:{server.port}/", Outbound(frozenset({"localhost"})))
    assert answer.status_code == 302
    assert len(server.asked) == 1


class Proxy:
    """A proxy that keeps what it is asked for, and refuses."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(4096).split(b"\r\n")[0].decode())
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    def stop(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    started = Proxy()
    monkeypatch.setenv("HTTPS_PROXY", started.url)
    yield started
    started.stop()


@pytest.mark.parametrize(
    "host",
    [*FORMS, "10.0.0.1", "intranet", "evil.example", "known.example.evil.example", "unknown.example", "xknown.example"],
)
def test_a_proxy_is_asked_for_known_names_alone(host: str, proxy: Proxy) -> None:
    with pytest.raises((MisconfiguredError, requests.exceptions.InvalidURL)):
        Outbound().session(["known.example"]).get(f"https://{host}/", timeout=2)
    assert proxy.asked == []


@pytest.mark.parametrize("host", ["known.example", "api-e2.known.example", "API.KNOWN.EXAMPLE", "vault.corp:8443"])
def test_a_proxy_looks_known_names_up_itself(host: str, proxy: Proxy, resolve: Resolve) -> None:
    asked = resolve(["10.0.0.1"])
    with pytest.raises(requests.exceptions.ProxyError):
        Outbound(frozenset({"vault.corp:8443"})).session(["known.example"]).get(f"https://{host}/", timeout=2)
    port = "" if ":" in host else ":443"
    assert [line.lower() for line in proxy.asked] == [f"connect {host.lower()}{port} http/1.1"] or [
        line.lower() for line in proxy.asked
    ] == [f"connect {host.lower()}{port} http/1.0"]
    assert asked == []


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("", set()),
        ("desk.example", {"desk.example"}),
        (
            "Desk.Example., vault.corp:8443\n[::1]:7186 [::1]",
            {"desk.example", "vault.corp:8443", "[::1]:7186", "[::1]"},
        ),
    ],
)
def test_the_deployer_lists_private_hosts_in_an_app_setting(text: str, hosts: set[str]) -> None:
    environ = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "DESKBRIDGE_ALLOWED_PRIVATE_HOSTS": text}
    assert load_environment(environ).hosts("DESKBRIDGE_ALLOWED_PRIVATE_HOSTS") == hosts


@pytest.mark.parametrize("text", ["https://desk.example", "desk.example/path", "*.example", "::1", "desk.example:port"])
def test_what_is_no_host_is_refused_when_the_app_starts(text: str) -> None:
    environ = {"AzureWebJobsStorage": "UseDevelopmentStorage=true", "DESKBRIDGE_ALLOWED_PRIVATE_HOSTS": text}
    with pytest.raises(MisconfiguredError, match="neither a host nor host:port"):
        load_environment(environ)
