"""From run records to figures, claims and pages; a figure is a pure function of records."""
