"""Networks for vectors of numbers and arrays of any shape, without their last layer."""
