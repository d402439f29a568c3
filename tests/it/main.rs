//! Promises to the user, shown from outside.

mod readme;
