"""A picture's name tells a person what it is, and is legal on every system at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from unicodedata import category, normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vidgo_mcp.files.naming import file_name

DAY = date(2026, 11, 22)
TASK = "task_01kABCuyujaw3d"
DEVICES = {"CON", "PRN", "AUX", "NUL", "CLOCK$", "CONIN$", "CONOUT$"} | {
    f"{port}{number}" for port in ("COM", "LPT") for number in "0123456789¹²³"
}

# Whole characters of Unicode, lone surrogates too, and what is made of several.
SEQUENCES = "👨‍👩‍👧 🏳️‍🌈 1️⃣ 🇩🇪 e\u0301 o\u0302\u0323 \u1100\u1161\u11a8 한 क्षि می‌خواهم 葛\U000e0100 ΐ ﬃ Ⅷ ² İ ß ש ع"
STRANGE = (
    "\u202e\u2066\u200b\ufeff\u00ad\u034f\u3164\x00\x7f\ud800\udfff\ue000\U000e0041\U0010ffff\u0378\u0488\U0001d15e"
)
SPECIAL = "/\\:*?\"<>|.-_~$%'`&;() \n\t"
NAMED = ["CON", "con.png", "COM¹", "nul", "..", "a" * 100, "字" * 50, "한" * 50]
PIECES = st.sampled_from([*SEQUENCES.split(), *STRANGE, *SPECIAL, *NAMED])
TEXTS = st.lists(PIECES | st.text(st.characters(), max_size=8), max_size=40).map("".join) | st.text(
    st.characters(), max_size=300
)
NAMES = st.builds(
    file_name,
    day=st.dates(min_value=date(1000, 1, 1)),
    prompt=TEXTS,
    task_id=TEXTS,
    extension=st.sampled_from([".png", ".jpg", ".webp", ".gif"]),
    number=st.integers(1, 1000),
)


def name(prompt: str, task_id: str = TASK, number: int = 1) -> str:
    return file_name(day=DAY, prompt=prompt, task_id=task_id, extension=".png", number=number)


def words(prompt: str) -> str:
    found = name(prompt)
    assert found.startswith("2026-11-22-")
    assert found.endswith("-uyujaw3d.png")
    return found.removeprefix("2026-11-22-").removesuffix("-uyujaw3d.png")


def on_windows(found: str) -> bool:
    """https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file"""
    stem = found.partition(".")[0].rstrip(" ").upper()
    return (
        0 < len(found.encode("utf-16-le")) // 2 <= 255
        and not any(character in '<>:"/\\|?*' or ord(character) < 32 for character in found)
        and found[-1] not in ". "
        and found[0] != " "
        and stem not in DEVICES
    )


def on_macos(found: str) -> bool:
    """HFS+ and APFS: https://developer.apple.com/library/archive/technotes/tn/tn1150.html#UnicodeSubtleties

    HFS+ stores names taken apart and counts UTF-16 units of that; APFS counts UTF-8 bytes of what it is given. Both
    refuse what is not Unicode, and APFS what is not assigned; the Finder refuses a leading dot and a colon.
    """
    apart = normalize("NFD", found)
    return (
        0 < len(apart.encode("utf-16-le")) // 2 <= 255
        and 0 < len(found.encode("utf-8")) <= 255
        and not any(character in "/:\0" or category(character) == "Cn" for character in found)
        and found[0] != "."
    )


def on_linux(found: str) -> bool:
    """https://man7.org/linux/man-pages/man7/path_resolution.7.html, in both forms that a share may store."""
    return all(
        0 < len(form.encode("utf-8")) <= 255 and "/" not in form and "\0" not in form and form not in {".", ".."}
        for form in (normalize("NFC", found), normalize("NFD", found))
    )


@given(NAMES)
def test_every_name_is_legal_on_every_system(found: str) -> None:
    assert on_windows(found)
    assert on_macos(found)
    assert on_linux(found)


@pytest.mark.parametrize(
    ("is_legal", "bad"),
    [
        (on_windows, ["a:b", "a.", "a ", "con.png", "COM¹.png", "nul", "a\x1f", "a" * 256, "😀" * 128]),
        (on_macos, [".a", "a:b", "a/b", "a\u0378", "é" * 128, "한" * 86]),
        (on_linux, ["a/b", "a\0", "..", "", "字" * 86, "한" * 29]),
    ],
)
def test_the_rules_of_each_system_refuse_what_it_does(is_legal: Callable[[str], bool], bad: list[str]) -> None:
    assert [name for name in bad if is_legal(name)] == []


