"""AAM (Attention All Microbes) as a QIIME 2 plugin. It runs ``aam`` as a command, and imports nothing of it."""

__version__ = "0.1.0"
