"""`zoo explain config`: values with their origin, for words and for runs."""

from __future__ import annotations

import json

import pytest
from support.e2e import TINY, run

from zoo.config.compose import configure
from zoo.config.rules import RULES
from zoo.data.shorthand import source_name_for
from zoo.errors import UserError
from zoo.plugins import load_plugins
from zoo.verbs.explain import explain, main


def explained(*words: str) -> dict[str, tuple[object, str]]:
    plugins = load_plugins()
    found = explain(configure(words, plugins, source_for=source_name_for), plugins)
    return {one.key: (one.value, one.origin) for one in found}


def test_every_value_says_where_it_came_from():
    found = explained("data=digits", "optimizer=sgd", "optimizer.lr=0.1", "experiment=starter_lenet5")
    assert found["optimizer.lr"] == (0.1, "command line")
    assert found["optimizer.weight_decay"] == (0.01, "file experiment/starter_lenet5.yaml")
    assert found["optimizer.momentum"] == (0.9, "default")
    assert found["train.batch_size"] == ("auto", "automatic: 32")
    assert found["weights"] == ("none", "file experiment/starter_lenet5.yaml")


def test_every_auto_has_a_rule_and_every_rule_a_key():
    found = explained()
    autos = {key for key, (value, _) in found.items() if value == "auto" or str(value).endswith("/auto")}
    assert autos - set(RULES) == set()
    assert set(RULES) <= set(found)
    assert len(autos) >= 15


def test_a_given_auto_is_still_a_rule():
    assert explained("train.batch_size=auto")["train.batch_size"][1] == "command line; automatic: 32"


def test_third_partys_default_names_the_plugin(make_distribution):
    make_distribution(
        "acme-soft",
        version="1.2",
        points={"acme.soft": "acme_soft"},
        modules={
            "acme_soft": (
                "from zoo.hookspecs import hookimpl\n\n@hookimpl\ndef register_regularizers(register):\n"
                "    register('soft', 'acme_soft:Soft', summary='x', source='y')\n\n"
                "class Soft:\n    def __init__(self, *, share: float = 0.5):\n        pass\n"
            )
        },
    )
    found = explained("regularizers=[soft]")
    assert found["regularizers.soft.share"] == (0.5, "default of acme.soft (acme-soft 1.2)")


@pytest.mark.parametrize("argv", [[], ["sofa"], ["config", "--yaml"]])
def test_other_words_are_refused(argv):
    with pytest.raises(UserError, match="explain got"):
        main(argv)


def test_run_shows_what_was_measured(tmp_path, capsys):
    run("finetune", "data=digits", *TINY, "train.epochs=0.1", "optimizer.lr=0.01", f"run.dir={tmp_path / 'run'}")
    assert main(["config", f"run={tmp_path / 'run'}", "--json"]) == 0
    found = {one["key"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["optimizer.lr"]["origin"] == "command line"
    assert found["measured: threads"]["value"] == 1
    with pytest.raises(UserError, match="run= stands beside"):
        main(["config", f"run={tmp_path / 'run'}", "model=lenet5"])
