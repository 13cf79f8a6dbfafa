"""Estimators whose models are measured beside the default one."""

from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def forest() -> RandomForestClassifier:
    """A hundred trees: the cost of a run grows with its rows."""
    return RandomForestClassifier(n_estimators=100)


def mlp() -> object:
    """Two hidden layers of 2,048: a run costs the reading of their weights, whatever its rows."""
    network = MLPClassifier(hidden_layer_sizes=(2048, 2048), early_stopping=True, n_iter_no_change=2)
    return make_pipeline(StandardScaler(), network)
