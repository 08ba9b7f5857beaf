"""What single cells of an imported file say: numbers, texts, times; whatever map reads them."""
