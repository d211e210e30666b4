"""What an installation holds."""

import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def test_types_reach_whoever_installs_it() -> None:
    """Without its marker in the wheel, a package counts as untyped for all who use it."""
    setup = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = [each.removesuffix("*") for each in setup["packages"]["find"]["include"]]
    assert "service" in packages
    for package in packages:
        assert (REPOSITORY / package / "py.typed").is_file()
        assert "py.typed" in setup["package-data"][package]
