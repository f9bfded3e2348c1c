"""The versions that this release is made for, as plain data.

The one home of these ranges: ``setup.py`` reads them to declare requirements and ``vhm doctor`` to
judge what is installed.  No imports, so that it can be read before anything is installed.
"""

PYTHON = ">=3.11,<3.14"
TORCH = ">=2.6,<2.14"
NUMPY = ">=1.26,<2.5"
