"""Import every module of the project that this environment can."""

import importlib
import pkgutil

import fairseq_vhm
import preprocess

for package in (fairseq_vhm, preprocess):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
        print(module.name)
