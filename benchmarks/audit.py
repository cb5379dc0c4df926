"""What must agree after a run: the vendor's ledger, the journal, and the folder of finished pictures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from vidgo_mcp.journal import Entry
from vidgo_mcp.sandbox import Sandbox


def ledger_faults(entries: Sequence[Entry], sandbox: Sandbox) -> list[str]:
    """Return where the vendor and the journal disagree.

    Each charge belongs to one entry, at its price; only an entry whose outcome is unknown may account for a charge
    without a task. What failed was refunded, and nothing else was.
    """
    wrong: list[str] = []
    bound = defaultdict[str, list[Entry]](list)
    unknown = Counter[tuple[str, int]]()
    for entry in entries:
        if entry.task_id is not None:
            bound[entry.task_id].append(entry)
        elif entry.state == "unknown":
            unknown[entry.intent.prompt, entry.intent.credits] += 1
        else:
            wrong.append(f"an entry without a task is {entry.state}: {entry}")
    refunded = {movement.task_id for movement in sandbox.ledger if movement.kind == "refund"}
    for charge in sandbox.ledger:
        if charge.kind == "refund":
            continue
        found = bound[charge.task_id]
        if not found:
            key = (sandbox.tasks[charge.task_id].submission.prompt, charge.credits)
            unknown[key] -= 1
            if unknown[key] < 0:
                wrong.append(f"a charge without an entry: {charge}, {key}")
        elif len(found) > 1:
            wrong.append(f"a charge with {len(found)} entries: {found}")
        elif found[0].intent.credits != charge.credits:
            wrong.append(f"{charge.credits} credits were charged for {found[0]}")
    wrong += [
        f"never charged: {entry}"
        for entry in entries
        if entry.task_id is not None and entry.task_id not in sandbox.tasks
    ]
    for entry in entries:
        if (entry.state == "failed") != (entry.task_id in refunded):
            wrong.append(f"failed without a refund, or refunded without a failure: {entry}")
    return wrong


def repeats(entries: Sequence[Entry]) -> list[str]:
    """Return each pair of entries for one request of which the second should not be there.

    It may be there only when the first had failed, or its window was over.
    """
    wrong = []
    by_request = defaultdict[tuple[str, str], list[Entry]](list)
    for entry in sorted(entries, key=lambda one: one.created_at):
        by_request[entry.intent.owner, entry.intent.fingerprint].append(entry)
    for same in by_request.values():
        for index, later in enumerate(same):
            for earlier in same[:index]:
                failed = earlier.state == "failed" and (earlier.ended_at or 0) <= later.created_at
                over = earlier.dies_at is not None and earlier.dies_at <= later.created_at
                if not failed and not over:
                    wrong.append(f"two live entries of one request: {earlier} and {later}")
    return wrong


def folder_faults(entries: Sequence[Entry], folder: Path) -> list[str]:
    """Return what is wrong with copies: missing, half, doubled or somebody else's, and files that no entry names.

    Args:
        entries: of all journals that save there.
        folder: where they save; a missing one is empty.
    """
    kept = {entry.task_id: entry.saved_paths for entry in entries if entry.saved_paths}
    wrong = [f"{len(paths)} copies of {task_id}" for task_id, paths in kept.items() if len(paths) != 1]
    named = Counter(path for paths in kept.values() for path in paths)
    wrong += [f"{count} pictures are said to be in {path}" for path, count in named.items() if count > 1]
    for task_id, paths in kept.items():
        for path in map(Path, paths):
            fault = "it is elsewhere" if path.parent != folder else _copy_fault(path, task_id or "")
            wrong += [] if fault is None else [f"{path.name}: {fault}"]
    found = list(folder.iterdir()) if folder.is_dir() else []
    return wrong + [f"{path.name} is in the folder, and no entry names it" for path in found if str(path) not in named]


def _copy_fault(path: Path, task_id: str) -> str | None:
    try:
        with Image.open(path) as picture:
            picture.load()
            task = getattr(picture, "text", {}).get("Task")
    except OSError as error:
        return f"it cannot be read ({error})"
    if task != task_id:
        return f"it is the picture of {task}, not of {task_id}"
    return None if path.stat().st_nlink == 1 else "it has a second name"
