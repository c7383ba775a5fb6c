"""A process that asks many addresses for an echo, round after round, and prints at the end when each answered.

    python -I -S asking.py INTERVAL_S ADDRESS...

Says `ready`; ends when its standard input does; then prints a line `ADDRESS TIME TIME ...` for each (CLOCK_MONOTONIC),
and `rounds TIME TIME ...`, when it began to ask.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import time

_ECHO = 8
_ECHO_REPLY = 0


def main() -> None:
    interval_s, addresses = float(sys.argv[1]), sys.argv[2:]
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))  # its own waiting for the processor is no outage
    own = os.getpid() & 0xFFFF
    header = struct.pack("!BBHHH", _ECHO, 0, 0, own, 1)
    total = sum(struct.unpack("!4H", header))
    check = ~(total + (total >> 16)) & 0xFFFF
    request = struct.pack("!BBHHH", _ECHO, 0, check, own, 1)
    answered: dict[str, list[float]] = {address: [] for address in addresses}
    asking = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
    asking.setblocking(False)
    print("ready", flush=True)
    next_round = time.monotonic()
    rounds: list[float] = []
    while not select.select([sys.stdin], [], [], 0)[0]:
        rounds.append(time.monotonic())
        for address in addresses:
            try:
                asking.sendto(request, (address, 0))
            except OSError:  # nobody has it just now, or the queue for its owner is full
                continue
        next_round = max(next_round + interval_s, time.monotonic())
        while True:
            left = next_round - time.monotonic()
            try:
                data, (source, _) = asking.recvfrom(256)
            except BlockingIOError:
                if left <= 0:
                    break
                select.select([asking], [], [], left)
                continue
            at = 4 * (data[0] & 15)
            if data[at] == _ECHO_REPLY and data[at + 4 : at + 6] == header[4:6] and source in answered:
                answered[source].append(time.monotonic())
    for name, times in (*answered.items(), ("rounds", rounds)):
        print(name, *(f"{at:.6f}" for at in times))


if __name__ == "__main__":
    main()
