"""Pictures of data, layers and results, drawn by matplotlib.

Depends on the core, `nn` and `training`'s modes; matplotlib is loaded by the first picture. Invariant: every function
returns a figure of its own, which no window and no global state of matplotlib knows, and writes it where `path` says.
"""

from ._images import image_grid, misclassified
from ._layers import feature_maps, filters
from ._results import confusion_matrix, latent_space, learning_curve

__all__ = [
    "confusion_matrix",
    "feature_maps",
    "filters",
    "image_grid",
    "latent_space",
    "learning_curve",
    "misclassified",
]
