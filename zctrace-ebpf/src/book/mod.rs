//! The ledger: whose work it is, what sites saw, how an operation is settled, which row it goes to.

pub(crate) mod account;
pub(crate) mod mark;
pub(crate) mod object;
pub(crate) mod obstacle;
pub(crate) mod probe;
pub(crate) mod region;
pub(crate) mod request;
pub(crate) mod room;
pub(crate) mod route;
pub(crate) mod row;
pub(crate) mod settle;
pub(crate) mod stacks;
pub(crate) mod target;
pub(crate) mod twin;
