"""Writes boosted trees: raw scores summed stage by stage in float64, and the inverse of a link applied to them.

Both of scikit-learn's boosters start at a baseline and add one leaf value per stage and score (Friedman, "Greedy
Function Approximation", 2001, algorithm 1).

Raw scores, and so labels, are the same to the last bit in any batch and on any number of threads. Probabilities need an
exponential, which onnxruntime vectorises where it can: in float64 their last bits may depend on the batch.
"""

import attrs
import numpy as np
import numpy.typing as npt
from skl2onnx.common._topology import Operator
from sklearn._loss.link import BaseLink, HalfLogitLink, IdentityLink, LogitLink, LogLink, MultinomialLogit

from convert.converters.ensemble import Precision
from convert.converters.leaves import gather_leaves, mask_infinite, sum_trees, write_argmax_label, write_numbers
from convert.converters.nodes import Graph
from convert.converters.tree import Tree
from convert.errors import ConvertError


@attrs.frozen(eq=False)
class Boosted:
    """A fitted booster.

    Attributes:
        stages: One tree per score for each stage; leaf values include the learning rate.
        baseline: The raw scores before the first stage, float64 of shape ``(scores,)``.
        precision: The type in which scikit-learn compares a row with thresholds.
        link: The link; its inverse turns raw scores into answers.
        refuses_infinite: Whether scikit-learn refuses a row with an infinite value.
    """

    stages: tuple[tuple[Tree, ...], ...]
    baseline: npt.NDArray[np.float64]
    precision: Precision
    link: BaseLink
    refuses_infinite: bool

    @property
    def trees(self) -> tuple[Tree, ...]:
        """All trees, stage by stage; the leaf values of the first stage include the baseline."""
        first, *others = self.stages
        based = (
            attrs.evolve(tree, value=baseline + tree.value) for tree, baseline in zip(first, self.baseline, strict=True)
        )
        return (*based, *(tree for stage in others for tree in stage))


def write_classifier(graph: Graph, operator: Operator, boosted: Boosted, *, last_of_equals: bool = False) -> None:
    """Writes the label, and the probabilities of all classes or, if the option is set, raw scores.

    Args:
        graph: The graph to write to.
        operator: The operator that is converted.
        boosted: The booster; it has one score for two classes, otherwise one per class.
        last_of_equals: Whether the label is the second of two classes if the raw score is zero.
    """
    sum_scores = _sum_multiclass if len(boosted.baseline) > 1 else _sum_binary
    scores = sum_scores(graph, operator, boosted)
    write_argmax_label(graph, operator, scores, last_of_equals=last_of_equals)
    is_raw = graph.container.get_options(operator.raw_operator, {"raw_scores": False})["raw_scores"]
    _write(graph, operator, boosted, scores if is_raw else _apply_inverse_link(graph, scores, boosted.link))


def write_regressor(graph: Graph, operator: Operator, boosted: Boosted) -> None:
    """Writes one number per row."""
    scores = sum_trees(graph, gather_leaves(graph, operator, boosted.trees, boosted.precision))
    _write(graph, operator, boosted, _apply_inverse_link(graph, scores, boosted.link))


def _write(graph: Graph, operator: Operator, boosted: Boosted, numbers: str) -> None:
    write_numbers(graph, operator, mask_infinite(graph, operator, numbers) if boosted.refuses_infinite else numbers)


def _sum_binary(graph: Graph, operator: Operator, boosted: Boosted) -> str:
    """Writes the scores ``-raw, raw`` of two classes; the sum of negated numbers is the negated sum to the last bit."""
    trees = tuple(attrs.evolve(tree, value=np.hstack([-tree.value, tree.value])) for tree in boosted.trees)
    return sum_trees(graph, gather_leaves(graph, operator, trees, boosted.precision))


def _sum_multiclass(graph: Graph, operator: Operator, boosted: Boosted) -> str:
    """Writes a score per class: reshapes ``(stages * classes, rows, 1)`` to ``(stages, classes, rows)`` and sums."""
    leaves = gather_leaves(graph, operator, boosted.trees, boosted.precision)
    shape = graph.constant([len(boosted.stages), len(boosted.baseline), -1])
    by_class = sum_trees(graph, graph.node("Reshape", leaves, shape))
    return graph.node("Transpose", by_class, perm=[1, 0])


def _apply_inverse_link(graph: Graph, scores: str, link: BaseLink) -> str:
    """Writes the inverse of a link, as defined in ``sklearn/_loss/link.py``."""
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
