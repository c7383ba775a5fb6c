"""The webhook notifier: every event a POST of one CloudEvent to one URL.

Events go one after the other, in the order of the bus, so those of one VIP arrive in their order. An event that could
not be told for a reason that may pass (no connection, no answer in time, 429, 5xx) is tried again, after pauses that
double and are jittered, or as long as the receiver's Retry-After asks, until `give_up` has passed; meanwhile later
events wait in the runtime's queue, which is bounded and counts what it loses. Any other answer but 2xx, a redirect too,
is final: it fails at once.

No text of this plugin has more of the URL than scheme, host and port: the rest may be a secret.

Source: CloudEvents 1.0.2 and its HTTP binding, structured content mode; RFC 9110 10.2.3 (Retry-After).
"""

from __future__ import annotations

import email.utils
import hashlib
import hmac
import json
import logging
import os
import random
import ssl
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

import trio

from duravip.errors import NotifierError, PluginError
from duravip.events import Stamped
from duravip_plugins.notify_webhook import SIGNATURE_HEADER

if TYPE_CHECKING:
    import httpx

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 15.0
LONGEST_RETRY_AFTER_S = 60.0
_ANSWER_BYTES = 1 << 16  # of an answer's body, which nobody reads; a longer one costs the connection
_SECRET_BYTES = 1 << 12
_TOO_MANY_REQUESTS = 429

CONTENT_TYPE = "application/cloudevents+json"


