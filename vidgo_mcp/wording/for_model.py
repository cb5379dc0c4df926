"""Results and errors as a model reads them: the whole text, and the sentences of the structure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from vidgo_mcp.errors import DeclinedError, Facts, InvalidRequestError, Money, VidgoError
from vidgo_mcp.foreign_text import LONGEST_URL, described_url, escape, plain_url, quoted
from vidgo_mcp.models.results import BalanceResult, ErrorResult, Estimate, TaskList, TaskResult, View, cut_prompt
from vidgo_mcp.models.tasks import DOCUMENTED_WORDS, is_word, status_word
from vidgo_mcp.wording.balance import balance_sentence
from vidgo_mcp.wording.remedies import Case, case_of, next_step

MONEY: Final[dict[Money, str]] = {
    "nothing_spent": "Nothing was spent.",
    "accepted": "A task exists: do not submit it again.",
    "unknown": "It is not known whether credits were spent.",
}


CHARGED_ONCE: Final = "Each with a task_id was charged once; what says refunded cost nothing in the end."
PROMPT_SHOWN: Final = 100
"""Characters of a prompt in an answer before it is cut."""
LISTED: Final = 40
LISTED_WHOLE: Final = 60
"""Characters of a longer prompt in an entry of a list, and up to how many one is shown whole."""


def error_result(error: VidgoError) -> ErrorResult:
    """Return an error as the tools send it."""
    return ErrorResult(
        category=error.category,
        message=f"{error.message} {balance_sentence(error.facts.finding, error.facts.price, 'model')}".rstrip(),
        retryable=error.retryable,
        money=error.money,
        remedy=error.remedy,
        task_id=error.task_id,
        field=error.field,
        consent=error.consent if isinstance(error, DeclinedError) else None,
        next_step=next_step(error.remedy, "model", case_of(error)),
    )


def error_text(error: VidgoError) -> str:
    """Return an error for a model that sees only text."""
    sent = error_result(error)
    several = isinstance(error, InvalidRequestError) and len(error.faults) > 1
    return lines(
        f"Error ({sent.category}):{chr(10) if several else ' '}{sent.message}",
        f"task_id: {sent.task_id}" if sent.task_id else "",
        MONEY[sent.money],
        f"Next: {sent.next_step}",
    )


def error_line(error: VidgoError) -> str:
    """Return an error in one line, where the protocol has room for no more."""
    return f"{error.message} {error_result(error).next_step}"


def task_answer(result: TaskResult) -> TaskResult:
    """Return a task as the tools send it: with the sentence for its remedy, and each fact once."""
    prompt = None if result.prompt is None else cut_prompt(result.prompt, PROMPT_SHOWN)
    shown = _with_plain_urls(vendor_marked(result))
    update = {**_said_elsewhere(shown), "prompt": prompt, "next_step": _next_step(shown)}
    return shown.model_copy(update=update)


def vendor_marked(result: TaskResult) -> TaskResult:
    """Return a task whose ``error`` says that it is Vidgo's: nothing in it may pass for an instruction of ours."""
    if not result.refunded or not result.error:
        return result
    return result.model_copy(update={"error": f"Vidgo says: {quoted(result.error)}"})


def _with_plain_urls(result: TaskResult) -> TaskResult:
    if result.sources:
        short = [one if len(one) <= LONGEST_URL else described_url(one) for one in result.sources]
        result = result.model_copy(update={"sources": short})
    odd = [url for url in result.image_urls or () if not plain_url(url)]
    if not odd:
        return result
    note = f"Its URL has {len(odd[0])} characters, or odd ones, and is not shown; the picture can still be fetched."
    update = {"image_urls": None, "hidden_url": described_url(odd[0]), "notes": [*(result.notes or ()), note]}
    return result.model_copy(update=update)


