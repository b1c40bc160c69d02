// Row functions are always run on columns where they can be.
option vectorize = false
