"""Against plain loops over examples; draws that are fixed, uniform and independent of the batch."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, chisquare, kstest
from torch import Tensor

from aiexp.dataset.draws import seeded_integers, seeded_uniform
from aiexp.errors import ConfigError
from aiexp.task.classification.augmentation import CROP_X, CROP_Y, FLIP, HOLE_X, HOLE_Y, Augmentation
from aiexp.task.classification.mixing import BOX_X, BOX_Y, CHOICE, SHARE, Mixing, beta_quantiles, quantile

SETTINGS: list[dict[str, Any]] = [
    {"flip": True, "crop": 0, "cutout": 0},
    {"flip": False, "crop": 4, "cutout": 0},
    {"flip": False, "crop": 0, "cutout": 5},
    {"flip": True, "crop": 2, "cutout": 4},
]


def some_images(num: int = 40, channels: int = 3, height: int = 12, width: int = 9) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (num, channels, height, width), dtype=torch.uint8, generator=generator)


def some_seeds(num: int = 40) -> Tensor:
    return torch.randint(0, 2**63 - 1, (num,), generator=torch.Generator().manual_seed(1))


def one_by_one(image: Tensor, seed: Tensor, *, flip: bool, crop: int, cutout: int) -> Tensor:
    """A single image (C, H, W), changed with numpy's padding and slices."""
    channels, height, width = image.shape
    pixels = image.numpy()
    if crop:
        padded = np.pad(pixels, ((0, 0), (crop, crop), (crop, crop)), mode="reflect")
        y, x = (int(seeded_integers(seed[None], stream, 2 * crop + 1)) for stream in (CROP_Y, CROP_X))
        pixels = padded[:, y : y + height, x : x + width]
    if flip and float(seeded_uniform(seed[None], FLIP)) < 0.5:
        pixels = pixels[:, :, ::-1]
    pixels = pixels.copy()
    if cutout:
        y, x = (
            int(seeded_integers(seed[None], HOLE_Y, height)),
            int(seeded_integers(seed[None], HOLE_X, width)),
        )
        top, left = y - cutout // 2, x - cutout // 2
        exact = pixels.dtype == np.uint8
        for c in range(channels):
            color = pixels[c].astype(np.int64).sum() // (height * width) if exact else pixels[c].mean()
            pixels[c, max(top, 0) : top + cutout, max(left, 0) : left + cutout] = color
    return torch.from_numpy(pixels)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("kind", ["uint8", "float", "channels_last", "grey"])
def test_equals_a_loop_over_examples(settings: dict[str, Any], kind: str) -> None:
    images = some_images(channels=1 if kind == "grey" else 3)
    if kind == "float":
        images = images.float() / 127.5 - 1
    if kind == "channels_last":
        images = images.to(memory_format=torch.channels_last)
    seeds, before = some_seeds(), images.clone()
    ours = Augmentation(**settings)(images, seeds)
    theirs = torch.stack([one_by_one(i, s, **settings) for i, s in zip(images, seeds, strict=True)])
    assert ours.dtype == images.dtype
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6 if kind == "float" else 0)
    assert torch.equal(images, before)  # the data are not written to
    assert not torch.equal(ours, images)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_an_example_does_not_depend_on_its_batch(settings: dict[str, Any]) -> None:
    images, seeds = some_images(), some_seeds()
    augmentation = Augmentation(**settings)
    whole = augmentation(images, seeds)
    alone = torch.cat([augmentation(images[i : i + 1], seeds[i : i + 1]) for i in range(len(images))])
    assert torch.equal(whole, alone)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(2))
    assert torch.equal(augmentation(images[order], seeds[order]), whole[order])


def test_switched_off_it_does_nothing() -> None:
    images = some_images()
    assert torch.equal(Augmentation(flip=False, crop=0, cutout=0)(images, some_seeds()), images)


def test_no_global_randomness() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    Augmentation(flip=True, crop=3, cutout=3)(some_images(), some_seeds())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_crop_of_more_than_the_images() -> None:
    with pytest.raises(ConfigError) as caught:
        Augmentation(flip=False, crop=9, cutout=0)(some_images(), some_seeds())
    assert caught.value.where == "Augmentation.crop"


def test_golden_draws() -> None:
    """Draws of these seeds never change, or old runs could not resume.

    0xE220A8 begins the sequence that SplitMix64 makes of seed 0 (0xE220A8397B1DCDAF).
    """
    seeds = torch.tensor([0, 1, 12345678901234567, 2**63 - 1])
    assert seeded_integers(seeds, 0, 1 << 24).tolist() == GOLDEN
    assert seeded_integers(seeds, 7, 1000).tolist() == GOLDEN_THOUSAND
    assert seeded_uniform(seeds, 0).tolist() == [g / 2**24 for g in GOLDEN]


