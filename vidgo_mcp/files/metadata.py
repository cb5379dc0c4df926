"""Writes into a picture's bytes how it was made, so that the file still tells when it has left its folder.

No pixel is touched: metadata is put between the parts of the file, where Pillow would encode a JPEG or a WebP again.
"""

from __future__ import annotations

import html
import re
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from vidgo_mcp.files.containers import Part, end_of, jpeg_segments, png_chunks, webp_canvas, webp_chunks
from vidgo_mcp.files.images import kind_of

SOFTWARE: Final = "vidgo-mcp"
NAMESPACE: Final = "https://github.com/vidgo-mcp/vidgo-mcp/ns/1.0/"
GENERATED: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""The mark of the IPTC for pictures that a model made; it is what programs look for that tell people so."""

_UNFIT: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot carry: control characters, halves of surrogate pairs, U+FFFE and U+FFFF."""

_PNG_XMP: Final = b"XML:com.adobe.xmp"
_JPEG_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_JPEG_MOST: Final = 0xFFFF - 2
"""Bytes in the payload of a segment."""

_APP0: Final = b"\xff\xe0"
_APP1: Final = b"\xff\xe1"
_APP2: Final = b"\xff\xe2"
_APP11: Final = b"\xff\xeb"
_EOI: Final = b"\xff\xd9"
_ALPHA: Final = 0x10
_XMP: Final = 0x04


@dataclass(frozen=True, slots=True)
class Facts:
    """How a picture was made. What is empty is left out."""

    prompt: str
    model: str
    size: str
    tier: str
    quality: str
    task_id: str


def with_facts(content: bytes, facts: Facts) -> bytes:
    """Return the bytes of a picture with the facts in them; the same facts always come out as the same bytes.

    Unchanged are a GIF, where hardly a program looks for them, a file that makes no sense, one that has XMP already,
    and one with Content Credentials: they are a signature over every byte (https://spec.c2pa.org).
    """
    kind = kind_of(content)
    if kind is None or kind.mime_type not in _WRITERS:
        return content
    named = {
        "Description": facts.prompt,
        "Model": facts.model,
        "Size": facts.size,
        "Tier": facts.tier,
        "Quality": facts.quality,
        "Task": facts.task_id,
    }
    clean = {name: _UNFIT.sub("", text) for name, text in named.items()}
    return _WRITERS[kind.mime_type](content, {name: text for name, text in clean.items() if text}) or content


def without_facts(content: bytes) -> bytes:
    """Return the bytes of a picture without what ``with_facts`` put in; what others wrote into it stays."""
    kind = kind_of(content)
    if kind is None or NAMESPACE.encode() not in content:
        return content
    if kind.mime_type == "image/png":
        return _without(content, _png_facts(list(png_chunks(content))[1:], content))
    if kind.mime_type == "image/jpeg":
        ours = [one for one in jpeg_segments(content) if one.name == _APP1 and _is_ours(content, one, _JPEG_XMP)]
        return _without(content, ours)
    if kind.mime_type == "image/webp":
        ours = [one for one in webp_chunks(content) if one.name == b"XMP " and _is_ours(content, one)]
        return _webp_without(content, ours) if ours and content[12:16] == b"VP8X" else content
    return content


def _png_facts(chunks: Sequence[Part], content: bytes) -> Sequence[Part]:
    """Return the texts from behind the header up to our XMP packet, which is where they were put."""
    texts = list(takewhile(lambda chunk: chunk.name == b"iTXt", chunks))
    packet = next((place for place, chunk in enumerate(texts, 1) if _is_ours(content, chunk, _PNG_XMP)), 0)
    return texts[:packet]


def _is_ours(content: bytes, part: Part, start: bytes = b"") -> bool:
    payload = content[part.payload]
    return payload.startswith(start) and NAMESPACE.encode() in payload


def _without(content: bytes, parts: Sequence[Part]) -> bytes:
    for part in reversed(parts):
        content = content[: part.start] + content[part.end :]
    return content


def _webp_without(content: bytes, parts: Sequence[Part]) -> bytes:
    length = int.from_bytes(content[4:8], "little") - sum(part.end - part.start for part in parts)
    content = _without(content, parts)
    # The flag in the extended header says that there is XMP.
    flags = bytes([content[20] & ~_XMP])
    return b"RIFF" + struct.pack("<I", length) + content[8:20] + flags + content[21:]


