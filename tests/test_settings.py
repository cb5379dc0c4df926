"""Settings: each has its variable, a bad value is named by it, and the key is never shown."""

from __future__ import annotations

import json
import os
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidgo_mcp.pricing import PriceTable
from vidgo_mcp.settings import (
    LONGEST_CALLBACK_URL,
    PREFIX,
    Settings,
    SettingsError,
    drop_unknown_tracing,
    ignored_variables,
    load,
    missing_key_reason,
)

ABSOLUTE = str(Path(Path.cwd().anchor, "pictures"))
KEY = "vidgo-very-secret-key"
UNEXPANDED = ["${VIDGO_API_KEY}", "${env:VIDGO_API_KEY}", "${input:key}", "$VIDGO_API_KEY", "%VIDGO_API_KEY%"]


PRICES: dict[Any, Any] = {
    "low": {"1K": 5, "2K": 6, "4K": 7},
    "medium": {"1K": 8, "2K": 9, "4K": 10},
    "high": {"1K": 11, "2K": 12, "4K": 13},
}
BAD_PRICES = [
    "[]",
    "7",
    '"low"',
    "{",
    "{}",
    "[" * 100_000,
    *(
        json.dumps(PRICES | {"low": low})
        for low in (
            {"1K": 5, "2K": 6},
            {"1K": 5, "2K": 6, "4K": 7, "8K": 8},
            {"1K": 0, "2K": 6, "4K": 7},
            {"1K": -5, "2K": 6, "4K": 7},
            {"1K": 1_000_001, "2K": 6, "4K": 7},
            {"1K": 2.5, "2K": 6, "4K": 7},
            {"1K": True, "2K": 6, "4K": 7},
            {"1K": "5", "2K": 6, "4K": 7},
            {"1K": None, "2K": 6, "4K": 7},
            [5, 6, 7],
            None,
        )
    ),
    json.dumps(PRICES | {"ultra": {"1K": 5, "2K": 6, "4K": 7}}),
]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("base_url", "https://proxy.example.com/vidgo/", "https://proxy.example.com/vidgo"),
        ("base_url", "http://127.0.0.1:8787", "http://127.0.0.1:8787"),
        ("base_url", "http://[::1]:8787", "http://[::1]:8787"),
        ("sandbox", "1", True),
        ("sandbox", "false", False),
        ("wait_seconds", "0", 0),
        ("wait_seconds", " 600 ", 600),
        ("callback_url", "https://example.com/hook/", "https://example.com/hook/"),
        ("callback_url", "http://example.com/hook?token=a", "http://example.com/hook?token=a"),
        ("journal", "MEMORY", "memory"),
        ("journal", "/data/paid.db", "/data/paid.db"),
        ("journal", "~/paid.db", "~/paid.db"),
        ("journal_days", "7", 7),
        ("budget_per_call", "0", 0),
        ("budget_per_day", " 40 ", 40),
        ("confirm_above", "12", 12),
        ("save_dir", "off", "off"),
        ("save_dir", " OFF ", "off"),
        ("save_dir", ABSOLUTE, ABSOLUTE),
        ("save_metadata", "0", False),
        ("save_metadata", "true", True),
        ("input_dirs", ABSOLUTE, (Path(ABSOLUTE),)),
        ("input_dirs", f"{ABSOLUTE}{os.pathsep} {ABSOLUTE} b {os.pathsep}", (Path(ABSOLUTE), Path(f"{ABSOLUTE} b"))),
        ("input_dirs", f"{os.pathsep} {os.pathsep}", ()),
        ("max_upload_mb", "1", 1),
        ("max_upload_mb", "100", 100),
        ("prices", json.dumps(PRICES), PriceTable(PRICES, "operator")),
        ("log_level", "debug", "DEBUG"),
    ],
)
def test_a_setting_is_read_from_its_variable(name: str, text: str, value: Any) -> None:
    assert getattr(load({f"{PREFIX}{name.upper()}": text}), name) == value


def test_the_key_is_read_from_its_variable() -> None:
    assert load({"VIDGO_API_KEY": f" {KEY}\n"}).key == KEY


def test_every_setting_has_a_default_and_a_description() -> None:
    settings = load({})
    assert (settings.key, settings.base_url, settings.sandbox) == (None, "https://api.vidgo.ai", False)
    assert (settings.wait_seconds, settings.callback_url, settings.log_level) == (40, None, "WARNING")
    for name, field in Settings.model_fields.items():
        assert not field.is_required(), name
        assert field.description, name


