"""What to do next: the sentence for each remedy, once for a model and once for a person."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from vidgo_mcp.errors import NO_FACTS, Facts, JournalReason, Remedy, VidgoError
from vidgo_mcp.foreign_text import escape, json_text
from vidgo_mcp.models.fields import DEFAULT_WAIT, LONGEST_WAIT
from vidgo_mcp.models.tasks import CUT
from vidgo_mcp.pricing import PUBLISHED

Reader = Literal["model", "person"]

CHEAPEST: Final = PUBLISHED.price("low", "1K")
CONFIRM_SETTING: Final = "A higher VIDGO_CONFIRM_ABOVE, which only they set in this server's settings,"
UNASKED: Final = (
    "If nobody was asked (some clients answer by themselves): tell the user the price, and that VIDGO_CONFIRM_ABOVE in "
    "this server's settings decides what needs a yes."
)
IN_MEMORY: Final = "The journal is in memory and ends with each command"
PAYS_AGAIN: Final = f"{IN_MEMORY}: the same command again would pay again."
SETTLE: Final = (
    "Compare the balance (`vidgo-mcp doctor` shows it). The same command sends nothing until 24 hours after "
    "that submit; `vidgo-mcp journal` lists the entry, and `vidgo-mcp journal resolve` settles it."
)


@dataclass(frozen=True, slots=True)
class Case:
    """What the sentence for a remedy depends on: what the error or result knows, and for a person their command.

    ``options`` and ``durable`` are those of ``for_person.Command``.
    """

    facts: Facts = NO_FACTS
    task_id: str | None = None
    field: str | None = None
    retry_after: float | None = None
    options: str = ""
    durable: bool = True


Words = str | Callable[[Case], str]
"""A sentence, with the facts of the case in braces; or what makes one."""


def fetch_command(case: Case) -> str:
    """Return how a person fetches a picture that is paid for."""
    return f"Fetch it with: vidgo-mcp task {case.task_id}{case.options}" if case.task_id else ""


def _example(case: Case) -> str:
    facts = case.facts
    if facts.example is None:
        return "Change what the message names, then call again."
    call = f"A call that works: {json_text(facts.example)}"
    if facts.price is None:
        return call
    dear = facts.limit is not None and facts.price > facts.limit
    but = f", which max_credits {facts.limit} refuses unless it is already paid for" if dear else ""
    return f"{call}; the picture costs {facts.price} credits{but}."


def _repeat_later(case: Case) -> str:
    if case.retry_after is None:
        return "Repeat this exact call once. If it fails again, tell the user, and repeat it when they ask."
    return f"Tell the user that Vidgo asks to wait {case.retry_after:.0f} s; repeat this exact call when they ask."


def _repeat_with_time(case: Case) -> str:
    # A model has no clock: the server waits.
    more = "a larger wait_seconds"
    if case.retry_after is not None and case.retry_after < LONGEST_WAIT:
        more = (
            f"wait_seconds {min(LONGEST_WAIT, math.ceil(case.retry_after) + DEFAULT_WAIT)}, so that it waits by itself"
        )
    return f"Repeat this call with {more}, and otherwise the same arguments: nothing is paid or uploaded twice."


def _pay_again(case: Case) -> str:
    higher = "a higher variation" if case.facts.variation is None else f"variation {case.facts.variation}"
    finding = case.facts.finding
    known = finding is not None and finding.verdict != "pending"
    told = (
        "Tell the user what the balance says; the picture cannot be fetched."
        if known
        else "Call get_balance, then get_task without task_id: a minute after the submit it says whether the balance "
        "fell. Then tell the user; the picture cannot be fetched."
    )
    named = _whole(case.facts.named_task)
    if named is not None:
        otherwise = told[0].lower() + told[1:]
        told = f"Call get_task with task_id {named}: when Vidgo knows it, that is the picture. Otherwise {otherwise}"
    same = "The same call sends nothing until 24 hours after that submit, and pays again from then on."
    return f"{told} {same} If the user agrees that it may be paid twice: {higher}."


def _whole(named_task: str | None) -> str | None:
    # Nobody can be asked about the beginning of an id.
    return None if named_task is None or named_task.endswith(CUT) else named_task


def _settle(case: Case) -> str:
    compare = SETTLE if case.durable else f"Compare the balance first (`vidgo-mcp doctor` shows it). {PAYS_AGAIN}"
    named = _whole(case.facts.named_task)
    return compare if named is None else f"`vidgo-mcp task {named}` asks Vidgo for the task that was named. {compare}"


def _price_again(case: Case) -> str:
    return "credits again" if case.facts.price is None else f"{case.facts.price} credits again"


def _use_nearest_task(case: Case) -> str:
    name = "task:" if case.field == "image_urls" else "task_id "
    return f"If that task was meant, repeat this call with {name}{case.facts.other_task}."


def _use_other_reference(case: Case) -> str:
    other = "use another picture: an http(s) URL, or task:<task_id> of one that get_task lists with a URL or a copy."
    if case.facts.path is None:
        return f"{other[0].upper()}{other[1:]}"
    return f"If the user wants the file as it is now, give its path: {escape(case.facts.path)}. Otherwise {other}"


def _raise_max_credits(case: Case) -> str:
    price = case.facts.price
    if case.facts.limit == 0:
        return f"To make it, call again with max_credits {price}, or without max_credits."
    cheapest = case.facts.cheapest or CHEAPEST
    cheaper = f"; or offer a cheaper one: quality low at 1K costs {cheapest}" if price and price > cheapest else ""
    return f"If the user agrees to the price, call again with max_credits {price}{cheaper}."


def _raise_budget(setting: str, most: int | None, facts: Facts) -> str:
    offers = most is not None and most >= (facts.cheapest or CHEAPEST)
    said = f"Offer the user a picture of at most {most} credits" if offers else "Tell the user"
    return f"{said}; only they can raise the limit, {setting} in the server's settings."


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
    return str(value) if re.fullmatch(r"[\w.:/-]+", str(value)) else json_text(str(value))


def _run_again_later(case: Case) -> str:
    when = "a little later" if case.retry_after is None else f"in {case.retry_after:.0f} s"
    return f"Run the command again {when}; `vidgo-mcp doctor` shows what can be reached."


def _type_nearest(case: Case) -> str:
    named = f"--image task:{case.facts.other_task}" if case.field == "image_urls" else case.facts.other_task
    return f"If that one was meant: {named}"


def _type_other(case: Case) -> str:
    step = "Use another picture: a file, an http(s) URL or task:ID."
    return (
        step
        if case.facts.path is None
        else f"If the file as it is now was meant: {escape(case.facts.path)}. Else: {step}"
    )


JOURNAL_REASONS: Final[Mapping[JournalReason, str]] = {
    "newer_version": "Update vidgo-mcp, or name another file in VIDGO_JOURNAL.",
    "other_program": "Name another file in VIDGO_JOURNAL.",
    "network_folder": "Name a file on a disk of this computer in VIDGO_JOURNAL.",
    "not_a_file": "Name a file in VIDGO_JOURNAL, not a folder.",
    "many_names": "Remove its other names, or mount its whole folder; or name another file in VIDGO_JOURNAL.",
    "locked": "End the program that holds the journal, or try again.",
    "disk_full": "Free some space.",
    "damaged": "Keep the file, and name another one in VIDGO_JOURNAL: what only the old one knows can then be paid for "
    "again.",
    "unwritable": "Make it writable for you, or name another file in VIDGO_JOURNAL.",
}
"""What a person does about a journal, by the reason why it cannot be used."""
AGAIN: Final = "Run the command again"
CHEAPER: Final = "or find a cheaper picture with `vidgo-mcp price`."
REMEDIES: Final[Mapping[Remedy, tuple[Words, Words]]] = {
    "correct_arguments": (_example, _typed_example),
    "repeat": (
        "Repeat this exact call: what is already paid for is found again, and not paid twice.",
        f"{AGAIN}; nothing is paid twice.",
    ),
    "repeat_later": (_repeat_later, _run_again_later),
    "repeat_with_time": (
        _repeat_with_time,
        f"{AGAIN}, with a larger --wait-seconds if need be; what was uploaded is not uploaded again.",
    ),
    "make_again": (
        lambda case: (
            f"The same generate_image or edit_image call makes the picture again and costs {_price_again(case)}: ask "
            "the user first."
        ),
        lambda case: f"The same `vidgo-mcp generate` makes it again, and costs {_price_again(case)}.",
    ),
    "show_picture": ("Give the user its URL, or the path of its saved copy.", ""),
    "wait_for_task": (
        "Call get_task with this task_id, again while it is pending. Do not submit again.",
        fetch_command,
    ),
    "wait_for_reference": (
        "Call get_task with task_id {facts.other_task}; when it has finished, repeat this exact call.",
        "Wait for it with: vidgo-mcp task {facts.other_task}; then run the command again.",
    ),
    "list_tasks": (
        "Call get_task without task_id: it lists the newest tasks.",
        "`vidgo-mcp task` lists the tasks that are known here.",
    ),
    "use_nearest_task": (_use_nearest_task, _type_nearest),
    "use_other_reference": (_use_other_reference, _type_other),
    "use_url": (
        "Ask the user for an http(s) URL of the picture: it needs no upload.",
        "An http(s) URL needs no upload.",
    ),
    "keep_task_id": ("Keep this task_id for get_task, which asks Vidgo itself. Do not submit again.", fetch_command),
    "tell_user": ("Tell the user the reason: the same call will not help before something has changed.", ""),
    "tell_refund": (
        "Tell the user the reason, and that it was refunded. If they wish, the same call makes it again, charged anew.",
        "",
    ),
    "ask_user": (
        f"Ask the user in the chat. If they agree, repeat this exact call and let them confirm it. {UNASKED}",
        f"{AGAIN}, and answer y.",
    ),
    "respect_refusal": (
        f"Do not call again unless the user asks for it; you may offer a cheaper picture. {UNASKED}",
        "",
    ),
    "reword_if_asked": (
        "Tell the user the reason. Reword the prompt only as the user says, once for each answer of theirs.",
        "Another prompt may be accepted.",
    ),
    "stop_trying": (
        "Stop: this is the second refusal of content within ten minutes. Tell the user, and make no further attempt at "
        "this subject.",
        "Another prompt may be accepted.",
    ),
    "compare_balance": (_pay_again, _settle),
    "contact_support": (
        "Give the user the task_id, for Vidgo's support. Another variation pays again: ask the user first.",
        "Vidgo's support can say more about this task. A higher --variation pays again.",
    ),
    "read_log": (
        "Tell the user that the server's log on stderr has the details.",
        f"{AGAIN} with VIDGO_LOG_LEVEL=DEBUG, and report what it says.",
    ),
    "set_key": (
        "Ask the user to set VIDGO_API_KEY to their Vidgo key in the MCP settings of their client, as env of this "
        "server, and to restart the client. Never ask for the key in the chat.",
        "Set VIDGO_API_KEY to a valid Vidgo key (`vidgo-mcp doctor` checks it), or try --sandbox.",
    ),
    "add_credits": (
        "Tell the user that the Vidgo account needs more credits: get_balance says how many are left, and "
        "estimate_cost prices a cheaper picture.",
        f"Top up the account, {CHEAPER}",
    ),
    "raise_max_credits": (_raise_max_credits, "Raise --max-credits to {facts.price}."),
    "raise_call_budget": (
        lambda case: _raise_budget("VIDGO_BUDGET_PER_CALL", case.facts.limit, case.facts),
        f"Raise VIDGO_BUDGET_PER_CALL, {CHEAPER}",
    ),
    "raise_day_budget": (
        lambda case: _raise_budget("VIDGO_BUDGET_PER_DAY", case.facts.affordable, case.facts),
        f"Raise VIDGO_BUDGET_PER_DAY, {CHEAPER}",
    ),
    "raise_confirm_above": (
        f"Tell the user the price. {CONFIRM_SETTING} allows it without a question; a cheaper picture needs none.",
        "Run it at a terminal, where you are asked, or with --yes.",
    ),
    "raise_max_upload": (
        "Ask the user for a smaller picture, or to raise VIDGO_MAX_UPLOAD_MB and restart this server.",
        "Make it smaller, or raise VIDGO_MAX_UPLOAD_MB.",
    ),
    "add_input_dir": (
        "Ask the user to add the picture's folder to VIDGO_INPUT_DIRS and restart this server, or to copy the picture "
        "into a folder that may be read.",
        "Add its folder to VIDGO_INPUT_DIRS.",
    ),
    "fix_journal": (
        "Tell the user: no picture can be made until the journal works; VIDGO_JOURNAL may name another file, or be "
        "memory. estimate_cost, and get_task with a task_id, still work.",
        lambda case: JOURNAL_REASONS[case.facts.reason or "unwritable"],
    ),
    "fix_network": (
        "Tell the user: that variable must be corrected or unset where this server is started, and the server "
        "restarted. estimate_cost still works.",
        "Correct or unset it; `vidgo-mcp doctor` shows which proxy and certificates are used.",
    ),
}


def next_step(remedy: Remedy, reader: Reader, case: Case) -> str:
    """Return the sentence for a remedy; empty where nothing is to be done."""
    for_model, for_person = REMEDIES[remedy]
    words = for_model if reader == "model" else for_person
    return words.format(facts=case.facts) if isinstance(words, str) else words(case)


def case_of(error: VidgoError, *, options: str = "", durable: bool = True) -> Case:
    """Return the case that an error is."""
    return Case(error.facts, error.task_id, error.field, error.retry_after, options, durable)