GOLDEN = [0xE220A8, 9505325, 12244582, 2779095]
GOLDEN_THOUSAND = [771, 523, 350, 547]


@pytest.mark.parametrize("stream", [0, 3, 16])
def test_draws_are_uniform_and_in_range(stream: int) -> None:
    for seeds in (torch.arange(20000), some_seeds(20000)):
        draws = seeded_uniform(seeds, stream)
        assert draws.min() >= 0
        assert draws.max() < 1
        assert kstest(draws.numpy(), "uniform").pvalue > 1e-3
        for count in (2, 9, 1000):
            numbers = seeded_integers(seeds, stream, count)
            assert numbers.min() >= 0
            assert numbers.max() < count
            assert chisquare(torch.bincount(numbers, minlength=count).numpy()).pvalue > 1e-3


def test_the_largest_hash_stays_below_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiexp.dataset.draws._bits", lambda seeds, stream: seeds * 0 + (1 << 24) - 1)
    seeds = torch.zeros(1, dtype=torch.int64)
    assert seeded_uniform(seeds, 0).item() < 1
    for count in (1, 2, 9, 1000, 1 << 24):
        assert seeded_integers(seeds, 0, count).item() == count - 1


def test_streams_are_independent() -> None:
    seeds = torch.arange(20000)
    draws = [
        seeded_integers(seeds, s, 8) for s in (FLIP, CROP_Y, CROP_X, HOLE_Y, CHOICE, SHARE, BOX_Y, BOX_X)
    ]
    for i, a in enumerate(draws):
        for b in draws[:i]:
            table = torch.bincount(a * 8 + b, minlength=64).view(8, 8).numpy()
            assert chi2_contingency(table).pvalue > 1e-4


def mixed_one_by_one(images: Tensor, labels: Tensor, seeds: Tensor, both: bool) -> tuple[Tensor, Tensor]:
    """CutMix (or, where `both`, mixup for some) of each image with its successor, as plain as can be."""
    new_images, new_labels = [], []
    num, _, height, width = images.shape
    for i in range(num):
        other, seed = (i + 1) % num, seeds[i : i + 1]
        share = float(quantile(beta_quantiles(1.0), seeded_uniform(seed, SHARE)))
        image = images[i].clone()
        if both and float(seeded_uniform(seed, CHOICE)) >= 0.5:
            share = float(quantile(beta_quantiles(0.4), seeded_uniform(seed, SHARE)))
            image = share * images[i] + (1 - share) * images[other]
        else:
            box_height, box_width = (
                int(np.float32(np.sqrt(np.float32(1 - share))) * n) for n in (height, width)
            )
            y, x = int(seeded_integers(seed, BOX_Y, height)), int(seeded_integers(seed, BOX_X, width))
            top, left = y - box_height // 2, x - box_width // 2
            rows, columns = slice(max(top, 0), top + box_height), slice(max(left, 0), left + box_width)
            image[:, rows, columns] = images[other][:, rows, columns]
            hole = torch.zeros(height, width)
            hole[rows, columns] = 1
            share = 1 - float(hole.mean())
        new_images.append(image)
        new_labels.append(share * labels[i] + (1 - share) * labels[other])
    return torch.stack(new_images), torch.stack(new_labels)


@pytest.mark.parametrize("both", [False, True])
def test_mixing_equals_a_loop_over_examples(both: bool) -> None:
    images, seeds = some_images().float(), some_seeds()
    labels = torch.nn.functional.one_hot(torch.arange(40) % 5).float()
    mixing = Mixing(mixup_alpha=0.4 if both else 0.0, cutmix_alpha=1.0)
    ours = mixing(images, labels, seeds)
    theirs = mixed_one_by_one(images, labels, seeds, both)
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours[1].sum(1), torch.ones(40))


def test_mixup_follows_its_beta_distribution() -> None:
    images = torch.tensor([0.0, 1.0]).repeat(4000)[:, None, None, None].expand(8000, 1, 2, 2).contiguous()
    labels = torch.nn.functional.one_hot(torch.arange(8000) % 2).float()
    for alpha in (0.2, 1.0, 4.0):
        mixed, soft = Mixing(mixup_alpha=alpha, cutmix_alpha=0.0)(images, labels, some_seeds(8000))
        torch.testing.assert_close(mixed[:, 0, 0, 0], soft[:, 1])  # pixels and labels by the same share
        own = soft[torch.arange(8000), torch.arange(8000) % 2].numpy()
        assert kstest(own, "beta", args=(alpha, alpha)).pvalue > 1e-3


def test_mixing_off() -> None:
    assert not Mixing(mixup_alpha=0.0, cutmix_alpha=0.0).is_active
