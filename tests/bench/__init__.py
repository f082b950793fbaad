"""The bench itself: its checks notice what they are for, its arithmetic is right."""
