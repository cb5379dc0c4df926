"""Draws the picture of a brief: an abstract landscape chosen by the prompt, with the prompt set over it.

People judge a demo by what they see. All lengths are shares of the short edge, so that every size looks alike.
"""

import functools
import io
import math
import random
import textwrap
import warnings
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont, ImageOps

from vidgo_mcp.sandbox.storage import Brief

CANVAS_EDGE = 2560
THUMBNAIL_EDGE = 480
LEADING = 1.28
WHITE = "#ffffff"


class _Palette(NamedTuple):
    sky: str
    horizon: str
    sun: str
    hills: str
    dark: str


_PALETTES = (
    _Palette("#2d1b69", "#ff9a76", "#ffe3b3", "#8a4a9e", "#1a0f35"),
    _Palette("#0f4c81", "#a5dff0", "#fff6d6", "#3a86ae", "#082036"),
    _Palette("#1d6a64", "#dcebb0", "#fffbe0", "#559a76", "#0b2626"),
    _Palette("#5b2a86", "#ffb3bf", "#fff3e6", "#b55a98", "#260f3b"),
    _Palette("#48214a", "#ff8a5c", "#ffe69a", "#b04a4e", "#1f0d20"),
    _Palette("#3450a8", "#d2e8ff", "#ffffff", "#7096dc", "#111b45"),
    _Palette("#4a78a8", "#fbdcae", "#fff6e3", "#cf946a", "#33201f"),
    _Palette("#0c6f73", "#c0f5e3", "#fffce8", "#41ad9b", "#062b33"),
)


@functools.lru_cache(64)
def draw_png(brief: Brief) -> bytes:
    """Draw a brief as a PNG of exactly its size. Equal briefs give equal bytes.

    Blocking (up to half a second at 4K); call it in a worker thread.
    """
    out = io.BytesIO()
    _draw(brief, (brief.width, brief.height)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _draw(brief: Brief, size: tuple[int, int]) -> Image.Image:
    words = f"{brief.seed}|{brief.quality}|{brief.tier}|{brief.prompt}".encode("utf-8", "surrogatepass")
    dice = random.Random(words)  # noqa: S311 - it chooses colours, not secrets
    palette = dice.choice(_PALETTES)
    picture = _landscape(size, palette, dice)
    _show_references(picture, brief.references)
    _set_type(picture, brief, palette)
    return picture


def _landscape(size: tuple[int, int], palette: _Palette, dice: random.Random) -> Image.Image:
    # Drawn at twice the size and scaled down, so that edges are smooth; at 4K a smaller canvas is enough.
    scale = min(2.0, CANVAS_EDGE / max(size))
    width, height = (max(1, round(edge * scale)) for edge in size)
    short = min(width, height)
    rising = Image.linear_gradient("L").resize((width, height))
    scene = Image.composite(
        Image.new("RGB", (width, height), palette.horizon), Image.new("RGB", (width, height), palette.sky), rising
    )
    pen = ImageDraw.Draw(scene)
    radius = short * dice.uniform(0.13, 0.2)
    x, y = width * dice.uniform(0.55, 0.85), height * dice.uniform(0.26, 0.42)
    halo = round(radius * 3.5)
    glow = Image.radial_gradient("L").point([max(0, 170 - value) for value in range(256)]).resize((2 * halo, 2 * halo))
    scene.paste(palette.sun, (round(x) - halo, round(y) - halo), glow)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=palette.sun)
    ridges = [_mix(palette.horizon, palette.hills, 0.55), palette.hills]
    ridges += [_mix(palette.hills, palette.dark, share) for share in (0.35, 0.65, 1.0)]
    for index, colour in enumerate(ridges):
        pace, shift, detail = dice.uniform(1.2, 2.8), dice.uniform(0, math.tau), dice.uniform(3, 6)
        middle, swing = height * (0.52 + 0.1 * index), short * (0.09 - 0.008 * index)
        points: list[tuple[float, float]] = [(width, height), (0, height)]
        for step in range(161):
            across = step / 160 * width
            # Waves are measured in short edges, or a panorama would look stretched.
            phase = across / short
            rise = math.sin(phase * pace + shift) + 0.3 * math.sin(phase * detail - shift)
            points.append((across, middle + swing * rise))
        pen.polygon(points, fill=colour)
    return scene.resize(size, Image.Resampling.BICUBIC)


