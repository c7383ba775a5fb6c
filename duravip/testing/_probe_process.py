"""The process behind `testing.probe`: run by path with the standard library alone, on the client's host.

    python -I -S _probe_process.py ADDRESS INTERVAL_S INTERFACE

Sends an ICMP echo request every interval until its standard input ends; then prints one line for each probe
that was answered: time sent, time answered (CLOCK_MONOTONIC, seconds), hardware address that answered; and
last the number of probes sent. Questions leave through the kernel, so that its neighbour cache decides whom
they go to.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import sys
import time

ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86DD
PACKET_OUTGOING = 4


def checksum(data: bytes) -> int:
    total: int = sum(word for (word,) in struct.iter_unpack("!H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def main(address: str, interval_s: float, interface: str) -> None:
    six = ":" in address
    identifier = os.getpid() & 0xFFFF
    if six:
        asking = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        question, answer, ethertype, header = 128, 129, ETH_P_IPV6, 40
    else:
        asking = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        question, answer, ethertype, header = 8, 0, ETH_P_IP, 20
    asking.setblocking(False)
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # what arrives here is not read
    hearing = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ethertype))
    hearing.bind((interface, ethertype))
    hearing.setblocking(False)
    hearing.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    with contextlib.suppress(PermissionError):  # its own waiting for the processor must not look like an outage
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    packed = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, address)
    source = slice(8, 24) if six else slice(12, 16)

    sent: list[float] = []
    answered: dict[int, tuple[float, str]] = {}
    stop = sys.stdin.fileno()
    print("ready", flush=True)
    due = time.monotonic()
    while True:
        now = time.monotonic()
        if now >= due:
            number = len(sent)
            body = struct.pack("!HHI", identifier, number & 0xFFFF, number)
            head = struct.pack("!BBH", question, 0, 0)
            if not six:  # for ICMPv6 the kernel sums
                head = struct.pack("!BBH", question, 0, checksum(head + body))
            sent.append(time.monotonic())
            with contextlib.suppress(OSError):  # no route or a full queue: a probe without an answer
                asking.sendto(head + body, (address, 0))
            due = max(due + interval_s, now - 10 * interval_s)
        readable, _, _ = select.select([hearing, stop], [], [], max(0.0, due - time.monotonic()))
        if hearing in readable:
            while True:
                try:
                    packet, origin = hearing.recvfrom(2048)
                except BlockingIOError:
                    break
                if origin[2] == PACKET_OUTGOING or packet[source] != packed:
                    continue
                icmp = packet[header : header + 12]
                if len(icmp) == 12 and icmp[0] == answer:
                    theirs, _, number = struct.unpack("!HHI", icmp[4:12])
                    if theirs == identifier and number < len(sent):
                        answered.setdefault(number, (time.monotonic(), origin[4].hex(":")))
        if stop in readable and not os.read(stop, 1):
            break
    for number in sorted(answered):
        at, hardware_address = answered[number]
        print(f"{sent[number]:.6f} {at:.6f} {hardware_address}")
    print(f"sent {len(sent)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3])
