"""What the dialects share: from one wire format to another by way of none."""

from tidegate.dialects.translation.features import FEATURES, features
from tidegate.dialects.translation.translate import Translated, translate

__all__ = ["FEATURES", "Translated", "features", "translate"]
