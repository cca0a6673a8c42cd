"""Catalog entries of fonts."""

from aiexp.source.catalog.entry import Archive, Entry, Tree

NOTO_FONTS = Entry(
    name="noto_fonts",
    what="Noto fonts: 268 fonts for 140 scripts",
    # Debian's copyright file: 2010-2020, Google; the fonts OFL-1.1.
    licence="OFL-1.1 (Google)",
    sources=(
        Archive(
            index="debian",
            package="fonts-noto-core",
            version="20201225-1",
            filename="fonts-noto-core_20201225-1_all.deb",
            size_bytes=12192896,
            sha256="58f4f0bb6720f919f92096b3508e1412a0f1544424ade6c5b5bf1eb694dd64ba",
            folder="usr/share/fonts/truetype",
        ),
    ),
    files=(),
    trees=(
        Tree(
            path="noto",
            num_files=268,
            sha256="71cab238e373db45f75183205cd1adc56ad2c7dbcf65e45f5312bbe564f7445c",
            max_file_bytes=5211268,
        ),
    ),
)

FONT_ENTRIES = (NOTO_FONTS,)
