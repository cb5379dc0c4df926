"""A bad call is answered once, completely, in words that its caller can act on, with a call that works."""

from __future__ import annotations

import copy
import json
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vidgo_mcp.errors import InvalidRequestError
from vidgo_mcp.models import (
    Arguments,
    BalanceArguments,
    EditArguments,
    EstimateArguments,
    GenerateArguments,
    GetTaskArguments,
    Picture,
    ViewArguments,
    parse_size,
)
from vidgo_mcp.pricing import quote
from vidgo_mcp.service.arguments import read_arguments

REPEATABLE = settings(derandomize=True)
MODELS: tuple[type[Arguments], ...] = (
    GenerateArguments,
    EditArguments,
    GetTaskArguments,
    EstimateArguments,
    BalanceArguments,
    ViewArguments,
)
FOREIGN_WORDS = re.compile(
    r"[a-z](Error|Exception|Arguments)\b|[Pp]ydantic|Traceback|BaseModel|https://errors|type=|input_value|set_int_max"
)


def refused(model: type[Arguments], **arguments: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as caught:
        read_arguments(model, arguments)
    return caught.value


def generate_refused(**arguments: Any) -> InvalidRequestError:
    return refused(GenerateArguments, **({"prompt": "a fox"} | arguments))


def corrected(error: InvalidRequestError) -> dict[str, Any]:
    """Return the corrected call of a refusal."""
    assert error.facts.example is not None
    filled = json.dumps(error.facts.example).replace("<task_id>", "t1")
    return dict(json.loads(filled))


def assert_helpful(model: type[Arguments], error: InvalidRequestError) -> None:
    """Check everything that holds for any refusal of any call."""
    assert error.faults
    assert error.field == error.faults[0].field
    assert (error.money, error.retryable, error.category) == ("nothing_spent", False, "invalid_request")
    for fault in error.faults:
        assert fault.message in error.message
        assert fault.message.strip()
        assert "\n" not in fault.message
    assert not FOREIGN_WORDS.search(error.message), error.message
    invisible = {unicodedata.category(c) for c in error.message if c != "\n"} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert not invisible, ascii(error.message)
    example = json.dumps(corrected(error), ensure_ascii=False)
    (error.message + example + (error.field or "")).encode()
    assert len(error.message) < 1000 * len(error.faults)
    assert len(example) < 1000
    assert error.remedy == "correct_arguments"

    accepted = read_arguments(model, corrected(error))
    if not isinstance(accepted, Picture):
        assert (error.facts.price, error.facts.limit) == (None, None)
        return
    assert error.facts.price == quote(parse_size(accepted.size), accepted.resolution, accepted.quality).credits
    assert error.facts.limit == (accepted.max_credits if isinstance(accepted, GenerateArguments) else None)


def test_good_arguments_come_back_folded() -> None:
    read = read_arguments(GenerateArguments, {"prompt": " a fox ", "size": "16x9", "quality": "HIGH", "variation": "2"})

    assert read == GenerateArguments(prompt=" a fox ", size="16:9", quality="high", variation=2)


@pytest.mark.parametrize("nothing", [None, {}])
def test_a_call_without_arguments_is_a_call_with_none(nothing: dict[str, Any] | None) -> None:
    assert read_arguments(BalanceArguments, nothing) == BalanceArguments()
    assert read_arguments(GetTaskArguments, nothing) == GetTaskArguments()


def test_all_faults_of_one_call_are_reported_together() -> None:
    error = refused(
        EditArguments,
        prompt=5,
        size="1920x1080",
        quality="best",
        variation="many",
        max_credits=-1,
        wait_seconds=601,
        image_urls=["a.png", "ftp://example.com/a.png", "https://me:pw@example.com/a.png"],
        n=4,
        promt="a fox",
    )

    assert [fault.field for fault in error.faults] == [
        "quality",
        "prompt",
        "variation",
        "max_credits",
        "wait_seconds",
        "n",
        "promt",
        "size",
        "image_urls",
        "image_urls",
    ]
    assert error.message.count("\n") == len(error.faults) - 1
    assert_helpful(EditArguments, error)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "square"}, r"size: 'square' is not a size; size is auto, one of 1:1, .*"),
        ({"size": 1024}, r"size must be text, 1024 was given"),
        ({"size": ["1:1"]}, r'size must be text, \["1:1"\] was given'),
        ({"resolution": "8K"}, r'resolution "8K" is not offered; allowed: 1K, 2K or 4K'),
        ({"quality": "ultra"}, r'quality "ultra" is not offered; allowed: low, medium or high'),
        ({"quality": 1}, r"quality 1 is not offered; allowed: low, medium or high"),
        ({"variation": "two"}, r'variation "two" is not a whole number'),
        ({"variation": 2.5}, r"variation 2.5 is not a whole number"),
        ({"variation": True}, r"variation true is not a whole number"),
        ({"variation": 0}, r"variation 0 is too small; at least 1 is allowed"),
        ({"variation": 10**5000}, r"variation \(too long to show\) is too large; at most 1000000 is allowed"),
        ({"wait_seconds": 601}, r"wait_seconds 601 is too large; at most 600 is allowed"),
        ({"prompt": "x" * 4001}, r"prompt has 4,001 characters; at most 4,000 are allowed"),
        ({"prompt": ["a fox"]}, r'prompt must be text, \["a fox"\] was given'),
        ({"prompt": " "}, r"prompt: it is empty"),
        ({"prompt": "\ud83e"}, r"prompt: it has half of a surrogate pair; send whole characters"),
        ({"prompt": None}, r"prompt is required: What the image shows, .*"),
        ({"quality": "x" * 5000}, r'quality "x{40,60}\.\.\." is not offered; allowed: low, medium or high'),
        ({"quality": "a\u202e\nb"}, r'quality "a \\nb" is not offered; .*'),
    ],
)  # fmt: skip
def test_a_bad_value_is_named_with_its_field_and_what_is_allowed(arguments: dict[str, Any], message: str) -> None:
    error = generate_refused(**arguments)

    assert re.fullmatch(message, error.message), error.message
    assert [fault.field for fault in error.faults] == list(arguments)
    assert_helpful(GenerateArguments, error)


