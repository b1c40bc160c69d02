//! Loops on slices: the one implementation of each numeric operation. No Arrow, no DataFusion.
