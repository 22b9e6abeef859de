"""Nodes of an ONNX graph, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aam import __version__

# Of the standard operators, and of those of trees; and of the file. onnxruntime 1.21 and later read them.
OPSET, OPSET_OF_TREES, IR = 20, 5, 10
TREES = "ai.onnx.ml"
# Codes of types.
FLOAT, INT, BOOL, DOUBLE = 1, 7, 9, 11
# Of inputs and outputs by name: type, and sizes or what they are called.
Values = Mapping[str, tuple[type, tuple[str | int, ...]]]


class Nodes:
    """What a graph computes: `nodes("MatMul", x, weight)` adds a node, and gives the name of its output. Arrays among the inputs
    are constants of the graph.
    """

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def __call__(self, kind: str, *inputs: str | np.ndarray, domain: str = "", **attributes: Any) -> str:
        return self._add(kind, inputs, [f"{kind}.{len(self._nodes)}"], domain, attributes)[0]

    def split(self, x: str, sizes: tuple[int, ...]) -> list[str]:
        """Parts of the last dimension."""
        names = [f"Split.{len(self._nodes)}.{part}" for part in range(len(sizes))]
        return self._add("Split", (x, np.array(sizes)), names, "", {"axis": -1})

    def sorted(self, x: str, width: int) -> tuple[str, str]:
        """Rows [B, width] in rising order, and where each value stood."""
        names = [f"TopK.{len(self._nodes)}.{part}" for part in ("values", "places")]
        values, places = self._add("TopK", (x, np.array([width])), names, "", {"axis": 1, "largest": 0})
        return values, places

    def named(self, x: str, name: str) -> str:
        """The same under another name, as outputs have one."""
        return self._add("Identity", (x,), [name], "", {})[0]

    def _add(
        self, kind: str, inputs: tuple[str | np.ndarray, ...], outputs: list[str], domain: str, attributes: dict[str, Any]
    ) -> list[str]:
        from onnx import helper

        names = [part if isinstance(part, str) else self._constant(part) for part in inputs]
        self._nodes.append(helper.make_node(kind, names, outputs, domain=domain, **attributes))
        return outputs

    def _constant(self, array: np.ndarray) -> str:
        from onnx import numpy_helper

        name = f"constant.{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    @staticmethod
    def tensor(array: np.ndarray) -> Any:
        """An array as an attribute of a node."""
        from onnx import numpy_helper

        return numpy_helper.from_array(array)

    def model(self, inputs: Values, outputs: Values) -> Any:
        """The graph as a model, from inputs and to outputs, with their types and sizes by name."""
        from onnx import helper

        def described(values: Values) -> list[Any]:
            return [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), sizes)
                for name, (kind, sizes) in values.items()
            ]

        graph = helper.make_graph(self._nodes, "aam", described(inputs), described(outputs), self._constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(TREES, OPSET_OF_TREES)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="aam", producer_version=__version__)


def cast(add: Nodes, x: str, code: int) -> str:
    """The same in another type."""
    return add("Cast", x, to=code)
