"""The examples' own tests run in zoo's checkout, too, where none of the examples is installed: their sources are found.

Whoever copies an example does not need this file: there the package is installed, as `pip install .` leaves it.
`tests/packaging` runs the same tests against such an installation.
"""

from __future__ import annotations

import sys
from pathlib import Path

collect_ignore_glob = ["*/tests/test_conformance.py"]
"""These load components by name, and so need them installed."""

for project in sorted(Path(__file__).parent.glob("*/pyproject.toml")):
    sys.path.append(str(project.parent))
