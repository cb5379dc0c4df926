"""What the balance says is a sentence with its numbers, for a model and for a person."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from vidgo_mcp.models.findings import BalanceFinding
from vidgo_mcp.wording.balance import balance_sentence
from vidgo_mcp.wording.remedies import Reader

READ = BalanceFinding("unclear", 17276.0, 1_780_000_000.0, 17270.0, 1_780_000_075.0, 0, 75)


@pytest.mark.parametrize("reader", ["model", "person"])
@pytest.mark.parametrize(
    ("finding", "said"),
    [
        (
            replace(READ, verdict="paid", after=17273.0),
            r"fell by 3, the price of this picture: it was very probably paid",
        ),
        (
            replace(READ, verdict="paid", after=17271.0, others=2),
            r"The balance fell by 3, the price of this picture \(5 with other pictures from here\): it was very",
        ),
        (
            replace(READ, verdict="paid", others=0),
            r"The balance fell by 6: it was very probably paid",
        ),
        (replace(READ, verdict="unpaid", after=17276.0), r"The balance did not move in 75 s: it was probably not paid"),
        (
            replace(READ, verdict="unpaid", others=6),
            r"The balance fell by 6 for other pictures from here, and no further, in 75 s: it was probably not paid",
        ),
        (READ, r"cannot be told. The balance went from 17276 \(20.+\) to 17270 \(20.+\); its price is 3"),
        (replace(READ, others=2), r"to 17270 \(20.+\), of which other pictures from here cost 2; its price is 3"),
        (replace(READ, after=17270.5), r"to 17270.5 \(20"),
        (replace(READ, verdict="shared"), r"cannot be told: others use this key too. The balance went from 17276"),
        (replace(READ, before=None), r"no balance is known from before it; it was 17270 \(20"),
        (BalanceFinding("pending", 17276.0, 1_780_000_000.0), r"The balance was 17276 \(20.+\) before it. "),
        (BalanceFinding("pending"), r"compare"),
        (BalanceFinding("pending", seconds=301), r"cannot be told yet: the balance was not compared since"),
    ],
    ids=str,
)
def test_a_finding_says_what_moved_and_what_that_means(finding: BalanceFinding, said: str, reader: Reader) -> None:
    text = balance_sentence(finding, 3, reader)

    assert re.search(said, text)
    assert text.endswith(".")
    assert "None" not in text
    assert ("get_task" in text) <= (reader == "model")
    assert ("vidgo-mcp" in text) <= (reader == "person")


def test_without_a_finding_nothing_is_said() -> None:
    assert balance_sentence(None, 3, "model") == ""
