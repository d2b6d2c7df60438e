"""The first hour: does the installation work, and sample clips to try it on."""
