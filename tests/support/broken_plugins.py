"""Sources of plugins that need no torch, good ones and deliberately broken ones."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field


def schedule(body: str, *, top: str = "", init: str = "") -> str:
    start = f"    def __init__(self) -> None:\n{textwrap.indent(textwrap.dedent(init), ' ' * 8)}\n" if init else ""
    call = textwrap.indent(textwrap.dedent(body).strip(), " " * 8)
    return f"{top}\nclass Thing:\n{start}    def __call__(self, progress: float) -> float:\n{call}\n"


def augmentation(body: str, *, top: str = "", init: str = "pass") -> str:
    call = textwrap.indent(textwrap.dedent(body).strip(), " " * 8)
    start = textwrap.indent(textwrap.dedent(init).strip(), " " * 8)
    return (
        f"import numpy as np\n{top}\nclass Thing:\n    def __init__(self) -> None:\n{start}\n"
        f"    def __call__(self, image, rng):\n{call}\n"
    )


GOOD_SCHEDULE = schedule("return 1 - 0.5 * progress")
GOOD_AUGMENTATION = augmentation(
    "return np.clip(image.astype(int) + rng.integers(-9, 10, image.shape), 0, 255).astype(np.uint8)"
)
GOOD_STRATEGY = """
from zoo.contracts.training import Phase, Plan
class Thing:
    def plan(self, facts, *, network, pretrained, must_train):
        return Plan("thing", (Phase("all", "train", epochs=3),), "everything is trained")
"""
GOOD_DATASET = """
import numpy as np
from zoo.contracts.data import Sample, Task
class Thing:
    name = location = "thing"
    task = Task.SINGLE_LABEL
    classes = ("a", "b")
    def samples(self):
        return [Sample(str(i), (self.classes[i % 2],)) for i in range(20)]
    def read(self, key):
        return np.random.Generator(np.random.PCG64(int(key))).integers(0, 256, (6, 6, 3)).astype(np.uint8)
"""
GOOD_TRACKER = """
class Thing:
    def start(self, run):
        run.folder.mkdir(parents=True, exist_ok=True)
        self._path = run.folder / "curves.txt"
    def log(self, values, step):
        with self._path.open("a") as file:
            file.write(f"{step} {dict(values)}\\n")
    def finish(self, scores, error=None):
        self.log(scores, -1)
"""
GOOD_IMPORTER = """
import json
import numpy as np
from zoo.contracts.importing import ForeignLayer, ForeignModel
from zoo.errors import UserError
def sample(folder):
    path = folder / "net.acme"
    path.write_text(json.dumps({"fc": [[1.0, 2.0]]}))
    return path
class Thing:
    def reads(self, path):
        return path.suffix == ".acme" and path.is_file() and path.read_bytes().startswith(b'{"')
    def read(self, path, *, definition=None):
        try:
            content = json.loads(path.read_bytes())
        except ValueError as error:
            raise UserError("the file is torn", where=str(path)) from error
        layers = [ForeignLayer(n, "dense", {"weight": np.asarray(v, np.float32)}) for n, v in content.items()]
        return ForeignModel("acme", tuple(layers), "file")
    def forward(self, path, *, definition=None):
        return None
"""
IMPORTER = 'suffixes=(".acme",), sample="acme_parts:sample"'
GOOD_WEIGHTS = """
class Thing:
    def locate(self, request):
        return None
    def find(self, request):
        return None
    def places(self, request):
        return ["nowhere"]
"""
GOOD_COMMAND = """
import sys
def Thing(argv: list[str]) -> int:
    sys.stdout.write("usage: thing\\n")
    return 0
