"""Tables: which column is what, what a value means, and what a wrong one says."""

import io
import json
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zoo_plugins.dataset_sources.table import Table, find_tables
from zoo_plugins.dataset_sources.trees import FileInfo

from zoo.contracts.data import Task
from zoo.data.listing import list_images
from zoo.errors import UserError


@pytest.fixture
def folder(tmp_path, photo):
    """A folder with images img/0.png to img/9.png."""
    (tmp_path / "img").mkdir()
    for i in range(10):
        (tmp_path / f"img/{i}.png").write_bytes(photo(i))
    return tmp_path


def csv_table(folder, text, name="labels.csv", **options):
    (folder / name).write_text(text, encoding="utf-8")
    return Table(path=str(folder / name), **options)


def rows(source):
    return [(s.key, s.labels, s.split, s.group) for s in source.samples()]


# --- CSV -----------------------------------------------------------------------------------------------------------


def test_table_of_paths_and_labels(folder):
    source = csv_table(folder, "path,label\nimg/0.png,cat\nimg/1.png,dog\n")
    assert rows(source) == [("img/0.png", ("cat",), None, None), ("img/1.png", ("dog",), None, None)]
    assert source.read("img/1.png") == (folder / "img/1.png").read_bytes()
    assert (source.name, source.task, source.classes) == ("labels", Task.SINGLE_LABEL, ())
    assert source.samples()[0].size_bytes == (folder / "img/0.png").stat().st_size
    assert source.samples()[0].mtime_ns == (folder / "img/0.png").stat().st_mtime_ns
    assert source.notes == ("columns: image='path', label='label'",)


def test_table_with_split_and_group(folder):
    text = "file,category,split,group\nimg/0.png,cat,train,p1\nimg/1.png,dog,Validation,p2\nimg/2.png,dog,TEST,\n"
    assert [row[2:] for row in rows(csv_table(folder, text))] == [("train", "p1"), ("val", "p2"), ("test", None)]


def test_table_columns_by_option(folder):
    text = "a,b,c,d\nimg/0.png,cat,train,p1\n"
    source = csv_table(folder, text, image_column="a", label_column="b", split_column="c", group_column="d")
    assert rows(source) == [("img/0.png", ("cat",), "train", "p1")]


def test_table_split_and_group_can_be_ignored(folder):
    text = "path,label,split,group\nimg/0.png,cat,train,p1\n"
    assert rows(csv_table(folder, text, split_column=None, group_column=None))[0][2:] == (None, None)


def test_table_takes_the_only_column_left_as_label(folder):
    assert rows(csv_table(folder, "filename,species\nimg/0.png,cat\n"))[0][1] == ("cat",)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_table_delimiters(folder, delimiter):
    text = f"path{delimiter}label\nimg/0.png{delimiter}cat\n"
    assert rows(csv_table(folder, text))[0][:2] == ("img/0.png", ("cat",))


def test_table_with_byte_order_mark_blank_lines_and_windows_line_ends(folder):
    source = csv_table(folder, "\ufeffpath,label\r\nimg/0.png,cat\r\n\r\nimg/1.png,dog\r\n")
    assert [row[0] for row in rows(source)] == ["img/0.png", "img/1.png"]


@pytest.mark.parametrize("word", ["NA", "None", "null", "nan", "NULL", "N/A", "0", "1.0", "true"])
def test_table_labels_are_taken_literally(folder, word):
    """pandas would read half of these words as a missing value, and 1.0 as a number."""
    assert rows(csv_table(folder, f"path,label\nimg/0.png,{word}\n"))[0][1] == (word,)


def test_table_removes_spaces_around_labels_and_not_around_paths(folder, photo):
    (folder / " x .png").write_bytes(photo())
    source = csv_table(folder, "path,label\n x .png, cat \n")
    assert rows(source)[0][:2] == (" x .png", ("cat",))
    assert source.read(" x .png")


def test_table_paths_are_relative_to_the_table(folder, photo):
    (folder / "tables").mkdir()
    source = csv_table(folder / "tables", "path,label\n../img/0.png,cat\n./../img/1.png,dog\n")
    assert [row[0] for row in rows(source)] == ["../img/0.png", "../img/1.png"]
    assert source.read("../img/1.png") == (folder / "img/1.png").read_bytes()


