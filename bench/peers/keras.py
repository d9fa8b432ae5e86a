"""A training step of keras.applications.Xception with TensorFlow.

Usage: python keras.py SIZE BATCH THREADS
Prints a JSON line: the name of the library, its ways to run a step, and the parameters that train. Then, for each line on
stdin, the name of a way, runs one step that way and prints its milliseconds.
"""
import json
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

# This file's own folder would stand before the packages, and its name is that of one.
sys.path.pop(0)

import keras
import numpy
import tensorflow


def training_step(size, batch, jit_compile):
    model = keras.applications.Xception(weights=None, input_shape=(size, size, 3), classifier_activation=None)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    images = tensorflow.constant(numpy.random.default_rng(1).normal(size=(batch, size, size, 3)), tensorflow.float32)
    targets = tensorflow.range(batch)

    @tensorflow.function(jit_compile=jit_compile)
    def step():
        with tensorflow.GradientTape() as tape:
            value = loss(targets, model(images, training=True))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(value, variables), variables))
        return value

    parameters = sum(int(numpy.prod(variable.shape)) for variable in model.trainable_variables)
    return lambda: step().numpy(), parameters


def main():
    size, batch, threads = map(int, sys.argv[1:])
    tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    steps = {"tf.function": training_step(size, batch, False), "XLA": training_step(size, batch, True)}
    name = f"Keras {keras.__version__}, TensorFlow {tensorflow.__version__}"
    print(json.dumps({"name": name, "ways": list(steps), "parameters": steps["XLA"][1]}), flush=True)
    for line in sys.stdin:
        run = steps[line.strip()][0]
        start = time.perf_counter()
        run()
        print((time.perf_counter() - start) * 1000, flush=True)


main()
