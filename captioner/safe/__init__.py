"""Reads what strangers made and writes what people keep: text, JSON, whole files and folders."""
