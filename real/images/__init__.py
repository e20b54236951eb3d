"""Photos and files: read, masked, cut into tiles, drawn side by side, written whole."""
