"""The documented rules of a submit, with the price table, as Vidgo would apply them.

The sandbox keeps its own copy on purpose: a client that misreads the documentation must disagree with it somewhere.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from vidgo_mcp.sandbox.answers import Refusal, invented, unprocessable

Default = TypeVar("Default", str, None)
Tier = Literal["1K", "2K", "4K"]

GENERATE = "gpt-image-2"
EDIT = "gpt-image-2-edit"
QUALITIES = ("low", "medium", "high")
RESOLUTIONS = ("1K", "2K", "4K")
RATIOS = ("1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "16:9", "9:16", "21:9")
WIDE_RATIOS = ("16:9", "9:16", "21:9")
MAX_PROMPT = 4000
MAX_EDGE = 3840
MIN_PIXELS = 655_360
MAX_PIXELS = 8_294_400

CREDITS: Mapping[str, Mapping[str, int]] = {
    "low": {"1K": 2, "2K": 4, "4K": 8},
    "medium": {"1K": 3, "2K": 6, "4K": 12},
    "high": {"1K": 12, "2K": 24, "4K": 48},
}

_CUSTOM = re.compile(r"[0-9]{3,4}x[0-9]{3,4}")
_TIER_PIXELS = {"1K": 1024 * 1024, "2K": 2048 * 2048}


@dataclass(frozen=True, slots=True)
class Submission:
    """A submit that passed every rule, with what it renders and what it costs."""

    prompt: str
    quality: str
    image_urls: tuple[str, ...]
    callback_url: str | None
    tier: Tier
    credits: int
    width: int
    height: int


def read_submission(body: Any, *, strict: bool = False) -> Submission:
    """Check the JSON body of `POST /api/generate/submit`; `strict` also refuses undocumented fields.

    Raises:
        Refusal: with the documented text, or with one marked as invented where the documentation is silent.
    """
    if not isinstance(body, dict):
        raise unprocessable((), "the body must be a JSON object")
    model = _text(body, "model", None)
    if model is None:
        raise Refusal(400, invented("model is required"))
    if model not in (GENERATE, EDIT):
        raise Refusal(404, invented(f"Model not found: {model[:60]}"))
    callback_url = _text(body, "callback_url", None)
    if callback_url is not None and not is_web_url(callback_url):
        raise unprocessable(("callback_url",), "callback_url must be an http or https URL")
    asked = body.get("input")
    if not isinstance(asked, dict):
        raise unprocessable(("input",), "input must be an object")
    if strict:
        _refuse_unknown(body, ("model", "callback_url", "input"))
        _refuse_unknown(asked, ("prompt", "quality", "size", "resolution", "image_urls", "n"), "input")
    return _read_input(model, callback_url, asked)


def _read_input(model: str, callback_url: str | None, asked: dict[str, Any]) -> Submission:
    prompt = _text(asked, "prompt", "", "input")
    if not prompt.strip():
        raise Refusal(400, "prompt is required")
    if len(prompt) > MAX_PROMPT:
        raise Refusal(400, invented(f"prompt must be at most {MAX_PROMPT} characters"))
    if "n" in asked:
        raise Refusal(400, "n is not supported for gpt-image-2")
    image_urls = _references(model, asked)
    quality = _text(asked, "quality", "low", "input")
    if quality not in QUALITIES:
        raise Refusal(400, "quality must be one of: low, medium, high")
    resolution = _text(asked, "resolution", None, "input")
    if resolution is not None and resolution not in RESOLUTIONS:
        raise Refusal(400, "resolution must be one of: 1K, 2K, 4K")
    size = _text(asked, "size", "auto", "input")
    tier = effective_tier(size, resolution)
    return Submission(prompt, quality, image_urls, callback_url, tier, CREDITS[quality][tier], *pixel_size(size, tier))


def effective_tier(size: str, resolution: str | None) -> Tier:
    """Return the tier that is rendered and billed. Raises `Refusal` for a size that is not sold."""
    if size == "auto":
        return "1K"
    if size in RATIOS:
        if resolution == "4K":
            return "4K" if size in WIDE_RATIOS else "2K"
        return "2K" if resolution == "2K" else "1K"
    width, height = _custom_size(size)
    if resolution not in ("2K", "4K"):
        raise Refusal(400, "custom size requires resolution 2K or 4K")
    if max(width, height) < MAX_EDGE:
        return "2K"
    if resolution != "4K":
        raise Refusal(400, "true 4K custom size requires resolution 4K")
    return "4K"


def pixel_size(size: str, tier: Tier) -> tuple[int, int]:
    """Return width and height in pixels: plausible ones for `auto` and ratios, where the documentation gives none."""
    if size == "auto":
        return 1024, 1024
    if size not in RATIOS:
        return _custom_size(size)
    across, down = (int(part) for part in size.split(":"))
    unit = MAX_EDGE / max(across, down) if tier == "4K" else math.sqrt(_TIER_PIXELS[tier] / (across * down))
    return round(unit * across / 16) * 16, round(unit * down / 16) * 16


def is_web_url(text: str) -> bool:
    """Return whether a text is an absolute http or https URL."""
    try:
        parts = urlsplit(text)
        usable = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = text.isascii() and text.isprintable()
    return usable and plain and parts.scheme in ("http", "https") and bool(parts.hostname)


def _custom_size(size: str) -> tuple[int, int]:
    if not _CUSTOM.fullmatch(size):
        raise Refusal(400, invented(f"size must be auto, a ratio ({', '.join(RATIOS)}) or WIDTHxHEIGHT"))
    width, height = (int(part) for part in size.split("x"))
    if width % 16 or height % 16:
        raise Refusal(400, invented("both edges of a custom size must be divisible by 16"))
    if max(width, height) > MAX_EDGE:
        raise Refusal(400, invented(f"the longest edge of a custom size must be at most {MAX_EDGE}"))
    if max(width, height) > 3 * min(width, height):
        raise Refusal(400, invented("a custom size must not be longer than 3:1"))
    if not MIN_PIXELS <= width * height <= MAX_PIXELS:
        raise Refusal(400, invented(f"a custom size must have {MIN_PIXELS} to {MAX_PIXELS} pixels"))
    return width, height


def _references(model: str, asked: dict[str, Any]) -> tuple[str, ...]:
    if model == GENERATE:
        if "image_urls" in asked:
            raise Refusal(400, "image_urls is only supported for gpt-image-2-edit")
        return ()
    urls = asked.get("image_urls")
    if not urls:
        raise Refusal(400, "image_urls is required for edit")
    if not isinstance(urls, list):
        raise unprocessable(("input", "image_urls"), "image_urls must be a list of URLs")
    for url in urls:
        if not isinstance(url, str) or not is_web_url(url):
            raise unprocessable(("input", "image_urls"), "each of image_urls must be an http or https URL")
    return tuple(urls)


def _text(fields: dict[str, Any], name: str, default: Default, *where: str) -> str | Default:
    if name not in fields:
        return default
    value = fields[name]
    if not isinstance(value, str):
        hint = "; omit the key rather than send null" if value is None else ""
        raise unprocessable((*where, name), f"{name} must be a string{hint}")
    return value


def _refuse_unknown(fields: dict[str, Any], known: tuple[str, ...], *where: str) -> None:
    for name in fields:
        if name not in known:
            raise unprocessable((*where, name), f"unknown field: {name}")
