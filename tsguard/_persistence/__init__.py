"""Saved models: folders of plain data."""

from tsguard._persistence._save import load, save

__all__ = ["load", "save"]
