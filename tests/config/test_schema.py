from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import given
from hypothesis import strategies as st

from zoo.config import schema
from zoo.config.run_config import TrainConfig
from zoo.errors import PluginError
from zoo.kinds import KINDS
from zoo.registry import Entry, Offer, Origin


def entry_of(target: str, *, kind: str = "head", bound: dict[str, Any] | None = None) -> Entry:
    offer = Offer(f"{__name__}:{target}", "for the test", bound=bound or {})
    return Entry(kind, "x", offer, Origin("acme.x", "acme", "1.0"))


def plain_head(
    features: int, classes: int, *, width: int, dropout: float = 0.1, sizes: tuple[int, ...] = (1, 2), act: str = "relu"
) -> None:
    """Options: one required, one tuple."""


def odd_head(*, when: object = inspect) -> None:
    """Its default is a module, which no YAML can hold."""


def own_rate(params: object, *, lr: float = 3.0, beta: float = 0.9) -> None:
    """An optimizer whose rate is the framework's business."""


def test_options_are_the_signature_without_what_the_framework_supplies() -> None:
    options = {option.name: option for option in schema.options(entry_of("plain_head"))}

    assert list(options) == ["width", "dropout", "sizes", "act"]
    assert options["width"].required
    assert options["sizes"].type_name == "[int, ...]"


def test_bound_arguments_are_no_options() -> None:
    assert "act" not in [o.name for o in schema.options(entry_of("plain_head", bound={"act": "gelu"}))]


def test_options_of_the_kind_go_before_the_components_own() -> None:
    options = {option.name: option for option in schema.options(entry_of("own_rate", kind="optimizer"))}

    assert options["lr"].default == "auto"
    assert options["lr"].type_name == "float above 0 | 'auto' | 'measure'"
    assert options["beta"].default == 0.9


def test_defaults_are_plain_values() -> None:
    assert schema.defaults(entry_of("plain_head")) == {
        "name": "acme/x",
        "width": "???",
        "dropout": 0.1,
        "sizes": [1, 2],
        "act": "relu",
    }


def test_default_that_no_configuration_can_hold_names_the_plugin() -> None:
    with pytest.raises(PluginError, match=r"'when'(?s:.*)acme\.x \(acme 1\.0\)"):
        schema.defaults(entry_of("odd_head"))


def test_every_common_option_has_a_type_that_its_default_fits() -> None:
    common = {(kind.name, name): default for kind in KINDS for name, default in kind.common.items()}

    assert set(common) == set(schema._COMMON_TYPES)
    assert len(common) >= 10
    for key, default in common.items():
        assert schema.convert(default, schema._COMMON_TYPES[key]) == default


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (float, "float"),
        (float | None, "float | null"),
        (float | Literal["auto"], "float | 'auto'"),
        (Literal["a", 1], "'a' | 1"),
        (tuple[float, float], "[float, float]"),
        (tuple[int, ...], "[int, ...]"),
        (list[str], "[str, ...]"),
        (Sequence[str], "[str, ...]"),
        (Annotated[float, Ge(0), Lt(1)], "float of at least 0 and below 1"),
        (Annotated[int, Gt(0)] | None, "int above 0 | null"),
        (Annotated[float, Le(2)], "float up to 2"),
        (dict[str, int], "dict[str, int]"),
        (Any, "any value"),
    ],
)
def test_describe_reads_as_a_user_would_write(annotation: Any, text: str) -> None:
    assert schema.describe(annotation) == text


@pytest.mark.parametrize(
    ("value", "annotation", "result"),
    [
        (3, float, 3.0),
        ("0.5", float, 0.5),
        ([0.9, 0.99], tuple[float, float], (0.9, 0.99)),
        ("auto", float | Literal["auto"], "auto"),
        (None, int | None, None),
        (True, bool, True),
        (True, bool | None, True),
        (3, Annotated[int, Ge(1)] | Literal["auto"], 3),
        ({"a": [1]}, dict[str, Any] | None, {"a": [1]}),
        ("x", Any, "x"),
        (object, inspect.Parameter.empty, object),
    ],
)
def test_convert_takes_what_fits(value: Any, annotation: Any, result: Any) -> None:
    found = schema.convert(value, annotation)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (True, int),
        (False, float | None),
        (True, Annotated[int, Ge(0)]),
        (1.5, int),
        ("abc", float | Literal["auto"]),
        (5, str),
        ([1.0], tuple[float, float]),
        (math.nan, float),
        (math.inf, float | Literal["auto"]),
        (0, Annotated[float, Gt(0)]),
        (-1, Annotated[int, Ge(1)] | None),
        ("b", Literal["a"]),
    ],
)
def test_convert_refuses_what_does_not(value: Any, annotation: Any) -> None:
    with pytest.raises(ValueError, match=r".*"):
        schema.convert(value, annotation)


@given(st.recursive(st.integers() | st.text(), lambda inner: st.tuples(inner, inner) | st.lists(inner, max_size=3)))
def test_plain_has_no_tuples_left(value: Any) -> None:
    def flat(item: Any) -> list[Any]:
        return [leaf for part in item for leaf in flat(part)] if isinstance(item, tuple | list) else [item]

    assert "(" not in repr(type(schema.plain(value)))
    assert not isinstance(schema.plain(value), tuple)
    assert flat(schema.plain(value)) == flat(value)


def test_train_section_defaults_are_those_of_the_primary_file() -> None:
    from pathlib import Path

    import yaml

    text = (Path(__file__).parents[2] / "conf" / "finetune.yaml").read_text(encoding="utf-8")
    written = yaml.safe_load(text)["train"]
    defaults = {name: getattr(TrainConfig(), name) for name in TrainConfig.__dataclass_fields__}
    assert {name: value for name, value in written.items() if name != "save_every_s"} == {
        name: value for name, value in defaults.items() if name != "save_every_s"
    }
    assert float(written["save_every_s"]) == defaults["save_every_s"]