"""
GOOD = {
    "schedule": (GOOD_SCHEDULE, ""),
    "augmentation": (GOOD_AUGMENTATION, ""),
    "strategy": (GOOD_STRATEGY, ""),
    "dataset": (GOOD_DATASET, ""),
    "tracker": (GOOD_TRACKER, ""),
    "importer": (GOOD_IMPORTER, IMPORTER),
    "weights": (GOOD_WEIGHTS, "rank=7"),
    "command": (GOOD_COMMAND, 'usage="thing"'),
}


@dataclass(frozen=True)
class Broken:
    """A plugin with one fault.

    Attributes:
        property: Which property finds it.
        says: What the failure says of it.
        hook: What is passed to `install` beside the source.
        also: Other properties that find it as well, because they are about the same.
    """

    property: str
    kind: str
    source: str
    says: str
    hook: dict[str, str] = field(default_factory=dict)
    also: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.property}-{self.kind}-{self.says.replace(' ', '_')[:30]}"


BROKEN = [
    Broken("described", "schedule", GOOD_SCHEDULE, "names no source", {"origin": None}),
    Broken("described", "schedule", GOOD_SCHEDULE, "5 characters", {"summary": "thing"}),
    Broken("described", "command", GOOD_COMMAND, "fact usage is None"),
    Broken(
        "signature",
        "schedule",
        GOOD_SCHEDULE.replace("class Thing:", "class Thing:\n    def __init__(self, *, low=0.1):\n        pass\n"),
        "'low' has no type",
    ),
    Broken(
        "signature",
        "schedule",
        GOOD_SCHEDULE.replace(
            "class Thing:",
            "class Thing:\n    '''Falls.\n\n    Args:\n        low: The end.\n    '''\n"
            "    def __init__(self, *, low: float = 'none') -> None:\n        pass\n",
        ),
        "default 'none' of 'low' does not fit its own type, float",
    ),
    Broken(
        "signature",
        "schedule",
        GOOD_SCHEDULE.replace(
            "class Thing:", "class Thing:\n    def __init__(self, *, low: float = 0.1) -> None:\n        pass\n"
        ),
        "'low' is not described in the docstring",
    ),
    Broken(
        "signature",
        "schedule",
        GOOD_SCHEDULE.replace(
            "class Thing:",
            "class Thing:\n    '''Falls.\n\n    Args:\n        low: The end.\n    '''\n"
            "    def __init__(self, low: float = 0.1) -> None:\n        pass\n",
        ),
        "'low' can be passed by position",
    ),
    Broken("signature", "command", GOOD_COMMAND.replace("argv", "words"), "takes words", {"details": 'usage="thing"'}),
    Broken("lazy", "schedule", GOOD_SCHEDULE, "imports numpy", {"top": "import numpy"}),
    Broken("import_time", "schedule", GOOD_SCHEDULE, "every command waits", {"top": "import time; time.sleep(0.3)"}),
    Broken("builds", "schedule", f"{GOOD_SCHEDULE}    def state_dict(self):\n        return {{}}\n",
           "state_dict alone", also=frozenset({"state"})),
    Broken("builds", "weights", GOOD_WEIGHTS.replace("def locate", "def find_there"), "no method 'locate'",
           {"details": "rank=7"}, also=frozenset({"shapes", "refuses", "no_network", "no_writes", "no_prints"})),
    Broken("picklable", "augmentation", augmentation("return self._change(image + rng.integers(0, 9, dtype=np.uint8))",
           init="self._change = lambda image: image"), "cannot be pickled"),
    Broken("threads", "dataset", GOOD_DATASET.replace("def read(self, key):", """def read(self, key):
        import time
        self.at = int(key)
        time.sleep(0.002)
        key = self.at"""), "read by several threads at once"),
    Broken("repeatable", "augmentation",
           augmentation("rng.random()\nreturn image + np.random.randint(0, 9, image.shape, dtype=np.uint8)"),
           "came out in two ways"),
    Broken("repeatable", "augmentation",
           augmentation("self.n = (self.n + 1) % 50\nreturn image + np.uint8(self.n) + rng.integers(9, dtype=np.uint8)",
           init="self.n = 0"), "kept from one image to the next"),
    Broken("repeatable", "schedule", schedule("self.calls += 1\nreturn 1 / self.calls", init="self.calls = 0"),
           "does not replay steps", also=frozenset({"state"})),
    Broken("repeatable", "strategy", GOOD_STRATEGY.replace("epochs=3", "epochs=__import__('random').randint(1, 10**9)"),
           "gave two plans"),
    Broken("distinct", "augmentation",
           augmentation("return image + np.random.default_rng(0).integers(0, 9, image.shape, dtype=np.uint8)"),
           "but from one of its own (numpy.random.default_rng)"),
    Broken("distinct", "augmentation", augmentation("rng.random()\nreturn 255 - image"),
           "24 generators made the same image"),
    Broken("shapes", "augmentation", augmentation("return (image * rng.random()).astype(np.float32)"),
           "it made float32 of uint8"),
    Broken("shapes", "augmentation", augmentation("return image[..., :1] + rng.integers(9, dtype=np.uint8)"),
           "the channels must stay"),
    Broken("shapes", "schedule", schedule("return 0.5 - progress"), "finite factor of 0 or more"),
    Broken("shapes", "strategy", GOOD_STRATEGY.replace("epochs=3", "epochs=3, frozen=(9,)"), "frozen is (9,)"),
    Broken("shapes", "dataset", GOOD_DATASET.replace(".astype(np.uint8)", ".astype(np.float32)"), "float32 values"),
    Broken("shapes", "importer", GOOD_IMPORTER.replace("np.float32", "np.float64"), "weight of fc is float64[1, 2]",
           {"details": IMPORTER}),
    Broken("inputs", "tracker", GOOD_TRACKER.replace("with self", "values.pop('train/lr', None)\n        with self"),
           "log() changed the values"),
    Broken("inputs", "tracker", GOOD_TRACKER.replace("with self", "__import__('random').random()\n        with self"),
           "draws from random"),
    Broken("state", "tracker", GOOD_TRACKER.replace("def log", "    self._path.unlink(missing_ok=True)\n    def log"),
           "resumed after a break"),
    Broken("acts", "augmentation", augmentation("rng.random()\nreturn image"), "images came out changed",
           also=frozenset({"distinct"})),
    Broken("acts", "schedule", schedule("return 0.0"), "0 throughout"),
    Broken("acts", "tracker", GOOD_TRACKER.replace('self._path.open("a")', 'open("/dev/null", "a")').replace(
           "run.folder.mkdir(parents=True, exist_ok=True)", "pass"), "holds nothing of it"),
    Broken("acts", "dataset", GOOD_DATASET.replace("PCG64(int(key))", "PCG64(0)"), "all have the same pixels"),
    Broken("acts", "command", GOOD_COMMAND.replace("return 0", "return 1"), "--help ends with 1",
           {"details": 'usage="thing"'}),
    Broken("refuses", "importer", GOOD_IMPORTER.replace("except ValueError", "except KeyError"),
           "a torn file (empty.acme) is not refused", {"details": IMPORTER}, also=frozenset()),
    Broken("refuses", "weights", GOOD_WEIGHTS.replace("return None", "return __import__('pathlib').Path('/')", 1),
           "found weights of 'kit/nobodys_network'", {"details": "rank=7"}),
    Broken("no_network", "schedule",
           schedule("try:\n    socket.create_connection(('example.com', 80), 1)\nexcept OSError:\n    pass\nreturn 1.0",
           top="import socket"), "asked the network for example.com"),
    Broken("no_writes", "schedule", schedule("open('notes.txt', 'w').close()\nreturn 1.0"), "notes.txt"),
    Broken("no_prints", "schedule", schedule("os.write(1, b'under Python')\nreturn 1.0", top="import os"),
           "it printed 'under Python"),
    Broken("no_prints", "schedule", schedule("return 1.0", top="print('hello from the import')"),
           "hello from the import"),
]  # fmt: skip
