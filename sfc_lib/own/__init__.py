"""Your own data: from files to a model, a report and predictions."""
