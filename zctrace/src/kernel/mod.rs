//! What this kernel, and the privileges here, allow.

pub mod privileges;