@pytest.mark.parametrize("value", ["", "  ", *UNEXPANDED])
def test_an_empty_or_unexpanded_value_counts_as_unset(value: str) -> None:
    environment = {f"{PREFIX}{name.upper()}": value for name in Settings.model_fields}
    assert load(environment | {"VIDGO_API_KEY_FILE": value}) == load({})


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("VIDGO_BASE_URL", "http://example.com", "would send the key unencrypted"),
        ("VIDGO_BASE_URL", "http://127.0.0.1.example.com", "would send the key unencrypted"),
        ("VIDGO_BASE_URL", "ftp://127.0.0.1", "not an http(s) URL"),
        ("VIDGO_BASE_URL", "api.vidgo.ai", "not an http(s) URL"),
        ("VIDGO_BASE_URL", f"https://{KEY}@api.vidgo.ai", "no user name"),
        ("VIDGO_BASE_URL", f"https://api.vidgo.ai?key={KEY}", "no user name, query"),
        ("VIDGO_BASE_URL", "https://api.vidgo.ai:port", "not a valid URL"),
        ("VIDGO_API_KEY", f"{KEY} ", None),
        ("VIDGO_API_KEY", f"Bearer {KEY}", "copy it again"),
        ("VIDGO_API_KEY", f"{KEY}\N{BULLET}", "copy it again"),
        ("VIDGO_API_KEY", f"{KEY}\x00", "copy it again"),
        ("VIDGO_SANDBOX", "perhaps", "boolean"),
        *(("VIDGO_PRICES", value, "nine whole numbers from 1 to 1,000,000, credits") for value in BAD_PRICES),
        ("VIDGO_PRICES", "cheap", 'like {"low": {"1K": 2, "2K": 4, "4K": 8}, "medium": {"1K": 3,'),
        ("VIDGO_WAIT_SECONDS", "-1", "greater than or equal to 0"),
        ("VIDGO_WAIT_SECONDS", "601", "less than or equal to 600"),
        ("VIDGO_WAIT_SECONDS", "1.5", "integer"),
        ("VIDGO_CALLBACK_URL", "ftp://example.com/hook?token=a", "not an http(s) URL"),
        ("VIDGO_CALLBACK_URL", "https://", "not an http(s) URL"),
        ("VIDGO_CALLBACK_URL", "https://example.com/a b", "not an http(s) URL"),
        ("VIDGO_CALLBACK_URL", "https://example.com:port/", "not a valid URL"),
        ("VIDGO_CALLBACK_URL", f"https://example.com/{'a' * LONGEST_CALLBACK_URL}", "longer than 2048"),
        ("VIDGO_JOURNAL", "postgresql://host/db", "PostgreSQL is not supported yet; name a file, or memory"),
        ("VIDGO_JOURNAL", "sqlite:///paid.db", "it is a URL; name a file"),
        ("VIDGO_JOURNAL", "/data/", "it is a folder; name a file in it"),
        ("VIDGO_JOURNAL", "C:\\data\\", "it is a folder; name a file in it"),
        ("VIDGO_JOURNAL", "/data/a\x00b", "no file name should have"),
        ("VIDGO_JOURNAL", "~nobody-is-called-so/paid.db", "write the whole path"),
        ("VIDGO_JOURNAL_DAYS", "0", "greater than or equal to 1"),
        ("VIDGO_BUDGET_PER_CALL", "-1", "greater than or equal to 0"),
        ("VIDGO_BUDGET_PER_CALL", "2.5", "integer"),
        ("VIDGO_BUDGET_PER_DAY", "-10", "greater than or equal to 0"),
        ("VIDGO_BUDGET_PER_DAY", "ten", "integer"),
        ("VIDGO_BUDGET_MODE", "strict", "'enforce'"),
        ("VIDGO_BUDGET_MODE", "warn", "neither VIDGO_BUDGET_PER_CALL nor VIDGO_BUDGET_PER_DAY is set"),
        ("VIDGO_BUDGET_MODE", "enforce", "neither VIDGO_BUDGET_PER_CALL nor VIDGO_BUDGET_PER_DAY is set"),
        ("VIDGO_CONFIRM_ABOVE", "-1", "greater than or equal to 0"),
        ("VIDGO_CONFIRM_ABOVE", "expensive", "integer"),
        ("VIDGO_SAVE_DIR", "pictures", "pictures is not a whole path; begin with / or ~"),
        ("VIDGO_SAVE_DIR", "./off", "is not a whole path"),
        ("VIDGO_SAVE_DIR", f"{ABSOLUTE}\x07a", "no folder name should have"),
        ("VIDGO_SAVE_DIR", f"{ABSOLUTE}\u202egnp.", "no folder name should have"),
        ("VIDGO_SAVE_DIR", "~nobody-is-called-so/a", "write the whole path"),
        ("VIDGO_SAVE_METADATA", "perhaps", "boolean"),
        ("VIDGO_INPUT_DIRS", f"{ABSOLUTE}{os.pathsep}.", ". is not a whole path"),
        ("VIDGO_INPUT_DIRS", f"{ABSOLUTE}{os.pathsep}{ABSOLUTE}\x00", "no folder name should have"),
        ("VIDGO_INPUT_DIRS", "~nobody-is-called-so/a", "write the whole path"),
        *(
            ("VIDGO_INPUT_DIRS", value, f'several are separated with "{os.pathsep}"')
            for between in (",", ", ", " ", " | ", *(("; ", ";") if os.pathsep == ":" else ()))
            for value in (
                between.join([ABSOLUTE, ABSOLUTE]),
                between.join([f"{ABSOLUTE} a", f"{ABSOLUTE}/b", ABSOLUTE]) + os.pathsep,
                os.pathsep.join([ABSOLUTE, between.join(["~/a", "~"])]),
            )
        ),
        ("VIDGO_MAX_UPLOAD_MB", "0", "greater than or equal to 1"),
        ("VIDGO_MAX_UPLOAD_MB", "101", "less than or equal to 100"),
        ("VIDGO_MAX_UPLOAD_MB", "2.5", "integer"),
        ("VIDGO_MAX_BODY_MB", "0", "greater than or equal to 1"),
        ("VIDGO_LOG_LEVEL", "LOUD", "'WARNING'"),
    ],
)
def test_a_bad_value_is_named_by_its_variable_and_not_shown_when_it_may_be_secret(
    variable: str, value: str, says: str | None
) -> None:
    if says is None:
        assert load({variable: value}).key == KEY
        return
    with pytest.raises(SettingsError) as failure:
        load({variable: value})
    assert str(failure.value).startswith(f"{variable} cannot be used: ")
    assert says in str(failure.value)
    assert KEY not in "".join(traceback.format_exception(failure.value))


