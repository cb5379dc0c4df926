"""How many ``estimate_cost`` calls a server answers in a second, as a share of what a bare echo tool answers.

Run it with ``python -m benchmarks.throughput``. One client, one call after the other; the two servers take turns.
The share of the processor's time, the client's included, hardly depends on what else is going on.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
from collections.abc import Callable, Sequence
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
    processor_time,
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


def seconds_of(ask: Ask, params: dict[str, Any], count: int, pid: int) -> tuple[float, float]:
    """Return what so many calls take, by the clock and of the processor's time, the client's included."""
    pids = (pid, os.getpid())
    start, busy = clock(), sum(map(processor_time, pids))
    for _ in range(count):
        answer = ask("tools/call", params)
        if answer.get("isError") or "structuredContent" not in answer:
            raise RuntimeError(f"not an answer: {answer}")
    return clock() - start, sum(map(processor_time, pids)) - busy


def report(name: str, asks: Sequence[Ask], pids: Sequence[int], *, rounds: int, count: int) -> float:
    """Measure both in turn, print what was found, and return the share of the processor's time."""
    (bare, product), (bare_pid, product_pid) = asks, pids
    theirs, ours = list[tuple[float, float]](), list[tuple[float, float]]()
    for _ in range(rounds + 1):
        theirs.append(seconds_of(bare, ECHO, count, bare_pid))
        ours.append(seconds_of(product, ESTIMATE, count, product_pid))
    # The first round warms up.
    (echo, echo_busy), (estimate, estimate_busy) = (zip(*each[1:], strict=True) for each in (theirs, ours))
    shares = [other / mine for mine, other in zip(estimate, echo, strict=True)]
    # Of all rounds together: systems count it in hundredths of a second.
    share = float(sum(echo_busy) / sum(estimate_busy))
    print(f"{name}: bare echo {count / median(echo):.0f} calls/s, estimate_cost {count / median(estimate):.0f} calls/s")
    print(f"{name} share: {spread(shares)}; of the processor's time: {share:.2f}")
    return share


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11, help="how often both take their turn (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=200, help="calls in each turn (default: %(default)s)")
    parser.add_argument("--at-least", type=float, help="fail when a share of the processor's time is smaller")
    options = parser.parse_args()
    with ExitStack() as stack:
        surroundings = stack.enter_context(clean_environment())
        sessions = [stack.enter_context(over_stdio(command, surroundings)) for command in (BARE, PRODUCT)]
        for session in sessions:
            session.open()
        served = [
            stack.enter_context(announcing(command, surroundings, SERVING))
            for command in ([*BARE, "--http"], [*PRODUCT, "serve", "--http", "--port", "0"])
        ]
        numbers = {"rounds": options.rounds, "count": options.calls}
        shares = [
            report("stdio", [session.ask for session in sessions], [session.pid for session in sessions], **numbers),
            report("HTTP", [over_http(url) for url, _ in served], [pid for _, pid in served], **numbers),
        ]
    if options.at_least is not None and min(shares) < options.at_least:
        raise SystemExit(f"a share is below {options.at_least}")


if __name__ == "__main__":
    main()
