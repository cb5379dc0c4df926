"""Arguments are read the way a language model writes them, except the prompt, which is never touched."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from vidgo_mcp.models import (
    Arguments,
    BalanceArguments,
    EditArguments,
    EstimateArguments,
    GenerateArguments,
    GetTaskArguments,
    ImageRequest,
    Picture,
    ViewArguments,
    parse_size,
)
from vidgo_mcp.models.fields import PROMPT_LIMIT, Resolution
from vidgo_mcp.models.sizes import LONGEST_SIZE, RATIOS, fold_size

REPEATABLE = settings(derandomize=True)


def generate(**arguments: Any) -> GenerateArguments:
    return GenerateArguments.model_validate({"prompt": "a fox"} | arguments)


def edit(references: Any) -> list[str]:
    return EditArguments.model_validate({"prompt": "a fox", "image_urls": references}).image_urls


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("16:9", "16:9"),
        ("16x9", "16:9"),
        ("16X9", "16:9"),
        ("16/9", "16:9"),
        ("16×9", "16:9"),
        ("16*9", "16:9"),
        ("16 by 9", "16:9"),
        (" 16 : 9 ", "16:9"),
        ("016:09", "16:9"),
        ("1024×1536", "1024x1536"),
        ("1024X1536", "1024x1536"),
        ("1024*1536", "1024x1536"),
        ("1024 x 1536", "1024x1536"),
        ("1024 BY 1536", "1024x1536"),
        ("01024x01536", "1024x1536"),
        ("AUTO", "auto"),
        ("\tAuto\n", "auto"),
        ("1920x1080", "1920x1080"),
        ("999999x1", "999999x1"),
    ],
)
def test_a_size_is_folded_to_its_canonical_spelling(written: str, canonical: str) -> None:
    assert generate(size=written).size == canonical
    assert str(parse_size(written)) == canonical


@pytest.mark.parametrize("written", ["square", "16-9", "16:9:4", "1080p", "-16:9", "x", "1024x", "9999999x1", "0:0"])
def test_what_is_no_size_is_refused_with_everything_that_is_one(written: str) -> None:
    with pytest.raises(ValueError, match="is not a size") as refused:
        parse_size(written)

    assert all(offered in str(refused.value) for offered in ("auto", *RATIOS, "1536x1024"))


@pytest.mark.parametrize(
    ("written", "nearest"),
    [
        ("7:5", "4:3"),
        ("2:1", "16:9"),
        ("99:1", "21:9"),
        ("1:99", "9:16"),
        ("8x8", "1:1"),
        ("1:1.5", "2:3"),
        ("1.91:1", "16:9"),
    ],
)
def test_a_ratio_that_is_not_offered_leads_to_the_nearest_one(written: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"the nearest is {nearest}"):
        parse_size(written)


def test_megabytes_are_not_folded() -> None:
    long = "\u0130 " * LONGEST_SIZE

    assert fold_size(long) is long
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(Resolution).validate_python(long)
    assert refused.value.errors()[0]["input"] is long


@pytest.mark.parametrize("times", [1000, LONGEST_SIZE])
def test_a_long_text_in_place_of_a_size_is_shortened_in_the_refusal(times: int) -> None:
    with pytest.raises(ValueError, match="is not a size") as refused:
        parse_size("wide " * times)

    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    ("written", "tier"),
    [
        ("1K", "1K"),
        ("4k", "4K"),
        ("4 K", "4K"),
        (" 2k ", "2K"),
        ("2", "2K"),
        (4, "4K"),
        (1, "1K"),
        (None, None),
        ("", None),
        ("null", None),
    ],
)
def test_a_resolution_is_folded_to_its_tier(written: Any, tier: str | None) -> None:
    assert generate(resolution=written).resolution == tier


@pytest.mark.parametrize("written", ["8K", "K", 3, 0, True, 2.0, pytest.param(10**5000, id="huge"), ["2K"], {"2K": 1}])
def test_what_is_no_tier_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        generate(resolution=written)


@pytest.mark.parametrize("written", ["HIGH", "High", " high\n"])
def test_a_quality_is_folded_to_lower_case(written: str) -> None:
    assert generate(quality=written).quality == "high"


@pytest.mark.parametrize("written", ["2", " 2 ", "2.0", 2, 2.0])
def test_a_number_may_come_as_text(written: Any) -> None:
    folded = generate(variation=written, max_credits=written, wait_seconds=written)

    assert (folded.variation, folded.max_credits, folded.wait_seconds) == (2, 2, 2)
    assert GetTaskArguments.model_validate({"limit": written}).limit == 2
    assert EstimateArguments.model_validate({"count": written}).count == 2


@pytest.mark.parametrize("written", [True, False, "two", 2.5, "2.5", float("nan"), float("inf"), [2], {"n": 2}])
def test_what_is_no_whole_number_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        generate(variation=written)


@pytest.mark.parametrize(
    ("model", "name", "least", "most"),
    [
        (GenerateArguments, "variation", 1, 1_000_000),
        (GenerateArguments, "max_credits", 0, 1_000_000_000),
        (GenerateArguments, "wait_seconds", 0, 600),
        (GetTaskArguments, "wait_seconds", 0, 600),
        (GetTaskArguments, "limit", 1, 50),
        (EstimateArguments, "count", 1, 1000),
        (ViewArguments, "max_edge", 256, 1024),
    ],
)
def test_a_number_has_its_limits(model: type[Arguments], name: str, least: int, most: int) -> None:
    needed = {"prompt": "a fox", "task_id": "t"}
    base = {k: v for k, v in needed.items() if k in model.model_fields}

    for fine in (least, most):
        assert getattr(model.model_validate(base | {name: fine}), name) == fine
    for beyond in (least - 1, most + 1):
        with pytest.raises(ValidationError):
            model.model_validate(base | {name: beyond})


def test_what_is_left_out_takes_the_documented_defaults() -> None:
    """``wait_seconds`` has none here: how long a call waits by default is a setting of the server."""
    assert generate().model_dump() == {
        "prompt": "a fox",
        "size": "auto",
        "resolution": None,
        "quality": "low",
        "variation": 1,
        "max_credits": None,
        "wait_seconds": None,
    }
    assert GetTaskArguments().model_dump() == {"task_id": None, "wait_seconds": None, "limit": 10}
    assert EstimateArguments().model_dump() == {"size": "auto", "resolution": None, "quality": "low", "count": 1}
    assert ViewArguments(task_id="t").max_edge == 768


@pytest.mark.parametrize("nothing", [None, "", "null"])
@pytest.mark.parametrize(
    ("model", "required"),
    [
        (GenerateArguments, {"prompt": "a fox"}),
        (EditArguments, {"prompt": "a fox", "image_urls": ["a.png"]}),
        (GetTaskArguments, {}),
        (EstimateArguments, {}),
        (BalanceArguments, {}),
        (ViewArguments, {"task_id": "t"}),
    ],
)
def test_every_way_to_say_nothing_is_the_same_as_leaving_it_out(
    model: type[Arguments], required: dict[str, Any], nothing: Any
) -> None:
    silent = {name: nothing for name in model.model_fields if name not in required}

    assert model.model_validate(required | silent | {"unknown": nothing}) == model.model_validate(required)
    for name in required:
        if nothing == "null" and name == "prompt":
            continue
        with pytest.raises(ValidationError, match="Field required"):
            model.model_validate(required | {name: nothing})


def test_null_can_be_the_words_of_a_prompt() -> None:
    assert generate(prompt="null").prompt == "null"


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("a.png", ["a.png"]),
        (" a.png ", ["a.png"]),
        (["a.png", " b.png\n"], ["a.png", "b.png"]),
        ('["a.png", "task:t"]', ["a.png", "task:t"]),
        (' ["a.png"] ', ["a.png"]),
        ("[draft].png", ["[draft].png"]),
        pytest.param("[" * 100_000, ["[" * 100_000], id="unclosed brackets"),
        (["[1]"], ["[1]"]),
    ],
)
def test_one_text_is_a_list_of_one_and_json_text_of_a_list_is_the_list(written: Any, folded: list[str]) -> None:
    assert edit(written) == folded


@pytest.mark.parametrize("written", [[], "[]", "[1]", [1], [""], ["  "], [None], {"url": "a.png"}, 7, ["a.png"] * 17])
def test_what_is_no_list_of_1_to_16_texts_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        edit(written)


def test_sixteen_references_are_allowed() -> None:
    assert len(edit(["a.png"] * 16)) == 16


@pytest.mark.parametrize("written", ["t-1", " t-1 ", "task:t-1", "Task: t-1", "task:task: t-1", "\ttask:t-1"])
@pytest.mark.parametrize("model", [GetTaskArguments, ViewArguments])
def test_a_task_id_may_carry_the_prefix_of_a_reference(model: type[Any], written: str) -> None:
    assert model.model_validate({"task_id": written}).task_id == "t-1"


def test_only_a_leading_prefix_is_taken_from_a_task_id() -> None:
    assert ViewArguments(task_id="subtask:1").task_id == "subtask:1"
    assert ViewArguments(task_id="task-unified-1").task_id == "task-unified-1"


@pytest.mark.parametrize(
    "written",
    [
        "task:",
        "a b",
        "a\nb",
        "a\x00",
        "..",
        ".",
        "a\u200bb",
        "\ud800",
        pytest.param("x" * 201, id="201 characters"),
        7,
        ["t"],
    ],
)
def test_an_unusable_task_id_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        ViewArguments.model_validate({"task_id": written})


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(ValidationError):
        generate(n=2)


@pytest.mark.parametrize("raw", [["a fox"], "a fox", 7, None])
def test_arguments_are_an_object(raw: Any) -> None:
    with pytest.raises(ValidationError):
        GenerateArguments.model_validate(raw)


def test_arguments_cannot_be_changed_after_they_were_priced() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        generate().size = "1:1"


def test_a_request_with_references_is_an_edit() -> None:
    assert ImageRequest(prompt="a fox").model == "gpt-image-2"
    assert ImageRequest(prompt="a fox", image_urls=["https://example.com/a.png"]).model == "gpt-image-2-edit"


encodable = st.characters(codec="utf-8")
prompts = st.text(encodable, min_size=1, max_size=PROMPT_LIMIT).filter(lambda text: bool(text.strip()))


@settings(REPEATABLE, max_examples=200)
@given(prompts)
@example(" \t a fox \r\n\r\n ")
@example("null")
@example("[]")
@example('"a fox"')
@example("e\u0301 vs \u00e9, \u200d\ufeff\x00\x1b")
@example("🦊" * PROMPT_LIMIT)
def test_the_prompt_is_never_touched(prompt: str) -> None:
    assert generate(prompt=prompt).prompt == prompt
    assert ImageRequest(prompt=prompt).prompt == prompt


@pytest.mark.parametrize(
    "prompt",
    [
        " ",
        "\n\t",
        "\u3000",
        pytest.param("x" * 4001, id="4001 characters"),
        "\ud83e",
        5,
        True,
        ["a fox"],
        {"text": "a fox"},
    ],
)
def test_a_prompt_that_cannot_be_sent_is_refused(prompt: Any) -> None:
    with pytest.raises(ValidationError):
        generate(prompt=prompt)


sizes = st.one_of(
    st.text(max_size=12),
    st.text(alphabet="0123456789xX×*/: by", max_size=12),
    st.builds(
        "{}{}{}".format,
        st.integers(0, 5000),
        st.sampled_from(("x", " x ", "×", ":", "/", " by ")),
        st.integers(0, 5000),
    ),
)


@settings(REPEATABLE, max_examples=400)
@given(sizes)
def test_folding_a_size_twice_changes_nothing(text: str) -> None:
    folded = fold_size(text)

    assert fold_size(folded) == folded
    try:
        size = parse_size(text)
    except ValueError:
        return
    assert parse_size(str(size)) == size


@settings(REPEATABLE, max_examples=200)
@given(
    st.fixed_dictionaries(
        {"prompt": prompts},
        optional={
            "size": st.sampled_from(("16x9", " AUTO ", "1024 × 1536", "03/4", "auto")),
            "resolution": st.sampled_from(("4k", 2, "1", "2K", None, "null")),
            "quality": st.sampled_from(("HIGH", " low", "Medium", "")),
            "variation": st.sampled_from(("2", 3, 4.0, " 5 ")),
            "max_credits": st.sampled_from(("0", 1, None)),
            "wait_seconds": st.integers(0, 600).map(str),
            "image_urls": st.lists(
                st.text(encodable, min_size=1, max_size=9).filter(str.strip), min_size=1, max_size=16
            )
            | st.sampled_from(("a.png", '["a.png", "b.png"]', ' ["[a]"] ')),
        },
    ).map(lambda raw: {"image_urls": "a.png"} | raw)
)
def test_what_was_folded_once_is_not_changed_by_folding_it_again(raw: dict[str, Any]) -> None:
    once = EditArguments.model_validate(raw)

    assert EditArguments.model_validate(once.model_dump(exclude_none=True)) == once


@settings(REPEATABLE, max_examples=200)
@given(st.text(alphabet="task: TASK-1.\t", max_size=20))
def test_a_task_id_that_was_folded_once_is_not_changed_by_folding_it_again(text: str) -> None:
    try:
        once = GetTaskArguments.model_validate({"task_id": text})
    except ValidationError:
        return
    assert GetTaskArguments.model_validate(once.model_dump(exclude_none=True)) == once


def test_a_picture_is_what_decides_the_price() -> None:
    assert set(Picture.model_fields) == {"size", "resolution", "quality"}
