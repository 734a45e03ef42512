from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.special import expit, softmax
from torch import nn

from zoo.artifacts.model_folder import load_model_folder, rebuild, save_model
from zoo.artifacts.predictions import Prediction
from zoo.artifacts.predictor import Predictor
from zoo.contracts.data import Task
from zoo.contracts.evaluation import Outputs
from zoo.contracts.model import Model, ModelSpec
from zoo.errors import UserError
from zoo.evaluation.metrics import score
from zoo.imaging.decode import decode
from zoo.imaging.preprocess import Preprocess

CLASSES = tuple(f"class {k}" for k in range(7))
PREPROCESS = Preprocess(12, (0.5, 0.4, 0.3), (0.2, 0.3, 0.25), crop_share=0.8)


def network(classes: int = 7, channels: int = 3) -> Model:
    """A small network with a BatchNorm whose batch statistics would show at once."""
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(channels, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, classes),
    )
    with torch.no_grad():
        module[1].running_mean.normal_()
        module[1].running_var.uniform_(0.5, 2)
        module[5].weight.mul_(5)
    spec = ModelSpec("test/tiny", "test", "tiny", "5", 32, (), PREPROCESS.with_channels(channels))
    return Model(module, spec)


def predictor(**more) -> Predictor:
    return Predictor(network(), **{"classes": CLASSES, "preprocess": PREPROCESS, "threads": 2} | more)


def pixels(seed: int, height: int = 20, width: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def photo(path: Path, seed: int, **more) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, **more)).save(path, "PNG")
    return path


@pytest.fixture
def photos(tmp_path) -> list[Path]:
    return [photo(tmp_path / "in" / f"{k:02d}.png", k, height=15 + k, width=40 - k) for k in range(10)]


def assert_same(found: list[Prediction], expected: list[Prediction], tolerance: float = 1e-5) -> None:
    assert [row.file for row in found] == [row.file for row in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one.ok, one.error, one.label, one.labels) == (other.ok, other.error, other.label, other.labels)
        assert [label for label, _ in one.top] == [label for label, _ in other.top]
        np.testing.assert_allclose([s for _, s in one.top], [s for _, s in other.top], atol=tolerance)


def test_predict_is_decode_preprocess_network_softmax(photos):
    used = predictor(temperature=1.7)
    rows = used.predict(photos, top_k=7)
    assert len(rows) == 10
    assert len({row.label for row in rows}) > 1
    for path, row in zip(photos, rows, strict=True):
        window = PREPROCESS(decode(path.read_bytes(), channels=3))
        scaled = (window.astype(np.float32) / 255 - np.float32(PREPROCESS.mean)) / np.float32(PREPROCESS.std)
        with torch.no_grad():
            logits = used.model.module(torch.from_numpy(scaled.transpose(2, 0, 1))[None]).numpy()[0]
        shares = softmax(logits.astype(float) / 1.7)
        order = np.argsort(-shares)
        assert row.file == str(path)
        assert row.ok
        assert row.error is None
        assert row.labels == ()
        assert row.label == row.top[0][0] == CLASSES[order[0]]
        assert row.confidence == row.top[0][1] == pytest.approx(shares[order[0]], abs=1e-5)
        assert [label for label, _ in row.top] == [CLASSES[c] for c in order]
        np.testing.assert_allclose([share for _, share in row.top], shares[order], atol=1e-5)
        assert sum(share for _, share in row.top) == pytest.approx(1)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 10, 64])
def test_predict_does_not_depend_on_the_batch_size(photos, batch_size):
    used = predictor()
    assert_same(used.predict(photos, batch_size=batch_size), used.predict(photos))


def test_predict_does_not_depend_on_the_threads(photos):
    assert_same(predictor(threads=1).predict(photos), predictor(threads=8).predict(photos), 0)


def test_predict_of_a_folder_is_that_of_its_files_in_order(photos):
    used = predictor()
    assert_same(used.predict(photos[0].parent), used.predict(photos), 0)
    assert_same(used.predict(str(photos[0].parent / "*.png")), used.predict(photos), 0)
    assert_same(used.predict(photos[4]), used.predict(photos)[4:5])


def test_predict_of_a_list_keeps_its_order(photos):
    rows = predictor().predict(photos[::-1])
    assert [row.file for row in rows] == [str(path) for path in photos[::-1]]


BAD = {
    "empty.png": (b"", "empty file"),
    "text.jpg": (b"hello, I am no image", "not an image"),
    "torn.png": (None, "truncated"),
}


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_bad_files_get_their_own_rows_and_change_no_other(photos, batch_size):
    used = predictor()
    good = used.predict(photos)
    folder = photos[0].parent
    listed: list[Path] = []
    for number, path in enumerate(photos):
        name, (content, _) = list(BAD.items())[number % 3]
        bad = folder / f"{path.stem}-{name}"
        bad.write_bytes(path.read_bytes()[:-300] if content is None else content)
        listed += [bad, path]
    listed.append(folder / "gone.png")
    rows = used.predict(listed, batch_size=batch_size)
    assert [row.file for row in rows] == [str(path) for path in listed]
    assert_same([row for row in rows if row.ok], good)
    broken = [row for row in rows if not row.ok]
    assert len(broken) == 11
    for row in broken[:-1]:
        expected = BAD[Path(row.file).name[3:]][1]
        assert expected in row.error
    assert broken[-1].error == "cannot be read: No such file or directory"
    assert all(row.label is None and row.confidence is None and row.top == () for row in broken)


