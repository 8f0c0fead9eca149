//! What every program calls, and old kernels lack.

use crate::kernel::btf::Types;

/// The kernel's list of BPF helpers.
const HELPERS: &str = "bpf_func_id";

/// Helpers without which no program is accepted, the oldest first: of Linux 5.11 and 5.15.
const NEEDED: [&str; 2] = ["BPF_FUNC_get_current_task_btf", "BPF_FUNC_task_pt_regs"];

/// The helpers that this kernel lacks, as the functions are called.
pub(super) fn missing(types: &Types) -> Vec<String> {
    let lacking = types.lacks(HELPERS, &NEEDED);
    let names = lacking
        .iter()
        .map(|name| name.replacen("BPF_FUNC", "bpf", 1));
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::btf::MadeUp;

    /// The type information of a kernel that describes one enumeration.
    fn types(name: &str, enumerators: &[&str]) -> Types {
        let mut btf = MadeUp::new();
        let head = [btf.name(name), MadeUp::ENUM | enumerators.len() as u32, 4];
        btf.words.extend(head);
        for (value, enumerator) in enumerators.iter().enumerate() {
            let member = [btf.name(enumerator), value as u32];
            btf.words.extend(member);
        }
        btf.types()
    }

    #[test]
    fn an_old_kernel_is_told_by_what_it_lacks() {
        // As in Linux 5.10, 5.12 and 6.1.
        let old = types(HELPERS, &["BPF_FUNC_unspec", "BPF_FUNC_get_current_task"]);
        let newer = types(HELPERS, &NEEDED[..1]);
        let new = types(HELPERS, &NEEDED);
        assert_eq!(
            missing(&old),
            ["bpf_get_current_task_btf", "bpf_task_pt_regs"]
        );
        assert_eq!(missing(&newer), ["bpf_task_pt_regs"]);
        assert_eq!(missing(&new), [] as [&str; 0]);
    }

    #[test]
    fn a_kernel_that_does_not_list_its_helpers_is_tried() {
        assert_eq!(missing(&types("other", &["A"])), [] as [&str; 0]);
    }
}
