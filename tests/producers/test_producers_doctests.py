"""The examples in docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import arc_eval_db.producers as package

MODULES = [
    package.__name__,
    *(name for _, name, _ in pkgutil.walk_packages(package.__path__, prefix=f"{package.__name__}.")),
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    failures, _ = doctest.testmod(importlib.import_module(name))
    assert failures == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name))]
    assert len([test for test in found if test.examples]) >= 4
