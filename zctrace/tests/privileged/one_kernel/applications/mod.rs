//! Applications whose data paths are known.

mod fio;
mod nginx;
mod nginx_verdicts;