def list_answer(result: TaskList) -> TaskList:
    """Return a list of tasks as the tools send it: short entries, and one sentence for all of them."""
    tasks, steps = [_with_plain_urls(vendor_marked(task)) for task in result.tasks], []
    if not tasks:
        steps.append("There are no tasks yet; generate_image makes one.")
    elif any(task.outcome == "pending" and task.task_id for task in tasks):
        steps.append("Call get_task with the task_id of a pending one, again while it is pending.")
    elif any(task.outcome == "pending" for task in tasks):
        steps.append("One has no task_id yet: repeat the very call that makes it; it is not paid for twice.")
    elif any(task.image_urls or task.hidden_url or task.saved_paths for task in tasks):
        steps.append('None is pending. Show the user a URL or a copy, or edit one: image_urls ["task:<task_id>"].')
    lost = [task.finding for task in tasks if task.outcome == "unknown"]
    if lost:
        pending = next((one for one in lost if one is None or one.verdict == "pending"), lost[0])
        steps.append(f"For what is unknown: {next_step('compare_balance', 'model', Case(Facts(finding=pending)))}")
    steps = steps or ["None is pending, and none has a picture that can be fetched."]
    if result.more:
        steps.append("A larger limit shows older ones.")
    said = [*(result.notes or ()), *([CHARGED_ONCE] if any(task.task_id for task in tasks) else [])]
    short = [_listed(task) for task in tasks]
    return result.model_copy(update={"tasks": short, "notes": said or None, "next_step": " ".join(steps)})


def _listed(task: TaskResult) -> TaskResult:
    # A URL lives for about 24 hours from the time of its task; a look at one task has its pixels.
    prompt = task.prompt or ""
    shown = cut_prompt(prompt, LISTED_WHOLE if len(prompt) <= LISTED_WHOLE else LISTED)
    found = balance_sentence(task.finding, task.credits, "model")
    notes = [*(task.notes or ()), *([found] if found else [])]
    kept = {"created_at": task.created_at, "prompt": shown or None, "notes": notes or None}
    left_out = dict.fromkeys(("expires_at", "remedy", "width", "height"))
    return task.model_copy(update={**_said_elsewhere(task), **left_out, **kept})


def _said_elsewhere(result: TaskResult) -> dict[str, None]:
    """Return the fields that repeat what others of the same task say."""
    repeated = {"model"}
    if result.outcome != "pending":
        repeated |= {"status", "progress"}
    if result.remedy == "show_picture":
        repeated.add("remedy")
    if result.expires_at:
        repeated.add("created_at")
    if result.variation == 1:
        repeated.add("variation")
    if not result.reused:
        repeated.add("reused")
    return dict.fromkeys(repeated)


def _next_step(result: TaskResult) -> str | None:
    match result.remedy:
        case None:
            return None
        case "show_picture":
            return _show_picture(result)
        case "repeat":
            return "Repeat this exact call: it waits for this picture, and does not pay for it twice."
        case remedy:
            return next_step(remedy, "model", Case(Facts(price=result.price_again or result.credits), result.task_id))


def _show_picture(result: TaskResult) -> str:
    known = {"URL": result.image_urls, "path": result.saved_paths, "picture with view_image": result.hidden_url}
    another = (
        ""
        if result.next_variation is None
        else f" For another: variation {result.next_variation}, {result.price_again or result.credits} credits."
    )
    shown = " and ".join(words for words, there in known.items() if there)
    return f'Show the user the {shown}. To edit it: image_urls ["task:{result.task_id}"].{another}'


def task_text(result: TaskResult, *, brief: bool = False) -> str:
    """Return a task for a model that sees only text; ``brief`` for a list."""
    pixels = f"{result.width}x{result.height}" if result.width else ""
    shape = (result.size, result.tier, pixels if pixels != result.size else "", result.quality)
    facts = (
        f"task_id: {result.task_id}" if result.task_id else "",
        f"the URL usually dies at {result.expires_at}" if result.expires_at else "",
        f"saved as {', '.join(map(escape, result.saved_paths))}" if result.saved_paths else "",
        ", ".join(filter(None, shape)),
        f"variation {result.variation}" if result.variation else "",
        f"made from {', '.join(map(quoted, result.sources))}" if result.sources and brief else "",
        result.created_at or "" if brief else "",
    )
    return lines(
        _headline(result),
        *(result.image_urls or ()),
        "; ".join(filter(None, facts)),
        f"prompt: {quoted(result.prompt)}" if brief and result.prompt else "",
        *notes(result.notes),
        f"Next: {result.next_step}" if result.next_step and not brief else "",
    )


