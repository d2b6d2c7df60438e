"""Recurrent cells by name (GRU, LSTM, lighter ones), and a network of them over a sequence."""
