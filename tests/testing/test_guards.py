"""What is seen beside the work of a component, and that everything is put back afterwards."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest

from zoo.testing.draws import drew_globally, global_seed, global_states, own_generators
from zoo.testing.guards import Watched, captured, offline, watching


@pytest.fixture
def folders(tmp_path):
    made = {name: tmp_path / name for name in ("run", "tmp", "elsewhere")}
    for folder in made.values():
        folder.mkdir()
    return made


@pytest.fixture
def watch(folders):
    def begin(package: str = "test_guards"):
        return watching(
            allowed=(folders["run"],), temporary=folders["tmp"], elsewhere=folders["elsewhere"], package=package
        )

    return begin


def test_only_what_is_written_elsewhere_is_noted(watch, folders, tmp_path):
    (tmp_path / "old").touch()
    with watch() as found:
        (folders["run"] / "sub").mkdir()
        (folders["run"] / "sub" / "a.txt").write_text("a")
        with tempfile.NamedTemporaryFile() as file:
            assert file.name.startswith(str(folders["tmp"]))
        Path(os.devnull).write_text("a")
        (tmp_path / "old").read_text()
        (tmp_path / "b.txt").write_text("b")
        (tmp_path / "old").rename(tmp_path / "new")
        Path("here.txt").touch()
    noted = " ".join(found.writes)
    assert str(tmp_path / "b.txt") in noted
    assert str(tmp_path / "old") in noted
    assert str(tmp_path / "new") in noted
    assert "here.txt" in noted
    assert str(folders["run"]) not in noted
    assert len(found.writes) == 4


def test_what_is_written_below_python_is_found_in_the_current_folder(watch, folders):
    with watch() as found:
        subprocess.run([sys.executable, "-c", "open('made.txt', 'w')"], check=True)
    assert found.writes == [str(folders["elsewhere"] / "made.txt")]


def test_the_network_is_off_and_who_asked_is_noted(watch):
    with watch() as found:
        with pytest.raises(OSError, match="has switched the network off"):
            socket.create_connection(("example.com", 80), timeout=1)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            socket.create_connection(listener.getsockname(), timeout=5).close()
    assert [line.partition(" ")[0] for line in found.network] == ["example.com"]


def test_offline_is_no_more_than_that_and_ends(watch, tmp_path):
    with offline("test_guards"):
        (tmp_path / "a").touch()
        with pytest.raises(OSError, match="switched the network off"):
            socket.getaddrinfo("example.com", 80)
        with watch() as found, pytest.raises(OSError, match="switched the network off"):
            socket.gethostbyname("example.com")
        with pytest.raises(OSError, match="switched the network off"):
            socket.getaddrinfo("example.com", 80)
    assert len(found.network) == 1
    assert socket.getaddrinfo("127.0.0.1", 80)


def test_everything_that_is_printed_is_taken(watch, capfd):
    with watch() as found:
        print("by print")
        sys.stderr.write("by stderr\n")
        os.write(1, b"by the file\n")
        subprocess.run([sys.executable, "-c", "print('by a child')"], check=True)
        warnings.warn("a warning", stacklevel=1)
        logging.getLogger("somebody").warning("a log")
        os.write(2, b"[W1129 12:00:00.1 NNPACK.cpp:64] Could not initialize NNPACK!\n")
    assert set(found.printed.splitlines()) == {"by print", "by stderr", "by the file", "by a child"}
    os.write(1, b"afterwards")
    assert capfd.readouterr().out == "afterwards"


def test_all_is_put_back(watch, folders):
    before = os.getcwd(), tempfile.gettempdir(), os.environ.get("TMPDIR"), sys.stdout
    with pytest.raises(ZeroDivisionError), watch():
        1 / (os.getcwd() != str(folders["elsewhere"]))
    assert (os.getcwd(), tempfile.gettempdir(), os.environ.get("TMPDIR"), sys.stdout) == before
    with watch() as found:
        pass
    Path(folders["elsewhere"] / "later").touch()
    assert found == Watched()


def test_what_a_library_writes_while_it_is_imported_is_its_own_affair(watch, tmp_path, monkeypatch):
    library = tmp_path / "library"
    library.mkdir()
    (library / "some_library.py").write_text(f"open({str(tmp_path / 'cache.txt')!r}, 'w').close()\n")
    (library / "own_part.py").write_text("import some_library\n")
    (library / "own_part2.py").write_text(f"open({str(tmp_path / 'own.txt')!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(library))
    with watch("own_part") as found:
        __import__("own_part")
    assert found.writes == []
    with watch("own_part2") as found:
        __import__("own_part2")
    assert [write.partition(" ")[0] for write in found.writes] == [str(tmp_path / "own.txt")]
    assert "own_part2.py, line 1" in found.writes[0]


def test_captured_alone(capfd):
    found = Watched()
    with captured(found):
        os.write(2, b"below")
    assert found.printed == "below"
    assert capfd.readouterr().err == ""


def test_global_seeds_are_lent_and_given_back():
    import random

    before = global_states()
    with global_seed(3):
        first = random.random(), np.random.rand()
    with global_seed(3):
        assert (random.random(), np.random.rand()) == first
    assert drew_globally(before) == ""
    random.random()
    assert drew_globally(before) == "random"
    random.setstate(before[0])
    np.random.rand()
    assert drew_globally(before) == "numpy.random"
    np.random.set_state(before[1])


def test_own_generators_are_noted_and_still_work():
    import random

    kept = np.random.default_rng, random.Random
    with own_generators() as made:
        drawn = np.random.default_rng(1).random()
        state = random.Random(1).random()
        assert isinstance(np.random.RandomState(1).rand(), float)
        assert issubclass(random.Random, kept[1])
    assert made == ["numpy.random.default_rng", "random.Random", "numpy.random.RandomState"]
    assert (np.random.default_rng, random.Random) == kept
    assert (drawn, state) == (np.random.default_rng(1).random(), random.Random(1).random())