def test_table_takes_absolute_paths(folder):
    source = csv_table(folder, f"path,label\n{folder}/img/0.png,cat\n")
    assert source.read(source.samples()[0].key) == (folder / "img/0.png").read_bytes()


def test_table_missing_files_are_listed_and_cannot_be_read(folder):
    source = csv_table(folder, "path,label\nimg/0.png,cat\nimg/nowhere.png,dog\nimg,dog\n")
    assert [s.size_bytes > 0 for s in source.samples()] == [True, False, False]
    for key in ("img/nowhere.png", "img"):
        with pytest.raises(OSError, match=r"regular|No such"):
            source.read(key)


def test_table_nul_in_a_path_is_a_missing_file(folder):
    text = json.dumps({"path": "img/0.png", "label": "a"}) + "\n" + json.dumps({"path": "a\0b", "label": "b"})
    source = csv_table(folder, text, name="rows.jsonl")
    with pytest.raises(OSError, match="null"):
        source.read("a\0b")


def test_table_without_a_single_file_says_how_paths_are_meant(folder):
    with pytest.raises(UserError) as caught:
        csv_table(folder, "path,label\n0,cat\n1,dog\n")
    assert "none of the 2 paths in column 'path' is a file (first: '0')" in str(caught.value)
    assert "relative to the table's folder" in str(caught.value)


ODD = "a ,'\"[](){}=|&;$`\\\n#%é漢🐈-_.+@:<>"


@given(
    name=st.text(ODD, min_size=1, max_size=16).filter(lambda n: n.strip(".") and n == n.strip("\r")),
    label=st.text(ODD, min_size=1).filter(lambda t: t.strip()),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_table_takes_any_name_and_label(tmp_path_factory, photo, name, label):
    import csv

    root = tmp_path_factory.mktemp("odd")
    content = photo(1)
    (root / f"{name}.png").write_bytes(content)
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerows([["path", "label"], [f"{name}.png", label]])
    (root / "t.csv").write_text(buffer.getvalue(), encoding="utf-8", newline="")
    source = Table(path=str(root / "t.csv"), multi_label=False)
    (sample,) = source.samples()
    assert sample.labels == (label.strip(),)
    assert source.read(sample.key) == content


# --- wrong tables --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["image_column", "label_column", "split_column", "group_column"])
def test_table_refuses_a_column_that_is_not_there(folder, option):
    with pytest.raises(UserError) as caught:
        csv_table(folder, "path,label,colour\nimg/0.png,cat,red\n", **{option: "color"})
    assert "no column named 'color'" in str(caught.value)
    assert "allowed: colour, label, path" in str(caught.value)


def test_table_refuses_to_guess_among_unusual_names(folder):
    with pytest.raises(UserError) as caught:
        csv_table(folder, "where,what,when\nimg/0.png,cat,today\n")
    assert "usual name for the image" in str(caught.value)
    assert "data.image_column=NAME" in str(caught.value)


def test_table_refuses_one_column_as_image_and_label(folder):
    with pytest.raises(UserError, match="both image and label"):
        csv_table(folder, "path,x\nimg/0.png,1\n", label_column="path")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no rows"),
        ("path,label\n", "no rows"),
        ("path,path,label\na,b,c\n", "two columns named 'path'"),
        ("path,label\nimg/0.png,cat\nimg/1.png\n", "row 3 has 1 values, the first line has 2"),
        ("path,label\nimg/0.png,cat,tom\n", "row 2 has 3 values"),
        ('path,label\n"img/0.png,cat\n', "cannot be read"),
        ("path,label\n,cat\n", "no path in column 'path'"),
        ("path,label\nimg/0.png,\n", "no label in column 'label'"),
        ("path,label,split\nimg/0.png,cat,holdout\n", "unknown split 'holdout'"),
    ],
)
def test_table_refuses_broken_text(folder, text, match):
    with pytest.raises(UserError, match=match):
        csv_table(folder, text)


def test_table_error_names_the_row(folder):
    with pytest.raises(UserError, match=r"labels\.csv, row 3"):
        csv_table(folder, "path,label\nimg/0.png,cat\nimg/1.png,\n")


