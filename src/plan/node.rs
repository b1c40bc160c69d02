//! Custom plan nodes: a logical node and its execution, one file each.
