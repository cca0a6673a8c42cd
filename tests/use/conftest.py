"""Runs that several files of tests use; nobody changes them."""

from pathlib import Path

import pytest

from tests.use.trained_runs import pictures_run, texts_run


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on texts, beside the table that it was trained on."""
    return texts_run(tmp_path_factory.mktemp("texts"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on pictures, beside their folder."""
    return pictures_run(tmp_path_factory.mktemp("pictures"))
