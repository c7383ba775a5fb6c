"""The webhook notifier and a real HTTP server on this machine's loopback; back-off in virtual time."""

from __future__ import annotations

import builtins
import datetime
import hashlib
import hmac
import ipaddress
import logging
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from duravip.bus import Bus
from duravip.config.node_config import PluginStanza
from duravip.errors import PluginError
from duravip.events import Event, LinkUp, NodeJoined, OwnerElected, PluginFailed
from duravip.model import Address, NodeName
from duravip.runtime.notifying import QUEUE_EVENTS, Notifying
from duravip.testing.hook_receiver import Behaviour, HookReceiver
from duravip.testing.notifier_kit import Open, check_notifier, stamp
from duravip_plugins import webhook_notifier
from duravip_plugins.notify_webhook import OPTIONS
from duravip_plugins.webhook_notifier import WebhookError, WebhookNotifier, cloud_event, retry_after

SECRET_PATH = "/hooks/t0psecret?token=abc123"
VIP = Address("192.0.2.51")
ELECTED = OwnerElected(address=VIP, owner=NodeName("node2"), previous=None, reason="next")
UP = stamp(LinkUp(interface="eth0"), seq=1)


def notifier(url: str, *, transport: httpx.AsyncBaseTransport | None = None, **options: object) -> WebhookNotifier:
    whole = {option.name: option.default for option in OPTIONS} | options | {"url": url}
    return WebhookNotifier(whole, jitter=lambda: 1.0, wall_clock=lambda: 1_800_000_000.9, transport=transport)


