"""What can be asked: the arguments of each tool, and the request for a picture that the client sends."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from vidgo_mcp.models import fields

ABSENT: Final = (None, "", "null")
TEXT_TO_IMAGE: Final = "gpt-image-2"
EDIT: Final = "gpt-image-2-edit"
ModelName = Literal["gpt-image-2", "gpt-image-2-edit"]


class Arguments(BaseModel):
    """Arguments of a call: unknown ones are refused; null, "" and "null" count as absent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_absent(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        # "null" may be meant as the words of a prompt; for every other argument it is a model's way to say nothing.
        return {k: v for k, v in raw.items() if v not in ABSENT or (k == "prompt" and v == "null")}


class Picture(Arguments):
    """What decides the price of one picture."""

    size: fields.SizeText = "auto"
    resolution: fields.Resolution | None = None
    quality: fields.QualityField = "low"


class GenerateArguments(Picture):
    """Arguments of ``generate_image``."""

    model: ClassVar[ModelName] = TEXT_TO_IMAGE

    prompt: fields.Prompt
    variation: fields.Variation = 1
    max_credits: fields.MaxCredits | None = None
    wait_seconds: fields.WaitSeconds | None = None


class EditArguments(GenerateArguments):
    """Arguments of ``edit_image``."""

    model: ClassVar[ModelName] = EDIT

    image_urls: fields.References


class GetTaskArguments(Arguments):
    """Arguments of ``get_task``."""

    task_id: fields.TaskId | None = None
    wait_seconds: fields.WaitSeconds | None = None
    limit: fields.Limit = 10


class EstimateArguments(Picture):
    """Arguments of ``estimate_cost``."""

    count: fields.Count = 1


class BalanceArguments(Arguments):
    """Arguments of ``get_balance``: none."""


class ViewArguments(Arguments):
    """Arguments of ``view_image``."""

    task_id: fields.TaskId
    max_edge: fields.MaxEdge = 768


class PictureDataArguments(Arguments):
    """Arguments of ``picture_data``."""

    task_id: fields.TaskId
    max_edge: fields.ShownEdge = 1024


class ImageRequest(Picture):
    """One picture as the client submits it: with ``image_urls`` it is an edit, and all of them are http(s) URLs."""

    prompt: fields.Prompt
    image_urls: fields.References | None = None

    @property
    def model(self) -> ModelName:
        return EDIT if self.image_urls else TEXT_TO_IMAGE
