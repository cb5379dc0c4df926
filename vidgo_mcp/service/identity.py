"""Who pays, and which picture is meant: owners, and the fingerprint by which the same request is found again."""

from __future__ import annotations

import hashlib
import hmac
import json
import unicodedata
from collections.abc import Sequence

from vidgo_mcp.journal import Intent
from vidgo_mcp.models.requests import ModelName
from vidgo_mcp.pricing import Quote


def account_of(api_key: str, base_url: str) -> str:
    """Return the name of an account: the same in every process, and the key cannot be recovered from it."""
    return hmac.new(api_key.encode(), base_url.encode(), hashlib.sha256).hexdigest()


def owner_of(account: str, caller: str) -> str:
    """Return the owner of fingerprints, budgets and lists: the account, and over HTTP who calls."""
    return f"{account}/{caller}"


def intent_of(
    *, owner: str, model: ModelName, prompt: str, priced: Quote, references: Sequence[str], variation: int
) -> Intent:
    """Return what is about to be paid for.

    ``references`` are identities (``task:...``, ``url:...``, a content hash), not whatever was typed.
    """
    shape = [owner, model, _folded(prompt), str(priced.size), priced.resolution, priced.quality, list(references)]
    request_key = hashlib.sha256(json.dumps(shape).encode()).hexdigest()
    fingerprint = hashlib.sha256(f"{request_key}/{variation}".encode()).hexdigest()
    return Intent(
        owner=owner,
        fingerprint=fingerprint,
        request_key=request_key,
        variation=variation,
        model=model,
        prompt=prompt,
        size=str(priced.size),
        tier=priced.tier,
        quality=priced.quality,
        credits=priced.credits,
        references=tuple(references),
    )


def _folded(prompt: str) -> str:
    """Two spellings that show the same text are the same request; the wire gets the prompt untouched."""
    return unicodedata.normalize("NFC", prompt.replace("\r\n", "\n").replace("\r", "\n").strip())
