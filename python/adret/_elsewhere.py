"""PyTorch's names of functions that have the Array API's names here: what to say to whoever asks for them.

Depends on nothing; loaded when a name is missing. Invariant: no name of this table is a name of the package.
"""

from __future__ import annotations

NAMES: dict[str, str] = {
    "absolute": "ad.abs",
    "amax": "ad.max(x, axis=…)",
    "amin": "ad.min(x, axis=…)",
    "arctan2": "ad.atan2",
    "argwhere": "ad.stack(ad.nonzero(x), axis=1)",
    "as_tensor": "ad.asarray",
    "bernoulli": "ad.random.bernoulli",
    "bmm": "ad.matmul, or x @ y",
    "cat": "ad.concat(tensors, axis=…)",
    "chunk": "ad.split(x, sections, axis=…)",
    "clamp": "ad.clip(x, min, max)",
    "clone": "x.clone()",
    "concatenate": "ad.concat(tensors, axis=…)",
    "cuda": 'device="gpu"; ad.devices() says what is there',
    "detach": "x.detach()",
    "device": 'a text such as "cpu" or "gpu:1"',
    "div": "ad.divide, or x / y",
    "eq": "ad.equal, or x == y",
    "float": "ad.float32",
    "double": "ad.float64",
    "half": "ad.float16",
    "gather": "ad.take_along_axis(x, indices, axis=…)",
    "ge": "ad.greater_equal, or x >= y",
    "Generator": "ad.random.Generator",
    "gt": "ad.greater, or x > y",
    "hstack": "ad.concat(tensors, axis=1)",
    "index_select": "ad.take(x, indices, axis=…)",
    "inference_mode": "ad.no_grad()",
    "int": "ad.int32",
    "is_tensor": "isinstance(x, ad.Tensor)",
    "le": "ad.less_equal, or x <= y",
    "long": "ad.int64",
    "lt": "ad.less, or x < y",
    "masked_fill": "ad.where(mask, value, x)",
    "masked_select": "x[mask]",
    "mm": "ad.matmul, or x @ y",
    "movedim": "ad.moveaxis",
    "mul": "ad.multiply, or x * y",
    "multinomial": "ad.searchsorted(ad.cumsum(p), ad.random.rand(n))",
    "mv": "ad.matmul, or x @ y",
    "narrow": "a slice, x[…, start:stop]",
    "ne": "ad.not_equal, or x != y",
    "neg": "ad.negative, or -x",
    "normal": "ad.random.normal",
    "numel": "x.size",
    "permute": "ad.permute_dims",
    "rand": "ad.random.rand",
    "rand_like": "ad.random.rand(*x.shape)",
    "randint": "ad.random.randint",
    "randn": "ad.random.randn",
    "randn_like": "ad.random.randn(*x.shape)",
    "randperm": "ad.random.permutation",
    "repeat_interleave": "ad.repeat(x, n, axis=…)",
    "scatter": "ad.scatter_add",
    "sub": "ad.subtract, or x - y",
    "swapaxes": "x.transpose(first, second)",
    "true_divide": "ad.divide, or x / y",
    "unbind": "ad.unstack(x, axis=…)",
    "unique": "ad.unique_values",
    "unsqueeze": "ad.expand_dims(x, axis=…)",
    "vmap": "operations on a batch axis, which every one of them takes",
    "vstack": "ad.concat(tensors, axis=0)",
}


def missing(name: str) -> AttributeError:
    """What to raise for a name that the package does not have."""
    text = f"module 'adret' has no attribute {name!r}"
    return AttributeError(f"{text}. Use {NAMES[name]}." if name in NAMES else text)
