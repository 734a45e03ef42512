"""The rule of rounds, without a clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zoo.assembly.recommend.halving import RULE, Round, Standing, first_images, next_round

INF = float("inf")


def standings(*scores: float, feature_s: float = 0.1, scoring_s: float = 0.0) -> list[Standing]:
    return [Standing(f"n{i}", score, feature_s, scoring_s) for i, score in enumerate(scores)]


def test_first_images_are_all_without_a_budget_and_a_few_with_one():
    assert first_images(10_000, classes=10, budget=False) == 10_000
    assert first_images(10_000, classes=10, budget=True) == 300
    assert first_images(10_000, classes=200, budget=True) == 2000
    assert first_images(120, classes=10, budget=True) == 120
    assert "300 images, or 10 a class" in RULE


def test_everyone_goes_on_to_all_images_where_time_suffices():
    found = next_round(standings(0.3, 0.9, 0.5), done=300, total=1000, left_s=3 * 70.0)
    assert found == Round(1000, ("n1", "n2", "n0"))


def test_the_better_half_goes_on_to_all_where_that_fits():
    found = next_round(standings(0.3, 0.9, 0.5, 0.7, 0.1), done=300, total=1000, left_s=3 * 70.0)
    assert found == Round(1000, ("n1", "n3", "n2"))


def test_the_better_half_goes_on_to_twice_as_many_where_all_do_not_fit():
    found = next_round(standings(0.3, 0.9, 0.5, 0.7, 0.1), done=300, total=1000, left_s=3 * 30.0)
    assert found == Round(600, ("n1", "n3", "n2"))


def test_two_go_on_where_there_is_no_time_for_half():
    found = next_round(standings(0.3, 0.9, 0.5, 0.7, 0.1), done=300, total=1000, left_s=2 * 30.0)
    assert found == Round(600, ("n1", "n3"))


def test_the_last_round_is_the_last():
    assert next_round(standings(0.3, 0.9), done=300, total=1000, left_s=59.0) is None
    assert next_round(standings(0.3, 0.9), done=1000, total=1000, left_s=INF) is None
    assert next_round([], done=300, total=1000, left_s=INF) is None


def test_scoring_is_paid_for_all_images_and_features_for_new_ones():
    assert Standing("a", 0.5, feature_s=0.1, scoring_s=0.02).cost_s(300, 1000) == 700 * 0.1 + 1000 * 0.02


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
    st.integers(10, 500),
    st.integers(500, 5000),
    st.floats(0, 1000),
)
def test_rounds_never_go_over_what_is_left_and_always_grow(scores, done, total, left_s):
    found = next_round(standings(*scores, scoring_s=0.01), done=done, total=total, left_s=left_s)
    if found is None:
        return
    assert done < found.images <= total
    assert found.images >= min(total, 2 * done)
    cost = Standing("", 0, 0.1, 0.01).cost_s(done, found.images)
    assert len(found.names) * cost <= left_s * (1 + 1e-9)
    kept = {int(name[1:]) for name in found.names}
    assert min(scores[i] for i in kept) >= max((s for i, s in enumerate(scores) if i not in kept), default=0)
    assert len(kept) == len(found.names) >= min(2, len(scores))
