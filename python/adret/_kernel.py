"""Kernels for GPUs that users write themselves: `kernel`.

Depends on the core and `Function`. Invariant: what is wrong with a kernel's text is raised by its call, with line and
message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from . import _core
from ._core import DomainError, DType, DTypeError, GradError, ShapeError, Tensor
from ._function import Function

Shape: TypeAlias = int | Sequence[int]
Grid: TypeAlias = Shape | Callable[..., Shape]
Output: TypeAlias = Grid | tuple[Grid, DType | str]


class Kernel:
    """A kernel that is called with tensors; made by `kernel`."""

    def __init__(
        self,
        source: str,
        inputs: Sequence[str],
        outputs: Mapping[str, Output],
        grid: Grid,
        vjp: Callable[..., Any] | None,
        name: str,
    ) -> None:
        """Keeps what `kernel` was given."""
        self.source, self.inputs, self.outputs = source, tuple(inputs), dict(outputs)
        self.grid, self.vjp, self.name = grid, vjp, name
        if not self.inputs or not self.outputs:
            raise DomainError(
                f"{name}: a kernel needs inputs and outputs, and has {len(self.inputs)} and "
                f"{len(self.outputs)}. Name at least one of each."
            )

    def __repr__(self) -> str:
        """The name with those of inputs and outputs."""
        return f"kernel {self.name}({', '.join(self.inputs)}) -> {', '.join(self.outputs)}"

    def __call__(self, *tensors: Tensor) -> Any:
        """Runs the kernel on a GPU: a tensor, or a tuple where there are several outputs.

        Raises:
            TypeError: If there are fewer or more tensors than inputs, or something else than tensors.
            DeviceError: If the inputs are on the CPU, or on several devices.
            DTypeError: If an array is of another dtype than float32, int32 and uint32.
            DomainError: If the text is not valid WGSL, or does not fit its inputs and outputs.
        """
        if len(tensors) != len(self.inputs):
            raise TypeError(
                f"{self.name}: {len(self.inputs)} inputs are declared ({', '.join(self.inputs)}), "
                f"and {len(tensors)} were given."
            )
        for name, tensor in zip(self.inputs, tensors, strict=True):
            if not isinstance(cast("Any", tensor), Tensor):
                raise DTypeError(
                    f"{self.name}: {name} is {type(tensor).__name__}, not a tensor. Make one with ad.tensor."
                )
        if self.vjp is None:
            return self._run(*tensors)
        return _Differentiable.apply(self, *tensors)

    def _run(self, *tensors: Tensor) -> Any:
        """The outputs."""
        outputs = [(name, *self._output(name, output, tensors)) for name, output in self.outputs.items()]
        grid = self._sizes("the grid", self.grid, tensors)
        if not 1 <= len(grid) <= 3:
            raise ShapeError(f"{self.name}: the grid has {len(grid)} axes. Give one to three numbers of workgroups.")
        padded = (*grid, *(1,) * (3 - len(grid)))
        found = _core._kernel(self.name, self.source, list(zip(self.inputs, tensors, strict=True)), outputs, padded)
        return found[0] if len(found) == 1 else tuple(found)

    def _output(self, name: str, output: Output, tensors: tuple[Tensor, ...]) -> tuple[list[int], DType]:
        """Shape and dtype of an output."""
        dtype: DType | str = tensors[0].dtype
        given: Any = output
        if isinstance(given, tuple):
            pair = cast("tuple[Any, ...]", given)
            if len(pair) == 2 and isinstance(pair[1], DType | str):
                given, dtype = pair
        return self._sizes(name, cast("Grid", given), tensors), _core.dtype(dtype)

    def _sizes(self, what: str, sizes: Grid, tensors: tuple[Tensor, ...]) -> list[int]:
        """Numbers, or what a function of the inputs says."""
        found: Any = sizes(*tensors) if callable(sizes) else sizes
        try:
            found = [found] if isinstance(found, int) else list(found)
        except TypeError:
            found = [None]
        if not all(isinstance(size, int) and 0 <= size < 2**32 for size in found):
            raise ShapeError(
                f"{self.name}: {what} is {found!r}. Give whole numbers that are not negative, as a tuple, or as "
                "a function of the inputs."
            )
        return found


class _Differentiable(Function):
    """A kernel with its gradient."""

    @staticmethod
    def forward(ctx: Any, kernel: Kernel, *tensors: Tensor) -> Any:
        outputs = kernel._run(*tensors)
        ctx.kernel, ctx.count = kernel, len(tensors)
        ctx.save_for_backward(
            *tensors, *(cast("tuple[Tensor, ...]", outputs) if isinstance(outputs, tuple) else (outputs,))
        )
        return cast("Any", outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        saved = ctx.saved_tensors
        given: Any = ctx.kernel.vjp(saved[: ctx.count], saved[ctx.count :], grads)
        found: tuple[Any, ...] = tuple(cast("list[Any]", given)) if isinstance(given, tuple | list) else (given,)
        if len(found) != ctx.count:
            raise GradError(
                f"{ctx.kernel.name}: vjp returned {len(found)} gradients for {ctx.count} inputs. "
                "Return one for each, or None."
            )
        return (None, *found)


def kernel(
    source: str,
    inputs: Sequence[str],
    outputs: Mapping[str, Output],
    grid: Grid,
    *,
    vjp: Callable[..., Any] | None = None,
    name: str = "kernel",
) -> Kernel:
    """Makes a function of a kernel written in WGSL, the shader language of WebGPU.

    The text has an entry point `main` and uses the inputs and outputs by their names, as arrays of their elements in
    row-major order. They are declared before the text, and so are, for an array `a`, the constants `a_size` (its
    number of elements) and `a_shape` (its sizes, `array<u32, rank>`).

    Args:
        source: The text.
        inputs: Names of the inputs, in the order of the call.
        outputs: For each output its shape, a tuple or a function of the inputs; or shape and dtype. Without a dtype it
            is that of the first input. Outputs are not cleared: the kernel writes every element.
        grid: Numbers of workgroups along one to three axes, or a function of the inputs that gives them.
        vjp: The gradient: `vjp(inputs, outputs, grads)` gets three tuples of tensors and returns a gradient, or None,
            for each input. Written with tensor operations or kernels that have a `vjp`, it can be differentiated again.
        name: What errors call it.

    Returns:
        A function of tensors on a GPU, float32, int32 or uint32. Its call raises DomainError with line and message
        where the text is not valid.

    Example:
        >>> double = ad.kernel(
        ...     '''
        ...     @compute @workgroup_size(64)
        ...     fn main(@builtin(global_invocation_id) id: vec3<u32>) {
        ...         if (id.x < x_size) { y[id.x] = 2.0 * x[id.x]; }
        ...     }
        ...     ''',
        ...     inputs=["x"], outputs={"y": lambda x: x.shape}, grid=lambda x: (x.size + 63) // 64,
        ...     vjp=lambda inputs, outputs, grads: 2 * grads[0], name="double",
        ... )
        >>> double
        kernel double(x) -> y
    """
    return Kernel(source, inputs, outputs, grid, vjp, name)