@given(NAMES)
def test_a_name_has_only_letters_digits_marks_and_single_dashes(found: str) -> None:
    stem = found.rpartition(".")[0]
    kinds = {category(character) for character in stem if character != "-"}
    assert kinds <= {"Lu", "Ll", "Lt", "Lm", "Lo", "Nd", "Mn", "Mc"}
    assert "--" not in stem
    assert stem.strip("-") == stem
    assert len(found.encode()) <= 120
    assert normalize("NFC", found) == found


@given(TEXTS)
@example("\u0301a" + "e\u0301\u0323" * 60)
@example("a b" * 30 + "e" + "\u0302" * 90)
def test_no_mark_is_torn_off_its_letter(prompt: str) -> None:
    kept = words(prompt)
    whole = words_without_a_limit(prompt)
    if kept != "picture" or whole.startswith("picture"):
        assert whole.startswith(kept)
        rest = whole[len(kept) :]
        assert not rest or category(rest[0])[0] != "M"
    assert category(kept[0])[0] != "M"


def words_without_a_limit(prompt: str) -> str:
    """Return what a name may keep of a prompt, as it is specified."""
    kept = ""
    for character in normalize("NFC", "".join(c for c in prompt if category(c) != "Cf")):
        kind = category(character)
        letter = kind[0] == "L" or kind == "Nd" or (kind in {"Mn", "Mc"} and kept[-1:] not in {"", "-"})
        kept += character if letter else "-"
    return "-".join(part for part in kept.split("-") if part) or "picture"


@given(TEXTS.filter(lambda prompt: len(words_without_a_limit(prompt).encode()) <= 72))
def test_a_prompt_that_fits_is_kept_whole(prompt: str) -> None:
    assert words(prompt) == words_without_a_limit(prompt)


@given(TEXTS, TEXTS, st.lists(st.integers(1, 1000), min_size=2, max_size=8, unique=True))
def test_names_of_different_numbers_differ_by_more_than_case(prompt: str, task_id: str, numbers: list[int]) -> None:
    found = {normalize("NFD", name(prompt, task_id, number)).casefold() for number in numbers}
    assert len(found) == len(numbers)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a lighthouse at dawn", "a-lighthouse-at-dawn"),
        ("  A lighthouse,\n\tat dawn!  ", "A-lighthouse-at-dawn"),
        ("../../etc/passwd", "etc-passwd"),
        ("C:\\Users\\me\\NUL", "C-Users-me-NUL"),
        ("Cafe\u0301 in Zu\u0308rich", "Café-in-Zürich"),
        ("一只狐狸，坐在山上", "一只狐狸-坐在山上"),
        ("منارة عند الفجر", "منارة-عند-الفجر"),
        ("\u202eمنارة\u202c \u2066dawn\u2069", "منارة-dawn"),
        ("हिन्दी में चित्र", "हिन्दी-में-चित्र"),
        ("می\u200cخواهم", "میخواهم"),
        ("light\u00adhouse\ufeff", "lighthouse"),
        ("a 👨‍👩‍👧 family 🏳️‍🌈", "a-family"),
        ("1 fox", "1-fox"),
        ("fox\ud800hole", "fox-hole"),
        ("\u0301\u0301fox", "fox"),
        ("", "picture"),
        ("?!... 👍 \x00", "picture"),
    ],
)
def test_the_words_of_a_prompt_are_kept_in_any_script(prompt: str, expected: str) -> None:
    assert words(prompt) == expected


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("lighthouse " * 500, "-".join(["lighthouse"] * 6)),
        ("a" * 72 + " dawn", "a" * 72),
        ("a" * 40 + " " + "b" * 31 + " dawn", "a" * 40 + "-" + "b" * 31),
        ("a" * 4000, "a" * 72),
        ("a " + "b" * 4000, "a-" + "b" * 70),
        ("a" * 35 + " " + "b" * 4000, "a" * 35 + "-" + "b" * 36),
        ("a" * 40 + " " + "b" * 4000, "a" * 40),
        ("灯塔" * 500, "灯塔" * 12),
        ("🌊" * 4000, "picture"),
        ("a e" + "\u0302" * 4000, "a"),
    ],
)
def test_a_long_prompt_ends_between_words_where_that_keeps_half_of_the_name(prompt: str, expected: str) -> None:
    assert words(prompt) == expected


@pytest.mark.parametrize(
    ("task_id", "number", "end"),
    [
        (TASK, 1, "-uyujaw3d.png"),
        (TASK, 2, "-uyujaw3d-2.png"),
        (TASK, 1000, "-uyujaw3d-1000.png"),
        ("a-b-c-d", 1, "-abcd.png"),
        ("任务", 1, ".png"),
    ],
)
def test_a_task_is_told_by_its_last_letters_and_digits(task_id: str, number: int, end: str) -> None:
    assert name("fox", task_id, number) == f"2026-11-22-fox{end}"
