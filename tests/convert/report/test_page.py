"""The page shows all of a run, is self-contained, and never takes text for markup."""

import copy
import re

import attrs
import pandas as pd
import pytest

from convert.parity.proof import Proof
from convert.report.candidates import find_cross_validated
from convert.report.columns import find_warnings
from convert.report.figures import short
from convert.report.importance import Importance, measure_importance
from convert.report.model_plots import draw_importance
from convert.report.page import Page, render
from convert.report.report import make_page, make_report
from convert.report.table_plots import draw_features
from tests.convert.report.conftest import HOSTILE, Case, Place, numbers, prove_on_known
from tests.convert.report.reader import Reader, urls_of
from training.columns import Column


@pytest.mark.parametrize("name", ["mixed", "quantity", "wide"])
def test_a_page_is_self_contained(pages: dict[str, str], name: str) -> None:
    reader = Reader(pages[name])
    assert not {"script", "iframe", "object", "embed", "form", "foreignobject", "base"} & set(reader.tags)
    assert not [attribute for attribute, _ in reader.attributes if attribute.startswith(("on", "xmlns"))]
    assert all(value.startswith(("#", "data:")) for value in reader.values("href", "src", "xlink:href"))
    style = [text for text in reader.texts if "--ground" in text]
    assert all(
        link.startswith("#") for text in [*style, *reader.values("style", "clip-path")] for link in urls_of(text)
    )
    assert not any("://" in value for _, value in reader.attributes)
    assert "@import" not in style[0]
    policy = reader.values("content")[0]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    assert len(pages[name].encode()) < 2_000_000


@pytest.mark.parametrize("name", ["mixed", "quantity", "wide"])
def test_what_a_page_refers_to_is_in_it_and_every_tag_is_closed(pages: dict[str, str], name: str) -> None:
    reader = Reader(pages[name])
    assert reader.open == []
    known = set(reader.values("id"))
    links = [value[1:] for value in reader.values("href") if value.startswith("#")]
    links += [link[1:] for value in reader.values("clip-path") for link in urls_of(value)]
    assert links
    assert set(links) <= known


def test_the_tables_own_text_is_shown_and_is_never_markup(pages: dict[str, str]) -> None:
    reader = Reader(pages["mixed"])
    assert "img" not in reader.tags
    text = reader.text()
    assert HOSTILE in text
    assert '"><img src=x onerror="alert(1)"> $a$ &' in text
    # Plots have room for a part of it.
    assert '<script src="…' in text
    assert '"><img src=x onerro…' in text


def test_a_page_is_the_same_each_time_but_for_what_was_timed(pages: dict[str, str], quantity: Case) -> None:
    again = make_report(quantity.run, quantity.artifacts, quantity.result, quantity.runs).decode()
    first, second = without_timings(pages["quantity"]), without_timings(again)
    assert first == second
    assert "µs" not in first


def without_timings(page: str) -> str:
    without_tile = re.sub(r"<span>One row, compiled.*?</small>", "", page)
    return re.sub(r'<section id="speed">.*?</section>', "", without_tile, flags=re.DOTALL)


def test_the_table_is_shown_column_by_column(facts: dict[str, Page], mixed: Case) -> None:
    page = facts["mixed"]
    columns = {column.name: column for column in page.columns}
    assert list(columns)[:2] == ["y", "x0"]
    assert columns["y"].is_target
    assert (columns["rare"].missing, columns["rare"].quantiles) == (157, (1.5, 1.5, 2.5, 3.5, 3.5))
    assert columns["rare"].note == "nearly empty"
    assert columns["fixed"].note == "one value only"
    assert columns["fixed"].common == (("true", 160),)
    assert columns["still"].note == "nearly constant: 7 in 159 of 160"
    assert (columns["x0"].note, columns["x0"].missing_share) == ("", 0.0)
    assert columns["flag"].distinct == 2
    assert [len(columns[name].common) for name in ("city", "flag", "whole")] == [5, 2, 0]
    assert any("'fixed' has one value only" in warning for warning in page.warnings)
    plots = {plot.title: plot for plot in page.features}
    assert plots["rare"].note == "157 missing"
    assert "rarer values left out</text>" in plots["city"].svg
    assert set(plots) == set(mixed.artifacts.dataset.features.columns)


def test_a_classifiers_page_has_its_quality_and_its_proof(
    pages: dict[str, str], facts: dict[str, Page], mixed: Case
) -> None:
    text = Reader(pages["mixed"]).text()
    assert [plot.title for plot in facts["mixed"].quality] == [
        "Confusion matrix",
        "ROC, each class against the rest",
        "Calibration",
    ]
    assert "precision recall F1 rows" in text
    assert f"Proven: on all {2 * 160} rows the compiled model answers as the estimator does." in text
    assert mixed.result.proof.certificate.model_sha256 in text
    assert "This run was not compared with others" in text
    assert f"{facts['mixed'].latencies[0].ratio:.1f} times as long as the compiled model" in text
    assert [latency.rows for latency in facts["mixed"].latencies] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]


def test_a_regressors_page_has_its_errors_and_its_candidates(pages: dict[str, str], facts: dict[str, Page]) -> None:
    page = facts["quantity"]
    assert [one.estimator for one in page.candidates] == ["ridge", "decision_tree"]
    assert [one.is_this for one in page.candidates] == [True, False]
    assert [plot.title for plot in page.quality] == ["Predicted and true", "Residuals"]
    assert page.importance is not None
    assert next(iter(page.importance.means)) == "x0"
    text = Reader(pages["quantity"]).text()
    assert "(MAE)" in text
    assert "R² over the folds" in text
    assert "from blue for a small y to orange" in text
    assert "accuracy" not in text


