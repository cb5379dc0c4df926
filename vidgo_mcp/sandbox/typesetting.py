"""Setting a prompt of any length and script in a box: the largest type that fits, cut with an ellipsis at the end."""

import functools

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@functools.lru_cache(maxsize=64)
def font(size: int) -> Font:
    """Return the typeface at a height in pixels."""
    return ImageFont.load_default(size=size)


def clean(text: str) -> str:
    """Fold white space and drop what cannot be drawn."""
    encodable = text.encode("utf-8", "replace").decode()
    return " ".join("".join(c if c.isprintable() else " " for c in encodable).split())


def fit(text: str, *, width: int, height: int, largest: int, smallest: int) -> tuple[list[str], int]:
    """Break a text into lines that fit a box, and choose the size of the type.

    Short texts are kept to the lower part of the box. At the smallest size the text is cut instead.
    """
    size = largest
    while size > smallest:
        lines = _wrap(text, size, width)
        room = height * (0.6 if size > 2 * smallest else 1.0)
        if len(lines) * size * 1.28 <= room:
            return lines, size
        size = max(smallest, int(size * 0.9))
    lines = _wrap(text, smallest, width)
    most = max(1, int(height / (smallest * 1.28)))
    if len(lines) > most:
        lines = lines[:most]
        last = lines[-1]
        while last and _length(last + "\u2026", smallest) > width:
            last = last[:-1]
        lines[-1] = last.rstrip() + "\u2026"
    return lines, smallest


def _wrap(text: str, size: int, width: int) -> list[str]:
    lines: list[str] = []
    line, used = "", 0.0
    space = _advance(" ", size)
    for word in text.split(" "):
        for piece in _pieces(word, size, width):
            length = _length(piece, size)
            if line and used + space + length > width:
                lines.append(line)
                line, used = "", 0.0
            used += length + (space if line else 0)
            line = f"{line} {piece}" if line else piece
    return [*lines, line] if line else lines


def _pieces(word: str, size: int, width: int) -> list[str]:
    if _length(word, size) <= width:
        return [word]
    pieces, piece, used = [], "", 0.0
    for letter in word:
        length = _advance(letter, size)
        if piece and used + length > width:
            pieces.append(piece)
            piece, used = "", 0.0
        piece += letter
        used += length
    return [*pieces, piece]


def _length(text: str, size: int) -> float:
    return sum(_advance(letter, size) for letter in text)


@functools.lru_cache(maxsize=8192)
def _advance(letter: str, size: int) -> float:
    return font(size).getlength(letter)
