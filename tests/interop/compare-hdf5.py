"""Compares two files of Keras item by item: groups, values, types and attributes, as h5py sees them.

    python3 tests/interop/compare-hdf5.py GOLDEN OURS      (.h5, .weights.h5 or .keras; needs h5py)
"""
import io
import sys
import zipfile

import h5py


def open_file(path):
    if path.endswith(".keras"):
        return h5py.File(io.BytesIO(zipfile.ZipFile(path).read("model.weights.h5")), "r")
    return h5py.File(path, "r")


def items(file):
    found = {}

    def attributes(name, item):
        for key, value in item.attrs.items():
            identity = item.attrs.get_id(key)
            text = h5py.check_string_dtype(identity.dtype)
            found[f"{name}@{key}"] = (str(identity.dtype), text, identity.shape, getattr(value, "tolist", lambda: value)())

    def visit(name, item):
        attributes(name, item)
        is_dataset = isinstance(item, h5py.Dataset)
        found[name] = (item.shape, str(item.dtype), item.chunks, item[()].tobytes()) if is_dataset else "group"

    attributes("", file)
    file.visititems(visit)
    return found


golden, ours = (items(open_file(path)) for path in sys.argv[1:3])
different = [name for name in sorted(golden.keys() | ours.keys()) if golden.get(name) != ours.get(name)]
for name in different:
    print(f"{name}\n    {str(golden.get(name))[:150]}\n    {str(ours.get(name))[:150]}")
print(f"{len(golden)} and {len(ours)} items, {len(different)} different")
sys.exit(bool(different))
