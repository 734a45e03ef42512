"""Order and draws: functions of (seed, epoch, image), whatever the threads, the processes and the restarts."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.contracts.data import DataBundle, DataFacts, Task
from zoo.data.batches import Batches, batch_bounds, sample_rng
from zoo.data.crops import random_crop
from zoo.errors import PluginError, UserError
from zoo.imaging.preprocess import Preprocess

PREPROCESS = Preprocess(14, (0.5,) * 3, (0.5,) * 3)


class Store(list):
    """Pixels by position, read-only as those of a pack."""


def bundle_of(count, *, channels=3, task=Task.SINGLE_LABEL, shapes=((16, 22), (30, 16), (16, 16))):
    rng = np.random.default_rng(0)
    images = Store()
    for i in range(count):
        image = rng.integers(0, 256, (*shapes[i % len(shapes)], channels), dtype=np.uint8)
        image.setflags(write=False)
        images.append(image)
    single = task is Task.SINGLE_LABEL
    targets = np.arange(count) % 5 if single else (rng.random((count, 5)) < 0.4).astype(np.float32)
    return DataBundle(
        name="x",
        location="x",
        task=task,
        classes=tuple("abcde"),
        channels=channels,
        images=images,
        keys=tuple(f"k{i}" for i in range(count)),
        targets=targets,
        splits={"train": np.arange(count)},
        quarantined=(),
        fingerprint="",
        facts=DataFacts("x", 5, task, channels, count, 1, 1, 16),
    )


BUNDLE = bundle_of(50)


def batches(bundle=BUNDLE, *, positions=None, **options):
    chosen = bundle.splits["train"] if positions is None else positions
    defaults = {"preprocess": PREPROCESS, "batch_size": 8, "seed": 3, "threads": 2}
    return Batches(bundle, chosen, **(defaults | options))


TRAIN = {"sampling": "shuffle", "crop_scale": (0.3, 1.0), "flip": True}


def noisy():
    """An augmentation that holds state and draws a different number of times for each image."""
    state = {"calls": 0}

    def change(image, rng):
        state["calls"] += 1
        for _ in range(int(rng.integers(1, 4))):
            image = image ^ rng.integers(0, 256, image.shape, dtype=np.uint8)
        return image

    return change


def everything(feed, epoch, start_step=0):
    found = list(feed.epoch(epoch, start_step=start_step))
    return (
        [batch.indices.tolist() for batch in found],
        np.concatenate([batch.images for batch in found]),
        np.concatenate([batch.targets for batch in found]),
    )


def flat(lists):
    return [item for items in lists for item in items]


def same(one, two):
    return one[0] == two[0] and np.array_equal(one[1], two[1]) and np.array_equal(one[2], two[2])


# --- what comes ----------------------------------------------------------------------------------------------------


def test_epoch_in_order_gives_the_centre_windows():
    indices, images, targets = everything(batches(), 0)
    assert flat(indices) == list(range(50))
    assert images.shape == (50, 14, 14, 3)
    assert images.dtype == np.uint8
    for i in range(50):
        assert np.array_equal(images[i], PREPROCESS.crop(BUNDLE.images[i]))
    assert np.array_equal(targets, BUNDLE.targets)


def test_epoch_of_some_positions():
    positions = np.array([40, 3, 17])
    indices, images, _ = everything(batches(positions=positions), 0)
    assert indices == [[40, 3, 17]]
    assert np.array_equal(images[2], PREPROCESS.crop(BUNDLE.images[17]))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_epoch_keeps_the_channels(channels):
    bundle = bundle_of(9, channels=channels)
    preprocess = Preprocess(14, (0.5,) * channels, (0.5,) * channels)
    for options in ({}, TRAIN):
        _, images, _ = everything(batches(bundle, preprocess=preprocess, **options), 0)
        assert images.shape == (9, 14, 14, channels)


def test_epoch_of_padded_images():
    bundle = bundle_of(9, shapes=((14, 6), (9, 14)))
    preprocess = Preprocess(14, (0.5,) * 3, (0.5,) * 3, resize="pad")
    _, images, _ = everything(batches(bundle, preprocess=preprocess, flip=True), 0)
    assert images.shape == (9, 14, 14, 3)


def test_epoch_multi_label_targets():
    bundle = bundle_of(20, task=Task.MULTI_LABEL)
    _, _, targets = everything(batches(bundle), 0)
    assert targets.dtype == np.float32
    assert np.array_equal(targets, bundle.targets)


def test_epoch_shuffled_shows_every_image_once():
    for epoch in range(3):
        assert sorted(flat(everything(batches(**TRAIN), epoch)[0])) == list(range(50))


def test_epoch_orders_differ_by_epoch_and_by_seed():
    orders = [
        flat(everything(batches(sampling="shuffle", seed=seed), epoch)[0])
        for seed, epoch in ((0, 0), (0, 1), (1, 0), (0, 0))
    ]
    assert orders[0] == orders[3]
    assert len({tuple(order) for order in orders}) == 3


def test_epoch_order_is_even():
    """Each image comes first about as often as any other."""
    first = [next(iter(batches(bundle_of(5), sampling="shuffle", threads=0).epoch(e))).indices[0] for e in range(500)]
    assert np.bincount(first, minlength=5).min() > 70


def test_epoch_draws_differ_by_epoch_seed_and_image():
    one = bundle_of(1)
    feeds = [
        (batches(bundle_of(1), seed=seed, crop_scale=(0.1, 0.5)), epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    windows = [everything(feed, epoch)[1][0].tobytes() for feed, epoch in feeds]
    assert len(set(windows)) == 3
    twins = bundle_of(2)
    twins.images[1] = one.images[0]
    twins.images[0] = one.images[0]
    _, images, _ = everything(batches(twins, crop_scale=(0.1, 0.5)), 0)
    assert not np.array_equal(images[0], images[1])


def test_epoch_window_is_the_random_crop_with_the_images_own_generator():
    indices, images, _ = everything(batches(**TRAIN), 4)
    for row, position in enumerate(flat(indices)):
        rng = sample_rng(3, 4, position=position)
        expected = random_crop(BUNDLE.images[position], rng, size=14, scale=(0.3, 1.0), flip=True)
        assert np.array_equal(images[row], expected)


def test_epoch_flip_without_crop_mirrors_half():
    indices, images, _ = everything(batches(flip=True), 0)
    plain = [
        np.array_equal(image, PREPROCESS.crop(BUNDLE.images[i])) for i, image in zip(flat(indices), images, strict=True)
    ]
    mirrored = [
        np.array_equal(image, PREPROCESS.crop(BUNDLE.images[i])[:, ::-1])
        for i, image in zip(flat(indices), images, strict=True)
    ]
    assert all(a != b for a, b in zip(plain, mirrored, strict=True))
    assert 12 < sum(mirrored) < 38


# --- independence --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, TRAIN, {**TRAIN, "pipeline": noisy}])
@pytest.mark.parametrize("threads", [0, 1, 3, 8])
def test_epoch_does_not_depend_on_threads(options, threads):
    assert same(everything(batches(threads=2, **options), 1), everything(batches(threads=threads, **options), 1))


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("batch_size", [8, 13, 50, 64])
def test_epoch_does_not_depend_on_the_number_of_processes(world, batch_size):
    options = {**TRAIN, "pipeline": noisy, "batch_size": batch_size}
    whole = list(batches(**options).epoch(2))
    shares = [list(batches(rank=rank, world=world, **options).epoch(2)) for rank in range(world)]
    assert all(len(share) == len(whole) for share in shares)
    for step, batch in enumerate(whole):
        parts = [share[step] for share in shares]
        assert np.concatenate([p.indices for p in parts]).tolist() == batch.indices.tolist()
        assert np.array_equal(np.concatenate([p.images for p in parts]), batch.images)
        assert np.array_equal(np.concatenate([p.targets for p in parts]), batch.targets)
        sizes = [len(p.indices) for p in parts]
        assert max(sizes) - min(sizes) <= 1
        assert all(p.total == len(batch.indices) for p in parts)


@pytest.mark.parametrize("start", [0, 1, 3, 6, 7, 99])
def test_epoch_taken_up_in_the_middle_goes_on_as_if_never_stopped(start):
    options = {**TRAIN, "pipeline": noisy}
    whole = list(batches(**options).epoch(1))
    rest = list(batches(**options).epoch(1, start_step=start))
    assert len(rest) == max(0, len(whole) - start)
    for a, b in zip(whole[start:], rest, strict=True):
        assert np.array_equal(a.images, b.images)
        assert np.array_equal(a.indices, b.indices)


def test_epoch_can_be_repeated_and_interleaved():
    feed = batches(**TRAIN, pipeline=noisy)
    first = everything(feed, 0)
    everything(feed, 1)
    one, two = feed.epoch(0), feed.epoch(1)
    mixed = [next(one), next(two), next(one)]
    assert np.array_equal(mixed[2].images, first[1][8:16])
    one.close()
    two.close()
    assert same(everything(feed, 0), first)


def test_epoch_draws_of_one_image_do_not_depend_on_its_neighbours():
    _, few, _ = everything(batches(positions=np.array([7]), **TRAIN), 0)
    indices, many, _ = everything(batches(**TRAIN), 0)
    assert np.array_equal(few[0], many[flat(indices).index(7)])


@given(seed=st.integers(0, 2**40), epoch=st.integers(0, 10_000), position=st.integers(0, 10**9))
@settings(max_examples=60)
def test_sample_rng_streams_differ_from_their_neighbours(seed, epoch, position):
    draws = {
        sample_rng(s, e, position=p).bytes(16)
        for s, e, p in (
            (seed, epoch, position),
            (seed + 1, epoch, position),
            (seed, epoch + 1, position),
            (seed, epoch, position + 1),
        )
    }
    assert len(draws) == 4
    assert sample_rng(seed, epoch, position=position).bytes(16) in draws


def test_sample_rng_neighbouring_images_are_uncorrelated():
    draws = np.array([sample_rng(0, 0, position=i).random(4) for i in range(4000)])
    assert np.abs(draws.mean(axis=0) - 0.5).max() < 0.02
    assert abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.05


def test_sample_rng_known_values():
    """A change of the rule would make a run resumed by a newer version another run."""
    assert sample_rng(0, 0, position=0).integers(0, 1000, 4).tolist() == [984, 102, 676, 554]


# --- sizes of batches ----------------------------------------------------------------------------------------------


@given(count=st.integers(0, 300), batch_size=st.integers(1, 70))
def test_batch_bounds_cover_everything_once(count, batch_size):
    bounds = batch_bounds(count, batch_size)
    assert [i for start, stop in bounds for i in range(start, stop)] == list(range(count))
    sizes = [stop - start for start, stop in bounds]
    assert all(size == batch_size for size in sizes[:-1])
    if batch_size > 1 and count > 1:
        assert min(sizes) > 1
    if sizes:
        assert sizes[-1] <= batch_size + (len(sizes) > 0)


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(0, []), (1, [1]), (3, [3]), (8, [8]), (9, [9]), (10, [8, 2]), (16, [8, 8]), (17, [8, 9]), (24, [8, 8, 8])],
)
def test_batch_bounds_merge_a_last_batch_of_one(count, sizes):
    assert [stop - start for start, stop in batch_bounds(count, 8)] == sizes


def test_steps_per_epoch_and_length():
    feed = batches(batch_size=7)
    assert feed.steps_per_epoch == 7  # 50 = 6 x 7 + 7 + 1, and the one joins
    assert len(feed) == 50
    assert [len(i) for i in everything(feed, 0)[0]] == [7, 7, 7, 7, 7, 7, 8]
    assert batches(batch_size=500).steps_per_epoch == 1
    assert batches(positions=np.array([], np.int64)).steps_per_epoch == 0
    assert list(batches(positions=np.array([], np.int64)).epoch(0)) == []


def test_epoch_with_fewer_images_than_processes_has_empty_shares():
    shares = [list(batches(positions=np.array([4, 5]), rank=rank, world=3).epoch(0)) for rank in range(3)]
    assert [len(share[0].indices) for share in shares] == [0, 1, 1]
    assert shares[0][0].images.shape == (0, 14, 14, 3)
    assert shares[0][0].total == 2


# --- failures, threads ---------------------------------------------------------------------------------------------


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("batches")]


def failing(error):
    def build():
        def change(image, rng):
            raise error

        return change

    return build


@pytest.mark.parametrize("threads", [0, 2])
def test_epoch_names_the_image_on_which_an_augmentation_fails(threads):
    feed = batches(pipeline=failing(RuntimeError("broken")), threads=threads)
    with pytest.raises(PluginError, match="image 'k0': RuntimeError: broken"):
        next(feed.epoch(0))
    assert not loader_threads()


def test_epoch_lets_zoos_own_errors_through():
    with pytest.raises(UserError, match="mine"):
        next(batches(pipeline=failing(UserError("mine"))).epoch(0))


@pytest.mark.parametrize(
    "result",
    [
        np.zeros((14, 14, 3), np.float32),
        np.zeros((14, 14), np.uint8),
        np.zeros((14, 14, 1), np.uint8),
        np.zeros((0, 14, 3), np.uint8),
    ],
)
def test_epoch_refuses_what_is_no_image(result):
    with pytest.raises(PluginError, match="an augmentation made"):
        next(batches(pipeline=lambda: lambda image, rng: result).epoch(0))


def test_epoch_scales_back_what_an_augmentation_made_larger_or_smaller():
    for shape in ((28, 20, 3), (5, 5, 3)):
        result = np.full(shape, 77, np.uint8)
        batch = next(batches(pipeline=lambda r=result: lambda image, rng: r).epoch(0))
        assert batch.images.shape == (8, 14, 14, 3)
        assert (batch.images == 77).all()


def test_epoch_augmentations_may_work_in_place_without_touching_the_store():
    before = [image.copy() for image in BUNDLE.images]

    def build():
        def darken(image, rng):
            image //= 2
            return image

        return darken

    for options in ({}, {"flip": True}, TRAIN):
        everything(batches(pipeline=build, **options), 0)
    assert all(np.array_equal(a, b) for a, b in zip(before, BUNDLE.images, strict=True))
    exact = bundle_of(9, shapes=((14, 14),))  # the window is the stored image itself, and no copy yet
    everything(batches(exact, pipeline=build), 0)


def test_epoch_augmentations_see_the_window():
    shapes = set()

    def build():
        def look(image, rng):
            shapes.add((image.shape, image.flags.c_contiguous, image.flags.writeable))
            return image

        return look

    for options in ({}, {"flip": True}, TRAIN):
        everything(batches(pipeline=build, **options), 0)
    assert shapes == {((14, 14, 3), True, True)}


def test_epoch_builds_one_pipeline_for_each_thread_at_most():
    built, busy = [], []

    def build():
        own = object()
        built.append(own)

        def change(image, rng):
            assert own not in busy  # never in two threads at once
            busy.append(own)
            time.sleep(0.0005)
            busy.remove(own)
            return image

        return change

    feed = batches(pipeline=build, threads=3)
    for epoch in range(3):
        everything(feed, epoch)
    assert 1 <= len(built) <= 3


def test_epoch_that_is_left_early_leaves_no_thread():
    epoch = batches(threads=3, **TRAIN).epoch(0)
    next(epoch)
    assert loader_threads()
    epoch.close()
    assert not loader_threads()


def test_epoch_that_is_interrupted_leaves_no_thread(monkeypatch):
    def interrupted():
        for step, _ in enumerate(batches(threads=2).epoch(0)):
            if step == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not loader_threads()


def test_epoch_reads_only_a_few_batches_ahead():
    read = []

    class Counting(Store):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    bundle = bundle_of(400)
    object.__setattr__(bundle, "images", Counting(bundle.images))
    epoch = batches(bundle, threads=2).epoch(0)
    next(epoch)
    time.sleep(0.1)
    assert len(read) <= 8 * 4
    epoch.close()


def test_epoch_passes_on_what_the_store_raises():
    class Broken(Store):
        def __getitem__(self, index):
            raise UserError("the disk went away")

    bundle = bundle_of(9)
    object.__setattr__(bundle, "images", Broken(bundle.images))
    with pytest.raises(UserError, match="the disk went away"):
        next(batches(bundle).epoch(0))


def test_epoch_refuses_images_stored_for_another_size():
    with pytest.raises(ValueError, match="stored for another size"):
        next(batches(preprocess=Preprocess(64, (0.5,) * 3, (0.5,) * 3)).epoch(0))


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"seed": -1}, {"rank": 2, "world": 2}, {"rank": -1}, {"threads": -1}]
)
def test_batches_refuse_numbers_out_of_range(options):
    with pytest.raises(ValueError, match="="):
        batches(**options)


@pytest.mark.parametrize("train", [TRAIN, {}, {"pipeline": lambda: lambda image, rng: image[2:, 1:]}])
def test_windows_have_the_side_of_their_epoch(train):
    made = batches(side_at=lambda epoch: (8, 14)[epoch], **train)
    assert {batch.images.shape[1:] for batch in made.epoch(0)} == {(8, 8, 3)}
    assert {batch.images.shape[1:] for batch in made.epoch(1)} == {(14, 14, 3)}
    full = batches(**train)
    for small, large in zip(made.epoch(1), full.epoch(1), strict=True):
        assert np.array_equal(small.images, large.images)


def test_smaller_windows_show_the_same_part_of_the_image():
    bundle, made = BUNDLE, batches(side_at=lambda _: 8, **TRAIN)
    batch = next(iter(made.epoch(2)))
    for image, position in zip(batch.images, batch.indices, strict=True):
        rng = sample_rng(3, 2, position=int(position))
        assert np.array_equal(image, random_crop(bundle.images[position], rng, size=8, scale=(0.3, 1.0), flip=True))
