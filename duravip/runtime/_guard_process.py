"""The process behind `runtime.guard`: takes a dead daemon's addresses off and says LEAVE for it.

    python -I -S _guard_process.py LOCK

Standard input is a stream from the daemon; its end is the daemon's death. Lines, each ended by a newline:

    leave HEX...                         the datagrams to say, one in each form
    paths DESCRIPTOR,HOST,PORT ...       whom to say it to: sockets that were inherited, and addresses
    on ADDRESS HEX                       from here on the address may be on; this rtnetlink request takes it off
    off ADDRESS                          it is off, the kernel has said so
    go                                   the daemon leaves in good order: end, and do nothing

It answers once: a newline, as soon as it is up.

When the daemon has died: all addresses off, in chunks; when none is left, LEAVE, some copies on every path; then the
lock (descriptor LOCK, inherited), for which the next daemon waits. An address that cannot be taken off: no LEAVE, for
LEAVE says "holds nothing any more".

Rules of this file
- As small as can be: no event loop, no decisions, and of the standard library only what is built in (`posix` rather
  than `os`, `_socket` rather than `socket` save 4 MB).
- Nothing is done while the daemon lives, whatever it does.
- A line that was not finished was not said.
"""

import _socket
import posix
import sys
import time

CHUNK = 64  # requests in one `send`: their answers fit into any receive buffer
TRIES = 5
RETRY_S = 0.01
COPIES = 3
SPACING_S = 0.001
AF_NETLINK = 16
HEADER_BYTES = 16  # struct nlmsghdr: length, type, flags, sequence, port
NLMSG_ERROR = 2
GONE = (0, 19, 99)  # done; ENODEV, EADDRNOTAVAIL: there was nothing to take off

Known = dict[bytes, bytes]
"""Address -> the request that takes it off."""

Paths = tuple[tuple[int, str, int], ...]
"""Descriptor, host, port."""


class Orders:
    """What the daemon has said so far."""

    def __init__(self) -> None:
        self.leave: tuple[bytes, ...] = ()
        self.paths: Paths = ()
        self.known: Known = {}
        self.dismissed = False
        self._rest = b""

    def heed(self, received: bytes) -> None:
        """Any part of the stream, cut anywhere."""
        *lines, self._rest = (self._rest + received).split(b"\n")
        for line in lines:
            word, _, content = line.partition(b" ")
            if word == b"on":
                address, _, request = content.partition(b" ")
                self.known[address] = bytes.fromhex(request.decode())
            elif word == b"off":
                self.known.pop(content, None)
            elif word == b"paths":
                self.paths = tuple(_path(each.decode()) for each in content.split())
            elif word == b"leave":
                self.leave = tuple(bytes.fromhex(each.decode()) for each in content.split())
            elif word == b"go":
                self.dismissed = True


def _path(text: str) -> tuple[int, str, int]:
    descriptor, host, port = text.split(",")
    return int(descriptor), host, int(port)


def take_off(kernel: _socket.socket, known: Known) -> Known:
    """What could not be taken off."""
    left = known
    number = 0
    for attempt in range(TRIES):
        if attempt:
            time.sleep(RETRY_S)
        waiting, left = list(left.items()), {}
        for start in range(0, len(waiting), CHUNK):
            asked = dict(enumerate(waiting[start : start + CHUNK], start=number))
            number += CHUNK
            done = _exchange(kernel, {number: request for number, (_, request) in asked.items()})
            left.update(each for number, each in asked.items() if number not in done)
        if not left:
            break
    return left


def _exchange(kernel: _socket.socket, requests: dict[int, bytes]) -> set[int]:
    """By sequence number; the numbers of those that are done. The kernel works inside `send`: its answers are there
    when that returns."""
    done: set[int] = set()
    try:
        kernel.send(
            b"".join(
                request[:8] + number.to_bytes(4, sys.byteorder) + request[12:]
                for number, request in requests.items()
                if request
            )
        )
        while True:
            done.update(_answers(kernel.recv(65536)))
    except OSError:  # all answers are read, or lost
        return done


def _answers(received: bytes) -> list[int]:
    """The sequence numbers of the requests that it says are done."""
    found = []
    at = 0
    while at + HEADER_BYTES + 4 <= len(received):
        length = int.from_bytes(received[at : at + 4], sys.byteorder)
        kind = int.from_bytes(received[at + 4 : at + 6], sys.byteorder)
        error = int.from_bytes(received[at + 16 : at + 20], sys.byteorder, signed=True)
        if kind == NLMSG_ERROR and -error in GONE:
            found.append(int.from_bytes(received[at + 8 : at + 12], sys.byteorder))
        at += max((length + 3) & ~3, HEADER_BYTES)
    return found


def say(leave: tuple[bytes, ...], paths: Paths) -> None:
    for copy in range(COPIES):
        if copy:
            time.sleep(SPACING_S)
        for descriptor, host, port in paths:
            for datagram in leave:
                try:
                    _socket.socket(fileno=posix.dup(descriptor)).sendto(datagram, (host, port))
                except OSError:  # no route, no buffer: lost, as any datagram may be
                    continue


def tell_people(text: str) -> None:
    """A line like the daemon's own, to standard error, if anybody still reads it."""
    now = time.time()
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now)) + f"{now % 1:.3f}"[1:]
    try:
        posix.write(2, f"{clock} WARNING guard: {text}\n".encode())
    except OSError:
        return


def come_first() -> None:
    """Before others for the processor, after others for the OOM killer; as far as we may (CAP_SYS_NICE,
    CAP_SYS_RESOURCE)."""
    try:  # noqa: SIM105 (contextlib is not built in)
        posix.setpriority(posix.PRIO_PROCESS, 0, -20)
    except OSError:
        pass
    try:
        score = posix.open("/proc/self/oom_score_adj", posix.O_WRONLY | posix.O_CLOEXEC)
        try:
            posix.write(score, b"-1000")
        finally:
            posix.close(score)
    except OSError:
        return


def tell_daemon() -> None:
    """That this is up."""
    try:
        posix.write(0, b"\n")
    except OSError:  # it has died already
        return


def main(lock: int) -> None:
    come_first()
    kernel = _socket.socket(AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_NONBLOCK, 0)
    tell_daemon()
    orders = Orders()
    while received := posix.read(0, 65536):
        orders.heed(received)
        if orders.dismissed:
            return
    known = len(orders.known)
    left = take_off(kernel, orders.known)
    told = not left and orders.leave and orders.paths
    if told:
        say(orders.leave, orders.paths)
    posix.close(lock)
    if left:
        tell_people(f"the daemon has died, and these cannot be taken off: {b', '.join(left).decode()}")
    else:
        count = "1 address" if known == 1 else f"{known} addresses"
        tell_people(f"the daemon has died: {count} taken off, the other nodes {'' if told else 'not '}told")


if __name__ == "__main__":
    main(int(sys.argv[1]))
