"""What to do next: each remedy, said once to a model and once to a person."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from vidgo_mcp.errors import NO_FACTS, Facts, JournalReason, Remedy, VidgoError
from vidgo_mcp.pricing import PRICES

Reader = Literal["model", "person"]

SET_KEY: Final = "Set VIDGO_API_KEY to a valid Vidgo key"
IN_MEMORY: Final = "The journal is in memory and ends with each command"
PAYS_AGAIN: Final = f"{IN_MEMORY}: the same command again would pay again."
SETTLE: Final = (
    "Compare the balance (`vidgo-mcp doctor` shows it). The same command sends nothing for 24 hours; "
    "`vidgo-mcp journal` lists the entry, and `vidgo-mcp journal resolve` settles it."
)


@dataclass(frozen=True, slots=True)
class Case:
    """What a remedy is said about.

    Attributes:
        facts: what the error or result knows.
        task_id: the task that it is about.
        field: the argument that is at fault.
        retry_after: seconds to wait, when Vidgo named a number.
        options: what the command that fetches the picture is given beside the id, for a person.
        durable: whether the journal outlives the command, for a person.
    """

    facts: Facts = NO_FACTS
    task_id: str | None = None
    field: str | None = None
    retry_after: float | None = None
    options: str = ""
    durable: bool = True


Words = str | Callable[[Case], str]


@dataclass(frozen=True, slots=True)
class Said:
    """One remedy, as each reader is told it."""

    model: Words
    person: Words


def fetch_command(case: Case) -> str:
    """Return how a person fetches a picture that is paid for."""
    return f"Fetch it with: vidgo-mcp task {case.task_id}{case.options}" if case.task_id else ""


def _example(case: Case) -> str:
    facts = case.facts
    if facts.example is None:
        return "Correct the arguments and call again; nothing was spent."
    example = json.dumps(facts.example, ensure_ascii=False)
    if facts.price is None:
        return f"Nothing was spent. A call that works: {example}"
    if facts.limit is not None and facts.price > facts.limit:
        return (
            f"Nothing was spent. A valid call: {example} (costs {facts.price} credits a picture: "
            f"max_credits {facts.limit} refuses that, unless the picture is already paid for)"
        )
    return f"Nothing was spent. A call that works: {example} (costs {facts.price} credits a picture)"


def _repeat_later(case: Case) -> str:
    # A model has no clock; the number says what to expect of an earlier repeat.
    return f"Repeat this exact call {'later' if case.retry_after is None else f'in {case.retry_after:.0f} s'}."


def _make_again(case: Case) -> str:
    price = "" if case.facts.price is None else f": it costs {case.facts.price} credits again"
    return f"Make the picture again with generate_image or edit_image, if the user wants that{price}."


def _use_nearest(case: Case) -> str:
    if case.field == "image_urls":
        return f"If that picture was meant, use task:{case.facts.other_task}."
    return f"Call get_task with task_id {case.facts.other_task}."


def _use_other(case: Case) -> str:
    step = "Use another picture: an http(s) URL, or task:<task_id> of one that get_task lists with a URL or a copy."
    if case.facts.path is None:
        return step
    return f"If the user wants the file as it is now, name it by its path: {case.facts.path}. Else: {step}"


def _raise_max_credits(case: Case) -> str:
    price, least = case.facts.price or 0, PRICES["low"]["1K"]
    if case.facts.limit == 0:
        return f"To make it, call again with max_credits {price} or without max_credits."
    cheaper = f", or ask for a cheaper picture: quality low at 1K costs {least}" if price > least else ""
    return f"Raise max_credits to {price} if the user agrees{cheaper}."


def _raise_day_budget(case: Case) -> str:
    most = case.facts.affordable
    step = f"Ask for a picture of at most {most} credits" if most else "Wait until then"
    return f"{step}. Only the user can raise the limit: VIDGO_BUDGET_PER_DAY."


def _raise_call_budget(case: Case) -> str:
    return (
        f"Ask for a picture of at most {case.facts.limit} credits. Only the user can raise the limit: "
        "VIDGO_BUDGET_PER_CALL."
    )


def _typed_example(case: Case) -> str:
    if case.facts.example is None:
        return "Correct the command and run it again."
    price, example = case.facts.price, dict(case.facts.example)
    command = "generate" if "prompt" in example else "task" if price is None else "price"
    words = [command, *(_typed(example.pop(name)) for name in ("prompt", "task_id") if name in example)]
    for name, value in example.items():
        option = "image" if name == "image_urls" else name.replace("_", "-")
        words += [f"--{option} {_typed(one)}" for one in (value if isinstance(value, list | tuple) else [value])]
    return f"For example: vidgo-mcp {' '.join(words)}{'' if price is None else f' ({price} credits a picture)'}"


def _typed(value: object) -> str:
    return str(value) if re.fullmatch(r"[\w.:/-]+", str(value)) else json.dumps(str(value), ensure_ascii=False)


def _run_again_later(case: Case) -> str:
    when = "a little later" if case.retry_after is None else f"in {case.retry_after:.0f} s"
    return f"Run the command again {when}; `vidgo-mcp doctor` shows what can be reached."


def _generate_again(case: Case) -> str:
    price = "" if case.facts.price is None else f" {case.facts.price} credits"
    return f"The same `vidgo-mcp generate` makes it again, and costs{price} again."


def _type_nearest(case: Case) -> str:
    named = f"--image task:{case.facts.other_task}" if case.field == "image_urls" else case.facts.other_task
    return f"If that one was meant: {named}"


def _type_other(case: Case) -> str:
    step = "Use another picture: a file, an http(s) URL or task:ID."
    return step if case.facts.path is None else f"If the file as it is now was meant: {case.facts.path}. Else: {step}"


def _compare_balance(case: Case) -> str:
    return SETTLE if case.durable else f"Compare the balance first (`vidgo-mcp doctor` shows it). {PAYS_AGAIN}"


def _fix_journal(case: Case) -> str:
    return JOURNAL_REASONS[case.facts.reason or "unwritable"]


JOURNAL_REASONS: Final[Mapping[JournalReason, str]] = {
    "newer_version": "Update vidgo-mcp, or name another file in VIDGO_JOURNAL.",
    "other_program": "Name another file in VIDGO_JOURNAL.",
    "network_folder": "Name a file on a disk of this computer in VIDGO_JOURNAL.",
    "not_a_file": "Name a file in VIDGO_JOURNAL, not a folder.",
    "locked": "End the program that holds the journal, or try again.",
    "disk_full": "Free some space.",
    "damaged": "Keep the file, and name another one in VIDGO_JOURNAL: what only the old one knows can then be paid for "
    "again.",
    "unwritable": "Make it writable for you, or name another file in VIDGO_JOURNAL.",
}
"""What a person does about a journal, by the reason why it cannot be used."""
AGAIN: Final = "Run the command again"
REMEDIES: Final[Mapping[Remedy, Said]] = {
    "correct_arguments": Said(_example, _typed_example),
    "repeat": Said(
        "Repeat this exact call; what was already paid for is found again, not paid twice.",
        f"{AGAIN}; nothing is paid twice.",
    ),
    "repeat_later": Said(_repeat_later, _run_again_later),
    "repeat_with_time": Said(
        "Repeat this exact call: what was uploaded is not uploaded again.",
        f"{AGAIN}, with a larger --wait-seconds if need be; what was uploaded is not uploaded again.",
    ),
    "make_again": Said(_make_again, _generate_again),
    "show_picture": Said("Give the user its URL, or where it is saved, instead.", ""),
    "wait_for_task": Said("Call get_task with this task_id; it waits by itself. Do not submit again.", fetch_command),
    "wait_for_reference": Said(
        lambda case: (
            f"Call get_task with task_id {case.facts.other_task}; when it has finished, repeat this exact call."
        ),
        lambda case: f"Wait for it with: vidgo-mcp task {case.facts.other_task}; then run the command again.",
    ),
    "list_tasks": Said(
        "Call get_task without task_id to list the newest tasks.",
        "`vidgo-mcp task` lists the tasks that are known here.",
    ),
    "use_nearest_task": Said(_use_nearest, _type_nearest),
    "use_other_reference": Said(_use_other, _type_other),
    "use_url": Said("Tell the user; an http(s) URL of the picture needs no upload.", "An http(s) URL needs no upload."),
    "keep_task_id": Said("Keep this task_id and do not submit again; get_task reads it at Vidgo.", fetch_command),
    "tell_user": Said("Tell the user.", ""),
    "ask_user": Said("Ask the user in the chat; then repeat this exact call.", f"{AGAIN}, and answer y."),
    "respect_refusal": Said("Do not try again unless the user asks for it; offer a cheaper picture.", ""),
    "compare_balance": Said(
        "Do not reword the prompt and do not raise variation unless the user accepts that it may be paid for twice: "
        "repeating these arguments sends nothing for 24 hours. Compare get_balance, and tell the user.",
        _compare_balance,
    ),
    "contact_support": Said(
        "Tell the user the task_id, for Vidgo's support. Only if they accept to pay again: raise variation.",
        "Vidgo's support can say more about this task. A higher --variation pays again.",
    ),
    "read_log": Said(
        "Tell the user, and look into the log of the server on stderr.",
        f"{AGAIN} with VIDGO_LOG_LEVEL=DEBUG, and report what it says.",
    ),
    "set_key": Said(
        "Ask the user to set VIDGO_API_KEY to a valid Vidgo key and to restart this server.",
        f"{SET_KEY} (`vidgo-mcp doctor` checks it), or try --sandbox.",
    ),
    "add_credits": Said(
        "Tell the user that the Vidgo account needs more credits; get_balance says what is left, estimate_cost finds a "
        "cheaper picture.",
        "Top up the account, or find a cheaper picture with `vidgo-mcp price`.",
    ),
    "raise_max_credits": Said(_raise_max_credits, lambda case: f"Raise --max-credits to {case.facts.price}."),
    "raise_call_budget": Said(
        _raise_call_budget, "Raise VIDGO_BUDGET_PER_CALL, or find a cheaper picture with `vidgo-mcp price`."
    ),
    "raise_day_budget": Said(
        _raise_day_budget, "Raise VIDGO_BUDGET_PER_DAY, or find a cheaper picture with `vidgo-mcp price`."
    ),
    "raise_confirm_above": Said(
        "Tell the user the price. They allow it by raising VIDGO_CONFIRM_ABOVE in the server's settings; or ask for a "
        "cheaper picture.",
        "Run it at a terminal, where you are asked, or with --yes.",
    ),
    "raise_max_upload": Said(
        "Ask the user for a smaller picture, or to raise VIDGO_MAX_UPLOAD_MB and restart this server.",
        "Make it smaller, or raise VIDGO_MAX_UPLOAD_MB.",
    ),
    "add_input_dir": Said(
        "Ask the user to copy the picture into one of these folders, or to add its folder to VIDGO_INPUT_DIRS and "
        "restart this server.",
        "Add its folder to VIDGO_INPUT_DIRS.",
    ),
    "fix_journal": Said(
        "Tell the user: VIDGO_JOURNAL names another file, or memory for a journal that ends with this process. Prices "
        "and tasks by task_id still work.",
        _fix_journal,
    ),
}


def next_step(remedy: Remedy, reader: Reader, case: Case) -> str:
    """Return the sentence for a remedy; empty where nothing is to be done."""
    words = REMEDIES[remedy].model if reader == "model" else REMEDIES[remedy].person
    return words if isinstance(words, str) else words(case)


def case_of(error: VidgoError, *, options: str = "", durable: bool = True) -> Case:
    """Return what a remedy is said about, for an error; ``options`` and ``durable`` as in ``Case``."""
    return Case(error.facts, error.task_id, error.field, error.retry_after, options, durable)
