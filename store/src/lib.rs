//! The truth: every table and every transaction
