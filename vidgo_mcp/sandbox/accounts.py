"""The accounts of the sandbox: every credit that moves is written down, so that a test can ask what a failure cost."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vidgo_mcp.sandbox.refusals import Refusal, invented


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One movement of credits. `account` is the label of the account, never its key."""

    kind: Literal["charge", "refund"]
    credits: int
    task_id: str
    account: str


@dataclass(slots=True)
class Account:
    """A key's credits. The label is safe to show."""

    label: str
    credits: int

    @property
    def email(self) -> str:
        """The address that the balance endpoint shows."""
        return f"{self.label}@sandbox.invalid"


class Ledger:
    """Accounts by key, with all that was charged to them and refunded."""

    def __init__(self, accounts: Mapping[str, int]) -> None:
        self._accounts = {key: Account(label_of(key), amount) for key, amount in accounts.items()}
        self._by_label = {account.label: account for account in self._accounts.values()}
        self.entries: list[LedgerEntry] = []

    @property
    def accounts(self) -> list[Account]:
        """All accounts, in the order in which they were given."""
        return list(self._accounts.values())

    def account(self, key: str) -> Account | None:
        """Return the account of a key, or None when no such key exists."""
        return self._accounts.get(key)

    def charge(self, account: Account, amount: int, task_id: str, *, insufficient_status: int) -> None:
        """Debit an account. Raises `Refusal`, with nothing debited, when it holds too little."""
        if account.credits < amount:
            text = f"Insufficient credits: {amount} needed, {account.credits} left"
            raise Refusal(insufficient_status, invented(text))
        account.credits -= amount
        self.entries.append(LedgerEntry("charge", amount, task_id, account.label))

    def refund(self, label: str, amount: int, task_id: str) -> None:
        """Give back what a failed task had cost."""
        self._by_label[label].credits += amount
        self.entries.append(LedgerEntry("refund", amount, task_id, label))


def label_of(key: str) -> str:
    """Name an account without showing its key."""
    return "account-" + hashlib.sha256(key.encode()).hexdigest()[:8]