def url(receiver: HookReceiver, scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{receiver.port}{SECRET_PATH}"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real servers take real time: as little as possible."""
    monkeypatch.setattr(webhook_notifier, "FIRST_PAUSE_S", 0.01)


async def failure(told: WebhookNotifier) -> str:
    with pytest.raises(WebhookError) as caught:
        async with told:
            await told.notify(UP)
    assert "t0psecret" not in str(caught.value)
    assert "abc123" not in str(caught.value)
    return str(caught.value)


# --- a real server


async def test_an_event_arrives_as_a_cloud_event() -> None:
    with HookReceiver() as receiver:
        async with notifier(url(receiver)) as told:
            await told.notify(stamp(ELECTED, seq=7))
    [request] = receiver.requests
    assert (request.path, request.headers["content-type"]) == (SECRET_PATH, "application/cloudevents+json")
    assert request.json() == {
        "specversion": "1.0",
        "id": "7.1700000000:7",
        "source": "/duravip/node1",
        "type": "duravip.election.owner_elected",
        "time": "2026-11-22T17:18:19.123+00:00",
        "datacontenttype": "application/json",
        "subject": "192.0.2.51",
        "data": stamp(ELECTED, seq=7).to_json_object(),
    }
    assert "duravip-signature" not in request.headers


async def test_an_event_about_no_address_has_no_subject() -> None:
    assert b'"subject"' not in cloud_event(UP)
    assert b'"subject":"192.0.2.51"' in cloud_event(stamp(ELECTED, seq=1))


async def test_a_request_is_signed_with_the_secret_and_the_time(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    secret.chmod(0o600)
    with HookReceiver() as receiver:
        async with notifier(url(receiver), secret_file=str(secret)) as told:
            await told.notify(UP)
    [request] = receiver.requests
    wanted = hmac.new(b"hush", b"1800000000." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["duravip-signature"] == f"t=1800000000,v1={wanted}"


def test_the_receivers_side_of_the_signature_is_as_the_page_shows_it() -> None:
    page = Path(__file__).parents[2].joinpath("docs", "how-to", "webhook.md").read_text()
    shown: dict[str, Any] = {"hmac": hmac, "hashlib": hashlib}
    exec(page.partition("```python\n")[2].partition("```")[0], shown)
    header = webhook_notifier.signature(b"hush", b"{}", at_s=1_800_000_000)
    assert shown["is_genuine"](b"hush", header, b"{}", 1_800_000_001.5)
    assert not shown["is_genuine"](b"hush", header, b"{ }", 1_800_000_001.5)
    assert not shown["is_genuine"](b"hash", header, b"{}", 1_800_000_001.5)
    assert not shown["is_genuine"](b"hush", header, b"{}", 1_800_000_999.0)


async def test_the_connection_is_kept() -> None:
    with HookReceiver() as receiver:
        async with notifier(url(receiver)) as told:
            for _ in range(3):
                await told.notify(UP)
    assert (len(receiver.requests), receiver.connections) == (3, 1)


async def test_500_then_200_is_told_with_one_id(quick: None) -> None:
    with HookReceiver(Behaviour(status=500), Behaviour(status=503), Behaviour(status=200)) as receiver:
        async with notifier(url(receiver)) as told:
            await told.notify(UP)
    assert [event["id"] for event in receiver.events()] == ["7.1700000000:1"] * 3


async def test_a_connection_that_is_closed_early_is_made_again(quick: None) -> None:
    with HookReceiver(Behaviour(what="close"), Behaviour(what="close")) as receiver:
        async with notifier(url(receiver)) as told:
            await told.notify(UP)
    assert len(receiver.requests) == 3


async def test_a_receiver_that_hangs_is_asked_again_after_the_time_limit(quick: None) -> None:
    with HookReceiver(Behaviour(what="hang")) as receiver:
        async with notifier(url(receiver), timeout=0.2) as told:
            await told.notify(UP)
    assert len(receiver.requests) >= 2  # more on a machine that is too busy to answer the next one in time


async def test_a_receiver_that_always_hangs_is_given_up() -> None:
    with HookReceiver(Behaviour(what="hang")) as receiver:
        words = await failure(notifier(url(receiver), timeout=0.2, give_up=0))
        assert words == f"http://127.0.0.1:{receiver.port}: no answer within 0.2 s (attempt 1, given up)"


async def test_an_endless_answer_is_cut_short() -> None:
    with HookReceiver(Behaviour(what="endless")) as receiver, trio.fail_after(30):
        async with notifier(url(receiver), timeout=60) as told:
            await told.notify(UP)
            await told.notify(UP)
    assert len(receiver.requests) == 2


async def test_a_redirect_is_an_error_and_is_not_followed() -> None:
    with HookReceiver() as other:
        moved = Behaviour(status=307, headers={"Location": url(other)})
        with HookReceiver(moved) as receiver:
            words = await failure(notifier(url(receiver)))
            assert words == (
                f"http://127.0.0.1:{receiver.port} answered 307: redirects are not followed, name the final URL"
            )
    assert (len(receiver.requests), other.requests) == (1, [])


@pytest.mark.parametrize("status", [400, 401, 404, 410])
async def test_a_refusal_is_final(status: int) -> None:
    with HookReceiver(Behaviour(status=status)) as receiver:
        assert (await failure(notifier(url(receiver)))).endswith(f"answered {status}")
    assert len(receiver.requests) == 1


async def test_nobody_there_is_tried_again_until_somebody_is(quick: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    words = await failure(notifier(f"http://127.0.0.1:{port}{SECRET_PATH}", give_up=0.1))
    assert words.startswith(f"http://127.0.0.1:{port}: ")
    assert "given up" in words
    assert "attempt 1," not in words


class AtHook:
    """A receiver of the kit."""

    def __init__(self, receiver: HookReceiver, open_deaf: Open) -> None:
        self.receiver = receiver
        self.open_deaf: Open | None = open_deaf

    async def told(self) -> Sequence[str]:
        return [request.body.decode() for request in list(self.receiver.requests)]


async def test_the_notifier_does_what_every_notifier_must() -> None:
    with HookReceiver() as receiver, HookReceiver(*[Behaviour(what="hang")] * 10) as deaf:
        await check_notifier(lambda: notifier(url(receiver)), AtHook(receiver, lambda: notifier(url(deaf))))


# --- TLS


def certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's side, and the file of the authority, which is the certificate itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "duravip test")])
    today = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    both, public = folder / "server.pem", folder / "ca.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    both.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + public.read_bytes()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, public


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    tls, _ = certificate(tmp_path)
    with HookReceiver(tls=tls) as receiver:
        assert "certificate verify failed" in await failure(notifier(url(receiver, "https"), give_up=0))
    assert receiver.requests == []


async def test_a_certificate_of_the_named_authority_is_accepted(tmp_path: Path) -> None:
    tls, public = certificate(tmp_path)
    with HookReceiver(tls=tls) as receiver:
        async with notifier(url(receiver, "https"), ca_file=str(public)) as told:
            await told.notify(UP)
    assert len(receiver.requests) == 1


# --- secrets


async def test_nothing_secret_is_logged(quick: None, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.DEBUG)
    with HookReceiver(Behaviour(status=500), Behaviour(what="close")) as receiver:
        there = notifier(url(receiver).replace("http://", "http://user:passw0rd@"))
        async with there as told:
            await told.notify(UP)
        assert "authorization" in receiver.requests[-1].headers
    for secret in ("t0psecret", "abc123", "passw0rd"):
        assert secret not in caplog.text + repr(there) + there.origin


@pytest.mark.parametrize(
    "text", ["", "example.org/hook", "ftp://example.org", "https:///x", "http://[::1", "https://a\0b"]
)
def test_what_is_no_url_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(PluginError) as caught:
        notifier(text)
    assert str(caught.value) == "webhook: url must be a whole one, such as https://host/path"
    assert caught.value.exit_code == 2


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush")
    secret.chmod(0o640)
    with pytest.raises(PluginError, match=r"\(mode 0640\): chmod 600"):
        notifier("https://example.org/", secret_file=str(secret))


def test_a_secret_that_is_missing_or_empty_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    with pytest.raises(PluginError, match="No such file"):
        notifier("https://example.org/", secret_file=str(secret))
    secret.touch(0o600)
    with pytest.raises(PluginError, match="is empty"):
        notifier("https://example.org/", secret_file=str(secret))


def test_an_authority_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="cannot use ca_file"):
        notifier("https://example.org/", ca_file=str(tmp_path / "ca.pem"))


def test_without_httpx_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name == "httpx":
            raise ImportError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(PluginError, match=r"pip install 'duravip\[webhook\]'"):
        notifier("https://example.org/")


def test_the_plugin_itself_can_be_loaded_without_httpx() -> None:
    """A virtual machine's worth of proof: another Python, in which httpx cannot be imported."""
    program = (
        "import sys; sys.modules['httpx'] = None; from duravip_plugins.notify_webhook import *; duravip_notifiers()"
    )
    assert os.spawnl(os.P_WAIT, sys.executable, sys.executable, "-c", program) == 0


# --- patience, in virtual time


class NoBody(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b""


class Answers:
    """Takes the network's place: one status after the other, the last one for ever. `at`: when each was asked."""

    def __init__(self, *statuses: int, headers: Iterable[tuple[str, str]] = (), latency_s: float = 0) -> None:
        self.at: list[float] = []
        self.bodies: list[bytes] = []
        self.transport = httpx.MockTransport(self._answer)
        self._statuses = list(statuses)
        self._headers = list(headers)
        self._latency_s = latency_s

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.at.append(trio.current_time())
        self.bodies.append(await request.aread())
        await trio.sleep(self._latency_s)
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return httpx.Response(status, headers=self._headers, stream=NoBody())


async def test_pauses_double_up_to_a_limit_and_end(autojump_clock: trio.testing.MockClock) -> None:
    answers = Answers(503)
    words = await failure(notifier("http://a.example/", transport=answers.transport, give_up=60))
    assert answers.at == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 30.5, 45.5]
    assert words == "http://a.example answered 503 (attempt 8, given up)"


async def test_pauses_are_jittered_by_up_to_a_half(autojump_clock: trio.testing.MockClock) -> None:
    answers = Answers(503, 503, 204)
    whole = {option.name: option.default for option in OPTIONS} | {"url": "http://a.example/"}
    chances = iter((0.0, 0.5))
    async with WebhookNotifier(whole, jitter=lambda: next(chances), transport=answers.transport) as told:
        await told.notify(UP)
    assert answers.at == [0, 0.25, 1.0]


async def test_retry_after_is_honoured_with_a_cap(autojump_clock: trio.testing.MockClock) -> None:
    for asked, waited in (("7", 7), ("86400", webhook_notifier.LONGEST_RETRY_AFTER_S), ("soon", 0.5), ("0", 0.5)):
        answers = Answers(429, 204, headers=[("Retry-After", asked)])
        async with notifier("http://a.example/", transport=answers.transport, give_up=90) as told:
            await told.notify(UP)
        assert answers.at[1] - answers.at[0] == waited


def test_retry_after_may_be_a_date() -> None:
    assert retry_after("Sat, 22 Nov 2025 17:00:30 GMT", now_s=1763830800 - 3600 + 3600) == pytest.approx(30)
    assert retry_after("Sat, 22 Nov 2025 17:00:30 GMT", now_s=2_000_000_000) == 0


async def test_its_own_limit_is_longer_than_its_patience(autojump_clock: trio.testing.MockClock) -> None:
    answers = Answers(503, latency_s=4.9)
    told = notifier("http://a.example/", transport=answers.transport, give_up=200)
    await failure(told)
    assert trio.current_time() < told.limit_s
    assert trio.current_time() > 150


async def test_events_stay_in_order_while_one_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    answers = Answers(503, 503, 503, 204)
    bus = Bus(node=NodeName("n1"), incarnation="1.1", view=str)
    failures: list[Event] = []
    told = notifier("http://a.example/", transport=answers.transport)
    notifying = Notifying(PluginStanza(plugin="webhook", name="x", options={}), told, bus, failures.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notifying.run)
        for name in ("a", "b", "c"):
            bus.publish(NodeJoined(name=NodeName(name), node_incarnation="1.1"))
        await bus.wait_dealt_with()
        nursery.cancel_scope.cancel()
    assert [body.split(b'"seq":')[1][:1] for body in answers.bodies] == [b"1", b"1", b"1", b"1", b"2", b"3"]
    assert failures == []


async def test_a_dead_receiver_delays_nobody_and_what_it_missed_is_counted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    answers = Answers(503)
    bus = Bus(node=NodeName("n1"), incarnation="1.1", view=str)
    failures: list[Event] = []
    told = notifier("http://a.example/", transport=answers.transport, give_up=60)
    notifying = Notifying(PluginStanza(plugin="webhook", name="x", options={}), told, bus, failures.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(notifying.run)
        await trio.testing.wait_all_tasks_blocked()
        bus.publish(LinkUp(interface="first"))
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
        for _ in range(QUEUE_EVENTS + 5):
            bus.publish(LinkUp(interface="more"))
        assert trio.current_time() == began
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    texts = [event.text for event in failures if isinstance(event, PluginFailed)]
    assert texts[0].startswith("interface.link_up was not told: http://a.example answered 503 (attempt")
    assert texts[1] == "too slow: 5 events were never told"
