"""What is sent of a reference: how it looks, and not where, when and with which device it was taken."""

from __future__ import annotations

import contextlib
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from tests.files.conftest import PICTURES, PNGS, SEVERAL, after_header, frames, hostile, noise, saved
from vidgo_mcp.files.containers import jpeg_segment, jpeg_segments, png_chunk
from vidgo_mcp.files.images import validate_image
from vidgo_mcp.files.privacy import without_private_data
from vidgo_mcp.files.reader import Folders
from vidgo_mcp.files.unusable import UnusableError

SECRETS = (b"SN-body-4711", b"SN-lens-0815", b"SN-maker-1234", b"Example Road", b"\x34\x56\x78\x9a")
"""What must not leave the machine; the last is a number of the position."""
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:li exif:GPSLatitude="Example Road"/></x:xmpmeta>'


def exif(orientation: int | None = 6) -> Image.Exif:
    """Return what a phone writes."""
    found = Image.Exif()
    if orientation is not None:
        found[ExifTags.Base.Orientation] = orientation
    found[ExifTags.Base.Make] = "Phone"
    camera = found.get_ifd(ExifTags.IFD.Exif)
    camera[ExifTags.Base.BodySerialNumber] = "SN-body-4711"
    camera[ExifTags.Base.LensSerialNumber] = "SN-lens-0815"
    camera[ExifTags.Base.MakerNote] = b"SN-maker-1234"
    position = found.get_ifd(ExifTags.IFD.GPSInfo)
    position[ExifTags.GPS.GPSLatitudeRef] = "N"
    position[ExifTags.GPS.GPSLatitude] = (48.0, 8.0, float(0x3456789A))
    return found


def jpeg_of_phone(**options: Any) -> bytes:
    """Return a JPEG with all that tells of its maker, and a part between two scans."""
    content = saved(
        noise(),
        format="JPEG",
        progressive=True,
        icc_profile=PROFILE,
        **{"exif": exif(), "xmp": XMP, "comment": b"Example Road", **options},
    )
    iptc = jpeg_segment(b"\xff\xed", b"Photoshop 3.0\0Example Road")
    scan = content.rindex(b"\xff\xda")
    return content[:scan] + iptc + content[scan:]


