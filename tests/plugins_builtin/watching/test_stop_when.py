"""When training is ended by what validation says."""

from __future__ import annotations

import json

import pytest
from support.watching import phase_started, started, validated
from zoo_plugins.watching.stop_when import StopWhen

from zoo.contracts.callbacks import Stop
from zoo.errors import UserError


def answers(callback: StopWhen, *values: float, measure: str = "val_accuracy") -> list[str]:
    """What is answered to validations with these values, "" for nothing."""
    found = [callback.on_validation_end(validated(4 * (k + 1), **{measure: value})) for k, value in enumerate(values)]
    assert all(stop is None or isinstance(stop, Stop) for stop in found)
    return ["" if stop is None else stop.reason for stop in found]


def test_a_target_of_accuracy_is_reached_from_below():
    said = answers(StopWhen(target=0.9), 0.5, 0.89, 0.9, 0.8)
    assert said == ["", "", "accuracy 0.9 has reached the target of 0.9", ""]


def test_a_target_of_loss_is_reached_from_above():
    said = answers(StopWhen(measure="loss", target=0.5), 1.0, 0.6, 0.4, measure="val_loss")
    assert said == ["", "", "loss 0.4 has reached the target of 0.5"]


def test_patience_counts_validations_in_a_row_that_were_not_better():
    said = answers(StopWhen(patience=2), 0.5, 0.4, 0.6, 0.6, 0.5)
    assert said == ["", "", "", "", "accuracy has not been better than 0.6 for 2 validations"]


def test_patience_of_one_is_said_in_the_singular():
    assert answers(StopWhen(patience=1), 0.5, 0.5)[-1] == "accuracy has not been better than 0.5 for one validation"


def test_better_is_more_than_min_delta():
    said = answers(StopWhen(patience=2, min_delta=0.1), 0.5, 0.59, 0.61, 0.70, 0.65)
    assert said[:4] == ["", "", "", ""]
    assert said[4] == "accuracy has not been better than 0.61 by more than 0.1 for 2 validations"
    lower = answers(StopWhen(measure="loss", patience=1, min_delta=0.1), 0.5, 0.35, 0.3, measure="val_loss")
    assert lower == ["", "", "loss has not been better than 0.35 by more than 0.1 for one validation"]


def test_each_phase_counts_anew_and_a_resumed_one_goes_on():
    callback = StopWhen(patience=2)
    answers(callback, 0.9, 0.5)
    callback.on_phase_start(phase_started(step=0))
    assert answers(callback, 0.1, 0.0) == ["", ""]
    callback.on_phase_start(phase_started(step=8))
    assert answers(callback, 0.0)[0].startswith("accuracy has not been better than 0.1")


def test_a_head_that_was_fitted_is_no_training_to_stop():
    assert StopWhen(target=0.1).on_validation_end(validated(0, val_accuracy=1.0)) is None


@pytest.mark.parametrize("stop", range(6))
def test_state_through_json_gives_the_same_answers(stop):
    values = [0.5, 0.6, 0.55, 0.61, 0.6, 0.6]
    expected = answers(StopWhen(patience=3, min_delta=0.05), *values)
    first, second = StopWhen(patience=3, min_delta=0.05), StopWhen(patience=3, min_delta=0.05)
    before = answers(first, *values[:stop])
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert before + answers(second, *values[stop:]) == expected
    assert any(expected)


def test_a_measure_that_this_run_lacks_is_named_with_those_that_it_has():
    with pytest.raises(UserError, match="does not measure balanced_accuracy") as error:
        answers(StopWhen(measure="balanced_accuracy", target=0.5), 0.5)
    assert error.value.allowed == "accuracy"


def test_an_unknown_measure_is_refused_at_once():
    with pytest.raises(UserError, match="'acuracy' is no measure") as error:
        StopWhen(measure="acuracy", target=0.5)
    assert error.value.allowed.startswith("accuracy")


def test_what_could_never_stop_is_refused_before_the_run():
    with pytest.raises(UserError, match="neither a target nor patience"):
        StopWhen().check(started())
    with pytest.raises(UserError, match="is a share"):
        StopWhen(target=95).check(started())
    StopWhen(measure="loss", target=95).check(started())
    with pytest.raises(UserError, match="min_delta has no effect"):
        StopWhen(target=0.9, min_delta=0.1)
