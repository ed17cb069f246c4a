"""Sequences, motifs and the registry of source files; imports no other room."""
