"""The only reader of our variables: every setting, its variable, its default, and what it is for."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, MutableMapping
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from vidgo_mcp.models.fields import DEFAULT_WAIT, LONGEST_WAIT
from vidgo_mcp.models.sizes import QUALITIES, TIERS
from vidgo_mcp.models.urls import checked_base_url
from vidgo_mcp.pricing import PUBLISHED, PriceTable

PREFIX: Final = "VIDGO_"
UNEXPANDED: Final = re.compile(r"\$\{[^}]*\}|\$[A-Za-z_][A-Za-z0-9_]*|%[A-Za-z_][A-Za-z0-9_]*%")
BRACED: Final = re.compile(r"\$\{[^}]*\}")
OTHER_SEPARATOR: Final = re.compile(r"[,;|\s]\s*(?=/|~(?:[\\/]|\Z)|[A-Za-z]:[\\/])|;\Z|(?<=[^:]{2}):(?=[A-Za-z]:[\\/])")
"""What looks like the end of one folder and the beginning of the next, in what was taken for one."""
SECRETS: Final = ("api_key",)
TRACING: Final[Mapping[str, str]] = {
    "OTEL_PROPAGATORS": "opentelemetry_propagator",
    "OTEL_PYTHON_TRACER_PROVIDER": "opentelemetry_tracer_provider",
}
"""Variables that the MCP SDK meets through OpenTelemetry, with the kind of installed part that each one names."""
LONGEST_CALLBACK_URL: Final = 2048
DEAREST: Final = 1_000_000
NOT_FILLED_IN: Final = (
    "was passed on without being filled in: the client's configuration names a variable that it did not expand. "
    "Write the value itself there, or set the variable where the client starts."
)


class SettingsError(Exception):
    """A setting cannot be used; each sentence names its variable."""


def _checked_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("it has spaces or characters that no key has; copy it again")
    return key


def _checked_callback(url: str) -> str:
    # Kept as it was written: a slash at its end, or a query with a token, is part of it. The key never goes there.
    if len(url) > LONGEST_CALLBACK_URL:
        raise ValueError(f"it is longer than {LONGEST_CALLBACK_URL} characters")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("it is not a valid URL") from None
    if parts.scheme not in {"http", "https"} or not host or any(c.isspace() for c in url) or not url.isprintable():
        raise ValueError("it is not an http(s) URL")
    return url


def _checked_journal(place: str) -> str:
    if place.lower() == "memory":
        return "memory"
    if place.lower().startswith(("postgres:", "postgresql:")):
        raise ValueError("PostgreSQL is not supported yet; name a file, or memory")
    if "://" in place:
        raise ValueError("it is a URL; name a file, or memory")
    if not place.isprintable():
        raise ValueError("it has characters that no file name should have")
    if place.endswith(("/", "\\")):
        raise ValueError("it is a folder; name a file in it")
    _expanded(place)
    return place


def _checked_save_dir(folder: str) -> str:
    return "off" if folder.lower() == "off" else str(_absolute(folder))


def _price_table(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    example = json.dumps({quality: dict(PUBLISHED.credits[quality]) for quality in QUALITIES})
    wrong = f"it is not JSON with nine whole numbers from 1 to {DEAREST:,}, credits by quality and tier, like {example}"
    try:
        prices = json.loads(value)
        credits_of = {quality: {tier: prices[quality][tier] for tier in TIERS} for quality in QUALITIES}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError(wrong) from None
    numbers = [number for row in credits_of.values() for number in row.values()]
    unknown = {*prices} - {*QUALITIES} or {tier for row in prices.values() for tier in row} - {*TIERS}
    if unknown or any(type(number) is not int or not 0 < number <= DEAREST for number in numbers):
        raise ValueError(wrong)
    return PriceTable(credits_of, "operator")


def _folders(value: str) -> tuple[Path, ...]:
    folders = tuple(_absolute(part.strip()) for part in value.split(os.pathsep) if part.strip())
    for folder in folders:
        # Any of these may be a part of a name; not of one that does not exist, and that goes on like another path.
        if OTHER_SEPARATOR.search(str(folder)) and not folder.is_dir():
            raise ValueError(f'{folder} is no folder; on this system several are separated with "{os.pathsep}"')
    return folders


def _absolute(folder: str) -> Path:
    if not folder.isprintable():
        raise ValueError("it has characters that no folder name should have")
    path = _expanded(folder)
    if not path.is_absolute():
        # Clients start servers in a folder of their own choice, often the root of the disk.
        raise ValueError(f"{folder} is not a whole path; begin with / or ~ (on Windows with a drive)")
    return path


def _expanded(place: str) -> Path:
    try:
        return Path(place).expanduser()
    except RuntimeError:
        raise ValueError("its ~ stands for a home folder that is not known; write the whole path") from None


class Settings(BaseModel):
    """All settings, from environment variables with the prefix ``VIDGO_``."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    api_key: Annotated[SecretStr | None, AfterValidator(_checked_key)] = Field(
        default=None, description="Your Vidgo API key. Also read from the file that `VIDGO_API_KEY_FILE` names."
    )
    base_url: Annotated[str, AfterValidator(checked_base_url)] = Field(
        default="https://api.vidgo.ai", description="Where Vidgo's API is; https, or plain http on this machine."
    )
    sandbox: bool = Field(default=False, description="`1` runs against a sandbox inside the process: no key, no cost.")
    wait_seconds: int = Field(
        default=DEFAULT_WAIT,
        ge=0,
        le=LONGEST_WAIT,
        description="Seconds a call waits for its picture when the model does not say; many clients give up at 60.",
    )
    callback_url: Annotated[str | None, AfterValidator(_checked_callback)] = Field(
        default=None, description="A URL that Vidgo posts every result to."
    )
    prices: Annotated[PriceTable | None, BeforeValidator(_price_table)] = Field(
        default=None,
        description="Your own price table in place of the published one, as JSON: credits by quality (`low`, `medium`, "
        "`high`) and tier (`1K`, `2K`, `4K`), nine numbers.",
    )
    journal: Annotated[str | None, AfterValidator(_checked_journal)] = Field(
        default=None,
        description="The file that records what was paid for (SQLite), by default in your data folder; several "
        "clients may share it. `memory` ends with the process.",
    )
    journal_days: int = Field(
        default=90, ge=1, le=3650, description="How many days an ended task is kept in the journal."
    )
    budget_per_call: int | None = Field(
        default=None, ge=0, description="The most credits that one picture may cost; the model cannot raise it."
    )
    budget_per_day: int | None = Field(
        default=None, ge=0, description="The most credits that any 24 hours may cost, over all clients and restarts."
    )
    budget_mode: Literal["off", "warn", "enforce"] | None = Field(
        default=None,
        description="`enforce` (when a budget is set) refuses, `warn` only says so, `off` ignores the budgets.",
    )
    confirm_above: int | None = Field(
        default=None,
        ge=0,
        description="Ask you before a picture that costs more credits; refused where a client cannot ask.",
    )
    save_dir: Annotated[str | None, AfterValidator(_checked_save_dir)] = Field(
        default=None,
        description="The folder where finished pictures are saved, by default `vidgo` in your Pictures folder (not "
        "with a sandbox). `off` saves nothing. Over HTTP nothing is saved.",
    )
    save_metadata: bool = Field(
        default=True, description="`0` leaves prompt, model, size, tier and task id out of the saved files."
    )
    input_dirs: Annotated[tuple[Path, ...], BeforeValidator(_folders)] = Field(
        default=(),
        description="Folders that an edit may read your pictures from, separated by `:` (on Windows `;`), beside "
        "the folder where pictures are saved. Over HTTP no file is read.",
    )
    max_upload_mb: int = Field(
        default=20, ge=1, le=100, description="The most megabytes that one local or inline picture may have."
    )
    max_body_mb: int = Field(
        default=8,
        ge=1,
        le=100,
        description="Over HTTP, the most megabytes that one call may have, inline pictures included.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="WARNING", description="How much is logged to stderr: `DEBUG`, `INFO`, `WARNING` or `ERROR`."
    )

    @model_validator(mode="after")
    def _mode_needs_a_number(self) -> Self:
        if self.budget_mode in {"warn", "enforce"} and self.budget_per_call is None and self.budget_per_day is None:
            why = "but neither VIDGO_BUDGET_PER_CALL nor VIDGO_BUDGET_PER_DAY is set"
            raise ValueError(f"VIDGO_BUDGET_MODE cannot be used: it is {self.budget_mode}, {why}")
        return self

    @property
    def effective_budget_mode(self) -> Literal["off", "warn", "enforce"]:
        """The mode that applies: a budget without a mode is enforced."""
        if self.budget_mode is not None:
            return self.budget_mode
        return "off" if self.budget_per_call is None and self.budget_per_day is None else "enforce"

    @property
    def key(self) -> str | None:
        """The API key as text, for whoever sends or hashes it."""
        return None if self.api_key is None else self.api_key.get_secret_value()