class WebhookError(NotifierError):
    """An event was not told. `retry_after_s`: None when trying again would change nothing."""

    def __init__(self, message: str, *, retry_after_s: float | None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class WebhookNotifier:
    """See `duravip.plugin.api.Notifier`. A context manager: leaving it closes the connections. `jitter` gives numbers
    from 0 to 1, `wall_clock` seconds since 1970; `transport` takes the network's place in tests."""

    def __init__(
        self,
        options: Mapping[str, Any],
        *,
        jitter: Callable[[], float] = random.random,
        wall_clock: Callable[[], float] = time.time,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._httpx = _import_httpx()
        self._body_class = _body_class(self._httpx)
        self._url = self._parse(options["url"])
        self.origin = f"{self._url.scheme}://{self._url.netloc.decode('ascii')}"
        self._secret = read_secret(options["secret_file"]) if options.get("secret_file") else b""
        self._tls = _tls(options.get("ca_file"))
        self._timeout_s = float(options["timeout"])
        self._give_up_s = float(options["give_up"])
        self._jitter = jitter
        self._wall_clock = wall_clock
        self._transport = transport
        self._client: httpx.AsyncClient | None = None
        self.limit_s = self._give_up_s + self._timeout_s + 1.0

    def __repr__(self) -> str:
        return f"<WebhookNotifier {self.origin}>"

    async def __aenter__(self) -> Self:
        self._client = self._httpx.AsyncClient(
            verify=self._tls,
            transport=self._transport,
            trust_env=False,  # neither a proxy nor a password that the service manager's environment happens to have
            follow_redirects=False,
            timeout=None,  # one limit for the whole attempt, below
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            with trio.move_on_after(1, shield=True):
                await self._client.aclose()
            self._client = None

    async def notify(self, stamped: Stamped) -> None:
        """Raises WebhookError when it was given up."""
        body = cloud_event(stamped)
        began = trio.current_time()
        step_s = FIRST_PAUSE_S
        attempts = 0
        while True:
            attempts += 1
            try:
                await self._post(body)
            except WebhookError as error:
                if error.retry_after_s is None:
                    raise
                pause_s = max(step_s * (0.5 + 0.5 * self._jitter()), min(error.retry_after_s, LONGEST_RETRY_AFTER_S))
                if trio.current_time() + pause_s > began + self._give_up_s:
                    raise WebhookError(f"{error} (attempt {attempts}, given up)", retry_after_s=None) from error
            else:
                return
            await trio.sleep(pause_s)
            step_s = min(LONGEST_PAUSE_S, 2 * step_s)

    async def _post(self, body: bytes) -> None:
        """Once. Raises WebhookError."""
        if self._client is None:
            raise RuntimeError("the notifier is not open")
        headers = {
            "Host": self._url.netloc.decode("ascii"),
            "Content-Type": CONTENT_TYPE,
            "Content-Length": str(len(body)),
            "Accept-Encoding": "identity",
            "User-Agent": "duravip",
        }
        if self._secret:
            headers[SIGNATURE_HEADER] = signature(self._secret, body, at_s=int(self._wall_clock()))
        with trio.move_on_after(self._timeout_s):
            try:
                request = self._httpx.Request("POST", self._url, headers=headers, stream=self._body_class(body))
                answer = await self._client.send(request, stream=True)
                try:
                    await _read_away(answer)
                finally:
                    await answer.aclose()
            except self._httpx.TransportError as error:
                raise WebhookError(f"{self.origin}: {_words(error)}", retry_after_s=0) from error
            _judge(self.origin, answer, now_s=self._wall_clock())
            return
        raise WebhookError(f"{self.origin}: no answer within {self._timeout_s:g} s", retry_after_s=0)

    def _parse(self, text: str) -> httpx.URL:
        wrong = PluginError("webhook: url must be a whole one, such as https://host/path", plugin="webhook")
        try:
            url: httpx.URL = self._httpx.URL(text)
        except self._httpx.InvalidURL:
            raise wrong from None  # its text has the URL
        if url.scheme not in ("http", "https") or not url.host:
            raise wrong
        return url


def cloud_event(stamped: Stamped) -> bytes:
    """The request's body: `data` is the object that `duravip events --format json` prints. `source` and `id` together
    name the event for ever, also when it is told twice."""
    event = stamped.to_json_object()
    envelope = {
        "specversion": "1.0",
        "id": f"{stamped.incarnation}:{stamped.seq}",
        "source": f"/duravip/{quote(stamped.node, safe='')}",
        "type": f"duravip.{stamped.event.id}",
        "time": event["time"],
        "datacontenttype": "application/json",
    }
    if event.get("address"):
        envelope["subject"] = event["address"]
    return json.dumps({**envelope, "data": event}, ensure_ascii=False, separators=(",", ":")).encode()


def signature(secret: bytes, body: bytes, *, at_s: int) -> str:
    """`t=SECONDS,v1=HEX`: HMAC-SHA256 of the seconds since 1970 as text, a dot, and the body."""
    return f"t={at_s},v1={hmac.new(secret, b'%d.%b' % (at_s, body), hashlib.sha256).hexdigest()}"


def read_secret(path: str) -> bytes:
    """The content without white space around it. Raises PluginError."""
    try:
        with Path(path).open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            secret = file.read(_SECRET_BYTES).strip()
    except OSError as error:
        raise PluginError(f"webhook: cannot read secret_file {path}: {error.strerror}", plugin="webhook") from error
    if mode & 0o077:
        raise PluginError(
            f"webhook: others than its owner may use secret_file {path} (mode {mode:04o}): chmod 600 {path}",
            plugin="webhook",
        )
    if not secret:
        raise PluginError(f"webhook: secret_file {path} is empty: openssl rand -hex 32 > {path}", plugin="webhook")
    return secret


def retry_after(text: str, *, now_s: float) -> float:
    """Seconds that a Retry-After header asks for, as a number or a date; 0 when it says nothing intelligible."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now_s)
    except (ValueError, OverflowError):
        return 0.0


def _judge(origin: str, answer: httpx.Response, *, now_s: float) -> None:
    status = answer.status_code
    if 200 <= status < 300:
        return
    words = f"{origin} answered {status}"
    if status == _TOO_MANY_REQUESTS or status >= 500:
        raise WebhookError(words, retry_after_s=retry_after(answer.headers.get("Retry-After", ""), now_s=now_s))
    if 300 <= status < 400:
        words += ": redirects are not followed, name the final URL"
    raise WebhookError(words, retry_after_s=None)


async def _read_away(answer: httpx.Response) -> None:
    """So that the connection can be used again. It is cancelled from within, and not left, when it is too long: httpx
    clears up as it ends, and has no other way to notice."""
    seen = 0
    with trio.CancelScope() as reading:
        async for piece in answer.aiter_raw():
            seen += len(piece)
            if seen > _ANSWER_BYTES:
                reading.cancel()


def _words(error: BaseException) -> str:
    """The nearest words in its history: httpx has none of its own for a failed TLS handshake."""
    name = type(error).__name__
    cause: BaseException | None = error
    while cause is not None:
        if str(cause):
            return str(cause)
        cause = cause.__cause__ or cause.__context__
    return name


def _body_class(library: Any) -> Callable[[bytes], httpx.AsyncByteStream]:
    """A request's body that may be left half sent: httpx's own is an asynchronous generator, and trio warns of one that
    is not run to its end."""

    class Body(library.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, content: bytes) -> None:
            self._pieces = [content]

        def __aiter__(self) -> Self:
            return self

        async def __anext__(self) -> bytes:
            if not self._pieces:
                raise StopAsyncIteration
            return self._pieces.pop()

    return Body


def _tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise PluginError(
            f"webhook: cannot use ca_file {ca_file}: {error.strerror or error}", plugin="webhook"
        ) from error


def _import_httpx() -> Any:
    try:
        import httpx
    except ImportError as error:
        raise PluginError(
            "the plugin webhook needs httpx, which is not installed: pip install 'duravip[webhook]'", plugin="webhook"
        ) from error
    for name in ("httpx", "httpcore"):  # they would log URLs
        logging.getLogger(name).setLevel(logging.WARNING)
    return httpx
