"""Bytes to frames and back, fed piece by piece. Knows framing and nothing of what the frames mean."""