def test_table_counts_blank_lines_where_it_names_a_row(folder):
    with pytest.raises(UserError, match=r"labels\.csv, row 6"):
        csv_table(folder, "\npath;label\n\nimg/0.png;cat\n ; \nimg/1.png;\n")
    with pytest.raises(UserError, match="row 4 has 1 values"):
        csv_table(folder, "path,label\nimg/0.png,cat\n,\nimg/1.png\n")
    with pytest.raises(UserError, match=r"m\.jsonl, row 3"):
        csv_table(folder, '{"path": "img/0.png", "label": "cat"}\n\n{"path": "img/1.png"}\n', name="m.jsonl")


def test_table_passes_over_rows_of_empty_cells(folder):
    source = csv_table(folder, "path,label\nimg/0.png,cat\n,\n , \nimg/1.png,dog\n")
    assert [row[:2] for row in rows(source)] == [("img/0.png", ("cat",)), ("img/1.png", ("dog",))]


def test_table_refuses_what_is_not_utf8(folder):
    (folder / "labels.csv").write_bytes(b"path,label\nimg/0.png,caf\xe9\n")
    with pytest.raises(UserError, match="not UTF-8"):
        Table(path=str(folder / "labels.csv"))


def test_table_refuses_what_is_not_there(tmp_path):
    for path in (tmp_path / "no.csv", tmp_path):
        with pytest.raises(UserError, match="no table"):
            Table(path=str(path))


# --- repeated rows -------------------------------------------------------------------------------------------------


def test_table_same_row_twice_counts_once(folder):
    source = csv_table(folder, "path,label\nimg/0.png,cat\n./img/0.png,cat\nimg/1.png,dog\n")
    assert [row[0] for row in rows(source)] == ["img/0.png", "img/1.png"]
    assert any("1 rows name an image that an earlier row names" in note for note in source.notes)


def test_table_refuses_one_image_of_two_classes(folder):
    with pytest.raises(UserError) as caught:
        csv_table(folder, "path,label\nimg/0.png,cat\nimg/0.png,dog\n")
    assert "listed twice, as 'cat' and as 'dog'" in str(caught.value)
    assert "multi_label=true" in str(caught.value)


def test_table_refuses_one_image_in_two_splits(folder):
    with pytest.raises(UserError, match="different splits"):
        csv_table(folder, "path,label,split\nimg/0.png,cat,train\nimg/0.png,cat,test\n")


def test_table_joins_the_labels_of_repeated_rows_in_a_multi_label_task(folder):
    source = csv_table(folder, "path,label\nimg/0.png,cat\nimg/0.png,black\n", multi_label=True)
    assert rows(source) == [("img/0.png", ("black", "cat"), None, None)]


# --- multi-label ---------------------------------------------------------------------------------------------------


def test_table_separator_makes_it_multi_label(folder):
    source = csv_table(folder, "path,label\nimg/0.png,cat|black\nimg/1.png,dog\nimg/2.png,\nimg/3.png,a||a| \n")
    assert source.task is Task.MULTI_LABEL
    assert [row[1] for row in rows(source)] == [("black", "cat"), ("dog",), (), ("a",)]


def test_table_other_separator(folder):
    source = csv_table(folder, "path,label\nimg/0.png,cat;black\n", label_separator=";", image_column="path")
    assert rows(source)[0][1] == ("black", "cat")


def test_table_refuses_an_empty_separator(folder):
    with pytest.raises(UserError, match="label_separator is empty") as caught:
        csv_table(folder, "path,label\nimg/0.png,cat\n", label_separator="")
    assert 'data.label_separator=" "' in str(caught.value)


def test_table_multi_label_by_option(folder):
    source = csv_table(folder, "path,label\nimg/0.png,cat\nimg/1.png,\n", multi_label=True)
    assert source.task is Task.MULTI_LABEL
    assert [row[1] for row in rows(source)] == [("cat",), ()]


def test_table_multi_label_off_keeps_the_separator_in_the_name(folder):
    source = csv_table(folder, "path,label\nimg/0.png,cat|black\n", multi_label=False)
    assert (source.task, rows(source)[0][1]) == (Task.SINGLE_LABEL, ("cat|black",))


# --- JSON lines ----------------------------------------------------------------------------------------------------


def test_table_of_json_lines(folder):
    lines = [{"file_name": "img/0.png", "label": "cat"}, {"file_name": "img/1.png", "label": 3, "split": "test"}]
    source = csv_table(folder, "\n".join(map(json.dumps, lines)) + "\n\n", name="metadata.jsonl")
    assert rows(source) == [("img/0.png", ("cat",), None, None), ("img/1.png", ("3",), "test", None)]


