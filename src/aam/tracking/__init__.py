"""Runs told to tools that keep and compare them, and compared from their folders."""
