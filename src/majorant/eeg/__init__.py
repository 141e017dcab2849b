"""Recordings in, source estimates out."""
