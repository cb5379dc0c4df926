"""How many ``estimate_cost`` calls a server answers in a second, as a share of what a bare echo tool answers.

Run it with ``python -m benchmarks.throughput``. One client, one call after the other; the two servers take turns.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

from benchmarks.harness import (
    BARE,
    HEADERS,
    PRODUCT,
    SERVING,
    announcing,
    clean_environment,
    clock,
    median,
    over_stdio,
    result_of,
    spread,
)

ECHO = {"name": "echo", "arguments": {"text": "16:9 at 2K, low"}}
ESTIMATE = {"name": "estimate_cost", "arguments": {"size": "16:9", "resolution": "2K", "quality": "low"}}

Ask = Callable[[str, dict[str, Any]], Any]


def over_http(url: str) -> Ask:
    """Return a function that makes requests over one kept connection."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    numbers = itertools.count(1)

    def ask(method: str, params: dict[str, Any]) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": next(numbers), "method": method, "params": params})
        connection.request("POST", parts.path, body, HEADERS)
        response = connection.getresponse()
        events = response.read().decode()
        if response.status != 200:
            raise RuntimeError(f"HTTP {response.status}: {events}")
        return result_of(events)

    return ask


def calls_per_second(ask: Ask, params: dict[str, Any], count: int) -> float:
    start = clock()
    for _ in range(count):
        answer = ask("tools/call", params)
        if answer.get("isError") or "structuredContent" not in answer:
            raise RuntimeError(f"not an answer: {answer}")
    return count / (clock() - start)


def report(name: str, bare: Ask, product: Ask, *, rounds: int, count: int) -> float:
    """Measure both in turn, print what was found, and return the median share."""
    for ask, params in ((bare, ECHO), (product, ESTIMATE)):
        calls_per_second(ask, params, count)  # once to warm up
    theirs: list[float] = []
    ours: list[float] = []
    for _ in range(rounds):
        theirs.append(calls_per_second(bare, ECHO, count))
        ours.append(calls_per_second(product, ESTIMATE, count))
    shares = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    print(f"{name}: bare echo {median(theirs):.0f} calls/s, estimate_cost {median(ours):.0f} calls/s")
    print(f"{name} share: {spread(shares)}")
    return median(shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11, help="how often both take their turn (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=200, help="calls in each turn (default: %(default)s)")
    parser.add_argument("--at-least", type=float, help="fail when a median share is smaller")
    options = parser.parse_args()
    with ExitStack() as stack:
        surroundings = stack.enter_context(clean_environment())
        sessions = [stack.enter_context(over_stdio(command, surroundings)) for command in (BARE, PRODUCT)]
        for session in sessions:
            session.open()
        urls = [
            stack.enter_context(announcing(command, surroundings, SERVING))[0]
            for command in ([*BARE, "--http"], [*PRODUCT, "serve", "--http", "--port", "0"])
        ]
        bare, product = (session.ask for session in sessions)
        shares = [
            report("stdio", bare, product, rounds=options.rounds, count=options.calls),
            report("HTTP", *map(over_http, urls), rounds=options.rounds, count=options.calls),
        ]
    if options.at_least is not None and min(shares) < options.at_least:
        raise SystemExit(f"a share is below {options.at_least}")


if __name__ == "__main__":
    main()
