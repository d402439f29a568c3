//! Promises to the user, shown from outside.
