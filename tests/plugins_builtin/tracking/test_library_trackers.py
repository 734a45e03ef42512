"""Trackers over libraries: what they wrote, read back with each library's own reader, where it is installed.

`test_in_an_environment_with_all_libraries` makes an environment that has them and runs this file in it.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from zoo.contracts.tracking import TrackedRun
from zoo.errors import Interrupted, UserError
from zoo.plugins import load_plugins

NAMES = ("tensorboard", "mlflow", "wandb", "trackio")
SETTINGS = {"train.seed": 3, "train.lr": 0.1, "train.max_time": None, "data.sides": [1, 2], "model.name": "zoo/x"}


def build(name: str, **options: Any) -> Any:
    return load_plugins(only=[]).registry.get("tracker", name).build(**options)


def run_in(folder: Path, name: str, *, step: int = -1, resumed: bool = False) -> TrackedRun:
    return TrackedRun("16-00-00-x", folder, SETTINGS, resumed, folder / "trackers" / name, step)


def log_some(tracker: Any, *, start: int = 1, stop: int = 9) -> None:
    for step in range(start, stop):
        tracker.log({"train/loss": 1 / step, "train/lr": 0.1}, step)
        if step % 4 == 0:
            tracker.log({"val/accuracy": step / 10}, step)


def read_tensorboard(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "trackers" / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def mlflow_run(folder: Path) -> tuple[Any, Any]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder.absolute()}/trackers/mlflow/mlflow.db")
    (experiment,) = [one for one in client.search_experiments() if one.name == "zoo"]
    (run,) = client.search_runs([experiment.experiment_id])
    return client, run


def read_mlflow(folder: Path) -> dict[str, list[tuple[int, float]]]:
    client, run = mlflow_run(folder)
    return {
        name: sorted((one.step, one.value) for one in client.get_metric_history(run.info.run_id, name))
        for name in run.data.metrics
    }


def wandb_records(folder: Path) -> list[Any]:
    """All that was written, when it was: a process of its own writes the file, and goes on for a moment."""
    deadline = time.monotonic() + 20
    while not any(record.WhichOneof("record_type") == "exit" for record in wandb_messages(folder)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return list(wandb_messages(folder))


def wandb_messages(folder: Path) -> Iterator[Any]:
    """Its messages; they lie in LevelDB's log format, behind seven bytes that say what the file is."""
    from wandb.proto import wandb_internal_pb2

    (file,) = (folder / "trackers" / "wandb" / "wandb").glob("offline-run-*/*.wandb")
    content, place, data = file.read_bytes(), 7, b""
    assert content.startswith(b":W&B")
    while place + 7 <= len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        size, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        data += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # the whole of a message, or its last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            yield record
            data = b""


def read_wandb(folder: Path) -> dict[str, list[tuple[int, float]]]:
    import json

    found: dict[str, list[tuple[int, float]]] = {}
    for record in wandb_records(folder):
        if record.WhichOneof("record_type") == "history":
            values = {
                item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item
            }
            for name, value in values.items():
                if not name.startswith("_"):
                    found.setdefault(name, []).append((int(values["_step"]), value))
    return found


