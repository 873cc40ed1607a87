//! HTTP in, rows and hints out
