//! (leaf)
