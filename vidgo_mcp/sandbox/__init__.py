"""Vidgo imitated on loopback, for trying and testing without a key, a network or a cost."""

from vidgo_mcp.sandbox.app import create_app
from vidgo_mcp.sandbox.faults import ENDPOINTS, FAULT_ENDPOINTS, FAULTS, Fault, parse_fault
from vidgo_mcp.sandbox.ledger import LedgerEntry
from vidgo_mcp.sandbox.serving import running, serve
from vidgo_mcp.sandbox.state import SANDBOX_KEY, CallbackRecord, RequestRecord, Sandbox
from vidgo_mcp.sandbox.tasks import Task

__all__ = [
    "ENDPOINTS",
    "FAULTS",
    "FAULT_ENDPOINTS",
    "SANDBOX_KEY",
    "CallbackRecord",
    "Fault",
    "LedgerEntry",
    "RequestRecord",
    "Sandbox",
    "Task",
    "create_app",
    "parse_fault",
    "running",
    "serve",
]
