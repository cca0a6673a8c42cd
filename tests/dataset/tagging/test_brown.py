"""The Brown corpus: how its texts are read, and (marker network) the real one."""

from pathlib import Path

import pytest

from aiexp.dataset.tagging.brown import brown_tags, read_text
from aiexp.errors import DataError
from tests.dataset.built_in import values_of

CONF = Path(__file__).parents[3] / "conf"


def test_a_text_of_the_brown_corpus(tmp_path: Path) -> None:
    path = tmp_path / "ca01"
    path.write_text("\n\n\tThe/at and/or/cc Etat/fw-nn-tl Jury's/nn$-hl ,/,\n\n\tRun/vb\n")
    full, last = read_text(path, is_basic=False)
    assert full.words == ["The", "and/or", "Etat", "Jury's", ","]
    assert full.tags == ["at", "cc", "fw-nn-tl", "nn$-hl", ","]
    assert last.place == f"{path}:5"
    assert next(read_text(path, is_basic=True)).tags == ["at", "cc", "nn", "nn$", ","]
    path.write_text("The/at dog\n")
    with pytest.raises(DataError, match=r"a word has no tag \| .*ca01:1"):
        list(read_text(path, is_basic=True))


@pytest.mark.slow  # reads a million words
@pytest.mark.network
def test_the_real_brown_corpus_is_as_its_files_say() -> None:
    try:
        dataset = brown_tags(**values_of("brown_tags"))
    except DataError as error:
        pytest.skip(f"no source reachable: {error.what}")
    sizes = [dataset.num_examples(split) for split in ("train", "eval", "test")]
    assert sizes == [46175, 5523, 5642]
    assert f"{sizes[0]:,} sentences to train on" in (CONF / "task/token_tagging.yaml").read_text("utf-8")
    assert len(dataset.tag_names) == 178
    assert dataset.words("train", 0)[:3] == ["The", "Fulton", "County"]
    assert dataset.tags("train", 0)[:3] == ["at", "np", "nn"]
