"""Each remedy has words for both readers, no code reads them back, and what names a tool stays above the client."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import vidgo_mcp
from tests.test_errors import EVERY_ERROR
from vidgo_mcp.errors import BudgetError, Facts, Fault, InvalidRequestError, Remedy, VidgoError
from vidgo_mcp.journal import Exhausted
from vidgo_mcp.models.results import TaskList, TaskResult
from vidgo_mcp.service import Budget
from vidgo_mcp.wording import for_model, for_person
from vidgo_mcp.wording.remedies import REMEDIES, Case, Reader, case_of, next_step

PACKAGE = Path(vidgo_mcp.__file__).parent
TOOLS = ("generate_image", "edit_image", "get_task", "estimate_cost", "get_balance", "view_image")
KNOWN = Case(
    Facts(price=24, limit=10, affordable=6, other_task="task-2", path="/p/fox.png", example={"prompt": "a fox"}),
    task_id="task-1",
    field="image_urls",
    retry_after=7.4,
)
BARE = ("Tell the user.", "Do not try again.", "Repeat.")


def test_every_remedy_has_words_for_both_readers() -> None:
    assert REMEDIES.keys() == set(get_args(Remedy))


@pytest.mark.parametrize("remedy", get_args(Remedy))
def test_a_remedy_is_a_sentence_for_a_model_and_no_command_of_a_person(remedy: Remedy) -> None:
    said = next_step(remedy, "model", KNOWN)

    assert said[0].isupper()
    assert said.endswith(".")
    assert said not in BARE
    assert not re.search(r"None|vidgo-mcp |--\w", said)


@pytest.mark.parametrize("remedy", get_args(Remedy))
def test_a_person_is_never_told_to_call_a_tool(remedy: Remedy) -> None:
    said = next_step(remedy, "person", KNOWN)

    assert not re.search(rf"None|{'|'.join(TOOLS)}|the user\b", said)


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_an_error_that_knows_no_facts_still_says_what_to_do(error: type[VidgoError]) -> None:
    bare = error("It broke.")

    assert re.fullmatch(r"[A-Z](?:(?!None).)+\.", next_step(bare.remedy, "model", case_of(bare)))


@pytest.mark.parametrize(
    ("remedy", "facts", "said"),
    [
        ("correct_arguments", Facts(), "Change what the message names, then call again."),
        ("correct_arguments", Facts(example={"count": 2}), 'A call that works: {"count": 2}'),
        (
            "correct_arguments",
            Facts(example={"size": "1:1"}, price=2),
            'A call that works: {"size": "1:1"}; the picture costs 2 credits.',
        ),
        (
            "correct_arguments",
            Facts(example={"size": "1:1"}, price=4, limit=3),
            'A call that works: {"size": "1:1"}; the picture costs 4 credits, which max_credits 3 refuses unless it '
            "is already paid for.",
        ),
        (
            "make_again",
            Facts(price=12),
            "The same generate_image or edit_image call makes the picture again and costs 12 credits again: ask the "
            "user first.",
        ),
        (
            "make_again",
            Facts(),
            "The same generate_image or edit_image call makes the picture again and costs credits again: ask the "
            "user first.",
        ),
        (
            "raise_max_credits",
            Facts(price=2, limit=0),
            "To make it, call again with max_credits 2, or without max_credits.",
        ),
        (
            "raise_max_credits",
            Facts(price=24, limit=3),
            "If the user agrees to the price, call again with max_credits 24; or offer a cheaper one: quality low at "
            "1K costs 2.",
        ),
        (
            "raise_max_credits",
            Facts(price=2, limit=1),
            "If the user agrees to the price, call again with max_credits 2.",
        ),
        (
            "raise_call_budget",
            Facts(price=24, limit=10),
            "Offer the user a picture of at most 10 credits; only they can raise the limit, VIDGO_BUDGET_PER_CALL in "
            "the server's settings.",
        ),
        (
            "raise_day_budget",
            Facts(price=24, limit=10, affordable=1),
            "Tell the user; only they can raise the limit, VIDGO_BUDGET_PER_DAY in the server's settings.",
        ),
    ],
)
def test_what_is_known_stands_in_the_sentence(remedy: Remedy, facts: Facts, said: str) -> None:
    assert next_step(remedy, "model", Case(facts)) == said


def test_what_is_offered_is_what_the_day_has_left() -> None:
    full = Budget(per_day=10, mode="enforce").refusal(24, Exhausted(spent=7, frees_at=None))

    assert next_step(full.remedy, "model", case_of(full)).startswith("Offer the user a picture of at most 3 credits;")


def test_a_repeat_lets_the_server_wait_because_a_model_has_no_clock() -> None:
    assert "with wait_seconds 70, so that it waits" in next_step("repeat_with_time", "model", Case(retry_after=29.5))
    assert "with a larger wait_seconds" in next_step("repeat_with_time", "model", Case(retry_after=900.0))
    assert "once" in next_step("repeat_later", "model", Case())


def test_a_known_task_is_named_as_the_argument_takes_it() -> None:
    near = Facts(other_task="task-2")

    assert next_step("use_nearest_task", "model", Case(near, field="image_urls")).endswith("with task:task-2.")
    assert next_step("use_nearest_task", "model", Case(near, field="task_id")).endswith("with task_id task-2.")


@pytest.mark.parametrize("reader", ["model", "person"])
def test_nobody_is_told_to_ask_for_the_beginning_of_an_id(reader: Reader) -> None:
    assert "task-7" in next_step("compare_balance", reader, Case(Facts(named_task="task-7")))
    assert "task-7" not in next_step("compare_balance", reader, Case(Facts(named_task="task-7...")))


def test_the_changed_copy_of_a_reference_is_offered_by_its_path() -> None:
    assert next_step("use_other_reference", "model", KNOWN).startswith(
        "If the user wants the file as it is now, give its path: /p/fox.png. Otherwise use another picture: "
    )
    assert next_step("use_other_reference", "model", Case()).startswith("Use another picture: ")


FOX = TaskResult(outcome="finished", task_id="task-1", credits=2, remedy="show_picture")


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (
            FOX.model_copy(update={"image_urls": ["https://a"]}),
            'Show the user the URL. To edit it: image_urls ["task:task-1"].',
        ),
        (
            FOX.model_copy(update={"image_urls": ["https://a"], "saved_paths": ["/a"], "next_variation": 3}),
            'Show the user the URL and path. To edit it: image_urls ["task:task-1"]. For '
            "another: variation 3, 2 credits.",
        ),
        (
            FOX.model_copy(update={"saved_paths": ["/a"]}),
            'Show the user the path. To edit it: image_urls ["task:task-1"].',
        ),
        (
            TaskResult(outcome="failed", task_id="task-1", refunded=True, remedy="tell_refund"),
            "Tell the user the reason, and that it was refunded. If they wish, the same call makes it again, charged "
            "anew.",
        ),
        (
            TaskResult(outcome="pending", remedy="repeat"),
            "Repeat this exact call: it waits for this picture, and does not pay for it twice.",
        ),
        (
            FOX.model_copy(update={"remedy": "make_again"}),
            next_step("make_again", "model", Case(Facts(price=2))),
        ),
    ],
    ids=["URL", "URL and copy", "copy", "failed", "pending", "expired"],
)
def test_a_result_says_what_to_do_with_it(result: TaskResult, said: str) -> None:
    assert for_model.task_answer(result).next_step == said


PENDING = TaskResult(outcome="pending", task_id="task-1", remedy="wait_for_task")
UNKNOWN = TaskResult(outcome="unknown", remedy="compare_balance")


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ([], "There are no tasks yet"),
        ([PENDING, UNKNOWN], "Call get_task with the task_id of a pending one"),
        ([TaskResult(outcome="pending", remedy="repeat")], "One has no task_id yet: repeat the very call"),
        ([FOX.model_copy(update={"image_urls": ["https://a"]})], "None is pending. Show the user a URL"),
        ([UNKNOWN], "For what is unknown: Call get_balance, then get_task"),
        ([TaskResult(outcome="failed", refunded=True)], "None is pending, and none has a picture"),
    ],
    ids=["none", "pending", "no id", "finished", "unknown", "failed"],
)
def test_a_list_says_once_what_to_do_for_all_of_it(tasks: list[TaskResult], said: str) -> None:
    listed = for_model.list_answer(TaskList(tasks=tasks))

    assert (listed.next_step or "").startswith(said)
    assert ("For what is unknown" in (listed.next_step or "")) == (UNKNOWN in tasks)
    assert [task.remedy for task in listed.tasks] == [None] * len(tasks)


def test_a_list_says_of_no_picture_that_it_was_charged_or_refunded_unless_it_was() -> None:
    unsent, in_vain = TaskResult(outcome="pending", remedy="repeat"), TaskResult(outcome="failed", task_id="task-2")
    assert for_model.list_answer(TaskList(tasks=[unsent])).notes is None
    notes = for_model.list_answer(TaskList(tasks=[unsent, in_vain])).notes
    assert notes == ["Each with a task_id was charged once; what says refunded cost nothing in the end."]


@pytest.mark.parametrize("reader", get_args(Reader))
def test_an_unknown_outcome_in_a_list_does_not_promise_24_hours_from_now(reader: Reader) -> None:
    """It may be older: then the same request is sent, and costs."""
    case = Case(durable=True)
    (remedy,) = {one for one in get_args(Remedy) if "24 hours" in next_step(one, reader, case)}
    assert "until 24 hours after that submit" in next_step(remedy, reader, case)


@pytest.mark.parametrize(
    ("result", "first"),
    [
        (FOX.model_copy(update={"image_urls": ["https://a"]}), "Finished. 2 credits."),
        (FOX.model_copy(update={"saved_paths": ["/a"]}), "Finished, but its URL has died. 2 credits."),
        (
            FOX.model_copy(update={"image_urls": ["https://a"], "reused": True}),
            "Finished. Already paid for; this cost nothing.",
        ),
        (
            TaskResult(outcome="failed", error="No", refunded=True),
            'Failed. Vidgo says: "No". The credits were refunded.',
        ),
        (TaskResult(outcome="failed", refunded=True), "Failed. Vidgo gave no reason. The credits were refunded."),
        (TaskResult(outcome="failed", error="No.", credits=2), "Failed: No. 2 credits."),
        (
            UNKNOWN.model_copy(update={"credits": 2}),
            "Unknown: what became of the submit is not known. It may have cost 2 credits.",
        ),
        (PENDING.model_copy(update={"status": "running"}), "Pending (running): it goes on, and is paid for."),
        (
            TaskResult(outcome="pending", remedy="repeat_with_time"),
            "Not sent: its references are not ready yet. Nothing was spent.",
        ),
    ],
    ids=["URL", "copy", "reused", "refunded", "no reason", "paid in vain", "unknown", "pending", "unready"],
)
def test_a_person_reads_first_how_it_ended_and_what_it_cost(result: TaskResult, first: str) -> None:
    assert for_person.task_text(result, for_person.Command()).splitlines()[0] == first


def test_an_error_is_read_as_category_message_money_and_step() -> None:
    error = BudgetError("Too dear.", task_id="task-1", remedy="raise_call_budget", facts=Facts(limit=10))

    assert for_model.error_text(error).splitlines() == [
        "Error (budget): Too dear.",
        "task_id: task-1",
        "Nothing was spent.",
        f"Next: {next_step('raise_call_budget', 'model', case_of(error))}",
    ]


def test_several_faults_stand_on_lines_of_their_own() -> None:
    error = InvalidRequestError.from_faults([Fault("size", "size is odd"), Fault("quality", "quality is odd")])

    assert for_model.error_text(error).startswith("Error (invalid_request):\n- size is odd\n- quality is odd\n")


SENTENCES = {"message", "next_step", "explanation", "notes"}
READERS = {
    "startswith",
    "endswith",
    "partition",
    "rpartition",
    "replace",
    "split",
    "find",
    "removeprefix",
    "removesuffix",
}


def parsed(folder: str = "") -> Iterator[tuple[str, ast.Module]]:
    """Yield each module below a folder of the package by its path."""
    for path in sorted((PACKAGE / folder).rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def is_our_sentence(node: ast.expr) -> bool:
    """Return whether it is ``x.message``, ``x.notes`` and the like, or ``str(error)``."""
    if isinstance(node, ast.Subscript):
        return is_our_sentence(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr in SENTENCES
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "str"
        and any(isinstance(given, ast.Name) and given.id in {"error", "failure"} for given in node.args)
    )


def words_of_others(module: ast.Module) -> set[ast.AST]:
    """Return what stands in handlers of another library's errors, such as ``except sqlite3.OperationalError``."""
    handlers = [node for node in ast.walk(module) if isinstance(node, ast.ExceptHandler)]
    return {node for handler in handlers if isinstance(handler.type, ast.Attribute) for node in ast.walk(handler)}