def _in_png(content: bytes, facts: Mapping[str, str]) -> bytes | None:
    chunks = list(png_chunks(content))
    if not chunks or chunks[0].name != b"IHDR" or chunks[-1].name != b"IEND":
        return None
    for chunk in chunks:
        if chunk.name == b"caBX" or (chunk.name == b"iTXt" and content[chunk.payload].startswith(_PNG_XMP + b"\0")):
            return None
    # Description and Software are keywords of the PNG specification, section 11.3.3.
    texts = {**facts, "Software": SOFTWARE}
    added = [_itxt(name.encode(), text.encode()) for name, text in texts.items()]
    place = chunks[0].end
    return b"".join([content[:place], *added, _itxt(_PNG_XMP, _xmp(facts)), content[place:]])


def _itxt(keyword: bytes, text: bytes) -> bytes:
    """Return a chunk of uncompressed text in UTF-8, in no language that is named."""
    chunk = b"iTXt" + keyword + b"\0\0\0\0\0" + text
    return struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))


def _in_jpeg(content: bytes, facts: Mapping[str, str]) -> bytes | None:
    segments = list(jpeg_segments(content))
    if not segments or segments[-1].name != _EOI:
        return None
    place = 2
    for segment in segments:
        payload = content[segment.payload]
        if _keeps_jpeg_as_it_is(segment.name, payload):
            return None
        # JFIF and Exif both want to be first.
        leads = segment.name == _APP0 or (segment.name == _APP1 and payload.startswith(b"Exif\0"))
        if leads and segment.start == place:
            place = segment.end
    payload = _JPEG_XMP + _xmp(facts)
    if len(payload) > _JPEG_MOST:
        return None
    return content[:place] + _APP1 + struct.pack(">H", len(payload) + 2) + payload + content[place:]


def _keeps_jpeg_as_it_is(marker: bytes, payload: bytes) -> bool:
    """Return whether a segment is XMP, Content Credentials, or an index of several pictures by their lengths."""
    return (
        (marker == _APP1 and payload.startswith((_JPEG_XMP, b"http://ns.adobe.com/xmp/extension/\0")))
        or (marker == _APP2 and payload.startswith(b"MPF\0"))
        or (marker == _APP11 and payload.startswith(b"JP") and payload[12:16] == b"jumb")
    )


def _in_webp(content: bytes, facts: Mapping[str, str]) -> bytes | None:
    end, chunks, canvas = end_of(content, "image/webp"), list(webp_chunks(content)), webp_canvas(content)
    if end is None or not chunks or chunks[-1].end != end or canvas is None or min(canvas) < 1:
        return None
    names = [chunk.name for chunk in chunks]
    if b"XMP " in names or b"C2PA" in names:
        return None
    if names[0] == b"VP8X" and chunks[0].end == 30:
        body = content[12:20] + bytes([content[20] | _XMP]) + content[21:end]
    elif len(names) == 1:
        body = _extended_header(content, canvas) + content[12:end]
    else:
        return None
    body += _riff_chunk(b"XMP ", _xmp(facts))
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body + content[end:]


def _extended_header(content: bytes, canvas: tuple[int, int]) -> bytes:
    """Return the VP8X chunk that a simple file lacks (RFC 9649, section 2.7). Only a lossless one can have alpha."""
    alpha = content[24] & _ALPHA if content[12:16] == b"VP8L" else 0
    edges = b"".join((edge - 1).to_bytes(3, "little") for edge in canvas)
    return _riff_chunk(b"VP8X", bytes([_XMP | alpha, 0, 0, 0]) + edges)


def _riff_chunk(name: bytes, payload: bytes) -> bytes:
    return name + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)


def _xmp(facts: Mapping[str, str]) -> bytes:
    """Return the packet: the prompt as Dublin Core's description, the rest in a namespace of our own."""
    # An XML reader takes a bare carriage return for a line feed.
    texts = {name: html.escape(text, quote=False).replace("\r", "&#13;") for name, text in facts.items()}
    prompt = texts.pop("Description", "")
    description = (
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{prompt}</rdf:li></rdf:Alt></dc:description>\n'
        if prompt
        else ""
    )
    own = "".join(f"<vidgo:{name}>{text}</vidgo:{name}>\n" for name, text in texts.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '<rdf:Description rdf:about=""'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f' xmlns:vidgo="{NAMESPACE}">\n'
        f"{description}"
        f"<xmp:CreatorTool>{SOFTWARE}</xmp:CreatorTool>\n"
        f"<Iptc4xmpExt:DigitalSourceType>{GENERATED}</Iptc4xmpExt:DigitalSourceType>\n"
        f"{own}"
        "</rdf:Description>\n</rdf:RDF>\n</x:xmpmeta>\n"
        '<?xpacket end="r"?>'
    ).encode()


_WRITERS: Final[Mapping[str, Callable[[bytes, Mapping[str, str]], bytes | None]]] = {
    "image/png": _in_png,
    "image/jpeg": _in_jpeg,
    "image/webp": _in_webp,
}
"""Each returns None where the picture is to stay as it is."""