def _show_references(picture: Image.Image, references: tuple[Brief | bytes, ...]) -> None:
    edge = min(picture.size)
    margin, side, frame = round(edge * 0.06), max(1, round(edge * 0.22)), max(1, round(edge * 0.006))
    x = margin
    for thumbnail in filter(None, map(_thumbnail, references)):
        across = max(1, round(side * max(0.6, min(1.8, thumbnail.width / thumbnail.height))))
        card = ImageOps.expand(ImageOps.fit(thumbnail, (across, side)), frame, WHITE)
        if x + card.width > picture.width - margin:
            return
        mask = Image.new("L", (card.width * 2, card.height * 2))
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, mask.width - 1, mask.height - 1), edge * 0.036, fill=255)
        picture.paste(card, (x, margin), mask.resize(card.size))
        x += card.width + margin // 2


def _thumbnail(reference: Brief | bytes) -> Image.Image | None:
    if isinstance(reference, Brief):
        scale = min(1.0, THUMBNAIL_EDGE / max(reference.width, reference.height))
        return _draw(reference, (max(1, round(reference.width * scale)), max(1, round(reference.height * scale))))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(reference)) as opened:
                opened.draft("RGB", (THUMBNAIL_EDGE, THUMBNAIL_EDGE))
                return opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        # An upload is checked by its first bytes only: what follows may be anything.
        return None


def _set_type(picture: Image.Image, brief: Brief, palette: _Palette) -> None:
    width, height = picture.size
    edge = min(width, height)
    margin, small = round(edge * 0.06), max(9, round(edge * 0.027))
    foot = height - margin - small
    top = margin + round(edge * (0.33 if brief.references else 0.05))
    across = min(width - 2 * margin, max(edge * 1.15, width * 0.68))
    lines, font = _fit(brief.prompt, across, foot - small * 1.5 - top, edge)
    leading = font.size * LEADING
    first = foot - small * 1.3 - leading * len(lines)
    begin = max(0, round(first - edge * 0.22))
    shade = Image.linear_gradient("L").point([min(175, value * 2) for value in range(256)])
    picture.paste(palette.dark, (0, begin), shade.resize((width, height - begin)))
    pen = ImageDraw.Draw(picture)
    rule = max(2, round(edge * 0.006))
    pen.rectangle((margin, first - rule * 5, margin + edge * 0.09, first - rule * 4 - 1), fill=palette.sun)
    for index, line in enumerate(lines):
        pen.text((margin, first + index * leading), line, font=font, fill=WHITE)
    caption = f"{brief.width}x{brief.height} \u00b7 {brief.quality} \u00b7 {brief.tier}"
    quiet = _mix(palette.dark, WHITE, 0.72)
    pen.text((margin, foot), caption, font=_font(small), fill=quiet)
    pen.text((width - margin, foot), "vidgo sandbox", font=_font(small), fill=quiet, anchor="ra")


def _fit(text: str, width: float, height: float, edge: int) -> tuple[list[str], ImageFont.FreeTypeFont]:
    """Break a text into lines in the largest type that fits a box; in the smallest type it is cut with an ellipsis."""
    encodable = text.encode("utf-8", "replace").decode()
    words = " ".join("".join(c if c.isprintable() else " " for c in encodable).split())
    size, smallest = max(8.0, edge * 0.078), max(8.0, edge * 0.02)
    while True:
        font = _font(size)
        letter = font.getlength(words) / max(1, len(words))
        # A line may hold more wide letters than the average.
        columns = max(1, int(width / (1.1 * letter or 1)))
        # Short texts keep to the lower part of the box.
        most = max(1, int(height * (0.6 if size > 2 * smallest else 1.0) / (size * LEADING)))
        lines = textwrap.wrap(words, columns, max_lines=most if size == smallest else None, placeholder="\u2026")
        fits = len(lines) <= most and all(font.getlength(line) <= width for line in lines)
        if fits or size == smallest:
            return lines, font
        size = max(smallest, size * 0.9)


@functools.lru_cache(32)
def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def _mix(one: str, other: str, share: float) -> str:
    pairs = zip(bytes.fromhex(one[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + bytes(round(a + (b - a) * share) for a, b in pairs).hex()
