"""Folders as users have them: nested, badly named, full of what does not belong there."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zoo_plugins.dataset_sources.folder import Folder

from zoo.contracts.data import Task
from zoo.data.listing import list_images
from zoo.errors import UserError


def labels(source):
    return {s.key: s.labels[0] for s in source.samples()}


def splits(source):
    return {s.key: s.split for s in source.samples()}


def test_folder_of_class_folders(tmp_path, fill):
    source = Folder(path=str(fill(tmp_path / "pets", {"cat": 2, "dog": 1})))
    assert labels(source) == {"cat/000.png": "cat", "cat/001.png": "cat", "dog/000.png": "dog"}
    assert set(splits(source).values()) == {None}
    assert (source.name, source.task, source.classes, source.notes) == ("pets", Task.SINGLE_LABEL, (), ())
    assert source.location == str(tmp_path / "pets")


def test_folder_samples_carry_size_and_time(tmp_path, fill):
    fill(tmp_path, {"cat": 1, "dog": 1})
    os.utime(tmp_path / "cat/000.png", ns=(5, 123456789))
    sample = Folder(path=str(tmp_path)).samples()[0]
    assert sample.size_bytes == (tmp_path / "cat/000.png").stat().st_size
    assert sample.mtime_ns == 123456789


def test_folder_reads_a_file(tmp_path, fill):
    fill(tmp_path, {"cat": 1})
    assert Folder(path=str(tmp_path)).read("cat/000.png") == (tmp_path / "cat/000.png").read_bytes()


def test_folder_read_of_a_file_that_went_away_is_an_os_error(tmp_path, fill):
    fill(tmp_path, {"cat": 1})
    with pytest.raises(OSError, match="no such"):
        Folder(path=str(tmp_path)).read("cat/no such.png")


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Validation", "VAL"])
def test_folder_with_splits(tmp_path, fill, val):
    fill(tmp_path, {"train/cat": 2, "train/dog": 2, f"{val}/cat": 1, "test/dog": 1})
    source = Folder(path=str(tmp_path))
    assert splits(source)[f"{val}/cat/000.png"] == "val"
    assert splits(source)["test/dog/000.png"] == "test"
    assert labels(source)["train/dog/001.png"] == "dog"


def test_folder_with_a_train_folder_alone(tmp_path, fill):
    source = Folder(path=str(fill(tmp_path, {"train/cat": 2, "train/dog": 2})))
    assert set(splits(source).values()) == {"train"}
    assert set(labels(source).values()) == {"cat", "dog"}


def test_folder_whose_class_is_called_train(tmp_path, fill):
    """Vehicles: car, bus, train. The images lie right in it."""
    source = Folder(path=str(fill(tmp_path, {"train": 3, "car": 3, "bus": 3})))
    assert set(labels(source).values()) == {"train", "car", "bus"}
    assert set(splits(source).values()) == {None}


def test_folder_whose_nested_class_is_called_train_beside_others(tmp_path, fill):
    source = Folder(path=str(fill(tmp_path, {"train/steam": 3, "car": 3})))
    assert set(labels(source).values()) == {"train", "car"}
    assert source.notes == ("took 'train' as a class, and not as a split: beside it lie 'car'",)


@pytest.mark.parametrize("name", ["dev", "eval", "holdout", "unlabeled"])
def test_folder_asks_what_a_folder_is_that_is_divided_as_train_is(tmp_path, fill, name):
    fill(tmp_path, {"train/cat": 2, "train/dog": 2, f"{name}/cat": 1, f"{name}/dog": 1, f"{name}/cow": 1})
    with pytest.raises(
        UserError, match=rf"'train' and '{name}' hold .* \('cat', 'dog'\): is '{name}' a split"
    ) as caught:
        Folder(path=str(tmp_path)).samples()
    assert f"rename {name!r} to val or test, or move it away" in str(caught.value)


@pytest.mark.parametrize("inside", [("cat",), ("cat", "cow")])
def test_folder_asks_where_all_folders_of_one_are_in_the_other(tmp_path, fill, inside):
    fill(tmp_path, {"Train/cat": 2, **{f"dev/{name}": 1 for name in inside}})
    with pytest.raises(UserError, match="'Train' and 'dev'"):
        Folder(path=str(tmp_path)).samples()


def test_folder_of_classes_with_one_inner_name_in_common(tmp_path, fill):
    source = Folder(path=str(fill(tmp_path, {"train/old": 2, "train/new": 2, "car/old": 2, "car/red": 2})))
    assert set(labels(source).values()) == {"train", "car"}


def test_folder_with_unlabelled_test_images(tmp_path, fill):
    """Competitions hand out test/ without class folders."""
    source = Folder(path=str(fill(tmp_path, {"train/cat": 3, "train/dog": 3, "test": 5})))
    assert set(splits(source).values()) == {"train"}
    assert any("5 images that lie in no class folder" in note for note in source.notes)


def test_folder_with_splits_and_something_else(tmp_path, fill):
    source = Folder(path=str(fill(tmp_path, {"train/cat": 2, "val/cat": 2, "unlabelled/x": 7})))
    assert len(source.samples()) == 4
    assert any("'unlabelled' (7)" in note for note in source.notes)


def test_folder_refuses_two_folders_for_one_split(tmp_path, fill):
    fill(tmp_path, {"train/cat": 1, "val/cat": 1, "validation/cat": 1})
    with pytest.raises(UserError, match=r"'val', 'validation' all mean the split 'val'"):
        Folder(path=str(tmp_path)).samples()


def test_folder_counts_nested_files_to_their_class(tmp_path, fill):
    source = Folder(path=str(fill(tmp_path, {"cat": 1, "cat/2023/may": 2, "dog/old": 1})))
    assert labels(source)["cat/2023/may/001.png"] == "cat"
    assert labels(source)["dog/old/000.png"] == "dog"


def test_folder_inside_a_wrapper(tmp_path, fill):
    source = Folder(path=str(fill(tmp_path, {"photos/all/cat": 2, "photos/all/dog": 2})))
    assert set(labels(source).values()) == {"cat", "dog"}
    assert any("'photos/all'" in note for note in source.notes)


def test_folder_with_splits_inside_a_wrapper(tmp_path, fill):
    source = Folder(path=str(fill(tmp_path, {"photos/train/cat": 2, "photos/test/cat": 2})))
    assert set(splits(source).values()) == {"train", "test"}


def test_folder_with_one_class_stays_one_class(tmp_path, fill):
    source = Folder(path=str(fill(tmp_path, {"cat": 3})))
    assert set(labels(source).values()) == {"cat"}
    with pytest.raises(UserError, match="one class only"):
        list_images(source)


def test_folder_takes_upper_case_endings(tmp_path, fill):
    fill(tmp_path, {"cat": 2}, suffix=".PNG")
    fill(tmp_path, {"dog": 2}, suffix=".JpEg", fmt="JPEG")
    assert len(Folder(path=str(tmp_path)).samples()) == 4


def test_folder_passes_over_what_systems_leave_behind(tmp_path, fill):
    fill(tmp_path, {"cat": 1, "dog": 1, ".ipynb_checkpoints": 2, "__MACOSX/cat": 2, "@eaDir": 1, "cat/.thumbs": 3})
    for name in ("cat/Thumbs.db", "cat/.DS_Store", "cat/._000.png", "dog/desktop.ini"):
        (tmp_path / name).write_bytes(b"junk")
    source = Folder(path=str(tmp_path))
    assert sorted(labels(source)) == ["cat/000.png", "dog/000.png"]
    assert source.notes == ()


def test_folder_counts_files_that_it_leaves_out(tmp_path, fill):
    fill(tmp_path, {"cat": 1, "dog": 1})
    for name in ("cat/notes.txt", "cat/more.TXT", "dog/model.bin", "dog/README"):
        (tmp_path / name).write_text("x")
    (note,) = Folder(path=str(tmp_path)).notes
    assert note == "left out 4 files without the ending of an image: .txt (2), .bin (1), none (1)"


def test_folder_notes_loose_images_and_empty_classes(tmp_path, fill):
    fill(tmp_path, {"cat": 1, "dog": 1, ".": 2})
    (tmp_path / "mouse").mkdir()
    (tmp_path / "rat").mkdir()
    (tmp_path / "rat/notes.txt").write_text("x")
    notes = " | ".join(Folder(path=str(tmp_path)).notes)
    assert "2 images that lie in no class folder" in notes
    assert "'mouse', 'rat'" in notes


def test_folder_refuses_an_empty_one(tmp_path):
    with pytest.raises(UserError, match="no files at all"):
        Folder(path=str(tmp_path)).samples()


def test_folder_refuses_one_without_images_and_says_what_lies_there(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/a.txt").write_text("x")
    with pytest.raises(UserError, match=r"\.txt \(1\)"):
        Folder(path=str(tmp_path)).samples()


def test_folder_refuses_loose_images_and_points_at_a_table(tmp_path, fill):
    fill(tmp_path, {".": 3})
    (tmp_path / "labels.csv").write_text("path,label\n")
    with pytest.raises(UserError) as caught:
        Folder(path=str(tmp_path)).samples()
    assert "3 images" in str(caught.value)
    assert f"data={tmp_path}/labels.csv" in str(caught.value)


def test_folder_refuses_what_is_no_folder(tmp_path, photo):
    (tmp_path / "a.png").write_bytes(photo())
    for path in (tmp_path / "a.png", tmp_path / "nowhere"):
        with pytest.raises(UserError, match="not a folder"):
            Folder(path=str(path))


def test_folder_refuses_a_folder_that_may_not_be_listed(tmp_path, fill, unlistable):
    fill(tmp_path, {"cat": 1, "dog": 1})
    unlistable("dog")
    with pytest.raises(UserError, match="cannot be listed: Permission denied"):
        Folder(path=str(tmp_path)).samples()


def test_folder_expands_the_home_folder(tmp_path, fill, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    fill(tmp_path, {"pets/cat": 1, "pets/dog": 1})
    assert len(Folder(path="~/pets").samples()) == 2


# --- links ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["..", ".", "../..", "../dog"])
def test_folder_survives_links_that_lead_in_circles(tmp_path, fill, target):
    root = fill(tmp_path / "pets", {"cat": 2, "dog": 2})
    (root / "cat" / "loop").symlink_to(target, target_is_directory=True)
    (root / "dog" / "back").symlink_to("../cat", target_is_directory=True)
    keys = [s.key for s in Folder(path=str(root)).samples()]
    assert {"cat/000.png", "cat/001.png", "dog/000.png", "dog/001.png"} <= set(keys)
    assert len(keys) < 40


def test_folder_survives_broken_links_and_links_to_themselves(tmp_path, fill):
    fill(tmp_path, {"cat": 1, "dog": 1})
    (tmp_path / "cat/gone.png").symlink_to("nowhere.png")
    (tmp_path / "cat/self.png").symlink_to("self.png")
    assert len(Folder(path=str(tmp_path)).samples()) == 2


def test_folder_follows_links_to_other_disks(tmp_path, fill):
    fill(tmp_path / "elsewhere", {"dog": 2})
    root = fill(tmp_path / "pets", {"cat": 2})
    (root / "dog").symlink_to(tmp_path / "elsewhere/dog", target_is_directory=True)
    (root / "cat/extra.png").symlink_to(tmp_path / "elsewhere/dog/000.png")
    source = Folder(path=str(root))
    assert labels(source)["dog/001.png"] == "dog"
    assert source.read("cat/extra.png") == (tmp_path / "elsewhere/dog/000.png").read_bytes()


def test_folder_ignores_pipes(tmp_path, fill):
    fill(tmp_path, {"cat": 1, "dog": 1})
    os.mkfifo(tmp_path / "cat/pipe.png")
    source = Folder(path=str(tmp_path))
    assert len(source.samples()) == 2
    with pytest.raises(OSError, match="regular"):
        source.read("cat/pipe.png")


# --- odd names -----------------------------------------------------------------------------------------------------

ODD = "a ,'\"[](){}=|&;$`\\\n\t#%*?!~é漢字🐈-_.+@:<>"


@given(
    names=st.lists(
        st.text(ODD, min_size=1, max_size=12).filter(lambda n: not n.startswith(".") and n.strip(".")),
        min_size=2,
        max_size=4,
        unique=True,
    ),
    file=st.text(ODD, min_size=1, max_size=12).filter(lambda n: not n.startswith(".")),
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_folder_takes_any_name(tmp_path_factory, photo, names, file):
    root = tmp_path_factory.mktemp("odd")
    for i, name in enumerate(names):
        (root / name).mkdir()
        for n in range(4):
            (root / name / f"{n}{file}.png").write_bytes(photo(10 * i + n))
    source = Folder(path=str(root))
    assert {(s.key, s.labels[0]) for s in source.samples()} == {
        (f"{name}/{n}{file}.png", name) for name in names for n in range(4)
    }
    for sample in source.samples():
        assert source.read(sample.key) == (root / sample.key).read_bytes()
    assert set(list_images(source).classes) == set(names)


def test_folder_takes_names_that_are_no_utf8(tmp_path, photo):
    root = os.fsencode(tmp_path)
    for folder in (b"caf\xe9", b"th\xe9"):
        os.mkdir(root + b"/" + folder)
        for i in range(4):
            with open(root + b"/" + folder + b"/%d\xff.png" % i, "wb") as file:
                file.write(photo(i))
    source = Folder(path=str(tmp_path))
    listing = list_images(source)
    assert [os.fsencode(name) for name in listing.classes] == [b"caf\xe9", b"th\xe9"]
    assert source.read(listing.samples[0].key)
