"""``scripts/sim``: see tests/sim/README.md."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator

from tests.sim.pair import make_pair, pair_violation
from tests.sim.plan import make
from tests.sim.run import run_seed, shrink, violation
from tests.sim.seeds import CORPUS

_CHUNK = 50
_FRESH = 10**9
"""Fresh ranges begin here: far beyond the corpus and the range of the tests."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many (default 10000)")
    parser.add_argument(
        "--first", type=int, help="the first of them (default: a random one, other at each call)"
    )
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)"
    )
    parser.add_argument("--keep-going", action="store_true", help="do not stop at failures")
    parser.add_argument("--seed", type=int, help="run this one alone, and show what happened")
    parser.add_argument("--pair", type=int, help="run this one of two agents on one journal")
    parser.add_argument("--pairs", type=int, help="this many of two agents, from --first or 0")
    parser.add_argument("--whole", action="store_true", help="with --seed: do not make it smaller")
    flags = parser.parse_args()
    if flags.pair is not None:
        return _one_pair(flags.pair)
    if flags.pairs is not None:
        return _many_pairs(range(flags.first or 0, (flags.first or 0) + flags.pairs), flags.jobs)
    if flags.seed is not None:
        return _one(flags.seed, flags.whole)
    first = secrets.randbelow(_FRESH) + _FRESH if flags.first is None else flags.first
    print(f"the corpus, and {flags.seeds} seeds from {first}", flush=True)
    return _many(range(first, first + flags.seeds), flags.jobs, flags.keep_going)


def _one_pair(seed: int) -> int:
    trace: list[str] = []
    found = pair_violation(make_pair(seed), trace)
    print("\n".join(trace))
    print("holds" if found is None else f"FAILED: {found}")
    return 0 if found is None else 1


def _pair(seed: int) -> tuple[int, str | None, Counter[str]]:
    counts: Counter[str] = Counter()
    return seed, pair_violation(make_pair(seed), counts=counts), counts


def _many_pairs(seeds: range, jobs: int) -> int:
    began = time.monotonic()
    found: list[int] = []
    total: Counter[str] = Counter()
    with multiprocessing.Pool(jobs) as pool:
        for seed, text, counts in pool.imap_unordered(_pair, seeds, _CHUNK):
            total.update(counts)
            if text:
                found.append(seed)
                print(f"seed {seed}: {text}", flush=True)
    for what, count in sorted(total.items()):
        print(f"{count:8} {what}")
    took = time.monotonic() - began
    print(f"{len(seeds)} seeds of two agents in {took:.1f} s, {len(found)} failed")
    return 1 if found else 0


def _one(seed: int, whole: bool) -> int:
    plan = make(seed)
    failed = violation(plan) is not None
    if failed and not whole:
        plan = shrink(plan)
    trace: list[str] = []
    found = violation(plan, trace)
    print(f"seed {seed}: {plan.length:g} s, slow {plan.slow:g} s, triton {plan.triton}")
    print("faults:", {name: rate for name, rate in plan.faults.items() if rate})
    print("frameworks:", plan.frameworks)
    for event in plan.events:
        print(event)
    print("\n".join(trace))
    print("holds" if found is None else f"FAILED: {found}")
    return 0 if found is None else 1


def _many(seeds: range, jobs: int, keep_going: bool) -> int:
    began, done, failures = time.monotonic(), 0, 0
    with multiprocessing.Pool(jobs) as pool:
        for count, found in pool.imap_unordered(_chunk, _chunks(seeds)):
            done += count
            failures += len(found)
            for seed, what in found:
                print(f"seed {seed}: {what}", flush=True)
            if failures and not keep_going:
                pool.terminate()
                break
            if sys.stderr.isatty():
                total = len(seeds) + len(CORPUS)
                print(f"\r{done} of {total} ", end="", file=sys.stderr, flush=True)
    took = time.monotonic() - began
    print(f"{done} seeds in {took:.1f} s ({done / took:.0f}/s), {failures} failed")
    if failures:
        print("reproduce one with: scripts/sim --seed N")
    return 1 if failures else 0


def _chunks(seeds: range) -> Iterator[Collection[int]]:
    yield CORPUS
    for start in range(seeds.start, seeds.stop, _CHUNK):
        yield range(start, min(start + _CHUNK, seeds.stop))


def _chunk(seeds: Collection[int]) -> tuple[int, list[tuple[int, str]]]:
    found = ((seed, run_seed(seed)) for seed in seeds)
    return len(seeds), [(seed, what) for seed, what in found if what is not None]


if __name__ == "__main__":
    sys.exit(main())
