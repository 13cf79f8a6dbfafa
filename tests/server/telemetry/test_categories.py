"""Values outside of a category's vocabulary are counted, by feature."""

from server.telemetry.categories import UnknownCategories
from tests.support.signatures import feature


def test_values_that_training_did_not_see_are_counted_and_missing_ones_are_not() -> None:
    unknown = UnknownCategories([feature("n", "number"), feature("c", "category"), feature("d", "category")])
    assert unknown.counts == {"c": 0, "d": 0}
    unknown.count([(1.0, "red", "blue"), (2.0, "", "blue")])
    assert unknown.counts == {"c": 0, "d": 0}
    unknown.count([(1.0, "Red", "blue "), (2.0, "green", "red")])
    unknown.count([(2.0, "green", "red")])
    assert unknown.counts == {"c": 3, "d": 1}
