"""Dead letters: written, imported, listed, sent again."""
