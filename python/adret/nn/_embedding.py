"""Embedding.

Depends on `functional` and `init`. Invariant: the padding row starts at zero and receives no gradient.
"""

from __future__ import annotations

from .._core import DomainError, DType, Tensor, empty, no_grad
from . import functional as F
from . import init
from ._module import Module
from ._parameter import Parameter
from .functional._windows import whole


class Embedding(Module):
    """Looks integers up in a trained table.

    y[...] = weight[x[...]], with weight from N(0, 1) at first

    Args:
        num_embeddings: Number of rows: valid integers are below it.
        embedding_dim: Size of a row.
        padding_idx: A row that stays as it is: zero, and without gradient.
        device: Where the table is.
        dtype: The table's dtype.

    Shape:
        input `[...]` of any integer dtype, output `[..., embedding_dim]`; weight `[num_embeddings, embedding_dim]`.

    Raises:
        OutOfRangeError: If an integer is not below `num_embeddings`.

    Example:
        >>> Embedding(10, 3)(ad.tensor([[1, 2, 4, 5]])).shape
        (1, 4, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        device: str | None = None,
        dtype: DType | None = None,
    ) -> None:
        """Makes and initialises the table."""
        num_embeddings, embedding_dim = whole(
            "Embedding", 0, num_embeddings=num_embeddings, embedding_dim=embedding_dim
        )
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise DomainError(
                    f"Embedding: padding_idx {padding_idx} is no row of {num_embeddings}. "
                    f"Use -{num_embeddings} to {num_embeddings - 1}."
                )
            padding_idx %= num_embeddings
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = padding_idx
        self.weight = Parameter(empty((num_embeddings, embedding_dim), dtype=dtype, device=device))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with no_grad():
                self.weight[self.padding_idx] = 0.0

    def forward(self, input: Tensor) -> Tensor:
        """The rows that the integers name."""
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """The sizes."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
