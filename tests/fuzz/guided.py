"""One target under atheris, in a process of its own because libFuzzer ends it: TARGET SECONDS FOLDER. What reached
something new is in FOLDER afterwards; `python -m tests.fuzz` calls this."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["duravip", "duravip_plugins"]):
    from tests.fuzz import mutation, targets

TIMEOUT_S = 10  # for one input, by the clock: ends what hangs
INSTRUMENTED = 4.0  # times as slow, at least
OWN_MUTATIONS = 0.8  # the rest are libFuzzer's


def main() -> None:
    name, seconds, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    known = targets.begin_with(name)
    for number, data in enumerate(known):
        (folder / f"seed-{number}").write_bytes(data)

    def mutate(data: bytes, limit: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() >= OWN_MUTATIONS:
            return bytes(atheris.Mutate(data, limit))
        return mutation.mutate(data, chance, chance.sample(known, min(4, len(known))))[:limit]

    options = [
        f"-max_total_time={seconds}",
        f"-timeout={TIMEOUT_S}",
        f"-max_len={mutation.MAX_BYTES}",
        "-print_final_stats=1",
        "-verbosity=0",
        f"-artifact_prefix=fuzz-{name}-",
    ]

    def run(data: bytes) -> None:
        targets.judge(name, data, limit_s=INSTRUMENTED * targets.LIMIT_S)

    atheris.Setup([sys.argv[0], *options, str(folder)], run, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
