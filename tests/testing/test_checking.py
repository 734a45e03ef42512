"""How looks become results: what is not applicable, what cannot be built, and whose fault a crash is."""

from __future__ import annotations

import pickle

import pytest

from zoo.errors import UserError
from zoo.kinds import KINDS
from zoo.testing import Finding, NotConforming, Status, check_component, findings
from zoo.testing.properties import PROPERTIES, chosen

NEEDS_LOW = """
class Thing:
    '''Falls to a value.

    Args:
        low: The value.
    '''
    def __init__(self, *, low: float) -> None:
        self.low = low
    def __call__(self, progress: float) -> float:
        return 1 - (1 - self.low) * progress
"""
CRASHES = """
class Thing:
    def __init__(self) -> None:
        self.missing = {}["nothing"]
    def __call__(self, progress: float) -> float:
        return 1.0
"""


def test_every_kind_has_the_generic_properties_and_one_of_its_own_contract():
    generic = {"described", "signature", "lazy", "import_time", "builds", "no_network", "no_writes"}
    for kind in KINDS:
        keys = {one.key for one in chosen(kind.name)}
        assert generic <= keys, kind.name
        assert keys - generic - {"no_prints"}, kind.name
        assert ("no_prints" in keys) == (kind.name != "command")


def test_every_look_is_there_and_says_why_and_how_to_fix_it():
    from importlib.util import find_spec
    from pathlib import Path

    titles = [one.title for one in PROPERTIES]
    assert len(set(titles)) == len(titles)
    for one in PROPERTIES:
        assert len(one.why) > 40
        assert len(one.fix) > 40
        for target in one.looks.values():
            module, _, function = target.partition(":")
            spec = find_spec(module)
            assert spec is not None, target
            assert f"\ndef {function}(subject: Subject) -> None:" in Path(spec.origin).read_text(encoding="utf-8"), (
                target
            )


def test_every_kind_has_a_module_with_its_building_and_its_use():
    from importlib.util import find_spec
    from pathlib import Path

    for kind in KINDS:
        text = Path(find_spec(f"zoo.testing.kinds.{kind.name}").origin).read_text(encoding="utf-8")
        assert "\ndef builds(subject: Subject) -> None:" in text, kind.name
        assert "\ndef use(subject: Subject) -> None:" in text, kind.name


def test_an_option_without_default_or_example_fails_building_alone(install):
    install("schedule", NEEDS_LOW)
    found = findings("schedule", "thing", properties=["builds", "shapes", "acts"])
    assert [finding.status for finding in found] == [Status.FAILED, Status.NOT_APPLICABLE, Status.NOT_APPLICABLE]
    assert "'low' has no default, and no example value was given" in found[0].what
    assert "example={...}" in found[0].fix


def test_what_cannot_be_built_fails_where_building_is_not_looked_at(install):
    install("schedule", NEEDS_LOW)
    with pytest.raises(NotConforming, match="'low' has no default"):
        check_component("schedule", "thing", properties=["acts"])


def test_example_options_come_from_the_author_or_from_the_fact(install):
    install("schedule", NEEDS_LOW, details="example={'low': -1.0}")
    with pytest.raises(NotConforming, match="at progress 0"):
        check_component("schedule", "thing", properties=["builds", "shapes"])
    check_component("schedule", "thing", properties=["builds", "shapes"], options={"low": 0.5})


def test_an_example_may_be_a_function_that_writes_what_is_needed(install):
    source = (
        NEEDS_LOW.replace("low: float", "low: str").replace("(1 - self.low)", "(1 - float(open(self.low).read()))")
        + "def example(folder):\n    (folder / 'low.txt').write_text('0.25')\n"
        + "    return {'low': str(folder / 'low.txt')}\n"
    )
    install("schedule", source, details="example='acme_parts:example'")
    check_component("schedule", "thing", properties=["builds", "shapes", "repeatable", "acts"])


