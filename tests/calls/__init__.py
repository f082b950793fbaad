"""Calls: what is asked of a model beside generations."""