def test_a_batch_of_bad_files_only_never_reaches_the_network(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    used = predictor()
    used.model.module.forward = None
    (row,) = used.predict(tmp_path)
    assert not row.ok


def test_a_path_that_no_file_can_have_is_a_row(photos):
    rows = predictor().predict([photos[0], "a\0b.png", photos[0].parent])
    assert [row.ok for row in rows] == [True, False, False]
    assert "null byte" in rows[1].error
    assert "Is a directory" in rows[2].error


def test_open_images_and_arrays_give_what_their_files_give(photos):
    used = predictor()
    expected = used.predict(photos)
    opened = [Image.open(path) for path in photos]
    arrays = [np.asarray(image) for image in opened]
    assert_same(used.predict(opened), expected)
    rows = used.predict(arrays)
    assert [row.file for row in rows] == [f"images[{k}]" for k in range(10)]
    assert [row.top for row in rows] == [row.top for row in used.predict(opened)]
    for image in opened:
        image.close()


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 7), np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_an_array_that_is_no_image_is_a_row(array):
    good, bad = predictor().predict([pixels(0), array])
    assert good.ok
    assert not bad.ok
    assert "pixels of" in bad.error


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channel_counts_take_the_same_path(photos, channels):
    model = network(channels=channels)
    used = Predictor(model, classes=CLASSES, preprocess=model.spec.preprocess)
    window = model.spec.preprocess(decode(photos[0].read_bytes(), channels=channels))
    expected = used.probabilities(used.logits(window[None]))[0]
    assert used.predict(photos[:1])[0].confidence == pytest.approx(expected.max())


def test_predict_multi_label_gives_labels_from_their_thresholds_on(photos):
    thresholds = (0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.9)
    used = predictor(task=Task.MULTI_LABEL, thresholds=thresholds, temperature=2.0)
    windows = np.stack([used.window(path.read_bytes()) for path in photos])
    logits = used.logits(windows)
    shares = expit(logits.astype(float) / 2)
    rows = used.predict(photos, top_k=3)
    for row, share in zip(rows, shares, strict=True):
        assert row.labels == tuple(name for name, s, t in zip(CLASSES, share, thresholds, strict=True) if s >= t)
        assert row.label == CLASSES[share.argmax()]
        assert len(row.top) == 3
    assert {len(row.labels) for row in rows} != {0}
    # Prediction and scores must agree on which labels are given.
    targets = np.array([[name in row.labels for name in CLASSES] for row in rows], np.float32)
    outputs = Outputs(logits, targets, np.arange(10), 0.0)
    scores = score(outputs, split="all", classes=CLASSES, task=Task.MULTI_LABEL, thresholds=thresholds, temperature=2.0)
    assert scores.accuracy.value == 1


def test_predict_multi_label_defaults_to_one_half(photos):
    rows = predictor(task=Task.MULTI_LABEL).predict(photos, top_k=7)
    assert all(set(row.labels) == {name for name, share in row.top if share >= 0.5} for row in rows)


def test_temperature_changes_confidence_and_not_the_order(photos):
    cold, warm = predictor(temperature=0.5).predict(photos), predictor(temperature=4.0).predict(photos)
    assert [row.label for row in cold] == [row.label for row in warm]
    assert all(one.confidence > other.confidence for one, other in zip(cold, warm, strict=True))


def test_top_k_is_at_most_the_number_of_classes(photos):
    used = predictor()
    assert {len(row.top) for row in used.predict(photos)} == {5}
    assert {len(row.top) for row in used.predict(photos, top_k=1)} == {1}
    assert {len(row.top) for row in used.predict(photos, top_k=100)} == {7}


def test_equal_probabilities_come_in_the_order_of_the_classes(photos):
    used = predictor()
    nn.init.zeros_(used.model.module[5].weight)
    nn.init.zeros_(used.model.module[5].bias)
    row = used.predict(photos[0])[0]
    assert [label for label, _ in row.top] == list(CLASSES[:5])


def test_a_label_exactly_at_its_threshold_is_given(photos):
    used = predictor(task=Task.MULTI_LABEL, thresholds=(0.5, 0.5000001, 0.4999999, *(0.9,) * 4))
    nn.init.zeros_(used.model.module[5].weight)
    nn.init.zeros_(used.model.module[5].bias)
    assert used.predict(photos[0])[0].labels == (CLASSES[0], CLASSES[2])


@pytest.mark.parametrize("number", ["batch_size", "top_k"])
def test_numbers_below_one_are_refused(photos, number):
    with pytest.raises(UserError, match=f"{number} is 0"):
        predictor().predict(photos, **{number: 0})


