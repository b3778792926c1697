"""Functions with a gradient of the user's own: `Function`.

Depends on the core. Invariant: the context never holds an output as users see it, so that a graph does not hold itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from . import _core
from ._core import DTypeError, GradError, ShapeError, Tensor, is_grad_enabled, no_grad


class FunctionContext:
    """What `forward` leaves behind for `backward`.

    Attributes may be set for anything that is no tensor; tensors go through `save_for_backward`.
    """

    def __init__(self, needs_input_grad: Sequence[bool]) -> None:
        """Takes which arguments need a gradient."""
        self.needs_input_grad = tuple(needs_input_grad)
        """For each argument of `apply`, whether it is a tensor that requires grad."""
        # Tensors, or the places of outputs among the outputs.
        self._saved: list[Tensor | int | None] = []
        # As they were given, until the outputs are known.
        self._given: tuple[Tensor | None, ...] = ()
        self._outputs: Sequence[Tensor | None] = ()
        self._not_differentiable: list[Tensor] = []
        self._materialize = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps arguments, outputs or intermediate tensors as they are now, for `saved_tensors`."""
        for tensor in tensors:
            if tensor is not None and not isinstance(cast("Any", tensor), Tensor):
                raise DTypeError(
                    f"save_for_backward: {type(tensor).__name__} is no tensor. Set it as an attribute of the context."
                )
        self._given = tensors
        # What is written in place later must not show in the backward pass.
        self._saved = [None if tensor is None else _core._snapshot(tensor) for tensor in tensors]

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors that `forward` saved, in their order; differentiable themselves."""
        return tuple(self._outputs[saved] if isinstance(saved, int) else saved for saved in self._saved)

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Declares outputs to have no gradient."""
        self._not_differentiable = list(tensors)

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros, or None, for outputs that were not used."""
        self._materialize = value

    def _close(self, outputs: Sequence[Tensor]) -> None:
        """Learns which saved tensors are outputs: those are kept as places."""
        for place, given in enumerate(self._given):
            for number, output in enumerate(outputs):
                if given is output:
                    self._saved[place] = number
        self._given, self._not_differentiable = (), []


class Function:
    """A function of tensors with a gradient written by hand: subclass it and call `apply`.

    `forward(ctx, *args)` computes a tensor, or a tuple, and is not recorded. `backward(ctx, *grads)` gets the gradient
    of each output and returns that of each argument: None for what is no tensor or needs none. Written with tensor
    operations it can be differentiated again.

    Instead of taking `ctx`, `forward(*args)` may leave it to `setup_context(ctx, inputs, output)`.

    Example:
        >>> class Cube(ad.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x * x * x
        ...     @staticmethod
        ...     def backward(ctx, grad):
        ...         (x,) = ctx.saved_tensors
        ...         return grad * 3 * x * x
        >>> x = ad.tensor([1.0, 2.0], requires_grad=True)
        >>> Cube.apply(x).sum().backward()
        >>> x.grad
        tensor([ 3., 12.])
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Computes the outputs; every function writes its own."""
        raise NotImplementedError("Function: it has no forward. Write `@staticmethod def forward(ctx, *args): …`.")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Computes the gradients of the arguments; every function writes its own."""
        raise NotImplementedError("Function: it has no backward. Write `@staticmethod def backward(ctx, *grads): …`.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Fills the context where `forward` does not take it."""
        raise NotImplementedError("Function: it has no setup_context.")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Calls the function.

        Args:
            *args: Tensors and anything else; tensors inside of lists or dicts get no gradient.

        Raises:
            TypeError: If `forward` returns something else than tensors.
            GradError: In the backward pass, if `backward` returns too few or too many gradients.
            ShapeError: In the backward pass, if a gradient has another shape than its argument.
            DTypeError: In the backward pass, if a gradient is no tensor.
        """
        needs = [isinstance(arg, Tensor) and arg.requires_grad for arg in args]
        ctx = FunctionContext(needs)
        # Arguments as they are before `forward`, which may write them.
        inputs = [_core._snapshot(arg) for arg, needed in zip(args, needs, strict=True) if needed]
        with no_grad():
            if cls.setup_context is Function.setup_context:
                value = cls.forward(ctx, *args)
            else:
                value = cls.forward(*args)
                cls.setup_context(ctx, args, value)
        several = isinstance(value, tuple)
        outputs = list(cast("tuple[Any, ...]", value)) if several else [value]
        if not any(isinstance(output, Tensor) for output in outputs):
            raise DTypeError(f"{cls.__name__}: forward returned {type(value).__name__}. Return a tensor, or a tuple.")
        if not inputs:
            return value
        if not is_grad_enabled():
            # What `forward` does need not show in the graph.
            _core._note(inputs)
            return value
        skipped = {id(tensor) for tensor in ctx._not_differentiable}
        chosen = [
            number
            for number, output in enumerate(outputs)
            if isinstance(output, Tensor) and output.dtype.is_floating_point and id(output) not in skipped
        ]
        if not chosen:
            return value
        values: list[Tensor] = [outputs[number] for number in chosen]
        ctx._close(values)
        places = {saved for saved in ctx._saved if isinstance(saved, int)}
        kept = [number in places for number in range(len(values))]
        rule = _rule(cls, ctx, needs, inputs, values, chosen, len(outputs))
        for number, output in zip(chosen, _core._joined(values, inputs, rule, kept), strict=True):
            outputs[number] = output
        return tuple(outputs) if several else outputs[0]


Rule = Callable[[list[Tensor | None], list[bool], list[Tensor | None]], list[Tensor | None]]
Meta = tuple[tuple[int, ...], _core.DType, str]


def _meta(tensor: Tensor) -> Meta:
    return tensor.shape, tensor.dtype, tensor.device


def _rule(
    kind: type[Function],
    ctx: FunctionContext,
    needs: Sequence[bool],
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    chosen: Sequence[int],
    number_of_outputs: int,
) -> Rule:
    """What the backward pass calls: `backward` with its context, its result checked."""
    # Tensors themselves would be kept for nothing.
    wanted, made = [_meta(tensor) for tensor in inputs], [_meta(tensor) for tensor in outputs]

    def rule(grads: list[Tensor | None], _: list[bool], saved: list[Tensor | None]) -> list[Tensor | None]:
        given: list[Tensor | None] = [None] * number_of_outputs
        for number, grad, (shape, dtype, device) in zip(chosen, grads, made, strict=True):
            if grad is None and ctx._materialize:
                grad = _core.zeros(shape, dtype=dtype, device=device)
            given[number] = grad
        ctx._outputs = saved
        try:
            found = kind.backward(ctx, *given)
        finally:
            ctx._outputs = ()
        return _checked(kind.__name__, found, needs, wanted)

    return rule


def _checked(name: str, found: Any, needs: Sequence[bool], wanted: Sequence[Meta]) -> list[Tensor | None]:
    """The gradients of the arguments that need one; complains about wrong ones."""
    gradients = list(cast("Sequence[Any]", found)) if isinstance(found, tuple | list) else [found]
    if len(gradients) < len(needs) or any(extra is not None for extra in gradients[len(needs) :]):
        raise GradError(
            f"{name}: backward returned {len(gradients)} gradients and apply had {len(needs)} arguments. "
            "Return one per argument, None for those without."
        )
    metas = iter(wanted)
    result: list[Tensor | None] = []
    for number, needed in enumerate(needs):
        if not needed:
            continue
        gradient, (shape, dtype, device) = gradients[number], next(metas)
        if gradient is None:
            result.append(None)
            continue
        if not isinstance(gradient, Tensor):
            raise DTypeError(
                f"{name}: backward returned {type(gradient).__name__} for argument {number}. Return a Tensor or None."
            )
        if gradient.shape != shape or gradient.device != device:
            raise ShapeError(
                f"{name}: the gradient of argument {number} is {gradient.shape} on {gradient.device} and the argument "
                f"{shape} on {device}. They must agree."
            )
        result.append(gradient if gradient.dtype == dtype else gradient.astype(dtype))
    return result