def test_runs_that_were_split_otherwise_are_no_candidates(quantity: Case) -> None:
    strangers = [attrs.evolve(one, seed=1) for one in quantity.runs if one.id != quantity.run.id]
    assert [one.model for one in find_cross_validated(quantity.run, strangers)] == [quantity.run.model]


def test_classes_that_are_left_out_are_counted(pages: dict[str, str], facts: dict[str, Page]) -> None:
    assert "13 smaller classes are not told apart in plots" in Reader(pages["wide"]).text()
    page = facts["wide"]
    assert page.target.note == "3 smaller classes are left out."
    assert page.quality[0].note == "The 20 largest of 23 classes."
    assert len(page.legend) == 10


def test_features_that_are_left_out_are_counted(facts: dict[str, Page], quantity: Case) -> None:
    table = numbers(120, 21)
    dataset = attrs.evolve(
        quantity.artifacts.dataset,
        features=table,
        columns=tuple(Column(name, "number", 0) for name in [*table.columns, "y"]),
    )
    by_importance = list(reversed(table.columns))
    drawn = draw_features(dataset, by_importance, {})
    assert [plot.title for plot in drawn] == list(table.columns)[1:]
    importance = Importance(dict.fromkeys(by_importance, 0.1), dict.fromkeys(by_importance, 0.0), rounds=1, rows=9)
    svg = draw_importance(importance, "R²").svg
    assert ">x20<" in svg
    assert ">x0<" not in svg
    page = attrs.evolve(facts["mixed"], features=facts["mixed"].features[:5], importance=importance)
    text = Reader(render(page).decode()).text()
    assert "The 5 of largest importance; left out: 3." in text
    assert "The 20 largest of 21." in text


@pytest.mark.parametrize(("allowed", "verdict"), [(0, "Not proven: "), (1000, "Not proven, and accepted knowingly: ")])
def test_a_model_that_is_not_proven_is_shown_as_such(
    facts: dict[str, Page], mixed: Case, allowed: int, verdict: str
) -> None:
    moved = attrs.evolve(mixed.artifacts, estimator=copy.deepcopy(mixed.artifacts.estimator))
    result = prove_on_known(moved, allowed, shift=0.5)
    text = Reader(render(attrs.evolve(facts["mixed"], result=result)).decode()).text()
    parity = result.proof.certificate.parity
    assert f"{verdict}{parity.mismatches} of {parity.rows} rows are answered otherwise" in text


def test_importance_that_would_take_too_long_is_not_measured_and_the_page_says_so(
    facts: dict[str, Page], mixed: Case
) -> None:
    assert measure_importance(mixed.artifacts.estimator, mixed.artifacts.held_out, budget_s=0) is None
    without = attrs.evolve(facts["mixed"], importance=None, importance_plot=None)
    assert "Not measured: shuffling each of the 8 features" in Reader(render(without).decode()).text()


def test_one_feature_makes_no_pair_and_one_class_alone_no_curve(place: Place) -> None:
    table = numbers(60, 1)
    table["y"] = table["x0"] > 0
    case = place.case(place.train(table, name="one", estimator="log_reg"))
    is_true, features = case.artifacts.held_out.target, case.artifacts.held_out.features
    alone = attrs.evolve(case.artifacts.held_out, features=features[is_true], target=is_true[is_true])
    page = make_page(case.run, attrs.evolve(case.artifacts, held_out=alone), case.result, ())
    assert page.pairs is None
    assert list(page.legend) == [False, True]
    assert [plot.title for plot in page.quality] == ["Confusion matrix"]


def test_answers_are_worded_with_their_probabilities_a_regressors_alone_and_none_as_such(
    facts: dict[str, Page], mixed: Case, quantity: Case
) -> None:
    probabilities = next(answer for answer in [mixed.result.proof.certificate.worst[0].estimator] if answer)
    assert f", probabilities {probabilities.probabilities[0]:.9g}, " in Reader(render(facts["mixed"]).decode()).text()
    certificate = quantity.result.proof.certificate
    worst = attrs.evolve(certificate.worst[0], session=None)
    proof = Proof(attrs.evolve(certificate, worst=(worst,)), ())
    page = attrs.evolve(facts["quantity"], result=attrs.evolve(quantity.result, proof=proof))
    text = Reader(render(page).decode()).text()
    assert worst.estimator is not None
    assert f"{worst.estimator.label!r} no finite answer" in text


def test_a_feature_that_equals_the_target_is_a_doubt(quantity: Case) -> None:
    dataset = quantity.artifacts.dataset
    copied = attrs.evolve(dataset, features=dataset.features.assign(x2=dataset.target))
    assert find_warnings(copied)[0].startswith("column 'x2' equals the target 'y' in every row")


def test_numbers_that_hardly_differ_and_numbers_that_differ_vastly_can_be_drawn(quantity: Case) -> None:
    dataset = quantity.artifacts.dataset
    values = {"x0": [1e16, 1e16 + 2], "x1": [-3.4e38, 3.4e38], "x2": [0.1, 0.1]}
    features = pd.DataFrame({name: pair * (len(dataset.target) // 2) for name, pair in values.items()})
    plots = draw_features(attrs.evolve(dataset, features=features), list(values), {})
    assert [plot.title for plot in plots] == list(values)


def test_a_text_is_shortened_for_a_plot_to_one_line_without_control_characters() -> None:
    assert short("a\nb\x00c\x1bd") == "a b c d"
    assert short("x" * 30) == "x" * 19 + "…"
    assert short(7) == "7"
