"""What the dialects share: from one wire format to another by way of none."""

from tidegate.dialects.translation.features import FEATURES, features
from tidegate.dialects.translation.options import read_options
from tidegate.dialects.translation.translate import Translated, translate

__all__ = ["FEATURES", "Translated", "features", "read_options", "translate"]
