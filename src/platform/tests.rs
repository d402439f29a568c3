//! What the tests of several platforms share.

pub(super) mod scripted;
