"""Makes the pages of the documentation that follow from the code: `python -m scripts.documentation`."""
