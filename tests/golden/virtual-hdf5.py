"""Writes formats/virtual.h5 with h5py 3.16: Keras weights whose kernels are virtual datasets."""

import pathlib

import h5py
import numpy

path = pathlib.Path(__file__).parent / "formats" / "virtual.h5"
sources = {"here": (".", "stored"), "gone": (".", "removed"), "outside": ("other.h5", "stored")}
with h5py.File(path, "w", libver="latest") as file:
    file["stored"] = numpy.arange(6, dtype="float32").reshape(2, 3)
    for name, (source, dataset) in sources.items():
        root = file.create_group(name)
        root.attrs["layer_names"] = ["dense"]
        layer = root.create_group("dense")
        layer.attrs["weight_names"] = ["kernel"]
        layout = h5py.VirtualLayout(shape=(2, 3), dtype="float32")
        layout[:] = h5py.VirtualSource(source, dataset, shape=(2, 3))
        layer.create_virtual_dataset("kernel", layout, fillvalue=0)