def test_an_answer_that_is_not_finite_is_no_prediction(photos):
    used = predictor()
    good = used.predict(photos[1])
    used.model.module.register_forward_hook(lambda *args: args[2].index_fill(0, torch.tensor([0]), float("nan")))
    rows = used.predict(photos[:2])
    assert rows[0].error == "the network's answer is NaN or infinite"
    assert not rows[0].ok
    assert_same(rows[1:], good)


def test_progress_counts_bad_files_too(photos):
    (photos[0].parent / "bad.png").write_bytes(b"")
    seen: list[tuple[int, int]] = []
    predictor().predict(photos[0].parent, batch_size=4, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(4, 11), (8, 11), (11, 11)]


def test_predict_of_nothing_is_nothing():
    assert predictor().predict([]) == []


def test_the_network_is_in_eval_mode_and_float32(photos):
    model = network()
    model.module.train()
    used = Predictor(model, classes=CLASSES, preprocess=PREPROCESS)
    assert not model.module.training
    with torch.autocast("cpu", torch.bfloat16):
        inside = used.predict(photos)
    assert_same(inside, used.predict(photos), 0)
    before = model.module[1].running_mean.clone()
    used.predict(photos)
    assert torch.equal(model.module[1].running_mean, before)


def test_logits_take_an_array_that_must_not_be_written(recwarn):
    windows = np.zeros((2, 12, 12, 3), np.uint8)
    windows.flags.writeable = False
    assert predictor().logits(windows).shape == (2, 7)
    assert not [warning for warning in recwarn if "writable" in str(warning.message)]


@pytest.mark.parametrize("resize", ["crop", "pad", "squash"])
def test_the_network_sees_what_it_sees_in_validation(tmp_path, resize):
    from zoo.data.listing import list_images
    from zoo.data.pack import pack
    from zoo.plugins import load_plugins

    for number, (height, width) in enumerate([(900, 1400), (300, 200), (20, 20), (8, 700)] * 2):
        path = tmp_path / "in" / f"kind {number % 2}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(pixels(number, 40, 50))
        small.resize((width, height), Image.Resampling.BICUBIC).save(path, quality=95)
    preprocess = Preprocess(12, (0.5, 0.4, 0.3), (0.2, 0.3, 0.25), resize, 0.8)
    source = load_plugins(only=[]).registry.get("dataset", "zoo/folder").build(path=str(tmp_path / "in"))
    bundle = pack(list_images(source), source, preprocess=preprocess, cache_dir=tmp_path / "cache")
    used = predictor(preprocess=preprocess)
    assert len(bundle.keys) == 8
    for position, key in enumerate(bundle.keys):
        window = used.window((tmp_path / "in" / key).read_bytes())
        np.testing.assert_array_equal(window, preprocess.crop(bundle.images[position]))


def test_a_saved_model_predicts_as_the_network_did(tmp_path, photos):
    from zoo.models.build import replace_head
    from zoo.models.surgery import change_network
    from zoo.plugins import load_plugins

    registry = load_plugins(only=[]).registry
    torch.manual_seed(3)
    model = registry.get("model", "zoo/lenet5").build(classes=7, channels=3, image_size=32)
    settings_of = {
        "classes": CLASSES,
        "preprocess": model.spec.preprocess,
        "task": Task.SINGLE_LABEL,
        "temperature": 0.3,
    }
    save_model(tmp_path / "model", model, origin={}, **settings_of)
    expected = Predictor(model, **settings_of).predict(photos)
    saved = load_model_folder(tmp_path / "model")
    used = Predictor.of(saved, rebuild(saved, registry, replace_head=replace_head, change_network=change_network))
    assert_same(used.predict(photos), expected, 0)
    assert (used.temperature, used.classes, used.task) == (0.3, CLASSES, Task.SINGLE_LABEL)


file_names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=30
).filter(lambda name: len(name.encode()) < 200 and not name.startswith((".", "~")))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(file_names, min_size=1, max_size=5, unique_by=lambda name: name.lower()))
def test_odd_file_names_keep_their_own_predictions(names, tmp_path_factory):
    from zoo.artifacts.predictions import write_predictions

    folder = tmp_path_factory.mktemp("odd")
    made = {str(photo(folder / f"{name}.png", seed)): seed for seed, name in enumerate(names)}
    used = predictor()
    rows = used.predict(folder)
    assert sorted(made) == [row.file for row in rows]
    for row in rows:
        assert row.confidence == pytest.approx(used.predict([pixels(made[row.file])])[0].confidence, abs=1e-5)
    import csv

    with write_predictions(rows, folder / "out.csv").open(newline="", encoding="utf-8") as stream:
        assert [row["file"] for row in csv.DictReader(stream)] == sorted(made)


def test_the_users_folder_is_left_as_it_was(photos):
    folder = photos[0].parent
    before = {name: (folder / name).read_bytes() for name in os.listdir(folder)}
    predictor().predict(folder)
    assert {name: (folder / name).read_bytes() for name in os.listdir(folder)} == before
