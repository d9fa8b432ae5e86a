"""Do Keras, timm and ONNX load what write-models.ts wrote, and compute with it what ONNX Runtime computes here?

    npx tsx tests/interop/write-models.ts FOLDER
    python3 tests/interop/run-written.py FOLDER

Checks with those that are installed: keras with tensorflow, timm with torch and safetensors, onnx, onnxruntime.
"""
import importlib.util
import json
import os
import pathlib
import sys

import numpy

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# As a share of the largest answer.
tolerance = 1e-5
failures = 0


def report(model, what, answers, expected):
    global failures
    difference = float(numpy.abs(numpy.asarray(answers) - expected).max())
    passed = difference <= tolerance * max(1, numpy.abs(expected).max())
    failures += not passed
    print(f"{model}, {what}: largest {expected.max():.4f}, difference {difference:.2g}{'' if passed else ' FAILS'}", flush=True)


def with_keras(folder, images, expected):
    import keras

    files = {name: str(folder / name / f"model{ending}") for name, ending in
             [("keras", ".keras"), ("h5", ".h5"), ("weights-h5", ".weights.h5"), ("h5-weights", ".h5")]}
    if not os.path.exists(files["keras"]):
        return
    run = lambda model: model.predict(images, verbose=0)
    model = keras.models.load_model(files["keras"])
    report(folder.name, f"Keras {keras.__version__}, load_model of .keras", run(model), expected)
    report(folder.name, "load_model of .h5", run(keras.models.load_model(files["h5"])), expected)
    for name in "weights-h5", "h5-weights":
        fresh = keras.models.clone_model(model)
        fresh.load_weights(files[name])
        report(folder.name, f"load_weights of {name}", run(fresh), expected)
    by_name = keras.models.clone_model(model)
    by_name.load_weights(files["h5-weights"], by_name=True)
    report(folder.name, "load_weights of h5-weights by name", run(by_name), expected)
    if folder.name == "keras-applications":
        for name in "h5-weights", "weights-h5":
            theirs = keras.applications.Xception(weights=files[name])
            report(folder.name, f"keras.applications.Xception(weights={name})", run(theirs), expected)


def with_timm(folder, images, expected, architecture):
    import timm
    import torch

    file = folder / "safetensors" / "model.safetensors"
    if architecture in (None, "xception") or not file.exists():
        return
    model = timm.create_model(architecture, num_classes=expected.shape[1], checkpoint_path=str(file)).eval()
    with torch.no_grad():
        logits = model(torch.from_numpy(images).permute(0, 3, 1, 2))
    report(folder.name, f"timm {timm.__version__}, {architecture}", torch.softmax(logits, 1).numpy(), expected)


def with_onnx(folder):
    import onnx

    for name in "onnx", "onnx-graph":
        onnx.checker.check_model(str(folder / name / "model.onnx"), full_check=True)
    print(f"{folder.name}: onnx {onnx.__version__} finds no fault with either graph")


def with_onnxruntime(folder, images, expected):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(folder / "onnx-graph" / "model.onnx"), providers=["CPUExecutionProvider"])
    answers = session.run(None, {"images": images})[0]
    report(folder.name, f"onnxruntime {onnxruntime.__version__} of Python", answers, expected)


def is_there(*names):
    return all(importlib.util.find_spec(name) for name in names)


for about in sorted(pathlib.Path(sys.argv[1]).glob("*/about.json")):
    folder, facts = about.parent, json.loads(about.read_text())
    images, expected = (numpy.fromfile(folder / f"{name}.f32", numpy.float32).reshape(facts[name])
                          for name in ("images", "answers"))
    if is_there("keras", "tensorflow"):
        with_keras(folder, images, expected)
    if is_there("timm", "torch", "safetensors"):
        with_timm(folder, images, expected, facts.get("architecture"))
    if is_there("onnx"):
        with_onnx(folder)
    if is_there("onnxruntime"):
        with_onnxruntime(folder, images, expected)
sys.exit(failures > 0)
