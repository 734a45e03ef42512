"""The words of `zoo convert`, without converting anything."""

import pytest

from zoo.errors import UserError
from zoo.verbs import convert

GIVEN = ("source=a.onnx", "model=lenet", "out=o")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("source=a.onnx",), "model= is missing"),
        ((*GIVEN, "modle.size=3"), "unknown key 'modle.size'"),
        ((*GIVEN, "tolerance=much"), "no number above 0"),
        ((*GIVEN, "tolerance=nan"), "no number above 0"),
        ((*GIVEN, "tolerance=0"), "no number above 0"),
        ((*GIVEN, "model.activation=tanh", "model.activation=relu"), "given twice"),
        ((*GIVEN, "importer.=3"), "not of the form"),
        ((*GIVEN, "model.activation"), "not of the form"),
        ((*GIVEN, "--jsno"), "unknown flag"),
        (GIVEN, "there is no file 'a.onnx'"),
    ],
)
def test_mistyped_words_are_refused(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        convert.main(words)
    assert list(tmp_path.iterdir()) == []
