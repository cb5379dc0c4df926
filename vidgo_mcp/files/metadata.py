"""Writes into a PNG or JPEG how it was made, so that the file still tells when it has left its folder.

No pixel is touched: metadata is put between the parts of the file, where Pillow would encode a JPEG again.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vidgo_mcp.files.containers import EOI, LONGEST_SEGMENT, jpeg_segment, jpeg_segments, png_chunk, png_chunks
from vidgo_mcp.files.kinds import JPEG, PNG, kind_of

SOFTWARE: Final = "vidgo-mcp"
NAMESPACE: Final = "https://github.com/vidgo-mcp/vidgo-mcp/ns/1.0/"
GENERATED: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""The mark of the IPTC for pictures that a model made; it is what programs look for that tell people so."""

_UNFIT: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot carry: control characters, halves of surrogate pairs, U+FFFE and U+FFFF."""

_PNG_XMP: Final = b"XML:com.adobe.xmp"
_JPEG_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_APP0, _APP1, _APP2, _APP11 = b"\xff\xe0", b"\xff\xe1", b"\xff\xe2", b"\xff\xeb"
_LEFT_ALONE: Final = ((_APP1, _JPEG_XMP), (_APP2, b"MPF\0"))


@dataclass(frozen=True, slots=True)
class Facts:
    """How a picture was made."""

    prompt: str
    model: str
    size: str
    tier: str
    quality: str
    task_id: str


def with_facts(content: bytes, facts: Facts) -> bytes:
    """Return the bytes of a picture with the facts in them; the same facts always come out as the same bytes.

    Unchanged are all other formats, a file that makes no sense, one that has XMP already, one with an index of several
    pictures, which names their distances, and one with Content Credentials: they are a signature over every byte
    (https://spec.c2pa.org).
    """
    kind = kind_of(content)
    named = {
        "Description": facts.prompt,
        "Model": facts.model,
        "Size": facts.size,
        "Tier": facts.tier,
        "Quality": facts.quality,
        "Task": facts.task_id,
    }
    clean = {name: _UNFIT.sub("", text) for name, text in named.items()}
    if kind is PNG:
        return _in_png(content, clean)
    if kind is JPEG:
        return _in_jpeg(content, clean)
    return content


def _in_png(content: bytes, facts: Mapping[str, str]) -> bytes:
    chunks = list(png_chunks(content))
    if not chunks or chunks[0].name != b"IHDR" or chunks[-1].name != b"IEND":
        return content
    if any(chunk.name == b"caBX" or content[chunk.payload].startswith(_PNG_XMP + b"\0") for chunk in chunks):
        return content
    # Description and Software are keywords of the PNG specification, section 11.3.3.
    texts = {**facts, "Software": SOFTWARE}
    added = [_itxt(name.encode(), text.encode()) for name, text in texts.items()]
    place = chunks[0].end
    return b"".join([content[:place], *added, _itxt(_PNG_XMP, _xmp(facts)), content[place:]])


def _itxt(keyword: bytes, text: bytes) -> bytes:
    """Return a chunk of uncompressed text in UTF-8, in no language that is named."""
    return png_chunk(b"iTXt", keyword + b"\0\0\0\0\0" + text)


def _in_jpeg(content: bytes, facts: Mapping[str, str]) -> bytes:
    segments, xmp, place = list(jpeg_segments(content)), _JPEG_XMP + _xmp(facts), 2
    if not segments or segments[-1].name[1] != EOI or len(xmp) > LONGEST_SEGMENT:
        return content
    for segment in segments:
        payload = content[segment.payload]
        credentials = segment.name == _APP11 and payload.startswith(b"JP") and payload[12:16] == b"jumb"
        if credentials or any(segment.name == name and payload.startswith(start) for name, start in _LEFT_ALONE):
            return content
        # JFIF and Exif both want to be first.
        leads = segment.name == _APP0 or (segment.name == _APP1 and payload.startswith(b"Exif\0"))
        if leads and segment.start == place:
            place = segment.end
    return content[:place] + jpeg_segment(_APP1, xmp) + content[place:]


def _xmp(facts: Mapping[str, str]) -> bytes:
    """Return the packet: the prompt as Dublin Core's description, the rest in a namespace of our own."""
    # An XML reader takes a bare carriage return for a line feed.
    texts = {name: html.escape(text, quote=False).replace("\r", "&#13;") for name, text in facts.items()}
    prompt = texts.pop("Description")
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
        f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{prompt}</rdf:li></rdf:Alt></dc:description>\n'
        f"<xmp:CreatorTool>{SOFTWARE}</xmp:CreatorTool>\n"
        f"<Iptc4xmpExt:DigitalSourceType>{GENERATED}</Iptc4xmpExt:DigitalSourceType>\n"
        f"{own}"
        "</rdf:Description>\n</rdf:RDF>\n</x:xmpmeta>\n"
        '<?xpacket end="r"?>'
    ).encode()