def test_a_tilde_means_the_home_folder_wherever_a_folder_is_named(tmp_path: Path) -> None:
    settings = load({"VIDGO_SAVE_DIR": "~/a", "VIDGO_INPUT_DIRS": os.pathsep.join(["~", "~/b"])})
    home = tmp_path / "home"
    assert (settings.save_dir, settings.input_dirs) == (str(home / "a"), (home, home / "b"))


def test_by_default_pictures_are_saved_with_their_facts_and_no_folder_is_read() -> None:
    settings = load({})
    assert (settings.save_dir, settings.save_metadata) == (None, True)
    assert (settings.input_dirs, settings.max_upload_mb) == ((), 20)


@given(st.lists(st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="/\\:;~"), min_size=1)))
def test_any_list_of_folders_is_read_back_in_its_order(names: list[str]) -> None:
    folders = tuple(Path(ABSOLUTE, name) for name in names)
    text = os.pathsep.join(map(str, folders))
    assert load({"VIDGO_INPUT_DIRS": text}).input_dirs == folders


def test_a_folder_that_is_there_may_have_any_separator_in_its_name(tmp_path: Path) -> None:
    folders = [tmp_path / f"a{between}" / "b" for between in (",", " ")]
    for folder in folders:
        folder.mkdir(parents=True)
    missing = [tmp_path / name for name in ("a, b", "a,b", "My Pictures", "a ~b")]
    text = os.pathsep.join(map(str, [*folders, *missing]))
    assert load({"VIDGO_INPUT_DIRS": text}).input_dirs == (*folders, *missing)


def test_all_bad_values_are_named_together() -> None:
    with pytest.raises(SettingsError) as failure:
        load({"VIDGO_WAIT_SECONDS": "soon", "VIDGO_LOG_LEVEL": "LOUD", "VIDGO_BASE_URL": "nowhere"})
    named = [line.split()[0] for line in str(failure.value).splitlines()]
    assert sorted(named) == ["VIDGO_BASE_URL", "VIDGO_LOG_LEVEL", "VIDGO_WAIT_SECONDS"]