@pytest.mark.parametrize(
    ("references", "message"),
    [
        (["a.png", 1], r"image_urls\[1\] must be text, 1 was given"),
        (["a.png", " "], r"image_urls\[1\]: it is empty"),
        ([], r"image_urls is empty; at least one is needed"),
        (["a.png"] * 17, r"image_urls has 17 entries; at most 16 are allowed"),
        (",".join(["https://a.b/c.png"] * 17), r"image_urls has 17 entries; at most 16 are allowed"),
        ({"url": "a.png"}, r'image_urls must be a list of texts, \{"url": "a.png"\} was given'),
        ("ftp://h/a.png", r'image_urls\[0\] "ftp://h/a.png": ftp: addresses are not supported; use .*'),
        ("https://a.b/" + "c" * 8192, r'image_urls\[0\] "https://a.b/c+.*: a URL may have 8,192 characters, .* 8,204'),
        (["a.png", "task:"], r'image_urls\[1\] "task:": write task:<task_id>, with the task_id of an earlier result.*'),
        (None, r"image_urls is required: 1 to 16 pictures .*"),
    ],
)
def test_a_bad_reference_is_named_with_its_place_in_the_list(references: Any, message: str) -> None:
    error = refused(EditArguments, prompt="a fox", image_urls=references)

    assert re.fullmatch(message, error.message), error.message
    assert error.field == "image_urls"
    assert_helpful(EditArguments, error)


@pytest.mark.parametrize("task_id", ["a b", "task:", "..", pytest.param("x" * 201, id="201 characters")])
def test_a_bad_task_id_is_refused_with_where_to_find_a_good_one(task_id: str) -> None:
    error = refused(ViewArguments, task_id=task_id)

    assert error.field == "task_id"
    assert "task_id" in error.message
    assert_helpful(ViewArguments, error)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("qualty", "quality"),
        ("promt", "prompt"),
        ("Prompt", "prompt"),
        ("resolutions", "resolution"),
        ("max_credit", "max_credits"),
        ("wait", "wait_seconds"),
        ("timeout", "wait_seconds"),
        ("aspect_ratio", "size"),
        ("width", "size"),
        ("seed", "variation"),
        ("budget", "max_credits"),
    ],
)
def test_an_unknown_argument_is_refused_with_the_nearest_known_name(written: str, meant: str) -> None:
    error = generate_refused(**{written: "1"})

    assert f"{written} is no argument; did you mean {meant}?" in error.message
    assert error.field == written
    assert_helpful(GenerateArguments, error)


def test_an_unknown_argument_unlike_any_other_is_refused_with_the_known_names() -> None:
    error = generate_refused(zzz=1)

    assert "did you mean" not in error.message
    assert all(name in error.message for name in GenerateArguments.model_fields)