def png_of_phone(**options: Any) -> bytes:
    """Return a PNG with all that programs copy into one."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "Example Road")
    text.add_text("Raw profile type exif", "Example Road", zip=True)
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    return saved(noise(), format="PNG", icc_profile=PROFILE, pnginfo=text, **{"exif": exif(), **options})


def sent(content: bytes) -> bytes:
    picture = without_private_data(validate_image(content))
    assert validate_image(picture.content) == picture
    assert without_private_data(picture) == picture
    return picture.content


def orientation(content: bytes) -> int | None:
    with Image.open(BytesIO(content)) as image:
        return image.getexif().get(ExifTags.Base.Orientation)


@pytest.mark.parametrize("content", [jpeg_of_phone(), png_of_phone()], ids=["jpeg", "png"])
def test_position_and_serials_go_and_looks_stay(content: bytes, tmp_path: Path) -> None:
    assert {secret for secret in SECRETS if secret not in content} == set()
    (tmp_path / "photo").write_bytes(content)
    found = Folders((tmp_path,)).read("photo").content
    assert found == sent(content)
    assert [secret for secret in SECRETS if secret in found] == []
    assert frames(found) == frames(content)
    with Image.open(BytesIO(found)) as image:
        assert dict(image.getexif()) == {ExifTags.Base.Orientation: 6}
        assert not any(image.getexif().get_ifd(ifd) for ifd in ExifTags.IFD)
        assert not {"xmp", "comment", "photoshop", "Comment", "XML:com.adobe.xmp"} & set(image.info)
        assert image.info["icc_profile"] == PROFILE


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_with_nothing_else_in_it_is_sent_byte_for_byte(name: str) -> None:
    assert sent(PICTURES[name]) == PICTURES[name]


@pytest.mark.parametrize("turned", [None, 0, 1, 2, 8, 9, 0xFFFF])
@pytest.mark.parametrize("make", [jpeg_of_phone, png_of_phone])
def test_only_an_orientation_that_turns_is_kept(make: Any, turned: int | None) -> None:
    found = sent(make(exif=exif(turned), xmp=b"") if make is jpeg_of_phone else make(exif=exif(turned)))
    assert orientation(found) == (turned if turned in {2, 8} else None)
    assert (b"exif" in found.lower()) == (turned in {2, 8})


@pytest.mark.parametrize(
    "tiff",
    [
        b"",
        b"II*\0",
        b"nonsense Example Road",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\xff\xff" + bytes(3),
        b"II*\0\x08\0\0\0\x05\0" + bytes(12),
    ],
)
def test_exif_that_cannot_be_read_is_left_out_whole(tiff: bytes) -> None:
    content = PICTURES["jpeg"]
    assert sent(content[:2] + jpeg_segment(b"\xff\xe1", b"Exif\0\0" + tiff) + content[2:]) == content
    assert sent(after_header(PNGS["png"], png_chunk(b"eXIf", tiff))) == PNGS["png"]


def test_exif_that_is_cut_off_behind_its_orientation_still_turns() -> None:
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    tiff = b"II*\0\x08\0\0\0\xff\0" + entry + b"Example Road"
    content = PICTURES["jpeg"]
    found = sent(content[:2] + jpeg_segment(b"\xff\xe1", b"Exif\0\0" + tiff) + content[2:])
    assert (orientation(found), b"Example" in found) == (6, False)


def xmp(words: str) -> bytes:
    return jpeg_segment(b"\xff\xe1", b"http://ns.adobe.com/xap/1.0/\0" + words.encode())


def after_exif(jpeg: bytes, *segments: bytes) -> bytes:
    """Return a JPEG with more segments, behind its Exif or SOI."""
    place = next((part.end for part in jpeg_segments(jpeg) if part.name == b"\xff\xe1"), 2)
    return jpeg[:place] + b"".join(segments) + jpeg[place:]


TURNED = saved(noise(), format="JPEG", exif=exif(), icc_profile=PROFILE)
GAIN_MAP = saved(noise("L", seed=2), format="JPEG")
FILM = b"\0\0\0\x18ftypmp42" + bytes(40)
CONTAINER = xmp('<rdf:Description hdrgm:Version="1.0" xmlns:Container="http://ns.google.com/photos/1.0/container/"/>')
WITH_MORE_THAN_A_PICTURE = {
    "several pictures": SEVERAL,
    "several pictures, turned": saved(
        noise(),
        format="MPO",
        save_all=True,
        append_images=[noise(seed=2), noise(seed=3)],
        exif=exif(),
        icc_profile=PROFILE,
    ),
    "a gain map by Google": after_exif(
        saved(noise(), format="MPO", save_all=True, append_images=[noise("L", seed=2)], exif=exif()), CONTAINER
    ),
    "a gain map by ISO": after_exif(
        TURNED, jpeg_segment(b"\xff\xe2", b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"), CONTAINER
    )
    + GAIN_MAP,
    "a film behind a photo": after_exif(TURNED, xmp('<rdf:Description GCamera:MotionPhoto="1" Item:Length="52"/>'))
    + FILM,
    "a film and a maker's trailer": TURNED + FILM + b"MotionPhoto_DataSEFH" + bytes(12) + b"SEFT",
    "bytes behind a jpeg": TURNED + b"\0" * 100,
    "a jpeg behind a jpeg": TURNED + TURNED,
    "fill before the markers": TURNED[:2] + b"\xff\xff" + TURNED[2:],
    "bytes behind a png": PNGS["png"] + b"more",
    "bytes behind an animated png": PNGS["png_animated"] + PNGS["png"],
    "a remark between the frames": PNGS["png_animated"].replace(
        (chunk := PNGS["png_animated"])[(place := chunk.rindex(b"fcTL") - 4) :],
        png_chunk(b"tEXt", b"Comment\0Example Road") + chunk[place:],
    ),
    "an animated webp": PICTURES["webp_animated"] + b"more",
    "an animated gif": PICTURES["gif_animated"] + b"more",
}
INDEXES = (b"MPF\0", b"hdrgm", b"Container", b"MotionPhoto", b"21496", b"ftyp", b"SEFT", b"Example Road", b"more")


@pytest.mark.parametrize("content", WITH_MORE_THAN_A_PICTURE.values(), ids=WITH_MORE_THAN_A_PICTURE)
def test_what_is_sent_is_a_sound_file_of_its_own_in_every_frame(content: bytes) -> None:
    """Nothing in it points to what was left out: a decoder that walks the frames finds each of them."""
    found = sent(content)
    shown = frames(content)
    assert frames(found) == (shown[:1] if found.startswith(b"\xff\xd8") else shown)
    if not found.startswith(b"GIF"):
        assert [word for word in INDEXES if word in found] == []
    assert orientation(found) == orientation(content)
    with Image.open(BytesIO(content)) as before, Image.open(BytesIO(found)) as after:
        assert after.info.get("icc_profile") == before.info.get("icc_profile")
        assert after.format == ("JPEG" if before.format == "MPO" else before.format)


def test_content_credentials_which_would_not_hold_any_more_are_not_sent() -> None:
    assert sent(after_header(PNGS["png"], png_chunk(b"caBX", b"\0\0\0\x20jumb"))) == PNGS["png"]
    jumbf, content = jpeg_segment(b"\xff\xeb", b"JP\0\x01\0\0\0\x01\0\0\0\x20jumb"), PICTURES["jpeg"]
    assert sent(content[:2] + jumbf + content[2:]) == content


def test_colours_that_chunks_of_a_png_describe_stay() -> None:
    gamma = after_header(PNGS["png_palette"], png_chunk(b"gAMA", struct.pack(">I", 45_455)))
    assert sent(after_header(gamma, png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"Example Road")))) == gamma


@given(hostile)
def test_what_is_sent_of_any_bytes_is_as_sound_as_they_were(content: bytes) -> None:
    with contextlib.suppress(UnusableError):
        picture = validate_image(content)
        found = without_private_data(picture)
        assert validate_image(found.content) == found
        assert (found.width, found.height, found.mime_type) == (picture.width, picture.height, picture.mime_type)
