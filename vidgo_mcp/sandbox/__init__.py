"""Vidgo imitated on loopback, for trying and testing without a key, a network or a cost."""

from vidgo_mcp.sandbox.accounts import LedgerEntry
from vidgo_mcp.sandbox.faults import ENDPOINTS, FAULT_ENDPOINTS, FAULTS, Fault, parse_fault
from vidgo_mcp.sandbox.routes import create_app
from vidgo_mcp.sandbox.simulated_tasks import Task
from vidgo_mcp.sandbox.socket_server import running, serve
from vidgo_mcp.sandbox.state import SANDBOX_KEY, CallbackRecord, RequestRecord, Sandbox

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
