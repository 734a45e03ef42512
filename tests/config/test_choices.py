"""`data=PATH` and `model=PATH`: any file name reaches the configuration unchanged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zoo.config.choices import list_items, split_values
from zoo.config.compose import configure
from zoo.config.run_config import FinetuneConfig
from zoo.errors import UserError, UserErrors
from zoo.plugins import Plugins, load_plugins

Configure = Callable[..., FinetuneConfig]

ODD_NAMES = [
    "photos (1)",
    "it's",
    'say "cheese"',
    "a,b",
    "[a]",
    "{a: 1}",
    "${train.seed}",
    "$HOME",
    "a=b",
    "data=x",
    "two\nlines",
    "tab\there",
    "año",
    "写真",
    "~photos",
    "~",
    "'quoted'",
    '"quoted"',
    " lead and trail ",
    "back\\slash",
    "null",
    "1e-4",
    "true",
    "???",
    "-m",
    "--json",
    "+x",
    "a;b|c&d>e",
    "*?",
    "#hash",
    "e\u0301",
    "@2",
    "hf:",
]


def read_back(plugins: Plugins, *words: str) -> FinetuneConfig:
    return configure([*words, "model=lenet5"], plugins, source_for=lambda path: "folder")


def check_name(plugins: Plugins, name: str, *, key: str) -> None:
    """In an empty folder, a folder of this name is the data set that `key=name` means."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            Path("./" + name).mkdir()
            words = [f"data={name}"] if key == "data" else ["data=folder", f"data.path={name}"]
            path = read_back(plugins, *words).data.options["path"]
            assert Path(path) == Path("./" + name)
            assert Path(path).is_dir()
            if not name.startswith("~") and name != "???":
                assert path == name
            assert os.listdir() == [name]
        finally:
            os.chdir(before)


file_names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=20
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)


@pytest.mark.parametrize("name", [name for name in ODD_NAMES if not name.startswith("hf:")])
def test_odd_file_names_reach_the_configuration(name: str, plugins: Plugins) -> None:
    check_name(plugins, name, key="data")


def _property(plugins: Plugins, *, examples: int) -> None:
    @settings(max_examples=examples)
    @given(file_names, st.sampled_from(["data", "data.path"]))
    @example("'", "data")
    def check(name: str, key: str) -> None:
        if (
            name not in plugins.registry.names("dataset")
            and not name.startswith("hf:")
            and name not in ("null", "None")
        ):
            check_name(plugins, name, key=key)

    check()


def test_any_file_name_reaches_the_configuration(plugins: Plugins) -> None:
    _property(plugins, examples=20)


@pytest.mark.slow
def test_any_of_many_file_names_reaches_the_configuration(plugins: Plugins) -> None:
    _property(plugins, examples=300)


SCRIPT = """
import json, sys
from zoo.config.compose import configure
from zoo.plugins import load_plugins
found = []
for word in sys.argv[1:]:
    config = configure([word, "model=lenet5"], load_plugins(only=[]), source_for=lambda path: "folder")
    found.append(config.data.options["path"])
json.dump(found, sys.stdout)
"""


def test_odd_file_names_survive_a_real_command_line(tmp_path: Path) -> None:
    names = ["it's, a [b] (1)", "${x}=y", "two\nlines", "año 写真", '"q" \\ ~']
    for name in names:
        (tmp_path / name).mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *(f"data={name}" for name in names)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == names


