"""How a brief becomes a picture: an abstract landscape chosen by the prompt, with the prompt set over it.

People judge a demo by what they see, so it is drawn with care; everything is a share of the short edge, so that
every size of the price table looks alike.
"""

import hashlib
import io
import math
import warnings
from collections.abc import Iterator

from PIL import Image, ImageDraw, ImageFilter, ImageOps

from vidgo_mcp.sandbox.briefs import Brief
from vidgo_mcp.sandbox.typesetting import clean, fit, font

Colour = tuple[int, int, int]

SCENE_EDGE = 1400
THUMBNAIL_EDGE = 480
WHITE: Colour = (255, 255, 255)

_PALETTES: tuple[tuple[str, str, str, str, str], ...] = (
    ("#2d1b69", "#ff9a76", "#ffe3b3", "#8a4a9e", "#1a0f35"),
    ("#0f4c81", "#a5dff0", "#fff6d6", "#3a86ae", "#082036"),
    ("#1d6a64", "#dcebb0", "#fffbe0", "#559a76", "#0b2626"),
    ("#5b2a86", "#ffb3bf", "#fff3e6", "#b55a98", "#260f3b"),
    ("#48214a", "#ff8a5c", "#ffe69a", "#b04a4e", "#1f0d20"),
    ("#3450a8", "#d2e8ff", "#ffffff", "#7096dc", "#111b45"),
    ("#4a78a8", "#fbdcae", "#fff6e3", "#cf946a", "#33201f"),
    ("#0c6f73", "#c0f5e3", "#fffce8", "#41ad9b", "#062b33"),
)


def draw_png(brief: Brief) -> bytes:
    """Draw a picture of exactly the size of its brief."""
    out = io.BytesIO()
    _draw(brief, 1.0).save(out, "PNG", compress_level=1)
    return out.getvalue()


def _draw(brief: Brief, scale: float) -> Image.Image:
    width, height = max(1, round(brief.width * scale)), max(1, round(brief.height * scale))
    dice = _dice(brief)
    colours = _PALETTES[int(next(dice) * len(_PALETTES))]
    picture = _scene(width, height, colours, dice)
    insets = [_reference(each) for each in brief.references]
    _inset(picture, [inset for inset in insets if inset is not None])
    _typeset(picture, brief, _rgb(colours[4]), _rgb(colours[2]))
    return picture


def _dice(brief: Brief) -> Iterator[float]:
    words = f"{brief.seed}|{brief.quality}|{brief.tier}|{brief.prompt}".encode("utf-8", "surrogatepass")
    count = 0
    while True:
        for byte in hashlib.sha256(words + bytes([count])).digest():
            yield byte / 256
        count += 1


def _scene(width: int, height: int, colours: tuple[str, ...], dice: Iterator[float]) -> Image.Image:
    top, bottom, sun, far, near = (_rgb(colour) for colour in colours)
    shrink = min(1.0, SCENE_EDGE / max(width, height))
    small = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    scene = _sky(small, top, bottom)
    edge = min(small)
    radius = edge * (0.13 + 0.07 * next(dice))
    centre = (small[0] * (0.55 + 0.3 * next(dice)), small[1] * (0.26 + 0.16 * next(dice)))
    for share, strength, blur in ((2.6, 0.42, 0.9), (1.5, 0.35, 0.35), (1.0, 0.96, 0.0)):
        _disc(scene, centre, radius * share, sun, strength, radius * blur)
    ridges = 5
    for index in range(ridges):
        depth = index / (ridges - 1)
        hue = _mix(_mix(bottom, far, 0.55), far, min(1.0, depth * 2))
        hue = _mix(hue, near, max(0.0, depth * 1.5 - 0.5))
        _ridge(scene, 0.52 + 0.1 * index, edge * (0.09 - 0.008 * index), hue, dice)
    return scene.resize((width, height), Image.Resampling.BICUBIC)


