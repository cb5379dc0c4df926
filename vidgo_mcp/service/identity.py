"""Which picture is meant: the fingerprint by which the same request is found again."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Sequence

from vidgo_mcp.journal import Intent
from vidgo_mcp.pricing import PricedRequest


def intent_of(owner: str, request: PricedRequest, references: Sequence[str], variation: int) -> Intent:
    """Return what is about to be paid for.

    Args:
        owner: whose picture it is.
        request: what was priced.
        references: identities (``task:...``, ``url:...``, a content hash), not whatever was typed.
        variation: which picture of this request.
    """
    quote = request.quote
    shape = [owner, request.model, _folded(request.prompt), str(quote.size), quote.resolution, quote.quality]
    request_key = hashlib.sha256(json.dumps([*shape, list(references)]).encode()).hexdigest()
    return Intent(
        owner=owner,
        fingerprint=hashlib.sha256(f"{request_key}/{variation}".encode()).hexdigest(),
        request_key=request_key,
        variation=variation,
        model=request.model,
        prompt=request.prompt,
        size=str(quote.size),
        tier=quote.tier,
        quality=quote.quality,
        credits=quote.credits,
        references=tuple(references),
    )


def _folded(prompt: str) -> str:
    """Two spellings that show the same text are the same request; the wire gets the prompt untouched."""
    return unicodedata.normalize("NFC", prompt.replace("\r\n", "\n").replace("\r", "\n").strip())