def test_table_of_json_lines_with_lists(folder):
    source = csv_table(folder, json.dumps({"image": "img/0.png", "tags": ["b", "a"]}), name="x.jsonl")
    assert (source.task, rows(source)[0][1]) == (Task.MULTI_LABEL, ("a", "b"))
    with pytest.raises(UserError, match="multi_label=false"):
        Table(path=str(folder / "x.jsonl"), multi_label=False)


@pytest.mark.parametrize(("text", "match"), [("{]", "line 1 is no JSON"), ("[1]", "no JSON object"), ("", "no rows")])
def test_table_refuses_broken_json(folder, text, match):
    with pytest.raises(UserError, match=match):
        csv_table(folder, text, name="x.jsonl")


# --- parquet -------------------------------------------------------------------------------------------------------


def image_column(images, paths=None):
    values = [
        None if b is None and p is None else {"bytes": b, "path": p}
        for b, p in zip(images, paths or [None] * len(images), strict=True)
    ]
    return pa.array(values, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


def write(path, columns, *, metadata=None, row_group_size=None):
    table = pa.table(columns)
    if metadata is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def class_label(names):
    return {"info": {"features": {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}}}


def test_parquet_of_paths(folder):
    write(folder / "t.parquet", {"path": ["img/0.png", "img/1.png"], "label": ["cat", "dog"], "split": ["train", None]})
    source = Table(path=str(folder / "t.parquet"))
    assert rows(source) == [("img/0.png", ("cat",), "train", None), ("img/1.png", ("dog",), None, None)]


def test_parquet_with_images_inside(tmp_path, photo):
    images = [photo(i) for i in range(25)]
    write(
        tmp_path / "t.parquet",
        {"image": image_column(images), "label": pa.array([i % 2 for i in range(25)])},
        metadata=class_label(["cat", "dog"]),
        row_group_size=4,
    )
    source = Table(path=str(tmp_path / "t.parquet"))
    keys = [s.key for s in source.samples()]
    assert keys[0] == "t.parquet#00"
    assert keys == sorted(keys)
    assert [source.read(key) for key in keys] == images
    assert [source.read(key) for key in reversed(keys)] == images[::-1]
    assert source.classes == ("cat", "dog")
    assert [s.labels[0] for s in source.samples()][:3] == ["cat", "dog", "cat"]
    assert source.samples()[0].size_bytes == (tmp_path / "t.parquet").stat().st_size


def test_parquet_with_plain_bytes(tmp_path, photo):
    write(tmp_path / "t.parquet", {"img": pa.array([photo(1)], pa.binary()), "y": [7]})
    source = Table(path=str(tmp_path / "t.parquet"))
    assert source.read("t.parquet#0") == photo(1)
    assert source.samples()[0].labels == ("7",)


def test_parquet_rows_without_bytes_are_read_by_path_or_not_at_all(folder):
    write(folder / "t.parquet", {"image": image_column([None, None], ["img/3.png", None]), "label": ["a", "b"]})
    source = Table(path=str(folder / "t.parquet"))
    assert source.read("t.parquet#0") == (folder / "img/3.png").read_bytes()
    with pytest.raises(OSError, match="no image"):
        source.read("t.parquet#1")


def test_parquet_shards_say_their_split(tmp_path, photo):
    for name in ("train-00000-of-00002", "train-00001-of-00002", "validation-00000-of-00001", "test-00000-of-00001"):
        write(
            tmp_path / f"{name}.parquet", {"image": image_column([photo(1)]), "label": [0]}, metadata=class_label(["x"])
        )
    source = Table(path=str(tmp_path))
    assert [s.split for s in source.samples()] == ["test", "train", "train", "val"]
    assert source.name == tmp_path.name


def test_parquet_shards_in_a_data_folder_and_in_split_folders(tmp_path, photo):
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_text("x")
    write(tmp_path / "data/train-0.parquet", {"image": image_column([photo(1)]), "label": ["a"]})
    assert rows(Table(path=str(tmp_path))) == [("data/train-0.parquet#0", ("a",), "train", None)]
    for split in ("train", "validation"):
        (tmp_path / "other" / split).mkdir(parents=True)
        write(tmp_path / "other" / split / "0000.parquet", {"image": image_column([photo(1)]), "label": ["a"]})
    assert {s.split for s in Table(path=str(tmp_path / "other")).samples()} == {"train", "val"}


def test_parquet_single_file_does_not_take_its_split_from_its_name(tmp_path, photo):
    write(tmp_path / "train-0.parquet", {"image": image_column([photo(1)]), "label": ["a"]})
    assert Table(path=str(tmp_path / "train-0.parquet")).samples()[0].split is None


def test_parquet_refuses_shards_of_which_some_say_no_split(tmp_path, photo):
    for name in ("train-0", "more"):
        write(tmp_path / f"{name}.parquet", {"image": image_column([photo(1)]), "label": ["a"]})
    with pytest.raises(UserError, match=r"'more\.parquet' does not"):
        Table(path=str(tmp_path))


def test_parquet_refuses_shards_of_other_columns(tmp_path, photo):
    write(tmp_path / "train-0.parquet", {"image": image_column([photo(1)]), "label": ["a"]})
    write(tmp_path / "train-1.parquet", {"image": image_column([photo(1)]), "labels": ["a"]})
    with pytest.raises(UserError, match=r"no column named 'label'\n.*train-1"):
        Table(path=str(tmp_path))


def test_parquet_class_names_of_a_list_of_class_labels(tmp_path, photo):
    metadata = {
        "info": {
            "features": {"label": {"feature": {"names": ["a", "b", "c"], "_type": "ClassLabel"}, "_type": "Sequence"}}
        }
    }
    write(
        tmp_path / "t.parquet",
        {"image": image_column([photo(1)] * 2), "label": pa.array([[0, 2], []])},
        metadata=metadata,
    )
    source = Table(path=str(tmp_path / "t.parquet"))
    assert source.task is Task.MULTI_LABEL
    assert [s.labels for s in source.samples()] == [("a", "c"), ()]


@pytest.mark.parametrize("file", ["classes.tsv", "classes.txt", "classes"])
def test_parquet_class_names_beside_it(tmp_path, photo, file):
    (tmp_path / file).write_text("n01\tcat, house cat\nn02\tdog\n")
    write(tmp_path / "t.parquet", {"image": image_column([photo(1)] * 2), "label": [1, 0]})
    source = Table(path=str(tmp_path / "t.parquet"))
    assert source.classes == ("n01", "n02")
    assert [s.labels[0] for s in source.samples()] == ["n02", "n01"]


@pytest.mark.parametrize(
    "metadata", [{}, {"info": {}}, {"info": {"features": {"label": {"dtype": "int64"}}}}, {"info": None}]
)
def test_parquet_metadata_without_names(tmp_path, photo, metadata):
    write(tmp_path / "t.parquet", {"image": image_column([photo(1)]), "label": [5]}, metadata=metadata)
    source = Table(path=str(tmp_path / "t.parquet"))
    assert (source.classes, source.samples()[0].labels) == ((), ("5",))


def test_parquet_refuses_a_number_without_a_name(tmp_path, photo):
    write(tmp_path / "t.parquet", {"image": image_column([photo(1)]), "label": [2]}, metadata=class_label(["a", "b"]))
    with pytest.raises(UserError, match="label 2 has no name"):
        Table(path=str(tmp_path / "t.parquet"))


def test_parquet_refuses_two_classes_of_one_name(tmp_path, photo):
    write(tmp_path / "t.parquet", {"image": image_column([photo(1)]), "label": [0]}, metadata=class_label(["a", "a"]))
    with pytest.raises(UserError, match="same name"):
        Table(path=str(tmp_path / "t.parquet"))


def test_parquet_leaves_out_the_hubs_rows_without_label(tmp_path, photo):
    write(
        tmp_path / "t.parquet",
        {"image": image_column([photo(1)] * 3), "label": [0, -1, 1]},
        metadata=class_label(["a", "b"]),
    )
    source = Table(path=str(tmp_path / "t.parquet"))
    assert [s.key for s in source.samples()] == ["t.parquet#0", "t.parquet#2"]
    assert any("left out 1 rows whose label is -1" in note for note in source.notes)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([1.0, 2.0]), ["1", "2"]),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array([1, 2], pa.uint8()), ["1", "2"]),
    ],
)
def test_parquet_label_types(tmp_path, photo, values, expected):
    write(tmp_path / "t.parquet", {"image": image_column([photo(1)] * 2), "label": values})
    assert [s.labels[0] for s in Table(path=str(tmp_path / "t.parquet")).samples()] == expected


