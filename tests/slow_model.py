"""A published version whose every run takes tens of milliseconds: many products of one large matrix with itself."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import attrs
import msgspec
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from server.codec import Codec
from server.manifest import GoldenRow, Manifest
from server.repository import MANIFEST_FILE, MANIFEST_SUM_FILE, MODEL_FILE
from server.session import Session
from server.signature import Signature

Fields = dict[str, float | int | bool | str | None]

WIDTH = 1024
PRODUCTS = 60


def publish_slow_model(models_dir: Path, like: Manifest, name: str = "slow") -> None:
    """Publishes a model with the signature of another one, that answers as a fixed linear model does, slowly."""
    publish_model(models_dir, like, name, _slow_model(like.signature))


def publish_model(models_dir: Path, like: Manifest, name: str, model: bytes) -> None:
    """Publishes a compiled model with the signature of another one; its golden answers are what it says itself."""
    golden = answer_golden_rows([known.row for known in like.golden[:2]], like.signature, model)
    write_version(models_dir, attrs.evolve(like, name=name, model_name=f"{name}_1", golden=golden), model)


def answer_golden_rows(rows: Sequence[Fields], signature: Signature, model: bytes) -> tuple[GoldenRow, ...]:
    """Gives rows with what a compiled model says of them."""
    codec = Codec(signature, "")
    answers = Session(model, signature).run([codec.decode_row(msgspec.json.encode(row)) for row in rows])
    pairs = zip(rows, answers, strict=True)
    return tuple(GoldenRow(row, answer.label, tuple(answer.probabilities)) for row, answer in pairs)


def write_version(models_dir: Path, facts: Manifest, model: bytes) -> None:
    """Writes a version 1 with these facts, as a publisher that proves nothing would."""
    files = {MODEL_FILE: hashlib.sha256(model).hexdigest()}
    manifest = attrs.evolve(facts, version=1, files=files).to_json()
    folder = models_dir / facts.name / "1"
    folder.mkdir(parents=True)
    (folder / MODEL_FILE).write_bytes(model)
    (folder / MANIFEST_FILE).write_bytes(manifest)
    (folder / MANIFEST_SUM_FILE).write_text(f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST_FILE}\n")


def _slow_model(signature: Signature) -> bytes:
    """Widens a row, multiplies it by an orthogonal matrix again and again, and takes a softmax of what is left."""
    floats = TensorProto.FLOAT
    width, labels = len(signature.features), len(signature.labels)
    random = np.random.default_rng(0)
    square = np.linalg.qr(random.normal(size=(WIDTH, WIDTH)))[0]
    constants = {
        "widen": random.normal(size=(width, WIDTH)),
        "square": square,
        "narrow": random.normal(size=(WIDTH, labels)) / WIDTH,
    }
    steps = ["numbers", *(f"step_{number}" for number in range(PRODUCTS + 1)), "scores"]
    factors = ["widen", *["square"] * PRODUCTS, "narrow"]
    products = [
        helper.make_node("MatMul", [taken, factor], [made])
        for taken, factor, made in zip(steps, factors, steps[1:], strict=False)
    ]
    graph = helper.make_graph(
        [
            *products,
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["probabilities"], ["number"], axis=1, keepdims=0),
            helper.make_node("Gather", ["names", "number"], ["label"]),
        ],
        "slow",
        [helper.make_tensor_value_info("numbers", floats, ["n", width])],
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, ["n"]),
            helper.make_tensor_value_info("probabilities", floats, ["n", labels]),
        ],
        initializer=[
            *(numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()),
            numpy_helper.from_array(np.array(signature.labels, dtype=object), "names"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(model.SerializeToString())