@pytest.mark.parametrize(
    ("variables", "mode"),
    [
        ({}, "off"),
        ({"VIDGO_BUDGET_PER_DAY": "10"}, "enforce"),
        ({"VIDGO_BUDGET_PER_CALL": "0"}, "enforce"),
        ({"VIDGO_BUDGET_PER_CALL": "4", "VIDGO_BUDGET_MODE": "warn"}, "warn"),
        ({"VIDGO_BUDGET_PER_CALL": "4", "VIDGO_BUDGET_MODE": "off"}, "off"),
        ({"VIDGO_BUDGET_MODE": "off"}, "off"),
    ],
)
def test_a_budget_without_a_mode_is_enforced(variables: dict[str, str], mode: str) -> None:
    assert load(variables).effective_budget_mode == mode


def test_the_command_line_wins_over_the_environment() -> None:
    settings = load({"VIDGO_SANDBOX": "0", "VIDGO_WAIT_SECONDS": "5"}, sandbox=True)
    assert (settings.sandbox, settings.wait_seconds) == (True, 5)


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"\xef\xbb\xbf" + KEY.encode() + b"\r\n")
    assert load({"VIDGO_API_KEY_FILE": str(path)}).key == KEY
    assert load({"VIDGO_API_KEY_FILE": str(path), "VIDGO_API_KEY": "${KEY}"}).key == KEY
    assert load({"VIDGO_API_KEY_FILE": str(path), "VIDGO_API_KEY": "another"}).key == "another"


def test_a_secrets_file_that_cannot_be_used_is_named_by_its_variable(tmp_path: Path) -> None:
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe\x00")
    for path, says in (
        (empty, "empty file"),
        (binary, "cannot be read"),
        (tmp_path, "cannot be read"),
        (tmp_path / "none", "cannot be read"),
    ):
        with pytest.raises(SettingsError, match=f"^VIDGO_API_KEY_FILE names .*{says}"):
            load({"VIDGO_API_KEY_FILE": str(path)})


def test_the_key_is_never_shown() -> None:
    settings = load({"VIDGO_API_KEY": KEY})
    for shown in (repr(settings), str(settings), settings.model_dump_json(), repr(settings.model_dump())):
        assert KEY not in shown
    assert settings.key == KEY


def test_settings_do_not_change() -> None:
    settings = load({})
    with pytest.raises(ValueError, match="frozen"):
        settings.sandbox = True


def test_only_what_is_handed_in_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDGO_SANDBOX", "1")
    assert load({}).sandbox is False
    assert load().sandbox is True


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({}, "VIDGO_API_KEY is not set."),
        ({"VIDGO_API_KEY": " "}, "VIDGO_API_KEY is set but empty."),
        *(({"VIDGO_API_KEY": text}, "VIDGO_API_KEY was passed on without being filled in") for text in UNEXPANDED),
        ({"VIDGO_API_KEY_FILE": "${HOME}/key"}, "VIDGO_API_KEY_FILE was passed on without being filled in"),
    ],
)
def test_why_there_is_no_key_is_said_exactly(environment: dict[str, str], says: str) -> None:
    assert load(environment).key is None
    assert missing_key_reason(environment).startswith(says)


def test_variables_that_have_no_effect_are_named() -> None:
    known = {f"{PREFIX}{name.upper()}": "1" for name in Settings.model_fields}
    assert ignored_variables(known | {"VIDGO_API_KEY_FILE": "/key", "PATH": "${PATH}", "VIDGOT": "1"}) == []
    said = ignored_variables(
        {"VIDGO_BASEURL": "x", "vidgo_api_key": "x", "VIDGO_ZZZ": "x", "VIDGO_JOURNAL": "${DATA}/journal"}
    )
    assert [sentence.split()[0] for sentence in said] == [
        "VIDGO_BASEURL",
        "VIDGO_JOURNAL",
        "VIDGO_ZZZ",
        "vidgo_api_key",
    ]
    assert "did you mean VIDGO_BASE_URL?" in said[0]
    assert "did not expand" in said[1]
    assert "known are VIDGO_API_KEY, " in said[2]
    assert "did you mean VIDGO_API_KEY?" in said[3]


def test_parts_of_tracing_that_are_not_installed_are_unset_and_named() -> None:
    kept = {"OTEL_PROPAGATORS": "tracecontext, baggage", "OTEL_PYTHON_TRACER_PROVIDER": ""}
    assert (drop_unknown_tracing(environment := dict(kept)), environment) == ([], kept)
    environment = {"OTEL_PROPAGATORS": "tracecontext,no-such-part", "OTEL_PYTHON_TRACER_PROVIDER": "no_such_part"}
    sentences = drop_unknown_tracing(environment)
    assert [sentence.partition(" ")[0] for sentence in sentences] == ["OTEL_PROPAGATORS", "OTEL_PYTHON_TRACER_PROVIDER"]
    assert environment == {}