@pytest.mark.parametrize("values", [pa.array([0.5]), pa.array([None], pa.string()), pa.array([float("nan")])])
def test_parquet_refuses_labels_that_are_none(tmp_path, photo, values):
    write(tmp_path / "t.parquet", {"image": image_column([photo(1)]), "label": values})
    with pytest.raises(UserError, match="label"):
        Table(path=str(tmp_path / "t.parquet"))


def test_parquet_refuses_damaged_files(tmp_path, photo):
    path = write(tmp_path / "t.parquet", {"image": image_column([photo(1)]), "label": ["a"]})
    data = path.read_bytes()
    for broken in (b"", b"text", data[: len(data) // 2]):
        path.write_bytes(broken)
        with pytest.raises(UserError, match="no parquet file"):
            Table(path=str(path))


def test_parquet_damaged_pixels_are_bad_images_and_not_a_crash(tmp_path, photo):
    images = [np.random.default_rng(i).bytes(5000) for i in range(20)]
    path = write(tmp_path / "t.parquet", {"image": image_column(images), "label": ["a", "b"] * 10}, row_group_size=5)
    data = bytearray(path.read_bytes())
    start = data.index(images[7][:100])
    data[start - 3000 : start + 100] = b"\xff" * 3100
    path.write_bytes(data)
    source = Table(path=str(path))
    assert source.read("t.parquet#19") == images[19]
    with pytest.raises(OSError, match="row group 1"):
        source.read("t.parquet#07")


def test_parquet_reads_from_many_threads(tmp_path, photo):
    from concurrent.futures import ThreadPoolExecutor

    images = [photo(i) for i in range(60)]
    write(tmp_path / "t.parquet", {"image": image_column(images), "label": ["a", "b"] * 30}, row_group_size=3)
    source = Table(path=str(tmp_path / "t.parquet"))
    keys = [s.key for s in source.samples()]
    order = np.random.default_rng(0).permutation(60)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(source.read, [keys[i] for i in order]))
    assert read == [images[i] for i in order]


def test_parquet_row_group_is_read_once_however_many_threads_ask(tmp_path, photo, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    from zoo_plugins.dataset_sources.trees import DiskTree

    write(tmp_path / "t.parquet", {"image": image_column([photo(1)] * 8), "label": ["a", "b"] * 4})
    source = Table(path=str(tmp_path / "t.parquet"))
    opened, real = [], DiskTree.open

    def slow(tree, path):
        opened.append(path)
        time.sleep(0.02)
        return real(tree, path)

    monkeypatch.setattr(DiskTree, "open", slow)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(source.read, [s.key for s in source.samples()]))
    assert opened == ["t.parquet"]


# --- folders -------------------------------------------------------------------------------------------------------


def test_find_tables_takes_the_topmost():
    def infos(*paths):
        return [FileInfo(path, 1, 1) for path in paths]

    assert find_tables(infos("a.png", "x/labels.csv", "labels.csv")) == ["labels.csv"]
    assert find_tables(infos("classes.tsv", "train-0.parquet", "b.parquet")) == ["train-0.parquet", "b.parquet"]
    assert find_tables(infos("labels.csv", "data/train-0.parquet")) == ["data/train-0.parquet"]
    assert find_tables(infos("labels.csv", "a/b/train-0.parquet")) == ["labels.csv"]
    assert find_tables(infos("classes.txt", "classes.tsv", "a.png")) == []
    with pytest.raises(UserError, match=r"2 tables lie there"):
        find_tables(infos("a.csv", "b.csv"))


def test_table_of_a_folder_with_one_table(folder):
    (folder / "labels.csv").write_text("path,label\nimg/0.png,cat\n")
    source = Table(path=str(folder))
    assert rows(source) == [("img/0.png", ("cat",), None, None)]
    assert source.location == str(folder)


def test_table_into_a_listing_with_groups(folder):
    lines = [f"img/{i}.png,{'ab'[i % 2]},patient {i // 2}" for i in range(10)]
    listing = list_images(csv_table(folder, "path,label,group\n" + "\n".join(lines)))
    splits = {}
    for sample in listing.samples:
        splits.setdefault(sample.group, set()).add(sample.split)
    assert all(len(names) == 1 for names in splits.values())