def _sky(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    grid = Image.new("RGB", (3, 6))
    for y in range(6):
        for x in range(3):
            grid.putpixel((x, y), _mix(top, bottom, min(1.0, y / 4.5 + (x - 1) * 0.07)))
    return grid.resize(size, Image.Resampling.BICUBIC)


def _disc(
    scene: Image.Image, centre: tuple[float, float], radius: float, colour: Colour, strength: float, blur: float
) -> None:
    # A blurred disc is smooth, so a small mask scaled up looks the same and costs little.
    factor = 2.0 if not blur else min(1.0, 200 / max(scene.size))
    mask = Image.new("L", _scaled(scene.size, factor))
    x, y, r = centre[0] * factor, centre[1] * factor, radius * factor
    ImageDraw.Draw(mask).ellipse((x - r, y - r, x + r, y + r), fill=round(255 * strength))
    if blur:
        mask = mask.filter(ImageFilter.GaussianBlur(blur * factor))
    scene.paste(colour, mask=mask.resize(scene.size, Image.Resampling.BICUBIC))


def _ridge(scene: Image.Image, height: float, swing: float, colour: Colour, dice: Iterator[float]) -> None:
    width, below = scene.size[0] * 2, scene.size[1] * 2
    waves = [(1.2 + 1.6 * next(dice), next(dice) * math.tau, 1.0), (3.0 + 3 * next(dice), next(dice) * math.tau, 0.3)]
    # One wave is as long on a wide picture as on a narrow one, or a panorama would look stretched.
    across = width / min(width, below)
    points: list[tuple[float, float]] = [(width, below), (0, below)]
    for step in range(161):
        share = step / 160
        rise = sum(math.sin(share * across * pace + shift) * part for pace, shift, part in waves)
        points.append((share * width, below * height + 2 * swing * rise))
    mask = Image.new("L", (width, below))
    ImageDraw.Draw(mask).polygon(points, fill=255)
    scene.paste(colour, mask=mask.resize(scene.size, Image.Resampling.BOX))


def _reference(reference: Brief | bytes) -> Image.Image | None:
    if isinstance(reference, Brief):
        return _draw(reference, min(1.0, THUMBNAIL_EDGE / max(reference.width, reference.height)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(reference)) as opened:
                opened.draft("RGB", (THUMBNAIL_EDGE, THUMBNAIL_EDGE))
                return opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        # An upload is checked by its first bytes only: what follows may be anything.
        return None


def _inset(picture: Image.Image, references: list[Image.Image]) -> None:
    edge = min(picture.size)
    margin, frame = round(edge * 0.06), max(1, round(edge * 0.006))
    side = round(edge * 0.22)
    x = margin
    for reference in references:
        across = round(side * max(0.6, min(1.8, reference.width / reference.height)))
        thumbnail = ImageOps.fit(reference, (across, side), Image.Resampling.LANCZOS)
        card = Image.new("RGB", (across + 2 * frame, side + 2 * frame), WHITE)
        card.paste(thumbnail, (frame, frame), _rounded(thumbnail.size, edge * 0.017))
        if x + card.width > picture.width - margin:
            return
        _shadow(picture, (x, margin + 2 * frame), card.size, edge)
        picture.paste(card, (x, margin), _rounded(card.size, edge * 0.022))
        x += card.width + margin // 2


def _shadow(picture: Image.Image, at: tuple[int, int], size: tuple[int, int], edge: int) -> None:
    spread = max(1, round(edge * 0.02))
    mask = Image.new("L", (size[0] + 4 * spread, size[1] + 4 * spread))
    ImageDraw.Draw(mask).rectangle((2 * spread, 2 * spread, 2 * spread + size[0], 2 * spread + size[1]), fill=110)
    blurred = mask.filter(ImageFilter.GaussianBlur(spread * 0.7))
    picture.paste((0, 0, 0), (at[0] - 2 * spread, at[1] - 2 * spread), blurred)


def _rounded(size: tuple[int, int], radius: float) -> Image.Image:
    large = Image.new("L", _scaled(size, 2))
    ImageDraw.Draw(large).rounded_rectangle((0, 0, large.width - 1, large.height - 1), radius * 2, fill=255)
    return large.resize(size, Image.Resampling.BOX)


def _typeset(picture: Image.Image, brief: Brief, dark: Colour, accent: Colour) -> None:
    width, height = picture.size
    edge = min(width, height)
    margin, small = round(edge * 0.06), max(9, round(edge * 0.027))
    foot = height - margin - small
    top = margin + round(edge * (0.33 if brief.references else 0.05))
    lines, size = fit(
        clean(brief.prompt),
        width=round(min(width - 2 * margin, max(edge * 1.15, width * 0.68))),
        height=max(small, foot - round(small * 1.5) - top),
        largest=round(edge * 0.078),
        smallest=max(8, round(edge * 0.02)),
    )
    leading = round(size * 1.28)
    first = foot - round(small * 1.3) - leading * len(lines)
    _shade(picture, dark, first - round(edge * 0.22))
    pen = ImageDraw.Draw(picture)
    rule = max(2, round(edge * 0.006))
    pen.rectangle((margin, first - rule * 5, margin + round(edge * 0.09), first - rule * 4 - 1), fill=accent)
    for index, line in enumerate(lines):
        pen.text((margin, first + index * leading), line, font=font(size), fill=WHITE)
    caption = f"{brief.width}x{brief.height} \u00b7 {brief.quality} \u00b7 {brief.tier}"
    quiet = _mix(dark, WHITE, 0.72)
    pen.text((margin, foot), caption, font=font(small), fill=quiet)
    pen.text((width - margin, foot), "vidgo sandbox", font=font(small), fill=quiet, anchor="ra")


def _shade(picture: Image.Image, colour: Colour, begin: int) -> None:
    column = Image.new("L", (1, picture.height))
    fade = max(1, round(min(picture.size) * 0.3))
    for y in range(max(0, begin), picture.height):
        column.putpixel((0, y), round(175 * min(1.0, (y - begin) / fade)))
    picture.paste(colour, mask=column.resize(picture.size))


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    part = max(0.0, min(1.0, share))
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _rgb(colour: str) -> Colour:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _scaled(size: tuple[int, int], factor: float) -> tuple[int, int]:
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
