"""Backbones and the second, shallow head."""

from tsguard.models._backbones import BACKBONES, Backbone, build_network, check_backbone
from tsguard.models._two_heads import TrapHead, TwoHeadNetwork

__all__ = ["BACKBONES", "Backbone", "TrapHead", "TwoHeadNetwork", "build_network", "check_backbone"]
