"""Mixed precision: `autocast`, and the scaling of losses that float16 needs: `GradScaler`.

Depends on the core. Invariant: parameters and their gradients keep their dtype; a step with a gradient that is not
finite changes no parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, Self, TypeVar, cast

from . import _core
from ._core import DomainError, DType, DTypeError, GradError, Tensor, no_grad

_P = ParamSpec("_P")
_R = TypeVar("_R")


class autocast:  # noqa: N801 — PyTorch's name, and used as a statement
    """A block, or a decorator, in which products are computed in 16 bits and what is sensitive in float32.

    `matmul`, `@`, linear layers and convolutions take their floating operands in `dtype` and give it; they sum in
    float32. Sums, means, norms, softmax, normalisation and losses take 16-bit floats in float32 and give that.
    Everything else computes in the dtype that it gets. Parameters stay as they are, and gradients arrive in their
    dtype.

    The block is for the forward pass; `backward` and the optimiser's step stand outside.

    Args:
        device_type: "cpu" or "gpu": tensors there are concerned.
        dtype: float16 or bfloat16; without it float16 on a GPU and bfloat16 on the CPU.
        enabled: False makes the block one of full precision, also inside another one.

    Raises:
        DomainError: For another device type.
        DTypeError: For another dtype.

    Source:
        Micikevicius et al. (2018), Mixed Precision Training.

    Example:
        >>> x, w = ad.ones((2, 3)), ad.ones((3, 2), requires_grad=True)
        >>> with ad.autocast("cpu"):
        ...     y = x @ w
        ...     loss = y.mean()
        >>> y.dtype, loss.dtype
        (adret.bfloat16, adret.float32)
        >>> loss.backward()
        >>> w.grad.dtype
        adret.float32
    """

    def __init__(self, device_type: str, dtype: DType | str | None = None, enabled: bool = True) -> None:
        """Takes the kind of device and the dtype of products."""
        if device_type not in ("cpu", "gpu"):
            raise DomainError(f'autocast: device_type is {device_type!r}. Use "cpu" or "gpu".')
        default = _core.bfloat16 if device_type == "cpu" else _core.float16
        self.device_type, self.enabled = device_type, enabled
        self.dtype = default if dtype is None else _core.dtype(dtype)
        if self.dtype not in (_core.float16, _core.bfloat16):
            raise DTypeError(f"autocast: dtype is {self.dtype}. Use float16 or bfloat16.")
        self._before: list[DType | None] = []

    def __enter__(self) -> Self:
        """Begins the block."""
        self._before.append(_core._set_autocast(self.device_type, self.dtype if self.enabled else None))
        return self

    def __exit__(self, *raised: object) -> None:
        """Restores what was in force."""
        _core._set_autocast(self.device_type, self._before.pop())

    def __call__(self, function: Callable[_P, _R], /) -> Callable[_P, _R]:
        """The function, run in such a block."""

        @wraps(function)
        def inside(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            with autocast(self.device_type, self.dtype, self.enabled):
                return function(*args, **kwargs)

        return inside


class GradScaler:
    """Scales losses so that small gradients do not vanish in float16, and adapts the scale.

    A training step becomes `scaler.scale(loss).backward()`, `scaler.step(optimizer)`, `scaler.update()`. `step` divides
    the gradients by the scale, and leaves the step out if one is not finite; `update` then shrinks the scale, and lets
    it grow after `growth_interval` steps in which all were finite.

    Args:
        device: Kept for PyTorch's order of arguments: the scale follows the losses.
        init_scale: The first scale.
        growth_factor: What the scale is multiplied by after `growth_interval` good steps.
        backoff_factor: What it is multiplied by after a step that was left out.
        growth_interval: Good steps until it grows.
        enabled: False makes every method do its part without scaling.

    Raises:
        DomainError: For factors that do not grow or shrink.

    Example:
        >>> w = ad.ones(2, requires_grad=True)
        >>> optimizer, scaler = ad.optim.SGD([w], lr=0.5), ad.GradScaler(init_scale=1024.0)
        >>> scaler.scale((w * w).sum()).backward()
        >>> scaler.step(optimizer)
        >>> scaler.update()
        >>> w.tolist(), scaler.get_scale()
        ([0.0, 0.0], 1024.0)
    """

    def __init__(
        self,
        device: str = "gpu",
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        """Takes the scale and how it changes."""
        if not growth_factor > 1.0 or not 0.0 < backoff_factor < 1.0 or not init_scale > 0.0 or growth_interval < 1:
            raise DomainError(
                f"GradScaler: init_scale is {init_scale}, growth_factor {growth_factor}, "
                f"backoff_factor {backoff_factor}, growth_interval {growth_interval}. "
                "The scale must be positive, growth above 1, "
                "backoff between 0 and 1, the interval at least 1."
            )
        self._device, self._enabled = device, enabled
        self._scale, self._good = float(init_scale), 0
        self._growth, self._backoff, self._interval = growth_factor, backoff_factor, growth_interval
        # For each optimiser since the last update: whether its gradients are finite, and whether it has stepped.
        self._finite: dict[int, bool] = {}
        self._stepped: set[int] = set()

    def is_enabled(self) -> bool:
        """Whether it scales."""
        return self._enabled

    def get_scale(self) -> float:
        """The scale in force; 1 where it does not scale."""
        return self._scale if self._enabled else 1.0

    def scale(self, outputs: Any) -> Any:
        """A loss, or a list or tuple of them, times the scale."""
        if isinstance(outputs, list | tuple):
            scaled = [self.scale(output) for output in cast("list[Any]", outputs)]
            return scaled if isinstance(outputs, list) else tuple(scaled)
        if not isinstance(outputs, Tensor):
            raise DTypeError(f"scale: {type(outputs).__name__} is no tensor. Give the loss, or a list of losses.")
        if not self._enabled:
            return outputs
        # 65536 is beyond float16.
        wide = outputs.astype(_core.float32) if outputs.dtype in (_core.float16, _core.bfloat16) else outputs
        return wide * self._scale

    def unscale_(self, optimizer: Any) -> None:
        """Divides the gradients of an optimiser's parameters by the scale: before clipping; else `step` does it.

        Raises:
            GradError: If they have been divided since the last `update`.
        """
        if not self._enabled:
            return
        if id(optimizer) in self._finite:
            raise GradError("unscale_: these gradients are unscaled already. Call update() after each step.")
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        flags: list[Tensor] = []
        with no_grad():
            for parameter in parameters:
                parameter.grad = parameter.grad * (1.0 / self._scale)
                flags.append(_core.all(_core.isfinite(parameter.grad)))
            _core.eval(flags, [parameter.grad for parameter in parameters])
        self._finite[id(optimizer)] = all(bool(flag) for flag in flags)

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """The optimiser's step with gradients divided by the scale; None, and no step, where one is not finite.

        Raises:
            GradError: If the optimiser has stepped since the last `update`.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if id(optimizer) in self._stepped:
            raise GradError("step: this optimizer has stepped already. Call update() after each step.")
        if id(optimizer) not in self._finite:
            self.unscale_(optimizer)
        self._stepped.add(id(optimizer))
        return optimizer.step(*args, **kwargs) if self._finite[id(optimizer)] else None

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Adapts the scale, once after the steps of all optimisers.

        Args:
            new_scale: The next scale, in place of the rule's.

        Raises:
            GradError: If no optimiser has stepped since the last `update`.
        """
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._finite:
            raise GradError("update: no optimizer has stepped. Call step(optimizer) before.")
        elif not all(self._finite.values()):
            self._scale, self._good = self._scale * self._backoff, 0
        else:
            self._good += 1
            if self._good == self._interval:
                # A scale beyond float32 would make every gradient infinite.
                self._scale, self._good = min(self._scale * self._growth, 2.0**126), 0
        self._finite, self._stepped = {}, set()

    def state_dict(self) -> dict[str, Any]:
        """A snapshot: the scale, how it changes, and the good steps so far; empty where it does not scale."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth,
            "backoff_factor": self._backoff,
            "growth_interval": self._interval,
            "_growth_tracker": self._good,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes up a snapshot.

        Raises:
            DomainError: If it is of a scaler that did not scale.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise DomainError("load_state_dict: the state is of a scaler that was not enabled. Start a new one.")
        self._scale, self._good = float(state_dict["scale"]), int(state_dict["_growth_tracker"])
        self._growth, self._backoff = float(state_dict["growth_factor"]), float(state_dict["backoff_factor"])
        self._interval = int(state_dict["growth_interval"])
