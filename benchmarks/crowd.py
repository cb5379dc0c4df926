"""Two hundred pictures at once through one HTTP server: does each arrive, was each paid for once, and how late is it?

Run it with ``python -m benchmarks.crowd``. Vidgo is the sandbox in a process of its own. *Late* is what the product
adds: the seconds from the call to its answer, less the seconds that the vendor took for this very picture. It is
compared with a few pictures made alone, one after the other, in the same run.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from contextlib import ExitStack
from typing import Any

import anyio
import httpx

from benchmarks.harness import (
    HEADERS,
    IMITATING,
    PRODUCT,
    SERVING,
    announcing,
    clean_environment,
    clock,
    median,
    peak_memory,
    result_of,
)
from vidgo_mcp.sandbox import SANDBOX_KEY
from vidgo_mcp.sandbox.simulated_tasks import duration_of

PATIENCE = 300


class Crowd:
    """Clients that want pictures, all over HTTP."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self._url = url
        self._http = http
        self.answers: dict[str, dict[str, Any]] = {}
        self.seconds: dict[str, float] = {}

    async def picture(self, prompt: str) -> None:
        """Ask for one picture and keep the answer."""
        call = {"name": "generate_image", "arguments": {"prompt": prompt, "wait_seconds": PATIENCE}}
        start = clock()
        body = {"jsonrpc": "2.0", "id": prompt, "method": "tools/call", "params": call}
        response = await self._http.post(self._url, json=body, headers=HEADERS)
        response.raise_for_status()
        self.seconds[prompt] = clock() - start
        self.answers[prompt] = result_of(response.text)["structuredContent"]

    async def together(self, prompts: list[str]) -> None:
        """Ask for many pictures at the same moment."""
        async with anyio.create_task_group() as tasks:
            for prompt in prompts:
                tasks.start_soon(self.picture, prompt)

    def late(self, prompt: str, vendor_seconds: tuple[float, float]) -> float:
        """Return the seconds that one answer took beyond the vendor's own."""
        task_id = self.answers[prompt]["task_id"]
        return self.seconds[prompt] - duration_of(task_id.rpartition("-")[2], vendor_seconds)


async def measure(url: str, pid: int, vendor: str, options: argparse.Namespace) -> None:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=PATIENCE, limits=limits, trust_env=False) as http:
        crowd = Crowd(url, http)
        lonely = [f"a hermit, number {number}" for number in range(options.alone)]
        for prompt in lonely:
            await crowd.picture(prompt)
        before = peak_memory(pid)
        prompts = [f"a face in the crowd, number {number}" for number in range(options.pictures)]
        await crowd.together(prompts)
        after = peak_memory(pid)
        finished = sum(crowd.answers[prompt].get("outcome") == "finished" for prompt in prompts)
        charged = await charges(http, vendor)

        vendor_seconds = (options.seconds[0], options.seconds[1])
        alone = sorted(crowd.late(prompt, vendor_seconds) for prompt in lonely)
        late = sorted(crowd.late(prompt, vendor_seconds) for prompt in prompts)

        start = clock()
        await crowd.together(prompts)
        again = clock() - start
        reused = sum(crowd.answers[prompt].get("reused") is True for prompt in prompts)
        charged_again = await charges(http, vendor)

    print(f"{finished} of {options.pictures} finished; {len(charged)} tasks charged, {twice(charged)} of them twice")
    print(f"late, alone: median {median(alone):.1f} s, greatest {alone[-1]:.1f} s")
    print(
        f"late, {options.pictures} at once: median {median(late):.1f} s, "
        f"19 of 20 within {late[int(len(late) * 0.95)]:.1f} s, greatest {late[-1]:.1f} s"
    )
    print(f"ratio of the medians: {median(late) / median(alone):.2f}")
    if before is not None and after is not None:
        each = (after - before) * 1024 / options.pictures
        print(f"peak memory: {before:.0f} MB alone, {after:.0f} MB at once ({after / before:.2f}; {each:.0f} KB each)")
    print(f"the same calls again: {reused} reused, in {again:.1f} s; {len(charged_again) - len(charged)} new charges")
    expected = options.pictures + options.alone
    if finished < options.pictures or reused < options.pictures:
        raise SystemExit("a picture is missing")
    if len(charged) != expected or charged_again != charged or twice(charged):
        raise SystemExit("the ledger does not hold one charge for each picture")


async def charges(http: httpx.AsyncClient, vendor: str) -> Counter[str]:
    """Return how often each task was charged, by the vendor's own ledger."""
    ledger = (await http.get(f"{vendor}/_sandbox/ledger")).json()["ledger"]
    return Counter(entry["task_id"] for entry in ledger if entry["kind"] == "charge")


def twice(charged: Counter[str]) -> int:
    return sum(count > 1 for count in charged.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=200, help="made at once (default: %(default)s)")
    parser.add_argument("--alone", type=int, default=3, help="made one after the other (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, nargs=2, default=(10.0, 20.0), help="what a picture takes (default: 10 20)"
    )
    options = parser.parse_args()
    shortest, longest = (str(seconds) for seconds in options.seconds)
    imitation = ["sandbox", "--port", "0", "--credits", "100000", "--seconds", shortest, longest]
    with ExitStack() as stack:
        surroundings = stack.enter_context(clean_environment())
        vendor, _ = stack.enter_context(announcing([*PRODUCT, *imitation], surroundings, IMITATING))
        customer = {**surroundings, "VIDGO_BASE_URL": vendor, "VIDGO_API_KEY": SANDBOX_KEY}
        serving = [*PRODUCT, "serve", "--http", "--port", "0"]
        url, pid = stack.enter_context(announcing(serving, customer, SERVING))
        print(f"{os.cpu_count()} cores; the vendor takes {shortest} to {longest} s for a picture")
        anyio.run(measure, url, pid, vendor, options)


if __name__ == "__main__":
    main()
