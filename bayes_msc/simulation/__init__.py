"""Simulated trials."""
