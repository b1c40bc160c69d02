//! Queries over tables in memory and their JSON.