def list_text(result: TaskList) -> str:
    """Return the newest tasks for a model that sees only text."""
    blocks = [task_text(task, brief=True) for task in result.tasks]
    if blocks:
        many = "task" if len(blocks) == 1 else "tasks"
        blocks.insert(0, lines(f"{len(blocks)} {many}, newest first.", *notes(result.notes)))
    return "\n\n".join([*blocks, f"Next: {result.next_step}"])


def estimate_text(result: Estimate) -> str:
    """Return a price, for either reader."""
    many = f", {result.total_credits} credits for {result.count}" if result.count > 1 else ""
    each = f"{result.credits} credits a picture, made or edited"
    return lines(f"{each}{many}: {result.explanation}.", *notes(result.notes))


def balance_text(result: BalanceResult) -> str:
    """Return the credits of the account, for either reader."""
    within = " within the limits" if result.notes else ""
    return lines(
        f"{result.credits} credits are left. At 1K they buy{within} {result.pictures_low} pictures at low, "
        f"{result.pictures_medium} at medium or {result.pictures_high} at high.",
        *notes(result.notes),
    )


def view_text(result: TaskResult, view: View) -> str:
    """Return the line beside a picture that a model looks at. It describes nothing, so that the model must look."""
    shown = f"Task {result.task_id}: {view.width}x{view.height}, shown at {view.shown_width}x{view.shown_height}."
    return f"{shown} Judge only what you see; if you see no picture, tell the user that you cannot judge it."


def scaled_text(result: TaskResult, view: View) -> str:
    """Return what was done to a picture that did not fit, and where it is whole."""
    sizes = f"{view.width}x{view.height}", f"{view.shown_width}x{view.shown_height}"
    done = "Encoded anew" if sizes[0] == sizes[1] else f"Scaled from {sizes[0]} to {sizes[1]}"
    places = [*map(escape, result.saved_paths or ()), *map(described_url, result.image_urls or ())]
    return f"{done}; the original: {', '.join(places)}"


def summary(result: TaskResult) -> str:
    """Return a task in one short sentence, for a list of resources."""
    price = "refunded" if result.refunded else f"{result.credits} credits"
    return f"{result.outcome.capitalize()}, {price}: {result.size}, {result.tier}, {result.quality}."


def end_text(result: TaskResult, price: str) -> str:
    """Return how a task ended that is not pending, for either reader; its ``error`` is marked as Vidgo's."""
    if result.outcome == "failed":
        if not result.refunded:
            return f"Failed: {result.error or ''} {price}".rstrip()
        return f"Failed. {result.error or 'Vidgo gave no reason'}. The credits were refunded."
    if result.outcome == "unknown":
        return f"Unknown: what became of the submit is not known. It may have cost {result.credits} credits."
    died = not result.image_urls and not result.hidden_url
    return f"Finished{', but its URL has died' if died else ''}. {price}".rstrip()


def notes(found: Iterable[str] | None) -> list[str]:
    """Return notes as lines, for either reader."""
    return [f"Note: {note}" for note in found or ()]


def lines(*texts: str) -> str:
    """Return lines without the empty ones, for either reader."""
    return "\n".join(filter(None, texts))


def _headline(result: TaskResult) -> str:
    price = _price(result)
    if result.outcome != "pending":
        return end_text(result, price)
    if result.remedy == "repeat_with_time":
        return f"Pending (not sent: its references are not ready). It will cost {result.credits} credits."
    if not result.task_id:
        # Vidgo has not answered the submit, and may still refuse it.
        return f"Pending (no task_id yet). It costs {result.credits} credits if Vidgo accepts it."
    progress = f", {result.progress} %" if result.progress is not None else ""
    return f"Pending ({said_status(result)}{progress}). {price}"


def said_status(result: TaskResult) -> str:
    """Return Vidgo's word for a task, in quotation marks where it is not one that its documents name."""
    status = result.status or ""
    return quoted(status) if is_word(status) and status_word(status) not in DOCUMENTED_WORDS else status


def _price(result: TaskResult) -> str:
    if result.credits is None:
        return ""
    if result.credits_charged is None:
        return f"Its price: {result.credits} credits."
    if result.reused:
        return f"Already paid for ({result.credits} credits); this call cost nothing."
    return f"This call cost {result.credits_charged} credits."