def reads_a_sentence(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare):
        searched = [
            right for op, right in zip(node.ops, node.comparators, strict=True) if isinstance(op, ast.In | ast.NotIn)
        ]
        return any(is_our_sentence(right) for right in searched)
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in READERS
        and is_our_sentence(node.func.value)
    )


@pytest.mark.parametrize(
    "code",
    [
        '"key" in error.message',
        '"key" not in result.notes',
        'error.message.startswith("No")',
        'str(error).partition(":")',
        'result.notes[0].replace("a", "b")',
        'found.explanation.split(":")[0]',
    ],
)
def test_reading_one_of_our_sentences_is_recognised(code: str) -> None:
    assert any(reads_a_sentence(node) for node in ast.walk(ast.parse(code)))


def test_no_code_reads_one_of_our_sentences() -> None:
    reading = [
        f"{path}:{node.lineno}"
        for path, module in parsed()
        for node in ast.walk(module)
        if isinstance(node, ast.expr) and reads_a_sentence(node) and node not in words_of_others(module)
    ]

    assert reading == []


def test_what_the_client_says_names_no_tool() -> None:
    """Whoever uses only the client has no tools."""
    naming = [
        f"{path}:{node.lineno}"
        for path, module in (*parsed("client"), *((path, module) for path, module in parsed() if path == "errors.py"))
        for node in ast.walk(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search("|".join(TOOLS), node.value)
    ]

    assert naming == []
