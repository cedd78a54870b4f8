//! Programs whose output says more than its lines do one by one.

pub(super) mod curl;
pub(super) mod rclone;