def test_references_given_to_generate_image_are_pointed_to_edit_image() -> None:
    error = generate_refused(images=["a.png"])

    assert "did you mean" not in error.message
    assert "call edit_image" in error.message
    assert "did you mean image_urls?" in refused(EditArguments, prompt="a fox", images=["a.png"]).message


def test_a_count_of_pictures_to_price_is_called_count() -> None:
    assert "did you mean count?" in refused(EstimateArguments, n=4).message


def test_a_password_in_a_reference_is_not_repeated() -> None:
    error = refused(EditArguments, prompt="a fox", image_urls=["https://me:hunter2@example.com/a.png"])

    assert "hunter2" not in f"{error.message} {error.facts}"


def test_a_tool_without_arguments_says_so() -> None:
    error = refused(BalanceArguments, currency="EUR")

    assert error.message == "currency is no argument; this tool takes no arguments"
    assert_helpful(BalanceArguments, error)


@pytest.mark.parametrize("model", [GenerateArguments, EditArguments])
@pytest.mark.parametrize("written", ["n", "N", "count", "num_images", "number_of_images", "num_outputs", "batch_size"])
def test_asking_for_several_pictures_is_answered_with_how_to_get_them(model: type[Arguments], written: str) -> None:
    error = refused(model, **({"prompt": "a fox", "image_urls": ["a.png"]} | {written: 4}))

    fault = next(fault for fault in error.faults if fault.field == written)
    assert "one call makes one picture" in fault.message
    assert "variation 1, 2, 3" in fault.message
    assert_helpful(model, error)


def test_the_name_of_an_unknown_argument_is_shown_harmless_and_short() -> None:
    error = generate_refused(**{"x\u202e\n" + "y" * 5000: 1})

    assert error.field is not None
    assert len(error.field) <= 60
    assert error.field.isprintable()
    assert_helpful(GenerateArguments, error)


def test_of_thousands_of_faults_the_first_are_named_and_the_others_counted() -> None:
    error = generate_refused(prompt="a fox", **{f"{number:x}": 1 for number in range(5000)})

    assert len(error.faults) == 21
    assert "and 4,980 more faults" in str(error)
    assert len(str(error)) < 5000
    assert_helpful(GenerateArguments, error)


def test_a_name_that_no_json_can_carry_is_refused_like_any_other_fault() -> None:
    assert_helpful(GenerateArguments, generate_refused(**{"\ud800": 1}))


def test_a_size_without_price_is_answered_with_both_ways_out_the_exact_one_first_with_its_crop() -> None:
    error = generate_refused(size="1920x1080")

    assert error.message == (
        "1920x1080: 1080 is not a multiple of 16. Instead: 1920x1088 with resolution 2K costs 4 credits (the user "
        "crops 8 rows for 1920x1080); 16:9 costs 2 credits."
    )
    assert corrected(error) == {"prompt": "a fox", "size": "1920x1088", "resolution": "2K"}
    assert error.facts.price == 4


@pytest.mark.parametrize(("asked", "nearest"), [("17:9", "16:9"), ("2:1", "16:9"), ("22:9", "21:9"), ("1:3", "9:16")])
def test_the_ready_made_call_has_the_nearest_ratio(asked: str, nearest: str) -> None:
    error = generate_refused(size=asked)

    assert f"the nearest is {nearest}" in error.message
    assert corrected(error) == {"prompt": "a fox", "size": nearest}


def test_the_corrected_call_keeps_what_was_right() -> None:
    error = generate_refused(size="16x9", resolution="4k", quality="best", variation=3, max_credits="8", wait_seconds=0)

    assert corrected(error) == {
        "prompt": "a fox",
        "size": "16x9",
        "resolution": "4k",
        "variation": 3,
        "max_credits": "8",
        "wait_seconds": 0,
    }
    assert_helpful(GenerateArguments, error)


def test_the_corrected_call_stays_within_max_credits_where_that_can_be() -> None:
    error = generate_refused(size="1920x1080", max_credits=2)

    assert corrected(error) == {"prompt": "a fox", "size": "16:9", "max_credits": 2}
    assert_helpful(GenerateArguments, error)


def test_a_corrected_call_above_max_credits_is_told_with_that_limit() -> None:
    error = generate_refused(size="1920x1080", quality="high", max_credits=3)

    assert (error.facts.limit, error.facts.price) == (3, 12)
    assert_helpful(GenerateArguments, error)


def test_long_values_are_not_echoed() -> None:
    error = refused(EditArguments, prompt="x" * 3000, image_urls="data:image/png;base64," + "A" * 100_000, n=1)

    assert len(str(error.facts.example)) < 200
    assert_helpful(EditArguments, error)