def load(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Return the settings of an environment, by default the process's own; ``overrides`` win.

    Empty and unexpanded values count as unset: clients pass on what they could not fill in.

    Raises:
        SettingsError: a value cannot be used; all of them are named.
    """
    environ = os.environ if environment is None else environment
    given: dict[str, Any] = {}
    for name in Settings.model_fields:
        value = environ.get(f"{PREFIX}{name.upper()}", "").strip()
        if value and not UNEXPANDED.fullmatch(value):
            given[name] = value
    for name in SECRETS:
        path = environ.get(f"{PREFIX}{name.upper()}_FILE", "").strip()
        if name not in given and path and not UNEXPANDED.search(path):
            given[name] = _read_secret(f"{PREFIX}{name.upper()}_FILE", Path(path))
    if "log_level" in given:
        given["log_level"] = given["log_level"].upper()
    try:
        return Settings(**(given | overrides))
    except ValidationError as error:
        raise SettingsError("\n".join(_sentence(dict(item)) for item in error.errors(include_url=False))) from None


def missing_key_reason(environment: Mapping[str, str] | None = None) -> str:
    """Return why there is no key, for the call that needs it."""
    environ = os.environ if environment is None else environment
    variable, file = f"{PREFIX}API_KEY", f"{PREFIX}API_KEY_FILE"
    if UNEXPANDED.fullmatch(environ.get(variable, "").strip()):
        return f"{variable} {NOT_FILLED_IN}"
    if UNEXPANDED.search(environ.get(file, "")):
        return f"{file} {NOT_FILLED_IN}"
    return f"{variable} is set but empty." if variable in environ else f"{variable} is not set."


def ignored_variables(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return a sentence for each variable with our prefix that has no effect: unknown, or passed on unexpanded."""
    environ = os.environ if environment is None else environment
    known = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    known += [f"{PREFIX}{name.upper()}_FILE" for name in SECRETS]
    sentences = []
    for variable in sorted(name for name in environ if name.upper().startswith(PREFIX)):
        value = environ[variable].strip()
        if variable not in known:
            near = get_close_matches(variable.upper(), known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}."
            sentences.append(f"{variable} is not known and has no effect; {hint}")
        elif UNEXPANDED.fullmatch(value) or BRACED.search(value):
            sentences.append(f"{variable} {NOT_FILLED_IN}")
    return sentences


def drop_unknown_tracing(environment: MutableMapping[str, str] | None = None) -> list[str]:
    """Unset what names parts of OpenTelemetry that are not installed here, and return a sentence for each.

    The SDK cannot be imported with them, and whoever set them for all programs of a machine did not think of this one.
    """
    environ = os.environ if environment is None else environment
    dropped = []
    for variable, group in TRACING.items():
        if not environ.get(variable):
            continue
        names = {name.strip() for name in environ[variable].split(",")} - {"none"}
        if not names <= entry_points(group=group).names:
            del environ[variable]
            dropped.append(f"{variable} names what is not installed here, and has no effect.")
    return dropped


def _read_secret(variable: str, path: Path) -> str:
    try:
        text = path.expanduser().read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{variable} names a file that cannot be read ({type(error).__name__}).") from None
    if not text:
        raise SettingsError(f"{variable} names an empty file.")
    return text


def _sentence(item: Mapping[str, Any]) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    if not item["loc"]:  # it is about several variables, and names them
        return f"{message}."
    return f"{PREFIX}{str(item['loc'][0]).upper()} cannot be used: {message}."
