"""What our pages share in a browser: elements, grids, the keyboard, the style."""
