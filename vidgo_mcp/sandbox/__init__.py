"""Vidgo imitated on loopback, for trying and testing without a key, a network or a cost."""

from vidgo_mcp.sandbox.faults import FAULT_ENDPOINTS, FAULTS, every_fault, parse_fault
from vidgo_mcp.sandbox.record import Record
from vidgo_mcp.sandbox.routes import create_app
from vidgo_mcp.sandbox.simulated_tasks import Task
from vidgo_mcp.sandbox.socket_server import running
from vidgo_mcp.sandbox.state import SANDBOX_KEY, Account, LedgerEntry, Sandbox, VendorOptions
from vidgo_mcp.sandbox.storage import Brief

__all__ = [
    "FAULTS",
    "FAULT_ENDPOINTS",
    "SANDBOX_KEY",
    "Account",
    "Brief",
    "LedgerEntry",
    "Record",
    "Sandbox",
    "Task",
    "VendorOptions",
    "create_app",
    "every_fault",
    "parse_fault",
    "running",
]