def test_configuration_of_a_real_command_line_holds_the_name(tmp_path: Path) -> None:
    import yaml

    name = "it's, a [b] ${x}\n=año"
    (tmp_path / name / "cats").mkdir(parents=True)
    command = [sys.executable, "-m", "zoo", "finetune", "--cfg", "job", "model=lenet5", f"data={name}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["data"]["path"] == name


def test_home_folder_is_put_in_place(plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "photos").mkdir()

    assert read_back(plugins, "data=~/photos").data.options["path"] == str(tmp_path / "photos")
    assert read_back(plugins, "run.root=~/runs").run.root == str(tmp_path / "runs")


def test_registered_name_wins_and_a_line_says_so(configured: Configure) -> None:
    Path("digits").mkdir()
    config = configured("data=digits")
    assert config.data.name == "zoo/digits"
    assert config.notes == ("data=digits: took the registered data set; write data=./digits for the path",)

    config = configured("data=./digits")
    assert (config.data.name, config.data.options["path"]) == ("zoo/folder", "./digits")
    assert config.notes == ()
    assert config.asked("data.name")
    assert config.asked("data.path")


def test_model_name_wins_over_a_folder_too(configured: Configure) -> None:
    Path("lenet5").mkdir()
    config = configured("model=lenet5")
    assert config.model.name == "zoo/lenet5"
    assert config.notes == ("model=lenet5: took the registered model; write model=./lenet5 for the path",)


def test_source_is_chosen_by_the_path_itself(plugins: Plugins, tmp_path: Path) -> None:
    seen: list[Path] = []

    def source_for(path: Path) -> str:
        seen.append(path)
        return "table"

    table = tmp_path / "photos.csv"
    table.touch()
    config = configure([f"data={table}", "model=lenet5"], plugins, source_for=source_for)
    assert seen == [table]
    assert config.data.name == "zoo/table"


def test_missing_path_lists_what_lies_there(configured: Configure, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError) as raised:
        configured("data=./photoz")
    assert raised.value.what == "data='./photoz' is a path that does not exist"
    assert "photos" in str(raised.value.allowed)

    with pytest.raises(UserError) as raised:
        configured("data=photoz")
    assert raised.value.what == "data='photoz' is neither a path that exists nor a data set"
    assert "photos" in str(raised.value.allowed)
    assert "digits" in str(raised.value.allowed)


def test_hub_names_need_a_plugin_that_reads_them(configured: Configure) -> None:
    with pytest.raises(UserError, match="no installed plugin reads data sets from the hub"):
        configured("data=hf:cifar10")


def test_data_path_given_twice_is_refused(configured: Configure) -> None:
    Path("a").mkdir()
    with pytest.raises(UserError, match="leave one of them out"):
        configured("data=./a", "data.path=b")


def saved_model(folder: Path, *, name: str = "zoo/lenet5", **options: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "zoo.json").write_text(json.dumps({"model": {"name": name, "options": options}}), encoding="utf-8")
    return folder


def test_model_path_continues_from_a_run_or_a_saved_model(configured: Configure, tmp_path: Path) -> None:
    saved = saved_model(tmp_path / "my run" / "model", activation="tanh")

    for path in (saved, saved.parent):
        config = configured(f"model={path}")
        assert config.model.name == "zoo/lenet5"
        assert config.weights == str(saved)
        assert config.model.options["activation"] == "tanh"
        assert config.origins["model.activation"] == f"file {saved / 'zoo.json'}"
        assert config.notes == (f"model={path}: continues from the saved zoo/lenet5 there",)
    assert configured(f"model={saved}", "model.activation=scaled_tanh").model.options["activation"] == "scaled_tanh"


def test_model_path_without_a_saved_model_is_refused(configured: Configure, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is a path, but no run and no saved model") as raised:
        configured("model=./empty", "model.activation=tanh")  # the option is not blamed too
    assert not isinstance(raised.value, UserErrors)
    (tmp_path / "empty" / "zoo.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be read: JSONDecodeError"):
        configured("model=./empty")


def test_model_path_brings_its_own_weights(configured: Configure, tmp_path: Path) -> None:
    saved = saved_model(tmp_path / "model")
    assert configured(f"model={saved}", "weights=auto").weights == str(saved)
    with pytest.raises(UserError, match="weights=none is given too"):
        configured(f"model={saved}", "weights=none")


@pytest.mark.parametrize(
    ("value", "items"),
    [("[a,b]", ["a", "b"]), ("a", ["a"]), ("[]", []), ("[ a , 'b' ]", ["a", "b"]), ("", []), ("[a@2]", ["a@2"])],
)
def test_list_items(value: str, items: list[str]) -> None:
    assert list_items(value) == items


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("a,b", ["a", "b"]),
        ("[a,b],[c]", ["[a,b]", "[c]"]),
        ("'a,b',c", ["'a,b'", "c"]),
        ("range(1,3)", ["range(1,3)"]),
        ("a", ["a"]),
        ("", [""]),
        ('"it\'s,",b', ['"it\'s,"', "b"]),
    ],
)
def test_split_values_cuts_at_outer_commas_only(value: str, parts: list[str]) -> None:
    assert split_values(value) == parts


@given(st.lists(st.text("abc123_-.", min_size=1), min_size=1, max_size=5))
def test_split_values_undoes_join(parts: list[str]) -> None:
    assert split_values(",".join(parts)) == parts


@pytest.mark.parametrize(
    ("name", "meant"), [("xception", "timm/legacy_xception"), ("timm/tv_resnet34", "timm/resnet34.tv_in1k")]
)
def test_an_older_name_of_a_network_is_resolved_and_said(configured: Configure, name: str, meant: str) -> None:
    config = configured(f"model={name}")
    assert config.model.name == meant
    assert config.notes == (f"model={name}: an older name of {meant}",)


ADDRESSED = """
from urllib.parse import quote, unquote

from zoo.hookspecs import hookimpl
from zoo.registry import Offer

class Nets:
    def names(self):
        return []

    def offer(self, name):
        address = unquote(name.removeprefix("acme:"))
        if not address.startswith("/nets/"):
            return None
        return Offer("acme_nets:build", "A net", "x", name=quote(address, safe=""), bound={"address": address})

def build(*, address, classes, channels, image_size, depth: int = 3):
    raise NotImplementedError

@hookimpl
def register_models(register):
    register.provider("acme_nets:Nets", summary="nets", schemes=("acme",))
"""


def test_an_address_of_a_network_is_kept_by_its_full_name(make_distribution: Callable[..., Path]) -> None:
    make_distribution("acme", points={"acme.nets": "acme_nets"}, modules={"acme_nets": ADDRESSED})
    plugins = load_plugins(strict=True)
    config = configure(["model=acme:/nets/my (1) net", "model.depth=5"], plugins, source_for=str)
    assert config.model.name == "acme/%2Fnets%2Fmy%20%281%29%20net"
    assert config.model.own == {"depth": 5}
    assert config.notes == ("model=acme:/nets/my (1) net: acme/%2Fnets%2Fmy%20%281%29%20net",)
    with pytest.raises(UserError, match="unknown model 'acme:/elsewhere'"):
        configure(["model=acme:/elsewhere"], plugins, source_for=str)
