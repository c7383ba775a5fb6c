"""Compiles the core with mypyc while a wheel is built (`pip install .`); an editable installation runs the sources.

A build hook of hatchling. Its settings in pyproject.toml: `compiled`, the modules, or folders of modules, that are;
`interpreted`, those among them that stay as they are. The sources are part of the wheel as well: tracebacks show them.

DURAVIP_COMPILE=0 leaves the core interpreted, 1 lets the build fail when it cannot be compiled. Without either a
machine that lacks a C compiler gets an interpreted core, which does the same, more slowly.

Source: hatchling's "Custom build hook", mypyc's "Using mypyc".
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# One shared library of a C file for each module, in which calls between the files go straight: as fast as one large
# file, which takes the compiler more than twice as long. Measured in `tests.bench.simulator`, side by side: -O2 gains 2
# to 7 % over -O1, link-time optimization nothing, profile-guided optimization 2 to 3 %, for two builds in place of one.
FLAGS = "-O2 -g0 -fvisibility=hidden -fno-semantic-interposition"
SET_UP = """
import sys
from mypyc.build import mypycify
from setuptools import setup

work, *sources = sys.argv[1:]
setup(
    name="core",
    packages=[],
    py_modules=[],
    ext_modules=mypycify(
        [f"--cache-dir={work}/cache", *sources],
        opt_level="2", debug_level="0", multi_file=True, target_dir=f"{work}/c", group_name="duravip_core",
    ),
    script_args=["-q", "build_ext", f"--build-lib={work}/lib", f"--build-temp={work}/objects"],
)
"""


class CompileCore(BuildHookInterface[Any]):
    """See the file."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds what was compiled to the wheel, which is for this platform and Python then."""
        wanted = os.environ.get("DURAVIP_COMPILE", "")
        if version == "editable" or wanted == "0":
            return
        self._work = tempfile.TemporaryDirectory(prefix="duravip-core-")
        try:
            built = self._compile(Path(self._work.name))
        except subprocess.CalledProcessError as error:
            self._work.cleanup()
            if wanted:
                raise
            self.app.display_warning(f"The core stays interpreted, as it could not be compiled: {error}")
            return
        build_data["force_include"].update(built)
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The wheel is whole: what it was made of can go."""
        if hasattr(self, "_work"):
            self._work.cleanup()

    def _compile(self, work: Path) -> dict[str, str]:
        """Where each shared library is, and its place in the wheel."""
        root = Path(self.root)
        interpreted = {root / path for path in self.config["interpreted"]}
        sources = [
            str(source.relative_to(root))
            for place in self.config["compiled"]
            for source in (sorted((root / place).rglob("*.py")) or [root / place])
            if source not in interpreted and source.name not in {"__init__.py", "__main__.py"}
        ]
        flags = f"{os.environ.get('CFLAGS', '')} {FLAGS}".strip()
        subprocess.run(  # noqa: S603 (this very Python)
            [sys.executable, "-c", SET_UP, str(work), *sources],
            cwd=root,
            env={**os.environ, "CFLAGS": flags},
            check=True,
        )
        lib = work / "lib"
        return {str(built): str(built.relative_to(lib)) for built in lib.rglob("*.so")}
