"""Objectives, metrics, the Lightning modules and the fit."""
