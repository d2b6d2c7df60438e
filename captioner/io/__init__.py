"""What single files and archives share: inputs, output files, progress, the platform."""