def test_a_price_fault_is_found_beside_other_faults_at_the_quality_that_was_asked() -> None:
    error = generate_refused(size="1024x1024", quality="high", variation=0)

    assert "1024x1024 with resolution 2K costs 24 credits; 1:1 costs 12 credits" in error.message
    assert [fault.field for fault in error.faults] == ["variation", "resolution"]


# Each of the foreign words has a c or an e, so none of them can be an echo of what was sent.
innocent = st.characters(exclude_characters="ce")
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from((10**30, -(10**30))),
    st.builds(pow, st.just(10), st.just(5000)),
    st.floats(),
    st.text(innocent, max_size=20),
    st.text(alphabet="\x00\x1b\n\u202e\ud800\"'\\{}[]", max_size=6),
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(innocent, max_size=5), inner, max_size=3),
    max_leaves=6,
)
PLAUSIBLE: dict[str, st.SearchStrategy[Any]] = {
    "prompt": st.sampled_from(("a fox", "null", "x" * 4000, "x" * 4001, " ", "é\n🦊", "", "<b>{}</b>")),
    "size": st.sampled_from(
        ("auto", "16x9", "7:5", "1024x1024", "1920x1080", "3840x2160", "0x0", "0x1024", "999999x1", "1k")
    )
    | st.builds("{}x{}".format, st.integers(0, 5000), st.integers(0, 5000)),
    "resolution": st.sampled_from(("1K", "2k", "4K", 2, "8K", "null")),
    "quality": st.sampled_from(("low", "HIGH", "medium", "best")),
    "variation": st.sampled_from((1, "2", 0, 10**6 + 1)),
    "max_credits": st.sampled_from((0, 2, "3", 8, 100, -1, 10**9, None)),
    "wait_seconds": st.sampled_from((0, "40", 600, 601)),
    "image_urls": st.sampled_from(
        (
            "a.png",
            '["a.png"]',
            "[",
            "[" * 3000,
            "data:image/png;base64," + "A" * 900,
            "ftp://h/x",
            "https://u:p@h/x",
            [],
        )
    )
    | st.lists(st.sampled_from(("task:t", "https://example.com/a.png", "C:\\a.png", "task:", "s3://b")), max_size=17),
    "task_id": st.sampled_from(("t-1", "task:t-1", "task:", "a b", "x" * 201)),
    "limit": st.sampled_from((1, "50", 51)),
    "count": st.sampled_from((1, 1000, 1001)),
    "max_edge": st.sampled_from((256, 768, 1025)),
}
unknown_names = st.sampled_from(
    ("n", "count", "num_images", "promt", "aspect_ratio", "width", "", "callback_url")
) | st.text(st.characters(codec="utf-8", exclude_characters="ce"), max_size=70)


@st.composite
def messy_arguments(draw: st.DrawFn, model: type[Arguments]) -> dict[str, Any]:
    """Return arguments of which some are right, some nearly so, and some are anything that JSON can say."""
    known = {name: PLAUSIBLE[name] | PLAUSIBLE[name] | anything for name in model.model_fields}
    arguments = draw(st.fixed_dictionaries({}, optional=known))
    return arguments | draw(st.dictionaries(unknown_names, anything, max_size=2))


@pytest.mark.parametrize("model", MODELS)
@settings(REPEATABLE, max_examples=200)
@given(data=st.data())
def test_any_call_is_read_or_refused_with_a_corrected_call_at_its_exact_price(
    model: type[Arguments], data: st.DataObject
) -> None:
    """Nothing but a refusal may escape, whatever a model sends."""
    raw = data.draw(messy_arguments(model))
    before = copy.deepcopy(raw)
    try:
        accepted = read_arguments(model, raw)
    except InvalidRequestError as error:
        assert_helpful(model, error)
    else:
        assert read_arguments(model, accepted.model_dump(exclude_none=True)) == accepted
        if isinstance(accepted, Picture):
            quote(parse_size(accepted.size), accepted.resolution, accepted.quality)
    assert raw == before, "what was sent is not changed"


@settings(REPEATABLE, max_examples=100)
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=4000).filter(lambda text: bool(text.strip())))
@example("null")
@example("  two\r\nlines\t")
def test_the_prompt_passes_the_gate_untouched(prompt: str) -> None:
    assert read_arguments(GenerateArguments, {"prompt": prompt}).prompt == prompt
    if len(prompt) <= 200:
        assert corrected(refused(GenerateArguments, prompt=prompt, n=2))["prompt"] == prompt