def read_trackio(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """In a process of its own: the library looks for its folder when it is imported."""
    import json

    code = (
        "import json, trackio\n"
        "(run,) = trackio.Api().runs('zoo')\n"
        "from trackio.sqlite_storage import SQLiteStorage\n"
        "print(json.dumps(SQLiteStorage.get_logs('zoo', run.name)))\n"
    )
    env = {**os.environ, "TRACKIO_DIR": str(folder / "trackers" / "trackio")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    found: dict[str, list[tuple[int, float]]] = {}
    for row in json.loads(done.stdout.splitlines()[-1]):
        for name, value in row.items():
            if "/" in name:
                found.setdefault(name, []).append((row["step"], value))
    return found


READERS: dict[str, Callable[[Path], dict[str, list[tuple[int, float]]]]] = {
    "tensorboard": read_tensorboard,
    "mlflow": read_mlflow,
    "wandb": read_wandb,
    "trackio": read_trackio,
}
EXPECTED = {
    "train/loss": [(step, 1 / step) for step in range(1, 9)],
    "train/lr": [(step, 0.1) for step in range(1, 9)],
    "val/accuracy": [(4, 0.4), (8, 0.8)],
    "test/accuracy": [(8, 0.75)],
}


def assert_curves(folder: Path, name: str) -> None:
    found = READERS[name](folder)
    assert set(found) == set(EXPECTED)
    for tag, points in EXPECTED.items():
        assert [step for step, _ in found[tag]] == [step for step, _ in points], tag
        assert [value for _, value in found[tag]] == pytest.approx([value for _, value in points]), tag


@pytest.fixture(params=NAMES)
def library(request, monkeypatch, tmp_path_factory) -> str:
    """Each library that is installed; what it would write into the user's own folder is seen."""
    pytest.importorskip("accelerate")
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    return str(request.param)


def test_curves_and_scores_are_read_back_with_the_librarys_own_reader(library, tmp_path, capfd):
    tracker = build(library)
    tracker.start(run_in(tmp_path, library))
    log_some(tracker)
    tracker.finish({"test/accuracy": 0.75})
    assert_curves(tmp_path, library)
    assert [file.name for file in tmp_path.iterdir()] == ["trackers"]
    assert capfd.readouterr().out == ""


def test_a_resumed_run_goes_on_in_the_same_place_without_doubling(library, tmp_path):
    """Killed when step 6 was logged, with a checkpoint at step 4: steps 5 and 6 come again."""
    first = build(library)
    first.start(run_in(tmp_path, library))
    log_some(first, stop=7)
    first.finish({}, KeyboardInterrupt())
    assert READERS[library](tmp_path)["train/loss"][-1] == (6, pytest.approx(1 / 6))
    second = build(library)
    second.start(run_in(tmp_path, library, step=4, resumed=True))
    log_some(second, start=5)
    second.finish({"test/accuracy": 0.75})
    assert_curves(tmp_path, library)


ADDRESSES = {
    "HF_TOKEN": "hf_not_one",
    "TRACKIO_SPACE_ID": "someone/space",
    "TRACKIO_SERVER_URL": "http://trackio.invalid",
    "MLFLOW_TRACKING_URI": "http://mlflow.invalid:5000",
    "WANDB_BASE_URL": "http://wandb.invalid",
    "WANDB_MODE": "online",
}
"""What a user may have set for other programs; an option of the run has to ask for it."""


def test_no_address_is_asked_not_even_where_the_environment_names_one(library, tmp_path):
    """In a process whose sockets to other machines are errors."""
    code = (
        "import socket, sys\n"
        "from pathlib import Path\n"
        "tried = []\n"
        "connect = socket.socket.connect\n"
        "def refuse(self, address):\n"
        "    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ('127.0.0.1', '::1'):\n"
        "        tried.append(address)\n"
        "        raise OSError('no network')\n"
        "    return connect(self, address)\n"
        "socket.socket.connect = refuse\n"
        "def resolve(host, *rest, **more):\n"
        "    if host not in (None, '', 'localhost', '127.0.0.1', '::1', socket.gethostname()):\n"
        "        tried.append(host)\n"
        "        raise OSError('no network')\n"
        "    return original(host, *rest, **more)\n"
        "original, socket.getaddrinfo = socket.getaddrinfo, resolve\n"
        "from zoo.cli import QUIET\n"
        "import os\n"
        "os.environ.update(QUIET)\n"
        "from plugins_builtin.tracking.test_library_trackers import build, log_some, run_in\n"
        "name, folder = sys.argv[1], Path(sys.argv[2])\n"
        "tracker = build(name)\n"
        "tracker.start(run_in(folder, name))\n"
        "log_some(tracker)\n"
        "tracker.finish({'test/accuracy': 0.75})\n"
        "print('tried', tried)\n"
    )
    env = {**os.environ, **ADDRESSES, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code, library, str(tmp_path)], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "tried []\n"
    assert_curves(tmp_path, library)


def test_what_a_library_lost_in_a_kill_is_there_after_a_resume(library, tmp_path):
    """Killed while it may still be writing, right behind a checkpoint at step 6."""
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from plugins_builtin.tracking.test_library_trackers import build, log_some, run_in\n"
        "name, folder = sys.argv[1], Path(sys.argv[2])\n"
        "tracker = build(name)\n"
        "tracker.start(run_in(folder, name))\n"
        "log_some(tracker, stop=7)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}  # a service of its own
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    subprocess.run([sys.executable, "-c", code, library, str(tmp_path)], capture_output=True, env=env, check=False)
    time.sleep(1.1)  # TensorBoard orders files by the second in which they were made
    second = build(library)
    second.start(run_in(tmp_path, library, step=6, resumed=True))
    log_some(second, start=7)
    second.finish({"test/accuracy": 0.75})
    assert_curves(tmp_path, library)


def test_runs_of_a_sweep_stay_apart(library, tmp_path):
    """One process, two runs."""
    for name in ("one", "two"):
        tracker = build(library)
        tracker.start(run_in(tmp_path / name, library))
        log_some(tracker)
        tracker.finish({"test/accuracy": 0.75})
    assert_curves(tmp_path / "one", library)
    assert_curves(tmp_path / "two", library)


def test_settings_are_there(tmp_path):
    pytest.importorskip("mlflow")
    tracker = build("mlflow")
    tracker.start(run_in(tmp_path, "mlflow"))
    tracker.finish({}, ValueError("x"))
    _, run = mlflow_run(tmp_path)
    assert run.data.params == {
        "train.seed": "3",
        "train.lr": "0.1",
        "train.max_time": "null",
        "data.sides": "[1, 2]",
        "model.name": "zoo/x",
    }
    assert (run.info.status, run.info.run_name) == ("FAILED", "16-00-00-x")


def test_mlflow_tells_an_interruption_from_a_failure(tmp_path):
    pytest.importorskip("mlflow")
    tracker = build("mlflow")
    tracker.start(run_in(tmp_path, "mlflow"))
    tracker.finish({}, Interrupted("x"))
    assert mlflow_run(tmp_path)[1].info.status == "KILLED"


def test_tensorboard_shows_settings_beside_scores(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    tracker = build("tensorboard")
    tracker.start(run_in(tmp_path, "tensorboard"))
    tracker.finish({})
    folder = tmp_path / "trackers" / "tensorboard"
    assert all(file.is_file() for file in folder.iterdir())  # a folder would be shown as a run of its own
    events = EventAccumulator(str(folder))
    events.Reload()
    content = events.PluginTagToContent("hparams")["_hparams_/session_start_info"]
    data = plugin_data_pb2.HParamsPluginData.FromString(content)
    assert data.session_start_info.hparams["model.name"].string_value == "zoo/x"


def test_wandb_settings_are_there_and_the_console_is_left_alone(tmp_path):
    pytest.importorskip("wandb")
    before = sys.stdout
    tracker = build("wandb")
    tracker.start(run_in(tmp_path, "wandb"))
    assert sys.stdout is before
    tracker.finish({})
    updates = [
        (update.key, update.value_json)
        for record in wandb_records(tmp_path)
        for update in (*record.config.update, *record.run.config.update)
    ]
    assert ("model.name", '"zoo/x"') in updates


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_library_is_said_with_the_line_that_installs_it(name, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda module, *rest: None if module == name else found(module))
    with pytest.raises(UserError, match="not installed") as error:
        build(name)
    assert error.value.do == (f"pip install {name}", f"or pip install 'zoo[{name}]'")
    assert error.value.where == f"trackers=[{name}]"


@pytest.mark.slow
def test_in_an_environment_with_all_libraries(tmp_path):
    """This file again, where all four are installed."""
    if all(importlib.util.find_spec(name) for name in NAMES):
        pytest.skip("they are installed here")
    home = tmp_path / "with"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    python = home / "bin" / "python"
    site = subprocess.run(
        [str(python), "-c", "import site; print(site.getsitepackages()[0])"], capture_output=True, text=True, check=True
    ).stdout.strip()
    ours = Path(pytest.__file__).parents[1]
    Path(site, "project.pth").write_text(f"import site; site.addsitedir({str(ours)!r})\n")
    installed = subprocess.run(
        [str(python), "-m", "pip", "install", "-q", *NAMES], capture_output=True, text=True, check=False
    )
    if installed.returncode:
        pytest.skip(f"they cannot be installed here: {installed.stderr.splitlines()[-1:]}")
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__).relative_to(root))],
        capture_output=True,
        text=True,
        cwd=root,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout.splitlines()[-1]
