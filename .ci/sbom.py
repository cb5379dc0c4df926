"""Write what the package is made of at run time, as CycloneDX 1.6, from the lock that the README installs from.

    .venv/bin/python .ci/sbom.py > sbom.json

The licences are those that the installed packages name; one for another system is listed without.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^(?P<name>[\w.-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)(?P<rest>(?:.*\\\n)*.*)$", re.MULTILINE)


def licence_of(name: str) -> str | None:
    """Return the SPDX expression that an installed package names, or the words that it has in its place."""
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    named = metadata.get("License-Expression") or metadata.get("License")
    classified = [line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier", []) if "License ::" in line]
    words = classified[0].removesuffix(" License") if classified else None
    return named if named and named != "UNKNOWN" and "\n" not in named else words


def component(pin: re.Match[str]) -> dict[str, Any]:
    """Return one package of the lock, with the hashes of all of its files."""
    name, version = pin["name"], pin["version"]
    purl = f"pkg:pypi/{name}@{version}"
    hashes = [{"alg": "SHA-256", "content": digest} for digest in re.findall(r"sha256:([0-9a-f]{64})", pin["rest"])]
    found = {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl, "hashes": hashes}
    licence = licence_of(name)
    if licence is None:
        return found
    single = " " not in licence
    return {**found, "licenses": [{"license": {"id": licence}} if single else {"expression": licence}]}


def bill() -> dict[str, Any]:
    """Return the whole bill of materials."""
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]
    purl = f"pkg:pypi/{project['name']}@{project['version']}"
    own = {"type": "application", "bom-ref": purl, "name": project["name"], "version": project["version"], "purl": purl}
    components = [component(pin) for pin in PIN.finditer(ROOT.joinpath("requirements.lock").read_text("utf-8"))]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**own, "licenses": [{"license": {"id": project["license"]}}]}},
        "components": components,
        "dependencies": [{"ref": purl, "dependsOn": [one["bom-ref"] for one in components]}],
    }


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=2)
    sys.stdout.write("\n")
