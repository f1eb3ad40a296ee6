# SPDX-License-Identifier: Apache-2.0
"""The programs that tests/tools/build leaves in its cache folder."""
import os
from pathlib import Path


class MissingTool(Exception):
    pass


def tools_dir():
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("GSQ_TOOLS_DIR") or Path(cache) / "gsq" / "tools")


def tool(name):
    path = tools_dir() / "bin" / name
    if not path.exists():
        raise MissingTool(f"{name} is not built: run tests/tools/build")
    return str(path)


def crds(module):
    return tools_dir() / "crd" / module
