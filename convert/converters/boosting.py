"""Stages of boosted trees -> nodes: raw scores added up stage by stage in float64, and what a link makes of them.

Both of scikit-learn's boosters start at a baseline and add each stage's leaf to it, one tree a stage for each score
(Friedman, "Greedy Function Approximation", 2001, algorithm 1). This file knows neither of them.

Raw scores, and so labels, are the same to the last bit in any batch and on any number of threads. Probabilities go
through an exponential, which onnxruntime takes of several numbers at once where it can: in float64 their last bits may
depend on the batch.
"""

import attrs
import numpy as np
import numpy.typing as npt
from skl2onnx.common._topology import Operator
from sklearn._loss.link import BaseLink, HalfLogitLink, IdentityLink, LogitLink, LogLink, MultinomialLogit

from convert.converters.ensemble import Precision
from convert.converters.leaves import add_up, ask_leaves, give_numbers, give_winner, withhold_infinite
from convert.converters.nodes import Graph
from convert.converters.tree import Tree
from convert.errors import ConvertError


@attrs.frozen(eq=False)
class Boosted:
    """What a booster has learned.

    Attributes:
        stages: For each stage one tree for each score; leaves say what is added, the learning rate included.
        baseline: float64 of shape ``(scores,)``, to which the first stage is added.
        precision: In which scikit-learn compares a row with thresholds.
        link: What raw scores are turned into answers with.
        refuses_infinite: Whether scikit-learn refuses a row with an infinite value.
    """

    stages: tuple[tuple[Tree, ...], ...]
    baseline: npt.NDArray[np.float64]
    precision: Precision
    link: BaseLink
    refuses_infinite: bool

    @property
    def trees(self) -> tuple[Tree, ...]:
        """Gives all trees, stage by stage; those of the first say the baseline too, as it is what they are added to."""
        first, *others = self.stages
        based = (
            attrs.evolve(tree, value=baseline + tree.value) for tree, baseline in zip(first, self.baseline, strict=True)
        )
        return (*based, *(tree for stage in others for tree in stage))


def write_classifier(graph: Graph, operator: Operator, boosted: Boosted, *, last_of_equals: bool = False) -> None:
    """Writes the label and the probabilities of all classes, or raw scores in their place where these are asked for.

    Args:
        graph: Where to write.
        operator: What is converted.
        boosted: Of one score for two classes, or else one for each.
        last_of_equals: Whether a raw score of zero makes the second of two classes the label.
    """
    add = _add_stages if len(boosted.baseline) > 1 else _add_both_ways
    scores = add(graph, operator, boosted)
    give_winner(graph, operator, scores, last_of_equals=last_of_equals)
    is_raw = graph.container.get_options(operator.raw_operator, {"raw_scores": False})["raw_scores"]
    _give(graph, operator, boosted, scores if is_raw else _turn(graph, scores, boosted.link))


def write_regressor(graph: Graph, operator: Operator, boosted: Boosted) -> None:
    """Writes one number a row."""
    scores = add_up(graph, ask_leaves(graph, operator, boosted.trees, boosted.precision))
    _give(graph, operator, boosted, _turn(graph, scores, boosted.link))


def _give(graph: Graph, operator: Operator, boosted: Boosted, numbers: str) -> None:
    give_numbers(graph, operator, withhold_infinite(graph, operator, numbers) if boosted.refuses_infinite else numbers)


def _add_both_ways(graph: Graph, operator: Operator, boosted: Boosted) -> str:
    """Writes the scores ``-raw, raw`` of two classes; a sum of negated numbers is the negated sum, to the last bit."""
    trees = tuple(attrs.evolve(tree, value=np.hstack([-tree.value, tree.value])) for tree in boosted.trees)
    return add_up(graph, ask_leaves(graph, operator, trees, boosted.precision))


def _add_stages(graph: Graph, operator: Operator, boosted: Boosted) -> str:
    """Writes a score for each class: ``(stages * classes, rows, 1)`` to ``(stages, classes, rows)`` to its sum."""
    leaves = ask_leaves(graph, operator, boosted.trees, boosted.precision)
    shape = graph.constant([len(boosted.stages), len(boosted.baseline), -1])
    by_class = add_up(graph, graph.node("Reshape", leaves, shape))
    return graph.node("Transpose", by_class, perm=[1, 0])


def _turn(graph: Graph, scores: str, link: BaseLink) -> str:
    """Writes the inverse of a link, as ``sklearn/_loss/link.py`` has it."""
    match link:
        case IdentityLink():
            return scores
        case LogLink():
            return graph.node("Exp", scores)
        case LogitLink():
            return graph.node("Sigmoid", scores)
        case HalfLogitLink():
            return graph.node("Sigmoid", graph.node("Mul", scores, graph.constant(2.0)))
        case MultinomialLogit():
            return graph.node("Softmax", scores, axis=1)
        case _:
            raise ConvertError(f"no inverse is known of the link {type(link).__name__}")
