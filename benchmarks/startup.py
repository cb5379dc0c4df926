"""How long a client waits from starting the server to its first list of tools, as a multiple of the bare server's.

Run it with ``python -m benchmarks.startup``. The two are started in turn, so that a busy moment hits both; the ratio of
the processor's time hardly depends on what else is going on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.harness import BARE, PRODUCT, clean_environment, clock, median, over_stdio, processor_time, spread


def first_list(command: Sequence[str], surroundings: dict[str, str]) -> tuple[float, float]:
    """Return the seconds from spawn to the first ``tools/list``, and those of the processor until then."""
    start = clock()
    with over_stdio(command, surroundings) as session:
        session.open()
        session.ask("tools/list", {})
        return clock() - start, processor_time(session.pid)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=21, help="how often both are started (default: %(default)s)")
    parser.add_argument("--at-most", type=float, help="fail when the median ratio of the processor's time is greater")
    options = parser.parse_args()
    bare: list[tuple[float, float]] = []
    product: list[tuple[float, float]] = []
    with clean_environment() as surroundings:
        for command in (BARE, PRODUCT):
            first_list(command, surroundings)  # once for the disk's sake
        for _ in range(options.pairs):
            bare.append(first_list(BARE, surroundings))
            product.append(first_list(PRODUCT, surroundings))
    ratios = []
    for index, what in enumerate(("spawn to first tools/list", "the processor's time until then")):
        theirs, ours = ([run[index] for run in runs] for runs in (bare, product))
        ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        print(f"{what}, bare server: {median(theirs):.2f} s, vidgo-mcp: {median(ours):.2f} s")
        print(f"ratio: {spread(ratios)}")
    if options.at_most is not None and median(ratios) > options.at_most:
        raise SystemExit(f"the ratio is above {options.at_most}")


if __name__ == "__main__":
    main()
