"""Arrays of numbers: in memory, from files, or packaged with scikit-learn."""
