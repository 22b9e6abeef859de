"""AAM (Attention All Microbes): learn from amplicon sequencing tables."""

__version__ = "0.1.0"
