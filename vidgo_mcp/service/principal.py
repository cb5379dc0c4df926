"""Who calls, for which account, with which limits: made once, where a call comes in."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from vidgo_mcp.errors import AuthenticationError
from vidgo_mcp.models.urls import account_address
from vidgo_mcp.service.limits import Limits


def account_of(api_key: str, base_url: str) -> str:
    """Return the name of an account: the same in every process, and the key cannot be recovered from it.

    However the address is spelled, it is one account with one budget.
    """
    return hmac.new(api_key.encode(), account_address(base_url).encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls.

    Attributes:
        account: whose key pays, from ``account_of``; None without a key.
        caller: the token's name or subject over HTTP; empty on stdio and on the command line.
        limits: what the operator allows this caller.
        no_key: why there is no key, for the call that needs one.
        local_api: whether this machine imitates Vidgo for them, and so can fetch what no other can.
    """

    account: str | None
    caller: str = ""
    limits: Limits = field(default_factory=Limits)
    no_key: str = "VIDGO_API_KEY is not set."
    local_api: bool = False

    @property
    def owner(self) -> str:
        """Whose fingerprints, budgets, lists and pictures these are.

        Raises:
            AuthenticationError: there is no key.
        """
        return f"{self.paying}/{self.caller}"

    @property
    def paying(self) -> str:
        """The account that pays.

        Raises:
            AuthenticationError: there is no key.
        """
        if self.account is None:
            raise AuthenticationError(self.no_key)
        return self.account
