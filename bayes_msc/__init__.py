"""What a small trial of counts really showed."""

__version__ = "0.1.0"
