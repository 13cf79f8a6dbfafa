"""scikit-learn's bundled iris table -> Iris.csv, in the layout that its users know from elsewhere."""

import sys

from sklearn.datasets import load_iris


def make_iris() -> str:
    """Gives the table as CSV text: 150 rows, an Id, four measures in centimetres and the species' name."""
    bunch = load_iris(as_frame=True)
    frame = bunch.data.set_axis(["SepalLengthCm", "SepalWidthCm", "PetalLengthCm", "PetalWidthCm"], axis="columns")
    frame.insert(0, "Id", range(1, len(frame) + 1))
    frame["Species"] = [f"Iris-{bunch.target_names[number]}" for number in bunch.target]
    return str(frame.to_csv(index=False, lineterminator="\n"))


if __name__ == "__main__":
    sys.stdout.write(make_iris())
