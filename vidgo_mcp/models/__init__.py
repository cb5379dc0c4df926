"""Types that every floor shares: fields, sizes, requests, tasks, results. Pure data."""

from vidgo_mcp.models.requests import (
    Arguments,
    BalanceArguments,
    EditArguments,
    EstimateArguments,
    GenerateArguments,
    GetTaskArguments,
    ImageRequest,
    Picture,
    ViewArguments,
)
from vidgo_mcp.models.sizes import Quality, Size, Tier, parse_size
from vidgo_mcp.models.tasks import Task, Upload

__all__ = [
    "Arguments",
    "BalanceArguments",
    "EditArguments",
    "EstimateArguments",
    "GenerateArguments",
    "GetTaskArguments",
    "ImageRequest",
    "Picture",
    "Quality",
    "Size",
    "Task",
    "Tier",
    "Upload",
    "ViewArguments",
    "parse_size",
]
