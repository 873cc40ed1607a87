//! The transport of hints: lanes in Redis or in process