def test_an_example_that_crashes_is_said(install):
    source = NEEDS_LOW + "def example(folder):\n    raise OSError('the disk is full')\n"
    install("schedule", source, details="example='acme_parts:example'")
    with pytest.raises(NotConforming, match=r"example='acme_parts:example' crashed: OSError: the disk is full"):
        check_component("schedule", "thing", properties=["builds"])


def test_options_that_are_none_are_the_authors_own_mistake(install):
    install("schedule", NEEDS_LOW)
    with pytest.raises(UserError, match=r"(?s)no option 'lowest'.*low"):
        check_component("schedule", "thing", options={"lowest": 1.0})
    with pytest.raises(UserError, match=r"(?s)low='much' does not fit.*float"):
        check_component("schedule", "thing", options={"low": "much"})


def test_a_crash_names_the_line_of_the_component(install):
    install("schedule", CRASHES)
    (found,) = findings("schedule", "thing", properties=["builds"])
    assert "KeyError: 'nothing'" in found.what
    assert "acme_parts.py, line 4" in found.what


def test_a_library_that_is_not_installed_is_no_failure(install):
    source = CRASHES.replace(
        'self.missing = {}["nothing"]',
        "from zoo.errors import UserError\n        raise UserError('it needs frobnicate', do='pip install frobnicate')",
    )
    install("schedule", source)
    (found,) = findings("schedule", "thing", properties=["builds"])
    assert found.status is Status.NOT_APPLICABLE
    assert "it needs frobnicate" in found.what


def test_a_module_that_cannot_be_imported_fails(install):
    install("schedule", "import no_such_library_at_all\n")
    found = findings("schedule", "thing", properties=["signature", "builds", "acts"])
    assert [finding.status for finding in found] == [Status.NOT_APPLICABLE, Status.FAILED, Status.NOT_APPLICABLE]
    assert "no_such_library_at_all" in found[1].what


def test_unknown_components_and_properties_are_the_callers_mistake(install):
    install("schedule", NEEDS_LOW)
    with pytest.raises(UserError, match="unknown schedule 'thin'"):
        check_component("schedule", "thin")
    with pytest.raises(UserError, match=r"(?s)no property 'shape' of a schedule.*shapes"):
        check_component("schedule", "thing", properties=["shape"])


def test_quick_leaves_the_slow_ones_out():
    assert {one.key for one in chosen("optimizer")} - {one.key for one in chosen("optimizer", quick=True)} == {
        "processes"
    }


def test_results_are_plain_and_can_be_sent():
    found = Finding("schedule", "a/b", "acts", "it does something", Status.FAILED, "nothing", "why not", "do so")
    assert found.case == "schedule a/b: it does something"
    assert found.plain()["status"] == "failed"
    assert found.text().splitlines() == [found.case, "  what:  nothing", "  why:   why not", "  fix:   do so"]
    assert pickle.loads(pickle.dumps(found)) == found


def test_the_kit_itself_is_light():
    import subprocess
    import sys

    code = (
        "import sys, zoo.testing, zoo.testing.pytest_plugin, zoo.verbs.plugins_check\n"
        "from zoo.testing import PROPERTIES, check_component, findings\n"
        "print([m for m in ('torch', 'numpy', 'pydantic', 'hydra', 'omegaconf') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def test_names_and_descriptions_of_a_library_are_its_own(make_distribution):
    hooks = """
from zoo.hookspecs import hookimpl
@hookimpl
def register_schedules(register):
    register.provider("acme_parts:Names", summary="many")
"""
    parts = """
from zoo.registry import Offer
class Names:
    def names(self):
        return ["Fall"]
    def offer(self, name):
        return Offer("acme_parts:Fall", "A thing for tests", "arXiv:0000.00000") if name == "Fall" else None
class Fall:
    def __init__(self, *, low: float = 0.0) -> None:
        self.low = low
    def __call__(self, progress: float) -> float:
        return 1 - progress
"""
    make_distribution(
        "zoo-acme", points={"acme.things": "acme_hooks"}, modules={"acme_hooks": hooks, "acme_parts": parts}
    )
    check_component("schedule", "acme/Fall", properties=["described", "signature", "builds", "shapes"])
