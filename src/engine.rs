//! The one handle that every door calls: authorise, then write, query, delete, maintain.
