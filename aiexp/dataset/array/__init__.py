"""Arrays of numbers: in memory, from files, packaged with scikit-learn, or behind any data set of torch."""
