"""Features become words: attention, the GRU decoder, the search and the tokenizer."""
